"""Functions of IP addresses (https://learn.microsoft.com/kusto/query/scalar-functions#ipv4ipv6-functions)."""

from __future__ import annotations

import ipaddress
from typing import Any

from lurewire.kql.types import KqlType as K

from .table import function
from .values import Refused, to_text

_PRIVATE = [ipaddress.IPv4Network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


def _network(text: str) -> tuple[int, int] | None:
    """Address and prefix length of `a.b.c.d` or `a.b.c.d/n`."""
    address, mark, prefix = text.partition("/")
    try:
        number = int(ipaddress.IPv4Address(address))
        length = int(prefix) if mark else 32
    except ValueError:
        if text and not text.strip("0123456789./ "):
            raise Refused(f"the address {text!r}") from None
        return None
    return (number, length) if 0 <= length <= 32 else None


def _masked(number: int, length: int) -> int:
    return number >> (32 - length) << (32 - length)


def _private(text: str) -> bool | None:
    found = _network(text)
    if found is None:
        return None
    return any(found[0] in (int(net[0]), int(net[-1])) or int(net[0]) <= found[0] <= int(net[-1]) for net in _PRIVATE)


def _in_range(address: str, network: str) -> bool | None:
    one, other = _network(address), _network(network)
    if one is None or other is None:
        return None
    return _masked(one[0], min(one[1], other[1])) == _masked(other[0], other[1])


def _in_any(address: tuple[str, K], *networks: tuple[Any, K]) -> bool | None:
    known = []
    for value, kind in networks:
        known.extend([to_text(part, kind) for part in (value if isinstance(value, list) else [value])])
    found = [_in_range(address[0], network) for network in known]
    return None if all(part is None for part in found) and found else any(part is True for part in found)


def _compare(one: str, other: str, prefix: int = 32) -> int | None:
    first, second = _network(one), _network(other)
    if first is None or second is None:
        return None
    length = min(first[1], second[1], prefix)
    a, b = _masked(first[0], length), _masked(second[0], length)
    return (a > b) - (a < b)


def _number(text: str) -> int | None:
    found = _network(text)
    return None if found is None else _masked(*found)


function("ipv4_is_private", "s", K.BOOL, _private)
function("ipv4_is_in_range", "ss", K.BOOL, _in_range)
function("ipv4_is_in_any_range", "sa*", K.BOOL, _in_any, typed=True)
function("ipv4_compare", "ss?l", K.LONG, _compare)
function("ipv4_is_match", "ss?l", K.BOOL, lambda *a: None if (found := _compare(*a)) is None else found == 0)
function("parse_ipv4", "s", K.LONG, _number)
