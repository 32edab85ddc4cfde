"""DuckDB SQL for datetimes and timespans kept as ticks, and for their text forms.

The texts and patterns are those of `ticks.py`; the functions here take and give sqlglot nodes and nothing runs per row in
Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql import ticks

from . import sql
from .sql import Node, call, number, text

if TYPE_CHECKING:
    from collections.abc import Callable

_EPOCH_MICROSECONDS = ticks.UNIX_EPOCH // ticks.PER_MICROSECOND
#: The form that nearly all telemetry has; it is read without capturing groups, which is several times faster.
_USUAL = r"(?:000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})-\d{2}-\d{2}[T ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?Z?"


def bind(node: Node, name: str, body: Callable[[Node], Node]) -> Node:
    """`body` over a node that is computed once: anything but a column or literal is bound by a lambda."""
    if isinstance(node, exp.Column | exp.Literal):
        return body(node)
    inner = sql.lambda_(name, body(sql.variable(name)))
    return call("list_extract", call("list_transform", call("list_value", node), inner), number(1))


def timestamp(value: Node) -> Node:
    """Ticks as TIMESTAMP, cut to microseconds."""
    micros = sql.whole_divide(value, number(ticks.PER_MICROSECOND))
    return call("make_timestamp", sql.subtract(micros, number(_EPOCH_MICROSECONDS)))


def from_timestamp(value: Node) -> Node:
    """TIMESTAMP as ticks."""
    micros = sql.add(call("epoch_us", value), number(_EPOCH_MICROSECONDS))
    return sql.multiply(micros, number(ticks.PER_MICROSECOND))


def datetime_text(value: Node) -> Node:
    """Ticks as `2026-01-01T00:00:00.1234567Z`."""

    def body(moment: Node) -> Node:
        fraction = sql.modulo(moment, number(ticks.PER_SECOND))
        return sql.concat(
            call("strftime", timestamp(moment), text("%Y-%m-%dT%H:%M:%S.")), padded(fraction, 7), text("Z")
        )

    return bind(value, "d", body)


def padded(value: Node, width: int) -> Node:
    """A whole number as text with leading zeros, not cut when it is longer."""
    digits = sql.cast(value, sql.VARCHAR)
    size = sql.cast(call("greatest", number(width), call("length", digits)), sql.INTEGER)
    return call("lpad", digits, size, text("0"))


def timespan_text(value: Node) -> Node:
    """Ticks as `[-][d.]hh:mm:ss[.fffffff]`."""

    def body(span: Node) -> Node:
        size = call("abs", span)

        def part(unit: int, modulus: int) -> Node:
            return sql.modulo(sql.whole_divide(size, number(unit)), number(modulus))

        days = sql.whole_divide(size, number(ticks.PER_DAY))
        fraction = sql.modulo(size, number(ticks.PER_SECOND))
        return sql.concat(
            sql.case([(exp.LT(this=span, expression=number(0)), text("-"))], text("")),
            sql.case(
                [(sql.binary(exp.GT, days, number(0)), sql.concat(sql.cast(days, sql.VARCHAR), text(".")))], text("")
            ),
            padded(part(ticks.PER_HOUR, 24), 2),
            text(":"),
            padded(part(ticks.PER_MINUTE, 60), 2),
            text(":"),
            padded(part(ticks.PER_SECOND, 60), 2),
            sql.case([(sql.binary(exp.GT, fraction, number(0)), sql.concat(text("."), padded(fraction, 7)))], text("")),
        )

    return bind(value, "s", body)


def datetime_from_text(value: Node) -> Node:
    """A datetime text as ticks; null when it is none of the forms of `ticks.ticks_from_text`."""

    def body(source: Node) -> Node:
        fraction = call(
            "rpad", call("rtrim", call("substr", source, number(21), number(7)), text("Z")), number(7), text("0")
        )
        usual = sql.add(
            from_timestamp(sql.try_cast(call("left", source, number(19)), sql.TIMESTAMP)),
            sql.try_cast(fraction, sql.BIGINT),
        )
        other = sql.coalesce(_iso(source), _rfc(source), _us(source))
        return sql.case([(call("regexp_full_match", source, text(_USUAL)), usual)], other)

    return bind(value, "t", body)


def _groups(source: Node, pattern: str, names: str, body: Callable[[dict[str, Node]], Node]) -> Node:
    """`body` over the pattern's groups by name; all groups are empty when the pattern does not match."""
    keys = names.split()
    extract = call("regexp_extract", source, text(f"^{pattern}$"), call("list_value", *(text(key) for key in keys)))
    group = sql.variable("g")
    fields = {key: call("struct_extract", group, text(key)) for key in keys}
    inner = sql.lambda_("g", body(fields))
    return call("list_extract", call("list_transform", call("list_value", extract), inner), number(1))


