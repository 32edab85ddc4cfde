"""The evaluate operator: plug-ins, each a row of PLUGINS.

The columns of some plug-ins depend on the data. Where the query does not declare them, they are found by a first query,
which the caller of the compiler runs (`explore`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import tree
from lurewire.kql.errors import nearest, semantic, unsupported
from lurewire.kql.known_names import PLUGINS as KNOWN_PLUGINS
from lurewire.kql.types import TYPE_NAMES, Column

from . import plugins_columns, plugins_lookup
from .registry import TabularOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context, Rows

    from .plugins_columns import Schema

#: Every plug-in: its arguments, the declared schema if there is one, and its input make its output.
PLUGINS: dict[str, Callable[[tree.Call, Schema | None, Rows, Context], Rows]] = {
    "bag_unpack": plugins_columns.bag_unpack,
    "pivot": plugins_columns.pivot,
    "narrow": plugins_columns.narrow,
    "ipv4_lookup": plugins_lookup.ipv4_lookup,
    "ipv6_lookup": plugins_lookup.ipv6_lookup,
}


@dataclass(frozen=True, slots=True)
class Evaluate(tree.Operator):
    """`evaluate plugin(arguments) : (schema)`."""

    call: tree.Call
    schema: Schema | None


def _parse(parser: Parser, name: Token) -> Evaluate:
    parser.parameters()
    at = parser.current.at
    call = parser.postfix()
    if not isinstance(call, tree.Call):
        raise semantic("'evaluate' operator: a plug-in with its arguments is expected", at)
    return Evaluate(name.at, call, _parse_schema(parser) if parser.accept(":") else None)


def _parse_schema(parser: Parser) -> Schema:
    """`(*, name: type, ...)`: the star stands for the input's columns."""
    columns: list[Column] = []
    star = False
    parser.expect("(")
    while not parser.at_text(")"):
        if parser.accept("*"):
            star = True
        else:
            name = parser.name()
            parser.expect(":")
            token = parser.advance()
            if token.text not in TYPE_NAMES:
                parser.fail("expected a type", token)
            columns.append(Column(name, TYPE_NAMES[token.text]))
        if not parser.accept(","):
            break
    parser.expect(")")
    return plugins_columns.Schema(star, tuple(columns))


def _bind(node: Evaluate, rows: Rows, context: Context) -> Rows:
    name = node.call.name
    plugin = PLUGINS.get(name)
    if plugin is None:
        if name in KNOWN_PLUGINS:
            raise unsupported(f"the plug-in '{name}'", node.call.at, name)
        message = f"'evaluate' operator: there is no plug-in named '{name}'"
        raise semantic(message, node.call.at, token=name, hint=nearest(name, PLUGINS))
    return plugin(node.call, node.schema, rows, context)


OPERATORS = (TabularOperator("evaluate", Evaluate, _parse, _bind, row_wise=False),)
