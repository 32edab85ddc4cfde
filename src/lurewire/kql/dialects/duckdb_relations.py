"""Relations as DuckDB SELECTs: columns pruned at the source, operators fused while that keeps the meaning.

A new SELECT level begins where an operator would read a computed column (nothing is computed twice), after a limit, and
after an aggregation that is filtered or aggregated again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql import limits, plan
from lurewire.kql.errors import over_limit
from lurewire.kql.types import KqlType

from . import duckdb_convert, sql
from .duckdb import Scalars, literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lurewire.kql.types import Table

    from .sql import Node

#: Nodes that may stand in several places of a SELECT at no cost.
_SIMPLE = (exp.Column, exp.Literal, exp.Boolean, exp.Null, exp.Placeholder)


@dataclass(frozen=True, slots=True)
class Windowed:
    """What bounds the rows of every stored table: its time column, and its identity when that is kept."""

    time: bool = False
    identity: bool = False


@dataclass(slots=True)
class _Select:
    """One SELECT in the making; `columns` says what each column is in terms of its source."""

    source: Node | None
    columns: dict[int, Node]
    where: list[Node] = field(default_factory=list)
    group: list[Node] | None = None
    order: list[tuple[Node, bool, bool]] = field(default_factory=list)
    limit: int | None = None
    identity: dict[str, Node] = field(default_factory=dict)
    depth: int = 1


class Relations:
    """Lowers the relation of one query."""

    def __init__(self, windowed: Windowed) -> None:
        self._windowed = windowed
        self._aliases = 0
        self._scalars = Scalars({})

    def query(self, bound: plan.BoundQuery) -> tuple[Node, tuple[str, ...]]:
        """The finished SELECT and the identity columns that it ends with."""
        needed = {column.id for column in bound.columns}
        select = self._relation(bound.relation, needed)
        items: list[Node] = [
            exp.Alias(this=select.columns[column.id], alias=sql.identifier(f"c{position}"))
            for position, column in enumerate(bound.columns)
        ]
        items.extend(_quoted_alias(node, name) for name, node in select.identity.items())
        return self._finish(select, items), tuple(select.identity)

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

    def _scan(self, scan: plan.Scan, needed: set[int]) -> _Select:
        table, alias = scan.table, self._alias()
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
        match operator:
            case plan.Filter():
                return self._filter(operator, select, used)
            case plan.Compute():
                return self._compute(operator, select, used)
            case plan.Summarize():
                return self._summarize(operator, select, used)
            case plan.Sort():
                return self._sort(operator, select, used)
            case plan.Limit():
                return self._limit(operator, select, used)
            case _:
                raise AssertionError(type(operator))

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
        return _Select(select.source, columns, select.where, list(keys.values()), depth=select.depth)

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
        if select.where:
            parts["where"] = exp.Where(this=sql.both(*select.where))
        if select.group:
            parts["group"] = exp.Group(expressions=select.group)
        if select.order:
            parts["order"] = exp.Order(expressions=[_ordered(key) for key in select.order])
        if select.limit is not None:
            parts["limit"] = exp.Limit(expression=sql.number(select.limit))
        return exp.Select(**parts)


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
        case plan.Summarize():
            values = [value for _, value in relation.keys]
            for call in _live(relation, needed):
                values.extend(call.arguments)
                values.extend([] if call.predicate is None else [call.predicate])
            return _read(values)
        case _:
            return needed


def _live(operator: plan.Summarize, used: set[int]) -> list[plan.AggregateCall]:
    """The aggregates whose results are used; without keys one stays, for it makes the one row."""
    live = [call for call in operator.aggregates if used.intersection(call.outputs)]
    return live if live or operator.keys else list(operator.aggregates[:1])


def _read(values: Iterable[plan.Scalar]) -> set[int]:
    found: set[int] = set()
    for value in values:
        plan.column_ids(value, found)
    return found


def _all_simple(select: _Select, ids: Iterable[int]) -> bool:
    return all(isinstance(select.columns[number], _SIMPLE) or _is_constant(select.columns[number]) for number in ids)


def _is_constant(node: Node) -> bool:
    """Whether GROUP BY and ORDER BY would take the node for a position, or for nothing."""
    while isinstance(node, exp.Paren | exp.Cast | exp.Neg):
        node = node.this
    return isinstance(node, exp.Literal | exp.Boolean | exp.Null | exp.Placeholder)


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
