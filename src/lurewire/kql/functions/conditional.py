"""Choices between values: iff(), case(), coalesce(), max_of(), not(), column_ifexists()."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.conversions import branch_type, common_type, to, widest
from lurewire.kql.dialects import sql
from lurewire.kql.errors import semantic
from lurewire.kql.scope import ERROR
from lurewire.kql.types import NUMBERS, KqlType

from .common import duckdb
from .registry import Function, anything, flag, ordered, same_as, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.kql.binder import ExpressionBinder
    from lurewire.kql.dialects.sql import Node


def _bind_iff(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    condition, then, otherwise = binder.arguments(node, row)
    return _conditional([(condition, then)], otherwise)


def _bind_case(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    del row
    count = len(node.arguments)
    if count < 3 or count % 2 == 0:
        raise semantic(f"case(): expects pairs of predicate and value, then a value, not {count} arguments", node.at)
    branches = [
        (binder.boolean(node.arguments[position], "case(): a predicate"), binder.bind(node.arguments[position + 1]))
        for position in range(0, count - 1, 2)
    ]
    return _conditional(branches, binder.bind(node.arguments[-1]))


def _conditional(branches: Sequence[tuple[plan.Scalar, plan.Scalar]], otherwise: plan.Scalar) -> plan.Scalar:
    values = [*(value for _, value in branches), otherwise]
    if ERROR in values or any(condition is ERROR for condition, _ in branches):
        return ERROR
    kind = branch_type([value.type for value in values])
    return plan.Conditional(
        kind, tuple((condition, to(value, kind)) for condition, value in branches), to(otherwise, kind)
    )


#: https://learn.microsoft.com/kusto/query/coalesce-function
_MOST_COALESCED = 64


def _bind_coalesce(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    values = binder.arguments(node, row)
    if ERROR in values:
        return ERROR
    if len(values) > _MOST_COALESCED:
        raise semantic(f"coalesce(): expects 2 to {_MOST_COALESCED} arguments, not {len(values)}", node.at)
    kinds = [value.type for value in values]
    if kinds[0] is KqlType.DYNAMIC:
        # As Microsoft's analyser has it: the first argument being dynamic, the others are.
        for argument, kind in zip(node.arguments, kinds, strict=True):
            if kind is not KqlType.DYNAMIC:
                message = f"coalesce(): The expression must have the type dynamic, like the first argument, not {kind}"
                raise semantic(message, argument.at, hint="todynamic() or tostring() makes them one type")
    else:
        # The analyser refuses a dynamic argument here too; parsers that Azure ships have one beside strings.
        kinds = [kind for kind in kinds if kind is not KqlType.DYNAMIC]
    kind = common_type(kinds, node.at, "coalesce()")
    return plan.Call(kind, row, tuple(to(value, kind) for value in values))


def _coalesce(arguments: Sequence[Node], call: plan.Call) -> Node:
    if call.type is KqlType.STRING:
        # An empty string counts as missing.
        present = [sql.call("nullif", argument, sql.text("")) for argument in arguments]
        return sql.coalesce(*present, sql.text(""))
    return sql.coalesce(*arguments)


def _bind_extreme(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    values = binder.arguments(node, row)
    if ERROR in values:
        return ERROR
    kinds = [value.type for value in values]
    kind = widest(*kinds) if set(kinds) <= NUMBERS else common_type(kinds, node.at, f"{node.name}()")
    return plan.Call(kind, row, tuple(to(value, kind) for value in values))


def _bind_not(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    (value,) = binder.arguments(node, row)
    return value if value is ERROR else plan.Not(KqlType.BOOL, value)


def _bind_column_if_exists(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    if len(node.arguments) != 2:
        raise semantic(f"{node.name}(): expects 2 arguments, not {len(node.arguments)}", node.at)
    name = binder.argument(node.arguments[0], row.params[0], node.name, 0)
    default = binder.bind(node.arguments[1])
    if name is ERROR:
        return ERROR
    assert isinstance(name, plan.Constant)
    column = None if binder.rows is None else binder.rows.find(str(name.value))
    return default if column is None else plan.ColumnRef(column.type, column.id)


FUNCTIONS = (
    Function(
        "iff", (flag("predicate"), anything("then"), anything("else")), same_as(1), aliases=("iif",), bind=_bind_iff
    ),
    Function("case", (anything("predicate"),), same_as(0), variadic=True, bind=_bind_case),
    Function(
        "coalesce",
        (anything("value"),),
        same_as(0),
        duckdb(_coalesce),
        variadic=True,
        least=2,
        makes_null=False,
        bind=_bind_coalesce,
    ),
    Function(
        "max_of",
        (ordered("value"),),
        same_as(0),
        duckdb(lambda arguments, _: sql.call("greatest", *arguments)),
        variadic=True,
        bind=_bind_extreme,
    ),
    Function(
        "min_of",
        (ordered("value"),),
        same_as(0),
        duckdb(lambda arguments, _: sql.call("least", *arguments)),
        variadic=True,
        bind=_bind_extreme,
    ),
    Function("not", (flag("value"),), KqlType.BOOL, bind=_bind_not),
    Function(
        "column_ifexists",
        (text("column", literal=True), anything("default")),
        same_as(1),
        aliases=("columnifexists",),
        naming="first",
        bind=_bind_column_if_exists,
        page="column-ifexists-function",
    ),
)
