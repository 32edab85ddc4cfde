"""HTTP bodies: JSON values to bytes by what they are, bytes to JSON values by their content type.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-content-type
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lurewire.expressions.values import CONTENT_TYPE, content, content_bytes, is_content, text
from lurewire.playbooks.journal import encode
from lurewire.playbooks.registry import ActionError

if TYPE_CHECKING:
    from collections.abc import Iterable


def encode_body(body: Any) -> tuple[bytes | None, str | None]:
    """The bytes of a request's body, and its content type where no header says one; raises `ActionError`."""
    if body is None:
        return None, None
    if isinstance(body, str):
        return body.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    if isinstance(body, dict) and "$multipart" in body:
        raise ActionError("NotSupported", "Lurewire does not send multipart bodies ('$multipart').")
    if is_content(body):
        return content_bytes(body), body[CONTENT_TYPE]
    return encode(body), "application/json; charset=utf-8"


def decode_body(data: bytes, content_type: str | None) -> Any:
    """A received body: JSON, text, or a content object; raises `ActionError` where JSON is promised and not sent."""
    media, charset = _media(content_type)
    if media == "application/json" or (media.startswith("application/") and media.endswith("+json")):
        try:
            return msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            message = f"The content type is '{media}', but the body is not valid JSON: {error}."
            raise ActionError("InvalidJSON", message) from None
    if media.startswith("text/"):
        try:
            return data.decode(charset, "replace")
        except LookupError:
            return data.decode("utf-8", "replace")
    return content(data, content_type or "application/octet-stream")


def _media(content_type: str | None) -> tuple[str, str]:
    media, *parameters = (content_type or "").split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return media.strip().lower(), value.strip().strip('"') or "utf-8"
    return media.strip().lower(), "utf-8"


def joined_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers as an object; one that comes more than once is joined by commas."""
    found: dict[str, str] = {}
    names: dict[str, str] = {}
    for name, value in headers:
        first = names.setdefault(name.lower(), name)
        found[first] = f"{found[first]},{value}" if first in found else value
    return found


def header_texts(headers: Any) -> list[tuple[str, str]]:
    """The `headers` of an action, evaluated; raises `ActionError` where they are no object."""
    if headers is None:
        return []
    if not isinstance(headers, dict):
        raise ActionError("BadRequest", "The property 'headers' must be an object.")
    return [(name, text(value)) for name, value in headers.items() if value is not None]
