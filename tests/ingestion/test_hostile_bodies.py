"""Any bytes as a call's body: an answer of the contract, in bounded memory, and nothing stored by accident."""

from __future__ import annotations

import gzip
import json
import resource
import socket
import ssl
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.ingestion.cloud import STREAM, Cloud
else:
    from ingestion.cloud import STREAM, Cloud

ANSWERS = {204, 400, 413, 415}


def values() -> st.SearchStrategy[bytes]:
    """JSON values as bytes, and what is nearly JSON."""
    leaves = st.sampled_from(
        [
            b"1",
            b"-0",
            b"1e999",
            b"0.1e-400",
            b"NaN",
            b"null",
            b"true",
            b'"x"',
            b'"\\ud800"',
            b'"\\u0000"',
            b'"\xff"',
            b"9" * 400,
            b"",
        ]
    )
    keys = st.sampled_from([b'"name"', b'"more"', b'"count"', b'"at"', b'"TimeGenerated"', b'"\\ud800"', b"name"])

    def inner(part: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
        pairs = st.tuples(keys, part).map(b":".join)
        return st.lists(part, max_size=3).map(lambda p: b"[" + b",".join(p) + b"]") | st.lists(pairs, max_size=4).map(
            lambda p: b"{" + b",".join(p) + b"}"
        )

    return st.recursive(leaves, inner, max_leaves=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(min_size=1, max_size=200) | values().map(lambda v: v or b" ") | values().map(lambda v: b"[" + v + b"]")
)
def test_any_bytes_have_an_answer_of_the_contract(cloud: Cloud, rule: str, token: str, body: bytes) -> None:
    assert cloud.post(rule, STREAM, token, body).status_code in ANSWERS
    assert cloud.post(rule, STREAM, token, gzip.compress(body), Content_Encoding="gzip").status_code in ANSWERS
    assert cloud.post(rule, STREAM, token, body, Content_Encoding="gzip").status_code in ANSWERS


def test_the_table_is_readable_after_all_of_it(cloud: Cloud, rule: str) -> None:
    cloud.settle()
    cloud.query(
        "Events_CL | extend a = more.name, b = array_length(more), c = toint(more.count) | summarize count() by name"
    )


@pytest.mark.parametrize("layers", [1, 2])
def test_bombs_do_not_take_memory(cloud: Cloud, rule: str, token: str, layers: int) -> None:
    bomb = b"[" + b" " * (400 << 20) + b"]"
    for _ in range(layers):
        bomb = gzip.compress(bomb, 9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = cloud.post(rule, STREAM, token, bomb, Content_Encoding="gzip")
    assert answer.status_code in (400, 413)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # kilobytes


def test_members_and_what_follows_them(cloud: Cloud, rule: str, token: str) -> None:
    parts = [gzip.compress(part) for part in (b'[{"na', b'me":"par', b'ts"}]')]
    cases = {
        b"".join(parts): 204,
        b"".join([*parts, *[gzip.compress(b"")] * 61]): 204,
        b"".join([*parts, *[gzip.compress(b"")] * 62]): 400,
        b"".join(parts) + b"\x00": 400,
        b"".join(parts)[:-1]: 400,
        zlib.compress(b'[{"name":"parts"}]'): 400,
    }
    for body, status in cases.items():
        assert cloud.post(rule, STREAM, token, body, Content_Encoding="gzip").status_code == status


def raw(cloud: Cloud, head: str, body: bytes) -> bytes:
    """What the server answers to bytes that are sent as they are, until it closes or waits."""
    context = ssl.create_default_context(cafile=cloud.ca)
    with (
        socket.create_connection(("127.0.0.1", cloud.port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wire,
    ):
        wire.settimeout(2)
        wire.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        answer = b""
        try:
            while chunk := wire.recv(65536):
                answer += chunk
                if b"\r\n\r\n" in answer:
                    break
        except TimeoutError:
            pass
        return answer


def test_lengths_that_are_not_true(cloud: Cloud, rule: str, token: str) -> None:
    body = json.dumps([{"name": "liar"}]).encode()
    start = (
        f"POST /dataCollectionRules/{rule}/streams/{STREAM}?api-version=2023-01-01 HTTP/1.1\nHost: localhost\n"
        f"Authorization: Bearer {token}\nContent-Type: application/json\nConnection: close\n"
    )
    assert b" 413 " in raw(cloud, f"{start}Content-Length: {10 << 30}", body)
    assert raw(cloud, f"{start}Content-Length: {len(body) + 5}", body) == b""  # it waits for the rest
    for wrong in ("-1", "x", "1e3", "5, 6"):
        assert b" 400 " in raw(cloud, f"{start}Content-Length: {wrong}", body)
    both = raw(cloud, f"{start}Content-Length: {len(body)}\nTransfer-Encoding: chunked", b"0\r\n\r\n")
    assert b" 400 " in both or b" 500 " in both  # refused as malformed, or read as the empty body that the chunks are
    assert b" 400 " in raw(cloud, f"{start}Content-Length: {len(body) - 3}", body)  # cut JSON
    cloud.settle()
    assert cloud.query("Events_CL | where name == 'liar'") == []
