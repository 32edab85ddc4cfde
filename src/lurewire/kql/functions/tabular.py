"""Functions of tables: toscalar(), column_names_of()."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.errors import semantic
from lurewire.kql.scope import ERROR
from lurewire.kql.types import KqlType

from .registry import Function, anything

if TYPE_CHECKING:
    from lurewire.kql.binder import ExpressionBinder


def _only(node: tree.Call) -> tree.Expression:
    if len(node.arguments) != 1:
        raise semantic(f"{node.name}(): expects 1 argument, not {len(node.arguments)}", node.at, token=node.name)
    return node.arguments[0]


def _bind_toscalar(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """The first column of the first row."""
    del row
    argument = _only(node)
    if not binder.is_tabular(argument):
        return _constant(binder, argument)
    rows = binder.rows_of(argument)
    if not rows.columns:
        raise semantic("toscalar(): the tabular expression has no column", node.at)
    column = rows.columns[0]
    return plan.ScalarQuery(column.type, rows.relation, column.id)


def _constant(binder: ExpressionBinder, argument: tree.Expression) -> plan.Scalar:
    """A scalar: what is random in it is drawn once for the query."""
    context = binder.context
    outer, context.deterministic = context.deterministic, True
    value = binder.bind(argument)
    same, context.deterministic = context.deterministic, context.deterministic and outer
    columns: set[int] = set()
    plan.column_ids(value, columns)
    if same or columns or value is ERROR:
        return value
    inner, outside = context.new_id(), context.new_id()
    once = plan.Shared(plan.Compute(plan.Values((), (), ((),)), ((inner, value),)), (inner,), (outside,))
    return plan.ScalarQuery(value.type, once, outside)


def _bind_column_names(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    del row
    argument = _only(node)
    if isinstance(argument, tree.Named | tree.Star):
        return ERROR
    names = [column.name for column in binder.rows_of(argument).columns]
    return plan.Constant(KqlType.DYNAMIC, json.dumps(names, ensure_ascii=False, separators=(",", ":")))


FUNCTIONS = (
    Function("toscalar", (anything("expression"),), KqlType.DYNAMIC, bind=_bind_toscalar),
    Function("column_names_of", (anything("expression"),), KqlType.DYNAMIC, bind=_bind_column_names),
)
