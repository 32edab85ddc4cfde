"""Operators that choose, make, name and order columns: extend, project and its kin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.conversions import to
from lurewire.kql.errors import UNRESOLVED, Problem, nearest, semantic, unsupported
from lurewire.kql.functions import FUNCTIONS
from lurewire.kql.naming import result_name
from lurewire.kql.scope import ERROR, Projection, Rows
from lurewire.kql.types import KqlType

from .registry import TabularOperator
from .serialization import with_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context


@dataclass(frozen=True, slots=True)
class Extend(tree.Operator):
    """`extend name = expression, ...`."""

    columns: tuple[tree.Expression, ...]


@dataclass(frozen=True, slots=True)
class Project(tree.Operator):
    """`project name = expression, ...`."""

    columns: tuple[tree.Expression, ...]


@dataclass(frozen=True, slots=True)
class ProjectAway(tree.Operator):
    """`project-away names and patterns`."""

    patterns: tuple[tree.Pattern, ...]


@dataclass(frozen=True, slots=True)
class ProjectKeep(tree.Operator):
    """`project-keep names and patterns`."""

    patterns: tuple[tree.Pattern, ...]


@dataclass(frozen=True, slots=True)
class ProjectRename(tree.Operator):
    """`project-rename new = old, ...`."""

    columns: tuple[tree.Expression, ...]


@dataclass(frozen=True, slots=True)
class ProjectReorder(tree.Operator):
    """`project-reorder names and patterns`, each with an order of its own."""

    patterns: tuple[tree.Pattern, ...]


def _parse_extend(parser: Parser, name: Token) -> Extend:
    return Extend(name.at, parser.comma_list(parser.named_expression))


def _parse_project(parser: Parser, name: Token) -> Project:
    return Project(name.at, parser.comma_list(parser.named_expression))


def _parse_rename(parser: Parser, name: Token) -> ProjectRename:
    return ProjectRename(name.at, parser.comma_list(parser.named_expression))


def compute(
    nodes: Sequence[tree.Expression],
    rows: Rows,
    context: Context,
    operator: str,
    projection: Projection,
    *,
    replace: bool,
) -> plan.Relation:
    """Adds the columns that `nodes` say to a projection; the relation computes those that are not there yet."""
    binder = ExpressionBinder(context, rows, operator)
    binder.windows = []
    made: list[tuple[int, plan.Scalar]] = []
    for node in nodes:
        if isinstance(node, tree.Star):
            for column in rows.columns:
                projection.declare(column.name, column.id, column.type, node.at, replace=True)
            continue
        expression, name = node, None
        names = node.names if isinstance(node, tree.Named) else ()
        if isinstance(node, tree.Named):
            expression, name = node.value, node.names[0]
        value = binder.bind(expression)
        parts = parts_of(expression)
        if parts and value is not ERROR:
            made.extend(take_parts(value, parts, names, projection, context, node.at, replace=replace))
            continue
        if len(names) > 1:
            raise unsupported("assigning to several names at once", node.at)
        number = _number(value, made, context)
        if name is not None:
            projection.declare(name, number, value.type, node.at, replace=replace)
        elif isinstance(_bare(expression), tree.Name):
            projection.declare(result_name(expression) or "", number, value.type, node.at, replace=replace)
        else:
            automatic = result_name(expression) or projection.unnamed(rows.columns if replace else ())
            projection.add(automatic, number, value.type, replace=replace)
    source = with_windows(rows.relation, binder)
    return plan.Compute(source, tuple(made)) if made else source


def _number(value: plan.Scalar, made: list[tuple[int, plan.Scalar]], context: Context) -> int:
    """The column that a value is: the one it names, or one that is made for it."""
    if isinstance(value, plan.ColumnRef):
        return value.id
    if value is ERROR:
        return context.erroneous_id()
    number = context.new_id()
    made.append((number, value))
    return number


def parts_of(node: tree.Expression) -> tuple[tuple[str, KqlType], ...]:
    """The columns of a function that has several; none for any other expression."""
    call = _bare(node)
    row = FUNCTIONS.get(call.name) if isinstance(call, tree.Call) else None
    if row is None or row.columns is None:
        return ()
    assert isinstance(call, tree.Call)
    return row.columns(call)


def take_parts(
    value: plan.Scalar,
    parts: tuple[tuple[str, KqlType], ...],
    names: Sequence[str],
    projection: Projection,
    context: Context,
    at: int,
    *,
    replace: bool,
) -> list[tuple[int, plan.Scalar]]:
    """The columns of a call that has several: those named; all of them where none is named, or by several in project."""
    made: list[tuple[int, plan.Scalar]] = []
    every = not names or (len(names) > 1 and not replace)
    for place, (label, kind) in enumerate(parts if every else parts[: len(names)]):
        number = context.new_id()
        made.append((number, to(plan.Path(KqlType.DYNAMIC, value, (place,)), kind)))
        if place < len(names):
            projection.declare(names[place], number, kind, at, replace=replace)
        else:
            projection.add(label, number, kind, replace=replace)
    return made


def _bare(node: tree.Expression) -> tree.Expression:
    while isinstance(node, tree.Parenthesis):
        node = node.inner
    return node


def _bind_extend(node: Extend, rows: Rows, context: Context) -> Rows:
    projection = Projection(rows.columns)
    relation = compute(node.columns, rows, context, "extend", projection, replace=True)
    return Rows(relation, tuple(projection.columns))


def _bind_project(node: Project, rows: Rows, context: Context) -> Rows:
    projection = Projection()
    relation = compute(node.columns, rows, context, "project", projection, replace=False)
    return Rows(relation, tuple(projection.columns))


def _parse_patterns(
    node: Callable[[int, tuple[tree.Pattern, ...]], tree.Operator],
) -> Callable[[Parser, Token], tree.Operator]:
    return lambda parser, name: node(name.at, parser.comma_list(parser.pattern))


def match_patterns(pattern: tree.Pattern, rows: Rows, operator: str) -> list[plan.Output]:
    """The columns that a name or pattern stands for; a name without wildcards must exist."""
    if "*" not in pattern.text:
        name = pattern.text.replace("\0", "*")
        column = rows.find(name)
        if column is None:
            raise unresolved(name, pattern.at, rows, operator)
        return [column]
    expression = re.compile(".*".join(re.escape(part) for part in re.split(r"\*+", pattern.text)), re.DOTALL)
    return [column for column in rows.columns if expression.fullmatch(column.name)]


def unresolved(name: str, at: int, rows: Rows, operator: str) -> Problem:
    """The problem of a column that is not there."""
    hint = nearest(name, (column.name for column in rows.columns))
    message = f"'{operator}' operator: Failed to resolve column or scalar expression named '{name}'"
    return semantic(message, at, UNRESOLVED, name, hint)


def _matched(patterns: Sequence[tree.Pattern], rows: Rows, context: Context, operator: str) -> set[str]:
    names: set[str] = set()
    for pattern in patterns:
        try:
            names.update(column.name for column in match_patterns(pattern, rows, operator))
        except Problem as problem:
            context.report(problem)
    return names


def _bind_away(node: ProjectAway, rows: Rows, context: Context) -> Rows:
    away = _matched(node.patterns, rows, context, "project-away")
    return Rows(rows.relation, tuple(column for column in rows.columns if column.name not in away))


def _bind_keep(node: ProjectKeep, rows: Rows, context: Context) -> Rows:
    keep = _matched(node.patterns, rows, context, "project-keep")
    return Rows(rows.relation, tuple(column for column in rows.columns if column.name in keep))


def _bind_rename(node: ProjectRename, rows: Rows, context: Context) -> Rows:
    del context
    renamed: dict[str, str] = {}
    for item in node.columns:
        if not isinstance(item, tree.Named) or len(item.names) != 1:
            raise semantic("'project-rename' operator: expected new name = old name", item.at)
        old = _bare(item.value)
        if not isinstance(old, tree.Name):
            raise semantic("'project-rename' operator: a column can only be renamed from its name", item.at)
        if rows.find(old.name) is None and all(column.name != old.name for column in rows.hidden):
            raise unresolved(old.name, old.at, rows, "project-rename")
        renamed[old.name] = item.names[0]
    projection = Projection()
    shown = [column for column in rows.hidden if column.name in renamed and rows.find(column.name) is None]
    for column in (*rows.columns, *shown):
        projection.declare(renamed.get(column.name, column.name), column.id, column.type, node.at)
    return Rows(rows.relation, tuple(projection.columns))


def _parse_reorder(parser: Parser, name: Token) -> ProjectReorder:
    def item() -> tree.Pattern:
        pattern = parser.pattern()
        order = parser.accept("asc", "desc", "granny") if not parser.at_text(",") else None
        if order is not None and order.text == "granny":
            parser.expect("-")
            direction = parser.accept("asc", "desc") or parser.fail("expected 'asc' or 'desc'")
            return tree.Pattern(pattern.at, pattern.text, f"granny-{direction.text}")
        return tree.Pattern(pattern.at, pattern.text, None if order is None else order.text)

    return ProjectReorder(name.at, parser.comma_list(item))


def _granny_key(name: str) -> list[tuple[int, int, str]]:
    """Numbers inside names count as numbers: a9 comes before a10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"([0-9]+)", name) if part]


def _bind_reorder(node: ProjectReorder, rows: Rows, context: Context) -> Rows:
    del context
    chosen: list[plan.Output] = []
    for pattern in node.patterns:
        found = [column for column in match_patterns(pattern, rows, "project-reorder") if column not in chosen]
        if pattern.order is not None:
            key = _granny_key if pattern.order.startswith("granny") else lambda name: [(1, 0, name)]
            found.sort(key=lambda column, key=key: key(column.name), reverse=pattern.order.endswith("desc"))  # type: ignore[misc]
        chosen.extend(found)
    rest = [column for column in rows.columns if column not in chosen]
    return Rows(rows.relation, (*chosen, *rest))


OPERATORS = (
    TabularOperator("extend", Extend, _parse_extend, _bind_extend),
    TabularOperator("project", Project, _parse_project, _bind_project, selects=True),
    TabularOperator("project-away", ProjectAway, _parse_patterns(ProjectAway), _bind_away),
    TabularOperator("project-keep", ProjectKeep, _parse_patterns(ProjectKeep), _bind_keep, selects=True),
    TabularOperator("project-rename", ProjectRename, _parse_rename, _bind_rename),
    TabularOperator("project-reorder", ProjectReorder, _parse_reorder, _bind_reorder),
)
