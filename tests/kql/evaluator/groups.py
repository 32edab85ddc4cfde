"""Operators that put rows into groups: summarize, distinct, make-series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.kql import tree
from lurewire.kql.naming import result_name
from lurewire.kql.types import KqlType as K

from .aggregates import AGGREGATES, PERCENTILES, ROWS_OF, percentiles, rows_of
from .expressions import Binder, arithmetic, to, widest
from .model import Cursor, Expr, Relation, Row, Scope, constant
from .pipeline import cursors, free_name, unnamed
from .values import NUMERIC, WHOLE, Refused, canonical, checked_bin, to_dynamic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def _split(node: tree.Expression) -> tuple[tuple[str, ...], tree.Expression]:
    return (node.names, node.value) if isinstance(node, tree.Named) else ((), node)


def grouped(rows: Relation, keys: Sequence[Expr]) -> list[tuple[Row, list[Row]]]:
    """The groups in the order of their first rows; without keys one group, also over no rows."""
    if not keys:
        return [((), rows.rows)]
    found: dict[Any, tuple[Row, list[Row]]] = {}
    for row in cursors(rows):
        values = tuple(key.of(row) for key in keys)
        found.setdefault(tuple(map(canonical, values)), (values, []))[1].append(row.values)
    return list(found.values())


def key_columns(nodes: Sequence[tree.Expression], rows: Relation, scope: Scope) -> tuple[list[str], list[Expr]]:
    """The names and values of `by`."""
    binder = Binder(scope, rows)
    names: list[str] = []
    values: list[Expr] = []
    for item in nodes:
        given, expression = _split(item)
        value = binder.bind(expression)
        name = given[0] if given else free_name(names, result_name(expression) or unnamed(names))
        names.append(name)
        values.append(value)
    return names, values


def _summarize(node: Any, rows: Relation, scope: Scope) -> Relation:
    names, keys = key_columns(node.keys, rows, scope)
    if K.DYNAMIC in (key.kind for key in keys):
        raise Refused("a dynamic group key")
    groups = grouped(rows, keys)
    # A column that is a key by itself may stand beside aggregates.
    bare = frozenset(expression.name for item in node.keys if isinstance(expression := _split(item)[1], tree.Name))
    columns: list[tuple[str, Expr]] = []
    for item in node.aggregates:
        given, expression = _split(item)
        taken = [*names, *(name for name, _ in columns)]
        for label, value in _results(expression, rows, scope, bare, names):
            if given:
                name, given = given[0], given[1:]
            else:
                name = free_name(taken, label or unnamed(taken))
            taken.append(name)
            columns.append((name, value))
    made = []
    for values, members in groups:
        group = Cursor(members[0] if members else (), members)
        made.append((*values, *(value.of(group) for _, value in columns)))
    kinds = [*(key.kind for key in keys), *(value.kind for _, value in columns)]
    return Relation([*names, *(name for name, _ in columns)], kinds, made)


def _results(
    node: tree.Expression, rows: Relation, scope: Scope, bare: frozenset[str], keys: Sequence[str]
) -> list[tuple[str | None, Expr]]:
    """The columns of one item of summarize, each with its automatic name."""
    if not isinstance(node, tree.Call) or node.name not in AGGREGATES:
        return [(result_name(node), Binder(scope, rows, keys=bare).bind(node))]
    if node.name in PERCENTILES:
        shown = result_name(node.arguments[0]) or ""
        return [(f"percentile_{shown}_{label}", value) for label, value in percentiles(scope, rows, node)]
    if node.name not in ROWS_OF:
        return [(result_name(node), Binder(scope, rows, keys=bare).bind(node))]
    arguments: list[tree.Expression] = []
    labels: list[str | None] = []
    for argument in node.arguments:
        if isinstance(argument, tree.Star):
            gone = {*keys, *labels}
            others = [name for name in rows.names if name not in gone]
            arguments.extend(tree.Name(node.at, name) for name in others)
            labels.extend(others)
            continue
        _, expression = _split(argument)
        name = result_name(expression)
        if name is None:
            raise Refused(f"the automatic name of an expression in {node.name}()")
        if len(node.arguments) == 1:
            name = result_name(node) or name
        arguments.append(expression)
        labels.append(name)
    found = rows_of(scope, rows, tree.Call(node.at, node.name, tuple(arguments)))
    return [(label, Expr(kind, of)) for label, (_, kind, of) in zip(labels, found, strict=True)]


def _distinct(node: Any, rows: Relation, scope: Scope) -> Relation:
    columns = [
        named
        for item in node.columns
        for named in ([tree.Name(node.at, name) for name in rows.names] if isinstance(item, tree.Star) else [item])
    ]
    names, keys = key_columns(columns, rows, scope)
    return Relation(
        names, [key.kind for key in keys], [values for values, _ in grouped(rows, keys)] if rows.rows else []
    )


def _make_series(node: Any, rows: Relation, scope: Scope) -> Relation:  # noqa: C901 - one branch for each form that there is
    binder, constants = Binder(scope, rows), Binder(scope, None)
    axis = binder.bind(_split(node.axis)[1])
    start, stop = (None if part is None else constants.bind(part) for part in (node.start, node.stop))
    width = constants.bind(node.step)
    if axis.kind in NUMERIC:
        kind = widest(K.LONG, *(part.kind for part in (axis, start, stop, width) if part is not None))
        axis, width = to(axis, kind), to(width, kind)
        start, stop = (None if part is None else to(part, kind) for part in (start, stop))
    kind = axis.kind
    if start is None or kind is K.REAL or (stop is None) or node.nonempty:
        raise Refused("make-series without start and end, along reals, or kind=nonempty")
    low, high, by = start.value, stop.value, width.value
    if None in (low, high, by) or by <= 0 or (high - low) // by > 20_000:
        raise Refused("make-series with bad or many steps")
    if node.inclusive:
        low = checked_bin(low, by, 0)
        high = checked_bin(high, by, 0) + by
    slots = list(range(low, high, by))
    names, keys = key_columns(node.keys, rows, scope)
    inside = [row for row in cursors(rows) if (at := axis.of(row)) is not None and low <= at < high]
    series = rows.with_rows([row.values for row in inside])
    columns: list[tuple[str, Expr, Expr]] = []
    for item, given in zip(node.aggregates, node.defaults, strict=True):
        labels, expression = _split(item)
        ((label, value),) = _results(expression, rows, scope, frozenset(), names)
        default = constant(K.LONG, 0) if given is None else constants.bind(given)
        if value.kind is K.REAL and default.kind in WHOLE:
            default = to(default, K.REAL)
        taken = [*names, *(name for name, _, _ in columns)]
        columns.append((labels[0] if labels else free_name(taken, label or unnamed(taken)), value, default))
    made = []
    for values, members in grouped(series, keys) if series.rows or keys else []:
        slotted: dict[Any, list[Row]] = {}
        for row in members:
            slotted.setdefault(checked_bin(axis.of(Cursor(row)), by, low), []).append(row)
        arrays = []
        for _, value, default in columns:
            array = []
            for slot in slots:
                group = slotted.get(slot)
                found = default.value if group is None else value.of(Cursor(group[0], group))
                array.append(to_dynamic(found, default.kind if group is None else value.kind))
            arrays.append(array)
        made.append((*values, *arrays, [to_dynamic(slot, kind) for slot in slots]))
    label = result_name(node.axis) or "Column1"
    kinds = [*(key.kind for key in keys), *(K.DYNAMIC for _ in columns), K.DYNAMIC]
    return Relation([*names, *(name for name, _, _ in columns), label], kinds, made)


GROUPS: dict[str, Callable[[Any, Relation, Scope], Relation]] = {
    "Summarize": _summarize,
    "Distinct": _distinct,
    "MakeSeries": _make_series,
}
__all__ = ["GROUPS", "arithmetic"]
