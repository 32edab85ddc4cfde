from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurewire.sensor.proxy_protocol import Header, ProxyProtocolError, read_header

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 4096
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ports = st.integers(0, 65535)
addresses = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)), st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6))
)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Pair = tuple[Address, Address]


def version_1(pair: Pair, source_port: int, destination_port: int) -> bytes:
    return f"PROXY TCP{pair[0].version} {pair[0]} {pair[1]} {source_port} {destination_port}\r\n".encode()


def version_2(pair: Pair, source_port: int, destination_port: int, tlvs: bytes = b"", command: int = 0x21) -> bytes:
    family = 0x11 if pair[0].version == 4 else 0x21
    block = pair[0].packed + pair[1].packed + struct.pack("!HH", source_port, destination_port) + tlvs
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


def shown(address: Address) -> str:
    return str(getattr(address, "ipv4_mapped", None) or address)


@given(addresses, ports, ports, st.binary(max_size=100), st.binary(max_size=50), st.booleans())
def test_a_header_is_read_the_same_however_it_arrives(
    pair: Pair, source_port: int, destination_port: int, tlvs: bytes, rest: bytes, first_version: bool
) -> None:
    head = (
        version_1(pair, source_port, destination_port)
        if first_version
        else version_2(pair, source_port, destination_port, tlvs)
    )
    for cut in range(len(head)):
        assert read_header(head[:cut], LONGEST) is None
    header = read_header(head + rest, LONGEST)
    assert header is not None
    assert header.length == len(head)
    assert header.endpoint is not None
    assert (header.endpoint.source_ip, header.endpoint.source_port) == (shown(pair[0]), source_port)
    assert (header.endpoint.destination_ip, header.endpoint.destination_port) == (shown(pair[1]), destination_port)


@given(st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]))
def test_no_bytes_do_worse_than_a_refusal(data: bytes, start: bytes) -> None:
    try:
        header = read_header(start + data, LONGEST)
    except ProxyProtocolError:
        return
    assert header is None or isinstance(header, Header)


@given(st.binary(min_size=1, max_size=200))
def test_what_was_refused_is_not_accepted_with_more_bytes(data: bytes) -> None:
    for cut in range(len(data) + 1):
        try:
            read_header(data[:cut], LONGEST)
        except ProxyProtocolError:
            with pytest.raises(ProxyProtocolError):
                read_header(data, LONGEST)
            return


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", "neither"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "expected TCP4"),
        (b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n", "other family"),
        (b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", "other family"),
        (b"PROXY TCP4 1.2.3.400 5.6.7.8 1 2\r\n", "1.2.3.400"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", "leading zeros"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", "not a port"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n", "not a port"),
        (b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", "expected TCP4"),
        (b"PROXY \xff\r\n", "not ASCII"),
        (b"PROXY TCP4 " + b"1" * 107, "no line end"),
        (SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12), "unknown version or command"),
        (SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11), "expected 12"),
        (SIGNATURE + b"\x21\x41\x00\x0c" + bytes(12), "unknown family"),
        (SIGNATURE + b"\x21\x11\xff\xff", "over 4096"),
    ],
)
def test_what_is_not_a_header_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(ProxyProtocolError, match=reason):
        read_header(data, LONGEST)


def test_a_proxy_that_does_not_say_leaves_the_connections_own_addresses() -> None:
    assert read_header(b"PROXY UNKNOWN ffff::1 x 1 2\r\n", LONGEST) == Header(29, None)
    assert read_header(SIGNATURE + b"\x21\x00\x00\x00", LONGEST) == Header(16, None)
    assert read_header(SIGNATURE + b"\x20\x00\x00\x00", LONGEST) == Header(16, None, local=True)


REQUEST = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
PUBLIC = (ipaddress.ip_address("203.0.113.7"), ipaddress.ip_address("198.51.100.2"))
PUBLIC_6 = (ipaddress.ip_address("2001:db8::7"), ipaddress.ip_address("2001:db8::2"))


