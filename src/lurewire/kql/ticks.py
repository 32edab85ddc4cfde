"""datetime and timespan as whole ticks of 100 ns, and their text forms.

A datetime counts from 0001-01-01T00:00:00Z, a timespan is signed. The accepted datetime texts are those of
https://learn.microsoft.com/kusto/query/scalar-data-types/datetime#supported-formats and the US form
`M/d/yyyy h:mm:ss tt` (also with hyphens); a fraction is cut after the seventh digit. The SQL in `dialects/duckdb_text.py` accepts the same
texts, by the same patterns.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

PER_MICROSECOND = 10
PER_MILLISECOND = 10_000
PER_SECOND = 10_000_000
PER_MINUTE = 60 * PER_SECOND
PER_HOUR = 60 * PER_MINUTE
PER_DAY = 24 * PER_HOUR
#: 1970-01-01T00:00:00Z in ticks.
UNIX_EPOCH = 719_162 * PER_DAY
#: The last tick of 9999-12-31.
MAX_DATETIME = 3_652_059 * PER_DAY - 1

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

#: White space, in the same words for Python and RE2.
_S = r"[ \t\r\n]"
_ZONE = r"([Zz]|[Gg][Mm][Tt]|[Uu][Tt][Cc]|[+-]\d{1,2}:?\d{2})?"
_CLOCK = r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,](\d+))?)?"
#: Year, month, day, hour, minute, second, fraction, zone.
ISO_PATTERN = rf"{_S}*(\d{{4}})[-/](\d{{1,2}})[-/](\d{{1,2}})(?:(?:[Tt]|{_S}+){_CLOCK})?{_S}*{_ZONE}{_S}*"
#: Day, month name, year, hour, minute, second, fraction, zone (RFC 822 and RFC 850).
RFC_PATTERN = (
    rf"{_S}*(?:[A-Za-z]{{3,9}},?{_S}+)?(\d{{1,2}})[ -]([A-Za-z]{{3}})[a-z]*[ -](\d{{4}}|\d{{2}}){_S}+"
    rf"{_CLOCK}{_S}*{_ZONE}{_S}*"
)
#: Month, day, year, hour, minute, second, fraction, AM or PM.
US_PATTERN = rf"{_S}*(\d{{1,2}})[/-](\d{{1,2}})[/-](\d{{4}})(?:,?{_S}+{_CLOCK}(?:{_S}*([AaPp])[Mm])?)?{_S}*[Zz]?{_S}*"
#: Sign, days, hours, minutes, seconds, fraction.
SPAN_PATTERN = rf"{_S}*(-)?(?:(\d{{1,8}})\.)?(\d{{1,2}}):(\d{{1,2}})(?::(\d{{1,2}})(?:\.(\d{{1,7}})\d*)?)?{_S}*"
#: A number with a unit, as in timespan literals.
UNIT_PATTERN = rf"{_S}*(-)?(\d{{1,18}})(?:\.(\d{{1,9}})\d*)?{_S}*([A-Za-z]+){_S}*"
#: A number of days.
DAYS_PATTERN = rf"{_S}*(-)?(\d{{1,8}})(?:\.(\d{{1,9}})\d*)?{_S}*"

_ISO = re.compile(ISO_PATTERN, re.ASCII)
_RFC = re.compile(RFC_PATTERN, re.ASCII)
_US = re.compile(US_PATTERN, re.ASCII)
_SPAN = re.compile(SPAN_PATTERN, re.ASCII)
_UNIT = re.compile(UNIT_PATTERN, re.ASCII)
_DAYS = re.compile(DAYS_PATTERN, re.ASCII)

#: Spellings of the timespan units and their ticks; 0 stands for the nanosecond, a hundredth of a tick.
UNITS: dict[str, int] = {
    **dict.fromkeys(("d", "day", "days"), PER_DAY),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), PER_HOUR),
    **dict.fromkeys(("m", "min", "minute", "minutes"), PER_MINUTE),
    **dict.fromkeys(("s", "sec", "second", "seconds"), PER_SECOND),
    **dict.fromkeys(("ms", "milli", "millis", "millisecond", "milliseconds"), PER_MILLISECOND),
    **dict.fromkeys(("micro", "micros", "microsecond", "microseconds"), PER_MICROSECOND),
    **dict.fromkeys(("tick", "ticks"), 1),
    **dict.fromkeys(("nano", "nanos", "nanosecond", "nanoseconds"), 0),
}


def ticks_from_datetime(value: datetime) -> int:
    """Ticks of an aware datetime (a naive one is taken as UTC)."""
    utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return ((utc - datetime(1, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)) * PER_MICROSECOND


def datetime_from_ticks(ticks: int) -> datetime:
    """The aware datetime of `ticks`, cut to microseconds; ValueError or OverflowError out of range."""
    return datetime(1, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // PER_MICROSECOND)


def ticks_from_text(text: str) -> int | None:
    """Ticks of a datetime text, cut after seven digits of fraction; None when it is none of the accepted forms."""
    if match := _ISO.fullmatch(text):
        year, month, day, hour, minute, second, fraction, zone = match.groups()
        return _ticks(int(year), int(month), int(day), (hour, minute, second, fraction), _zone_ticks(zone))
    if match := _RFC.fullmatch(text):
        day, name, year, hour, minute, second, fraction, zone = match.groups()
        if name.lower() not in MONTHS:
            return None
        century = 0 if len(year) == 4 else (2000 if int(year) < 50 else 1900)
        month_number = MONTHS.index(name.lower()) + 1
        return _ticks(century + int(year), month_number, int(day), (hour, minute, second, fraction), _zone_ticks(zone))
    if match := _US.fullmatch(text):
        month, day, year, hour, minute, second, fraction, half = match.groups()
        if half is not None:
            if not 1 <= int(hour) <= 12:
                return None
            hour = str(int(hour) % 12 + (12 if half in "Pp" else 0))
        return _ticks(int(year), int(month), int(day), (hour, minute, second, fraction), 0)
    return None


def _ticks(year: int, month: int, day: int, clock: tuple[str | None, ...], zone: int | None) -> int | None:
    hour, minute, second, fraction = clock
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    if zone is None or hours > 23 or minutes > 59 or seconds > 59:
        return None
    try:
        days = date(year, month, day).toordinal() - 1
    except ValueError:
        return None
    sub = int((fraction or "0")[:7].ljust(7, "0"))
    ticks = days * PER_DAY + hours * PER_HOUR + minutes * PER_MINUTE + seconds * PER_SECOND + sub - zone
    return ticks if 0 <= ticks <= MAX_DATETIME else None


def _zone_ticks(zone: str | None) -> int | None:
    if zone is None or zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "")
    hours, minutes = int(digits[:-2]), int(digits[-2:])
    if hours > 14 or minutes > 59:
        return None
    return (-1 if zone[0] == "-" else 1) * (hours * PER_HOUR + minutes * PER_MINUTE)


def datetime_text(ticks: int, *, trim: bool = False) -> str:
    """`2026-01-01T00:00:00.1234567Z`; with `trim`, trailing zeros of the fraction are left out."""
    moment = datetime_from_ticks(ticks)
    fraction = f"{ticks % PER_SECOND:07d}"
    if trim:
        fraction = fraction.rstrip("0")
    text = f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}T{moment:%H:%M:%S}"
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def timespan_text(ticks: int) -> str:
    """`[-][d.]hh:mm:ss[.fffffff]`, the constant format of .NET."""
    sign, rest = ("-", -ticks) if ticks < 0 else ("", ticks)
    days, rest = divmod(rest, PER_DAY)
    hours, rest = divmod(rest, PER_HOUR)
    minutes, rest = divmod(rest, PER_MINUTE)
    seconds, fraction = divmod(rest, PER_SECOND)
    text = f"{sign}{f'{days}.' if days else ''}{hours:02d}:{minutes:02d}:{seconds:02d}"
    return f"{text}.{fraction:07d}" if fraction else text


def timespan_from_text(text: str) -> int | None:
    """Ticks of a timespan text: `[-][d.]hh:mm[:ss[.f]]`, a number with a unit, or whole days; None when it is neither."""
    if match := _SPAN.fullmatch(text):
        sign, days, hours, minutes, seconds, fraction = match.groups()
        if int(hours) > 23 or int(minutes) > 59 or int(seconds or 0) > 59:
            return None
        ticks = (
            int(days or 0) * PER_DAY
            + int(hours) * PER_HOUR
            + int(minutes) * PER_MINUTE
            + int(seconds or 0) * PER_SECOND
            + int((fraction or "0").ljust(7, "0"))
        )
        return _span_in_range(-ticks if sign else ticks)
    if match := _UNIT.fullmatch(text):
        sign, whole, fraction, unit = match.groups()
        if unit not in UNITS:
            return None
        ticks = _scale(int(whole), fraction, UNITS[unit])
        return _span_in_range(-ticks if sign else ticks)
    if match := _DAYS.fullmatch(text):
        sign, whole, fraction = match.groups()
        ticks = _scale(int(whole), fraction, PER_DAY)
        return _span_in_range(-ticks if sign else ticks)
    return None


def _scale(whole: int, fraction: str | None, unit: int) -> int:
    """A number of units in ticks, cut to whole ticks; unit 0 is the nanosecond, a hundredth of a tick."""
    if unit == 0:
        return whole // 100
    return whole * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)


def _span_in_range(ticks: int) -> int | None:
    return ticks if -(2**63) <= ticks < 2**63 else None
