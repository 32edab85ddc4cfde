"""ClickHouse SQL for conversions between KQL types, JSON text, datetime and timespan texts, and paths into dynamic values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql import ticks
from lurewire.kql.types import INTEGERS, KqlType

from . import sql
from .refusals import NotPrinted
from .sql import Node, call, number, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DIALECT = "clickhouse"

#: How each type is kept.
STORAGE: dict[KqlType, str] = {
    KqlType.BOOL: "Nullable(Bool)",
    KqlType.INT: "Nullable(Int32)",
    KqlType.LONG: "Nullable(Int64)",
    KqlType.REAL: "Nullable(Float64)",
    KqlType.DECIMAL: "Nullable(Decimal(34, 17))",
    KqlType.STRING: "String",
    KqlType.DATETIME: "Nullable(Int64)",
    KqlType.TIMESPAN: "Nullable(Int64)",
    KqlType.GUID: "Nullable(UUID)",
    KqlType.DYNAMIC: "Nullable(String)",
}


def typed(node: Node, kind: KqlType) -> Node:
    """A value that fits the type's storage, as that type."""
    return call("CAST", node, text(STORAGE[kind]))


def or_empty(node: Node) -> Node:
    """The text, or an empty one for null."""
    return call("ifNull", node, text(""))


def null_if_zero(node: Node) -> Node:
    """The divisor, or null when it is zero."""
    return call("nullIf", node, number(0))


def bind(node: Node, name: str, body: Callable[[Node], Node]) -> Node:
    """`body` over a node that is computed once."""
    if isinstance(node, exp.Column | exp.Literal):
        return body(node)
    inner = sql.lambda_(name, body(sql.variable(name)))
    return call("arrayElement", call("arrayMap", inner, call("array", node)), number(1))


def convert(node: Node, source: KqlType, target: KqlType) -> Node:
    """`node` of type `source` as `target`; null where the value does not convert. Raises NotPrinted."""
    if source is target:
        return node
    if source is KqlType.DYNAMIC:
        return from_text(_text_of_json(node), target)
    if target is KqlType.STRING:
        return _to_text(node, source)
    if target is KqlType.DYNAMIC:
        return json_of(node, source)
    if source is KqlType.STRING:
        return from_text(node, target)
    return _between(node, source, target)


def _between(node: Node, source: KqlType, target: KqlType) -> Node:
    if KqlType.DECIMAL in (source, target):
        raise NotPrinted(_DIALECT, f"conversion of {source} to {target}")
    if target is KqlType.BOOL:
        return sql.binary(exp.NEQ, node, number(0))
    if source is KqlType.REAL:
        return call("accurateCastOrNull", call("trunc", node), text(STORAGE[target]))
    if source in INTEGERS | {KqlType.BOOL} and target in (KqlType.LONG, KqlType.REAL):
        return typed(node, target)
    return call("accurateCastOrNull", node, text(STORAGE[target]))


def _to_text(node: Node, source: KqlType) -> Node:
    shown = _TO_TEXT.get(source)
    if shown is None:
        raise NotPrinted(_DIALECT, f"text of a {source}")
    return shown(node)


def from_text(node: Node, target: KqlType) -> Node:
    """Text as `target`."""
    if target is KqlType.STRING:
        return node
    read = _FROM_TEXT.get(target)
    if read is None:
        raise NotPrinted(_DIALECT, f"{target} of a text")
    return read(node)


# Whole numbers, reals, bools, guids


def _real_from_text(node: Node) -> Node:
    def body(value: Node) -> Node:
        plain = call("replaceRegexpAll", value, text(r"^\s*\+?|\s+$"), text(""))
        valid = call("match", value, text(r"(?i)^\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf|infinity)\s*$"))
        return sql.case([(valid, call("toFloat64OrNull", plain))])

    return bind(node, "r", body)


def _whole_from_text(kind: KqlType) -> Callable[[Node], Node]:
    def body(value: Node) -> Node:
        plain = call("replaceRegexpAll", value, text(r"^\s*\+?|\s+$"), text(""))
        exact = call("match", value, text(r"^\s*[+-]?\d+\s*$"))
        cut = call("accurateCastOrNull", call("trunc", _real_from_text(value)), text(STORAGE[kind]))
        whole = call("accurateCastOrNull", call("toInt128OrNull", plain), text(STORAGE[kind]))
        is_hex = call("match", value, text(r"^\s*[+-]?0[xX][0-9a-fA-F]+\s*$"))
        refused = _stop_where(is_hex, "hexadecimal texts are not read as numbers by this dialect")
        return sql.case([(exact, whole), (is_hex, refused)], cut)

    return lambda node: bind(node, "i", body)


