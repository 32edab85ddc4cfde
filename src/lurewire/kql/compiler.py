"""From text to SQL: parse, bind, lower, check, print."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot.dialects.duckdb import DuckDB

from . import lets, limits, plan, safety, tree
from .binder import ExpressionBinder
from .conversions import to
from .dialects.duckdb_relations import Relations, Windowed
from .errors import (
    LIMIT,
    SYNTAX_TOKEN,
    TRANSFORM,
    UNRESOLVED,
    Consequence,
    Diagnostic,
    KqlError,
    Problem,
    diagnostic,
    nearest,
    over_limit,
    semantic,
    unsupported,
)
from .functions.dates import NOW
from .operators import BY_NODE, OPERATORS, SOURCES
from .operators.invocation import resolved
from .parser import Parser
from .profiles import PROFILES, Profile
from .scope import Context, Rows
from .types import Column, KqlType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .profiles import ProfileName
    from .render import Rendering
    from .types import Catalog


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """A query as SQL, and what a caller must know to run it.

    `sql` is one SELECT of DuckDB whose columns are named c0, c1, ... in the order of `columns`, then those of `identity`.
    `functions` are the functions in Python that it calls, which `register` makes known to a connection.
    `parameters` are the named parameters to pass, all BIGINT: `now`, `t_from` and `t_to` are ticks.
    """

    columns: tuple[Column, ...]
    sql: str
    tables: frozenset[str]
    parameters: frozenset[str]
    functions: frozenset[str]
    identity: tuple[str, ...]
    row_wise: bool
    deterministic: bool
    uses_now: bool
    render: Rendering | None = None


#: Runs a compiled query and gives its rows.
Explore = Callable[[CompiledQuery], list[tuple[Any, ...]]]


def compile(  # noqa: A001 - the name of the public call; nothing here uses the built-in one
    text: str,
    catalog: Catalog,
    *,
    profile: ProfileName = "query",
    window: bool = False,
    keep_identity: bool = False,
    values: Mapping[str, str] | None = None,
    explore: Explore | None = None,
) -> CompiledQuery:
    """Compiles a query over the catalogue's tables; raises KqlError with all that is wrong.

    With `window`, every stored table that has a time column is bounded by the parameters `t_from` (excluded) and `t_to`
    (included); with `keep_identity` too, its identity by `commit_after` and `commit_through`. With `keep_identity`, the
    identity columns of row-wise queries come last in the result; where a query makes rows of many, there are none.
    `values` are those of the parameters that the query declares (`declare query_parameters`), as literals without quotes.
    `explore` runs a query and gives its rows: a plug-in such as bag_unpack without an output schema has columns that depend
    on the data, which a first query finds. Without it such a query is refused by name.
    """
    try:
        return _compile(text, catalog, PROFILES[profile], Windowed(window, keep_identity), values or {}, explore)
    except Problem as problem:
        raise KqlError([diagnostic(problem, text)]) from None
    except RecursionError:
        raise KqlError([Diagnostic("limit", LIMIT, "the query nests too deeply", 1, 1)]) from None


def _compile(
    text: str,
    catalog: Catalog,
    profile: Profile,
    windowed: Windowed,
    values: Mapping[str, str],
    explore: Explore | None,
) -> CompiledQuery:
    context = Context(catalog, profile)
    if explore is not None:
        bounds = Windowed(windowed.time)
        context.explore = lambda first: explore(_lower(first, context, bounds))
    return _lower(_bind(text, values, context), context, windowed)


def _lower(bound: plan.BoundQuery, context: Context, windowed: Windowed) -> CompiledQuery:
    relations = Relations(windowed)
    node, identity = relations.query(bound)
    scanned = list(relations.scanned.values())
    parameters, functions = safety.check(node, [table.relation for table in scanned])
    return CompiledQuery(
        columns=tuple(Column(column.name, column.type) for column in bound.columns),
        sql=DuckDB.Generator(dialect="duckdb").generate(node, copy=False),
        tables=frozenset(table.name for table in scanned),
        parameters=parameters,
        functions=functions,
        identity=identity,
        row_wise=context.row_wise and bool(scanned),
        deterministic=context.deterministic,
        uses_now=NOW.name in parameters,
        render=context.rendering,
    )


def _bind(text: str, values: Mapping[str, str], context: Context) -> plan.BoundQuery:
    query = _parse(text)
    context.problems.extend(query.problems)
    context.broken.update(query.broken)
    _query_parameters(query, values, context)
    for let in query.lets:
        lets.declare(let, context)
    rows = None
    for pipeline in query.pipelines:
        rows = bind_pipeline(pipeline, context)
    if len(query.pipelines) > 1:
        context.report(unsupported("more than one tabular statement", query.pipelines[1].at))
    if context.problems:
        ordered = sorted(context.problems, key=lambda problem: problem.at)
        raise KqlError([diagnostic(problem, text) for problem in ordered])
    assert rows is not None
    columns = tuple(plan.Output(column.name, column.id, column.type) for column in rows.columns)
    return plan.BoundQuery(rows.relation, columns)


def _parse(text: str) -> tree.Query:
    if len(text) > limits.QUERY_LENGTH.value:
        raise over_limit(f"the query is longer than {limits.QUERY_LENGTH.value} characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = "half of a surrogate pair"
        raise Problem("syntax", SYNTAX_TOKEN, message, error.start, f"U+{ord(text[error.start]):04X}") from None
    return Parser(text, OPERATORS, SOURCES).query()


def bind_pipeline(pipeline: tree.Pipeline, context: Context) -> Rows | None:
    """The rows that come out of a pipeline; None after a reported problem that leaves them unknown."""
    pipeline = resolved(pipeline)
    try:
        rows = bind_operators(pipeline.operators, bind_source(pipeline.source, context), context)
    except Problem as problem:
        if problem.kind == "limit":
            raise
        context.report(problem)
        return None
    return rows


def bind_operators(operators: Sequence[tree.Operator], rows: Rows, context: Context) -> Rows:
    """The rows that come out of operators; raises Problem."""
    for operator in operators:
        rows = _operator(operator, rows, context)
    return rows


def _operator(node: tree.Operator, rows: Rows, context: Context) -> Rows:
    row = BY_NODE[type(node)]
    allowed = context.profile.operators
    if allowed is not None and row.name not in allowed:
        message = f"the operator '{row.name}' is not supported in transformations, which work on one row at a time"
        context.report(Problem("unsupported", TRANSFORM, message, node.at, row.name))
    context.row_wise = context.row_wise and row.row_wise
    return row.bind(node, rows, context)


def bind_source(node: tree.Expression | tree.Operator, context: Context) -> Rows:
    """The rows of a table, let or parenthesised pipeline; raises Problem where there is none."""
    match node:
        case tree.Operator():
            return _operator(node, Rows(plan.Values((), (), ()), ()), context)
        case tree.Parenthesis(inner=inner):
            return bind_source(inner, context)
        case tree.Subquery(pipeline=pipeline):
            rows = bind_pipeline(pipeline, context)
            if rows is None:
                raise Consequence(node.at)
            return rows
        case tree.Name(name=name):
            if name in context.relations:
                return lets.use(context.relations[name], context, node.at)
            if name in context.names.functions:
                return lets.call_rows(node, name, (), context)
            return _table(node, name, context)
        case tree.Member():
            return _elsewhere(node, context)
        case tree.Call():
            return _source_call(node, context)
        case _:
            raise semantic("a table or tabular expression is expected here", node.at)


def _source_call(node: tree.Call, context: Context) -> Rows:
    if node.name in context.names.functions:
        return lets.call_rows(node, node.name, node.arguments, context)
    if node.name == "table" and node.arguments:
        return _table_call(node, context)
    if node.name == "materialize" and len(node.arguments) == 1:
        return _materialize(node, context)
    raise unsupported(f"the tabular function '{node.name}'", node.at, node.name)


def _materialize(node: tree.Call, context: Context) -> Rows:
    """Rows that are computed once, wherever the name stands; each use has columns of its own."""
    key = id(node), id(context.names)
    shared = context.shared.get(key)
    if shared is None:
        shared = context.shared[key] = bind_source(node.arguments[0], context)
    ids = tuple(context.new_id() for _ in shared.columns)
    columns = tuple(
        plan.Output(column.name, number, column.type) for column, number in zip(shared.columns, ids, strict=True)
    )
    return Rows(plan.Shared(shared.relation, tuple(column.id for column in shared.columns), ids), columns)


def _table_call(node: tree.Call, context: Context) -> Rows:
    name = ExpressionBinder(context, None, "table").bind(node.arguments[0])
    if not isinstance(name, plan.Constant) or not isinstance(name.value, str):
        raise unsupported("table() with anything but a literal name", node.at, "table")
    return bind_source(tree.Name(node.at, name.value), context)


def _elsewhere(node: tree.Member, context: Context) -> Rows:
    """`workspace('name').Table`, where the name is this catalogue's own."""
    found = lets.scope_calls(node)
    if found is None:
        raise semantic("a table or tabular expression is expected here", node.at)
    calls, name = found
    lets.in_this_catalog(calls, context)
    return bind_source(node.call if node.call is not None else tree.Name(node.at, name), context)


