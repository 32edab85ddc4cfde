from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import aiohttp
import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurewire.sensor.decoys.http_head import HEAD_END, RULES, broken_rule, broken_start
from lurewire.sensor.decoys.http_login import basic_credentials, body_credentials

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = b"POST /login HTTP/1.1\r\nHost: h\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"

AMBIGUOUS = {
    "not_http": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
    "bare_line_feed": b"GET / HTTP/1.1\nHost: h\n\n",
    "bare_carriage_return": HEAD + b"X: a\rTransfer-Encoding: chunked\r\n\r\n",
    "folded_header": HEAD + b"Content-Length:\r\n 5\r\n\r\nabcde",
    "control_character": HEAD + b"X: a\x00b\r\n\r\n",
    "space_before_colon": HEAD + b"Content-Length : 5\r\n\r\nabcde",
    "malformed_request_line": b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
    "malformed_header": HEAD + b"X\r\n\r\n",
    "unknown_version": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "content_length_and_transfer_encoding": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "several_content_lengths": HEAD + b"Content-Length: 0\r\nContent-Length: 36\r\n\r\n",
    "malformed_content_length": HEAD + b"Content-Length: +5\r\n\r\nabcde",
    "transfer_encoding_not_chunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "transfer_encoding_in_http_1_0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "several_hosts": HEAD + b"Host: other\r\n\r\n",
}


def test_every_rule_has_a_case() -> None:
    assert tuple(AMBIGUOUS) == RULES


@pytest.mark.parametrize("reason", AMBIGUOUS)
@pytest.mark.parametrize("apart", [False, True])
async def test_what_is_ambiguous_is_one_interaction_and_the_end(sensor: Any, reason: str, apart: bool) -> None:
    sent = AMBIGUOUS[reason]
    chunks = [sent, SMUGGLED] if apart else [sent + SMUGGLED]
    answer = await sensor.http_bytes(*chunks)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    [event] = sensor.events()
    assert event["interaction_type"] == "malformed_request"
    details = event["additional_data"]
    assert details["reason"] == reason
    raw = base64.b64decode(details["raw_base64"]) if "raw_base64" in details else details["raw"].encode()
    assert raw.startswith(sent)
    assert apart or raw == sent + SMUGGLED


