"""Timestamps as .NET keeps them: 100 ns ticks since 0001-01-01, in UTC or without a zone; its format strings.

Sources: https://learn.microsoft.com/dotnet/standard/base-types/custom-date-and-time-format-strings and
https://learn.microsoft.com/dotnet/standard/base-types/standard-date-and-time-format-strings (culture en-US)
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

TICKS_PER_SECOND = 10_000_000
TICKS_PER_DAY = 86_400 * TICKS_PER_SECOND
MAX_TICKS = 3_155_378_975_999_999_999

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = tuple(calendar.month_name)

_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d{1,9}))?)?"
_ZONE = r"(?P<zone>Z|[+-]\d{2}:?\d{2})?"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?P<year>\d{{4}})-(?P<month>\d{{1,2}})-(?P<day>\d{{1,2}})(?:(?:T| +){_CLOCK})? ?{_ZONE}",
        rf"(?P<month>\d{{1,2}})/(?P<day>\d{{1,2}})/(?P<year>\d{{4}})(?: +{_CLOCK}(?: ?(?P<half>AM|PM))?)? ?{_ZONE}",
        rf"(?:[A-Z]{{3}}, )?(?P<day>\d{{1,2}}) (?P<month>[A-Z]{{3}}) (?P<year>\d{{4}}) {_CLOCK} (?P<zone>GMT)",
    )
)
_SHORT_MONTHS = {name[:3].lower(): number for number, name in enumerate(_MONTHS) if name}

_STANDARD = {
    "d": "M/d/yyyy",
    "D": "dddd, MMMM d, yyyy",
    "f": "dddd, MMMM d, yyyy h:mm tt",
    "F": "dddd, MMMM d, yyyy h:mm:ss tt",
    "U": "dddd, MMMM d, yyyy h:mm:ss tt",
    "g": "M/d/yyyy h:mm tt",
    "G": "M/d/yyyy h:mm:ss tt",
    "m": "MMMM d",
    "M": "MMMM d",
    "o": "yyyy-MM-ddTHH:mm:ss.fffffffK",
    "O": "yyyy-MM-ddTHH:mm:ss.fffffffK",
    "r": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
    "R": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
    "s": "yyyy-MM-ddTHH:mm:ss",
    "t": "h:mm tt",
    "T": "h:mm:ss tt",
    "u": "yyyy-MM-dd HH:mm:ss'Z'",
    "y": "MMMM yyyy",
    "Y": "MMMM yyyy",
}
_SPECIFIER = re.compile(
    r"""(?P<quoted>'[^']*'|"[^"]*")|\\(?P<escaped>.)|%(?P<single>[dfFghHKmMstyz])|(?P<run>([dfFghHKmMstyz])\5*)|(?P<other>.)""",
    re.DOTALL,
)


