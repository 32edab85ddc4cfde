"""Relations as DuckDB SELECTs: columns pruned at the source, operators fused while that keeps the meaning.

A new SELECT level begins where an operator would read a computed column (nothing is computed twice), after a limit, and
after an aggregation that is filtered or aggregated again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql import limits, plan
from lurewire.kql.errors import over_limit
from lurewire.kql.types import KqlType

from . import duckdb_convert, duckdb_series, duckdb_windows, sql
from .duckdb import Scalars, literal
from .duckdb_joins import Joins, columns_named_in
from .duckdb_select import Select as _Select
from .duckdb_select import all_simple as _all_simple
from .duckdb_select import is_constant as _is_constant
from .duckdb_select import read_by as _read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.kql.types import Table

    from .sql import Node


@dataclass(frozen=True, slots=True)
class Windowed:
    """What bounds the rows of every stored table: its time column, and its identity when that is kept."""

    time: bool = False
    identity: bool = False


class Relations(Joins):
    """Lowers the relation of one query."""

    def __init__(self, windowed: Windowed) -> None:
        super().__init__()
        self._windowed = windowed
        self._aliases = 0
        self._scalars = Scalars({}, self._subquery)
        #: The stored tables that the SQL reads.
        self.scanned: dict[str, Table] = {}

    def query(self, bound: plan.BoundQuery) -> tuple[Node, tuple[str, ...]]:
        """The finished SELECT and the identity columns that it ends with."""
        needed = {column.id for column in bound.columns}
        select = self._relation(bound.relation, needed)
        items: list[Node] = [
            exp.Alias(this=select.columns[column.id], alias=sql.identifier(f"c{position}"))
            for position, column in enumerate(bound.columns)
        ]
        items.extend(_quoted_alias(node, name) for name, node in select.identity.items())
        finished = self._finish(select, items)
        if self.shared:
            finished.set("with_", _with(list(self.shared.values())))
        return finished, tuple(select.identity)

    def _subquery(self, relation: plan.Relation, number: int, *, one: bool) -> Node:
        """A column of a relation as a subquery, of its first row only with `one`."""
        outer = self._scalars.columns
        select = self._relation(relation, {number})
        select.identity = {}
        if one:
            select.limit = 1 if select.limit is None else min(select.limit, 1)
        elif select.limit is None:
            select.order = []
        finished = self._finish(select, [exp.Alias(this=select.columns[number], alias=sql.identifier("v"))])
        self._scalars.columns = outer
        return exp.Subquery(this=finished)

    def _relation(self, relation: plan.Relation, needed: set[int]) -> _Select:
        chain: list[tuple[plan.Relation, set[int]]] = []
        while not isinstance(relation, plan.SOURCES):
            chain.append((relation, needed))
            needed = _needed_below(relation, needed)
            relation = relation.input  # type: ignore[attr-defined]
        select = self._source(relation, needed)
        for operator, used in reversed(chain):
            select = self._apply(operator, select, used)
        return select

    def _alias(self) -> str:
        self._aliases += 1
        return f"t{self._aliases - 1}"

    # Sources

    def _source(self, relation: plan.Relation, needed: set[int]) -> _Select:
        if isinstance(relation, plan.Scan):
            return self._scan(relation, needed)
        if isinstance(relation, plan.Range):
            return self._range(relation)
        if isinstance(relation, plan.Union):
            return self._union(relation, needed)
        if isinstance(relation, plan.Join):
            return self._join(relation, needed)
        if isinstance(relation, plan.Shared):
            return self._shared(relation)
        if isinstance(relation, plan.Elements):
            return self._lower_elements(relation, needed)
        assert isinstance(relation, plan.Values)
        if not relation.ids:
            return _Select(None, {})
        alias = self._alias()
        names = [f"k{number}" for number in relation.ids]
        columns = {number: sql.column(alias, name) for number, name in zip(relation.ids, names, strict=True)}
        rows: Sequence[tuple[object, ...]] = relation.rows or ((None,) * len(relation.ids),)
        tuples = [
            exp.Tuple(
                expressions=[
                    _cell(kind, value, first=position == 0) for kind, value in zip(relation.types, row, strict=True)
                ]
            )
            for position, row in enumerate(rows)
        ]
        table = exp.TableAlias(this=sql.identifier(alias), columns=[sql.identifier(name) for name in names])
        select = _Select(exp.Values(expressions=tuples, alias=table), columns)
        if not relation.rows:
            select.where.append(sql.boolean(False))
        return select

    def _range(self, source: plan.Range) -> _Select:
        """Whole steps are counted by the engine's series; a real value is start + step * number."""
        self._scalars.columns = {}
        start, stop, step = (self._scalars.lower(part) for part in (source.start, source.stop, source.step))
        alias = self._alias()
        counted: Node = sql.column(alias, "n")
        if source.type is KqlType.REAL:
            count = sql.call("floor", sql.binary(exp.Div, sql.subtract(stop, start), step))
            steps = sql.call("generate_series", sql.number(0), sql.try_cast(count, sql.BIGINT))
            value = sql.add(start, sql.multiply(step, counted))
        else:
            steps = sql.call("generate_series", start, stop, step)
            value = counted
        table = exp.TableAlias(this=sql.identifier(alias), columns=[sql.identifier("n")])
        return _Select(exp.Table(this=steps, alias=table), {source.id: value})

    def _union(self, union: plan.Union, needed: set[int]) -> _Select:
        kept = [(position, number) for position, number in enumerate(union.ids) if number in needed]
        legs: list[Node] = []
        for leg in union.legs:
            values = [leg.columns[position] for position, _ in kept]
            select = self._relation(leg.relation, _read(values))
            if select.limit is not None:
                select = self._wrap(select, _read(values))
            select.order = []
            scalars = self._using(select)
            items: list[Node] = [
                exp.Alias(this=scalars.lower(value), alias=sql.identifier(f"v{number}"))
                for value, (_, number) in zip(values, kept, strict=True)
            ]
            legs.append(self._finish(select, items or [exp.Alias(this=sql.number(1), alias=sql.identifier("one"))]))
        alias = self._alias()
        rows = exp.Subquery(this=_all_of(legs), alias=exp.TableAlias(this=sql.identifier(alias)))
        return _Select(rows, {number: sql.column(alias, f"v{number}") for _, number in kept})

    def _scan(self, scan: plan.Scan, needed: set[int]) -> _Select:
        table, alias = scan.table, self._alias()
        self.scanned[table.relation] = table
        columns = {
            number: sql.column(alias, name, quoted=True)
            for number, name in zip(scan.ids, table.physical, strict=True)
            if number in needed
        }
        select = _Select(_table(table, alias), columns)
        if self._windowed.time:
            select.where.extend(_time_window(table, alias))
        if self._windowed.identity and table.identity:
            select.identity = {name: sql.column(alias, name, quoted=True) for name in table.identity}
            if self._windowed.time:
                commit = select.identity[table.identity[0]]
                select.where.extend(_between_parameters(commit, "commit_after", "commit_through"))
        return select

    # Operators

    def _apply(self, operator: plan.Relation, select: _Select, used: set[int]) -> _Select:
        lowered: _Select = getattr(self, _APPLIED[type(operator)])(operator, select, used)
        return lowered

    def _filter(self, operator: plan.Filter, select: _Select, used: set[int]) -> _Select:
        read = _read([operator.predicate])
        if select.limit is not None or select.group is not None or not _all_simple(select, read):
            select = self._wrap(select, used | read)
        select.where.append(self._using(select).predicate(operator.predicate))
        return select

    def _compute(self, operator: plan.Compute, select: _Select, used: set[int]) -> _Select:
        wanted = [(number, value) for number, value in operator.columns if number in used]
        read = _read(value for _, value in wanted)
        if not _all_simple(select, read - {v.id for _, v in wanted if isinstance(v, plan.ColumnRef)}):
            select = self._wrap(select, (used - {number for number, _ in wanted}) | read)
        scalars = self._using(select)
        select.columns = {**select.columns, **{number: scalars.lower(value) for number, value in wanted}}
        return select

    def _summarize(self, operator: plan.Summarize, select: _Select, used: set[int]) -> _Select:
        calls = _live(operator, used)
        values = [value for _, value in operator.keys]
        for call in calls:
            values.extend(call.arguments)
            if call.predicate is not None:
                values.append(call.predicate)
        read = _read(values)
        if select.limit is not None or select.group is not None or not _all_simple(select, read):
            select = self._wrap(select, read)
        scalars = self._using(select)
        keys = {number: scalars.lower(value) for number, value in operator.keys}
        if any(_is_constant(node) for node in keys.values()):
            select.columns = {**select.columns, **keys}
            select = self._wrap(select, read | set(keys))
            scalars = self._using(select)
            keys = {number: select.columns[number] for number in keys}
        columns = dict(keys)
        for call in calls:
            arguments = [scalars.lower(argument) for argument in call.arguments]
            predicate = None if call.predicate is None else scalars.predicate(call.predicate)
            order = [_ordered(key) for key in select.order] if call.aggregate.ordered else []
            outputs = call.aggregate.lower["duckdb"](arguments, call, predicate, order)
            columns.update(zip(call.outputs, outputs, strict=True))
        group = list(keys.values())
        return _Select(select.source, columns, select.where, group, depth=select.depth, joins=select.joins)

    def _sort(self, operator: plan.Sort, select: _Select, used: set[int]) -> _Select:
        read = _read(key.value for key in operator.keys)
        if select.limit is not None or (not _all_simple(select, read) and select.group is None):
            select = self._wrap(select, used | read)
        scalars = self._using(select)
        keys = [(scalars.lower(key.value), key.descending, key.nulls_first) for key in operator.keys]
        select.order = [key for key in keys if not _is_constant(key[0])]
        return select

    def _limit(self, operator: plan.Limit, select: _Select, used: set[int]) -> _Select:
        del used
        select.limit = operator.count if select.limit is None else min(select.limit, operator.count)
        return select

    def _number(self, operator: plan.Number, select: _Select, used: set[int]) -> _Select:
        below = used - {operator.id}
        if select.limit is not None or select.group is not None:
            select = self._wrap(select, below)
        counted = duckdb_windows.over(sql.call("row_number"), [], [_ordered(key) for key in select.order])
        select.columns = {**select.columns, operator.id: counted}
        select.order = []
        select = self._wrap(select, below | {operator.id})
        select.order = [(select.columns[operator.id], False, False)]
        return select

    def _window(self, operator: plan.Window, select: _Select, used: set[int]) -> _Select:
        wanted = [(number, value) for number, value in operator.columns if number in used]
        if not wanted:
            return select
        below = (used - {number for number, _ in wanted}) | {operator.ordinal}
        for _, value in wanted:
            below |= _read(_window_values(value))
        if select.limit is not None or select.group is not None or not _all_simple(select, below):
            select = self._wrap(select, below)
        scalars = self._using(select)
        order = _ordered((select.columns[operator.ordinal], False, False))
        made = {number: duckdb_windows.lower(value, scalars, order) for number, value in wanted}
        select.columns = {**select.columns, **made}
        return self._wrap(select, below | set(made))

    def _series(self, operator: plan.Series, select: _Select, used: set[int]) -> _Select:
        below = _needed_below(operator, used)
        select = self._wrap(select, below)
        gap = self._aliases + 1_000_000_000
        select.columns[gap] = duckdb_series.gap(operator, select.columns)
        select = self._wrap(select, below | {gap})
        keys = [select.columns[key] for key in operator.keys]
        made = duckdb_series.arrays(operator, self._using(select), select.columns[gap], used)
        columns = {**{key: select.columns[key] for key in operator.keys}, **made}
        last = duckdb_series.last_slot(operator, select.columns)
        select = _Select(select.source, {**columns, gap: last}, group=keys, depth=select.depth)
        if not operator.keys and not operator.nonempty:
            select = self._wrap(select, set(columns) | {gap})
            select.where.append(sql.negation(sql.is_null(select.columns[gap])))
        return select

    # SELECT levels

    def _using(self, select: _Select) -> Scalars:
        self._scalars.columns = select.columns
        return self._scalars

    def _wrap(self, select: _Select, keep: set[int]) -> _Select:
        """The SELECT so far as the source of a new one; the order moves outwards."""
        if select.depth >= limits.SELECT_DEPTH.value:
            raise over_limit(f"the query needs more than {limits.SELECT_DEPTH.value} nested subqueries")
        alias = self._alias()
        items: list[Node] = []
        columns: dict[int, Node] = {}
        for number in sorted(keep.intersection(select.columns)):
            items.append(exp.Alias(this=select.columns[number], alias=sql.identifier(f"v{number}")))
            columns[number] = sql.column(alias, f"v{number}")
        order = []
        for position, (node, descending, nulls_first) in enumerate(select.order):
            items.append(exp.Alias(this=node, alias=sql.identifier(f"o{position}")))
            order.append((sql.column(alias, f"o{position}"), descending, nulls_first))
        identity = {}
        for name, node in select.identity.items():
            items.append(_quoted_alias(node, name))
            identity[name] = sql.column(alias, name, quoted=True)
        if not items:
            items.append(exp.Alias(this=sql.number(1), alias=sql.identifier("one")))
        if select.limit is None:
            select.order = []
        inner = exp.Subquery(this=self._finish(select, items), alias=exp.TableAlias(this=sql.identifier(alias)))
        return _Select(inner, columns, order=order, identity=identity, depth=select.depth + 1)

    def _finish(self, select: _Select, items: list[Node]) -> Node:
        parts: dict[str, Node | list[Node]] = {"expressions": items or [sql.number(1)]}
        if select.source is not None:
            parts["from_"] = exp.From(this=select.source)
        if select.joins:
            parts["joins"] = select.joins
        if select.distinct_on:
            parts["distinct"] = exp.Distinct(on=exp.Tuple(expressions=select.distinct_on))
        if select.where:
            parts["where"] = exp.Where(this=sql.both(*select.where))
        if select.group:
            parts["group"] = exp.Group(expressions=select.group)
        if select.order:
            parts["order"] = exp.Order(expressions=[_ordered(key) for key in select.order])
        if select.limit is not None:
            parts["limit"] = exp.Limit(expression=sql.number(select.limit))
        return exp.Select(**parts)


