"""Relations as ClickHouse SELECTs: the levels are DuckDB's, the sources, series and aggregates are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlglot import exp

from lurewire.kql import plan
from lurewire.kql.types import KqlType

from . import clickhouse_convert, sql
from .clickhouse import NAME, Scalars, literal, parameter
from .clickhouse_functions import AGGREGATES
from .duckdb_relations import Relations as DuckDbRelations
from .duckdb_select import Select
from .refusals import NotPrinted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .duckdb import Scalars as DuckDbScalars
    from .duckdb_relations import Windowed
    from .sql import Node

#: What is printed, of sources and operators.
PRINTED = (plan.Scan, plan.Values, plan.Filter, plan.Compute, plan.Summarize, plan.Sort, plan.Limit)

#: How people call the rest.
_NAMES: dict[type[plan.Relation], str] = {
    plan.Range: "range",
    plan.Union: "union",
    plan.Join: "join",
    plan.Shared: "materialize()",
    plan.Number: "serialize",
    plan.Window: "window functions",
    plan.Series: "make-series",
    plan.Expand: "mv-expand",
    plan.Apply: "mv-apply",
    plan.Elements: "mv-apply",
    plan.ParseText: "parse",
    plan.Steps: "scan",
    plan.Partition: "partition",
    plan.Subtable: "partition",
}


class Relations(DuckDbRelations):
    """Lowers the relation of one query for ClickHouse; raises NotPrinted."""

    tuned = False

    def __init__(self, windowed: Windowed) -> None:
        super().__init__(windowed)
        self._scalars = cast("DuckDbScalars", Scalars({}))  # the same methods, of another dialect

    def query(self, bound: plan.BoundQuery) -> tuple[Node, tuple[str, ...]]:
        """The finished SELECT and the identity columns that it ends with."""
        check(bound.relation)
        return super().query(bound)

    def _source(self, relation: plan.Relation, needed: set[int]) -> Select:
        if not isinstance(relation, plan.Values):
            return super()._source(relation, needed)
        if not relation.ids:
            return Select(None, {})
        alias = self._alias()
        names = [f"k{number}" for number in relation.ids]
        structure = ", ".join(
            f"{name} {clickhouse_convert.STORAGE[kind]}" for name, kind in zip(names, relation.types, strict=True)
        )
        rows: Sequence[tuple[object, ...]] = relation.rows or (
            tuple("" if kind is KqlType.STRING else None for kind in relation.types),
        )
        cells = [_row([_cell(kind, value) for kind, value in zip(relation.types, row, strict=True)]) for row in rows]
        table = sql.call("values", sql.text(structure), *cells)
        columns = {number: sql.column(alias, name) for number, name in zip(relation.ids, names, strict=True)}
        select = Select(exp.Table(this=table, alias=exp.TableAlias(this=sql.identifier(alias))), columns)
        if not relation.rows:
            select.where.append(sql.boolean(False))
        return select

    def _bound(self, name: str) -> Node:
        return parameter(name)

    def _summarize(self, operator: plan.Summarize, select: Select, used: set[int]) -> Select:
        for aggregate in operator.aggregates:
            if aggregate.aggregate.name not in AGGREGATES:
                raise NotPrinted(NAME, f"{aggregate.aggregate.name}()")
        return super()._summarize(operator, select, used)

    def _finish(self, select: Select, items: list[Node]) -> Node:
        """Without keys there is one row: ClickHouse makes none of `GROUP BY ()` over no rows, but of a HAVING."""
        if select.group != []:
            return super()._finish(select, items)
        select.group = None
        finished = super()._finish(select, items)
        always = sql.binary(exp.GTE, sql.call("count"), sql.number(0))
        finished.set("having", exp.Having(this=always))
        return finished

    def _aggregate(
        self, aggregate: plan.AggregateCall, arguments: list[Node], predicate: Node | None, order: list[Node]
    ) -> list[Node]:
        del order
        return [AGGREGATES[aggregate.aggregate.name](arguments, aggregate, predicate)]


def check(relation: plan.Relation) -> None:
    """Raises NotPrinted for the first relation that this dialect does not print."""
    pending = [relation]
    while pending:
        node = pending.pop()
        if not isinstance(node, PRINTED):
            raise NotPrinted(NAME, _NAMES.get(type(node), type(node).__name__))
        pending.extend(plan.inputs(node))


def _row(cells: list[Node]) -> Node:
    """A row of `values`, where a single column stands without the tuple."""
    return cells[0] if len(cells) == 1 else sql.call("tuple", *cells)


def _cell(kind: KqlType, value: object) -> Node:
    """A literal; the table's structure says its type."""
    if value is None:
        return exp.Null()
    node = literal(kind, value)  # type: ignore[arg-type]
    # The values are converted to the structure's types: a CAST around each would only be long.
    return node.expressions[0] if isinstance(node, exp.Anonymous) and kind is not KqlType.REAL else node
