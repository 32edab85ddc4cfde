"""Request bodies of vaults: bounded, JSON, an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lurewire.core.bodies import BodyTooLong, read_body
from lurewire.vault.errors import BadParameter, RequestTooLarge

if TYPE_CHECKING:
    from starlette.requests import Request


async def read_object(request: Request, limit: int) -> dict[str, Any]:
    """The body as JSON object; raises `BadParameter` and `RequestTooLarge`."""
    try:
        value = msgspec.json.decode(await read_body(request, limit))
    except BodyTooLong:
        raise RequestTooLarge(f"The request is longer than the limit of {limit} bytes.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadParameter("The request body is not JSON.") from None
    if not isinstance(value, dict):
        raise BadParameter("The request body must be a JSON object.")
    return value
