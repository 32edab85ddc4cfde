"""The union operator: rows of several relations under the columns of all, or of those that they share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.errors import Problem, UnresolvedSource, semantic
from lurewire.kql.scope import Projection, Rows
from lurewire.kql.tables import table_of, wildcard_names
from lurewire.kql.types import KqlType

from .registry import TabularOperator

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context


#: How many tables without rows a pattern stands for where nothing else fits it.
_UNUSED = 20


@dataclass(frozen=True, slots=True)
class Union(tree.Operator):
    """`union kind=... withsource=... isfuzzy=... tables`; a table may be a pattern."""

    inner: bool
    source: str | None
    fuzzy: bool
    tables: tuple[tree.Expression | tree.Pattern, ...]
    first: bool


@dataclass(frozen=True, slots=True)
class UnionSource(Union):
    """The operator at the start of a pipeline."""


def parse_tables(parser: Parser) -> tuple[tree.Expression | tree.Pattern, ...]:
    """Tables, patterns and parenthesised pipelines, with commas between."""
    return parser.comma_list(lambda: _parse_table(parser))


def _parse_table(parser: Parser) -> tree.Expression | tree.Pattern:
    token, after = parser.current, parser.peek()
    star = token.text == "*" or (after.text == "*" and after.kind == "punctuation" and after.at == token.end)
    if star and token.kind in ("name", "punctuation"):
        return parser.pattern()
    return parser.postfix()


def _parse(parser: Parser, name: Token, *, first: bool) -> Union:
    inner, source, fuzzy = False, None, False
    while parser.current.kind == "name" and parser.peek().text in ("=", "."):
        word = parser.current.text
        if word == "hint":
            parser.parameters()
            continue
        if parser.peek().text != "=" or word not in ("kind", "withsource", "with_source", "isfuzzy"):
            break
        parser.advance()
        parser.advance()
        if word == "kind":
            inner = (parser.accept("inner", "outer") or parser.fail("expected 'inner' or 'outer'")).text == "inner"
        elif word == "isfuzzy":
            fuzzy = parser.flag()
        else:
            source = parser.name() if parser.peek(0).kind != "string" else parser.string()
    tables = parse_tables(parser)
    return (UnionSource if first else Union)(name.at, inner, source, fuzzy, tables, first)


def named_tables(pattern: tree.Pattern, context: Context) -> list[tuple[str, tree.Expression]]:
    """The tables of the catalogue, and the views of the query, that a pattern stands for.

    Tables that the catalogue leaves out of wildcards hold no rows; some of them count only where nothing else fits.
    """
    expression = re.compile(".*".join(re.escape(part) for part in re.split(r"\*+", pattern.text)), re.DOTALL)
    views = [name for name, function in context.names.functions.items() if function.definition.view]
    tables = [name for name in wildcard_names(context) if expression.fullmatch(name)]
    fitting = [name for name in views if expression.fullmatch(name)]
    if not tables and not fitting:
        unused = (name for name in context.catalog.table_names() if expression.fullmatch(name))
        tables = list(islice(unused, _UNUSED))
    return [(name, tree.Name(pattern.at, name)) for name in dict.fromkeys([*tables, *fitting])]


def legs_of(
    tables: Sequence[tree.Expression | tree.Pattern], context: Context, *, fuzzy: bool
) -> list[tuple[str, Rows]]:
    """The bound inputs with their names; with `fuzzy` those that do not resolve are left out, unless none does."""
    found: list[tuple[str, Rows]] = []
    lost: list[Problem] = []
    for table in tables:
        named = named_tables(table, context) if isinstance(table, tree.Pattern) else [("", table)]
        if not named:
            shown = getattr(table, "text", "")
            message = f"Failed to resolve table expression named '{shown}'"
            lost.append(UnresolvedSource(message, table.at, shown))
        for name, node in named:
            rows = _leg(node, context, lost, fuzzy=fuzzy)
            if rows is not None:
                found.append((name or leg_name(node, rows) or f"union_arg{len(found)}", rows))
    if not fuzzy or not found:
        for unresolved in lost:
            context.report(unresolved)
    return found


def _leg(node: tree.Expression, context: Context, lost: list[Problem], *, fuzzy: bool) -> Rows | None:
    """A bound input, or None after a problem: with `fuzzy`, tables and functions that are not there go to `lost`."""
    from lurewire.kql.compiler import bind_source  # noqa: PLC0415 - the compiler knows all operators

    before = len(context.problems)
    rows = None
    try:
        rows = bind_source(node, context)
    except UnresolvedSource as problem:
        lost.append(problem)
    except Problem as problem:
        if problem.kind == "limit":
            raise
        context.report(problem)
    problems = context.problems[before:]
    if fuzzy and problems and all(isinstance(problem, UnresolvedSource) for problem in problems):
        del context.problems[before:]
        lost.extend(problems)
        return None
    return rows


def leg_name(node: tree.Expression, rows: Rows) -> str:
    """What withsource calls an input: the name given by `as`, or the table's own."""
    if rows.name is not None:
        return rows.name
    while isinstance(node, tree.Subquery | tree.Parenthesis):
        if isinstance(node, tree.Parenthesis):
            node = node.inner
        elif isinstance(node.pipeline.source, tree.Expression):
            node = node.pipeline.source
        else:
            return ""
    if isinstance(node, tree.Member) and node.call is None:  # of a workspace or database
        return table_of(rows) or ""
    return node.name if isinstance(node, tree.Name) else ""


