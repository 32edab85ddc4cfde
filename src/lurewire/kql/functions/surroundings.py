"""Functions that read more than their arguments: chance, the query's options and principal, its rows as a whole.

Sources: https://learn.microsoft.com/kusto/query/assert-function, .../rand-function, .../bin-auto-function,
.../current-principal-function and their neighbours.
"""

from __future__ import annotations

import json
import zoneinfo
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.constants import evaluated
from lurewire.kql.conversions import arithmetic, to
from lurewire.kql.dialects import sql
from lurewire.kql.errors import semantic, unsupported
from lurewire.kql.scope import ERROR
from lurewire.kql.types import KqlType, PrincipalCatalog

from .common import duckdb
from .registry import Function, anything, flag, ordered, text, whole
from .special import bind_bin_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.kql.dialects.sql import Node
    from lurewire.kql.scope import Context
    from lurewire.kql.types import QueryPrincipal

_SIZE, _POINT = "query_bin_auto_size", "query_bin_auto_at"

#: Bytes of a value of each type; of a string it is its length in UTF-8.
_WIDTHS = {
    KqlType.BOOL: 1,
    KqlType.INT: 4,
    KqlType.LONG: 8,
    KqlType.REAL: 8,
    KqlType.DATETIME: 8,
    KqlType.TIMESPAN: 8,
    KqlType.DECIMAL: 16,
    KqlType.GUID: 16,
}


