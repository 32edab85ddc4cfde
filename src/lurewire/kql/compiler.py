"""From text to SQL: parse, bind, lower, check, print."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import lets, limits, patterns, plan, restriction, safety, tables, tree
from .binder import ExpressionBinder, of_service
from .collection import collector_paused
from .conversions import to
from .dialects.duckdb_relations import Windowed
from .dialects.refusals import NotPrinted
from .dialects.registry import DIALECTS, Dialect
from .errors import (
    LIMIT,
    SYNTAX_TOKEN,
    TRANSFORM,
    UNKNOWN_FUNCTION,
    UNSUPPORTED,
    Consequence,
    Diagnostic,
    KqlError,
    Problem,
    UnresolvedSource,
    diagnostic,
    nearest,
    over_limit,
    semantic,
    unsupported,
)
from .functions import FUNCTIONS
from .functions.dates import NOW
from .known_names import FUNCTIONS as KNOWN_FUNCTIONS
from .known_names import SERVICE_FUNCTIONS
from .lexer import tokenize
from .operators import BY_NODE, OPERATORS, SOURCES
from .operators.graph_model import check_input, check_result
from .operators.graph_tables import named_tables
from .operators.invocation import resolved
from .operators.several import branches
from .parser import Parser
from .profiles import PROFILES, Profile
from .scope import Context, Names, Rows
from .types import Column, KqlType, Tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .dialects.registry import DialectName
    from .external import External
    from .profiles import ProfileName
    from .render import Rendering
    from .types import Catalog


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """A query as SQL, and what a caller must know to run it.

    `sql` is one SELECT of the dialect whose columns are named c0, c1, ... in the order of `columns`, then those of `identity`.
    `functions` are the functions in Python that it calls, which `register` makes known to a connection.
    `parameters` are the named parameters to pass, all BIGINT: `now`, `t_from` and `t_to` are ticks. `name` is what the
    query calls the result. A query of several results (several tabular statements, fork, facet) is the first of them;
    `further` are the others in order.
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
    name: str | None = None
    further: tuple[CompiledQuery, ...] = ()
    #: What the caller reads from outside and hands over as relations before it runs the query (`external.read`).
    external: tuple[External, ...] = ()
    #: What the caller keeps as temporary tables, by name and in order, before it runs this query and those of `further`.
    held: tuple[tuple[str, CompiledQuery], ...] = ()


@dataclass(frozen=True, slots=True)
class _Result:
    """One result of a query, and what its CompiledQuery says of it beside the SQL."""

    query: plan.BoundQuery
    found: Mapping[str, Any]


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
    dialect: DialectName = "duckdb",
) -> CompiledQuery:
    """Compiles a query over the catalogue's tables; raises KqlError with all that is wrong.

    With `window`, every stored table that has a time column is bounded by the parameters `t_from` (excluded) and `t_to`
    (included); with `keep_identity` too, its identity by `commit_after` and `commit_through`. With `keep_identity`, the
    identity columns of row-wise queries come last in the result; where a query makes rows of many, there are none.
    `values` are those of the parameters that the query declares (`declare query_parameters`), as literals without quotes.
    `explore` runs a query and gives its rows: a plug-in such as bag_unpack without an output schema has columns that depend
    on the data, which a first query finds. Without it such a query is refused by name.
    `dialect` is the engine that the SQL is for; what it cannot print is refused by name.
    """
    windowed = Windowed(window, keep_identity)
    with _told(text), collector_paused():
        return _compile(text, catalog, PROFILES[profile], windowed, values or {}, explore, DIALECTS[dialect])


def bind_query(text: str, catalog: Catalog, *, profile: ProfileName = "query") -> plan.BoundQuery:
    """A query's plan, which no engine knows yet; raises KqlError with all that is wrong."""
    with _told(text):
        return _bind(text, {}, Context(catalog, PROFILES[profile]))[0].query


@contextmanager
def _told(text: str) -> Iterator[None]:
    """What stops a compilation as the KqlError that says where in the query."""
    try:
        yield
    except NotPrinted as refused:
        raise KqlError([diagnostic(_placed(refused, text), text)]) from None
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
    dialect: Dialect,
) -> CompiledQuery:
    context = Context(catalog, profile)
    if explore is not None:
        # The rows that the query itself reads; their identity comes last and is not asked for.
        context.explore = lambda first: [
            row[: len(first.columns)] for row in explore(_lower(first, context, windowed, dialect))
        ]
    results = [
        replace(_lower(result.query, context, windowed, dialect), **result.found)
        for result in _bind(text, values, context)
    ]
    held = {relation: query for result in results for relation, query in result.held}
    first, *further = (replace(result, held=()) for result in results)
    return replace(first, further=tuple(further), held=tuple(held.items()))


