"""Series: functions over dynamic arrays of numbers."""

from __future__ import annotations

import itertools
import math
import operator
from typing import TYPE_CHECKING, Any

from lurewire.kql import plan
from lurewire.kql.errors import semantic
from lurewire.kql.naming import result_name
from lurewire.kql.scope import ERROR
from lurewire.kql.types import NUMBERS, KqlType

from .arrays import is_number
from .common import scripted
from .registry import Param, anything, dynamic, flag

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.kql import tree
    from lurewire.kql.binder import ExpressionBinder

    from .registry import Function

Json = Any
_DYNAMIC, _REAL, _LONG, _BOOL = KqlType.DYNAMIC, KqlType.REAL, KqlType.LONG, KqlType.BOOL
_NUMBER = Param("value", NUMBERS - {KqlType.DECIMAL} | {KqlType.DYNAMIC}, KqlType.REAL)


def _unary(body: Callable[[Any], Any]) -> Callable[[Json], Json]:
    """Per element; what is no number, or outside the function's domain, is null or NaN."""

    def one(item: Json) -> Json:
        if not is_number(item):
            return None
        try:
            return body(item)
        except (ValueError, ZeroDivisionError):
            return math.nan
        except OverflowError:
            return math.inf

    return lambda series: [one(item) for item in series] if isinstance(series, list) else None


def _pairs(first: Json, second: Json) -> list[tuple[Json, Json]] | None:
    """The elements side by side; a scalar stands for every one, the shorter array is filled with nulls."""
    left, right = isinstance(first, list), isinstance(second, list)
    if not left and not right:
        return None
    size = max(len(first) if left else 0, len(second) if right else 0)
    one = [*first, *[None] * (size - len(first))] if left else [first] * size
    two = [*second, *[None] * (size - len(second))] if right else [second] * size
    return list(zip(one, two, strict=True))


def _binary(body: Callable[[Any, Any], Any], *, texts: bool = False) -> Callable[[Json, Json], Json]:
    def one(left: Json, right: Json) -> Json:
        both_texts = texts and isinstance(left, str) and isinstance(right, str)
        if not both_texts and not (is_number(left) and is_number(right)):
            return None
        try:
            return body(left, right)
        except (ValueError, TypeError):
            return math.nan
        except OverflowError:
            return math.inf

    def series(first: Json, second: Json) -> Json:
        pairs = _pairs(first, second)
        return None if pairs is None else [one(left, right) for left, right in pairs]

    return series


def _divide(left: float, right: float) -> float:
    if right == 0:
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left)
    return left / right


def _power(left: float, right: float) -> float:
    try:
        value = float(left) ** float(right)
    except ZeroDivisionError:
        return math.inf
    return value if isinstance(value, float) else math.nan


