"""A call's body: what it may be, and how large.

Source: https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview and contract section B.2. What
counts is counted as Microsoft's clients count it: they fill a call with records until the sum of their JSON texts,
written with `, ` and `: `, would pass the limit, and only then add `[`, `, ` between records and `]`. So the text of a call
of n records is at most limit + 2n bytes long, and a record of its own is over the limit where its text alone is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.core.bodies import BadGzip, BodyTooLong, UnknownEncoding, gunzip, is_gzip
from lurewire.core.bodies import read_body as read
from lurewire.ingestion.errors import BodyEmpty, BodyInvalid, BodyTooLarge, MediaTypeUnsupported

if TYPE_CHECKING:
    from starlette.requests import Request

_SEPARATORS = 2  # bytes between two records as json.dumps writes them; as many as both brackets


async def read_body(request: Request, limit: int) -> tuple[bytes, bool]:
    """The body as it came, and whether it is gzip. Raises `BodyTooLarge`, `MediaTypeUnsupported`, `BodyEmpty`."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise MediaTypeUnsupported("The content type is application/json.")
    try:
        packed = is_gzip(request)
        body = await read(request, limit if packed else longest(limit))
    except UnknownEncoding as error:
        raise MediaTypeUnsupported(f"The content encoding '{error}' is not supported: use gzip or none.") from None
    except BodyTooLong as error:
        raise BodyTooLarge(limit, error.size) from None
    if not body:
        raise BodyEmpty("The body is empty.")
    return body, packed


def unpack(body: bytes, limit: int) -> bytes:
    """A gzip body's text, of one or more members; never more than `longest(limit)`. Raises `BodyInvalid`, `BodyTooLarge`."""
    try:
        return gunzip(body, longest(limit))
    except BadGzip as error:
        raise BodyInvalid(f"The body is not valid gzip: {error}") from None
    except BodyTooLong as error:
        raise BodyTooLarge(limit, error.size) from None


def check_size(size: int, records: int, limit: int) -> None:
    """Hold the limit for a text of `size` bytes: its records without what joins them. Raises `BodyTooLarge`."""
    if size - _SEPARATORS * records > limit:
        raise BodyTooLarge(limit, size)


def longest(limit: int) -> int:
    """The longest text that `check_size` can accept: records of two bytes (`{}`) each."""
    return 2 * limit
