"""Aggregate functions over the rows of a group (https://learn.microsoft.com/kusto/query/aggregation-functions)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lurewire.kql.types import KqlType as K

from .expressions import Binder, checked, to, whole_quotient
from .model import CHOICE, Cursor, Expr, Relation, Scope, in_any_order
from .values import NUMERIC, WHOLE, Refused, canonical, is_missing, sort_key, to_dynamic

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.kql import tree

#: Elements that a list or set keeps at most.
_MOST = 1_048_576
#: The same of their deprecated names.
_LEGACY_MOST = 128


def _count(values: list[Any], kind: K) -> int:
    return len(values)


def _dcount(values: list[Any], kind: K) -> int:
    return len({canonical(value) for value in values if value is not None})


def _sum(values: list[Any], kind: K) -> Any:
    return checked(math.fsum(values) if kind is K.REAL and all(map(math.isfinite, values)) else sum(values))


def _avg(values: list[Any], kind: K) -> Any:
    if not values:
        return math.nan if kind in NUMERIC else None
    if kind in (K.DATETIME, K.TIMESPAN):
        found = sum(values) // len(values)
        if sum(values) % len(values) and sum(values) < 0:
            raise Refused("avg() of negative timespans")
        return found
    return sum(values) / len(values)


def _extreme(descending: bool) -> Callable[[list[Any], K], Any]:
    def extreme(values: list[Any], kind: K) -> Any:
        if any(is_missing(value) for value in values):
            raise Refused("min() or max() with NaN")
        if kind is K.STRING and not descending and "" in values and any(values):
            raise Refused("min() of texts of which one is empty: no page says whether it counts")
        return (max if descending else min)(values, key=sort_key) if values else None

    return extreme


def _variance(*, sample: bool, root: bool) -> Callable[[list[Any], K], Any]:
    def variance(values: list[Any], kind: K) -> Any:
        if len(values) < 2:
            return 0.0  # of nothing too: the default that the summarize page gives
        mean = math.fsum(values) / len(values)
        found = math.fsum((value - mean) ** 2 for value in values) / (len(values) - (1 if sample else 0))
        return math.sqrt(found) if root else found

    return variance


def _bits(work: Callable[[int, int], int], start: int) -> Callable[[list[Any], K], Any]:
    def combined(values: list[Any], kind: K) -> Any:
        if not values:
            return None
        found = start
        for value in values:
            found = work(found, value)
        return found

    return combined


def _list(values: list[Any], kind: K) -> list[Any]:
    return [to_dynamic(value, kind) for value in values]


def _flat(values: list[Any], kind: K) -> list[Any]:
    """An array stands for its elements: three examples of the reference make polygons of polygons so."""
    flat: list[Any] = []
    for value in values:
        flat.extend(value if isinstance(value, list) else [to_dynamic(value, kind)])
    return flat


def _set(values: list[Any], kind: K) -> list[Any]:
    flat = _flat(values, kind)
    return in_any_order(list({canonical(value): value for value in reversed(flat)}.values())[::-1])


def _bag(values: list[Any], kind: K) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for value in values:
        if isinstance(value, dict):
            for key, part in value.items():
                found.setdefault(key, part)
    return found


def _same(kind: K) -> K:
    return kind


def _long(kind: K) -> K:
    return K.LONG if kind in (K.INT, K.BOOL) else kind


def _real_of_numbers(kind: K) -> K:
    return kind if kind in (K.DATETIME, K.TIMESPAN) else K.REAL


class Aggregate:
    """A function over a group's values that are not null. `sized`: a maximum may follow."""

    def __init__(
        self,
        work: Callable[[list[Any], K], Any],
        kind: Callable[[K], K],
        *,
        accepts: tuple[K, ...] = tuple(K),
        sized: bool = False,
        nulls: bool = False,
    ) -> None:
        self.work, self.kind, self.accepts, self.sized, self.nulls = work, kind, accepts, sized, nulls


_SUMS = (*WHOLE, K.REAL, K.TIMESPAN)
_AVERAGES = (*WHOLE, K.REAL, K.TIMESPAN, K.DATETIME)
_ORDERED = tuple(kind for kind in K if kind not in (K.DYNAMIC, K.DECIMAL, K.BOOL, K.GUID))