def _stop_where(condition: Node, message: str) -> Node:
    """Ends the query at a row for which the condition holds; otherwise null."""
    return call("nullIf", call("throwIf", condition, text(message)), number(0))


def _bool_from_text(node: Node) -> Node:
    def body(value: Node) -> Node:
        word = call("lowerUTF8", call("trimBoth", value))
        return sql.case(
            [(sql.equal(word, text("true")), sql.boolean(True)), (sql.equal(word, text("false")), sql.boolean(False))],
            sql.binary(exp.NEQ, _real_from_text(value), number(0)),
        )

    return bind(node, "b", body)


_GUID = r"(?s)^[ {]*([0-9a-fA-F]{8})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{12}).*$"


def _guid_from_text(node: Node) -> Node:
    # What follows the 32 digits is ignored; a text that is none stays as it is, and is null.
    return call("toUUIDOrNull", call("replaceRegexpAll", node, text(_GUID), text(r"\1-\2-\3-\4-\5")))


# Datetimes and timespans: ticks, by whole-number arithmetic only, because ClickHouse's date types begin in 1900


def _days(year: Node, month: Node, day: Node) -> Node:
    """Days from 0001-01-01 of a date of the proleptic Gregorian calendar."""
    shifted = sql.subtract(year, call("toInt64", sql.binary(exp.LTE, month, number(2))))

    def body(moved: Node) -> Node:
        from_march = sql.modulo(sql.add(month, number(9)), number(12))
        of_year = sql.add(
            call("intDiv", sql.add(sql.multiply(number(153), from_march), number(2)), number(5)),
            sql.subtract(day, number(1)),
        )
        leaps = sql.add(
            sql.subtract(call("intDiv", moved, number(4)), call("intDiv", moved, number(100))),
            call("intDiv", moved, number(400)),
        )
        return sql.subtract(sql.add(sql.add(sql.multiply(moved, number(365)), leaps), of_year), number(306))

    return bind(shifted, "y", body)


def _date_parts(days: Node, body: Callable[[Node, Node, Node], Node]) -> Node:
    """`body` over year, month and day of a number of days from 0001-01-01."""

    def eras(shifted: Node) -> Node:
        era = call("intDiv", shifted, number(146_097))
        return bind(sql.subtract(shifted, sql.multiply(era, number(146_097))), "e", lambda day: years(era, day))

    def years(era: Node, day: Node) -> Node:
        leap = sql.subtract(
            sql.add(
                sql.subtract(day, call("intDiv", day, number(1460))),
                call("intDiv", day, number(36_524)),
            ),
            call("intDiv", day, number(146_096)),
        )
        return bind(call("intDiv", leap, number(365)), "q", lambda year: months(era, day, year))

    def months(era: Node, day: Node, year: Node) -> Node:
        before = sql.subtract(
            sql.add(sql.multiply(year, number(365)), call("intDiv", year, number(4))),
            call("intDiv", year, number(100)),
        )
        of_year = sql.subtract(day, before)
        whole = sql.add(year, sql.multiply(era, number(400)))
        return bind(of_year, "p", lambda number_: parts(whole, number_))

    def parts(year: Node, of_year: Node) -> Node:
        def last(month: Node) -> Node:
            start = call("intDiv", sql.add(sql.multiply(number(153), month), number(2)), number(5))
            day = sql.add(sql.subtract(of_year, start), number(1))
            calendar = sql.add(sql.modulo(sql.add(month, number(2)), number(12)), number(1))
            carried = sql.add(year, call("toInt64", sql.binary(exp.GTE, month, number(10))))
            return body(carried, calendar, day)

        return bind(call("intDiv", sql.add(sql.multiply(of_year, number(5)), number(2)), number(153)), "m", last)

    return bind(sql.add(days, number(306)), "z", eras)


def _padded(value: Node, width: int) -> Node:
    return call("leftPad", call("toString", value), number(width), text("0"))


