"""Decomposition of a series: series_decompose, series_decompose_anomalies, series_decompose_forecast, series_outliers.

Sources: https://learn.microsoft.com/kusto/query/series-decompose-function and its kin. How a score is computed is told in
https://github.com/microsoft/Kusto-Query-Language/issues/136: the distance from the percentile over the range between the
percentiles, times a factor that makes 1.5 mean what it means between the 25th and the 75th percentile of a normal
distribution. Percentiles are interpolated linearly.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from lurewire.kql.types import KqlType

from .common import scripted
from .registry import dynamic, real, text, whole
from .series_periods import columns_of, detected_period, seasonal
from .series_points import Json, Points, numbers, points

_DYNAMIC = KqlType.DYNAMIC
_SEASONALITY_THRESHOLD = 0.6
_ANOMALY_THRESHOLD = 1.5
_TRENDS = ("avg", "linefit", "none")
_KINDS = ("ctukey", "tukey")
#: Percentiles of each kind when none are given, and the bounds of those that may be.
_PERCENTILES = {"ctukey": (10.0, 90.0), "tukey": (25.0, 75.0)}
_LOWEST, _HIGHEST = 2.0, 98.0
#: Where a normal distribution has a mild outlier: 1.5 ranges above the 75th percentile (0.675), which is 4 * 0.675.
_FENCE = 2.7
#: Microsoft's value for the 90th percentile, found from answers of its engine; other percentiles are the distribution's.
_NORMAL = {90.0: 1.29682082, 10.0: -1.29682082}
#: Below this part of the largest value, a residual is rounding.
_ROUNDING = 1e-12


class _Decomposition:
    """A series as seasonal + trend + residual, learned from all but its last points; at least one must be left."""

    def __init__(
        self,
        values: Points,
        seasonality: int | None,
        trend: str | None,
        test_points: int | None,
        threshold: float | None,
    ) -> None:
        seasonality, test_points = -1 if seasonality is None else seasonality, test_points or 0
        if seasonality < -1:
            raise ValueError(f"series_decompose(): the seasonality must be -1, 0 or a period, not {seasonality}")
        if test_points < 0:
            raise ValueError(f"series_decompose(): test_points must not be negative, but is {test_points}")
        self.learned = values.size - test_points
        if self.learned < 1:
            raise ValueError(f"series_decompose(): nothing can be learned from {values.size} points less {test_points}")
        learning = values[: self.learned]
        if seasonality == -1:
            least = _SEASONALITY_THRESHOLD if threshold is None else threshold
            seasonality = detected_period(learning, least, trend=True)
        self.seasonal = seasonal(learning, seasonality, values.size)
        self.trend = _trend(learning - self.seasonal[: self.learned], values.size, trend or "avg")
        self.baseline: Points = self.seasonal + self.trend
        self.residual: Points = values - self.baseline


def _trend(values: Points, size: int, kind: str) -> Points:
    """`size` points of the trend of the first ones."""
    if kind not in _TRENDS:
        raise ValueError(f"series_decompose(): the trend must be one of {', '.join(_TRENDS)}, not '{kind}'")
    if kind == "none":
        return np.zeros(size)
    mean = float(values.mean())
    if kind == "avg" or values.size == 1:
        return np.full(size, mean)
    distances = np.arange(size) - (values.size - 1) / 2
    learned = distances[: values.size]
    slope = float(learned @ (values - mean)) / float(learned @ learned)
    line: Points = np.add(mean, slope * distances)
    return line


def _normal(percentile: float) -> float:
    return _NORMAL.get(percentile, NormalDist().inv_cdf(percentile / 100))


def _scores(values: Points, learned: int, kind: str, low: float | None, high: float | None) -> Points:
    """Scores of outliers: 0 between the percentiles of the first `learned` values, and where a value is missing.

    Where both percentiles are one value, any other value is infinitely far from it.
    """
    if kind not in _KINDS:
        raise ValueError(f"the kind of outliers must be one of {', '.join(_KINDS)}, not '{kind}'")
    default = _PERCENTILES[kind]
    bounds = default if kind == "tukey" else (default[0] if low is None else low, default[1] if high is None else high)
    if not _LOWEST <= bounds[0] < bounds[1] <= _HIGHEST:
        message = f"percentiles must rise and be from {_LOWEST} to {_HIGHEST}, not {bounds[0]} and {bounds[1]}"
        raise ValueError(f"series_outliers(): {message}")
    scores = np.zeros(values.size)
    known = values[:learned][~np.isnan(values[:learned])]
    if known.size == 0:
        return scores
    bottom, top = np.percentile(known, bounds)
    above, below = (1.0, 1.0) if kind == "tukey" else _factors(*bounds)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        over, under = values > top, values < bottom
        scores[over] = (values[over] - top) / (top - bottom) * above
        scores[under] = (values[under] - bottom) / (top - bottom) * below
    return scores


def _factors(low: float, high: float) -> tuple[float, float]:
    """What makes a score above and one below the percentiles comparable with those of the quartiles."""
    bottom, top = _normal(low), _normal(high)
    span = _ANOMALY_THRESHOLD * (top - bottom)
    return span / (_FENCE - top), span / (_FENCE + bottom)


def _decompose(
    series: Json, seasonality: int | None, trend: str | None, test_points: int | None, threshold: float | None
) -> Json:
    values = numbers(series)
    if values is None or values.size == 0:
        return None
    found = _Decomposition(values, seasonality, trend, test_points, threshold)
    return [part.tolist() for part in (found.baseline, found.seasonal, found.trend, found.residual)]


def _anomalies(
    series: Json,
    threshold: float | None,
    seasonality: int | None,
    trend: str | None,
    test_points: int | None,
    method: str | None,
    seasonality_threshold: float | None,
) -> Json:
    values = numbers(series)
    if values is None or values.size == 0:
        return None
    found = _Decomposition(values, seasonality, trend, test_points, seasonality_threshold)
    residual = found.residual
    residual = np.where(np.abs(residual) <= _ROUNDING * np.abs(values).max(), 0.0, residual)
    scores = _scores(residual, found.learned, method or "ctukey", None, None)
    limit = _ANOMALY_THRESHOLD if threshold is None else threshold
    flags = (scores > limit).astype(int) - (scores < -limit).astype(int)
    return [flags.tolist(), scores.tolist(), found.baseline.tolist()]


def _forecast(
    series: Json, test_points: int, seasonality: int | None, trend: str | None, threshold: float | None
) -> Json:
    values = numbers(series)
    if values is None or values.size == 0:
        return None
    return _Decomposition(values, seasonality, trend, test_points, threshold).baseline.tolist()


def _outliers(
    series: Json,
    kind: str | None,
    ignored: float | None,
    low: float | None,
    high: float | None,
    test_points: int | None,
) -> Json:
    values = points(series)
    if values is None:
        return None
    if ignored is not None and not math.isnan(ignored):
        values = np.where(values == ignored, np.nan, values)
    learned = max(values.size - max(test_points or 0, 0), 0)
    return _scores(values, learned, kind or "ctukey", low, high).tolist()


_SERIES = dynamic("series")
_SEASONALITY, _TREND, _TEST_POINTS = whole("seasonality"), text("trend"), whole("test_points")
_SCORE = real("seasonality_threshold")


FUNCTIONS = (
    scripted(
        "series_decompose",
        _decompose,
        (_SERIES, _SEASONALITY, _TREND, _TEST_POINTS, _SCORE),
        _DYNAMIC,
        optional=4,
        columns=columns_of("series_decompose", "baseline", "seasonal", "trend", "residual"),
    ),
    scripted(
        "series_decompose_anomalies",
        _anomalies,
        (_SERIES, real("threshold"), _SEASONALITY, _TREND, _TEST_POINTS, text("method"), _SCORE),
        _DYNAMIC,
        optional=6,
        columns=columns_of("series_decompose_anomalies", "ad_flag", "ad_score", "baseline"),
    ),
    scripted(
        "series_decompose_forecast",
        _forecast,
        (_SERIES, _TEST_POINTS, _SEASONALITY, _TREND, _SCORE),
        _DYNAMIC,
        optional=3,
    ),
    scripted(
        "series_outliers",
        _outliers,
        (_SERIES, text("kind"), real("ignore_val"), real("min_percentile"), real("max_percentile"), _TEST_POINTS),
        _DYNAMIC,
        optional=5,
        naming="first",
    ),
)
