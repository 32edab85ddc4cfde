"""A request's body, within limits, whatever its sender says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isal import isal_zlib

from lurewire.ingestion.errors import BodyEmpty, BodyInvalid, BodyTooLarge, MediaTypeUnsupported

if TYPE_CHECKING:
    from starlette.requests import Request

_GZIP_WINDOW = 31  # gzip header and checksum, 32 KB window
_MOST_MEMBERS = 65  # every member's rest is copied: tens of thousands of empty ones would cost seconds
_SEPARATORS = 2  # bytes between two records as json.dumps writes them


async def read_body(request: Request, limit: int) -> tuple[bytes, bool]:
    """The body as it came, and whether it is gzip. Raises `BodyTooLarge`, `MediaTypeUnsupported`, `BodyEmpty`."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise MediaTypeUnsupported("The content type is application/json.")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("gzip", "identity"):
        raise MediaTypeUnsupported(f"The content encoding '{encoding[:40]}' is not supported: use gzip or none.")
    packed = encoding == "gzip"
    most = limit if packed else longest(limit)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise BodyTooLarge(limit, int(announced))
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise BodyTooLarge(limit, len(body))
    if not body:
        raise BodyEmpty("The body is empty.")
    return bytes(body), packed


def unpack(body: bytes, limit: int) -> bytes:
    """A gzip body's text, of one or more members; never more than `longest(limit)`. Raises `BodyInvalid`, `BodyTooLarge`."""
    most = longest(limit)
    text = b""
    rest = body
    for _ in range(_MOST_MEMBERS):
        if not rest:
            return text
        member = isal_zlib.decompressobj(wbits=_GZIP_WINDOW)
        try:
            text += member.decompress(rest, most + 1 - len(text))
        except isal_zlib.error as error:  # type: ignore[misc]
            raise BodyInvalid(f"The body is not valid gzip: {error}") from None
        if len(text) > most:
            raise BodyTooLarge(limit, len(text))
        if not member.eof:
            raise BodyInvalid("The body is not valid gzip: it ends too early")
        rest = member.unused_data
    raise BodyInvalid(f"The body has more than {_MOST_MEMBERS - 1} gzip members")


def check_size(size: int, records: int, limit: int) -> None:
    """Hold the limit as Microsoft's clients count it: records without what joins them. Raises `BodyTooLarge`.

    The SDK fills a call up to exactly the limit and adds brackets, commas and blanks after that.
    """
    if size - _SEPARATORS * records > limit:
        raise BodyTooLarge(limit, size)


def longest(limit: int) -> int:
    """The longest text that `check_size` can accept: records of two bytes (`{}`) each."""
    return 2 * limit + _SEPARATORS