#: The method that lowers each kind of operator.
_APPLIED: dict[type[plan.Relation], str] = {
    plan.Filter: "_filter",
    plan.Compute: "_compute",
    plan.Summarize: "_summarize",
    plan.Sort: "_sort",
    plan.Limit: "_limit",
    plan.Expand: "_expand",
    plan.Apply: "_lateral",
    plan.ParseText: "_parse_text",
    plan.Number: "_number",
    plan.Window: "_window",
    plan.Series: "_series",
}


def _needed_below(relation: plan.Relation, needed: set[int]) -> set[int]:
    """The columns that an operator needs of its input so that `needed` come out of it."""
    match relation:
        case plan.Filter(predicate=predicate):
            return needed | _read([predicate])
        case plan.Compute(columns=columns):
            made = {number for number, _ in columns}
            return (needed - made) | _read(value for number, value in columns if number in needed)
        case plan.Sort(keys=keys):
            return needed | _read(key.value for key in keys)
        case plan.Expand() | plan.Apply() | plan.ParseText() | plan.Series():
            return _needed_below_elements(relation, needed)
        case plan.Number(id=number):
            return needed - {number}
        case plan.Window(columns=calls):
            live = [(number, value) for number, value in calls if number in needed]
            values = [part for _, value in live for part in _window_values(value)]
            return (needed - {number for number, _ in live}) | {relation.ordinal} | _read(values)
        case plan.Summarize():
            values = [value for _, value in relation.keys]
            for call in _live(relation, needed):
                values.extend(call.arguments)
                values.extend([] if call.predicate is None else [call.predicate])
            return _read(values)
        case _:
            return needed