def _log(base: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: -math.inf if value == 0 else base(value)


def _numbers(series: Json) -> list[float] | None:
    """The elements as numbers; None unless all are."""
    if not isinstance(series, list) or not all(is_number(item) for item in series):
        return None
    return series


def _numeric_pairs(first: Json, second: Json) -> tuple[list[float], list[float]] | None:
    """The places where both are numbers, to the end of the shorter array; a scalar stands for every place."""
    left, right = isinstance(first, list), isinstance(second, list)
    if not left and not right:
        return None
    size = min(len(series) for series, is_array in ((first, left), (second, right)) if is_array)
    pairs = zip(first if left else [first] * size, second if right else [second] * size, strict=False)
    kept = [(float(one), float(two)) for one, two in pairs if is_number(one) and is_number(two)]
    return ([one for one, _ in kept], [two for _, two in kept]) if kept else None


def _dot(first: Json, second: Json) -> float | None:
    pairs = _numeric_pairs(first, second)
    return None if pairs is None else math.fsum(map(operator.mul, *pairs))


def _product(series: Json) -> float | None:
    numbers = _numbers(series)
    return None if numbers is None else float(math.prod(numbers))


def _magnitude(series: Json) -> float | None:
    square = _dot(series, series)
    return None if square is None else math.sqrt(square)


def _cosine(first: Json, second: Json, one: float | None, two: float | None) -> float | None:
    pairs = _numeric_pairs(first, second)
    if pairs is None:
        return None
    left = math.sqrt(math.fsum(value * value for value in pairs[0])) if one is None else one
    right = math.sqrt(math.fsum(value * value for value in pairs[1])) if two is None else two
    return _divide(math.fsum(map(operator.mul, *pairs)), left * right)


def _pearson(first: Json, second: Json) -> float | None:
    left, right = _numbers(first), _numbers(second)
    if left is None or right is None or len(left) != len(right) or len(left) < 2:
        return None
    mean_left, mean_right = math.fsum(left) / len(left), math.fsum(right) / len(right)
    covariance = math.fsum((one - mean_left) * (two - mean_right) for one, two in zip(left, right, strict=True))
    spread = math.fsum((one - mean_left) ** 2 for one in left) * math.fsum((two - mean_right) ** 2 for two in right)
    return _divide(covariance, math.sqrt(spread))


# Filling


def _missing(item: Json, placeholder: Json) -> bool:
    return item is None or (placeholder is not None and item == placeholder)


def _fill_const(series: Json, constant: Json, placeholder: Json) -> Json:
    if not isinstance(series, list):
        return None
    return [constant if _missing(item, placeholder) else item for item in series]


def _fill_forward(series: Json, placeholder: Json) -> Json:
    if not isinstance(series, list):
        return None
    filled: list[Json] = []
    last: Json = None
    for item in series:
        if not _missing(item, placeholder):
            last = item
        filled.append(item if last is None else last)
    return filled


def _fill_backward(series: Json, placeholder: Json) -> Json:
    if not isinstance(series, list):
        return None
    return _fill_forward(series[::-1], placeholder)[::-1]


def _fill_linear(series: Json, placeholder: Json, edges: bool | None, constants: list[Json]) -> Json:
    """`constants` is the value for an array in which all is missing, if the query gives one; it may be null."""
    if not isinstance(series, list):
        return None
    known = [place for place, item in enumerate(series) if not _missing(item, placeholder) and is_number(item)]
    if not known:
        return [constants[0] if constants else 0.0] * len(series)
    whole_numbers = all(isinstance(series[place], int) for place in known)
    filled = list(series)
    for before, after in itertools.pairwise(known):
        step = (series[after] - series[before]) / (after - before)
        for place in range(before + 1, after):
            value = series[before] + step * (place - before)
            filled[place] = int(value) if whole_numbers else value
    if edges is not False:
        filled[: known[0]] = [series[known[0]]] * known[0]
        filled[known[-1] + 1 :] = [series[known[-1]]] * (len(series) - known[-1] - 1)
    return filled


def _bind_fill_linear(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """The last parameter is variadic only so that a null that is given is told from one that is left out."""
    if len(node.arguments) > len(row.params):
        message = f"{node.name}(): expects 1 to {len(row.params)} arguments, not {len(node.arguments)}"
        raise semantic(message, node.at, token=node.name)
    arguments = binder.arguments(node, row)
    return ERROR if ERROR in arguments else plan.Call(_DYNAMIC, row, tuple(arguments))


# Statistics

_STATISTICS = (
    ("min", _REAL),
    ("min_idx", _LONG),
    ("max", _REAL),
    ("max_idx", _LONG),
    ("avg", _REAL),
    ("stdev", _REAL),
    ("variance", _REAL),
)


def _statistics(series: Json, ignore: bool | None) -> list[Json] | None:
    """Minimum, its place, maximum, its place, mean, deviation, variance (of a sample)."""
    if not isinstance(series, list):
        return None
    present = [(place, item) for place, item in enumerate(series) if is_number(item) and math.isfinite(item)]
    if not present or (len(present) < len(series) and ignore is not True):
        return [None] * len(_STATISTICS)
    values = [item for _, item in present]
    low = min(present, key=lambda pair: pair[1])
    high = max(present, key=lambda pair: pair[1])
    mean = math.fsum(values) / len(values)
    variance = math.fsum((item - mean) ** 2 for item in values) / (len(values) - 1) if len(values) > 1 else 0.0
    return [float(low[1]), low[0], float(high[1]), high[0], mean, math.sqrt(variance), variance]


def _statistics_bag(series: Json, ignore: bool | None) -> Json:
    found = _statistics(series, ignore)
    if found is None:
        return None
    bag = dict(zip((name for name, _ in _STATISTICS), found, strict=True))
    values = [item for item in series if is_number(item)]
    return {**bag, "sum": float(math.fsum(values)), "len": len(series)}


def columns_of(
    prefix: str, names: tuple[tuple[str, KqlType], ...]
) -> Callable[[tree.Call], tuple[tuple[str, KqlType], ...]]:
    """The columns of a call that stands alone, named after its first argument: `series_stats_y_min` and so on."""

    def columns(node: tree.Call) -> tuple[tuple[str, KqlType], ...]:
        inner = result_name(node.arguments[0]) if node.arguments else None
        return tuple((f"{prefix}_{inner or ''}_{name}", kind) for name, kind in names)

    return columns


# Lines

_LINE = (
    ("rsquare", _REAL),
    ("slope", _REAL),
    ("variance", _REAL),
    ("rvariance", _REAL),
    ("interception", _REAL),
    ("line_fit", _DYNAMIC),
)


def _line(places: list[int], values: list[float]) -> tuple[float, float]:
    """Slope and interception of least squares."""
    count = len(places)
    mean_x, mean_y = math.fsum(places) / count, math.fsum(values) / count
    spread = math.fsum((x - mean_x) ** 2 for x in places)
    slope = (
        math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(places, values, strict=True)) / spread if spread else 0.0
    )
    return slope, mean_y - slope * mean_x


def _variance(values: list[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((item - mean) ** 2 for item in values) / len(values)


def _fit_line(series: Json) -> Json:
    if not isinstance(series, list):
        return None
    places = [place for place, item in enumerate(series) if is_number(item)]
    if not places:
        return [None] * len(_LINE)
    values = [float(series[place]) for place in places]
    # Places count from one, and variances are those of a sample.
    slope, start = _line([place + 1 for place in places], values)
    fitted = [start + slope * (place + 1) for place in range(len(series))]
    less = max(len(places) - 1, 1)
    variance = _variance(values) * len(values) / less
    residual = math.fsum((series[place] - fitted[place]) ** 2 for place in places) / less
    score = 1 - residual / variance if variance else 1.0 if residual == 0 else 0.0
    return [score, slope, variance, residual, start, fitted]


def _fit_line_bag(series: Json) -> Json:
    found = _fit_line(series)
    return None if found is None else dict(zip((name for name, _ in _LINE), found, strict=True))


_ARRAY = dynamic("series")
_FLAG = flag("ignore_nonfinite")
_OPERAND = anything("series")
_MATH: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("abs", abs),
    ("acos", math.acos),
    ("asin", math.asin),
    ("atan", math.atan),
    ("ceiling", lambda value: float(math.ceil(value))),
    ("cos", math.cos),
    ("exp", math.exp),
    ("floor", lambda value: float(math.floor(value))),
    ("log", _log(math.log)),
    ("sign", lambda value: (value > 0) - (value < 0)),
    ("sin", math.sin),
    ("tan", math.tan),
)
_PAIRWISE: tuple[tuple[str, Callable[[Any, Any], Any], bool], ...] = (
    ("add", lambda left, right: left + right, False),
    ("subtract", lambda left, right: left - right, False),
    ("multiply", lambda left, right: left * right, False),
    ("divide", _divide, False),
    ("pow", _power, False),
    ("equals", lambda left, right: left == right, True),
    ("not_equals", lambda left, right: left != right, True),
    ("less", lambda left, right: left < right, True),
    ("less_equals", lambda left, right: left <= right, True),
    ("greater", lambda left, right: left > right, True),
    ("greater_equals", lambda left, right: left >= right, True),
)


FUNCTIONS = (
    *(scripted(f"series_{name}", _unary(body), (_ARRAY,), _DYNAMIC) for name, body in _MATH),
    *(
        scripted(f"series_{name}", _binary(body, texts=texts), (_OPERAND, _OPERAND), _DYNAMIC)
        for name, body, texts in _PAIRWISE
    ),
    scripted("series_dot_product", _dot, (_OPERAND, _OPERAND), _REAL),
    scripted("series_product", _product, (_ARRAY,), _REAL),
    scripted(
        "series_sum",
        lambda series: None if _numbers(series) is None else float(math.fsum(series)),
        (_ARRAY,),
        _REAL,
    ),
    scripted("series_magnitude", _magnitude, (_ARRAY,), _REAL),
    scripted("series_cosine_similarity", _cosine, (_ARRAY, _ARRAY, _NUMBER, _NUMBER), _REAL, optional=2),
    scripted("series_pearson_correlation", _pearson, (_ARRAY, _ARRAY), _REAL),
    scripted(
        "series_fill_const",
        _fill_const,
        (_ARRAY, anything("constant"), anything("missing")),
        _DYNAMIC,
        optional=1,
        naming="first",
    ),
    scripted("series_fill_forward", _fill_forward, (_ARRAY, anything("missing")), _DYNAMIC, optional=1, naming="first"),
    scripted(
        "series_fill_backward", _fill_backward, (_ARRAY, anything("missing")), _DYNAMIC, optional=1, naming="first"
    ),
    scripted(
        "series_fill_linear",
        _fill_linear,
        (_ARRAY, anything("missing"), flag("fill_edges"), anything("constant")),
        _DYNAMIC,
        optional=3,
        variadic=True,
        bind=_bind_fill_linear,
        naming="first",
    ),
    scripted(
        "series_stats",
        _statistics,
        (_ARRAY, _FLAG),
        _DYNAMIC,
        optional=1,
        columns=columns_of("series_stats", _STATISTICS),
    ),
    scripted("series_stats_dynamic", _statistics_bag, (_ARRAY, _FLAG), _DYNAMIC, optional=1),
    scripted("series_fit_line", _fit_line, (_ARRAY,), _DYNAMIC, columns=columns_of("series_fit_line", _LINE)),
    scripted("series_fit_line_dynamic", _fit_line_bag, (_ARRAY,), _DYNAMIC),
)