class MomentError(ValueError):
    """The text is no timestamp, the result is out of range, or the format string is not valid."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time; `utc` False: the text had no zone, and the result has none either."""

    ticks: int
    utc: bool

    @classmethod
    def of(cls, when: datetime) -> Moment:
        """An aware `datetime`."""
        when = when.astimezone(UTC)
        seconds = (when.toordinal() - 1) * 86_400 + when.hour * 3600 + when.minute * 60 + when.second
        return cls(seconds * TICKS_PER_SECOND + when.microsecond * 10, utc=True)

    @classmethod
    def parse(cls, text: str) -> Moment:
        """ISO 8601, `M/d/yyyy [h:mm[:ss] [AM]]` or RFC 1123; an offset is converted to UTC. Raises `MomentError`."""
        for form in _FORMS:
            match = form.fullmatch(text.strip())
            if match is not None:
                return _moment(match.groupdict(), text)
        message = f"'{text[:60]}' is not a timestamp that is understood; use ISO 8601"
        raise MomentError(message)

    def plus_ticks(self, ticks: int) -> Moment:
        """Later by `ticks` of 100 ns; raises `MomentError` beyond the years 1 to 9999."""
        moved = self.ticks + ticks
        if not 0 <= moved <= MAX_TICKS:
            raise MomentError("the result is outside the years 1 to 9999")
        return Moment(moved, self.utc)

    def plus_months(self, months: int) -> Moment:
        """Later by calendar months; the day is cut to the month's last."""
        day = self.date
        index = day.year * 12 + day.month - 1 + months
        year, month = divmod(index, 12)
        if not 1 <= year <= 9999:
            raise MomentError("the result is outside the years 1 to 9999")
        last = calendar.monthrange(year, month + 1)[1]
        moved = date(year, month + 1, min(day.day, last))
        return Moment((moved.toordinal() - 1) * TICKS_PER_DAY + self.ticks % TICKS_PER_DAY, self.utc)

    @property
    def date(self) -> date:
        """The calendar day."""
        return date.fromordinal(self.ticks // TICKS_PER_DAY + 1)

    def floor(self, unit_ticks: int) -> Moment:
        """The start of the hour or day it lies in."""
        return Moment(self.ticks - self.ticks % unit_ticks, self.utc)

    def format(self, pattern: str = "o") -> str:
        """The text of a .NET standard or custom format string, culture en-US; raises `MomentError`."""
        if len(pattern) == 1:
            if pattern not in _STANDARD:
                message = f"'{pattern}' is not a standard date and time format string"
                raise MomentError(message)
            pattern = _STANDARD[pattern]
        return "".join(self._piece(match) for match in _SPECIFIER.finditer(pattern))

    def _piece(self, match: re.Match[str]) -> str:
        if match["quoted"] is not None:
            return match["quoted"][1:-1]
        if match["escaped"] is not None:
            return match["escaped"]
        if match["other"] is not None:
            if match["other"] in "'\"\\%":
                raise MomentError("the format string has an unclosed quotation mark or a lone '%' or '\\'")
            return match["other"]
        run = match["single"] or match["run"]
        return self._specifier(run[0], len(run))

    def _specifier(self, letter: str, count: int) -> str:
        day, seconds = self.date, self.ticks % TICKS_PER_DAY // TICKS_PER_SECOND
        hour, minute, second = seconds // 3600, seconds // 60 % 60, seconds % 60
        padded = {"h": (hour + 11) % 12 + 1, "H": hour, "m": minute, "s": second}
        if letter in padded:
            return f"{padded[letter]:0{min(count, 2)}d}"
        if letter in "fF":
            return self._fraction(letter, count)
        if letter == "d":
            name = _DAYS[day.weekday()]
            return (str(day.day), f"{day.day:02d}", name[:3], name)[min(count, 4) - 1]
        if letter == "M":
            name = _MONTHS[day.month]
            return (str(day.month), f"{day.month:02d}", name[:3], name)[min(count, 4) - 1]
        if letter == "y":
            return f"{day.year % 100:0{count}d}" if count <= 2 else f"{day.year:0{count}d}"
        if letter == "t":
            return ("AM" if hour < 12 else "PM")[: min(count, 2)]
        if letter == "K":
            return ("Z" if self.utc else "") * count
        if letter == "z":
            return ("+0", "+00", "+00:00")[min(count, 3) - 1]
        return "A.D."

    def _fraction(self, letter: str, count: int) -> str:
        if count > 7:
            raise MomentError("the format string asks for more than 7 digits of a second")
        digits = f"{self.ticks % TICKS_PER_SECOND:07d}"[:count]
        return digits if letter == "f" else digits.rstrip("0")


def _moment(parts: dict[str, str | None], text: str) -> Moment:
    month = parts["month"] or ""
    hour = int(parts["hour"] or 0)
    if parts.get("half"):
        if not 1 <= hour <= 12:
            raise MomentError(f"'{text[:60]}' is not a timestamp: the hour is out of range")
        hour = hour % 12 + (12 if (parts["half"] or "").upper() == "PM" else 0)
    try:
        number = int(month) if month.isdigit() else _SHORT_MONTHS[month.lower()]
        when = datetime(
            int(parts["year"] or 0),
            number,
            int(parts["day"] or 0),
            hour,
            int(parts["minute"] or 0),
            int(parts["second"] or 0),
            tzinfo=UTC,
        )
    except (ValueError, KeyError) as error:
        message = f"'{text[:60]}' is not a timestamp: {error}"
        raise MomentError(message) from None
    moment = Moment.of(when).plus_ticks(int((parts["fraction"] or "").ljust(7, "0")[:7]))
    zone = (parts["zone"] or "").upper()
    if zone in ("", "Z", "GMT"):
        return Moment(moment.ticks, utc=bool(zone))
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return moment.plus_ticks(minutes * 60 * TICKS_PER_SECOND * (-1 if zone[0] == "+" else 1))


def timespan(ticks: int) -> str:
    """A duration in .NET's constant form, `[-][d.]hh:mm:ss[.fffffff]`."""
    days, rest = divmod(abs(ticks), TICKS_PER_DAY)
    seconds, fraction = divmod(rest, TICKS_PER_SECOND)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    sign = "-" if ticks < 0 else ""
    return f"{sign}{f'{days}.' if days else ''}{clock}{f'.{fraction:07d}' if fraction else ''}"