def _query_parameters(query: tree.Query, values: Mapping[str, str], context: Context) -> None:
    """Declared parameters with the caller's values, read as literals of their types, or their defaults."""
    for parameter in query.parameters:
        if parameter.type is None:
            raise semantic("a query parameter must have a scalar type", parameter.at, token=parameter.name)
        given = values.get(parameter.name)
        if given is not None and parameter.type is KqlType.STRING:
            bound: plan.Scalar = plan.Constant(KqlType.STRING, given)
        else:
            node = parameter.default if given is None else Parser(given, OPERATORS, SOURCES).expression()
            if node is None:
                raise semantic(
                    f"the query parameter '{parameter.name}' has no value", parameter.at, token=parameter.name
                )
            bound = to(ExpressionBinder(context, None, "declare").bind(node), parameter.type)
            if not isinstance(bound, plan.Constant):
                what = (
                    f"a value of the query parameter '{parameter.name}' that is not a literal of type {parameter.type}"
                )
                raise unsupported(what, parameter.at, parameter.name)
        context.scalars[parameter.name] = bound


def _table(node: tree.Name, name: str, context: Context) -> Rows:
    table = context.catalog.table(name)
    allowed = context.profile.tables
    if allowed is not None and name not in allowed:
        message = f"a transformation reads the table 'source' only, not '{name}'"
        raise Problem("unsupported", TRANSFORM, message, node.at, name)
    if name in context.broken:
        raise Consequence(node.at)
    if table is None:
        message = f"Failed to resolve table or column expression named '{name}'"
        hint = nearest(name, [*context.relations, *context.catalog.table_names()])
        raise semantic(message, node.at, UNRESOLVED, name, hint)
    ids = tuple(context.new_id() for _ in table.columns)
    columns = tuple(
        plan.Output(column.name, number, column.type) for column, number in zip(table.columns, ids, strict=True)
    )
    return Rows(plan.Scan(table, ids), columns)
