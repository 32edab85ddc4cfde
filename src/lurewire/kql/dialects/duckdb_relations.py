"""Relations as DuckDB SELECTs: columns pruned at the source, operators fused while that keeps the meaning.

A new SELECT level begins where an operator would read a computed column (nothing is computed twice), after a limit, and
after an aggregation that is filtered or aggregated again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sqlglot import exp

from lurewire.kql import limits, plan
from lurewire.kql.errors import over_limit
from lurewire.kql.types import KqlType

from . import duckdb_convert, duckdb_scan, duckdb_series, duckdb_windows, sql
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

#: From so many cells on, what legs of a union do not have is not written out.
_ABSENT_CELLS = 500


@dataclass(frozen=True, slots=True)
class Windowed:
    """What bounds the rows of every stored table: its time column, and its identity when that is kept."""

    time: bool = False
    identity: bool = False


class Relations(Joins):
    """Lowers the relation of one query."""

    #: Whether to write what DuckDB is fast at where there is a choice.
    tuned: ClassVar[bool] = True

    def __init__(self, windowed: Windowed) -> None:
        super().__init__()
        self._windowed = windowed
        self._aliases = 0
        self._apart = 1_000_000_000
        self._columns: dict[tuple[str, str], Node] = {}
        self._scalars = Scalars({}, self._subquery, self.outer)
        #: The stored tables that the SQL reads.
        self.scanned: dict[str, Table] = {}

    def query(self, bound: plan.BoundQuery) -> tuple[Node, tuple[str, ...]]:
        """The finished SELECT and the identity columns that it ends with."""
        needed = {column.id for column in bound.columns}
        select = self._relation(bound.relation, needed)
        items: list[Node] = [
            sql.alias(select.columns[column.id], sql.identifier(f"c{position}"))
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
        if not isinstance(relation, plan.Values):
            return self._of_several(relation, needed)
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
        """UNION ALL; columns that a leg does not have are left to the engine where there are many of them."""
        kept = {number: kind for number, kind in zip(union.ids, union.types, strict=True) if number in needed}
        held = [[number for number in leg.columns if number in kept] for leg in union.legs]
        count = Counter(number for own in held for number in own)
        by_name = len(kept) * len(held) - count.total() > _ABSENT_CELLS and len(count) == len(kept)
        legs: list[Node] = []
        names = {} if by_name else {number: sql.identifier(f"v{number}") for number in kept}
        first = last = self._aliases
        for leg, own in zip(union.legs, held, strict=True):
            # Legs do not see each other: the same names in each let them share what they compute alike.
            last, self._aliases = max(last, self._aliases), first
            values = {number: leg.columns[number] for number in own}
            if not by_name:
                values = {number: values.get(number, _absent(kind)) for number, kind in kept.items()}
            select = self._relation(leg.relation, _read(values.values()))
            if select.limit is not None:
                select = self._wrap(select, _read(values.values()))
            select.order = []
            scalars = self._using(select)
            nodes = [scalars.lower(value) for value in values.values()]
            if by_name and nodes:
                items: list[Node] = [sql.renamed(nodes, tuple([f"v{number}" for number in values]))]
            else:
                items = [sql.alias(node, names[number]) for node, number in zip(nodes, values, strict=True)]
            legs.append(self._finish(select, items or [exp.Alias(this=sql.number(1), alias=sql.identifier("one"))]))
        self._aliases = max(last, self._aliases)
        alias = self._alias()
        together = {"this": _all_of(legs, by_name=by_name), "alias": _table_alias(alias)}
        rows = sql.light(exp.Subquery, together)
        columns: dict[int, Node] = {number: sql.column(alias, f"v{number}") for number in kept}
        if by_name:
            for number, kind in kept.items():
                if kind is KqlType.STRING and count[number] < len(held):
                    columns[number] = sql.call("coalesce", columns[number], sql.text(""))
        return _Select(rows, columns)

    def _scan(self, scan: plan.Scan, needed: set[int]) -> _Select:
        table, alias = scan.table, self._alias()
        self.scanned[table.relation] = table
        columns = {
            number: self._stored(alias, name)
            for number, name in (*zip(scan.ids, table.physical, strict=True), *scan.hidden)
            if number in needed
        }
        select = _Select(_table(table, alias), columns)
        if self._windowed.time:
            select.where.extend(self._time_window(table, alias))
        if self._windowed.identity and table.identity:
            select.identity = {name: sql.column(alias, name, quoted=True) for name in table.identity}
            if self._windowed.time:
                commit = select.identity[table.identity[0]]
                select.where.extend(self._between(commit, "commit_after", "commit_through"))
        return select

    def _time_window(self, table: Table, alias: str) -> list[Node]:
        for column, physical in zip(table.columns, table.physical, strict=True):
            if column.name == table.time_column and column.type is KqlType.DATETIME:
                return self._between(sql.column(alias, physical, quoted=True), "t_from", "t_to")
        return []

    def _between(self, node: Node, after: str, through: str) -> list[Node]:
        low, high = self._bound(after), self._bound(through)
        return [exp.GT(this=node, expression=low), exp.LTE(this=node, expression=high)]

    def _bound(self, name: str) -> Node:
        """A parameter that bounds the rows of a table."""
        return sql.cast(exp.Placeholder(this=name), sql.BIGINT)

    def _stored(self, alias: str, name: str) -> Node:
        """A column of a stored table, one node wherever it is read."""
        known = self._columns.get((alias, name))
        if known is None:
            known = self._columns[alias, name] = sql.column(alias, name, quoted=True)
        return known

    # Operators

    def _apply(self, operator: plan.Relation, select: _Select, used: set[int]) -> _Select:
        lowered: _Select = getattr(self, _APPLIED[type(operator)])(operator, select, used)
        return lowered

    def _filter(self, operator: plan.Filter, select: _Select, used: set[int]) -> _Select:
        read = _read([operator.predicate])
        if select.limit is not None or select.group is not None or not _all_simple(select, read):
            select = self._wrap(select, used | read)
        select, apart = self._with_apart(select, [operator.predicate], used | read)
        scalars = self._using(select)
        scalars.apart = apart
        select.where.append(scalars.predicate(operator.predicate))
        return select

    def _compute(self, operator: plan.Compute, select: _Select, used: set[int]) -> _Select:
        wanted = [(number, value) for number, value in operator.columns if number in used]
        read = _read(value for _, value in wanted)
        # DuckDB cannot bind a subquery that reads an outer row beside aggregates.
        aggregated = bool(self.outer) and select.group is not None
        if aggregated or not _all_simple(select, read - {v.id for _, v in wanted if isinstance(v, plan.ColumnRef)}):
            select = self._wrap(select, (used - {number for number, _ in wanted}) | read)
        values = [value for _, value in wanted]
        select, apart = self._with_apart(select, values, (used - {number for number, _ in wanted}) | read)
        scalars = self._using(select)
        scalars.apart = apart
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
        alone = self.tuned and bool(keys) and len(calls) == 1 and calls[0].predicate is None
        if alone and calls[0].aggregate.name in _BEST_ROW:
            return self._best_row(calls[0], select, keys, used)
        columns = dict(keys)
        records: dict[int, plan.AggregateCall] = {}
        for call in calls:
            arguments = [scalars.lower(argument) for argument in call.arguments]
            predicate = None if call.predicate is None else scalars.predicate(call.predicate)
            order = [_ordered(key) for key in select.order] if call.aggregate.ordered else []
            outputs = self._aggregate(call, arguments, predicate, order)
            record = _record(outputs) if self.tuned else None
            if record is None:
                columns.update(zip(call.outputs, outputs, strict=True))
            else:
                number = self._number_apart()
                columns[number], records[number] = record, call
        group = list(keys.values())
        select = _Select(select.source, columns, select.where, group, depth=select.depth, joins=select.joins)
        return self._taken_apart(select, records, used) if records else select

    def _best_row(self, call: plan.AggregateCall, select: _Select, keys: dict[int, Node], used: set[int]) -> _Select:
        """arg_max and arg_min alone: the first row of each group, which the engine finds by row numbers."""
        arguments = [self._scalars.lower(argument) for argument in call.arguments]
        order = _ordered((arguments[0], _BEST_ROW[call.aggregate.name], False))
        rank = self._number_apart()
        made = {output: node for output, node in zip(call.outputs, arguments, strict=True) if output in used}
        ranked = duckdb_windows.over(sql.call("row_number"), list(keys.values()), [order])
        select.columns, select.order, select.identity = {**keys, **made, rank: ranked}, [], {}
        select = self._wrap(select, set(select.columns))
        select.where.append(sql.equal(select.columns[rank], sql.number(1)))
        return select

    def _taken_apart(self, select: _Select, records: dict[int, plan.AggregateCall], used: set[int]) -> _Select:
        """Records of the groups as columns, each record computed once."""
        select = self._wrap(select, set(select.columns))
        for number, call in records.items():
            for position, (output, kind) in enumerate(zip(call.outputs, call.types, strict=True)):
                if output in used:
                    field = sql.call("struct_extract", select.columns[number], sql.text(f"f{position}"))
                    select.columns[output] = sql.or_empty(field) if kind is KqlType.STRING else field
        return select

    def _number_apart(self) -> int:
        """A number for a column that the plan does not have."""
        self._apart += 1
        return self._apart

    def _aggregate(
        self, call: plan.AggregateCall, arguments: list[Node], predicate: Node | None, order: list[Node]
    ) -> list[Node]:
        return call.aggregate.lower["duckdb"](arguments, call, predicate, order)

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

    def _steps(self, operator: plan.Steps, select: _Select, used: set[int]) -> _Select:
        """Rows to structs and structs to lists, chunk by chunk; what matches is taken from the fold's list, row by row."""
        keys = set(operator.keys)
        shown = used.intersection(number for number, _ in operator.columns)
        select = self._wrap(select, _needed_below(operator, used))
        select.identity = {}
        scalars = self._using(select)

        def struct(numbers: set[int], more: dict[int, Node]) -> Node:
            columns = {number: scalars.column(plan.ColumnRef(KqlType.LONG, number)) for number in sorted(numbers)}
            return duckdb_scan.row({**columns, **more})

        order = _ordered((select.columns[operator.ordinal], False, False))
        grouped = [select.columns[key] for key in operator.keys]
        select.order = []
        select.columns[duckdb_scan.PLACE] = duckdb_scan.placed(order, grouped)
        select = self._wrap(select, set(select.columns))
        scalars, place = self._using(select), select.columns[duckdb_scan.PLACE]
        select.columns[duckdb_scan.ROW] = struct(shown, {})
        select.columns[duckdb_scan.READ] = struct(duckdb_scan.read(operator), {duckdb_scan.PLACE: place})
        select.columns[duckdb_scan.CHUNKED] = duckdb_scan.chunked(place)
        made = {duckdb_scan.PLACE, duckdb_scan.ROW, duckdb_scan.READ, duckdb_scan.CHUNKED}
        select = self._wrap(select, keys | made)
        columns = select.columns
        select.group = [columns[number] for number in (*operator.keys, duckdb_scan.CHUNKED)]
        columns[duckdb_scan.LIST] = duckdb_scan.listed(columns[duckdb_scan.READ], columns[duckdb_scan.PLACE])
        columns[duckdb_scan.ROWS] = duckdb_scan.listed(columns[duckdb_scan.ROW], columns[duckdb_scan.PLACE])
        select = self._wrap(select, keys | {duckdb_scan.CHUNKED, duckdb_scan.LIST, duckdb_scan.ROWS})
        columns = select.columns
        select.group = [columns[number] for number in operator.keys]
        chunks = duckdb_scan.listed(columns[duckdb_scan.LIST], columns[duckdb_scan.CHUNKED])
        rows = duckdb_scan.listed(columns[duckdb_scan.ROWS], columns[duckdb_scan.CHUNKED])
        columns |= {duckdb_scan.LIST: chunks, duckdb_scan.ROWS: sql.call("flatten", rows)}
        select = self._wrap(select, keys | {duckdb_scan.LIST, duckdb_scan.ROWS})
        chunks = select.columns[duckdb_scan.LIST]
        select.columns[duckdb_scan.LIST] = duckdb_scan.Fold(operator, self._scalars).fold(chunks)
        select = self._wrap(select, keys | {duckdb_scan.LIST, duckdb_scan.ROWS})
        found = select.columns[duckdb_scan.LIST]
        numbers = sql.call("range", sql.number(0), sql.call("len", found))
        select.columns |= {duckdb_scan.ROW: sql.call("unnest", found), duckdb_scan.PLACE: sql.call("unnest", numbers)}
        select = self._wrap(select, keys | {duckdb_scan.ROW, duckdb_scan.ROWS, duckdb_scan.PLACE})
        columns = select.columns
        select.order = [(columns[number], False, True) for number in (*operator.keys, duckdb_scan.PLACE)]
        result = duckdb_scan.result(operator, columns[duckdb_scan.ROWS], columns[duckdb_scan.ROW])
        select.columns = {number: node for number, node in result.items() if number in used}
        return select

    def _series(self, operator: plan.Series, select: _Select, used: set[int]) -> _Select:
        below = _needed_below(operator, used)
        select = self._wrap(select, below)
        gap = self._number_apart()
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

    def _with_apart(
        self, select: _Select, values: Sequence[plan.Scalar], keep: set[int]
    ) -> tuple[_Select, dict[int, int]]:
        """The SELECT with a column for each thing that the SQL of `values` may read several times.

        For the text of a path that is a matter of time; what is random must be drawn once for all that reads it.
        """
        often = {id(part): part for value in values for part in plan.read_often(value)}
        if not self.tuned:
            often = {identity: part for identity, part in often.items() if isinstance(part, plan.Call)}
        if not often:
            return select, {}
        scalars = self._using(select)
        apart = {identity: self._number_apart() for identity in often}
        made = {
            apart[identity]: scalars.path_text(part) if isinstance(part, plan.Path) else scalars.lower(part)
            for identity, part in often.items()
        }
        select.columns = {**select.columns, **made}
        return self._wrap(select, keep | set(apart.values())), apart

    def _using(self, select: _Select) -> Scalars:
        self._scalars.columns = select.columns
        self._scalars.apart = {}
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
            parts["from_"] = sql.light(exp.From, {"this": select.source})
        if select.joins:
            parts["joins"] = select.joins
        if select.distinct_on:
            parts["distinct"] = exp.Distinct(on=exp.Tuple(expressions=select.distinct_on))
        if select.where:
            parts["where"] = sql.light(exp.Where, {"this": sql.both(*select.where)})
        if select.group is not None:
            # Without keys there is one row, even where none of its aggregates is asked for.
            parts["group"] = exp.Group(expressions=select.group or [exp.Tuple(expressions=[])])
        if select.order:
            parts["order"] = exp.Order(expressions=[_ordered(key) for key in select.order])
        if select.limit is not None:
            parts["limit"] = exp.Limit(expression=sql.number(select.limit))
        return sql.light(exp.Select, parts)


