"""Let statements: scalars, tables and functions, and what their names stand for where they are used.

Source: https://learn.microsoft.com/kusto/query/let-statement and .../functions/user-defined-functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import patterns, plan, tree
from .binder import ExpressionBinder
from .conversions import to
from .errors import UNKNOWN_FUNCTION, UNRESOLVED, Consequence, UnresolvedSource, semantic, unsupported
from .known_names import SERVICE_FUNCTIONS
from .saved import inside, refuse_recursion
from .scope import ERROR, TabularLet, UserFunction
from .types import NUMBERS, KqlType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .scope import Context, Names, Rows

#: Functions of the engine that stand where a table may stand.
TABULAR_FUNCTIONS = frozenset({"materialize", "table", "_GetWatchlist", "_GetWatchlistAlias"})

#: What a call of a function counts among the expressions, beside those of its body: functions that each call another twice
#: double each other.
_CALL = 10


def declare(let: tree.Let, context: Context) -> None:
    """Puts a let in place: a function, a table, or a scalar expression without columns."""
    value = let.value
    names = context.names
    if isinstance(value, tree.Lambda):
        function = UserFunction(value, names.copy())
        names.forget(let.name)
        names.functions[let.name] = function
        return
    if _is_tabular(value, context):
        pipeline = value if isinstance(value, tree.Pipeline) else tree.Pipeline(value.at, value, ())
        table = tabular(pipeline, context)
        names.forget(let.name)
        if table is None:
            names.broken.add(let.name)
        else:
            names.relations[let.name] = table
        return
    assert not isinstance(value, tree.Pipeline)
    before = context.expressions
    bound = ExpressionBinder(context, None, "let").bind(value)
    names.forget(let.name)
    names.scalars[let.name] = bound
    names.sizes[let.name] = context.expressions - before


def _is_tabular(value: tree.Expression | tree.Pipeline, context: Context) -> bool:
    while isinstance(value, tree.Parenthesis):
        value = value.inner
    if not isinstance(value, tree.Pipeline) and patterns.is_reference(value, context.names):
        return True
    match value:
        case tree.Pipeline() | tree.Subquery():
            return True
        case tree.Name(name=name):
            return name not in context.scalars
        case tree.Call(name=name):
            return call_gives_rows(name, context)
        case tree.Member(target=tree.Call(name="database" | "cluster" | "workspace") | tree.Member()):
            return scope_calls(value) is not None
        case tree.Member(target=tree.Call(name=name)):
            return name in SERVICE_FUNCTIONS and context.function(name) is None
        case _:
            return False


def call_gives_rows(name: str, context: Context) -> bool:
    """Whether a call by that name is a tabular expression."""
    from .functions import AGGREGATES, FUNCTIONS  # noqa: PLC0415 - the registry's rows bind through this module

    if name in TABULAR_FUNCTIONS:
        return True
    if name not in context.names.functions and (name in FUNCTIONS or name in AGGREGATES):
        return False
    function = context.function(name)
    return function is not None and gives_rows(name, function, context)


def gives_rows(name: str, function: UserFunction, context: Context) -> bool:
    """Whether a function's body is a tabular expression: its statements and parameters count among its names."""
    if function.text is None:
        return _gives_rows(function, context)
    title = function.title(name)
    if title in context.calling:
        return True  # It calls itself, which is refused where it is bound.
    context.calling.append(title)
    try:
        return _gives_rows(function, context)
    finally:
        context.calling.pop()


def _gives_rows(function: UserFunction, context: Context) -> bool:
    context.count(1, 0)
    body = function.definition.body
    names = function.names.copy()
    for parameter in function.definition.parameters:
        names.forget(parameter.name)
        if parameter.type is not None:
            names.scalars[parameter.name] = plan.Constant(parameter.type, None)
    with context.among(names):
        for let in function.definition.lets:
            names.forget(let.name)
            if isinstance(let.value, tree.Lambda):
                names.functions[let.name] = UserFunction(let.value, names.copy())
            elif not _is_tabular(let.value, context):
                names.scalars[let.name] = plan.Constant(KqlType.DYNAMIC, None)
        return _is_tabular(body, context)


