"""The render operator: carried to the client, without effect on the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import tree
from lurewire.kql.render import Rendering

from .registry import TabularOperator

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context, Rows


@dataclass(frozen=True, slots=True)
class Render(tree.Operator):
    """`render visualization with (property = value, ...)`."""

    rendering: Rendering


def _parse(parser: Parser, name: Token) -> Render:
    visualization = parser.name()
    properties: dict[str, str] = {}
    if parser.accept("with"):
        parser.expect("(")
        while not parser.at_text(")"):
            _property(parser, properties)
            parser.accept(",")
        parser.expect(")")
    while parser.current.kind == "name" and parser.peek().text == "=":
        _property(parser, properties)
    return Render(name.at, Rendering(visualization, properties))


def _property(parser: Parser, properties: dict[str, str]) -> None:
    """One property; a list of columns (`ycolumns = a, b`) ends where the next `name =` begins."""
    key = parser.name()
    parser.expect("=")
    values = [_value(parser)]
    while parser.at_text(",") and parser.peek(2).text != "=":
        parser.advance()
        values.append(_value(parser))
    properties[key] = ",".join(values)


def _value(parser: Parser) -> str:
    if parser.current.kind == "string":
        return parser.string()
    if parser.current.kind == "name" or parser.at_text("["):
        return parser.name()
    if parser.current.kind in ("long", "real", "typed", "timespan"):
        return parser.advance().text
    return parser.fail("expected a property's value")


def _bind(node: Render, rows: Rows, context: Context) -> Rows:
    context.rendering = node.rendering
    return rows


OPERATORS = (TabularOperator("render", Render, _parse, _bind),)
