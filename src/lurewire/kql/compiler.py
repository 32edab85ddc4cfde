"""From text to SQL: parse, bind, lower, check, print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot.dialects.duckdb import DuckDB

from . import limits, plan, safety, tree
from .binder import ExpressionBinder
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
from .parser import Parser
from .profiles import PROFILES, Profile
from .scope import Context, Rows
from .types import Column

if TYPE_CHECKING:
    from .profiles import ProfileName
    from .render import Rendering
    from .types import Catalog, Table


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """A query as SQL, and what a caller must know to run it.

    `sql` is one SELECT of DuckDB whose columns are named c0, c1, ... in the order of `columns`, then those of `identity`.
    `parameters` are the named parameters to pass, all BIGINT: `now`, `t_from` and `t_to` are ticks.
    """

    columns: tuple[Column, ...]
    sql: str
    tables: frozenset[str]
    parameters: frozenset[str]
    identity: tuple[str, ...]
    row_wise: bool
    deterministic: bool
    uses_now: bool
    render: Rendering | None = None


def compile(  # noqa: A001 - the name of the public call; nothing here uses the built-in one
    text: str,
    catalog: Catalog,
    *,
    profile: ProfileName = "query",
    window: bool = False,
    keep_identity: bool = False,
) -> CompiledQuery:
    """Compiles a query over the catalogue's tables; raises KqlError with all that is wrong.

    With `window`, every stored table that has a time column is bounded by the parameters `t_from` (excluded) and `t_to`
    (included); with `keep_identity` too, its identity by `commit_after` and `commit_through`. With `keep_identity`, the
    identity columns of row-wise queries come last in the result; where a query makes rows of many, there are none.
    """
    try:
        return _compile(text, catalog, PROFILES[profile], Windowed(window, keep_identity))
    except Problem as problem:
        raise KqlError([diagnostic(problem, text)]) from None
    except RecursionError:
        raise KqlError([Diagnostic("limit", LIMIT, "the query nests too deeply", 1, 1)]) from None


def _compile(text: str, catalog: Catalog, profile: Profile, windowed: Windowed) -> CompiledQuery:
    bound, context = _bind(text, catalog, profile)
    node, identity = Relations(windowed).query(bound)
    scanned = _scanned(bound.relation)
    parameters = safety.check(node, [table.relation for table in scanned])
    return CompiledQuery(
        columns=tuple(Column(column.name, column.type) for column in bound.columns),
        sql=DuckDB.Generator(dialect="duckdb").generate(node, copy=False),
        tables=frozenset(table.name for table in scanned),
        parameters=parameters,
        identity=identity,
        row_wise=context.row_wise and bool(scanned),
        deterministic=context.deterministic,
        uses_now=NOW.name in parameters,
        render=context.rendering,
    )


def _bind(text: str, catalog: Catalog, profile: Profile) -> tuple[plan.BoundQuery, Context]:
    query = _parse(text)
    context = Context(catalog, profile)
    context.problems.extend(query.problems)
    context.broken.update(query.broken)
    for let in query.lets:
        _let(let, context)
    rows = None
    for pipeline in query.pipelines:
        context.row_wise = context.deterministic = True
        rows = bind_pipeline(pipeline, context)
    if len(query.pipelines) > 1:
        context.report(unsupported("more than one tabular statement", query.pipelines[1].at))
    if context.problems:
        ordered = sorted(context.problems, key=lambda problem: problem.at)
        raise KqlError([diagnostic(problem, text) for problem in ordered])
    assert rows is not None
    columns = tuple(plan.Output(column.name, column.id, column.type) for column in rows.columns)
    return plan.BoundQuery(rows.relation, columns), context


def _parse(text: str) -> tree.Query:
    if len(text) > limits.QUERY_LENGTH.value:
        raise over_limit(f"the query is longer than {limits.QUERY_LENGTH.value} characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = "half of a surrogate pair"
        raise Problem("syntax", SYNTAX_TOKEN, message, error.start, f"U+{ord(text[error.start]):04X}") from None
    return Parser(text, OPERATORS, SOURCES).query()


def _let(let: tree.Let, context: Context) -> None:
    """Puts a let in place: a table, or a scalar expression without columns."""
    value = let.value
    if isinstance(value, tree.Name) and value.name not in context.scalars:
        value = tree.Pipeline(let.at, value, ())
    if isinstance(value, tree.Pipeline):
        rows = bind_pipeline(value, context)
        if rows is None:
            context.broken.add(let.name)
        else:
            context.relations[let.name] = rows
        return
    before = context.expressions
    context.scalars[let.name] = ExpressionBinder(context, None, "let").bind(value)
    context.sizes[let.name] = context.expressions - before


def bind_pipeline(pipeline: tree.Pipeline, context: Context) -> Rows | None:
    """The rows that come out of a pipeline; None after a reported problem that leaves them unknown."""
    try:
        rows = _source(pipeline.source, context)
        for operator in pipeline.operators:
            rows = _operator(operator, rows, context)
    except Problem as problem:
        if problem.kind == "limit":
            raise
        context.report(problem)
        return None
    return rows


def _operator(node: tree.Operator, rows: Rows, context: Context) -> Rows:
    row = BY_NODE[type(node)]
    allowed = context.profile.operators
    if allowed is not None and row.name not in allowed:
        message = f"the operator '{row.name}' is not supported in transformations, which work on one row at a time"
        context.report(Problem("unsupported", TRANSFORM, message, node.at, row.name))
    context.row_wise = context.row_wise and row.row_wise
    return row.bind(node, rows, context)


def _source(node: tree.Expression | tree.Operator, context: Context) -> Rows:
    match node:
        case tree.Operator():
            return _operator(node, Rows(plan.Values((), (), ()), ()), context)
        case tree.Parenthesis(inner=inner):
            return _source(inner, context)
        case tree.Subquery(pipeline=pipeline):
            rows = bind_pipeline(pipeline, context)
            if rows is None:
                raise Consequence(node.at)
            return rows
        case tree.Name(name=name):
            return context.relations.get(name) or _table(node, name, context)
        case tree.Call(name=name):
            raise unsupported(f"the tabular function '{name}'", node.at, name)
        case _:
            raise semantic("a table or tabular expression is expected here", node.at)


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


def _scanned(relation: plan.Relation) -> list[Table]:
    while not isinstance(relation, plan.SOURCES):
        relation = relation.input  # type: ignore[attr-defined]
    return [relation.table] if isinstance(relation, plan.Scan) else []
