from __future__ import annotations

import asyncio
import gzip
import ipaddress
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lurewire.core.outbound import Outbound, OutboundError, OutboundRefused, is_public

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

NOT_PUBLIC = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.5",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::1%lo",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "100::1",
    "4000::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "localhost",
    "",
    "8.8.8.8.",
    "0177.0.0.1",
    "2130706433",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]

HOSTS_OF_OURS = [
    "127.0.0.1",
    "10.0.0.5",
    "169.254.169.254",
    "[::1]",
    "[::1%25lo]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fec0::1]",
    "[fd00::1]",
    "localhost",
    "LOCALHOST",
    "user:secret@127.0.0.1",
    "0x7f000001",
    "0x7f.1",
    "2130706433",
    "0177.0.0.1",
    "017700000001",
    "127.1",
    "127.0.0.1.",
    "0",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "\u2460\u2461\u2466.0.0.1",
    "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54",
    "%31%32%37.0.0.1",
    "example.com@127.0.0.1",
    "127.0.0.1\\@example.com",
]


class Site:
    """A small web site on loopback that writes down what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                line, *fields = head.strip().split("\r\n")
                headers = {k.lower(): v for k, v in (f.split(": ", 1) for f in fields)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _version = line.split(" ")
                self.requests.append((method, path, headers, body))
                writer.write(await self.answer(path))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, path: str) -> bytes:
        status, extra, body = "200 OK", "X-Twice: 1\r\nX-Twice: 2\r\nSet-Cookie: a=b\r\n", self.name.encode()
        if path == "/away":
            status, extra = "302 Found", f"Location: http://127.0.0.1:{self.port}/elsewhere\r\n"
        elif path == "/large":
            body = b"x" * 5000
        elif path == "/bomb":
            body, extra = gzip.compress(b"x" * 1_000_000), "Content-Encoding: gzip\r\n"
        elif path == "/endless":
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n" + b"x" * 1000 + b"\r\n"
        elif path == "/silent":
            await asyncio.sleep(60)
        elif path == "/nonsense":
            return b"SSH-2.0-OpenSSH\r\n\r\n"
        return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


@asynccontextmanager
async def site(name: str, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Site]:
    here = Site(name)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(here.handle(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, host, port)
    here.port = server.sockets[0].getsockname()[1]
    yield here
    server.close()
    for task in list(connections):
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)


@pytest.fixture
async def inside() -> AsyncIterator[Site]:
    """A service of the machine that no playbook may reach."""
    async with site("inside") as here:
        yield here


@pytest.fixture
async def guarded() -> AsyncIterator[Outbound]:
    outbound = Outbound({}, {})
    yield outbound
    await outbound.close()


@pytest.fixture
async def free() -> AsyncIterator[Outbound]:
    outbound = Outbound({}, {}, allow_private=True)
    yield outbound
    await outbound.close()


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_stays_what_it_is_in_every_notation(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    forms = [f"::ffff:{address}", f"64:ff9b::{address}", f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1"]
    assert {is_public(form) for form in forms} == {is_public(str(address))}
    assert not is_public(f"::{address}")


@pytest.mark.parametrize("host", HOSTS_OF_OURS)
async def test_the_guard_holds_for_every_way_to_write_a_host(guarded: Outbound, inside: Site, host: str) -> None:
    with pytest.raises(OutboundError) as caught:
        await guarded.request("GET", f"http://{host}:{inside.port}/", timeout=5)
    assert inside.requests == []
    assert "secret" not in str(caught.value)


async def test_a_refusal_names_host_address_and_settings(guarded: Outbound, inside: Site) -> None:
    with pytest.raises(OutboundRefused) as caught:
        await guarded.request("GET", f"http://localhost:{inside.port}/")
    assert (caught.value.host, ipaddress.ip_address(caught.value.address).is_loopback) == ("localhost", True)
    for word in ("'localhost'", caught.value.address, "outbound.routes", "outbound.allow_private"):
        assert word in str(caught.value)


async def test_the_address_that_was_checked_is_the_one_connected_to(
    guarded: Outbound, inside: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name's second answer is an address of ours."""
    asked: list[str] = []

    def answers(host: str, port: int, *_rest: Any, **_named: Any) -> list[Any]:
        asked.append(host)
        address = "127.0.0.2" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    monkeypatch.setattr("lurewire.core.outbound.is_public", lambda address: address == "127.0.0.2")
    async with site("outside", "127.0.0.2", inside.port):
        answer = await guarded.request("GET", f"http://rebind.example:{inside.port}/")
    assert (answer.body, asked, inside.requests) == (b"outside", ["rebind.example"], [])
    await guarded.close()
    with pytest.raises(OutboundRefused, match=r"rebind\.example.*127\.0\.0\.1 is not a public address"):
        await guarded.request("GET", f"http://rebind.example:{inside.port}/")
    assert inside.requests == []


