"""Queries: statements, sources, and the tabular operators that take rows one at a time.

Source: https://learn.microsoft.com/kusto/query/queries and the page of each operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.kql import tree
from lurewire.kql.naming import result_name
from lurewire.kql.operators import OPERATORS as PARSED
from lurewire.kql.operators import SOURCES as PARSED_SOURCES
from lurewire.kql.parser import Parser
from lurewire.kql.types import KqlType as K

from .calls import bound_scope
from .expressions import Binder, to
from .model import Cursor, Expr, Relation, Row, Scope, in_any_order
from .values import Refused, checked_bin, convert, is_missing, sort_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class NoSource(Refused):
    """A table that is not there."""


def evaluate(text: str, tables: Mapping[str, Relation], now: int) -> Relation:
    """The rows of a query over tables; raises Refused for what the evaluator does not do, Stopped for an error as it runs."""
    query = Parser(text, PARSED, PARSED_SOURCES).query()
    if query.problems or query.parameters:
        raise Refused("a query that does not parse, or that has parameters")
    scope = Scope(tables, now)
    results: list[Relation] = []
    for statement in query.statements:
        if isinstance(statement, tree.Let):
            run_let(statement, scope)
        elif isinstance(statement, tree.Pipeline) and not results:
            results.append(run_pipeline(statement, scope))
        else:
            raise Refused(f"a statement {type(statement).__name__}, or several results")
    if not results:
        raise Refused("a query without a result")
    return results[0]


def run_let(let: tree.Let, scope: Scope) -> None:
    """Puts a name in place."""
    value = let.value
    if isinstance(value, tree.Lambda):
        scope.functions[let.name] = (value, scope.inner())
        return
    rows = run_pipeline(value, scope) if isinstance(value, tree.Pipeline) else rows_of(value, scope, None)
    if rows is not None:
        scope.forget(let.name)
        scope.relations[let.name] = rows
        return
    assert not isinstance(value, tree.Pipeline)
    bound = Binder(scope, None).bind(value)
    scope.forget(let.name)
    scope.scalars[let.name] = bound


def rows_of(node: tree.Node, scope: Scope, relation: Relation | None) -> Relation | None:
    """The rows that an expression stands for; None where it is a scalar. `relation` is what its names may hide behind."""
    match node:
        case tree.Parenthesis(inner=inner):
            return rows_of(inner, scope, relation)
        case tree.Subquery(pipeline=pipeline):
            return run_pipeline(pipeline, scope)
        case tree.Pipeline():
            return run_pipeline(node, scope)
        case tree.Name(name=name):
            if name in scope.scalars or (relation is not None and name in relation.names):
                return None
            if name in scope.relations:
                return scope.relations[name]
            return scope.tables.get(name)
        case tree.Call(name="materialize", arguments=(inner,)) if "materialize" not in scope.functions:
            return rows_of(inner, scope, None)
        case tree.Call(name="table"):
            raise Refused("table()")
        case tree.Call(name=name) if name in scope.functions:
            definition, inner_scope = bound_scope(Binder(scope, relation), node)
            body = definition.body
            return (
                run_pipeline(body, inner_scope) if isinstance(body, tree.Pipeline) else rows_of(body, inner_scope, None)
            )
        case _:
            return None


def run_pipeline(pipeline: tree.Pipeline, scope: Scope) -> Relation:
    """A source and its operators."""
    source = pipeline.source
    rows: Relation | None
    if isinstance(source, tree.Operator):
        rows = _operator(source)(source, Relation([], [], [()]), scope)
    else:
        rows = rows_of(source, scope, None)
    if rows is None:
        shown = source.name if isinstance(source, tree.Name | tree.Call) else type(source).__name__
        raise NoSource(f"the source {shown}")
    for operator in pipeline.operators:
        rows = _operator(operator)(operator, rows.in_any_order(), scope)
    return rows


Work = "Callable[[Any, Relation, Scope], Relation]"


def _operator(node: tree.Operator) -> Callable[[Any, Relation, Scope], Relation]:
    from .groups import GROUPS
    from .joins import JOINS
    from .taking_apart import TAKING_APART

    name = type(node).__name__
    found = _OPERATORS.get(name) or GROUPS.get(name) or JOINS.get(name) or TAKING_APART.get(name)
    if found is None:
        raise Refused(f"the operator {name}")
    return found


def cursors(relation: Relation) -> list[Cursor]:
    return [Cursor(row, relation.rows, at) for at, row in enumerate(relation.rows)]


# Rows


def _where(node: Any, rows: Relation, scope: Scope) -> Relation:
    test = Binder(scope, rows).truth(node.predicate)
    return kept(rows, [at for at, row in enumerate(cursors(rows)) if test(row)])


def kept(rows: Relation, places: Sequence[int]) -> Relation:
    """Some of the rows, in the order of `places`."""
    ranks = None if rows.ranks is None else [rows.ranks[at] for at in places]
    return rows.with_rows([rows.rows[at] for at in places], ranks)


def _number(node: tree.Expression, scope: Scope) -> int:
    value = Binder(scope, None).bind(node).value
    if not isinstance(value, int):
        raise Refused("a number of rows that is no whole number")
    return value


def _take(node: Any, rows: Relation, scope: Scope) -> Relation:
    return kept(rows, range(min(_number(node.count, scope), len(rows.rows))))


def _count(node: Any, rows: Relation, scope: Scope) -> Relation:
    return Relation(["Count"], [K.LONG], [(len(rows.rows),)])


def _sort(node: Any, rows: Relation, scope: Scope) -> Relation:
    return _sorted_by(node.keys, rows, scope)


def _sorted_by(given: Sequence[tree.Ordered], rows: Relation, scope: Scope) -> Relation:
    binder = Binder(scope, rows)
    keys = []
    for key in given:
        value = binder.bind(key.value.value if isinstance(key.value, tree.Named) else key.value)
        keys.append((to(value, K.STRING) if value.kind is K.DYNAMIC else value, key.descending, key.nulls_first))
    order = in_any_order(list(range(len(rows.rows))))
    marks: list[list[Any]] = [[] for _ in order]
    # The last key first: each pass is stable.
    for value, descending, nulls_first in reversed(keys):
        found = [value.of(row) for row in cursors(rows)]
        known = sorted(
            (at for at in order if not is_missing(found[at])), key=lambda at: sort_key(found[at]), reverse=descending
        )
        if descending:
            # reverse=True keeps ties in their order, too.
            pass
        nans = [at for at in order if found[at] is not None and is_missing(found[at])]
        nulls = [at for at in order if found[at] is None]
        order = [*nulls, *nans, *known] if nulls_first else [*known, *nans, *nulls]
        for at, value_at in enumerate(found):
            marks[at].append((value_at is None, "nan" if value_at is not None and is_missing(value_at) else value_at))
    ranks, last = [], -1
    for place, at in enumerate(order):
        if place == 0 or marks[at] != marks[order[place - 1]]:
            last += 1
        ranks.append(last)
    return rows.with_rows([rows.rows[at] for at in order], ranks)


def _top(node: Any, rows: Relation, scope: Scope) -> Relation:
    return _take(node, _sorted_by((node.key,), rows, scope), scope)


# Columns


def _named(node: tree.Expression) -> tuple[tuple[str, ...], tree.Expression]:
    return (node.names, node.value) if isinstance(node, tree.Named) else ((), node)


def free_name(taken: Sequence[str], wanted: str) -> str:
    """A name, with a number where it is taken."""
    if wanted not in taken:
        return wanted
    return next(f"{wanted}{number}" for number in range(1, len(taken) + 2) if f"{wanted}{number}" not in taken)


def unnamed(taken: Sequence[str], also: Sequence[str] = ()) -> str:
    held = {*taken, *also}
    return next(f"Column{number}" for number in range(1, len(held) + 2) if f"Column{number}" not in held)


def _is_name(node: tree.Expression) -> bool:
    while isinstance(node, tree.Parenthesis):
        node = node.inner
    return isinstance(node, tree.Name)


def _extend(node: Any, rows: Relation, scope: Scope) -> Relation:
    binder = Binder(scope, rows)
    names, places = list(rows.names), dict[str, Expr]()
    for item in node.columns:
        given, expression = _named(item)
        if len(given) > 1 or isinstance(expression, tree.Star):
            raise Refused("several names at once")
        value = binder.bind(expression)
        name = given[0] if given else result_name(expression)
        if name is None:
            name = unnamed(names, rows.names)
        elif not given and not _is_name(expression) and name in places:
            name = free_name(names, name)
        if name not in names:
            names.append(name)
        places[name] = value
    kinds = [places[name].kind if name in places else rows.kinds[rows.place(name)] for name in names]
    made = [
        tuple(places[name].of(row) if name in places else row.values[rows.place(name)] for name in names)
        for row in cursors(rows)
    ]
    return Relation(names, kinds, made, rows.ranks, rows.label)


def _project(node: Any, rows: Relation, scope: Scope) -> Relation:
    binder = Binder(scope, rows)
    names: list[str] = []
    values: list[Expr] = []
    for place, item in enumerate(node.columns):
        given, expression = _named(item)
        if isinstance(expression, tree.Star) or len(given) > 1:
            raise Refused("several names at once")
        value = binder.bind(expression)
        if type(node).__name__ == "Print":
            name = given[0] if given else f"print_{place}"
        else:
            found = given[0] if given else result_name(expression)
            name = unnamed(names) if found is None else found
            if not given and not _is_name(expression):
                name = free_name(names, name)
        names.append(name)
        values.append(value)
    made = [tuple(value.of(row) for value in values) for row in cursors(rows)]
    return Relation(names, [value.kind for value in values], made, rows.ranks, rows.label)


def selected(rows: Relation, names: Sequence[str]) -> Relation:
    """Columns by name, in that order."""
    places = [rows.place(name) for name in names]
    made = [tuple(row[place] for place in places) for row in rows.rows]
    return Relation(list(names), [rows.kinds[place] for place in places], made, rows.ranks, rows.label)


def _matching(pattern: tree.Pattern, rows: Relation) -> list[str]:
    import fnmatch
    import re

    if "*" not in pattern.text:
        name = pattern.text.replace("\0", "*")
        rows.place(name)
        return [name]
    shape = re.compile("".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", pattern.text)))
    assert fnmatch
    return [name for name in rows.names if shape.fullmatch(name)]


def _away(node: Any, rows: Relation, scope: Scope) -> Relation:
    away = {name for pattern in node.patterns for name in _matching(pattern, rows)}
    return selected(rows, [name for name in rows.names if name not in away])


def _keep(node: Any, rows: Relation, scope: Scope) -> Relation:
    keep = {name for pattern in node.patterns for name in _matching(pattern, rows)}
    return selected(rows, [name for name in rows.names if name in keep])


def _rename(node: Any, rows: Relation, scope: Scope) -> Relation:
    names = {}
    for item in node.columns:
        given, value = _named(item)
        if not isinstance(value, tree.Name) or len(given) != 1:
            raise Refused("a column renamed from more than a name")
        names[value.name] = given[0]
        rows.place(value.name)
    return Relation([names.get(name, name) for name in rows.names], rows.kinds, rows.rows, rows.ranks, rows.label)


def _reorder(node: Any, rows: Relation, scope: Scope) -> Relation:
    exact = {pattern.text for pattern in node.patterns if "*" not in pattern.text}
    chosen: list[str] = []
    for pattern in node.patterns:
        found = [name for name in _matching(pattern, rows) if name not in chosen]
        if "*" in pattern.text:
            found = [name for name in found if name not in exact]
        if pattern.order not in (None, "asc", "desc"):
            raise Refused("project-reorder granny")
        chosen.extend(found if pattern.order is None else sorted(found, reverse=pattern.order == "desc"))
    return selected(rows, [*chosen, *(name for name in rows.names if name not in chosen)])


# Sources


def _datatable(node: Any, rows: Relation, scope: Scope) -> Relation:
    names, kinds = [column.name for column in node.columns], [column.type for column in node.columns]
    binder = Binder(scope, None)
    cells = []
    for place, value in enumerate(node.values):
        bound = binder.bind(value)
        kind = kinds[place % len(kinds)]
        cells.append("" if bound.value is None and kind is K.STRING else convert(bound.value, bound.kind, kind))
    made = [tuple(cells[at : at + len(kinds)]) for at in range(0, len(cells), len(kinds))]
    return Relation(names, kinds, made)


def _range(node: Any, rows: Relation, scope: Scope) -> Relation:
    binder = Binder(scope, None)
    start, stop, width = (binder.bind(getattr(node, part)) for part in ("start", "stop", "step"))
    if K.REAL in (start.kind, stop.kind, width.kind):
        raise Refused("range of reals")
    low, high, by = start.value, stop.value, width.value
    if None in (low, high, by) or by <= 0 or (high - low) // by > 100_000:
        raise Refused("range with null, downwards, or a long one")
    made = [(value,) for value in range(low, high + 1, by)]
    kind = start.kind if start.kind is not K.INT else K.LONG
    return Relation([node.name], [kind], made, list(range(len(made))))


def _same(node: Any, rows: Relation, scope: Scope) -> Relation:
    return rows


def _as(node: Any, rows: Relation, scope: Scope) -> Relation:
    raise Refused("as")


def _union(node: Any, rows: Relation, scope: Scope) -> Relation:  # noqa: C901 - one branch for each form that there is
    legs = [] if type(node).__name__ == "UnionSource" else [rows]
    for table in node.tables:
        if isinstance(table, tree.Pattern) or node.source is not None:
            raise Refused("union by pattern, or withsource")
        try:
            found = rows_of(table, scope, None)
        except NoSource:
            if not node.fuzzy:
                raise
            continue
        if found is None and node.fuzzy and isinstance(table, tree.Name):
            continue
        if found is None:
            raise Refused("a leg of union that is no table")
        legs.append(found)
    columns = list(dict.fromkeys(pair for leg in legs for pair in zip(leg.names, leg.kinds, strict=True)))
    if node.inner:
        columns = [pair for pair in columns if all(pair in zip(leg.names, leg.kinds, strict=True) for leg in legs)]
    kinds_of: dict[str, list[K]] = {}
    for name, kind in columns:
        kinds_of.setdefault(name, []).append(kind)
    # A name stands where it first came; its types beside each other.
    ordered = [(name, kind) for name, kinds in kinds_of.items() for kind in kinds]
    made: list[Row] = []
    for leg in legs:
        held = {pair: place for place, pair in enumerate(zip(leg.names, leg.kinds, strict=True))}
        made.extend(
            tuple(row[held[pair]] if pair in held else ("" if pair[1] is K.STRING else None) for pair in ordered)
            for row in leg.rows
        )
    names = [f"{name}_{kind}" if len(kinds_of[name]) > 1 else name for name, kind in ordered]
    if len(set(names)) < len(names):
        raise Refused("a union whose columns collide")
    return Relation(names, [kind for _, kind in ordered], made)


_OPERATORS: dict[str, Callable[[Any, Relation, Scope], Relation]] = {
    "Where": _where,
    "Take": _take,
    "Count": _count,
    "Sort": _sort,
    "Top": _top,
    "Extend": _extend,
    "Serialize": _extend,
    "Project": _project,
    "Print": _project,
    "ProjectAway": _away,
    "ProjectKeep": _keep,
    "ProjectRename": _rename,
    "ProjectReorder": _reorder,
    "Datatable": _datatable,
    "Range": _range,
    "Render": _same,
    "Union": _union,
    "UnionSource": _union,
}
__all__ = ["checked_bin", "evaluate"]
