"""Lines and polynomials through a series: series_fit_2lines, series_fit_2lines_dynamic, series_fit_poly.

Variances are those of a sample, and places count from one, as in series_fit_line. What Microsoft's pages leave open is
chosen so: each of the two lines goes through two points at least, and its places count from one again, as if
series_fit_line() had been called for its part; of equally good splits the first is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lurewire.kql.types import KqlType

from .common import scripted
from .registry import dynamic, whole
from .series import columns_of
from .series_points import Json, Points, numbers

_DYNAMIC, _REAL, _LONG = KqlType.DYNAMIC, KqlType.REAL, KqlType.LONG
#: Points that a line goes through at least.
_LEAST = 2
#: Higher powers of places beyond this are rounding only.
_HIGHEST_DEGREE = 30
#: Powers of places that a fit computes at most.
_PRODUCTS = 5_000_000

_SIDE = ("rsquare", "slope", "interception", "variance", "rvariance")
_TWO_LINES = (
    ("rsquare", _REAL),
    ("split_idx", _LONG),
    ("variance", _REAL),
    ("rvariance", _REAL),
    ("line_fit", _DYNAMIC),
    *((f"{side}_{name}", _REAL) for side in ("right", "left") for name in _SIDE),
)
_POLYNOMIAL = (
    ("rsquare", _REAL),
    ("coefficients", _DYNAMIC),
    ("variance", _REAL),
    ("rvariance", _REAL),
    ("poly_fit", _DYNAMIC),
)


def _variance(deviations: Points) -> float:
    """Of a sample."""
    return float(deviations @ deviations) / max(deviations.size - 1, 1)


def _rsquare(residual: float, variance: float) -> float:
    return 1 - residual / variance if variance else 1.0 if residual == 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Line:
    """A line through points at the places 1, 2, ..."""

    rsquare: float
    slope: float
    interception: float
    variance: float
    rvariance: float
    fitted: Points

    @classmethod
    def through(cls, values: Points) -> _Line:
        """The line of least squares."""
        places = np.arange(1, values.size + 1, dtype=np.float64)
        center, mean = (values.size + 1) / 2, float(values.mean())
        distances = places - center
        slope = float(distances @ (values - mean)) / float(distances @ distances)
        start = mean - slope * center
        fitted = start + slope * places
        variance, residual = _variance(values - mean), _variance(values - fitted)
        return cls(_rsquare(residual, variance), slope, start, variance, residual, fitted)

    def side(self) -> list[float]:
        """What the columns of one side hold."""
        return [self.rsquare, self.slope, self.interception, self.variance, self.rvariance]


def _two_lines(series: Json) -> Json:
    values = numbers(series)
    if values is None:
        return None
    if values.size < 2 * _LEAST:
        return [None] * len(_TWO_LINES)
    split = _split(values)
    left, right = _Line.through(values[:split]), _Line.through(values[split:])
    fitted = np.concatenate([left.fitted, right.fitted])
    variance, residual = _variance(values - values.mean()), _variance(values - fitted)
    return [_rsquare(residual, variance), split, variance, residual, fitted.tolist(), *right.side(), *left.side()]


def _split(values: Points) -> int:
    """Where the right line begins, so that both together leave the least squares."""
    centered = values - values.mean()
    left = _squares_left(centered)
    right = _squares_left(centered[::-1])[::-1]
    return int(np.argmin(left[_LEAST - 1 : -_LEAST] + right[_LEAST : 1 - _LEAST])) + _LEAST


def _squares_left(values: Points) -> Points:
    """The squares that a line leaves through the first 1, 2, ... points."""
    places = np.arange(values.size, dtype=np.float64)
    counts = places + 1
    sums, squares, products = np.cumsum(values), np.cumsum(values * values), np.cumsum(values * places)
    center = places / 2
    spread = counts * (counts * counts - 1) / 12
    covariance = products - center * sums
    explained = np.divide(covariance * covariance, spread, out=np.zeros_like(spread), where=spread > 0)
    left: Points = squares - sums * sums / counts - explained
    return left


def _two_lines_bag(series: Json) -> Json:
    found = _two_lines(series)
    if found is None:
        return None
    flat = dict(zip((name for name, _ in _TWO_LINES), found, strict=True))
    sides = {side: {name: flat.pop(f"{side}_{name}") for name in _SIDE} for side in ("right", "left")}
    return {**flat, **sides}


def _polynomial(series: Json, places: Json, degree: int | None) -> Json:
    values = numbers(series)
    if values is None:
        return None
    where = np.arange(1, values.size + 1, dtype=np.float64) if places is None else numbers(places)
    degree = 1 if degree is None else degree
    if not 0 <= degree <= _HIGHEST_DEGREE:
        raise ValueError(f"series_fit_poly(): the degree must be from 0 to {_HIGHEST_DEGREE}, not {degree}")
    # As many places are needed as there are coefficients.
    if where is None or where.size != values.size or np.unique(where).size <= degree:
        return [None] * len(_POLYNOMIAL)
    if values.size * (degree + 1) > _PRODUCTS:
        raise ValueError(f"series_fit_poly(): {values.size} points are too many for the degree {degree}")
    found, _ = np.polynomial.Polynomial.fit(where, values, degree, full=True)
    coefficients = found.convert().coef
    coefficients = np.concatenate([coefficients, np.zeros(degree + 1 - coefficients.size)])
    fitted = found(where)
    variance, residual = _variance(values - values.mean()), _variance(values - fitted)
    score = _rsquare(residual, variance)
    if not all(map(math.isfinite, (score, *coefficients))):
        return [None] * len(_POLYNOMIAL)
    return [score, coefficients[::-1].tolist(), variance, residual, fitted.tolist()]


_SERIES = dynamic("series")

FUNCTIONS = (
    scripted(
        "series_fit_2lines", _two_lines, (_SERIES,), _DYNAMIC, columns=columns_of("series_fit_2lines", _TWO_LINES)
    ),
    scripted("series_fit_2lines_dynamic", _two_lines_bag, (_SERIES,), _DYNAMIC),
    scripted(
        "series_fit_poly",
        _polynomial,
        (_SERIES, dynamic("x_series"), whole("degree")),
        _DYNAMIC,
        optional=2,
        columns=columns_of("series_fit_poly", _POLYNOMIAL),
    ),
)
