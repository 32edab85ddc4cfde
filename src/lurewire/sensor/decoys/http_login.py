"""Credentials in an HTTP request: Basic authentication, form fields, JSON members."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

USERNAME_FIELDS = (b"username", b"user", b"login", b"email", b"log", b"uname", b"user_name", b"userid", b"j_username")
PASSWORD_FIELDS = (b"password", b"pass", b"passwd", b"pwd", b"user_password", b"j_password")
"""Names of form fields, lower case, in order of preference."""

_MOST_FIELDS = 100
_DEEPEST = 200


def basic_credentials(authorization: bytes) -> tuple[bytes, bytes] | None:
    """User name and password of a Basic `Authorization` header (RFC 7617)."""
    scheme, _, value = authorization.strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        decoded = base64.b64decode(value.strip(), validate=True)
    except binascii.Error:
        return None
    username, colon, password = decoded.partition(b":")
    return (username, password) if colon else None


def body_credentials(content_type: bytes, body: bytes) -> tuple[bytes | None, bytes | None] | None:
    """User name and password in a form or a JSON object, either of which may be missing; None where both are."""
    media_type = content_type.partition(b";")[0].strip().lower()
    reader = _READERS.get(media_type)
    if reader is None:
        return None
    fields: dict[bytes, bytes] = {}
    for name, value in reader(body):
        fields.setdefault(name.lower(), value)
    username = next((fields[name] for name in USERNAME_FIELDS if name in fields), None)
    password = next((fields[name] for name in PASSWORD_FIELDS if name in fields), None)
    return None if username is None and password is None else (username, password)


def _form(body: bytes) -> Iterable[tuple[bytes, bytes]]:
    # urllib's parse_qsl refuses bytes that are not ASCII, and an attacker's need not be.
    for field in body.split(b"&", _MOST_FIELDS)[:_MOST_FIELDS]:
        name, _, value = field.partition(b"=")
        yield unquote_to_bytes(name.replace(b"+", b" ")), unquote_to_bytes(value.replace(b"+", b" "))


def _json(body: bytes) -> Iterable[tuple[bytes, bytes]]:
    if body.count(b"[") + body.count(b"{") > _DEEPEST:
        return ()
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(document, dict):
        return ()
    texts = ((name, value) for name, value in document.items() if isinstance(value, str))
    return [(name.encode("utf-8", "surrogatepass"), value.encode("utf-8", "surrogatepass")) for name, value in texts]


_READERS: Mapping[bytes, Callable[[bytes], Iterable[tuple[bytes, bytes]]]] = {
    b"application/x-www-form-urlencoded": _form,
    b"application/json": _json,
}
