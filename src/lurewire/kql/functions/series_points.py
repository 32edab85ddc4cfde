"""What the functions over whole series share: points as numpy arrays, and arrays back as JSON values."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .arrays import is_number

Json = Any
#: Points of a series, NaN where there is none.
Points: TypeAlias = NDArray[np.float64]


def points(series: Json) -> Points | None:
    """The elements as numbers; what is null, no number or not finite is missing (NaN). None unless it is an array."""
    if not isinstance(series, list):
        return None
    return np.array([_point(item) for item in series], dtype=np.float64)


def _point(item: Json) -> float:
    if not is_number(item):
        return math.nan
    try:
        value = float(item)
    except OverflowError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def numbers(series: Json) -> Points | None:
    """The elements as numbers; None unless it is an array and all of them are."""
    if not isinstance(series, list) or not all(is_number(item) for item in series):
        return None
    try:
        return np.array(series, dtype=np.float64)
    except OverflowError:
        return None
