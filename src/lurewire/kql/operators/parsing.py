"""The parse and parse-where operators: columns out of texts by a pattern.

Source: https://learn.microsoft.com/kusto/query/parse-operator and .../parse-where-operator. The pattern becomes one
regular expression.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.conversions import to
from lurewire.kql.errors import TRANSFORM, Consequence, Problem, semantic
from lurewire.kql.scope import ERROR, Projection, Rows
from lurewire.kql.types import Column, KqlType

from .registry import TabularOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

#: A pattern's piece: a text, a column, or None for `*`.
Piece = str | Column | None

_KINDS = ("simple", "regex", "relaxed")
#: How a value of a type looks; other types take what stands between the texts around them.
_SHAPES = {
    KqlType.INT: r"[+-]?\d+",
    KqlType.LONG: r"[+-]?\d+",
    KqlType.REAL: r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?",
    KqlType.DECIMAL: r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?",
}


@dataclass(frozen=True, slots=True)
class Parse(tree.Operator):
    """`parse kind=... flags=... expression with pattern`."""

    kind: str
    flags: str
    subject: tree.Expression
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class ParseWhere(Parse):
    """`parse-where`: only rows that match are kept."""


def _parse(parser: Parser, name: Token) -> Parse:
    kind, flags = "simple", ""
    if parser.at_text("kind") and parser.peek().text == "=":
        parser.advance()
        parser.advance()
        kinds = _KINDS if name.text == "parse" else _KINDS[:2]
        kind = (parser.accept(*kinds) or parser.fail(f"expected one of {', '.join(kinds)}")).text
    if parser.at_text("flags") and parser.peek().text == "=":
        parser.advance()
        parser.advance()
        token = parser.current
        flags = parser.string() if token.kind == "string" else parser.name()
        if not re.fullmatch("[imsU]*", flags):
            parser.fail("expected flags out of i, m, s and U", token)
    subject = parser.expression()
    parser.expect("with")
    pieces: list[Piece] = []
    while not parser.at_end() and not parser.at_text("|", ";", ")", "}"):
        pieces.append(_parse_piece(parser))
    if not pieces:
        parser.fail("expected a pattern")
    return (Parse if name.text == "parse" else ParseWhere)(name.at, kind, flags, subject, tuple(pieces))


def _parse_piece(parser: Parser) -> Piece:
    if parser.accept("*"):
        return None
    if parser.current.kind == "string":
        return parser.string()
    column = parser.name()
    return Column(column, parser.type_name() if parser.accept(":") else KqlType.STRING)


def expression_of(pieces: Sequence[Piece], kind: str, flags: str) -> tuple[str, list[int]]:
    """The pattern as a regular expression (RE2), and the number of the group of each column.

    In simple and relaxed mode texts stand for themselves and what is between them is as short as it can be; in regex mode
    they are expressions, and columns are as long as they can be unless the flag U turns that round.
    """
    between = ".*" if kind == "regex" else ".*?"
    group, groups = 0, []
    parts = []
    for place, piece in enumerate(pieces):
        last = place == len(pieces) - 1
        if piece is None:
            parts.append(between if not last else "")
        elif isinstance(piece, str):
            parts.append(piece if kind == "regex" else re.escape(piece))
            group += groups_of(piece) if kind == "regex" else 0
        else:
            group += 1
            groups.append(group)
            shape = _SHAPES.get(piece.type, between)
            if kind == "relaxed" and shape != between:
                shape = f"{shape}|{between}"
            parts.append(f"({shape})" + ("$" if last else ""))
    begins = "" if kind == "regex" else "^"
    chosen = "".join(sorted({*flags, *("" if kind == "regex" else "s")}))
    return (f"(?{chosen})" if chosen else "") + begins + "".join(parts), groups


def groups_of(expression: str) -> int:
    """The number of groups of an RE2 expression, by its parentheses: Python cannot read all that RE2 can."""
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "", expression, flags=re.DOTALL)
    return len(re.findall(r"\((?!\?)|\(\?P?<", bare))


def _bind(node: Parse, rows: Rows, context: Context) -> Rows:
    operator = "parse-where" if isinstance(node, ParseWhere) else "parse"
    subject = ExpressionBinder(context, rows, operator).bind(node.subject)
    if subject is ERROR:
        raise Consequence(node.at)
    _check(node, operator)
    pattern, places = expression_of(node.pieces, node.kind, node.flags)
    columns = [piece for piece in node.pieces if isinstance(piece, Column)]
    most = context.profile.parse_columns
    if most is not None and len(columns) > most:
        message = f"'parse' makes {len(columns)} columns; in transformations it makes at most {most}: use several"
        raise Problem("unsupported", TRANSFORM, message, node.at, operator)
    groups = tuple(context.new_id() for _ in range(max(places, default=0)))
    matched = context.new_id()
    relation: plan.Relation = plan.ParseText(rows.relation, to(subject, KqlType.STRING), pattern, groups, matched)
    values = [
        to(plan.ColumnRef(KqlType.STRING, groups[place - 1]), column.type)
        for place, column in zip(places, columns, strict=True)
    ]
    fits = plan.ColumnRef(KqlType.BOOL, matched)
    strict = _all_convert(values, fits) if node.kind != "relaxed" else fits
    projection = Projection(rows.columns)
    made: list[tuple[int, plan.Scalar]] = []
    for value, column in zip(values, columns, strict=True):
        number = context.new_id()
        absent = plan.Constant(column.type, "" if column.type is KqlType.STRING else None)
        made.append((number, value if strict is fits else plan.Conditional(column.type, ((strict, value),), absent)))
        projection.declare(column.name, number, column.type, node.at, replace=True)
    if operator == "parse-where":
        relation = plan.Filter(relation, strict)
    return Rows(plan.Compute(relation, tuple(made)), tuple(projection.columns))


def _check(node: Parse, operator: str) -> None:
    """`*` cannot follow a string column: where one ends and the other begins would be open."""
    for one, other in zip(node.pieces, node.pieces[1:], strict=False):
        if isinstance(one, Column) and one.type is KqlType.STRING and other is None:
            raise semantic(f"'{operator}' operator: '*' cannot follow the string column '{one.name}'", node.at)


def _all_convert(values: Sequence[plan.Scalar], matched: plan.ColumnRef) -> plan.Scalar:
    """That the text matches and that every value is one of its type."""
    from lurewire.kql.functions import FUNCTIONS  # noqa: PLC0415 - the registry of functions imports the binder

    tests: list[plan.Scalar] = [matched]
    tests.extend(
        plan.Not(KqlType.BOOL, plan.Call(KqlType.BOOL, FUNCTIONS["isnull"], (value,)))
        for value in values
        if value.type is not KqlType.STRING
    )
    return tests[0] if len(tests) == 1 else plan.Logic(KqlType.BOOL, "and", tuple(tests))


OPERATORS = (
    TabularOperator("parse", Parse, _parse, _bind),
    TabularOperator("parse-where", ParseWhere, _parse, _bind),
)
