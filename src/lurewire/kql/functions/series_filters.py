"""Filters and transforms of a series: series_fir, series_iir, series_fft, series_ifft.

Source: https://learn.microsoft.com/kusto/query/series-fir-function and its kin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lurewire.kql.types import KqlType

from .common import scripted
from .registry import dynamic, flag
from .series_periods import columns_of
from .series_points import Json, numbers

if TYPE_CHECKING:
    from .series_points import Points

_DYNAMIC = KqlType.DYNAMIC
#: Products of a point and a coefficient that one call computes at most: a second of work, about.
_PRODUCTS = 1_000_000_000
#: The same where every point needs the result before it, which Python computes one by one.
_STEPS = 10_000_000


def _refuse_long(function: str, points: int, coefficients: int, most: int) -> None:
    if points * coefficients > most:
        raise ValueError(f"{function}(): {points} points by {coefficients} coefficients are more than {most} products")


def _fir(series: Json, weights: Json, normalize: bool | None, center: bool | None) -> Json:
    values, coefficients = numbers(series), numbers(weights)
    if values is None or coefficients is None or coefficients.size == 0:
        return None
    negative = bool((coefficients < 0).any())
    if negative and normalize:
        return None
    if values.size == 0:
        return []
    _refuse_long("series_fir", values.size, coefficients.size, _PRODUCTS)
    total = float(coefficients.sum())
    if normalize is not False and not negative and total:
        coefficients = coefficients / total
    shift = coefficients.size // 2 if center else 0
    filtered = np.convolve(np.concatenate([values, np.zeros(shift)]), coefficients)
    return filtered[shift : shift + values.size].tolist()


def _iir(series: Json, numerators: Json, denominators: Json) -> Json:
    values, forward, back = numbers(series), numbers(numerators), numbers(denominators)
    if values is None or forward is None or back is None or forward.size == 0 or back.size == 0 or back[0] == 0:
        return None
    if values.size == 0:
        return []
    _refuse_long("series_iir", values.size, forward.size, _PRODUCTS)
    fed: Points = np.convolve(values, forward)[: values.size]
    if back.size == 1:
        return (fed / back[0]).tolist()
    _refuse_long("series_iir", values.size, back.size, _STEPS)
    result: list[float] = []
    first, rest = float(back[0]), back[1:].tolist()
    for place, value in enumerate(fed.tolist()):
        for lag, weight in enumerate(rest[:place], 1):
            value -= weight * result[place - lag]  # noqa: PLW2901 - the sum of the recursion
        result.append(value / first)
    return result


def _fft(real: Json, imaginary: Json) -> Json:
    found = _complex(real, imaginary)
    return None if found is None else _parts(np.fft.fft(found) if found.size else found)


def _ifft(real: Json, imaginary: Json) -> Json:
    found = _complex(real, imaginary)
    return None if found is None else _parts(np.fft.ifft(found) if found.size else found)


def _complex(real: Json, imaginary: Json) -> np.ndarray[tuple[int], np.dtype[np.complex128]] | None:
    """Both parts together; None unless they are arrays of numbers of one length."""
    first = numbers(real)
    second = first if imaginary is None else numbers(imaginary)
    if first is None or second is None or first.size != second.size:
        return None
    combined = first.astype(np.complex128)
    if imaginary is not None:
        combined.imag = second
    return combined


def _parts(values: np.ndarray[tuple[int], np.dtype[np.complex128]]) -> Json:
    return [values.real.tolist(), values.imag.tolist()]


_SERIES = dynamic("series")
_IMAGINARY = dynamic("series_imaginary")

FUNCTIONS = (
    scripted(
        "series_fir",
        _fir,
        (_SERIES, dynamic("filter"), flag("normalize"), flag("center")),
        _DYNAMIC,
        optional=2,
        naming="first",
    ),
    scripted("series_iir", _iir, (_SERIES, dynamic("numerators"), dynamic("denominators")), _DYNAMIC, naming="first"),
    scripted(
        "series_fft",
        _fft,
        (_SERIES, _IMAGINARY),
        _DYNAMIC,
        optional=1,
        columns=columns_of("series_fft", "real", "imag"),
    ),
    scripted(
        "series_ifft",
        _ifft,
        (_SERIES, _IMAGINARY),
        _DYNAMIC,
        optional=1,
        columns=columns_of("series_ifft", "real", "imag"),
    ),
)
