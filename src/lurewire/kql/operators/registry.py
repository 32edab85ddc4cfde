"""What a tabular operator is: one row says its names, how it is parsed and how it is bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.kql import tree
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context, Rows

DOCUMENTATION = "https://learn.microsoft.com/kusto/query/"


@dataclass(frozen=True, slots=True)
class TabularOperator:
    """A tabular operator.

    `parse` starts after the operator's name, which is given; `bind` makes the rows that come out of the rows that go in
    (None for a source). `row_wise` says that each row comes from one row of the input, and that on its own.
    """

    name: str
    node: type[tree.Operator]
    parse: Callable[[Parser, Token], tree.Operator]
    bind: Callable[[Any, Rows, Context], Rows]
    aliases: tuple[str, ...] = ()
    #: Further nodes that `parse` makes.
    forms: tuple[type[tree.Operator], ...] = ()
    row_wise: bool = True
    source: bool = False
    #: The query names all columns that come out: hidden ones are left behind.
    selects: bool = False
    page: str | None = None

    @property
    def documentation(self) -> str:
        """The page of Microsoft's reference."""
        return f"{DOCUMENTATION}{self.page or self.name + '-operator'}"