@pytest.mark.parametrize(
    "header",
    [version_1(PUBLIC, 4000, 80), version_2(PUBLIC, 4000, 80, b"\x04\x00\x01x"), version_2(PUBLIC_6, 4000, 80)],
)
@pytest.mark.parametrize("apart", [False, True])
async def test_a_trusted_proxys_word_names_the_source(
    start_sensor: Callable[..., Any], header: bytes, apart: bool
) -> None:
    async with start_sensor(proxy_from=("127.0.0.9/32",)) as sensor:
        chunks = [bytes([byte]) for byte in header] if apart else [header + REQUEST]
        answer = await sensor.http_bytes(*chunks, *([REQUEST] if apart else []), source="127.0.0.9")
        assert answer.startswith(b"HTTP/1.1 404")
        [event] = sensor.events()
        source, destination = (
            ("2001:db8::7", "2001:db8::2")
            if b"PROXY" not in header and len(header) > 50
            else (
                "203.0.113.7",
                "198.51.100.2",
            )
        )
        assert (event["source_ip"], event["source_port"]) == (source, 4000)
        assert (event["destination_ip"], event["destination_port"]) == (destination, 80)
        assert sensor.rows("select source_ip from sensor_threats") == [(source,)]


async def test_an_untrusted_peers_header_is_only_bytes(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor(proxy_from=("127.0.0.9",)) as sensor:
        assert (await sensor.http_bytes(version_1(PUBLIC, 1, 2) + REQUEST)).startswith(b"HTTP/1.1 400")
        assert (await sensor.http_bytes(version_2(PUBLIC, 1, 2) + REQUEST)).startswith(b"HTTP/1.1 400")
        found = sensor.events()
        assert [event["interaction_type"] for event in found] == ["malformed_request"] * 2
        assert {event["source_ip"] for event in found} == {"127.0.0.1"}
        assert found[0]["additional_data"]["raw"].startswith("PROXY TCP4 203.0.113.7")


async def test_the_protocol_is_off_by_default(sensor: Any) -> None:
    await sensor.http_bytes(version_1(PUBLIC, 1, 2) + REQUEST)
    assert sensor.events()[0]["source_ip"] == "127.0.0.1"


@pytest.mark.parametrize("bytes_sent", [b"", b"PROXY TCP4 ", REQUEST])
async def test_a_trusted_peer_without_a_header_is_closed_in_time(
    start_sensor: Callable[..., Any], bytes_sent: bytes
) -> None:
    async with start_sensor(proxy_from=("127.0.0.9",), limits={"sensor.proxy_header_seconds": 0}) as sensor:
        assert await sensor.http_bytes(bytes_sent, source="127.0.0.9") == b""
        assert sensor.events() == []


async def test_a_proxys_own_health_check_is_nobodys_touch(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor(proxy_from=("127.0.0.9",)) as sensor:
        assert await sensor.http_bytes(SIGNATURE + b"\x20\x00\x00\x00", source="127.0.0.9") == b""
        assert sensor.rows("select count(*) from sensor_interactions") == [(0,)]


async def test_ssh_works_behind_a_proxy(start_sensor: Callable[..., Any]) -> None:
    import asyncssh

    async with start_sensor(proxy_from=("127.0.0.9",)) as sensor:
        raw = socket.socket()
        raw.bind(("127.0.0.9", 0))
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", sensor.ssh))
        await asyncio.get_running_loop().sock_sendall(raw, version_2(PUBLIC, 4000, 22))
        with pytest.raises(asyncssh.PermissionDenied):
            await asyncssh.connect(
                sock=raw, username="u", password="p", known_hosts=None, client_keys=None, config=None, agent_path=None
            )
        assert {event["source_ip"] for event in sensor.events()} == {"203.0.113.7"}
        assert {event["destination_port"] for event in sensor.events()} == {22}
