"""Rows that several results of a statement read, where they could come out differently each time: they are made once.

Each result is a SELECT of its own, so the caller keeps such rows as a temporary table for the time of the query. Source:
https://learn.microsoft.com/kusto/query/fork-operator and .../facet-operator: the input is read once, by all subqueries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import lets, plan, tree
from .scope import Rows
from .tables import table_of
from .types import Column, KqlType, Table

if TYPE_CHECKING:
    from .scope import Context


@dataclass(frozen=True, slots=True)
class Held:
    """The table that stands for such rows, the query that makes it, and the operator that reads them several times."""

    table: Table
    query: plan.BoundQuery
    operator: str


def evaluated_once(pipeline: tree.Pipeline, operator: str, context: Context) -> tree.Pipeline:
    """A pipeline that gives the same rows wherever it stands; `operator` reads it. One that always does stays as it is."""
    found = lets.tabular(pipeline, context)
    # A value that a let has drawn before is drawn with the rows that read it.
    if found is None or found.first is None or (found.deterministic and context.deterministic):
        return pipeline
    rows = found.first
    # What `as` has named on the way.
    context.names.relations.update(found.names.relations)
    table, columns, place = _hold(rows, operator, context)

    def use() -> Rows:
        context.deterministic = context.row_wise = False
        ids = tuple(context.new_id() for _ in columns)
        made = tuple(plan.Output(column.name, number, column.type) for column, number in zip(columns, ids, strict=True))
        relation: plan.Relation = plan.Scan(table, ids)
        if place is not None:
            in_order = plan.SortKey(plan.ColumnRef(KqlType.LONG, ids[place]), descending=False, nulls_first=False)
            relation = plan.Sort(relation, (in_order,))
        count = len(rows.columns)
        return Rows(relation, made[:count], rows.name, made[count : count + len(rows.hidden)])

    return tree.Pipeline(pipeline.at, tree.Given(pipeline.at, use), ())


def _hold(rows: Rows, operator: str, context: Context) -> tuple[Table, tuple[plan.Output, ...], int | None]:
    """The table of such rows, its columns, and which of them says the place of a row where the rows have an order."""
    from .operators.serialization import is_serialized, numbered  # noqa: PLC0415 - operators stand on this module

    relation, columns, place = rows.relation, (*rows.columns, *rows.hidden), None
    if is_serialized(relation):
        relation, number = numbered(relation, context)
        place = len(columns)
        columns = (*columns, plan.Output("", number, KqlType.LONG))
    table = Table(
        table_of(rows) or "",
        tuple(Column(column.name, column.type) for column in columns),
        f"held_{len(context.held)}",
        tuple(f"c{number}" for number in range(len(columns))),
        time_column=None,
    )
    context.held.append(Held(table, plan.BoundQuery(relation, columns), operator))
    return table, columns, place
