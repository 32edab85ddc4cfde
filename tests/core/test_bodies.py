"""Bodies within limits: lengths that are announced, packed bytes, and what is no gzip."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from lurewire.core.bodies import BadGzip, BodyTooLong, UnknownEncoding, gunzip, is_gzip, read_body

if TYPE_CHECKING:
    from collections.abc import Sequence


def request(chunks: Sequence[bytes], **headers: str) -> Request:
    waiting = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return waiting.pop(0)

    named = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": named}, receive)


async def test_a_body_of_the_limit_is_read_and_one_byte_more_is_not() -> None:
    assert await read_body(request([b"ab", b"cd"]), 4) == b"abcd"
    with pytest.raises(BodyTooLong) as caught:
        await read_body(request([b"ab", b"cde"]), 4)
    assert (caught.value.limit, caught.value.size) == (4, 5)


@pytest.mark.parametrize("length", ["5", "9" * 5_000])
async def test_an_announced_length_is_refused_unread(length: str) -> None:
    with pytest.raises(BodyTooLong):
        await read_body(request([], content_length=length), 4)


@pytest.mark.parametrize("length", ["-1", "x", "²", "1e9", ""])
async def test_a_length_that_is_none_is_not_believed(length: str) -> None:
    assert await read_body(request([b"abcd"], content_length=length), 4) == b"abcd"


def test_encodings() -> None:
    assert not is_gzip(request([]))
    assert is_gzip(request([], content_encoding=" GZip "))
    for other in ("br", "deflate", "gzip, gzip", ""):
        with pytest.raises(UnknownEncoding):
            is_gzip(request([], content_encoding=other))


@given(st.lists(st.binary(max_size=64), max_size=6))
def test_members_are_joined(parts: list[bytes]) -> None:
    assert gunzip(b"".join(gzip.compress(part) for part in parts), 1 << 10) == b"".join(parts)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_whatever_is_no_gzip_is_refused(body: bytes, cut: int) -> None:
    packed = gzip.compress(body)
    if 0 < cut < len(packed):
        with pytest.raises(BadGzip):
            gunzip(packed[:cut], 1 << 10)
    if body:
        with pytest.raises((BadGzip, BodyTooLong)):
            gunzip(packed + b"\x00" + body, 1 << 10)


def test_a_bomb_is_opened_to_the_limit_only() -> None:
    bomb = gzip.compress(b"\x00" * (64 << 20))
    with pytest.raises(BodyTooLong) as caught:
        gunzip(bomb, 1 << 20)
    assert caught.value.size == (1 << 20) + 1