def tabular(pipeline: tree.Pipeline, context: Context) -> TabularLet | None:
    """A table bound for the first time, for its problems; None if it has any."""
    from .compiler import bind_pipeline  # noqa: PLC0415 - the compiler puts lets in place

    outer = context.row_wise, context.deterministic
    context.row_wise = context.deterministic = True
    names = context.names.copy()
    with context.among(names):
        rows = bind_pipeline(pipeline, context)
    found = TabularLet(pipeline, names, rows, context.row_wise, context.deterministic)
    context.row_wise, context.deterministic = outer
    return None if rows is None else found


def use(table: TabularLet, context: Context, at: int) -> Rows:
    """The rows of a tabular let, with column numbers of their own for this use."""
    from .compiler import bind_pipeline  # noqa: PLC0415 - as above

    context.row_wise = context.row_wise and table.row_wise
    context.deterministic = context.deterministic and table.deterministic
    if table.first is not None:
        rows, table.first = table.first, None
        return rows
    context.count(len(table.pipeline.operators) + 1, at)
    with context.among(table.names):
        bound = bind_pipeline(table.pipeline, context)
    if bound is None:
        raise Consequence(at)
    return bound


# Functions


def call_rows(node: tree.Expression, name: str, arguments: Sequence[tree.Expression], context: Context) -> Rows:
    """The rows that a call of a user-defined function gives."""
    return rows_of(_function(node, name, context), node, name, arguments, context)


def rows_of(
    function: UserFunction, node: tree.Expression, name: str, arguments: Sequence[tree.Expression], context: Context
) -> Rows:
    """The rows that a function gives for these arguments."""
    from .compiler import bind_pipeline  # noqa: PLC0415 - as above

    context.count(_CALL, node.at)
    definition, names = _prepared(node, name, function, arguments, context, None)
    with context.among(names), inside(name, function, context, node.at):
        for let in definition.lets:
            declare(let, context)
        body = definition.body
        pipeline = body if isinstance(body, tree.Pipeline) else tree.Pipeline(body.at, body, ())
        rows = bind_pipeline(pipeline, context)
    if rows is None:
        raise Consequence(node.at)
    return rows


def call_value(binder: ExpressionBinder, node: tree.Call) -> plan.Scalar:
    """The value of a call of a scalar user-defined function."""
    context = binder.context
    function = _function(node, node.name, context)
    context.count(_CALL, node.at)
    refuse_recursion(node.name, function, context, node.at)
    definition, names = _prepared(node, node.name, function, node.arguments, context, binder)
    if gives_rows(node.name, function, context):
        message = f"'{node.name}' gives rows where a scalar is expected. toscalar() makes one of them"
        raise semantic(message, node.at, token=node.name)
    with context.among(names), inside(node.name, function, context, node.at):
        for let in definition.lets:
            declare(let, context)
        assert not isinstance(definition.body, tree.Pipeline)
        return ExpressionBinder(context, None, binder.operator).bind(definition.body)


def _function(node: tree.Expression, name: str, context: Context) -> UserFunction:
    function = context.function(name)
    if function is None:
        raise UnresolvedSource(f"Unknown function: '{name}'", node.at, name, code=UNKNOWN_FUNCTION)
    return function


def _prepared(
    node: tree.Expression,
    name: str,
    function: UserFunction,
    arguments: Sequence[tree.Expression],
    context: Context,
    binder: ExpressionBinder | None,
) -> tuple[tree.Lambda, Names]:
    """A function's definition and its names with the arguments in place."""
    definition = function.definition
    names = function.names.copy()
    given = _matched(node, name, definition.parameters, arguments)
    for parameter in definition.parameters:
        names.forget(parameter.name)
        value = given.get(parameter.name, parameter.default)
        if value is None:
            raise semantic(f"{name}(): the argument '{parameter.name}' is missing", node.at, token=name)
        if parameter.type is None:
            names.relations[parameter.name] = _table_argument(name, parameter, value, context)
            continue
        before = context.expressions
        bound = (binder or ExpressionBinder(context, None, name)).bind(value)
        names.scalars[parameter.name] = _typed(bound, parameter.type, name, parameter.name, value.at)
        names.sizes[parameter.name] = context.expressions - before
        read: set[int] = set()
        plan.column_ids(bound, read)
        if read:
            names.row_bound[parameter.name] = context.subqueries
    return definition, names


