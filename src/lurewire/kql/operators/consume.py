"""The consume operator: the rows are computed and none is given out.

Source: https://learn.microsoft.com/kusto/query/consume-operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.scope import Rows

from .registry import TabularOperator

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context


@dataclass(frozen=True, slots=True)
class Consume(tree.Operator):
    """`consume decodeblocks=true`: the property asks nothing of the answer."""


def _parse(parser: Parser, name: Token) -> Consume:
    if parser.accept("decodeblocks"):
        parser.expect("=")
        parser.accept("true", "false") or parser.fail("expected true or false")
    return Consume(name.at)


def _bind(node: Consume, rows: Rows, context: Context) -> Rows:
    del node, context
    return Rows(plan.Limit(rows.relation, 0), rows.columns)


OPERATORS = (TabularOperator("consume", Consume, _parse, _bind, row_wise=False),)