async def test_a_name_with_one_private_address_among_public_ones_is_refused(
    guarded: Outbound, inside: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = ("8.8.8.8", "127.0.0.1")
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, inside.port)) for a in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_n: entries)
    with pytest.raises(OutboundRefused, match=r"127\.0\.0\.1"):
        await guarded.request("GET", f"http://mixed.example:{inside.port}/")


async def test_redirects_are_answers(free: Outbound, inside: Site) -> None:
    answer = await free.request("GET", f"http://127.0.0.1:{inside.port}/away")
    assert (answer.status, answer.header("location")) == (302, f"http://127.0.0.1:{inside.port}/elsewhere")
    assert [path for _, path, _, _ in inside.requests] == ["/away"]


async def test_what_is_sent_and_what_comes_back(free: Outbound, inside: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    url = f"http://localhost:{inside.port}/a%20b?x=1&y=%26#fragment"
    answer = await free.request("PATCH", url, headers=[("X-A", "1"), ("X-API-Key", "k")], body=b"\x00body")
    assert (answer.status, answer.body, answer.route) == (200, b"inside", None)
    assert [v for k, v in answer.headers if k == "X-Twice"] == ["1", "2"]
    await free.request("GET", url)
    method, path, headers, body = inside.requests[0]
    assert (method, path, body) == ("PATCH", "/a%20b?x=1&y=%26", b"\x00body")
    assert (headers["x-a"], headers["x-api-key"], headers["host"]) == ("1", "k", f"localhost:{inside.port}")
    assert "cookie" not in inside.requests[1][2], "no cookie is kept from one call to the next"


@pytest.mark.parametrize("path", ["/large", "/bomb", "/endless"])
async def test_an_answer_that_is_too_long_is_refused_unread(free: Outbound, inside: Site, path: str) -> None:
    with pytest.raises(OutboundError, match="answered with more than 999 bytes"):
        await free.request("GET", f"http://127.0.0.1:{inside.port}{path}", longest=999)
    assert (await free.request("GET", f"http://127.0.0.1:{inside.port}/")).body == b"inside"


@pytest.mark.parametrize(
    ("path", "told"),
    [("/silent", "had no answer within 0.1 s"), ("/endless", "had no answer within 0.1 s"), ("/nonsense", "failed")],
)
async def test_no_answer_is_an_error_without_the_querys_secrets(
    free: Outbound, inside: Site, path: str, told: str
) -> None:
    with pytest.raises(OutboundError, match=told) as caught:
        await free.request("GET", f"http://me:secret@127.0.0.1:{inside.port}{path}", timeout=0.1)
    assert f"GET http://127.0.0.1:{inside.port} " in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_closed_port_is_an_error(free: Outbound) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OutboundError, match="failed"):
            await free.request("GET", f"http://127.0.0.1:{taken.getsockname()[1]}/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/relative",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://[::1/",
        "http://host:99999/",
        "http://host:port/",
        "gopher://me:secret@127.0.0.1/?secret",
        "http://me:secret@[::1/?secret",
        "http://" + "a" * 64 + ".example/",
        "http://a..example/",
        "http://\x00/",
    ],
)
async def test_what_is_no_url_is_an_error(guarded: Outbound, url: str) -> None:
    with pytest.raises(OutboundError) as caught:
        await guarded.request("GET", url, timeout=5)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "header"),
    [("GET", ("X-A", "1\r\nX-B: 2")), ("GET", ("X\r\nY", "1")), ("GET / HTTP/1.1\r\nX-A: 1\r\n\r\nGET", ("A", "1"))],
)
async def test_nothing_can_be_smuggled_into_the_request(
    free: Outbound, inside: Site, method: str, header: tuple[str, str]
) -> None:
    with pytest.raises(OutboundError):
        await free.request(method, f"http://127.0.0.1:{inside.port}/", headers=[header])
    assert inside.requests == []