def _placed(refused: NotPrinted, text: str) -> Problem:
    """The refusal at the first place where the query names the construct."""
    word = refused.construct.split("(", 1)[0].split(" ", 1)[0]
    whole = re.compile(rf"{re.escape(word)}(?!\w)")
    places = (token.at for token in tokenize(text) if whole.match(text, token.at))
    return Problem("unsupported", UNSUPPORTED, str(refused), next(places, 0), refused.construct)


def lowered(bound: plan.BoundQuery) -> CompiledQuery:
    """A bound query that needs nothing of a catalogue, for DuckDB."""
    return _lower(bound, Context(Tables(()), PROFILES["query"]), Windowed(), DIALECTS["duckdb"])


def _lower(bound: plan.BoundQuery, context: Context, windowed: Windowed, dialect: Dialect) -> CompiledQuery:
    relations = dialect.relations(windowed)
    node, identity = relations.query(bound)
    scanned = list(relations.scanned.values())
    outside = {part.relation: part for part in context.external}
    held = {part.table.relation: part for part in context.held if part.table.relation in relations.scanned}
    made: dict[str, CompiledQuery] = {}
    for relation, part in held.items():
        if dialect.name != "duckdb":
            raise NotPrinted(dialect.name, f"{part.operator} over rows that can be others each time they are read")
        query = _lower(part.query, context, windowed, dialect)
        made |= {**dict(query.held), relation: replace(query, held=())}
    parameters, functions = safety.check(node, [table.relation for table in scanned], dialect.functions)
    return CompiledQuery(
        columns=tuple(Column(column.name, column.type) for column in bound.columns),
        sql=dialect.text(node),
        tables=frozenset(table.name for table in scanned if table.relation not in {*outside, *held}).union(
            *(query.tables for query in made.values())
        ),
        parameters=parameters,
        functions=functions,
        identity=identity,
        row_wise=context.row_wise and bool(scanned),
        deterministic=context.deterministic,
        uses_now=NOW.name in parameters,
        external=tuple(part for relation, part in outside.items() if relation in relations.scanned),
        held=tuple(made.items()),
    )


def _bind(text: str, values: Mapping[str, str], context: Context) -> list[_Result]:
    """The results of a query; raises KqlError with all that is wrong."""
    query = _parse(text)
    context.texts.append(text)
    misspelt = [problem for problem in query.problems if problem.kind == "syntax"]
    if misspelt:
        # As in Azure, names are looked up only in a query that parses.
        raise KqlError([diagnostic(problem, text) for problem in misspelt])
    context.problems.extend(query.problems)
    context.broken.update(query.broken)
    _query_parameters(query, values, context)
    context.options = query.options
    results: list[_Result] = []
    for statement in query.statements:
        if not isinstance(statement, tree.Pipeline):
            _declare(statement, context)
            continue
        declarations, only = named_tables(statement)
        for declaration in declarations:
            _declare(declaration, context)
        for name, pipeline in () if only else branches(statement, context):
            result = _result(name, pipeline, context)
            results.extend([] if result is None else [result])
    if context.profile.tables is not None and len(results) > 1:
        context.report(unsupported("a transformation with more than one result", query.statements[-1].at))
    if context.problems:
        ordered = sorted(context.problems, key=lambda problem: problem.at)
        raise KqlError([diagnostic(problem, text) for problem in ordered])
    return results


def _declare(statement: tree.Let | tree.PatternDeclaration | tree.Alias | tree.Restriction, context: Context) -> None:
    try:
        match statement:
            case tree.Let():
                lets.declare(statement, context)
            case tree.PatternDeclaration():
                patterns.declare(statement, context)
            case tree.Alias():
                context.aliases[statement.name] = statement.calls
            case tree.Restriction():
                restriction.restrict(statement, context)
    except Problem as problem:
        if problem.kind == "limit":
            raise
        context.report(problem)


def _result(name: str | None, pipeline: tree.Pipeline, context: Context) -> _Result | None:
    """One result of the query; what is said of its rows and its chart is said of it alone."""
    outer = context.row_wise, context.rendering
    context.rendering = None
    rows = bind_pipeline(pipeline, context)
    check_result(rows, pipeline.at)
    found: dict[str, Any] = {"render": context.rendering}
    if not context.row_wise:
        found["row_wise"] = False
    context.row_wise, context.rendering = outer
    if rows is None:
        return None
    found["name"] = rows.name or name
    columns = tuple(plan.Output(column.name, column.id, column.type) for column in rows.columns)
    return _Result(plan.BoundQuery(rows.relation, columns), found)


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
    check_input(rows, row, node.at)
    allowed = context.profile.operators
    if allowed is not None and row.name not in allowed:
        message = f"the operator '{row.name}' is not supported in transformations, which work on one row at a time"
        context.report(Problem("unsupported", TRANSFORM, message, node.at, row.name))
    context.row_wise = context.row_wise and row.row_wise
    return tables.with_hidden(row.bind(node, rows, context), rows, row)


