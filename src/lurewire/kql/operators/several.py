"""Operators that give several results: fork and facet. They end a statement, which stands for one pipeline per result.

Source: https://learn.microsoft.com/kusto/query/fork-operator and .../facet-operator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lurewire.kql import tree
from lurewire.kql.errors import semantic
from lurewire.kql.once import evaluated_once

from .registry import TabularOperator
from .summarize import Summarize

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context, Rows


@dataclass(frozen=True, slots=True)
class Branch(tree.Node):
    """One subquery of a fork, with the name of its result."""

    name: str | None
    operators: tuple[tree.Operator, ...]


@dataclass(frozen=True, slots=True)
class Fork(tree.Operator):
    """`fork name=(operators) ...`."""

    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class Facet(tree.Operator):
    """`facet by columns with (operators)`."""

    columns: tuple[tree.Name, ...]
    operators: tuple[tree.Operator, ...] | None


def branches(pipeline: tree.Pipeline, context: Context) -> list[tuple[str | None, tree.Pipeline]]:
    """The pipelines that a statement stands for, each with the name of its result; one of its own, as a rule."""
    if not pipeline.operators:
        return [(None, pipeline)]
    *before, last = pipeline.operators
    if isinstance(last, Fork):
        ends = [(branch.name, branch.operators) for branch in last.branches]
    elif isinstance(last, Facet):
        # What `with` gives comes first.
        ends = [] if last.operators is None else [(None, last.operators)]
        ends.extend((None, (_counted(column),)) for column in last.columns)
    else:
        return [(None, pipeline)]
    read = tree.Pipeline(pipeline.at, pipeline.source, tuple(before))
    if len(ends) > 1:
        read = evaluated_once(read, _word(last), context)
    return [(name, replace(read, operators=(*read.operators, *end))) for name, end in ends]


def _word(node: Fork | Facet) -> str:
    return "fork" if isinstance(node, Fork) else "facet"


def _counted(column: tree.Name) -> tree.Operator:
    """The values of a column, and how many rows have each."""
    count = tree.Named(column.at, (f"count_{column.name}",), tree.Call(column.at, "count", ()))
    return Summarize(column.at, (count,), (column,), "facet")


def _parse_fork(parser: Parser, name: Token) -> Fork:
    found: list[Branch] = []
    while parser.at_text("(") or parser.peek().text == "=":
        at = parser.current.at
        label = None
        if not parser.at_text("("):
            label = parser.name()
            parser.expect("=")
        found.append(Branch(at, label, _subquery(parser)))
    if not found:
        parser.fail("expected a subquery in parentheses")
    return Fork(name.at, tuple(found))


def _subquery(parser: Parser) -> tuple[tree.Operator, ...]:
    parser.enter(parser.expect("(").at)
    operators = parser.operators_here()
    parser.depth -= 1
    parser.expect(")")
    return operators


def _parse_facet(parser: Parser, name: Token) -> Facet:
    parser.expect("by")

    def column() -> tree.Name:
        return tree.Name(parser.current.at, parser.name())

    columns = parser.comma_list(column)
    operators = _subquery(parser) if parser.accept("with") else None
    return Facet(name.at, columns, operators)


def _refuse(node: Fork | Facet, rows: Rows, context: Context) -> Rows:
    """Where the operator is not the last of a statement: nothing can read several results."""
    del rows, context
    word = _word(node)
    raise semantic(f"'{word}' operator: it gives several results and must end the statement", node.at, token=word)


OPERATORS = (
    TabularOperator("fork", Fork, _parse_fork, _refuse, row_wise=False),
    TabularOperator("facet", Facet, _parse_facet, _refuse, row_wise=False),
)