def _int(digits: Node) -> Node:
    return sql.try_cast(digits, sql.BIGINT)


def _int_or_zero(digits: Node) -> Node:
    return sql.coalesce(_int(digits), number(0))


def _moment(day: Node, hour: Node, group: dict[str, Node], zone: Node) -> Node:
    """Ticks of a date and a clock; null when a part is out of its range."""
    minute, second = _int_or_zero(group["mi"]), _int_or_zero(group["s"])
    fraction = sql.try_cast(call("rpad", call("left", group["f"], number(7)), number(7), text("0")), sql.BIGINT)
    days = call("date_diff", text("day"), sql.cast(text("0001-01-01"), sql.DATE), day)
    total = sql.subtract(
        sql.add(
            sql.add(sql.multiply(days, number(ticks.PER_DAY)), sql.multiply(hour, number(ticks.PER_HOUR))),
            sql.add(
                sql.add(sql.multiply(minute, number(ticks.PER_MINUTE)), sql.multiply(second, number(ticks.PER_SECOND))),
                fraction,
            ),
        ),
        zone,
    )
    valid = sql.both(
        sql.binary(exp.LT, hour, number(24)),
        sql.binary(exp.LT, minute, number(60)),
        sql.binary(exp.LT, second, number(60)),
    )
    checked = sql.case([(valid, total)])
    return bind(
        checked, "n", lambda n: sql.case([(exp.Between(this=n, low=number(0), high=number(ticks.MAX_DATETIME)), n)])
    )


def _date(year: Node, month: Node, day: Node) -> Node:
    return sql.try_cast(sql.concat(year, text("-"), month, text("-"), day), sql.DATE)


def _zone(zone: Node) -> Node:
    digits = call("replace", call("substr", zone, number(2)), text(":"), text(""))
    hours = _int_or_zero(call("substr", digits, number(1), sql.subtract(call("length", digits), number(2))))
    minutes = _int_or_zero(call("right", digits, number(2)))
    size = sql.add(sql.multiply(hours, number(ticks.PER_HOUR)), sql.multiply(minutes, number(ticks.PER_MINUTE)))
    valid = sql.both(sql.binary(exp.LTE, hours, number(14)), sql.binary(exp.LT, minutes, number(60)))
    sign = call("left", zone, number(1))
    return sql.case(
        [
            (sql.both(sql.equal(sign, text("+")), valid), size),
            (sql.both(sql.equal(sign, text("-")), valid), exp.Neg(this=sql.atom(size))),
            (exp.In(this=sign, expressions=[text("+"), text("-")]), exp.Null()),
        ],
        number(0),
    )


def _iso(source: Node) -> Node:
    return _groups(
        source,
        ticks.ISO_PATTERN,
        "y m d h mi s f z",
        lambda g: _moment(_date(g["y"], g["m"], g["d"]), _int_or_zero(g["h"]), g, _zone(g["z"])),
    )


