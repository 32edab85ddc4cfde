"""ISO 8601 durations and the engine's units of time.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers (intervals)
"""

from __future__ import annotations

import re

_DURATION = re.compile(
    r"P(?=.)(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=.)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_SECONDS = {"years": 365 * 86_400, "months": 30 * 86_400, "days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 7 * 86_400}
"""Seconds of the units that a delay may have."""


def seconds(text: str) -> float:
    """The seconds of an ISO 8601 duration such as `PT1H`; raises `ValueError`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        message = f"'{text[:40]}' is not an ISO 8601 duration such as PT20S or P1D"
        raise ValueError(message)
    return sum(float(value) * _SECONDS[name] for name, value in match.groupdict().items() if value is not None)