def _bind_assert(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """True, or a semantic error with the message, before anything runs."""
    condition, message = (
        evaluated(value, f"assert(): argument {place + 1}", node.at, binder.context)
        for place, value in enumerate(binder.arguments(node, row))
    )
    if condition is None or message is None:
        return ERROR
    if condition.value is not True:
        raise semantic(f"assert() has failed with message: '{message.value}'", node.at, token=node.name)
    return plan.Constant(KqlType.BOOL, True)


def _rand(arguments: Sequence[Node], call: plan.Call) -> Node:
    """A number from 0 up to 1, or a whole one from 0 up to the argument."""
    del call
    random = sql.call("random")
    if not arguments:
        return random
    return sql.call("floor", sql.multiply(random, sql.cast(arguments[0], sql.DOUBLE)))


def _bind_bin_auto(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """bin_at() with the size and the fixed point that set statements say."""
    (value,) = binder.arguments(node, row)
    context = binder.context
    size = _option(_SIZE, context)
    if size is None:
        raise semantic(f"bin_auto(): 'set {_SIZE}' must say the size of the bins", node.at, token=node.name)
    point = _option(_POINT, context)
    if ERROR in (value, size, point):
        return ERROR
    if point is None:
        point = to(plan.Constant(KqlType.LONG, 0), value.type)
        if value.type in (KqlType.DATETIME, KqlType.TIMESPAN):
            point = plan.Constant(value.type, 0)
    return bind_bin_at(value, size, point, node)


def _option(name: str, context: Context) -> plan.Scalar | None:
    node = context.options.get(name)
    return None if node is None else ExpressionBinder(context, None, "set").bind(node)


def _principal(binder: ExpressionBinder) -> QueryPrincipal | None:
    catalog = binder.context.whole_catalog
    return catalog.principal() if isinstance(catalog, PrincipalCatalog) else None


def _required(binder: ExpressionBinder, node: tree.Call) -> QueryPrincipal:
    found = _principal(binder)
    if found is None:
        raise unsupported(f"the function '{node.name}' where the query runs for no known principal", node.at, node.name)
    return found


def _bind_principal(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    binder.arguments(node, row)
    return plan.Constant(KqlType.STRING, _required(binder, node).name_in_full)


def _bind_details(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """What is known of the principal; the rest of the documented fields is null."""
    binder.arguments(node, row)
    found = _required(binder, node)
    details = {
        "UserPrincipalName": found.name if found.kind == "aaduser" else None,
        "IdentityProvider": "https://sts.windows.net",
        "Authority": found.tenant_id,
        "Mfa": None,
        "Type": {"aaduser": "AadUser", "aadapp": "AadApp", "aadgroup": "AadGroup"}[found.kind],
        "DisplayName": found.name,
        "ObjectId": found.object_id,
        "FQN": found.name_in_full,
        "Notes": None,
    }
    return plan.Constant(KqlType.DYNAMIC, json.dumps(details, ensure_ascii=False, separators=(",", ":")))


def _bind_is_member(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """Whether the principal is one of those named, or in one of the groups named; who is not known is not."""
    named: list[str] = []
    for argument in binder.arguments(node, row):
        if argument is ERROR:
            return ERROR
        if not isinstance(argument, plan.Constant) or argument.type not in (KqlType.STRING, KqlType.DYNAMIC):
            raise semantic(f"{node.name}(): principals are string literals", node.at, token=node.name)
        value: object = argument.value
        if argument.type is KqlType.DYNAMIC:
            value = [] if argument.value is None else json.loads(str(argument.value))
        named.extend(str(item) for item in (value if isinstance(value, list) else [value]))
    found = _principal(binder)
    return plan.Constant(KqlType.BOOL, found is not None and any(found.answers_to(name) for name in named))


def _bind_exists(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    (name,) = binder.arguments(node, row)
    if name is ERROR or not isinstance(name, plan.Constant):
        return ERROR
    exists = binder.rows is not None and binder.rows.find(str(name.value)) is not None
    return plan.Constant(KqlType.BOOL, exists)


def _bind_data_size(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """The bytes of columns, all of them for `*`; of dynamic values only the engine that stores them knows."""
    total: plan.Scalar = plan.Constant(KqlType.LONG, 0)
    if not node.arguments:
        raise semantic(f"{node.name}(): expects columns", node.at, token=node.name)
    for argument in node.arguments:
        if isinstance(argument, tree.Star):
            columns = binder.rows.columns if binder.rows is not None else ()
            values = [plan.ColumnRef(column.type, column.id) for column in columns]
        else:
            bound = binder.bind(argument)
            if not isinstance(bound, plan.ColumnRef):
                if bound is not ERROR:
                    raise semantic(f"{node.name}(): expects columns", argument.at, token=node.name)
                return ERROR
            values = [bound]
        for value in values:
            if value.type is KqlType.DYNAMIC:
                raise unsupported(f"{node.name}() of a dynamic column", argument.at, node.name)
            size: plan.Scalar = plan.Constant(KqlType.LONG, _WIDTHS.get(value.type))
            if value.type is KqlType.STRING:
                size = plan.Call(KqlType.LONG, row, (value,))
            total = arithmetic("+", total, size, node.at)
    return total


def _text_size(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    return sql.cast(sql.call("octet_length", sql.call("encode", arguments[0])), sql.BIGINT)


def _bind_time_zones(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    binder.arguments(node, row)
    return plan.Constant(KqlType.DYNAMIC, json.dumps(sorted(zoneinfo.available_timezones()), separators=(",", ":")))


RAND = Function(
    "rand",
    (whole("n"),),
    KqlType.REAL,
    duckdb(_rand),
    optional=1,
    never_null=True,
    deterministic=False,
    naming="first",
)

FUNCTIONS = (
    Function("assert", (flag("condition"), text("message")), KqlType.BOOL, bind=_bind_assert),
    RAND,
    Function(
        "new_guid",
        (),
        KqlType.GUID,
        duckdb(lambda _, __: sql.call("uuid")),
        never_null=True,
        deterministic=False,
    ),
    Function("bin_auto", (ordered("value"),), KqlType.LONG, naming="first", bind=_bind_bin_auto),
    Function("current_principal", (), KqlType.STRING, bind=_bind_principal),
    Function("current_principal_details", (), KqlType.DYNAMIC, bind=_bind_details),
    Function("current_principal_is_member_of", (anything("group"),), KqlType.BOOL, variadic=True, bind=_bind_is_member),
    Function("datetime_list_timezones", (), KqlType.DYNAMIC, bind=_bind_time_zones),
    Function(
        "iscolumnexists",
        (text("column", literal=True),),
        KqlType.BOOL,
        bind=_bind_exists,
        page="column-ifexists-function",
    ),
    Function(
        "estimate_data_size",
        (anything("column"),),
        KqlType.LONG,
        duckdb(_text_size),
        variadic=True,
        bind=_bind_data_size,
    ),
)
