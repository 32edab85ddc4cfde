"""Functions over rows in order: row_number(), prev(), next(), row_cumsum(), ranks and sessions.

All are made of a few window functions that every engine has; see plan.WindowCall.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.kql import plan
from lurewire.kql.conversions import arithmetic, to
from lurewire.kql.errors import semantic, unsupported
from lurewire.kql.scope import ERROR
from lurewire.kql.types import KqlType

from .registry import Function, Param, anything, flag, moment, span, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.kql import tree
    from lurewire.kql.binder import ExpressionBinder

    from .registry import NameRule

_ONE = plan.Constant(KqlType.LONG, 1)
_ZERO = plan.Constant(KqlType.LONG, 0)


def _add(binder: ExpressionBinder, call: plan.WindowCall) -> plan.Scalar:
    """The column of a window function."""
    assert binder.windows is not None
    column = binder.context.new_id()
    binder.windows.append((column, call))
    return plan.ColumnRef(call.type, column)


def _arguments(binder: ExpressionBinder, node: tree.Call, row: Function) -> list[plan.Scalar] | None:
    """The bound arguments; None after a reported problem."""
    from lurewire.kql.operators.serialization import is_serialized  # noqa: PLC0415 - the operators stand on the functions

    if binder.windows is None or binder.rows is None:
        raise semantic(f"'{binder.operator}' operator: {node.name}() is not allowed here", node.at, token=node.name)
    if not is_serialized(binder.rows.relation):
        message = f"{node.name}(): the rows have no order; sort or serialize them first"
        raise semantic(message, node.at, token=node.name)
    arguments = binder.arguments(node, row)
    return None if ERROR in arguments else arguments


def _counted(binder: ExpressionBinder, condition: plan.Scalar) -> plan.Scalar:
    """How often the condition was true up to the row."""
    chosen = plan.Conditional(KqlType.LONG, ((condition, _ONE),), _ZERO)
    return _add(binder, plan.WindowCall("sum", KqlType.LONG, chosen))


def _group(binder: ExpressionBinder, arguments: list[plan.Scalar], position: int) -> plan.Scalar | None:
    """What the argument `restart` makes of the rows: a new group where it is true."""
    return _counted(binder, arguments[position]) if len(arguments) > position else None


def _bind_number(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    arguments = _arguments(binder, node, row)
    if arguments is None:
        return ERROR
    counted = _add(binder, plan.WindowCall("number", KqlType.LONG, group=_group(binder, arguments, 1)))
    if not arguments:
        return counted
    before = arithmetic("-", arguments[0], _ONE, node.at)
    return arithmetic("+", counted, before, node.at)


def _bind_neighbour(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    arguments = _arguments(binder, node, row)
    if arguments is None:
        return ERROR
    value, offset = arguments[0], 1
    if len(arguments) > 1:
        given = arguments[1]
        if not isinstance(given, plan.Constant) or not isinstance(given.value, int):
            raise unsupported(f"{node.name}(): an offset that is not a literal", node.at, node.name)
        offset = given.value
    default: plan.Scalar = plan.Constant(value.type, "" if value.type is KqlType.STRING else None)
    if len(arguments) > 2:
        default = to(arguments[2], value.type)
    kind = "previous" if row.name == "prev" else "next"
    return _add(binder, plan.WindowCall(kind, value.type, value, offset=offset, default=default))


def _bind_sum(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    arguments = _arguments(binder, node, row)
    if arguments is None:
        return ERROR
    value = arguments[0]
    group = _group(binder, arguments, 1)
    total = _add(binder, plan.WindowCall("sum", value.type, value, group))
    # A row without a value counts as zero, also when it is the first.
    zero: plan.Scalar = to(plan.Constant(KqlType.LONG, 0), value.type)
    if value.type is KqlType.TIMESPAN:
        zero = plan.Constant(KqlType.TIMESPAN, 0)
    missing = plan.Call(KqlType.BOOL, _is_null(), (total,))
    return plan.Conditional(value.type, ((missing, zero),), total)


def _is_null() -> Function:
    from . import FUNCTIONS  # noqa: PLC0415 - the table that this module is a part of

    return FUNCTIONS["isnull"]


def _bind_rank(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """Ranks count the runs of equal values (dense), or give the place of a run's first row (min)."""
    arguments = _arguments(binder, node, row)
    if arguments is None:
        return ERROR
    value, group = arguments[0], _group(binder, arguments, 1)
    place = _add(binder, plan.WindowCall("number", KqlType.LONG, group=group))
    default = plan.Constant(value.type, "" if value.type is KqlType.STRING else None)
    before = _add(binder, plan.WindowCall("previous", value.type, value, group, default=default))
    first = plan.Compare(KqlType.BOOL, "==", place, _ONE)
    differs = plan.Compare(KqlType.BOOL, "!=", value, before)
    begins = plan.Logic(KqlType.BOOL, "or", (first, differs))
    if row.name == "row_rank_dense":
        chosen = plan.Conditional(KqlType.LONG, ((begins, _ONE),), _ZERO)
        return _add(binder, plan.WindowCall("sum", KqlType.LONG, chosen, group))
    start = plan.Conditional(KqlType.LONG, ((begins, place),), plan.Constant(KqlType.LONG, None))
    return _add(binder, plan.WindowCall("maximum", KqlType.LONG, start, group))


def _bind_session(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """Gaps and restarts part the rows first; the greatest length is counted from the first row of each part."""
    arguments = _arguments(binder, node, row)
    if arguments is None:
        return ERROR
    value, longest, between = arguments[:3]
    default = plan.Constant(KqlType.DATETIME, None)
    before = _add(binder, plan.WindowCall("previous", KqlType.DATETIME, value, default=default))
    reached = plan.Compare(KqlType.BOOL, ">=", value, arithmetic("+", before, between, node.at))
    conditions = [plan.Call(KqlType.BOOL, _is_null(), (before,)), reached, *arguments[3:]]
    group = _counted(binder, plan.Logic(KqlType.BOOL, "or", tuple(conditions)))
    return _add(binder, plan.WindowCall("session", KqlType.DATETIME, value, group, span=longest))


_SUMMED = frozenset({KqlType.INT, KqlType.LONG, KqlType.REAL, KqlType.DECIMAL, KqlType.TIMESPAN})


def _row(
    name: str,
    params: tuple[Param, ...],
    bind: Callable[[ExpressionBinder, tree.Call, Function], plan.Scalar],
    *,
    optional: int,
    aliases: tuple[str, ...] = (),
    naming: NameRule = "default",
) -> Function:
    return Function(name, params, KqlType.LONG, bind=bind, optional=optional, aliases=aliases, naming=naming)


FUNCTIONS = (
    _row("row_number", (whole("start"), flag("restart")), _bind_number, optional=2),
    _row("prev", (anything("column"), whole("offset"), anything("default")), _bind_neighbour, optional=2),
    _row("next", (anything("column"), whole("offset"), anything("default")), _bind_neighbour, optional=2),
    _row("row_cumsum", (Param("term", _SUMMED), flag("restart")), _bind_sum, optional=1),
    _row("row_rank_dense", (anything("term"), flag("restart")), _bind_rank, optional=1, aliases=("row_rank",)),
    _row("row_rank_min", (anything("term"), flag("restart")), _bind_rank, optional=1),
    _row(
        "row_window_session",
        (moment("value"), span("longest"), span("between"), flag("restart")),
        _bind_session,
        optional=1,
    ),
)
