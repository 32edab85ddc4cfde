"""IPv6 addresses, IPv4 addresses within texts, and ranges."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from lurewire.kql.types import KqlType

from .common import scripted
from .registry import Param, text, whole

_MAPPED = 0xFFFF << 32
_V4 = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})")


def _v4(source: str) -> int | None:
    match = _V4.fullmatch(source)
    if match is None:
        return None
    octets = [int(part) for part in match.groups()]
    return int.from_bytes(bytes(octets), "big") if max(octets) < 256 else None


def _v4_network(source: str) -> tuple[int, int] | None:
    """The address and prefix length of `a.b.c.d[/n]`."""
    host, slash, suffix = source.strip().partition("/")
    address = _v4(host)
    if address is None or (slash and not (suffix.isascii() and suffix.isdigit() and int(suffix) <= 32)):
        return None
    return address, int(suffix) if slash else 32


def _v6_network(source: str) -> tuple[int, int] | None:
    """The 128-bit address and prefix length; IPv4 counts as `::ffff:a.b.c.d`, its prefix from bit 96."""
    short = _v4_network(source)
    if short is not None:
        return _MAPPED | short[0], short[1] + 96
    host, slash, suffix = source.strip().partition("/")
    if slash and not (suffix.isascii() and suffix.isdigit() and int(suffix) <= 128):
        return None
    try:
        address = int(ipaddress.IPv6Address(host.partition("%")[0]))
    except ValueError:
        return None
    prefix = int(suffix) if slash else 128
    if "." in host and address >> 32 == 0:
        # An IPv4 address in IPv6 notation is the mapped address, and its prefix counts as IPv4's.
        return _MAPPED | address, min(prefix + 96, 128) if prefix <= 32 else prefix
    return address, prefix


def _cut(address: int, prefix: int, bits: int) -> int:
    return address >> (bits - prefix) << (bits - prefix)


def _v6_text(address: int) -> str:
    return ":".join(f"{address >> shift & 0xFFFF:04x}" for shift in range(112, -1, -16))


def _parse_v6(source: str) -> str | None:
    found = _v6_network(source)
    return None if found is None else _v6_text(_cut(*found, 128))


def _parse_v6_mask(source: str, prefix: int) -> str | None:
    found = _v6_network(source)
    if found is None or not 0 <= prefix <= 128:
        return None
    return _v6_text(_cut(found[0], min(prefix, found[1]), 128))


def _compare_v6(first: str, second: str, prefix: int | None) -> int | None:
    left, right = _v6_network(first), _v6_network(second)
    if left is None or right is None or (prefix is not None and not 0 <= prefix <= 128):
        return None
    size = min(left[1], right[1], 128 if prefix is None else prefix)
    one, two = _cut(left[0], size, 128), _cut(right[0], size, 128)
    return (one > two) - (one < two)


def _match_v6(first: str, second: str, prefix: int | None) -> bool | None:
    compared = _compare_v6(first, second, prefix)
    return None if compared is None else compared == 0


def _in_range_v6(address: str, network: str) -> bool | None:
    left, right = _v6_network(address), _v6_network(network)
    if left is None or right is None:
        return None
    return _cut(left[0], right[1], 128) == _cut(right[0], right[1], 128)


def _in_range_v4(address: str, network: str) -> bool | None:
    left, right = _v4_network(address), _v4_network(network)
    if left is None or right is None:
        return None
    return _cut(left[0], right[1], 32) == _cut(right[0], right[1], 32)


def _flat(values: list[Any]) -> list[Any]:
    """Arguments with those that are arrays taken apart."""
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def _any_range(member: Any) -> Any:
    def body(address: str, networks: list[Any]) -> bool | None:
        answers = [member(address, network) if isinstance(network, str) else None for network in _flat(networks)]
        known = [answer for answer in answers if answer is not None]
        return any(known) if known else None

    return body


def _format_v4(address: Any, prefix: int | None) -> str:
    found = _v4_or_number(address, prefix)
    return "" if found is None else str(ipaddress.IPv4Address(_cut(*found, 32)))


def _format_v4_mask(address: Any, prefix: int | None) -> str:
    found = _v4_or_number(address, prefix)
    return "" if found is None else f"{ipaddress.IPv4Address(_cut(*found, 32))}/{found[1]}"


def _v4_or_number(address: Any, prefix: int | None) -> tuple[int, int] | None:
    found: tuple[int, int] | None = None
    if isinstance(address, str):
        found = _v4_network(address)
    elif isinstance(address, int) and 0 <= address < 1 << 32:
        found = address, 32
    if found is None or (prefix is not None and not 0 <= prefix <= 32):
        return None
    return found[0], min(found[1], 32 if prefix is None else prefix)


def _parse_v4_mask(source: str, prefix: int) -> int | None:
    found = _v4_network(source)
    if found is None or not 0 <= prefix <= 32:
        return None
    return _cut(found[0], min(found[1], prefix), 32)


def _cidr_list(first: str, last: str) -> list[str] | None:
    left, right = _v4(first.strip()), _v4(last.strip())
    if left is None or right is None or left > right:
        return None
    networks = ipaddress.summarize_address_range(ipaddress.IPv4Address(left), ipaddress.IPv4Address(right))
    return [str(network) for network in networks]


#: An address in a text stands between characters that are neither letters nor digits.
_TOKEN = re.compile(r"(?<![^\W_])(?<!\d\.)\d{1,3}(?:\.\d{1,3}){3}(?![^\W_])(?!\.\d)")


def _addresses(source: str) -> list[str]:
    return [token for token in _TOKEN.findall(source) if _v4(token) is not None]


def _has_v4(source: str, wanted: list[Any]) -> bool:
    numbers = {_v4(item) for item in _flat(wanted) if isinstance(item, str)} - {None}
    return any(_v4(token) in numbers for token in _addresses(source))


_PREFIX = re.compile(r"(?:\d{1,3}\.){1,3}|\d{1,3}(?:\.\d{1,3}){3}")


def _has_v4_prefix(source: str, wanted: list[Any]) -> bool:
    """A prefix is a whole address or ends with a dot."""
    prefixes = [item for item in _flat(wanted) if isinstance(item, str) and _PREFIX.fullmatch(item)]
    return any(
        token.startswith(prefix) if prefix.endswith(".") else token == prefix
        for token in _addresses(source)
        for prefix in prefixes
    )


_ADDRESS = Param("ip", frozenset({KqlType.STRING, KqlType.DYNAMIC, KqlType.INT, KqlType.LONG}))
_TEXTS = Param("value", frozenset({KqlType.STRING, KqlType.DYNAMIC}))
_BOOL, _LONG, _STRING = KqlType.BOOL, KqlType.LONG, KqlType.STRING
_TWO = (text("ip1"), text("ip2"), whole("prefix"))


FUNCTIONS = (
    scripted("parse_ipv6", _parse_v6, (text("ip"),), _STRING),
    scripted("parse_ipv6_mask", _parse_v6_mask, (text("ip"), whole("prefix")), _STRING),
    scripted("ipv6_compare", _compare_v6, _TWO, _LONG, optional=1),
    scripted("ipv6_is_match", _match_v6, _TWO, _BOOL, optional=1),
    scripted("ipv6_is_in_range", _in_range_v6, (text("ip"), text("range")), _BOOL),
    scripted("ipv6_is_in_any_range", _any_range(_in_range_v6), (text("ip"), _TEXTS), _BOOL, variadic=True),
    scripted("ipv4_is_in_any_range", _any_range(_in_range_v4), (text("ip"), _TEXTS), _BOOL, variadic=True),
    scripted("ipv4_range_to_cidr_list", _cidr_list, (text("start"), text("end")), KqlType.DYNAMIC),
    scripted("parse_ipv4_mask", _parse_v4_mask, (text("ip"), whole("prefix")), _LONG),
    scripted("format_ipv4", _format_v4, (_ADDRESS, whole("prefix")), _STRING, optional=1),
    scripted("format_ipv4_mask", _format_v4_mask, (_ADDRESS, whole("prefix")), _STRING, optional=1),
    *(
        scripted(name, body, (text("source"), _TEXTS), _BOOL, variadic=name.startswith("has_any"), makes_null=False)
        for name, body in (
            ("has_ipv4", lambda source, wanted: _has_v4(source, [wanted])),
            ("has_any_ipv4", _has_v4),
            ("has_ipv4_prefix", lambda source, wanted: _has_v4_prefix(source, [wanted])),
            ("has_any_ipv4_prefix", _has_v4_prefix),
        )
    ),
)