_ONE: dict[str, Aggregate] = {
    "sum": Aggregate(_sum, _long, accepts=_SUMS),
    "avg": Aggregate(_avg, _real_of_numbers, accepts=_AVERAGES),
    "min": Aggregate(_extreme(False), _same, accepts=_ORDERED),
    "max": Aggregate(_extreme(True), _same, accepts=_ORDERED),
    "dcount": Aggregate(_dcount, lambda _: K.LONG),
    "count_distinct": Aggregate(_dcount, lambda _: K.LONG),
    "stdev": Aggregate(_variance(sample=True, root=True), lambda _: K.REAL, accepts=(*WHOLE, K.REAL)),
    "stdevp": Aggregate(_variance(sample=False, root=True), lambda _: K.REAL, accepts=(*WHOLE, K.REAL)),
    "variance": Aggregate(_variance(sample=True, root=False), lambda _: K.REAL, accepts=(*WHOLE, K.REAL)),
    "variancep": Aggregate(_variance(sample=False, root=False), lambda _: K.REAL, accepts=(*WHOLE, K.REAL)),
    "make_list": Aggregate(_flat, lambda _: K.DYNAMIC, sized=True),
    "makelist": Aggregate(_list, lambda _: K.DYNAMIC, sized=True),
    "make_list_with_nulls": Aggregate(_list, lambda _: K.DYNAMIC, nulls=True),
    "make_set": Aggregate(_set, lambda _: K.DYNAMIC, sized=True),
    "makeset": Aggregate(_set, lambda _: K.DYNAMIC, sized=True),
    "make_bag": Aggregate(_bag, lambda _: K.DYNAMIC, accepts=(K.DYNAMIC,)),
    "binary_all_and": Aggregate(_bits(lambda a, b: a & b, -1), lambda _: K.LONG, accepts=WHOLE),
    "binary_all_or": Aggregate(_bits(lambda a, b: a | b, 0), lambda _: K.LONG, accepts=WHOLE),
    "binary_all_xor": Aggregate(_bits(lambda a, b: a ^ b, 0), lambda _: K.LONG, accepts=WHOLE),
}
#: The -if forms: the aggregate that each is.
_IF = {
    "sumif": "sum", "avgif": "avg", "minif": "min", "maxif": "max", "dcountif": "dcount", "stdevif": "stdev",
    "varianceif": "variance", "make_list_if": "make_list", "make_set_if": "make_set", "make_bag_if": "make_bag",
    "count_distinctif": "count_distinct",
}  # fmt: skip
ROWS_OF = ("arg_max", "arg_min", "argmax", "argmin", "take_any", "any")
PERCENTILES = ("percentile", "percentiles")
AGGREGATES = frozenset({"count", "countif", "take_anyif", "anyif", *_ONE, *_IF, *ROWS_OF, *PERCENTILES})


def aggregate(scope: Scope, relation: Relation, node: tree.Call) -> Expr:  # noqa: C901 - one branch for each form that there is
    """An aggregate with one result, over the rows of a cursor's group."""
    binder = Binder(scope, relation)
    if node.name == "count":
        return Expr(K.LONG, lambda group: len(group.rows))
    if node.name == "countif":
        test = binder.truth(node.arguments[0])
        return Expr(K.LONG, lambda group: sum(1 for row in group.rows if test(Cursor(row))))
    if node.name in ("take_anyif", "anyif"):
        return _any_if(binder, node)
    if node.name in ROWS_OF:
        ((_, kind, of),) = rows_of(scope, relation, node)
        return Expr(kind, of)
    if node.name in PERCENTILES:
        found = percentiles(scope, relation, node)
        if len(found) != 1:
            raise Refused("several percentiles in an expression")
        return found[0][1]
    name = _IF.get(node.name)
    row = _ONE[name or node.name]
    value = binder.bind(node.arguments[0])
    arguments = list(node.arguments[1:])
    test = binder.truth(arguments.pop(0)) if name is not None else lambda _: True
    most = _LEGACY_MOST if node.name in ("makelist", "makeset") else _MOST
    if arguments and row.sized:
        most = binder.bind(arguments.pop(0)).value
    elif arguments and (name or node.name) not in ("dcount", "count_distinct"):
        raise Refused(f"{node.name}() with more arguments")
    if value.kind is K.DYNAMIC and row.accepts in (_SUMS, _AVERAGES, (*WHOLE, K.REAL)):
        value = to(value, K.REAL)
    if value.kind not in row.accepts:
        raise Refused(f"{node.name}() of {value.kind}")

    def combined(group: Cursor) -> Any:
        cursors = (Cursor(part) for part in group.rows)
        found = [value.of(cursor) for cursor in cursors if test(cursor)]
        kept = found if row.nulls else [item for item in found if item is not None]
        result = row.work(kept, value.kind)
        if result is None and row.kind(value.kind) is K.STRING:
            return ""
        return result[:most] if row.sized else result

    return Expr(row.kind(value.kind), combined)