#: Aggregates that give the row with the greatest or least value of their group, and whether it is the greatest.
_BEST_ROW = {"arg_max": True, "arg_min": False}

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
    plan.Steps: "_steps",
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
        case plan.Steps(ordinal=ordinal, keys=keys, columns=columns):
            shown = needed.intersection(number for number, _ in columns)
            return duckdb_scan.read(relation) | shown | {ordinal, *keys}
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


def _absent(kind: KqlType) -> plan.Scalar:
    return plan.Constant(kind, "" if kind is KqlType.STRING else None)


def _all_of(legs: Sequence[Node], *, by_name: bool = False) -> Node:
    """UNION ALL of SELECTs, as a balanced tree: the printer goes down to its leaves."""
    if len(legs) == 1:
        return legs[0]
    middle = len(legs) // 2
    left, right = (_all_of(part, by_name=by_name) for part in (legs[:middle], legs[middle:]))
    return sql.light(exp.Union, {"this": left, "expression": right, "distinct": False, "by_name": by_name})


def _record(outputs: Sequence[Node]) -> Node | None:
    """The record that several results of one aggregate are fields of."""
    first = outputs[0]
    if len(outputs) == 1 or not isinstance(first, exp.Anonymous) or first.this != "struct_extract":
        return None
    record: Node = first.expressions[0]
    return record


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
    parts = [sql.identifier(part, quoted=True) for part in table.relation.split(".")]
    names = dict(zip(("this", "db", "catalog"), reversed(parts), strict=False))
    return sql.light(exp.Table, {**names, "alias": _table_alias(alias)})


def _table_alias(name: str) -> Node:
    return sql.light(exp.TableAlias, {"this": sql.identifier(name)})


def _quoted_alias(node: Node, name: str) -> Node:
    return exp.Alias(this=node, alias=exp.Identifier(this=name, quoted=True))


def _ordered(key: tuple[Node, bool, bool]) -> Node:
    node, descending, nulls_first = key
    return exp.Ordered(this=node, desc=descending, nulls_first=nulls_first)
