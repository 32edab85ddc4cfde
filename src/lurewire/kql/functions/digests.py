"""Sketches that are exact here: hll keeps the distinct values, tdigest the values with their weights; and buildschema.

Microsoft's sketches are estimates whose form is not documented; a digest is only good for the functions that read it
(https://learn.microsoft.com/kusto/query/using-hll-tdigest). The array of a tdigest looks like Microsoft's: a head, the
values, their weights.
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from lurewire.kql import plan, tree
from lurewire.kql.conversions import to
from lurewire.kql.errors import semantic
from lurewire.kql.scope import ERROR
from lurewire.kql.ticks import datetime_text, timespan_text
from lurewire.kql.types import KqlType
from lurewire.kql.udf import Udf, dumps

from .arrays import is_number
from .common import scripted
from .registry import Function, anything, dynamic, real, text
from .strings import typeof

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.kql.binder import ExpressionBinder

Json = Any
_DYNAMIC, _LONG, _REAL = KqlType.DYNAMIC, KqlType.LONG, KqlType.REAL
_DIGEST, _HLL = [7], [0]


def _pairs(digest: Json) -> list[tuple[Any, Any]]:
    """Values with weights, in order; none where it is no digest."""
    if not isinstance(digest, list) or len(digest) != 3 or digest[0] != _DIGEST:
        return []
    return sorted(zip(digest[1], digest[2], strict=True))


def _digest(pairs: list[list[Any]]) -> Json:
    weights: dict[Any, Any] = {}
    for value, weight in pairs:
        if is_number(value) and is_number(weight) and weight > 0:
            weights[value] = weights.get(value, 0) + weight
    return [_DIGEST, list(weights), list(weights.values())] if weights else None


def _merged(digests: list[Json]) -> Json:
    return _digest([list(pair) for digest in digests for pair in _pairs(digest)])


def nearest_rank(pairs: list[tuple[Any, Any]], percent: float) -> Any:
    """The least value at or below which `percent` of the weight lies; the smallest for zero."""
    total = sum(Fraction(weight) for _, weight in pairs)
    wanted = total * Fraction(str(percent)) / 100
    passed = Fraction(0)
    for value, weight in pairs:
        passed += Fraction(weight)
        if passed >= wanted:
            return value
    return pairs[-1][0] if pairs else None


def _flat(values: Json) -> list[float]:
    """Percentiles, given one by one or as arrays."""
    items = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return [item for item in items if is_number(item)]


#: How the values of a digest are shown as a type that JSON does not have, or has only with a fraction.
_SHOWN: dict[str, Callable[[Any], Any]] = {
    "int": int, "long": int, "real": float, "datetime": lambda ticks: datetime_text(int(ticks)),
    "timespan": lambda ticks: timespan_text(int(ticks)),
}  # fmt: skip


def _percentiles(digest: Json, kind: str, percents: Json) -> Json:
    pairs = _pairs(digest)
    shown = _SHOWN.get(kind, lambda value: value)
    return [shown(nearest_rank(pairs, percent)) for percent in _flat(percents)] if pairs else None


def _weighted(pairs: Json, percents: Json) -> Json:
    present = sorted((value, weight) for value, weight in pairs if is_number(weight) and weight > 0)
    return [nearest_rank(present, percent) for percent in _flat(percents)] if present else None


def _rank(digest: Json, value: float) -> float | None:
    pairs = _pairs(digest)
    return float(sum(weight for item, weight in pairs if item <= value)) if pairs else None


def _percent_rank(digest: Json, value: float) -> float | None:
    pairs = _pairs(digest)
    total = sum(weight for _, weight in pairs)
    return 100.0 * sum(weight for item, weight in pairs if item <= value) / total if pairs else None


def members_of(sketch: Json) -> list[str]:
    """The distinct values of an hll, each as its JSON text."""
    if not isinstance(sketch, list) or len(sketch) != 2 or sketch[0] != _HLL:
        return []
    return [dumps(item) for item in sketch[1]]


def _union(sketches: list[Json]) -> Json:
    members = dict.fromkeys(member for sketch in sketches for member in members_of(sketch))
    return [_HLL, [json.loads(member) for member in members]] if members else None


# buildschema


def _schema(values: list[Json]) -> Json:
    """The kinds of the values: names of scalar types, then one bag of slots or elements."""
    kinds: list[Json] = []
    bags = [value for value in values if isinstance(value, dict)]
    arrays = [value for value in values if isinstance(value, list)]
    for value in values:
        name = _name(value)
        if name is not None and name not in kinds:
            kinds.append(name)
    if bags:
        keys = dict.fromkeys(key for bag in bags for key in bag)
        kinds.append({key: _schema([bag[key] for bag in bags if key in bag]) for key in keys})
    if arrays:
        kinds.append({"`indexer`": _schema([item for array in arrays for item in array])})
    return kinds[0] if len(kinds) == 1 else kinds


def _name(value: Json) -> str | None:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "long"
    if isinstance(value, float):
        return "double"
    return "string" if isinstance(value, str) else None


def _build_schema(values: list[Json]) -> Json:
    return _schema(values) if values else None


DIGEST = Udf("tdigest_of", (_DYNAMIC,), _DYNAMIC, _digest, 1)
MERGED_DIGEST = Udf("tdigest_union", (_DYNAMIC,), _DYNAMIC, _merged, 1)
SKETCH = Udf("hll_of", (_DYNAMIC,), _DYNAMIC, lambda values: [_HLL, values] if values else None, 1)
MERGED_SKETCH = Udf("hll_union", (_DYNAMIC,), _DYNAMIC, _union, 1)
WEIGHTED = Udf("weighted_percentiles", (_DYNAMIC, _DYNAMIC), _DYNAMIC, _weighted, 2)
SCHEMA = Udf("schema_of", (_DYNAMIC,), _DYNAMIC, _build_schema, 1)
UDFS = (DIGEST, MERGED_DIGEST, SKETCH, MERGED_SKETCH, WEIGHTED, SCHEMA)


def _bind_percentile(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """A third argument says the type of the result; without it, it is that of the value."""
    kind = _DYNAMIC
    if len(node.arguments) == 3:
        kind = typeof(node.arguments[2])
        node = tree.Call(node.at, node.name, node.arguments[:2])
    values = binder.arguments(node, row)
    if ERROR in values:
        return ERROR
    found = plan.Call(_DYNAMIC, row, tuple(values))
    if kind in (KqlType.DATETIME, KqlType.TIMESPAN):
        return plan.Call(kind, _FROM_TICKS, (to(found, _LONG),))
    return to(found, kind)


def _bind_percentiles(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """A last argument `typeof(...)` says the type of the elements."""
    arguments, kind = list(node.arguments), ""
    if len(arguments) == 3 and isinstance(arguments[-1], tree.Call) and arguments[-1].name == "typeof":
        kind = str(typeof(arguments.pop()))
    if len(arguments) < 2:
        raise semantic(f"{node.name}(): expects 2 or more arguments, not {len(arguments)}", node.at, token=node.name)
    digest = binder.argument(arguments[0], row.params[0], node.name, 0)
    percents = [binder.argument(item, row.params[2], node.name, place) for place, item in enumerate(arguments[1:], 1)]
    if ERROR in (digest, *percents):
        return ERROR
    return plan.Call(_DYNAMIC, row, (digest, plan.Constant(KqlType.STRING, kind), *percents))


_FROM_TICKS = Function("from_ticks", (), _LONG, {"duckdb": lambda arguments, _: arguments[0]}, makes_null=True)

FUNCTIONS = (
    scripted(
        "percentile_tdigest",
        lambda digest, percent: nearest_rank(_pairs(digest), percent),
        (dynamic("tdigest"), real("percentile")),
        _DYNAMIC,
        bind=_bind_percentile,
        naming="prefix_first",
    ),
    scripted(
        "percentiles_array_tdigest",
        _percentiles,
        (dynamic("tdigest"), text("type"), anything("percentile")),
        _DYNAMIC,
        page="percentile-array-tdigest-function",
        variadic=True,
        bind=_bind_percentiles,
        naming="prefix_first",
        label="percentile_tdigest",
    ),
    scripted("rank_tdigest", _rank, (dynamic("tdigest"), real("value")), _REAL),
    scripted("percentrank_tdigest", _percent_rank, (dynamic("tdigest"), real("value")), _REAL),
    scripted(
        "merge_tdigest",
        _merged,
        (dynamic("tdigest"),),
        _DYNAMIC,
        variadic=True,
        aliases=("tdigest_merge",),
        naming="only",
        label="tdigests_merge_result",
    ),
    scripted("hll_merge", _union, (dynamic("hll"),), _DYNAMIC, variadic=True, naming="only", label="hll_merged_result"),
    scripted("dcount_hll", lambda sketch: len(members_of(sketch)), (dynamic("hll"),), _LONG, naming="prefix_first"),
)