def _needed_below_elements(relation: plan.Relation, needed: set[int]) -> set[int]:
    """The same for operators that take values apart."""
    match relation:
        case plan.Expand(columns=expansions, index=index):
            made = {index, *(expansion.id for expansion in expansions)}
            return (needed - made) | _read(expansion.value for expansion in expansions)
        case plan.Apply(elements=elements):
            return (
                (needed - set(relation.ids))
                | columns_named_in(relation.inner)
                | _read(expansion.value for expansion in elements.columns)
            )
        case plan.ParseText(subject=subject):
            return (needed - {*relation.groups, relation.matched}) | _read([subject])
        case plan.Series():
            arrays = [part for value in relation.values if value.id in needed for part in (value.value, value.default)]
            bounds = [part for part in (relation.origin, relation.step, relation.end) if part is not None]
            return {relation.slot, *relation.keys} | _read([*arrays, *bounds])
        case _:
            raise AssertionError(type(relation))


def _window_values(value: plan.WindowCall) -> list[plan.Scalar]:
    return [part for part in (value.value, value.group, value.default, value.span) if part is not None]


def _all_of(legs: Sequence[Node]) -> Node:
    """UNION ALL of SELECTs, as a balanced tree: the printer goes down to its leaves."""
    if len(legs) == 1:
        return legs[0]
    middle = len(legs) // 2
    return exp.Union(this=_all_of(legs[:middle]), expression=_all_of(legs[middle:]), distinct=False)


