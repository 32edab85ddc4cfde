"""The search operator: terms in any column of several tables.

Source: https://learn.microsoft.com/kusto/query/search-operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import tree
from lurewire.kql.errors import semantic
from lurewire.kql.tables import table_of

from .registry import TabularOperator
from .terms import matching, parse_predicate
from .unions import combine, legs_of, parse_tables

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context, Rows

_TABLE = "$table"
_KINDS = ("default", "case_insensitive", "case_sensitive")


@dataclass(frozen=True, slots=True)
class Search(tree.Operator):
    """`search kind=... in (tables) predicate`; without tables, those of the input or of the whole catalogue."""

    sensitive: bool
    tables: tuple[tree.Expression | tree.Pattern, ...]
    predicate: tree.Expression


@dataclass(frozen=True, slots=True)
class SearchSource(Search):
    """The operator at the start of a pipeline."""


def _parse(parser: Parser, name: Token, *, first: bool) -> Search:
    sensitive = False
    if parser.at_text("kind") and parser.peek().text == "=":
        parser.advance()
        parser.advance()
        kind = parser.accept(*_KINDS) or parser.fail(f"expected one of {', '.join(_KINDS)}")
        sensitive = kind.text == "case_sensitive"
    tables: tuple[tree.Expression | tree.Pattern, ...] = ()
    if parser.at_text("in") and parser.peek().text == "(":
        at = parser.advance().at
        parser.expect("(")
        tables = parse_tables(parser)
        parser.expect(")")
        if not first:
            raise semantic("'search' operator: 'in' cannot stand after a pipe, which names the input already", at)
    return (SearchSource if first else Search)(name.at, sensitive, tables, parse_predicate(parser))


def _bind(node: Search, rows: Rows, context: Context) -> Rows:
    if isinstance(node, SearchSource):
        legs = legs_of(node.tables or (tree.Pattern(node.at, "*"),), context, fuzzy=False)
    else:
        legs = [(rows.name or table_of(rows) or "union_arg0", rows)]
    found = matching(node.predicate, legs, context, "search", sensitive=node.sensitive)
    return combine(found.legs, context, node.at, source=_TABLE)


OPERATORS = (
    TabularOperator("search", Search, lambda parser, name: _parse(parser, name, first=False), _bind, row_wise=False),
    TabularOperator(
        "search",
        SearchSource,
        lambda parser, name: _parse(parser, name, first=True),
        _bind,
        row_wise=False,
        source=True,
    ),
)