def _matched(
    node: tree.Expression, name: str, parameters: Sequence[tree.Parameter], arguments: Sequence[tree.Expression]
) -> dict[str, tree.Expression]:
    """The arguments by the name of their parameter: by place first, then by name."""
    if len(arguments) > len(parameters):
        message = f"{name}(): expects {len(parameters)} arguments at most, not {len(arguments)}"
        raise semantic(message, node.at, token=name)
    known = {parameter.name for parameter in parameters}
    given: dict[str, tree.Expression] = {}
    for position, argument in enumerate(arguments):
        key = argument.names[0] if isinstance(argument, tree.Named) else parameters[position].name
        if key not in known or key in given:
            raise semantic(f"{name}(): no place for the argument '{key}'", argument.at, token=key)
        given[key] = argument.value if isinstance(argument, tree.Named) else argument
    return given


def _table_argument(name: str, parameter: tree.Parameter, value: tree.Expression, context: Context) -> TabularLet:
    pipeline = value.pipeline if isinstance(value, tree.Subquery) else tree.Pipeline(value.at, value, ())
    table = tabular(pipeline, context)
    if table is None:
        raise Consequence(value.at)
    _require_columns(name, parameter, table, value.at)
    return table


def _require_columns(name: str, parameter: tree.Parameter, table: TabularLet, at: int) -> None:
    assert table.first is not None
    for column in parameter.columns:
        held = table.first.find(column.name)
        if held is None or held.type is not column.type:
            message = f"{name}(): the table '{parameter.name}' must have a column '{column.name}' of type {column.type}"
            raise semantic(message, at, UNRESOLVED, column.name)


def _typed(value: plan.Scalar, kind: KqlType, function: str, name: str, at: int) -> plan.Scalar:
    """An argument as its parameter's type: numbers widen, a dynamic value converts."""
    if value is ERROR or value.type is kind:
        return value
    if {value.type, kind} <= NUMBERS or KqlType.DYNAMIC in (value.type, kind):
        return to(value, kind)
    if isinstance(value, plan.Constant) and value.value is None:
        return to(value, kind)
    raise semantic(f"{function}(): the argument '{name}' must be of type {kind}, not {value.type}", at)


# Names of other places


def scope_calls(node: tree.Expression) -> tuple[list[tree.Call], str] | None:
    """`cluster(...).database(...).Table` taken apart; None if the expression is no such thing."""
    if not isinstance(node, tree.Member):
        return None
    calls: list[tree.Call] = []
    target: tree.Expression = node.target
    while isinstance(target, tree.Member) and target.call is not None:
        calls.append(target.call)
        target = target.target
    if not isinstance(target, tree.Call) or target.name not in ("cluster", "database", "workspace"):
        return None
    return [*calls, target], node.name


def in_this_catalog(calls: Sequence[tree.Call], context: Context) -> None:
    """Refuses by name what a scope call names, unless the catalog says that the name is its own."""
    own = {name.lower() for name in getattr(context.catalog, "own_names", ())}
    for call in calls:
        if not call.arguments:
            continue
        value = ExpressionBinder(context, None, call.name).bind(call.arguments[0])
        if not isinstance(value, plan.Constant) or not isinstance(value.value, str):
            raise unsupported(f"{call.name}() with anything but a literal name", call.at, call.name)
        if call.name == "database" and value.value in context.aliases:
            aliased = context.aliases[value.value]
            if call not in aliased:
                in_this_catalog(aliased, context)
                continue
        if value.value.lower() not in own:
            raise unsupported(f"{call.name}('{value.value}'), which is not this workspace,", call.at, call.name)
