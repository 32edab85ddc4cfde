"""Datetimes and timespans, all in whole ticks."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql import plan, ticks
from lurewire.kql.conversions import arithmetic
from lurewire.kql.dialects import duckdb_time, sql
from lurewire.kql.errors import semantic
from lurewire.kql.scope import ERROR
from lurewire.kql.types import INTEGERS, KqlType

from .common import duckdb, literal_argument, scripted
from .registry import Function, moment, number, real, span, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lurewire.kql import tree
    from lurewire.kql.binder import ExpressionBinder
    from lurewire.kql.dialects.sql import Node
    from lurewire.kql.functions.registry import NameRule

NOW = plan.Parameter(KqlType.DATETIME, "now")


def _bind_now(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    offset = binder.arguments(node, row)
    if not offset:
        return NOW
    return ERROR if offset[0] is ERROR else arithmetic("+", NOW, offset[0], node.at)


def _bind_ago(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    (age,) = binder.arguments(node, row)
    return ERROR if age is ERROR else arithmetic("-", NOW, age, node.at)


# Parts of a datetime


def _whole_part(unit: int, modulus: int | None = None) -> Callable[[Node], Node]:
    def lower(value: Node) -> Node:
        whole_units = value if unit == 1 else sql.whole_divide(value, sql.number(unit))
        return whole_units if modulus is None else sql.modulo(whole_units, sql.number(modulus))

    return lower


def _calendar_part(part: str) -> Callable[[Node], Node]:
    return lambda value: sql.call("date_part", sql.text(part), duckdb_time.timestamp(value))


def _second_part(unit: int, factor: int = 1) -> Callable[[Node], Node]:
    def lower(value: Node) -> Node:
        part = sql.whole_divide(sql.modulo(value, sql.number(ticks.PER_SECOND)), sql.number(unit))
        return part if factor == 1 else sql.multiply(part, sql.number(factor))

    return lower


_PARTS: dict[str, Callable[[Node], Node]] = {
    "year": _calendar_part("year"),
    "quarter": _calendar_part("quarter"),
    "month": _calendar_part("month"),
    "week_of_year": _calendar_part("week"),
    "weekofyear": _calendar_part("week"),
    "day": _calendar_part("day"),
    "dayofyear": _calendar_part("doy"),
    "hour": _whole_part(ticks.PER_HOUR, 24),
    "minute": _whole_part(ticks.PER_MINUTE, 60),
    "second": _whole_part(ticks.PER_SECOND, 60),
    "millisecond": _second_part(ticks.PER_MILLISECOND),
    "microsecond": _second_part(ticks.PER_MICROSECOND),
    "nanosecond": _second_part(1, 100),
}


def _unit(binder: ExpressionBinder, node: tree.Call, row: Function, known: object) -> list[plan.Scalar] | None:
    """The arguments of a call whose first is the name of a unit; None after a reported problem."""
    arguments = binder.arguments(node, row)
    if ERROR in arguments:
        return None
    name = arguments[0]
    assert isinstance(name, plan.Constant)
    if str(name.value).lower() not in known:  # type: ignore[operator]
        raise semantic(f"{node.name}(): '{name.value}' is no unit of time", node.arguments[0].at, token=str(name.value))
    return arguments


def _with_unit(known: object) -> Callable[[ExpressionBinder, tree.Call, Function], plan.Scalar]:
    def bind(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
        arguments = _unit(binder, node, row, known)
        assert isinstance(row.result, KqlType)
        return ERROR if arguments is None else plan.Call(row.result, row, tuple(arguments))

    return bind


def _unit_name(call: plan.Call) -> str:
    return str(literal_argument(call, 0)).lower()


def _datetime_part(arguments: Sequence[Node], call: plan.Call) -> Node:
    return sql.cast(_PARTS[_unit_name(call)](arguments[1]), sql.INTEGER)


def _part_function(name: str, part: str, *aliases: str) -> Function:
    return Function(
        name,
        (moment("date"),),
        KqlType.INT,
        duckdb(lambda arguments, _: sql.cast(_PARTS[part](arguments[0]), sql.INTEGER)),
        aliases=aliases,
    )


def _day_of_week(arguments: Sequence[Node], call: plan.Call) -> Node:
    """Days since the last Sunday, as a timespan; 0001-01-01 was a Monday."""
    del call
    days = sql.whole_divide(arguments[0], sql.number(ticks.PER_DAY))
    return sql.multiply(sql.modulo(sql.add(days, sql.number(1)), sql.number(7)), sql.number(ticks.PER_DAY))


# Starts and ends of periods


def _start_of_day(value: Node, offset: Node | None) -> Node:
    start = sql.subtract(value, sql.modulo(value, sql.number(ticks.PER_DAY)))
    return start if offset is None else sql.add(start, sql.multiply(offset, sql.number(ticks.PER_DAY)))


def _start_of_week(value: Node, offset: Node | None) -> Node:
    days = sql.whole_divide(value, sql.number(ticks.PER_DAY))
    sunday = sql.subtract(days, sql.modulo(sql.add(days, sql.number(1)), sql.number(7)))
    if offset is not None:
        sunday = sql.add(sunday, sql.multiply(offset, sql.number(7)))
    return sql.multiply(sunday, sql.number(ticks.PER_DAY))


def _start_of_period(period: str, months: int) -> Callable[[Node, Node | None], Node]:
    def lower(value: Node, offset: Node | None) -> Node:
        start = sql.call("date_trunc", sql.text(period), duckdb_time.timestamp(value))
        if offset is not None:
            count = sql.cast(sql.multiply(offset, sql.number(months)), sql.INTEGER)
            start = sql.add(start, sql.call("to_months", count))
        return duckdb_time.from_timestamp(start)

    return lower


_STARTS: dict[str, Callable[[Node, Node | None], Node]] = {
    "day": _start_of_day,
    "week": _start_of_week,
    "month": _start_of_period("month", 1),
    "year": _start_of_period("year", 12),
}


def _start_function(period: str) -> Function:
    start = _STARTS[period]

    def lower(arguments: Sequence[Node], call: plan.Call) -> Node:
        del call
        return start(arguments[0], arguments[1] if len(arguments) > 1 else None)

    naming: NameRule = "first" if period == "day" else "default"
    return Function(
        f"startof{period}",
        (moment("date"), whole("offset")),
        KqlType.DATETIME,
        duckdb(lower),
        optional=1,
        naming=naming,
    )


def _end_function(period: str) -> Function:
    start = _STARTS[period]

    def lower(arguments: Sequence[Node], call: plan.Call) -> Node:
        del call
        following = sql.add(arguments[1], sql.number(1)) if len(arguments) > 1 else sql.number(1)
        return sql.subtract(start(arguments[0], following), sql.number(1))

    return Function(f"endof{period}", (moment("date"), whole("offset")), KqlType.DATETIME, duckdb(lower), optional=1)


# Differences and sums

_DIFFERENCE_UNITS: dict[str, int] = {
    "day": ticks.PER_DAY,
    "hour": ticks.PER_HOUR,
    "minute": ticks.PER_MINUTE,
    "second": ticks.PER_SECOND,
    "millisecond": ticks.PER_MILLISECOND,
    "microsecond": ticks.PER_MICROSECOND,
}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_CALENDAR_UNITS = frozenset({*_DIFFERENCE_UNITS, *_MONTHS, "week", "nanosecond"})


def _ordinal(unit: str, value: Node) -> Node:
    """The number of unit boundaries passed since year 1."""
    if unit in _DIFFERENCE_UNITS:
        return sql.whole_divide(value, sql.number(_DIFFERENCE_UNITS[unit]))
    if unit == "week":
        days = sql.whole_divide(value, sql.number(ticks.PER_DAY))
        return sql.whole_divide(sql.add(days, sql.number(1)), sql.number(7))
    year, month = _PARTS["year"](value), _PARTS["month"](value)
    if unit == "year":
        return year
    months = sql.add(sql.multiply(year, sql.number(12)), sql.subtract(month, sql.number(1)))
    return months if unit == "month" else sql.whole_divide(months, sql.number(3))


def _datetime_diff(arguments: Sequence[Node], call: plan.Call) -> Node:
    unit = _unit_name(call)
    if unit == "nanosecond":
        return sql.multiply(sql.subtract(arguments[1], arguments[2]), sql.number(100))
    return sql.subtract(_ordinal(unit, arguments[1]), _ordinal(unit, arguments[2]))


def _datetime_add(arguments: Sequence[Node], call: plan.Call) -> Node:
    """Null where an amount out of the data leads beyond 64 bits: it must not end the query."""
    moved = _later(arguments, call)
    return moved if isinstance(call.arguments[1], plan.Constant) else sql.call("try", moved)


def _later(arguments: Sequence[Node], call: plan.Call) -> Node:
    unit, amount, value = _unit_name(call), arguments[1], arguments[2]
    if unit in _MONTHS:
        months = sql.cast(sql.multiply(amount, sql.number(_MONTHS[unit])), sql.INTEGER)
        moved = duckdb_time.from_timestamp(sql.add(duckdb_time.timestamp(value), sql.call("to_months", months)))
        return sql.add(moved, sql.modulo(value, sql.number(ticks.PER_MICROSECOND)))
    if unit == "nanosecond":
        return sql.add(value, sql.whole_divide(amount, sql.number(100)))
    size = 7 * ticks.PER_DAY if unit == "week" else _DIFFERENCE_UNITS[unit]
    return sql.add(value, sql.multiply(amount, sql.number(size)))


# Formats


def _format_bind(known: Callable[[str], list[str] | None]) -> Callable[..., plan.Scalar]:
    def bind(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
        arguments = binder.arguments(node, row)
        if ERROR in arguments:
            return ERROR
        pattern = arguments[1]
        assert isinstance(pattern, plan.Constant)
        if known(str(pattern.value)) is None:
            raise semantic(f"{node.name}(): the format '{pattern.value}' has a part that is no format element", node.at)
        return plan.Call(KqlType.STRING, row, tuple(arguments))

    return bind


_DELIMITERS = frozenset(" /-:,._[]")


def _elements(pattern: str, known: frozenset[str]) -> list[str] | None:
    """A format as runs of one letter and single delimiters; None if a part is not known."""
    parts: list[str] = []
    for character in pattern:
        if parts and parts[-1][0] == character and character not in _DELIMITERS:
            parts[-1] += character
        else:
            parts.append(character)
    known_parts = all(part in known or part in _DELIMITERS or part in ("T", "Z") for part in parts)
    return parts if known_parts else None


_FRACTIONS = frozenset(letter * width for letter in "fF" for width in range(1, 8))
_DATE_ELEMENTS = _FRACTIONS | {
    "d",
    "dd",
    "h",
    "hh",
    "H",
    "HH",
    "m",
    "mm",
    "M",
    "MM",
    "s",
    "ss",
    "y",
    "yy",
    "yyyy",
    "tt",
}
_SPAN_ELEMENTS = _FRACTIONS | {"H", "HH", "h", "hh", "m", "mm", "s", "ss"} | {"d" * width for width in range(1, 9)}


def _date_elements(pattern: str) -> list[str] | None:
    return _elements(pattern, _DATE_ELEMENTS)


def _span_elements(pattern: str) -> list[str] | None:
    return _elements(pattern, _SPAN_ELEMENTS)


def _fraction(value: Node, element: str) -> Node:
    width = len(element)
    digits = duckdb_time.padded(
        sql.whole_divide(sql.modulo(value, sql.number(ticks.PER_SECOND)), sql.number(10 ** (7 - width))), width
    )
    return sql.call("rtrim", digits, sql.text("0")) if element[0] == "F" else digits


def _digits(value: Node, width: int) -> Node:
    return duckdb_time.padded(value, width)


def _date_element(value: Node, element: str) -> Node:
    letter, width = element[0], len(element)
    if letter in "fF":
        return _fraction(value, element)
    hour = _PARTS["hour"](value)
    match letter:
        case "y":
            year = _PARTS["year"](value)
            return _digits(year if width == 4 else sql.modulo(year, sql.number(100)), width)
        case "M":
            return _digits(_PARTS["month"](value), width)
        case "d":
            return _digits(_PARTS["day"](value), width)
        case "H":
            return _digits(hour, width)
        case "h":
            twelve = sql.add(sql.modulo(sql.add(hour, sql.number(11)), sql.number(12)), sql.number(1))
            return _digits(twelve, width)
        case "m":
            return _digits(_PARTS["minute"](value), width)
        case "s":
            return _digits(_PARTS["second"](value), width)
        case _:
            return sql.case([(sql.binary(exp.LT, hour, sql.number(12)), sql.text("AM"))], sql.text("PM"))


def _format(elements: list[str], value: Node, element_of: Callable[[Node, str], Node]) -> Node:
    parts = [
        sql.text(part) if part in _DELIMITERS or part in ("T", "Z") else element_of(value, part) for part in elements
    ]
    return sql.concat(*parts) if parts else sql.text("")


def _format_datetime(arguments: Sequence[Node], call: plan.Call) -> Node:
    elements = _date_elements(str(literal_argument(call, 1)))
    assert elements is not None
    return duckdb_time.bind(arguments[0], "d", lambda value: _format(elements, value, _date_element))


def _span_element(value: Node, element: str) -> Node:
    letter, width = element[0], len(element)
    if letter in "fF":
        return _fraction(value, element)
    units = {
        "d": (ticks.PER_DAY, None),
        "H": (ticks.PER_HOUR, 24),
        "m": (ticks.PER_MINUTE, 60),
        "s": (ticks.PER_SECOND, 60),
    }
    unit, modulus = units["H" if letter == "h" else letter]
    return _digits(_whole_part(unit, modulus)(value), width)


def _format_timespan(arguments: Sequence[Node], call: plan.Call) -> Node:
    elements = _span_elements(str(literal_argument(call, 1)))
    assert elements is not None
    return duckdb_time.bind(sql.call("abs", arguments[0]), "s", lambda value: _format(elements, value, _span_element))


# Making datetimes and timespans, and time zones


def _make_datetime(
    year: int, month: int, day: int, hour: int | None, minute: int | None, second: float | None
) -> int | None:
    try:
        start = dt.datetime(year, month, day, hour or 0, minute or 0, tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        return None
    extra = second or 0.0
    return ticks.ticks_from_datetime(start) + int(extra * ticks.PER_SECOND) if 0 <= extra < 60 else None


def _make_timespan(first: int, second: int, third: float | None, fourth: float | None) -> int | None:
    """hour, minute; hour, minute, second; or day, hour, minute, second."""
    if fourth is not None:
        days, hours, minutes, seconds = first, second, int(third or 0), fourth
    else:
        days, hours, minutes, seconds = 0, first, second, third or 0.0
    if not (0 <= hours < 24 and 0 <= minutes < 60 and 0 <= seconds < 60):
        return None
    return ((days * 24 + hours) * 60 + minutes) * ticks.PER_MINUTE + round(seconds * ticks.PER_SECOND)


def _zone(name: str) -> zoneinfo.ZoneInfo | None:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _moved(value: int, name: str, *, to_local: bool) -> int | None:
    """The datetime in the other clock; the ticks below a microsecond are kept."""
    zone = _zone(name)
    if zone is None:
        return None
    micros, rest = divmod(value, ticks.PER_MICROSECOND)
    plain = dt.datetime(1, 1, 1) + dt.timedelta(microseconds=micros)  # noqa: DTZ001 - a clock without a zone
    try:
        if to_local:
            offset = plain.replace(tzinfo=dt.UTC).astimezone(zone).utcoffset()
        else:
            # Of two offsets, in the hour that is left out or comes twice, the larger is that of summer time.
            first, second = (plain.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
            assert first is not None
            assert second is not None
            offset = max(first, second)
    except OverflowError:
        return None
    assert offset is not None
    moved = micros + offset // dt.timedelta(microseconds=1) * (1 if to_local else -1)
    return moved * ticks.PER_MICROSECOND + rest if 0 <= moved <= ticks.MAX_DATETIME // ticks.PER_MICROSECOND else None


#: Nanoseconds, a hundredth of a tick, in one unit of Unix time.
_UNIX_UNITS = {"seconds": 1_000_000_000, "milliseconds": 1_000_000, "microseconds": 1_000, "nanoseconds": 1}


def _from_unix(size: int) -> Callable[[Sequence[Node], plan.Call], Node]:
    """A number of units of `size` nanoseconds since 1970 as a datetime; null out of the years 1 to 9999."""
    low, high = -ticks.UNIX_EPOCH * 100 // size, (ticks.MAX_DATETIME - ticks.UNIX_EPOCH) * 100 // size

    def scaled(units: Node) -> Node:
        """Ticks of whole units."""
        if size >= 100:
            return sql.multiply(units, sql.number(size // 100))
        return sql.whole_divide(units, sql.number(100 // size))

    def lower(arguments: Sequence[Node], call: plan.Call) -> Node:
        is_whole = call.arguments[0].type in INTEGERS

        def moment_of(value: Node) -> Node:
            units = value if is_whole else sql.cast(sql.call("trunc", value), sql.BIGINT)
            since = scaled(units)
            if not is_whole and size >= 100:
                # The part of a unit by itself: the whole number of ticks has more digits than a real.
                part = sql.multiply(sql.subtract(value, sql.call("trunc", value)), sql.number(size // 100))
                since = sql.add(since, sql.cast(sql.call("round", part), sql.BIGINT))
            known = exp.Between(this=value, low=sql.number(low), high=sql.number(high))
            return sql.case([(known, sql.add(since, sql.number(ticks.UNIX_EPOCH)))])

        given = arguments[0] if is_whole else sql.cast(arguments[0], sql.DOUBLE)
        return duckdb_time.bind(given, "u", moment_of)

    return lower


FUNCTIONS = (
    scripted(
        "make_datetime",
        _make_datetime,
        (*(whole(name) for name in ("year", "month", "day", "hour", "minute")), real("second")),
        KqlType.DATETIME,
        optional=3,
    ),
    scripted(
        "make_timespan",
        _make_timespan,
        (whole("first"), whole("second"), real("third"), real("fourth")),
        KqlType.TIMESPAN,
        optional=2,
    ),
    scripted(
        "datetime_utc_to_local",
        lambda value, name: _moved(value, name, to_local=True),
        (moment("from"), text("timezone")),
        KqlType.DATETIME,
    ),
    scripted(
        "datetime_local_to_utc",
        lambda value, name: _moved(value, name, to_local=False),
        (moment("from"), text("timezone")),
        KqlType.DATETIME,
    ),
    Function("now", (span("offset"),), KqlType.DATETIME, optional=1, bind=_bind_now, never_null=True),
    Function("ago", (span("timespan"),), KqlType.DATETIME, bind=_bind_ago),
    Function(
        "datetime_part",
        (text("part", literal=True), moment("date")),
        KqlType.INT,
        duckdb(_datetime_part),
        ("datepart",),
        bind=_with_unit(_PARTS),
    ),
    _part_function("getyear", "year"),
    _part_function("monthofyear", "month", "getmonth"),
    _part_function("dayofmonth", "day"),
    _part_function("dayofyear", "dayofyear"),
    _part_function("hourofday", "hour"),
    _part_function("week_of_year", "week_of_year", "weekofyear"),
    Function("dayofweek", (moment("date"),), KqlType.TIMESPAN, duckdb(_day_of_week)),
    *(_start_function(period) for period in _STARTS),
    *(_end_function(period) for period in _STARTS),
    Function(
        "datetime_diff",
        (text("period", literal=True), moment("datetime1"), moment("datetime2")),
        KqlType.LONG,
        duckdb(_datetime_diff),
        bind=_with_unit(_CALENDAR_UNITS),
    ),
    Function(
        "datetime_add",
        (text("period", literal=True), whole("amount"), moment("datetime")),
        KqlType.DATETIME,
        duckdb(_datetime_add),
        makes_null=True,
        bind=_with_unit(_CALENDAR_UNITS),
    ),
    Function(
        "format_datetime",
        (moment("date"), text("format", literal=True)),
        KqlType.STRING,
        duckdb(_format_datetime),
        naming="first",
        bind=_format_bind(_date_elements),
    ),
    Function(
        "format_timespan",
        (span("timespan"), text("format", literal=True)),
        KqlType.STRING,
        duckdb(_format_timespan),
        naming="first",
        bind=_format_bind(_span_elements),
    ),
    *(
        Function(
            f"unixtime_{unit}_todatetime",
            (number("value"),),
            KqlType.DATETIME,
            duckdb(_from_unix(size)),
            makes_null=True,
        )
        for unit, size in _UNIX_UNITS.items()
    ),
)