def _any_if(binder: Binder, node: tree.Call) -> Expr:
    value, test = binder.bind(node.arguments[0]), binder.truth(node.arguments[1])

    def chosen(group: Cursor) -> Any:
        found = [value.of(cursor) for row in group.rows if test(cursor := Cursor(row))]
        return next((item for item in found if item not in (None, "")), found[0] if found else _nothing(value.kind))

    return Expr(value.kind, chosen)


def _nothing(kind: K) -> Any:
    return "" if kind is K.STRING else None


def _any(rows: list[Cursor]) -> Cursor:
    return rows[CHOICE.get() % len(rows)]


def rows_of(
    scope: Scope, relation: Relation, node: tree.Call
) -> list[tuple[tree.Expression, K, Callable[[Cursor], Any]]]:
    """arg_max, arg_min and take_any with their arguments (`*` taken apart by the caller): one result for each."""
    binder = Binder(scope, relation)
    bound = [binder.bind(argument) for argument in node.arguments]
    first = bound[0]
    if node.name.startswith("arg") and first.kind is K.DYNAMIC:
        first = to(first, K.REAL)
        bound[0] = first

    def chosen(group: Cursor) -> Cursor | None:
        rows = [Cursor(row) for row in group.rows]
        if not rows:
            return None
        if not node.name.startswith("arg"):
            full = [row for row in rows if first.of(row) not in (None, "")] if len(bound) == 1 else []
            return _any(full or rows)
        known = [row for row in rows if not is_missing(first.of(row))]
        if any(isinstance(first.of(row), float) and math.isnan(first.of(row)) for row in rows):
            raise Refused("arg_max() with NaN")
        if not known:
            return _any(rows)
        keys = [sort_key(first.of(row)) for row in known]
        best = (max if node.name.endswith("max") else min)(keys)
        return _any([row for row, key in zip(known, keys, strict=True) if key == best])

    def value_of(value: Expr) -> Callable[[Cursor], Any]:
        return lambda group: _nothing(value.kind) if (row := chosen(group)) is None else value.of(row)

    return [(argument, value.kind, value_of(value)) for argument, value in zip(node.arguments, bound, strict=True)]


def percentiles(scope: Scope, relation: Relation, node: tree.Call) -> list[tuple[str, Expr]]:
    """Nearest rank; a label and an expression for each percentile."""
    binder = Binder(scope, relation)
    value = binder.bind(node.arguments[0])
    if value.kind not in (*WHOLE, K.REAL, K.DATETIME, K.TIMESPAN):
        raise Refused(f"{node.name}() of {value.kind}")

    def nearest(share: float) -> Callable[[Cursor], Any]:
        def found(group: Cursor) -> Any:
            known = sorted(item for row in group.rows if (item := value.of(Cursor(row))) is not None)
            if any(is_missing(item) for item in known):
                raise Refused("percentile() with NaN")
            return known[max(math.ceil(share * len(known) / 100), 1) - 1] if known else None

        return found

    shares = [binder.bind(argument).value for argument in node.arguments[1:]]
    kind = K.LONG if value.kind is K.INT else value.kind
    return [(str(share).replace(".", "_"), Expr(kind, nearest(share))) for share in shares]


__all__ = ["AGGREGATES", "Binder", "aggregate", "percentiles", "rows_of", "whole_quotient"]
