"""Request bodies: bounded, JSON, an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lurewire.core.bodies import BodyTooLong, read_body

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.core.errors import WireError


async def read_object(request: Request, limit: int, error: type[WireError]) -> dict[str, Any]:
    """The body as JSON object, an empty one where there is none; raises `error` for anything else."""
    try:
        body = await read_body(request, limit)
    except BodyTooLong:
        raise error(f"The request body is longer than the limit of {limit} bytes.") from None
    try:
        value = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf")) if body else {}
        msgspec.json.encode(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError) as problem:
        raise error(f"The request body is not JSON that can be stored: {problem}.") from None
    if not isinstance(value, dict):
        raise error("The request body must be a JSON object.")
    return value