def _bind(node: Union, rows: Rows, context: Context) -> Rows:
    legs = legs_of(node.tables, context, fuzzy=node.fuzzy)
    if not node.first:
        legs.insert(0, (rows.name or "", rows))
    if any(rows.relation == plan.Values((), (), ()) and not rows.columns for _, rows in legs):
        raise semantic("'union' operator: an input has no columns", node.at)
    return combine(legs, context, node.at, inner=node.inner, source=node.source)


def _free(name: str, taken: Collection[str]) -> str:
    """The name, or the first with a number that no column has as its own."""
    names = (f"{name}{number or ''}" for number in count())
    return next(candidate for candidate in names if candidate not in taken)


def combine(
    legs: Sequence[tuple[str, Rows]], context: Context, at: int, *, inner: bool = False, source: str | None = None
) -> Rows:
    """The union of relations; a name that has several types becomes a column for each: `x_long`, `x_string`."""
    types: dict[str, list[KqlType]] = {}
    for _, rows in legs:
        for column in rows.columns:
            kinds = types.setdefault(column.name, [])
            if column.type not in kinds:
                kinds.append(column.type)
    wanted = [(name, kind) for name, kinds in types.items() for kind in kinds]
    if inner:
        held = [{(column.name, column.type) for column in rows.columns} for _, rows in legs]
        wanted = [item for item in wanted if all(item in columns for columns in held)]
    suffixed = {(name, kind) for name, kind in wanted if len(types[name]) > 1 and not inner}
    plain = {name for name, kind in wanted if (name, kind) not in suffixed}
    projection = Projection()
    ids: dict[tuple[str, KqlType], int] = {}
    label_id = context.new_id()
    if source is not None:
        projection.declare(source, label_id, KqlType.STRING, at)
    for name, kind in wanted:
        number = ids[name, kind] = context.new_id()
        projection.add(_free(f"{name}_{kind}", plain) if (name, kind) in suffixed else name, number, kind)
    hidden = {
        column.name: column
        for _, rows in reversed(legs)
        for column in rows.hidden
        if (column.name, column.type) not in ids
    }
    unseen = tuple(plan.Output(column.name, context.new_id(), column.type) for column in hidden.values())
    ids.update(((column.name, column.type), column.id) for column in unseen)
    made = []
    for label, rows in legs:
        values: dict[int, plan.Scalar] = {} if source is None else {label_id: plan.Constant(KqlType.STRING, label)}
        for column in (*rows.hidden, *rows.columns):
            if (column.name, column.type) in ids:
                values[ids[column.name, column.type]] = plan.ColumnRef(column.type, column.id)
        made.append(plan.Leg(rows.relation, values))
    outputs = (*projection.columns, *unseen)
    numbers = tuple(column.id for column in outputs)
    union = plan.Union(numbers, tuple(column.type for column in outputs), tuple(made))
    return Rows(union, tuple(projection.columns), hidden=unseen)


OPERATORS = (
    TabularOperator("union", Union, lambda parser, name: _parse(parser, name, first=False), _bind, row_wise=False),
    TabularOperator(
        "union", UnionSource, lambda parser, name: _parse(parser, name, first=True), _bind, row_wise=False, source=True
    ),
)
