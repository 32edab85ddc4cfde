"""What the benches share: percentiles and the last line."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(math.ceil(percent / 100 * len(ordered)) - 1, 0)]


def finish(
    bench: str, figures: dict[str, float], goal: dict[str, float], at_least: dict[str, float] | None = None
) -> int:
    """Print the last line; every figure named in `goal` must be at most the goal's, in `at_least` at least that."""
    met = all(figures[name] <= limit for name, limit in goal.items())
    more = {} if at_least is None else {"at_least": at_least}
    met = met and all(figures[name] >= limit for name, limit in (at_least or {}).items())
    rounded = {name: round(value, 4) for name, value in figures.items()}
    print(json.dumps({"bench": bench, "figures": rounded, "goal": goal, **more, "met": met}))
    return 0
