"""Functions of numbers (https://learn.microsoft.com/kusto/query/scalar-functions#mathematical-functions)."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from lurewire.kql.types import KqlType as K

from .table import function
from .values import WHOLE, Refused, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable


def _safe(work: Callable[[float], float]) -> Callable[[float], float]:
    """NaN outside of where the function is defined."""

    def value(x: float) -> float:
        try:
            return work(x)
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return value


def _log(work: Callable[[float], float]) -> Callable[[float], float | None]:
    def value(x: float) -> float | None:
        if math.isnan(x):
            return x
        if x <= 0:
            raise Refused("the logarithm of a number that is not above zero")
        return work(x)

    return value


def _abs(pair: tuple[Any, K]) -> Any:
    value, kind = pair
    if kind not in (K.INT, K.LONG, K.REAL, K.TIMESPAN):
        raise Refused(f"abs() of {kind}")
    found = abs(value)
    if isinstance(found, int) and found >= 2**63:
        raise Stopped("abs() beyond 64 bits")
    return found


def _round(value: float, digits: int = 0) -> float:
    if not math.isfinite(value):
        return value
    if abs(digits) > 12 or abs(value) > 1e12:
        raise Refused("round() beyond 12 digits")
    # Ties as the binary number has them, not as its shortest text shows them.
    scaled = Decimal(value).scaleb(digits)
    if abs(scaled % 1) != Decimal("0.5") and abs(abs(scaled % 1) - Decimal("0.5")) < Decimal("1e-9"):
        raise Refused("round() next to a tie")
    return float(scaled.quantize(Decimal(1), rounding=ROUND_HALF_UP).scaleb(-digits))


def _sign(pair: tuple[Any, K]) -> Any:
    if pair[1] not in (*WHOLE, K.REAL):
        raise Refused(f"sign() of {pair[1]}")
    return (pair[0] > 0) - (pair[0] < 0)


def _power(base: float, exponent: float) -> float:
    try:
        found = math.pow(base, exponent)
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        raise Refused("pow() out of its bounds") from error
    return found


def _shift(value: int, by: int, *, left: bool) -> int:
    if not 0 <= by < 64:
        raise Refused("a shift beyond 64 bits")
    if not left:
        return value >> by
    found = (value << by) & (2**64 - 1)
    return found - 2**64 if found >= 2**63 else found


for _name, _work in {
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "asin": math.asin, "acos": math.acos, "atan": math.atan,
    "exp": math.exp, "degrees": math.degrees, "radians": math.radians,
}.items():  # fmt: skip
    function(_name, "r", K.REAL, _safe(_work))
function("sqrt", "r", K.REAL, lambda x: None if x < 0 else math.sqrt(x))
function("exp2", "r", K.REAL, lambda x: _power(2.0, x))
function("exp10", "r", K.REAL, lambda x: _power(10.0, x))
function("log", "r", K.REAL, _log(math.log))
function("log2", "r", K.REAL, _log(math.log2))
function("log10", "r", K.REAL, _log(math.log10))
function("pow", "rr", K.REAL, _power)
function("pi", "", K.REAL, lambda: math.pi)
function("atan2", "rr", K.REAL, math.atan2)
function("round", "r?l", K.REAL, _round)
function("isnan", "r", K.BOOL, math.isnan, nulls=False)
function("isinf", "r", K.BOOL, math.isinf)
function("isfinite", "r", K.BOOL, math.isfinite)
function("binary_and", "ll", K.LONG, lambda a, b: a & b)
function("binary_or", "ll", K.LONG, lambda a, b: a | b)
function("binary_xor", "ll", K.LONG, lambda a, b: a ^ b)
function("binary_not", "l", K.LONG, lambda a: ~a)
function("binary_shift_left", "ll", K.LONG, lambda a, b: _shift(a, b, left=True))
function("binary_shift_right", "ll", K.LONG, lambda a, b: _shift(a, b, left=False))
function("not", "b", K.BOOL, lambda a: not a)
ABS, SIGN = _abs, _sign
