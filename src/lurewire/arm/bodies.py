"""Request bodies of the control plane: bounded, JSON, an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lurewire.arm.errors import InvalidRequestContent, RequestTooLarge
from lurewire.core.bodies import BodyTooLong, read_body

if TYPE_CHECKING:
    from starlette.requests import Request


async def read_bytes(request: Request, limit: int) -> bytes:
    """The body; raises `RequestTooLarge` as soon as there is more than `limit` bytes."""
    try:
        return await read_body(request, limit)
    except BodyTooLong:
        raise RequestTooLarge(f"The request content is longer than the limit of {limit} bytes.") from None


async def read_object(request: Request, limit: int, depth: int) -> dict[str, Any]:
    """The body as JSON object, a byte order mark before it allowed; raises `InvalidRequestContent`."""
    return parse_object(await read_bytes(request, limit), depth)


def parse_object(body: bytes, depth: int) -> dict[str, Any]:
    """`body` as JSON object; raises `InvalidRequestContent`."""
    try:
        value = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestContent(
            f"The request content was invalid and could not be deserialized: '{error}'."
        ) from None
    return check_object(value, depth)


def check_object(value: Any, depth: int) -> dict[str, Any]:
    """`value`, if it is an object that can be stored as JSON; raises `InvalidRequestContent`."""
    if not isinstance(value, dict):
        raise InvalidRequestContent("The request content was invalid: it must be a JSON object.")
    _check_depth(value, depth)
    try:
        msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError, ValueError, TypeError) as error:
        raise InvalidRequestContent(f"The request content was invalid: {error}.") from None
    return value


def _check_depth(value: Any, depth: int) -> None:
    level = [value]
    for _ in range(depth):
        level = [
            child
            for container in level
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise InvalidRequestContent(f"The request content was invalid: it is nested more than {depth} deep.")
