"""Special functions of mathematics and statistics, hashes, conversions of units, and bits."""

from __future__ import annotations

import math
import struct
import uuid
from typing import TYPE_CHECKING, Any

from lurewire.kql import plan
from lurewire.kql.conversions import arithmetic, comparable, to, widest
from lurewire.kql.dialects import sql
from lurewire.kql.errors import semantic
from lurewire.kql.scope import ERROR
from lurewire.kql.types import NUMBERS, KqlType

from .common import duckdb, scripted
from .hashing import xxhash64
from .registry import Function, Param, anything, ordered, real, text, whole

if TYPE_CHECKING:
    from lurewire.kql import tree
    from lurewire.kql.binder import ExpressionBinder

_REAL, _LONG = KqlType.REAL, KqlType.LONG


def _gamma(value: float) -> float | None:
    try:
        return math.gamma(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf


def _log_gamma(value: float) -> float | None:
    try:
        return math.lgamma(value)
    except (ValueError, OverflowError):
        return None


def _fraction(x: float, alpha: float, beta: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method (NIST DLMF 8.17.22)."""
    tiny = 1e-300
    c, d = 1.0, 1 / max(1 - (alpha + beta) * x / (alpha + 1), tiny)
    value = d
    for step in range(1, 2000):
        even = step * (beta - step) * x / ((alpha + 2 * step - 1) * (alpha + 2 * step))
        odd = -(alpha + step) * (alpha + beta + step) * x / ((alpha + 2 * step) * (alpha + 2 * step + 1))
        before = value
        for term in (even, odd):
            d = 1 + term * d
            c = 1 + term / c
            d = 1 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            value *= d * c
        if abs(value - before) <= 1e-16 * abs(value):
            break
    return value


#: The greatest parameter that beta_cdf() takes.
_GREATEST_SHAPE = 10_000


def _beta_cdf(x: float, alpha: float, beta: float) -> float:
    if not (0 < alpha <= _GREATEST_SHAPE and 0 < beta <= _GREATEST_SHAPE and 0 <= x <= 1):
        return math.nan
    if x in (0, 1):
        return x
    log_front = (
        math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta) + alpha * math.log(x) + beta * math.log1p(-x)
    )
    front = math.exp(log_front)
    if x < (alpha + 1) / (alpha + beta + 2):
        return front * _fraction(x, alpha, beta) / alpha
    return 1 - front * _fraction(1 - x, beta, alpha) / beta


def _beta_pdf(x: float, alpha: float, beta: float) -> float:
    if not (alpha > 0 and beta > 0 and 0 < x < 1):
        return math.nan
    scale = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
    return math.exp(scale + (alpha - 1) * math.log(x) + (beta - 1) * math.log1p(-x))


def _beta_inv(probability: float, alpha: float, beta: float) -> float | None:
    # As the page's example has it; its notes have null and NaN the other way round.
    if not (alpha > 0 and beta > 0):
        return math.nan
    if not 0 < probability <= 1:
        return None
    low, high = 0.0, 1.0
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if _beta_cdf(middle, alpha, beta) < probability:
            low = middle
        else:
            high = middle


# Hashes


def _bytes(value: Any, kind: str) -> bytes:
    """What is hashed of a value: its storage in the engine, texts as UTF-8."""
    if kind in ("long", "datetime", "timespan"):
        return struct.pack("<q", int(value))
    if kind == "int":
        return struct.pack("<i", int(value))
    if kind == "real":
        return struct.pack("<d", float(value))
    if kind == "bool":
        return struct.pack("<b", value)
    return uuid.UUID(value).bytes_le if kind == "guid" else str(value).encode()


_HASHED = frozenset({KqlType.STRING, KqlType.LONG, KqlType.DATETIME, KqlType.TIMESPAN})


def _hash(value: str, kind: str, modulus: int | None) -> int | None:
    found = xxhash64(_bytes(value, kind))
    if modulus is None:
        return found
    return abs(found) % modulus if modulus > 0 else None


def _bind_hash(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """The value goes as text, with the name of its type; ticks as numbers."""
    values = binder.arguments(node, row)
    if ERROR in values:
        return ERROR
    kind = values[0].type
    raw = plan.Call(_LONG, _TICKS, (values[0],)) if kind in (KqlType.DATETIME, KqlType.TIMESPAN) else values[0]
    modulus = values[1:] or [plan.Constant(_LONG, None)]
    shown = to(raw, KqlType.STRING)
    return plan.Call(_LONG, row, (shown, plan.Constant(KqlType.STRING, kind.value), *modulus))


#: The ticks of a datetime or timespan as a number.
_TICKS = Function("ticks", (anything("value"),), _LONG, duckdb(lambda arguments, _: arguments[0]))

_HASH_PARAMS = (Param("source", _HASHED, None), whole("mod"))


def _hash_row(name: str) -> Function:
    inner = scripted(
        name, _hash, (text("source"), text("type"), whole("mod")), _LONG, optional=1, page="hash-xxhash64-function"
    )
    return Function(name, _HASH_PARAMS, _LONG, inner.lower, optional=1, makes_null=True, bind=_bind_hash, udf=inner.udf)


# Bins and ranges around a value


def _bind_bin_at(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    values = binder.arguments(node, row)
    if ERROR in values:
        return ERROR
    value, size, point = values
    return bind_bin_at(value, size, point, node)


def bind_bin_at(value: plan.Scalar, size: plan.Scalar, point: plan.Scalar, node: tree.Call) -> plan.Scalar:
    """bin_at(value, size, point) is bin(value - point, size) + point."""
    if value.type is KqlType.DATETIME and point.type is not KqlType.DATETIME:
        raise semantic(f"{node.name}(): the fixed point of a datetime must be a datetime", node.at, token=node.name)
    distance = arithmetic("-", value, point, node.at)
    if distance is ERROR:
        return ERROR
    kind = distance.type
    if kind is KqlType.TIMESPAN and size.type is not KqlType.TIMESPAN:
        raise semantic(f"{node.name}(): the size of a bin of time must be a timespan", node.at, token=node.name)
    if kind is not KqlType.TIMESPAN:
        if size.type not in NUMBERS:
            raise semantic(f"{node.name}(): the size of a bin of numbers must be a number", node.at, token=node.name)
        kind = widest(kind, size.type)
        distance, size = to(distance, kind), to(size, kind)
    return arithmetic("+", point, plan.Bin(kind, distance, size), node.at)


def _bind_around(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    values = binder.arguments(node, row)
    if ERROR in values:
        return ERROR
    value, center, delta = values
    low, high = (arithmetic(sign, center, delta, node.at) for sign in "-+")
    if ERROR in (low, high):
        return ERROR
    first = plan.Compare(KqlType.BOOL, ">=", *comparable(value, low, ">=", node.at))
    second = plan.Compare(KqlType.BOOL, "<=", *comparable(value, high, "<=", node.at))
    return plan.Logic(KqlType.BOOL, "and", (first, second))


def _shifted(value: int, by: int, *, left: bool) -> int | None:
    """A shift by the count modulo 64; a negative count gives null."""
    if by < 0:
        return None
    moved = value << by % 64 if left else value >> by % 64
    moved &= (1 << 64) - 1
    return moved - (1 << 64) if moved >> 63 else moved


def _welch_test(mean1: float, variance1: float, count1: float, mean2: float, variance2: float, count2: float) -> float:
    """The two-sided p-value of Welch's t-test, with the degrees of freedom of Welch and Satterthwaite."""
    if count1 <= 1 or count2 <= 1 or variance1 < 0 or variance2 < 0:
        return math.nan
    share1, share2 = variance1 / count1, variance2 / count2
    spread = share1 + share2
    if spread == 0:
        return math.nan if mean1 == mean2 else 0.0
    freedom = spread**2 / (share1**2 / (count1 - 1) + share2**2 / (count2 - 1))
    square = (mean1 - mean2) ** 2 / spread
    return _beta_cdf(freedom / (freedom + square), freedom / 2, 0.5)


FUNCTIONS = (
    scripted("gamma", _gamma, (real("number"),), _REAL, naming="first"),
    scripted("loggamma", _log_gamma, (real("number"),), _REAL, naming="first"),
    scripted("erf", math.erf, (real("number"),), _REAL, naming="first"),
    scripted("erfc", math.erfc, (real("number"),), _REAL, naming="first"),
    scripted("beta_cdf", _beta_cdf, (real("x"), real("alpha"), real("beta")), _REAL),
    scripted("beta_inv", _beta_inv, (real("probability"), real("alpha"), real("beta")), _REAL),
    scripted("beta_pdf", _beta_pdf, (real("x"), real("alpha"), real("beta")), _REAL),
    _hash_row("hash"),
    _hash_row("hash_xxhash64"),
    scripted(
        "welch_test",
        _welch_test,
        tuple(real(f"{name}{place}") for place in (1, 2) for name in ("mean", "variance", "count")),
        _REAL,
    ),
    Function("bin_at", (ordered("value"), ordered("size"), ordered("point")), _LONG, naming="first", bind=_bind_bin_at),
    Function("around", (ordered("value"), ordered("center"), ordered("delta")), KqlType.BOOL, bind=_bind_around),
    scripted(
        "binary_shift_left",
        lambda value, by: _shifted(value, by, left=True),
        (whole("value"), whole("by")),
        _LONG,
        naming="first",
    ),
    scripted(
        "binary_shift_right",
        lambda value, by: _shifted(value, by, left=False),
        (whole("value"), whole("by")),
        _LONG,
        naming="first",
    ),
    Function(
        "bitset_count_ones",
        (whole("value"),),
        _LONG,
        duckdb(lambda arguments, _: sql.cast(sql.call("bit_count", arguments[0]), sql.BIGINT)),
        naming="first",
    ),
)