def room(name: str) -> Starlette:
    async def echo(request: Request) -> Response:
        return JSONResponse(
            {
                "room": name,
                "method": request.method,
                "url": str(request.url),
                "query": dict(request.query_params),
                "headers": {k: v for k, v in request.headers.items() if k != "accept"},
                "body": (await request.body()).decode(),
            }
        )

    return Starlette(routes=[Route(f"/{name}/{{rest:path}}", echo, methods=["GET", "POST"])])


@pytest.fixture
def routed() -> Outbound:
    routes = {"intel.example": "intel", "both.example": "intel", "both.example:8443": "vault", "gone.example": "gone"}
    return Outbound(routes, {"intel": room("intel"), "vault": room("vault")})


async def test_a_routed_host_is_answered_by_its_room_in_this_process(routed: Outbound) -> None:
    answer = await routed.request(
        "POST", "https://Intel.Example/intel/lookup?ip=192.0.2.1", headers=[("X-API-Key", "k")], body=b"hello"
    )
    assert (answer.status, answer.route, answer.header("Content-Type")) == (200, "intel", "application/json")
    for part in (
        b'"room":"intel"',
        b'"method":"POST"',
        b'"url":"https://intel.example/intel/lookup?ip=192.0.2.1"',
        b'"query":{"ip":"192.0.2.1"}',
        b'"x-api-key":"k"',
        b'"host":"intel.example"',
        b'"body":"hello"',
    ):
        assert part in answer.body


async def test_a_routed_host_is_refused_where_no_room_is_to_be_asked(routed: Outbound) -> None:
    with pytest.raises(OutboundError, match=r"GET https://intel\.example is refused: the setting outbound\.routes"):
        await routed.request("GET", "https://intel.example/intel/x?key=secret", routed=False)


async def test_a_routed_host_reaches_no_other_room(routed: Outbound) -> None:
    assert (await routed.request("GET", "https://intel.example/vault/x")).status == 404
    assert (await routed.request("GET", "https://intel.example/intel/../vault/x")).status == 404
    assert (await routed.request("GET", "https://intel.example/intel/%2e%2e/vault/x")).status == 404


async def test_a_route_with_a_port_goes_before_one_without(routed: Outbound) -> None:
    for url, name in (
        ("https://both.example:8443/vault/x", "vault"),
        ("https://both.example/intel/x", "intel"),
        ("http://both.example:99/intel/x", "intel"),
    ):
        answer = await routed.request("GET", url)
        assert (answer.status, answer.route) == (200, name)


async def test_a_route_to_a_room_that_there_is_not_names_the_setting(routed: Outbound) -> None:
    with pytest.raises(OutboundError, match=r"outbound\.routes names the room 'gone'.*there are: intel, vault"):
        await routed.request("GET", "https://gone.example/")


async def test_a_room_that_does_not_answer_is_given_up() -> None:
    async def silent(_request: Request) -> Response:
        await asyncio.sleep(60)
        return Response()

    outbound = Outbound({"intel.example": "intel"}, {"intel": Starlette(routes=[Route("/", silent)])})
    with pytest.raises(OutboundError, match=r"GET https://intel\.example had no answer within 0\.05 s"):
        await outbound.request("GET", "https://intel.example/", timeout=0.05)


async def test_close_twice_and_use_again(free: Outbound, inside: Site) -> None:
    for _ in range(2):
        assert (await free.request("GET", f"http://127.0.0.1:{inside.port}/")).status == 200
        await free.close()
        await free.close()