def bind_source(node: tree.Expression | tree.Operator, context: Context) -> Rows:
    """The rows of a table, let or parenthesised pipeline; raises Problem where there is none."""
    if not isinstance(node, tree.Operator) and patterns.is_reference(node, context.names):
        node = patterns.resolved(node, context)
    match node:
        case tree.Operator():
            return _operator(node, Rows(plan.Values((), (), ()), ()), context)
        case tree.Given(use=use):
            return use()
        case tree.Parenthesis(inner=inner):
            return bind_source(inner, context)
        case tree.Subquery(pipeline=pipeline):
            rows = bind_pipeline(pipeline, context)
            if rows is None:
                raise Consequence(node.at)
            return rows
        case tree.Name():
            return _source_name(node, context)
        case tree.Member():
            return _elsewhere(node, context)
        case tree.Call():
            return _source_call(node, context)
        case _:
            raise semantic("a table or tabular expression is expected here", node.at)


def _source_name(node: tree.Name, context: Context) -> Rows:
    name = node.name
    if name in context.relations:
        return lets.use(context.relations[name], context, node.at)
    if name in context.names.functions:
        return lets.call_rows(node, name, (), context)
    if context.catalog.table(name) is None and name in tables.WATCHLIST_FUNCTIONS:
        return tables.WATCHLIST_FUNCTIONS[name](tree.Call(node.at, name, ()), context)
    if context.catalog.table(name) is None and context.function(name) is not None:
        return lets.call_rows(node, name, (), context)
    return tables.named(node, context)


def _source_call(node: tree.Call, context: Context) -> Rows:
    if node.name in context.names.functions:
        return lets.call_rows(node, node.name, node.arguments, context)
    if node.name == "table" and node.arguments:
        return _table_call(node, context)
    if node.name == "materialize" and len(node.arguments) == 1:
        return _materialize(node, context)
    if node.name in tables.WATCHLIST_FUNCTIONS:
        return tables.WATCHLIST_FUNCTIONS[node.name](node, context)
    if context.function(node.name) is not None:
        return lets.call_rows(node, node.name, node.arguments, context)
    if node.name in SERVICE_FUNCTIONS:
        raise of_service(node)
    if node.name in FUNCTIONS or node.name in KNOWN_FUNCTIONS:
        raise unsupported(f"the function '{node.name}' as a table", node.at, node.name)
    names = [*context.names.functions, *tables.function_names(context)]
    message = f"Unknown function: '{node.name}'"
    raise UnresolvedSource(message, node.at, node.name, nearest(node.name, names), UNKNOWN_FUNCTION)


def _materialize(node: tree.Call, context: Context) -> Rows:
    """Rows that are computed once, wherever the name stands; each use has columns of its own."""
    key = id(node), id(context.names)
    known = context.shared.get(key)
    if known is None:
        # The names are kept with it, so that no others can take their place in memory.
        known = context.shared[key] = context.names, bind_source(node.arguments[0], context)
    _, shared = known
    inner = (*shared.columns, *shared.hidden)
    ids = tuple(context.new_id() for _ in inner)
    made = tuple(plan.Output(column.name, number, column.type) for column, number in zip(inner, ids, strict=True))
    relation = plan.Shared(shared.relation, tuple(column.id for column in inner), ids)
    count = len(shared.columns)
    return Rows(relation, made[:count], shared.name, made[count:])


def _table_call(node: tree.Call, context: Context) -> Rows:
    name = ExpressionBinder(context, None, "table").bind(node.arguments[0])
    if not isinstance(name, plan.Constant) or not isinstance(name.value, str):
        raise unsupported("table() with anything but a literal name", node.at, "table")
    return bind_source(tree.Name(node.at, name.value), context)


def _elsewhere(node: tree.Member, context: Context) -> Rows:
    """`workspace('name').Table` or a function, where the name is this catalogue's own or that of another that it reaches."""
    found = lets.scope_calls(node)
    if found is None:
        target = node.target
        if isinstance(target, tree.Call) and target.name in SERVICE_FUNCTIONS and context.function(target.name) is None:
            raise of_service(target)
        raise semantic("a table or tabular expression is expected here", node.at)
    calls, name = found
    other = tables.other_workspace(calls, context)
    if other is not None:
        return tables.named_elsewhere(node, calls[0], other, context)
    lets.in_this_catalog(calls, context)
    if node.call is not None:
        function = context.saved_function(name, context.catalog, context.names.home)
        if function is not None:
            return lets.rows_of(function, node.call, name, node.call.arguments, context)
        if name in context.names.functions:
            raise UnresolvedSource(f"Unknown function: '{name}'", node.at, name, code=UNKNOWN_FUNCTION)
        return bind_source(node.call, context)
    # What the query declares is no member of a workspace.
    with context.among(Names(catalog=context.names.catalog, home=context.names.home)):
        return bind_source(tree.Name(node.at, name), context)


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
