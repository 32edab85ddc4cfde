"""Rows in a fixed order: the serialize operator, and window functions over such rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.scope import Projection, Rows

from .registry import TabularOperator

if TYPE_CHECKING:
    from lurewire.kql.binder import ExpressionBinder
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

#: Operators that keep the order of their input.
_KEEPING = (plan.Filter, plan.Compute, plan.Window, plan.Limit)


@dataclass(frozen=True, slots=True)
class Serialize(tree.Operator):
    """`serialize name = expression, ...`."""

    columns: tuple[tree.Expression, ...]


def is_serialized(relation: plan.Relation) -> bool:
    """Whether the order of the rows is fixed (https://learn.microsoft.com/kusto/query/window-functions)."""
    while isinstance(relation, _KEEPING):
        relation = relation.input
    return isinstance(relation, plan.Sort | plan.Number | plan.Range)


def with_windows(relation: plan.Relation, binder: ExpressionBinder) -> plan.Relation:
    """The relation with the columns of the window functions that the binder met."""
    if not binder.windows:
        return relation
    source, ordinal = numbered(relation, binder.context)
    level: list[tuple[int, plan.WindowCall]] = []
    made: set[int] = set()
    for number, call in binder.windows:
        read: set[int] = set()
        for value in (call.value, call.group, call.default, call.span):
            if value is not None:
                plan.column_ids(value, read)
        if read & made:
            source = plan.Window(source, ordinal, tuple(level))
            level, made = [], set()
        level.append((number, call))
        made.add(number)
    return plan.Window(source, ordinal, tuple(level))


def numbered(relation: plan.Relation, context: Context) -> tuple[plan.Relation, int]:
    """The relation with a column that counts its rows in their order."""
    below = relation
    while isinstance(below, _KEEPING):
        below = below.input
    if isinstance(below, plan.Number):
        return relation, below.id
    ordinal = context.new_id()
    return plan.Number(relation, ordinal), ordinal


def _parse(parser: Parser, name: Token) -> Serialize:
    parser.parameters()
    if parser.at_end() or parser.at_text("|", ";", ")", "}"):
        return Serialize(name.at, ())
    return Serialize(name.at, parser.comma_list(parser.named_expression))


def _bind(node: Serialize, rows: Rows, context: Context) -> Rows:
    from .columns import compute  # noqa: PLC0415 - columns stands on this module

    relation = rows.relation if is_serialized(rows.relation) else numbered(rows.relation, context)[0]
    projection = Projection(rows.columns)
    made = compute(node.columns, Rows(relation, rows.columns), context, "serialize", projection, replace=True)
    return Rows(made, tuple(projection.columns))


OPERATORS = (TabularOperator("serialize", Serialize, _parse, _bind, row_wise=False),)
