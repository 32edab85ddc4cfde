"""The query API's `timespan`: an ISO 8601 duration, or two ends of which one may be a duration.

Source: https://learn.microsoft.com/azure/azure-monitor/logs/api/request-format; forms as captured (contract section D).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from lurewire.kql import datetime_from_ticks, ticks_from_text

_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(
    rf"P(?:{_NUMBER}W|(?:{_NUMBER}D)?(?:T(?=\d)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?)", re.ASCII
)
_UNITS = ("weeks", "days", "hours", "minutes", "seconds")


class BadTimespan(ValueError):
    """The text is no timespan; says why."""


def parse_timespan(text: str, now: datetime) -> tuple[datetime, datetime]:
    """First and last moment of a timespan; a duration alone ends `now`. Raises `BadTimespan`."""
    parts = text.strip().split("/")
    if len(parts) == 1:
        return _shift(now, parts[0], -1), now
    if len(parts) != 2:
        raise BadTimespan(f"'{text[:80]}' has more than two parts")
    start, end = parts
    if start.startswith("P"):
        last = _moment(end)
        return _shift(last, start, -1), last
    first = _moment(start)
    return first, (_shift(first, end, 1) if end.startswith("P") else _moment(end))


def _moment(text: str) -> datetime:
    ticks = ticks_from_text(text)
    if ticks is None:
        raise BadTimespan(f"'{text[:80]}' is no ISO 8601 time")
    return datetime_from_ticks(ticks)


def _shift(moment: datetime, text: str, sign: int) -> datetime:
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise BadTimespan(f"'{text[:80]}' is no ISO 8601 duration of weeks, days, hours, minutes and seconds")
    try:
        length = timedelta(**{unit: float(value) for unit, value in zip(_UNITS, match.groups(), strict=True) if value})
        return moment + sign * length
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if sign < 0 else datetime.max.replace(tzinfo=UTC)
