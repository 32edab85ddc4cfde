"""Durations as rules write them, in ticks of 100 ns.

Source: https://learn.microsoft.com/dotnet/api/system.xml.xmlconvert.tostring (the form that Azure writes back).
"""

from __future__ import annotations

import re
from typing import Final

SECOND: Final = 10_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
BEFORE_ALL: Final = -1
AFTER_ALL: Final = 2**63 - 1

_DURATION: Final = re.compile(
    r"P(?=.)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,7}))?S)?)?", re.ASCII
)


def parse_duration(text: str) -> int:
    """Ticks of an ISO 8601 duration of weeks, days, hours, minutes and seconds; raises `ValueError`.

    Months and years have no fixed length and are refused.
    """
    found = _DURATION.fullmatch(text.strip().upper())
    if found is None:
        raise ValueError(f"'{text}' is not an ISO 8601 duration such as PT5M, PT1H or P1D")
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[:5])
    fraction = int((found[6] or "").ljust(7, "0"))
    return (weeks * 7 + days) * DAY + hours * HOUR + minutes * MINUTE + seconds * SECOND + fraction


def format_duration(ticks: int) -> str:
    """The shortest ISO 8601 form without weeks: `PT5M`, `P1D`, `P1DT2H`."""
    days, rest = divmod(ticks, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds, fraction = divmod(rest, SECOND)
    second = f"{seconds}.{fraction:07d}".rstrip("0") if fraction else str(seconds)
    time = "".join(f"{v}{u}" for v, u in ((hours, "H"), (minutes, "M"), (second, "S")) if v not in (0, "0"))
    date = f"{days}D" if days else ""
    return f"P{date}{'T' if time else ''}{time}" if date or time else "PT0S"