def datetime_text(value: Node) -> Node:
    """Ticks as `2026-01-01T00:00:00.1234567Z`."""

    def body(moment: Node) -> Node:
        def part(unit: int, modulus: int) -> Node:
            return sql.modulo(call("intDiv", moment, number(unit)), number(modulus))

        def written(year: Node, month: Node, day: Node) -> Node:
            return call(
                "concat",
                _padded(year, 4),
                text("-"),
                _padded(month, 2),
                text("-"),
                _padded(day, 2),
                text("T"),
                _padded(part(ticks.PER_HOUR, 24), 2),
                text(":"),
                _padded(part(ticks.PER_MINUTE, 60), 2),
                text(":"),
                _padded(part(ticks.PER_SECOND, 60), 2),
                text("."),
                _padded(sql.modulo(moment, number(ticks.PER_SECOND)), 7),
                text("Z"),
            )

        return _date_parts(call("intDiv", moment, number(ticks.PER_DAY)), written)

    return bind(value, "d", body)


def timespan_text(value: Node) -> Node:
    """Ticks as `[-][d.]hh:mm:ss[.fffffff]`."""

    def body(span: Node) -> Node:
        def part(unit: int, modulus: int) -> Node:
            return sql.modulo(call("intDiv", call("abs", span), number(unit)), number(modulus))

        days = call("intDiv", call("abs", span), number(ticks.PER_DAY))
        fraction = sql.modulo(call("abs", span), number(ticks.PER_SECOND))
        return call(
            "concat",
            call("if", sql.binary(exp.LT, span, number(0)), text("-"), text("")),
            call(
                "if", sql.binary(exp.GT, days, number(0)), call("concat", call("toString", days), text(".")), text("")
            ),
            _padded(part(ticks.PER_HOUR, 24), 2),
            text(":"),
            _padded(part(ticks.PER_MINUTE, 60), 2),
            text(":"),
            _padded(part(ticks.PER_SECOND, 60), 2),
            call(
                "if", sql.binary(exp.GT, fraction, number(0)), call("concat", text("."), _padded(fraction, 7)), text("")
            ),
        )

    return bind(value, "s", body)


def datetime_from_text(value: Node) -> Node:
    """A datetime text in the ISO form as ticks, null for what is no datetime; the other forms stop the query, named."""

    def body(source: Node) -> Node:
        other = sql.either(*(call("match", source, text(f"^{p}$")) for p in (ticks.RFC_PATTERN, ticks.US_PATTERN)))
        refused = _stop_where(other, "only ISO 8601 datetimes are read from text by this dialect")
        iso = bind(call("extractGroups", source, text(f"^{ticks.ISO_PATTERN}$")), "g", _iso)
        is_iso = call("match", source, text(f"^{ticks.ISO_PATTERN}$"))
        return sql.case([(is_iso, iso), (other, refused)])

    return bind(value, "t", body)


