"""Functions of datetimes and timespans (https://learn.microsoft.com/kusto/query/scalar-functions#datetimetimespan-functions)."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from lurewire.kql.types import KqlType as K

from .table import function
from .values import DAY, HOUR, LAST_TICK, MINUTE, SECOND, Refused, datetime_from_text, in_years, moment_of, ticks_of

if TYPE_CHECKING:
    from collections.abc import Callable

_FIXED = {
    "week": 7 * DAY, "day": DAY, "hour": HOUR, "minute": MINUTE, "second": SECOND, "millisecond": 10_000,
    "microsecond": 10,
}  # fmt: skip


def _start(ticks: int, unit: str, offset: int = 0) -> int | None:
    moment, _ = moment_of(ticks)
    day = dt.datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001 - all is UTC
    try:
        if unit == "day":
            found = day + dt.timedelta(days=offset)
        elif unit == "week":
            found = day + dt.timedelta(days=7 * offset - (day.weekday() + 1) % 7)
        else:
            months = day.year * 12 + (day.month - 1 if unit == "month" else 0) + offset * (1 if unit == "month" else 12)
            found = dt.datetime(months // 12, months % 12 + 1, 1)  # noqa: DTZ001 - as above
    except (ValueError, OverflowError) as error:
        raise Refused("a datetime out of its years") from error
    return in_years(ticks_of(found))


def _starts(unit: str) -> Callable[..., int | None]:
    return lambda ticks, offset=0: _start(ticks, unit, offset)


def _ends(unit: str) -> Callable[..., int | None]:
    def end(ticks: int, offset: int = 0) -> int | None:
        following = _start(ticks, unit, offset + 1)
        return None if following is None else in_years(following - 1)

    return end


def part_of(part: str, ticks: int) -> int:
    """datetime_part()."""
    moment, rest = moment_of(ticks)
    simple = {
        "year": moment.year, "month": moment.month, "day": moment.day, "hour": moment.hour, "minute": moment.minute,
        "second": moment.second, "quarter": (moment.month + 2) // 3, "dayofyear": moment.timetuple().tm_yday,
        "week_of_year": moment.isocalendar().week, "weekofyear": moment.isocalendar().week,
        "millisecond": rest // 10_000, "microsecond": rest // 10, "nanosecond": rest * 100,
    }  # fmt: skip
    if part.lower() not in simple:
        raise Refused(f"the part {part}")
    return simple[part.lower()]


def _months(moment: dt.datetime, count: int) -> dt.datetime:
    total = moment.year * 12 + moment.month - 1 + count
    for day in range(moment.day, 27, -1) if moment.day > 28 else (moment.day,):
        try:
            return moment.replace(year=total // 12, month=total % 12 + 1, day=day)
        except ValueError:
            continue
    raise Refused("datetime_add() out of the years")


def _add(part: str, amount: int, ticks: int) -> int | None:
    unit = part.lower()
    if unit in _FIXED:
        return in_years(ticks + amount * _FIXED[unit])
    months = {"year": 12, "quarter": 3, "month": 1}.get(unit)
    if months is None:
        raise Refused(f"the part {part}")
    moment, rest = moment_of(ticks)
    return ticks_of(_months(moment, amount * months), rest)


def _diff(part: str, one: int, other: int) -> int:
    """The boundaries between two datetimes."""
    unit = part.lower()
    if unit == "nanosecond":
        return (one - other) * 100
    if unit in ("year", "quarter", "month"):
        numbers = []
        for ticks in (one, other):
            moment, _ = moment_of(ticks)
            months = moment.year * 12 + moment.month - 1
            numbers.append(months // {"year": 12, "quarter": 3, "month": 1}[unit])
        return numbers[0] - numbers[1]
    if unit == "week":
        first, second = _start(one, "week"), _start(other, "week")
        if first is None or second is None:
            raise Refused("a week before the year 1")
        return (first - second) // (7 * DAY)
    if unit not in _FIXED:
        raise Refused(f"the part {part}")
    return one // _FIXED[unit] - other // _FIXED[unit]


_FORMATS: dict[str, Callable[[dt.datetime, int], str]] = {
    "yyyy": lambda m, r: f"{m.year:04d}", "yy": lambda m, r: f"{m.year % 100:02d}", "MM": lambda m, r: f"{m.month:02d}",
    "M": lambda m, r: str(m.month), "dd": lambda m, r: f"{m.day:02d}", "d": lambda m, r: str(m.day),
    "HH": lambda m, r: f"{m.hour:02d}", "H": lambda m, r: str(m.hour), "hh": lambda m, r: f"{(m.hour + 11) % 12 + 1:02d}",
    "h": lambda m, r: str((m.hour + 11) % 12 + 1), "mm": lambda m, r: f"{m.minute:02d}", "m": lambda m, r: str(m.minute),
    "ss": lambda m, r: f"{m.second:02d}", "s": lambda m, r: str(m.second), "tt": lambda m, r: "AM" if m.hour < 12 else "PM",
}  # fmt: skip


def _format(ticks: int, shape: str) -> str:
    moment, rest = moment_of(ticks)
    words = re.findall(r"([a-zA-Z])(\1*)|([ \-/_:,.\[\]])", shape)
    if sum(len(a) + len(b) + len(c) for a, b, c in words) != len(shape):
        raise Refused(f"the format {shape!r}")
    parts = []
    for letter, more, mark in words:
        if mark:
            parts.append(mark)
        elif letter + more in _FORMATS:
            parts.append(_FORMATS[letter + more](moment, rest))
        elif letter == "f" and len(more) < 7:
            parts.append(f"{rest:07d}"[: len(more) + 1])
        else:
            raise Refused(f"the format {shape!r}")
    return "".join(parts)


def _make(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: float = 0.0) -> int | None:
    try:
        moment = dt.datetime(year, month, day, hour, minute)  # noqa: DTZ001 - as above
    except ValueError:
        return None
    if not 0 <= second < 60:
        return None
    if second != int(second):
        raise Refused("make_datetime() with a part of a second")
    return ticks_of(moment, int(second) * SECOND)


def _unix(factor: int) -> Callable[[float], int | None]:
    epoch = datetime_from_text("1970-01-01")
    assert epoch is not None

    def value(number: float) -> int | None:
        if number != int(number):
            raise Refused("a part of a Unix unit")
        ticks = epoch + int(number) * factor
        return ticks if 0 <= ticks <= LAST_TICK else None

    return value


for _unit in ("day", "week", "month", "year"):
    function(f"startof{_unit}", "t?l", K.DATETIME, _starts(_unit))
    function(f"endof{_unit}", "t?l", K.DATETIME, _ends(_unit))
function("dayofweek", "t", K.TIMESPAN, lambda ticks: (moment_of(ticks)[0].weekday() + 1) % 7 * DAY)
function("dayofmonth", "t", K.INT, lambda ticks: moment_of(ticks)[0].day)
function("dayofyear", "t", K.INT, lambda ticks: moment_of(ticks)[0].timetuple().tm_yday)
function("hourofday", "t", K.INT, lambda ticks: moment_of(ticks)[0].hour)
function("monthofyear getmonth", "t", K.INT, lambda ticks: moment_of(ticks)[0].month)
function("getyear", "t", K.INT, lambda ticks: moment_of(ticks)[0].year)
function("week_of_year", "t", K.INT, lambda ticks: moment_of(ticks)[0].isocalendar().week)
function("datetime_part datepart", "st", K.INT, part_of)
function("datetime_add", "slt", K.DATETIME, _add)
function("datetime_diff", "stt", K.LONG, _diff)
function("format_datetime", "ts", K.STRING, _format)
function("make_datetime", "lll?llr", K.DATETIME, _make)
function("make_timespan", "ll?l", K.TIMESPAN, lambda h, m, s=0: h * HOUR + m * MINUTE + s * SECOND)
function("unixtime_seconds_todatetime", "r", K.DATETIME, _unix(SECOND))
function("unixtime_milliseconds_todatetime", "r", K.DATETIME, _unix(10_000))
function("unixtime_microseconds_todatetime", "r", K.DATETIME, _unix(10))
