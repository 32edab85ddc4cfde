"""Stored tables as rows: their columns, the hidden ones that a query names, and watchlists."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from . import plan, tree
from .binder import ExpressionBinder
from .conversions import to
from .errors import (
    TRANSFORM,
    UNKNOWN_FUNCTION,
    Consequence,
    Problem,
    UnresolvedSource,
    nearest,
    semantic,
    unsupported,
)
from .lets import TABULAR_FUNCTIONS, rows_of
from .scope import RECEIVED, Elsewhere, Rows
from .types import FunctionCatalog, HiddenColumn, KqlType, WatchlistCatalog, WildcardCatalog, WorkspaceCatalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .operators.registry import TabularOperator
    from .scope import Context
    from .types import Table

#: Relations below which the columns of their input can still be read.
_TRANSPARENT = (
    plan.Filter,
    plan.Compute,
    plan.Sort,
    plan.Limit,
    plan.Number,
    plan.Window,
    plan.Expand,
    plan.Apply,
    plan.ParseText,
)


def named(node: tree.Name, context: Context) -> Rows:
    """The rows of the catalogue's table of that name; raises Problem."""
    name = node.name
    table = context.catalog.table(name)
    allowed = context.profile.tables
    if allowed is not None and name not in allowed:
        message = f"a transformation reads the table 'source' only, not '{name}'"
        raise Problem("unsupported", TRANSFORM, message, node.at, name)
    if name in context.broken:
        raise Consequence(node.at)
    if table is None:
        message = f"Failed to resolve table or column expression named '{name}'"
        hint = nearest(name, [*context.relations, *context.catalog.table_names(), *function_names(context)])
        raise UnresolvedSource(message, node.at, name, hint)
    return scanned(table, context)


def scanned(table: Table, context: Context) -> Rows:
    """The rows of a table, with those of its hidden columns that a text of the query mentions."""
    ids = tuple(context.new_id() for _ in table.columns)
    columns = tuple(
        plan.Output(column.name, number, column.type) for column, number in zip(table.columns, ids, strict=True)
    )
    own = {column.name for column in table.columns}
    offered = [column for column in table.hidden if column.name not in own]
    named = {column.name: column.expression for column in offered if _mentioned(column.name, context)}
    # Also the SQL columns that an expression of one of them reads.
    read = {column.name for column in offered if column.sql and any(column.name in text for text in named.values())}
    wanted = [column for column in offered if column.name in named or column.name in read]
    if table.received is not None and _mentioned("ingestion_time", context):
        wanted.append(HiddenColumn(RECEIVED, KqlType.DATETIME, table.received))
    if not wanted:
        return Rows(plan.Scan(table, ids), columns)
    stored = [plan.Output(column.name, context.new_id(), column.type) for column in wanted if column.sql]
    below = [(output.id, column.sql) for output, column in zip(stored, (c for c in wanted if c.sql), strict=True)]
    made = [column for column in wanted if not column.sql]
    identity = [plan.Output(name, context.new_id(), KqlType.LONG) for name in table.identity if made]
    below.extend((output.id, output.name) for output in identity)
    scan = Rows(plan.Scan(table, ids, tuple(below)), (*columns, *stored, *identity))
    computed, hidden = [], list(stored)
    for column in made:
        binder = ExpressionBinder(context, scan, column.name)
        value = to(binder.bind(_expression(column.expression)), column.type)
        hidden.append(plan.Output(column.name, context.new_id(), column.type))
        computed.append((hidden[-1].id, value))
    relation = plan.Compute(scan.relation, tuple(computed)) if computed else scan.relation
    return Rows(relation, columns, hidden=tuple(hidden))


def _mentioned(name: str, context: Context) -> bool:
    return any(name in text for text in context.texts)


@lru_cache(256)
def _expression(text: str) -> tree.Expression:
    from .operators import OPERATORS, SOURCES  # noqa: PLC0415 - operators bind through the compiler, which knows tables
    from .parser import Parser  # noqa: PLC0415 - as above

    return Parser(text, OPERATORS, SOURCES).expression()


def with_hidden(made: Rows, source: Rows, operator: TabularOperator) -> Rows:
    """The rows that an operator made, with the hidden columns of its input where they can still be read."""
    if not source.hidden or made.hidden or not _stands_on(made.relation, source.relation):
        return made
    kept = source.hidden
    if operator.selects:
        kept = tuple(column for column in kept if column.name == RECEIVED)
    return replace(made, hidden=kept)


def _stands_on(relation: plan.Relation, base: plan.Relation) -> bool:
    while relation is not base:
        if not isinstance(relation, _TRANSPARENT):
            return False
        relation = relation.input
    return True


def table_of(rows: Rows) -> str | None:
    """The name of the stored table that every row comes from; None for a composite expression."""
    relation = rows.relation
    while isinstance(relation, _TRANSPARENT):
        relation = relation.input
    return relation.table.name if isinstance(relation, plan.Scan) else None


# What the catalogue offers beside tables