def _iso(groups: Node) -> Node:
    def group(position: int) -> Node:
        return call("arrayElement", groups, number(position))

    def whole(node: Node) -> Node:
        return call("ifNull", call("toInt64OrNull", node), number(0))

    year, month, day, hour, minute, second = (whole(group(position)) for position in range(1, 7))
    fraction = whole(call("rightPad", call("substring", group(7), number(1), number(7)), number(7), text("0")))
    zone = group(8)
    digits = call("replaceAll", call("substring", zone, number(2)), text(":"), text(""))
    zone_minute = whole(call("right", digits, number(2)))
    zone_hour = whole(call("left", digits, sql.subtract(call("length", digits), number(2))))
    size = sql.add(sql.multiply(zone_hour, number(ticks.PER_HOUR)), sql.multiply(zone_minute, number(ticks.PER_MINUTE)))
    signed = call("startsWith", zone, text("+")), call("startsWith", zone, text("-"))
    shift = sql.case([(signed[0], size), (signed[1], sql.subtract(number(0), size))], number(0))
    clock = sql.add(
        sql.add(sql.multiply(hour, number(ticks.PER_HOUR)), sql.multiply(minute, number(ticks.PER_MINUTE))),
        sql.add(sql.multiply(second, number(ticks.PER_SECOND)), fraction),
    )
    total = sql.add(sql.multiply(_days(year, month, day), number(ticks.PER_DAY)), sql.subtract(clock, shift))
    leap = sql.either(
        sql.both(
            sql.equal(sql.modulo(year, number(4)), number(0)),
            sql.binary(exp.NEQ, sql.modulo(year, number(100)), number(0)),
        ),
        sql.equal(sql.modulo(year, number(400)), number(0)),
    )
    lengths = call("array", *(number(days) for days in (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)))
    february = sql.both(sql.equal(month, number(2)), leap)
    longest = call("if", february, number(29), call("arrayElement", lengths, month))
    in_zone = sql.both(sql.binary(exp.LTE, zone_hour, number(14)), sql.binary(exp.LT, zone_minute, number(60)))
    valid = sql.both(
        sql.binary(exp.GTE, year, number(1)),
        sql.both(sql.binary(exp.GTE, month, number(1)), sql.binary(exp.LTE, month, number(12))),
        sql.both(sql.binary(exp.GTE, day, number(1)), sql.binary(exp.LTE, day, longest)),
        sql.binary(exp.LT, hour, number(24)),
        sql.binary(exp.LT, minute, number(60)),
        sql.binary(exp.LT, second, number(60)),
        sql.either(sql.negation(sql.either(*signed)), in_zone),
    )

    def bounded(moment: Node) -> Node:
        inside = sql.both(
            sql.binary(exp.GTE, moment, number(0)), sql.binary(exp.LTE, moment, number(ticks.MAX_DATETIME))
        )
        return sql.case([(inside, moment)])

    return bind(sql.case([(valid, total)]), "n", bounded)


_TO_TEXT: dict[KqlType, Callable[[Node], Node]] = {
    KqlType.BOOL: lambda node: call("toString", call("CAST", node, text(STORAGE[KqlType.BOOL]))),
    KqlType.INT: lambda node: call("toString", node),
    KqlType.LONG: lambda node: call("toString", node),
    KqlType.DATETIME: datetime_text,
    KqlType.TIMESPAN: timespan_text,
    KqlType.GUID: lambda node: call("toString", node),
}
_FROM_TEXT: dict[KqlType, Callable[[Node], Node]] = {
    KqlType.BOOL: _bool_from_text,
    KqlType.INT: _whole_from_text(KqlType.INT),
    KqlType.LONG: _whole_from_text(KqlType.LONG),
    KqlType.REAL: _real_from_text,
    KqlType.DATETIME: datetime_from_text,
    KqlType.GUID: _guid_from_text,
}


# JSON


def _text_of_json(node: Node) -> Node:
    """A dynamic value's text: a JSON string without its quotes."""

    def body(value: Node) -> Node:
        is_text = sql.equal(call("JSONType", value), text("String"))
        return sql.case([(is_text, call("JSONExtractString", value))], value)

    return bind(node, "j", body)


def json_of(node: Node, kind: KqlType) -> Node:
    """A value as JSON text, null staying null."""
    if kind is KqlType.DYNAMIC:
        return node
    if kind is KqlType.STRING:
        return call("replaceAll", call("toJSONString", node), text("\\/"), text("/"))
    if kind in (KqlType.BOOL, KqlType.INT, KqlType.LONG):
        return _to_text(node, kind)
    return call("concat", text('"'), _to_text(node, kind), text('"'))


def path(target: Node, steps: Sequence[str | int], *, as_text: bool) -> Node:
    """Access into a dynamic value: JSON text, or the text of the value (strings without quotes) with `as_text`.

    ClickHouse takes an index for the place in an object too, so each index is guarded by the type of what it looks into.
    """

    def body(value: Node) -> Node:
        way: list[Node] = []
        guards: list[Node] = []
        for step in steps:
            if isinstance(step, str):
                way.append(text(step))
                continue
            guards.append(sql.equal(call("JSONType", value, *way), text("Array")))
            way.append(number(step + 1 if step >= 0 else step))
        found = call("nullIf", call("nullIf", call("JSONExtractRaw", value, *way), text("")), text("null"))
        if as_text:
            is_text = sql.equal(call("JSONType", value, *way), text("String"))
            found = sql.case([(is_text, call("JSONExtractString", value, *way))], found)
        return sql.case([(sql.both(*guards), found)]) if guards else found

    return bind(target, "j", body)
