"""Retry policies of outbound requests.

Source: https://learn.microsoft.com/azure/logic-apps/error-exception-handling#retry-policies
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lurewire.playbooks.durations import seconds

if TYPE_CHECKING:
    import random

_TYPES = ("none", "fixed", "exponential", "default")
_SHORTEST, _LONGEST = 5.0, 86_400.0

RETRIED_STATUSES = frozenset({408, 429})
"""Besides every 5xx."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and after how many seconds a request is tried again; `fixed` waits `interval` each time."""

    count: int
    interval: float
    minimum: float
    maximum: float
    fixed: bool = False

    def delay(self, attempt: int, chance: random.Random) -> float:
        """Seconds before retry `attempt` (1 is the first)."""
        if self.fixed:
            return self.interval
        if attempt == 1:
            lowest, highest = self.minimum, min(self.interval, self.maximum)
        else:
            lowest = max(2.0 ** (attempt - 2) * self.interval, self.minimum)
            highest = min(2.0 ** (attempt - 1) * self.interval, self.maximum)
        return min(chance.uniform(min(lowest, highest), highest), self.maximum)


DEFAULT = RetryPolicy(count=4, interval=7.5, minimum=5.0, maximum=45.0)
NONE = RetryPolicy(count=0, interval=5.0, minimum=5.0, maximum=5.0)


def retried(status: int) -> bool:
    """Whether an HTTP status is worth another attempt."""
    return status in RETRIED_STATUSES or status >= 500


def parse(policy: Any, most: int) -> RetryPolicy:
    """A `retryPolicy`, evaluated, with at most `most` retries; raises `ValueError` naming the property."""
    if policy is None:
        return DEFAULT
    if not isinstance(policy, dict):
        raise ValueError("retryPolicy must be an object")  # noqa: TRY004 - one error for whatever is wrong in it
    kind = str(policy.get("type", "default")).lower()
    if kind not in _TYPES:
        message = f"retryPolicy.type is '{kind[:40]}'; it can be {', '.join(_TYPES)}"
        raise ValueError(message)
    if kind == "default":
        return DEFAULT
    if kind == "none":
        return NONE
    count = policy.get("count")
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= most:
        message = f"retryPolicy.count must be an integer from 1 to {most}"
        raise ValueError(message)
    interval = _duration(policy, "interval", None)
    if kind == "fixed":
        return RetryPolicy(count, interval, interval, interval, fixed=True)
    return RetryPolicy(
        count, interval, _duration(policy, "minimumInterval", _SHORTEST), _duration(policy, "maximumInterval", _LONGEST)
    )


def _duration(policy: dict[str, Any], name: str, default: float | None) -> float:
    value = policy.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        message = f"retryPolicy.{name} must be an ISO 8601 duration"
        raise ValueError(message)  # noqa: TRY004 - the same
    found = seconds(value)
    if not _SHORTEST <= found <= _LONGEST:
        message = f"retryPolicy.{name} must be from PT5S to P1D"
        raise ValueError(message)
    return found
