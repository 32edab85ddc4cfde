"""IPv4 addresses and ranges.

An address with its prefix is packed into one number inside an expression: address * 64 + prefix length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql.dialects import duckdb_time, sql
from lurewire.kql.types import KqlType

from .common import duckdb
from .registry import Function, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lurewire.kql import plan
    from lurewire.kql.dialects.sql import Node

_PATTERN = r"^\s*(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:/(\d{1,2}))?\s*$"
_NAMES = "abcdp"
#: Network and prefix length of the private ranges (RFC 1918).
_PRIVATE = ((10 << 24, 8), ((172 << 24) + (16 << 16), 12), ((192 << 24) + (168 << 16), 16))


def _packed(source: Node) -> Node:
    """The packed address of a text; null when it is no IPv4 address."""
    names = sql.call("list_value", *(sql.text(name) for name in _NAMES))
    extract = sql.call("regexp_extract", source, sql.text(_PATTERN), names)

    def body(group: Node) -> Node:
        octets = [sql.try_cast(sql.call("struct_extract", group, sql.text(name)), sql.BIGINT) for name in _NAMES[:4]]
        prefix = sql.coalesce(
            sql.try_cast(sql.call("struct_extract", group, sql.text("p")), sql.BIGINT), sql.number(32)
        )
        address = octets[3]
        for octet, shift in zip(octets[:3], (24, 16, 8), strict=True):
            address = sql.add(sql.multiply(octet, sql.number(1 << shift)), address)
        valid = sql.both(
            sql.binary(exp.LTE, sql.call("greatest", *octets), sql.number(255)),
            sql.binary(exp.LTE, prefix, sql.number(32)),
        )
        return sql.case([(valid, sql.add(sql.multiply(address, sql.number(64)), prefix))])

    inner = sql.lambda_("g", body(sql.variable("g")))
    return sql.call("list_extract", sql.call("list_transform", sql.call("list_value", extract), inner), sql.number(1))


def _address(packed: Node) -> Node:
    return sql.whole_divide(packed, sql.number(64))


def _prefix(packed: Node) -> Node:
    return sql.modulo(packed, sql.number(64))


def _masked(address: Node, prefix: Node) -> Node:
    size = exp.BitwiseLeftShift(
        this=sql.cast(sql.number(1), sql.BIGINT), expression=sql.atom(sql.subtract(sql.number(32), prefix))
    )
    return sql.subtract(address, sql.modulo(address, size))


def _pair(arguments: Sequence[Node], body: Callable[[Node, Node], Node]) -> Node:
    return duckdb_time.bind(
        _packed(arguments[0]),
        "p1",
        lambda left: duckdb_time.bind(_packed(arguments[1]), "p2", lambda right: body(left, right)),
    )


def _parse(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    return duckdb_time.bind(_packed(arguments[0]), "p1", lambda packed: _masked(_address(packed), _prefix(packed)))


def _is_private(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call

    def body(packed: Node) -> Node:
        address = _masked(_address(packed), _prefix(packed))
        return sql.either(
            *(
                exp.Between(
                    this=sql.atom(address), low=sql.number(first), high=sql.number(first + (1 << (32 - bits)) - 1)
                )
                for first, bits in _PRIVATE
            )
        )

    return duckdb_time.bind(_packed(arguments[0]), "p1", body)


def _in_range(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    return _pair(
        arguments,
        lambda ip, network: sql.equal(
            _masked(_address(ip), _prefix(network)), _masked(_address(network), _prefix(network))
        ),
    )


def _compare(arguments: Sequence[Node], call: plan.Call) -> Node:
    """-1, 0 or 1 under the shortest of the prefixes."""
    del call
    widest = [arguments[2]] if len(arguments) == 3 else []

    def body(left: Node, right: Node) -> Node:
        prefix = sql.call("least", _prefix(left), _prefix(right), *widest)
        difference = sql.subtract(_masked(_address(left), prefix), _masked(_address(right), prefix))
        return sql.cast(sql.call("sign", difference), sql.BIGINT)

    return _pair(arguments, body)


def _match(arguments: Sequence[Node], call: plan.Call) -> Node:
    return sql.equal(_compare(arguments, call), sql.number(0))


FUNCTIONS = (
    Function("parse_ipv4", (text("ip"),), KqlType.LONG, duckdb(_parse), makes_null=True),
    Function("ipv4_is_private", (text("ip"),), KqlType.BOOL, duckdb(_is_private), makes_null=True),
    Function("ipv4_is_in_range", (text("ip"), text("range")), KqlType.BOOL, duckdb(_in_range), makes_null=True),
    Function(
        "ipv4_compare",
        (text("ip1"), text("ip2"), whole("prefix")),
        KqlType.LONG,
        duckdb(_compare),
        optional=1,
        makes_null=True,
    ),
    Function(
        "ipv4_is_match",
        (text("ip1"), text("ip2"), whole("prefix")),
        KqlType.BOOL,
        duckdb(_match),
        optional=1,
        makes_null=True,
    ),
    Function(
        "ipv4_netmask_suffix",
        (text("ip"),),
        KqlType.LONG,
        duckdb(lambda arguments, _: duckdb_time.bind(_packed(arguments[0]), "p1", _prefix)),
        makes_null=True,
    ),
)
