"""Addresses: read from text, and known for what they are without any data."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_network

from lurewire.core.log import inert
from lurewire.ipintel.errors import InvalidAddress

Address = IPv4Address | IPv6Address

# The longest IPv6 text has 45 characters; the rest is room for brackets and a zone id.
_MAX_TEXT = 100
_SHOWN = 60

# IPv6 prefixes (the upper 96 bits) whose lower 32 bits are an IPv4 address:
# IPv4-mapped, RFC 4291 section 2.5.5.2, and the well-known translation prefix 64:ff9b::/96, RFC 6052 section 2.1.
_HOLDS_IPV4 = frozenset({0xFFFF, 0x64FF9B << 64})


@dataclass(frozen=True, slots=True)
class Reserved:
    """A block that no public host has: its `network`, its use and the document that reserves it."""

    network: str
    name: str
    document: str


RESERVED = (
    Reserved("10.0.0.0/8", "Private-use address", "RFC 1918"),
    Reserved("172.16.0.0/12", "Private-use address", "RFC 1918"),
    Reserved("192.168.0.0/16", "Private-use address", "RFC 1918"),
    Reserved("127.0.0.0/8", "Loopback address", "RFC 1122"),
    Reserved("169.254.0.0/16", "Link-local address", "RFC 3927"),
    Reserved("100.64.0.0/10", "Shared address of carrier-grade NAT", "RFC 6598"),
    Reserved("0.0.0.0/32", "Unspecified address", "RFC 1122"),
    Reserved("0.0.0.0/8", "Address of this network", "RFC 791"),
    Reserved("192.0.0.0/24", "IETF protocol assignment", "RFC 6890"),
    Reserved("192.0.2.0/24", "Documentation address", "RFC 5737"),
    Reserved("198.51.100.0/24", "Documentation address", "RFC 5737"),
    Reserved("203.0.113.0/24", "Documentation address", "RFC 5737"),
    Reserved("192.88.99.0/24", "Former 6to4 relay anycast address", "RFC 7526"),
    Reserved("198.18.0.0/15", "Benchmarking address", "RFC 2544"),
    Reserved("224.0.0.0/4", "Multicast address", "RFC 1112"),
    Reserved("255.255.255.255/32", "Limited broadcast address", "RFC 8190"),
    Reserved("240.0.0.0/4", "Reserved address", "RFC 1112"),
    Reserved("::/128", "Unspecified address", "RFC 4291"),
    Reserved("::1/128", "Loopback address", "RFC 4291"),
    Reserved("64:ff9b:1::/48", "Local-use translation address", "RFC 8215"),
    Reserved("100::/64", "Discard-only address", "RFC 6666"),
    Reserved("2001:2::/48", "Benchmarking address", "RFC 5180"),
    Reserved("2001:10::/28", "Former ORCHID identifier", "RFC 4843"),
    Reserved("2001:db8::/32", "Documentation address", "RFC 3849"),
    Reserved("3fff::/20", "Documentation address", "RFC 9637"),
    Reserved("5f00::/16", "Segment routing identifier", "RFC 9602"),
    Reserved("fc00::/7", "Unique local address", "RFC 4193"),
    Reserved("fe80::/10", "Link-local address", "RFC 4291"),
    Reserved("fec0::/10", "Former site-local address", "RFC 3879"),
    Reserved("ff00::/8", "Multicast address", "RFC 4291"),
    # All other IPv6 space outside 2000::/3 is not assigned as global unicast.
    Reserved("::/3", "Reserved address", "RFC 4291"),
    Reserved("4000::/2", "Reserved address", "RFC 4291"),
    Reserved("8000::/1", "Reserved address", "RFC 4291"),
)
"""Most specific first. Sources: the IANA special-purpose address registries,
https://www.iana.org/assignments/iana-ipv4-special-registry and
https://www.iana.org/assignments/iana-ipv6-special-registry, and the IPv6 address space registry."""


def _spans(version: int) -> tuple[tuple[int, int, Reserved], ...]:
    networks = [(ip_network(row.network), row) for row in RESERVED]
    return tuple(
        (int(net.network_address), int(net.broadcast_address), row) for net, row in networks if net.version == version
    )


_SPANS = {4: _spans(4), 6: _spans(6)}


def parse(text: str) -> Address:
    """The address that `text` writes: IPv4 dotted, or IPv6 with or without brackets and zone id (dropped).

    An IPv6 address that holds an IPv4 one (IPv4-mapped, or translated under 64:ff9b::/96) gives the IPv4 address.
    Raises `InvalidAddress` for anything else: host names, ports, prefixes, blanks, leading zeros.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") and ":" in text else text
    try:
        if len(text) > _MAX_TEXT:
            raise AddressValueError  # noqa: TRY301 - one place words the refusal
        if ":" not in bare:
            return IPv4Address(bare)
        value = int(IPv6Address(bare))
    except AddressValueError:
        shown = inert(text[:_SHOWN]) + ("..." if len(text) > _SHOWN else "")
        raise InvalidAddress(f"'{shown}' is not an IPv4 or IPv6 address.") from None
    if value >> 32 in _HOLDS_IPV4:
        return IPv4Address(value & 0xFFFFFFFF)
    return IPv6Address(value)


def reserved(address: Address) -> Reserved | None:
    """The block that makes `address` private or reserved; None for a public address."""
    value = int(address)
    for low, high, row in _SPANS[address.version]:
        if low <= value <= high:
            return row
    return None