@pytest.mark.parametrize(
    "body",
    [
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5, 5\r\n\r\nabcde",
        b"Content-Length: 0x5\r\n\r\nabcde",
        b"Content-Length: 5 \x0b\r\n\r\nabcde",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 99999999999999999999\r\n\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5;\nabcde\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcdeXX0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        b"\xff\xfe: x\r\n\r\n",
        b": x\r\n\r\n",
    ],
)
async def test_smuggling_attempts_are_never_a_second_request(sensor: Any, body: bytes) -> None:
    answer = await sensor.http_bytes(HEAD + body + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    [event] = sensor.events()
    assert event["interaction_type"] == "malformed_request"


@pytest.mark.parametrize("apart", [False, True])
async def test_a_second_request_on_a_connection_is_not_read(sensor: Any, apart: bool) -> None:
    chunks = [SMUGGLED, SMUGGLED] if apart else [SMUGGLED + SMUGGLED]
    answer = await sensor.http_bytes(*chunks)
    assert answer.count(b"HTTP/1.1") == 1
    assert b"Connection: close\r\n" in answer
    [event] = sensor.events()
    assert apart or event["additional_data"]["surplus"] == SMUGGLED.decode()


async def test_a_login_by_form_is_recorded(sensor: Any) -> None:
    url = f"http://127.0.0.1:{sensor.http}"
    async with aiohttp.ClientSession() as client:
        async with client.get(url) as page:
            assert page.status == 200
            assert 'name="password"' in await page.text()
        form = {"username": "admin\x1b[31m", "password": "[red]p&=%\u00e9"}
        async with client.post(url + "/login", data=form, headers={"User-Agent": "Hydra"}) as page:
            assert page.status == 401
            assert "wrong" in await page.text()
    request, login = sensor.events()
    assert (request["interaction_type"], login["interaction_type"]) == ("request", "login_attempt")
    assert request["additional_data"]["target"] == "/"
    details = login["additional_data"]
    assert (details["username"], details["password"]) == (form["username"], form["password"])
    assert (details["method"], details["login_method"], details["accepted"]) == ("POST", "form", False)
    assert {"name": "User-Agent", "value": "Hydra"} in details["headers"]
    assert login["threat_uuid"] == request["threat_uuid"]


async def test_basic_authentication_and_json_logins_are_recorded(sensor: Any) -> None:
    url = f"http://127.0.0.1:{sensor.http}"
    async with aiohttp.ClientSession() as client:
        async with client.get(url + "/manager/html", headers={"Authorization": "Basic dG9tY2F0OnMzY3JldA=="}) as page:
            assert page.status == 401
            assert "Basic" in page.headers["WWW-Authenticate"]
        async with client.post(url + "/api/login", json={"email": "a@b.c", "password": "x"}) as page:
            assert page.status == 401
    found = [event["additional_data"] for event in sensor.events("login_attempt")]
    assert [(login["username"], login["password"]) for login in found] == [("tomcat", "s3cret"), ("a@b.c", "x")]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PROPFIND", "BREW"])
async def test_every_method_and_path_is_a_request(sensor: Any, method: str) -> None:
    async with (
        aiohttp.ClientSession() as client,
        client.request(method, f"http://127.0.0.1:{sensor.http}/.env?x=%00") as page,
    ):
        assert page.status == (404 if method in ("GET", "HEAD") else 405)
    [event] = sensor.events("request")
    assert (event["additional_data"]["method"], event["additional_data"]["target"]) == (method, "/.env?x=%00")


async def test_nothing_that_was_sent_comes_back(sensor: Any) -> None:
    marker = b"zzq9<script>"
    head = b"POST /%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n" % (marker, marker)
    body = b"username=%s&password=%s" % (marker, marker)
    answer = await sensor.http_bytes(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"zzq9" not in answer


async def test_chunked_bodies_are_read(sensor: Any) -> None:
    sent = HEAD + b"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await sensor.http_bytes(sent, b"9\r\nuser=eve&\r\n", b"5\r\npwd=x\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401")
    assert sensor.events()[0]["additional_data"]["username"] == "eve"


async def test_bytes_that_are_not_utf_8_are_kept(sensor: Any) -> None:
    answer = await sensor.http_bytes(b"GET / HTTP/1.1\r\nHost: h\r\nX: \xfe\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    header = sensor.events()[0]["additional_data"]["headers"][1]
    assert (header["value"], base64.b64decode(header["value_base64"])) == ("\\xfe", b"\xfe")
    sent = b"GET /\xff\xe9 HTTP/1.1\r\nHost: h\r\n\r\n"
    assert (await sensor.http_bytes(sent)).startswith(b"HTTP/1.1 400")
    assert base64.b64decode(sensor.events()[1]["additional_data"]["raw_base64"]) == sent


async def test_a_user_name_of_100_kb_is_cut_and_marked(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor(limits={"sensor.http_body_bytes": 200_000}) as sensor:
        body = b"username=" + b"A" * 102_400 + b"&password=p"
        head = HEAD + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert (await sensor.http_bytes(head + body)).startswith(b"HTTP/1.1 401")
        details = sensor.events()[0]["additional_data"]
        assert details["username_length"] == 102_400
        assert details["username"] == "A" * 8192 + "...[truncated]"
        assert details["body_length"] == len(body)


async def test_a_body_over_the_limit_is_cut_short(sensor: Any) -> None:
    head = HEAD + b"Content-Length: 100000000\r\n\r\n"
    answer = await sensor.http_bytes(head, *[b"x" * 65536] * 64)  # goes on after the answer, as curl -T does
    assert answer.startswith(b"HTTP/1.1 413")
    details = sensor.events()[0]["additional_data"]
    assert details["body_complete"] is False
    assert details["body_length"] > 65536


async def test_a_head_over_the_limit_is_cut_short(sensor: Any) -> None:
    answer = await sensor.http_bytes(HEAD + b"X: " + b"y" * 20000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert sensor.events()[0]["additional_data"]["reason"] == "head_too_large"


async def test_too_many_headers_are_refused(sensor: Any) -> None:
    answer = await sensor.http_bytes(HEAD + b"A: b\r\n" * 200 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert sensor.events()[0]["additional_data"]["reason"] == "too_many_headers"


async def test_slow_clients_are_timed_out(start_sensor: Callable[..., Any]) -> None:
    slow = (b"", b"GET / HT", HEAD + b"Content-Length: 5\r\n\r\nab")
    async with start_sensor(limits={"sensor.http_request_seconds": 1}) as sensor:
        answers = await asyncio.gather(*(sensor.http_bytes(sent) for sent in slow))
        assert all(answer.startswith(b"HTTP/1.1 408") for answer in answers)
        found = {event["additional_data"].get("raw", ""): event for event in sensor.events()}
        assert found.keys() == {sent.decode() for sent in slow}
        assert {event["additional_data"]["reason"] for event in found.values()} == {"timed_out"}
        assert found[""]["interaction_type"] == "connection"
        assert found["GET / HT"]["interaction_type"] == "malformed_request"


async def test_a_request_that_breaks_off_is_recorded(sensor: Any) -> None:
    assert (await sensor.http_bytes(b"GET /a HTTP/1.1\r\nHo", end=True)).startswith(b"HTTP/1.1 400")
    assert sensor.events()[0]["additional_data"] == {"raw": "GET /a HTTP/1.1\r\nHo", "reason": "incomplete"}


async def test_a_silent_connection_is_recorded(sensor: Any) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", sensor.http)
    writer.close()
    [event] = await sensor.recorded("connection")
    assert event["additional_data"] == {}


@given(st.binary(max_size=200))
def test_a_head_that_passes_the_rules_is_one_that_the_parser_takes(noise: bytes) -> None:
    head = b"GET /" + noise.replace(b" ", b"") + b" HTTP/1.1\r\nHost: h\r\nX: " + noise + b"\r\n\r\n"
    end = HEAD_END.search(head)
    assert end is not None
    if broken_start(head) is None and broken_rule(head[: end.end()]) is None:
        parser = h11.Connection(h11.SERVER)
        parser.receive_data(head[: end.end()])
        assert isinstance(parser.next_event(), h11.Request)


@given(st.binary(max_size=300))
def test_no_body_breaks_the_search_for_credentials(body: bytes) -> None:
    for media_type in (b"application/x-www-form-urlencoded", b"application/json", b"text/plain"):
        found = body_credentials(media_type, body)
        assert found is None or len(found) == 2
    basic_credentials(b"Basic " + body)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"Basic YTpiOmM=", (b"a", b"b:c")),
        (b"basic  YTo=", (b"a", b"")),
        (b"Basic YQ==", None),
        (b"Basic !!", None),
        (b"Bearer YTpi", None),
        (b"", None),
    ],
)
def test_basic_credentials(header: bytes, found: tuple[bytes, bytes] | None) -> None:
    assert basic_credentials(header) == found