def other_workspace(calls: Sequence[tree.Call], context: Context) -> Elsewhere | None:
    """What `workspace('name')` means where it is another's that this one reaches; None leaves it to what is known here.

    Raises Problem for a workspace that is not there.
    """
    call, catalog = calls[0], context.catalog
    reaches = isinstance(catalog, WorkspaceCatalog) and context.profile.tables is None
    if not reaches or len(calls) > 1 or call.name != "workspace" or len(call.arguments) != 1:
        return None
    value = ExpressionBinder(context, None, call.name).bind(call.arguments[0])
    if not isinstance(value, plan.Constant) or not isinstance(value.value, str):
        return None
    if value.value.lower() in {name.lower() for name in getattr(catalog, "own_names", ())}:
        return None
    name = value.value
    if name not in context.elsewhere:
        assert isinstance(catalog, WorkspaceCatalog)
        found = catalog.other_workspace(name)
        if found is None:
            raise UnresolvedSource(f"workspace(): the workspace '{name}' could not be found", call.at, name)
        context.elsewhere[name] = Elsewhere(name, found)
    return context.elsewhere[name]


def named_elsewhere(node: tree.Member, call: tree.Call, home: Elsewhere, context: Context) -> Rows:
    """The rows of the table or function that `workspace(...).Name` names in another workspace; raises Problem."""
    other = home.catalog
    table = other.table(node.name) if node.call is None else None
    if table is None:
        function = context.saved_function(node.name, other, home)
        if function is not None:
            arguments = () if node.call is None else node.call.arguments
            return rows_of(function, node, node.name, arguments, context)
        if node.call is not None and node.name in TABULAR_FUNCTIONS:
            raise unsupported(f"the function '{node.name}' of another workspace", node.at, node.name)
        if node.call is not None:
            message = f"Unknown function: '{node.name}' in another workspace"
            raise UnresolvedSource(message, node.at, node.name, code=UNKNOWN_FUNCTION)
        message = f"Failed to resolve table or column expression named '{node.name}' in another workspace"
        raise UnresolvedSource(message, call.at, node.name, nearest(node.name, list(other.table_names())))
    return scanned(table, context)


def wildcard_names(context: Context) -> Iterable[str]:
    """The tables that a wildcard may stand for."""
    catalog = context.catalog
    return catalog.wildcard_names() if isinstance(catalog, WildcardCatalog) else catalog.table_names()


def function_names(context: Context) -> Iterable[str]:
    """The names of the saved functions."""
    catalog = context.catalog
    return catalog.function_names() if isinstance(catalog, FunctionCatalog) else ()


def _watchlist(node: tree.Call, context: Context) -> Rows:
    """`_GetWatchlist('alias')`: a query's time range does not bound it."""
    _refuse_in_transform(node, context)
    _refuse_elsewhere(node, context)
    if len(node.arguments) != 1:
        message = f"_GetWatchlist(): expects 1 argument, not {len(node.arguments)}"
        raise semantic(message, node.at, token=node.name)
    alias = ExpressionBinder(context, None, node.name).bind(node.arguments[0])
    if not isinstance(alias, plan.Constant) or not isinstance(alias.value, str):
        raise unsupported("_GetWatchlist() with anything but a literal alias", node.at, node.name)
    catalog = context.catalog
    aliases = list(catalog.watchlist_aliases()) if isinstance(catalog, WatchlistCatalog) else []
    table = catalog.watchlist(alias.value) if isinstance(catalog, WatchlistCatalog) else None
    if table is None:
        message = f"_GetWatchlist(): there is no watchlist with the alias '{alias.value}'"
        raise UnresolvedSource(message, node.at, alias.value, nearest(alias.value, aliases))
    return scanned(replace(table, time_column=None), context)


def _aliases(node: tree.Call, context: Context) -> Rows:
    """`_GetWatchlistAlias`: the aliases of all watchlists."""
    _refuse_in_transform(node, context)
    _refuse_elsewhere(node, context)
    if node.arguments:
        raise semantic(f"{node.name}(): expects 0 arguments, not {len(node.arguments)}", node.at, token=node.name)
    catalog = context.catalog
    aliases = sorted(catalog.watchlist_aliases()) if isinstance(catalog, WatchlistCatalog) else []
    number = context.new_id()
    values = plan.Values((number,), (KqlType.STRING,), tuple((alias,) for alias in aliases))
    return Rows(values, (plan.Output("WatchlistAlias", number, KqlType.STRING),))


def _refuse_elsewhere(node: tree.Call, context: Context) -> None:
    if context.names.home is not None:
        raise unsupported(f"{node.name} in a function of another workspace", node.at, node.name)


def _refuse_in_transform(node: tree.Call, context: Context) -> None:
    if context.profile.tables is not None:
        message = f"the function '{node.name}' is not supported in transformations"
        raise Problem("unsupported", TRANSFORM, message, node.at, node.name)


#: Functions of watchlists, by name.
WATCHLIST_FUNCTIONS: dict[str, Callable[[tree.Call, Context], Rows]] = {
    "_GetWatchlist": _watchlist,
    "_GetWatchlistAlias": _aliases,
}