def _live(operator: plan.Summarize, used: set[int]) -> list[plan.AggregateCall]:
    """The aggregates whose results are used; without keys one stays, for it makes the one row."""
    live = [call for call in operator.aggregates if used.intersection(call.outputs)]
    return live if live or operator.keys else list(operator.aggregates[:1])


def _with(shared: Sequence[tuple[str, Node]]) -> Node:
    """WITH, each part computed once."""
    parts = [
        exp.CTE(this=body, alias=exp.TableAlias(this=sql.identifier(name)), materialized=True) for name, body in shared
    ]
    return exp.With(expressions=parts)


def _cell(kind: KqlType, value: object, *, first: bool) -> Node:
    if value is None:
        return sql.cast(exp.Null(), duckdb_convert.STORAGE[kind]) if first else exp.Null()
    node = literal(kind, value)  # type: ignore[arg-type]
    return sql.cast(node, duckdb_convert.STORAGE[kind]) if first and not isinstance(node, exp.Cast) else node


def _table(table: Table, alias: str) -> Node:
    parts = [exp.Identifier(this=part, quoted=True) for part in table.relation.split(".")]
    names = dict(zip(("this", "db", "catalog"), reversed(parts), strict=False))
    return exp.Table(**names, alias=exp.TableAlias(this=sql.identifier(alias)))


def _time_window(table: Table, alias: str) -> list[Node]:
    for column, physical in zip(table.columns, table.physical, strict=True):
        if column.name == table.time_column and column.type is KqlType.DATETIME:
            return _between_parameters(sql.column(alias, physical, quoted=True), "t_from", "t_to")
    return []


def _between_parameters(node: Node, after: str, through: str) -> list[Node]:
    low, high = (sql.cast(exp.Placeholder(this=name), sql.BIGINT) for name in (after, through))
    return [exp.GT(this=node, expression=low), exp.LTE(this=node, expression=high)]


def _quoted_alias(node: Node, name: str) -> Node:
    return exp.Alias(this=node, alias=exp.Identifier(this=name, quoted=True))


def _ordered(key: tuple[Node, bool, bool]) -> Node:
    node, descending, nulls_first = key
    return exp.Ordered(this=node, desc=descending, nulls_first=nulls_first)
