"""Request bodies, within limits, whatever their sender says of them; rooms render these errors in their own shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isal import isal_zlib

if TYPE_CHECKING:
    from starlette.requests import Request

_GZIP_WINDOW = 31  # gzip header and checksum, 32 KB window
_MOST_MEMBERS = 65  # every member's rest is copied: tens of thousands of empty ones would cost seconds


class BodyTooLong(Exception):
    """There is more than `limit` bytes; `size` is how much was announced, or was read until then."""

    def __init__(self, limit: int, size: int) -> None:
        super().__init__(f"the body is longer than {limit} bytes")
        self.limit = limit
        self.size = size


class BadGzip(Exception):
    """The bytes are not what `Content-Encoding: gzip` says; the message says why."""


class UnknownEncoding(Exception):
    """The `Content-Encoding` is neither gzip nor identity; the message names it."""


async def read_body(request: Request, limit: int) -> bytes:
    """The body's bytes as they came, `limit` at most; a length that is announced over it is refused unread.

    Raises `BodyTooLong`.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and int(announced[:20]) > limit:
        raise BodyTooLong(limit, int(announced[:20]))
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLong(limit, len(body))
    return bytes(body)


def is_gzip(request: Request) -> bool:
    """Whether the body is packed. Raises `UnknownEncoding`."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("gzip", "identity"):
        raise UnknownEncoding(encoding[:40])
    return encoding == "gzip"


def gunzip(body: bytes, limit: int) -> bytes:
    """The content of gzip members, `limit` bytes at most, however much the packed bytes stand for.

    Raises `BadGzip` for what is broken, cut off or followed by anything else, and `BodyTooLong`.
    """
    text = b""
    rest = body
    for _ in range(_MOST_MEMBERS):
        if not rest:
            return text
        member = isal_zlib.decompressobj(wbits=_GZIP_WINDOW)
        try:
            text += member.decompress(rest, limit + 1 - len(text))
        except isal_zlib.error as error:  # type: ignore[misc]
            raise BadGzip(str(error)) from None
        if len(text) > limit:
            raise BodyTooLong(limit, len(text))
        if not member.eof:
            raise BadGzip("it ends too early")
        rest = member.unused_data
    raise BadGzip(f"it has more than {_MOST_MEMBERS - 1} members")
