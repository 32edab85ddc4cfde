"""The PROXY protocol, versions 1 and 2, receiving side (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt).

Written here rather than taken from a package: the header must be read from a protocol's bytes as they come, bounded,
and handed on without a relay; what exists reads from streams.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from lurewire.sensor.events import Endpoint

_V1_PREFIX = b"PROXY "
_V1_LONGEST = 107
_V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED = 16
_V2_COMMANDS = {0x20: "LOCAL", 0x21: "PROXY"}
_V2_FAMILIES = {1: (4, 12), 2: (16, 36)}  # family: bytes of an address, bytes of the address block
_V2_UNKNOWN_FAMILIES = (0, 3)  # unspecified, UNIX socket


class ProxyProtocolError(ValueError):
    """The bytes are not a PROXY protocol header; the message says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header: its length in bytes and whom it names.

    `endpoint` is None where the proxy does not say (v1 `UNKNOWN`, v2 unspecified or UNIX): the connection's own
    addresses stand. `local` means that the proxy speaks for itself (a health check).
    """

    length: int
    endpoint: Endpoint | None
    local: bool = False


def read_header(data: bytes, longest: int) -> Header | None:
    """The header at the start of `data`; None while it is incomplete.

    `longest` bounds a version 2 header. Raises `ProxyProtocolError` as soon as the bytes cannot become a header.
    """
    if data[:1] == _V2_SIGNATURE[:1]:
        return _version_2(data, longest)
    return _version_1(data)


def _version_1(data: bytes) -> Header | None:
    if not data.startswith(_V1_PREFIX[: len(data)]):
        raise ProxyProtocolError("neither a version 1 nor a version 2 header")
    end = data.find(b"\r\n", 0, _V1_LONGEST)
    if end < 0:
        if len(data) >= _V1_LONGEST:
            raise ProxyProtocolError(f"version 1: no line end within {_V1_LONGEST} bytes")
        return None
    try:
        words = data[:end].decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise ProxyProtocolError("version 1: not ASCII") from None
    if words[1] == "UNKNOWN":
        return Header(end + 2, None)
    versions = {"TCP4": 4, "TCP6": 6}
    if words[1] not in versions or len(words) != 6:
        raise ProxyProtocolError("version 1: expected TCP4, TCP6 or UNKNOWN with two addresses and two ports")
    try:
        source, destination = (ipaddress.ip_address(word) for word in words[2:4])
    except ValueError as error:
        raise ProxyProtocolError(f"version 1: {error}") from None
    if {source.version, destination.version} != {versions[words[1]]}:
        raise ProxyProtocolError(f"version 1: {words[1]} with an address of the other family")
    source_port, destination_port = (_port(word) for word in words[4:6])
    return Header(end + 2, Endpoint(plain(source), source_port, plain(destination), destination_port))


def _port(word: str) -> int:
    if not (word.isdecimal() and word.isascii() and len(word) <= 5 and int(word) <= 65535):
        raise ProxyProtocolError(f"version 1: {word!r} is not a port")
    if word != str(int(word)):
        raise ProxyProtocolError(f"version 1: {word!r} has leading zeros")
    return int(word)


def _version_2(data: bytes, longest: int) -> Header | None:
    if not data.startswith(_V2_SIGNATURE[: len(data)]):
        raise ProxyProtocolError("version 2: wrong signature")
    if len(data) < _V2_FIXED:
        return None
    command, family, size = struct.unpack_from("!BBH", data, len(_V2_SIGNATURE))
    if command not in _V2_COMMANDS:
        raise ProxyProtocolError(f"version 2: unknown version or command 0x{command:02x}")
    length = _V2_FIXED + size
    if length > longest:
        raise ProxyProtocolError(f"version 2: a header of {length} bytes, over {longest}")
    if len(data) < length:
        return None
    if _V2_COMMANDS[command] == "LOCAL":
        return Header(length, None, local=True)
    if family >> 4 in _V2_UNKNOWN_FAMILIES:
        return Header(length, None)
    if family >> 4 not in _V2_FAMILIES or family & 0x0F not in (1, 2):
        raise ProxyProtocolError(f"version 2: unknown family and transport 0x{family:02x}")
    width, block = _V2_FAMILIES[family >> 4]
    if size < block:
        raise ProxyProtocolError(f"version 2: {size} bytes of addresses, expected {block}")
    start = _V2_FIXED
    source = ipaddress.ip_address(data[start : start + width])
    destination = ipaddress.ip_address(data[start + width : start + 2 * width])
    source_port, destination_port = struct.unpack_from("!HH", data, start + 2 * width)
    return Header(length, Endpoint(plain(source), source_port, plain(destination), destination_port))


def plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """The address as the events name it: an IPv4 address that came mapped into IPv6 is an IPv4 address."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or address)
    return str(address)