def _rfc(source: Node) -> Node:
    def body(group: dict[str, Node]) -> Node:
        months = call("list_value", *(text(month) for month in ticks.MONTHS))
        month = sql.cast(call("list_position", months, call("lower", group["m"])), sql.VARCHAR)
        short = _int(group["y"])
        century = sql.case([(sql.binary(exp.LT, short, number(50)), number(2000))], number(1900))
        year = sql.case(
            [(sql.equal(call("length", group["y"]), number(4)), group["y"])],
            sql.cast(sql.add(short, century), sql.VARCHAR),
        )
        return _moment(_date(year, month, group["d"]), _int_or_zero(group["h"]), group, _zone(group["z"]))

    return _groups(source, ticks.RFC_PATTERN, "d m y h mi s f z", body)


def _us(source: Node) -> Node:
    def body(group: dict[str, Node]) -> Node:
        hour = _int_or_zero(group["h"])
        half = call("lower", group["half"])
        afternoon = sql.case([(sql.equal(half, text("p")), number(12))], number(0))
        twelve = sql.case(
            [(exp.Between(this=hour, low=number(1), high=number(12)), sql.add(sql.modulo(hour, number(12)), afternoon))]
        )
        clock = sql.case([(sql.equal(half, text("")), hour)], twelve)
        return _moment(_date(group["y"], group["m"], group["d"]), clock, group, number(0))

    return _groups(source, ticks.US_PATTERN, "m d y h mi s f half", body)


def timespan_from_text(value: Node) -> Node:
    """A timespan text as ticks; null when it is none of the forms of `ticks.timespan_from_text`."""

    def clock(group: dict[str, Node]) -> Node:
        hour, minute, second = _int(group["h"]), _int(group["mi"]), _int_or_zero(group["s"])
        fraction = sql.try_cast(call("rpad", group["f"], number(7), text("0")), sql.BIGINT)
        total = sql.multiply(_int_or_zero(group["d"]), number(ticks.PER_DAY))
        for part, unit in ((hour, ticks.PER_HOUR), (minute, ticks.PER_MINUTE), (second, ticks.PER_SECOND)):
            total = sql.add(total, sql.multiply(part, number(unit)))
        valid = sql.both(
            sql.binary(exp.LT, hour, number(24)),
            sql.binary(exp.LT, minute, number(60)),
            sql.binary(exp.LT, second, number(60)),
        )
        # More days than 64 bits have ticks for are no timespan; they must not end a query over texts that anybody wrote.
        return sql.case([(valid, call("try", _signed(group["sign"], sql.add(total, fraction))))])

    def with_unit(group: dict[str, Node]) -> Node:
        by_ticks: dict[int, list[Node]] = {}
        for name, size in ticks.UNITS.items():
            by_ticks.setdefault(size, []).append(text(name))
        branches = [
            (exp.In(this=group["u"], expressions=names), _scaled(group, size)) for size, names in by_ticks.items()
        ]
        return sql.try_cast(_signed(group["sign"], sql.case(branches)), sql.BIGINT)

    def days(group: dict[str, Node]) -> Node:
        return sql.try_cast(_signed(group["sign"], _scaled(group, ticks.PER_DAY)), sql.BIGINT)

    return bind(
        value,
        "t",
        lambda source: sql.coalesce(
            _groups(source, ticks.SPAN_PATTERN, "sign d h mi s f", clock),
            _groups(source, ticks.UNIT_PATTERN, "sign w f u", with_unit),
            _groups(source, ticks.DAYS_PATTERN, "sign w f", days),
        ),
    )


def _signed(sign: Node, value: Node) -> Node:
    return sql.case([(sql.equal(sign, text("-")), exp.Neg(this=sql.atom(value)))], value)


def _scaled(group: dict[str, Node], unit: int) -> Node:
    whole = sql.try_cast(group["w"], sql.HUGEINT)
    if unit == 0:
        return sql.whole_divide(whole, number(100))
    digits = sql.cast(sql.add(call("length", group["f"]), number(1)), sql.INTEGER)
    power = sql.cast(call("rpad", text("1"), digits, text("0")), sql.HUGEINT)
    fraction = sql.whole_divide(
        sql.multiply(sql.coalesce(sql.try_cast(group["f"], sql.HUGEINT), number(0)), number(unit)), power
    )
    return sql.add(sql.multiply(whole, number(unit)), fraction)
