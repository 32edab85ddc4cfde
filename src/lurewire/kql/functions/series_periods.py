"""Periods of a series: series_periods_detect, series_periods_validate and series_seasonal.

Microsoft's pages say what comes out, not how a period is scored. Chosen here, in accord with the periods and the score
that they print and with what they say of series with a trend:

- The mean is taken away first; a linear trend too where a series is decomposed, for there it is a component of its own.
- The score of a period p is the smaller of the autocorrelations at the lags p and 2p, each the mean product of the
  deviations over the pairs of points that the lag leaves, divided by the variance; below 0 it is 0, above 1 it is 1.
  Both lags must leave a point, which is why no period longer than half the series has a score.
- A period is looked for where the periodogram has a peak that white noise would have in one of twenty cases at most;
  the lag with the highest autocorrelation on the hill around it is the period (as in Vlachos, Yu and Castelli, On
  periodicity detection and structural periodic similarity, 2005).
- A series that holds anything but numbers has no answer: of all functions, Microsoft says, only series_outliers()
  supports nulls.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lurewire.kql.naming import result_name
from lurewire.kql.types import KqlType

from .common import scripted
from .registry import Param, dynamic, real, whole
from .series_points import Json, Points, numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.kql import tree

_DYNAMIC = KqlType.DYNAMIC
#: Points that a period has at least.
_SHORTEST = 4
#: Periods that series_periods_validate() takes at most.
_VALIDATED = 16
#: Periods that series_periods_detect() gives at most: no series has more.
_DETECTED = 1_000
#: The power of a peak over the mean power that white noise exceeds in one of twenty cases (it is exponential).
_PEAK = math.log(20)
#: The score that series_seasonal() asks of a period.
_SEASONAL_SCORE = 0.7
#: A variance below this part of the mean square is rounding.
_ROUNDING = 1e-20


def columns_of(prefix: str, *names: str) -> Callable[[tree.Call], tuple[tuple[str, KqlType], ...]]:
    """Result columns that are arrays, named after the function and its first argument."""

    def columns(node: tree.Call) -> tuple[tuple[str, KqlType], ...]:
        inner = result_name(node.arguments[0]) if node.arguments else None
        return tuple((f"{prefix}_{inner or ''}_{name}", _DYNAMIC) for name in names)

    return columns


class Periodicity:
    """The autocorrelation of a series, and the periods that it shows."""

    def __init__(self, values: Points, *, trend: bool = False) -> None:
        """With `trend`, a linear trend is no part of what repeats itself."""
        size = values.size
        self._size = size
        self._correlations = np.zeros(size)
        self._deviations = _deviations(values, trend=trend) if size > 2 * _SHORTEST else np.zeros(size)
        square = float(self._deviations @ self._deviations)
        #: No variation, no period.
        self._flat = square <= _ROUNDING * float(values @ values)
        if self._flat:
            return
        length = 1 << (2 * size - 1).bit_length()
        spectrum = np.fft.rfft(self._deviations, length)
        products = np.fft.irfft(spectrum * spectrum.conj(), length)[:size]
        self._correlations = products / (size - np.arange(size)) / (square / size)

    def score(self, period: float) -> float:
        """How significant a period is, from 0 to 1; a period between two lags counts as the nearer one."""
        if not math.isfinite(period) or period < _SHORTEST or 2 * period > self._size:
            return 0.0
        lag = round(period)
        if 2 * lag >= self._size:
            return 0.0
        return float(min(max(min(self._correlations[lag], self._correlations[2 * lag]), 0.0), 1.0))

    def detect(self, low: float, high: float, count: int) -> list[tuple[int, float]]:
        """At most `count` periods from `low` to `high` with their scores, the highest first."""
        found = {lag: self.score(lag) for lag in self._hills() if low <= lag <= high}
        ranked = sorted(
            ((lag, score) for lag, score in found.items() if score > 0), key=lambda pair: (-pair[1], pair[0])
        )
        return ranked[: max(count, 0)]

    def _hills(self) -> set[int]:
        """Lags at the tops of the autocorrelation's hills that peaks of the periodogram point to."""
        size = self._size
        if self._flat:
            return set()
        power = np.abs(np.fft.rfft(self._deviations)) ** 2
        mean = power[1:].mean()
        if mean <= 0:
            return set()
        tops: set[int] = set()
        for frequency in range(1, min(power.size - 1, size // _SHORTEST + 1)):
            if power[frequency] >= _PEAK * mean and power[frequency] >= power[frequency - 1 : frequency + 2].max():
                top = self._top(frequency)
                if top is not None:
                    tops.add(top)
        return tops

    def _top(self, frequency: int) -> int | None:
        """The lag of the highest autocorrelation near a frequency; None where it lies on a slope."""
        size = self._size
        before = size / (frequency - 1) if frequency > 1 else size / 2
        first = max(math.floor((size / frequency + size / (frequency + 1)) / 2 - 1), 1)
        last = min(math.ceil((size / frequency + before) / 2 + 1), size - 2)
        if first > last:
            return None
        top = first + int(np.argmax(self._correlations[first : last + 1]))
        neighbours = self._correlations[top - 1], self._correlations[top + 1]
        return top if self._correlations[top] >= max(neighbours) else None


def _deviations(values: Points, *, trend: bool) -> Points:
    deviations: Points = values - values.mean()
    if not trend:
        return deviations
    places = np.arange(values.size) - (values.size - 1) / 2
    slope = (places @ deviations) / (places @ places)
    without: Points = deviations - slope * places
    return without


def _detect(series: Json, low: float, high: float, count: int) -> Json:
    values = numbers(series)
    if values is None:
        return None
    if not 1 <= count <= _DETECTED:
        raise ValueError(f"series_periods_detect(): num_periods must be from 1 to {_DETECTED}, not {count}")
    found = Periodicity(values).detect(low, high, count)
    found += [(0, 0.0)] * (count - len(found))
    return [[float(period) for period, _ in found], [score for _, score in found]]


def _validate(series: Json, periods: list[Json]) -> Json:
    values = numbers(series)
    if values is None or any(period is None for period in periods):
        return None
    if len(periods) > _VALIDATED:
        raise ValueError(f"series_periods_validate(): takes {_VALIDATED} periods at most, not {len(periods)}")
    wanted = [float(period) for period in periods]
    found = Periodicity(values)
    return [wanted, [found.score(period) for period in wanted]]


def detected_period(values: Points, threshold: float, *, trend: bool = False) -> int:
    """The most significant period with that score at least; 0 where there is none. `trend` as of Periodicity."""
    found = Periodicity(values, trend=trend).detect(_SHORTEST, values.size / 2, 1)
    return found[0][0] if found and found[0][1] >= threshold else 0


def seasonal(values: Points, period: int, size: int) -> Points:
    """`size` points of the seasonal component: the median of the values in the same phase of the period."""
    if period <= 0 or values.size == 0:
        return np.zeros(size)
    period = min(period, values.size)
    full = values.size // period
    cycles = values[: full * period].reshape(full, period)
    rest = values.size - full * period
    phases = np.median(cycles[:, rest:], axis=0)
    if rest:
        longer = np.vstack([cycles[:, :rest], values[full * period :]])
        phases = np.concatenate([np.median(longer, axis=0), phases])
    return np.resize(phases, size)


def _seasonal(series: Json, period: int | None, test_points: int | None) -> Json:
    values = numbers(series)
    if values is None:
        return None
    learned = values[: max(values.size - max(test_points or 0, 0), 0)]
    if period is None or period == -1:
        period = detected_period(learned, _SEASONAL_SCORE)
    return seasonal(learned, period, values.size).tolist()


_SERIES = dynamic("series")
_NUMBERS = frozenset({KqlType.INT, KqlType.LONG, KqlType.REAL, KqlType.DYNAMIC})

FUNCTIONS = (
    scripted(
        "series_periods_detect",
        _detect,
        (_SERIES, real("min_period"), real("max_period"), whole("num_periods")),
        _DYNAMIC,
        columns=columns_of("series_periods_detect", "periods", "scores"),
    ),
    scripted(
        "series_periods_validate",
        _validate,
        (_SERIES, Param("period", _NUMBERS)),
        _DYNAMIC,
        variadic=True,
        least=2,
        columns=columns_of("series_periods_validate", "periods", "scores"),
    ),
    scripted(
        "series_seasonal",
        _seasonal,
        (_SERIES, whole("period"), whole("test_points")),
        _DYNAMIC,
        optional=2,
    ),
)
