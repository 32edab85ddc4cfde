"""The tokens of a query as a parser takes them: one at a time, by text, as names and as lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeVar

from . import limits, literals, tree
from .errors import SYNTAX_END, SYNTAX_TOKEN, Problem, over_limit
from .lexer import Token, tokenize
from .types import TYPE_NAMES, Column, KqlType

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: The spellings of the bool literals.
BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


class TokenReader:
    """A place in the tokens of one query, and how deep the parser is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.position = 0
        self.depth = 0

    @property
    def current(self) -> Token:
        """The token that comes next."""
        return self.tokens[self.position]

    def at_end(self) -> bool:
        """Whether all tokens are taken."""
        return self.position == len(self.tokens) - 1

    def peek(self, ahead: int = 1) -> Token:
        """A token further on; the end token where there is none."""
        return self.tokens[min(self.position + ahead, len(self.tokens) - 1)]

    def advance(self) -> Token:
        """Takes the next token."""
        token = self.tokens[self.position]
        if token.kind != "end":
            self.position += 1
        return token

    def at_text(self, *texts: str) -> bool:
        """Whether the next token is a name or mark with one of these texts."""
        token = self.tokens[self.position]
        return token.text in texts and token.kind in ("name", "punctuation")

    def accept(self, *texts: str) -> Token | None:
        """Takes the next token if it is one of these."""
        return self.advance() if self.at_text(*texts) else None

    def expect(self, text: str) -> Token:
        """Takes the next token, which must be this one."""
        return self.accept(text) or self.fail(f"expected '{text}'")

    def fail(self, message: str, token: Token | None = None) -> NoReturn:
        """Raises the syntax problem at a token, the next one if none is given."""
        token = token or self.current
        if token.kind == "end":
            raise Problem("syntax", SYNTAX_END, message, token.at)
        raise Problem("syntax", SYNTAX_TOKEN, message, token.at, token.text)

    def flag(self) -> bool:
        """`true` or `false`, in one of the spellings of a literal."""
        token = self.accept(*BOOLEANS) or self.fail("expected 'true' or 'false'")
        return BOOLEANS[token.text]

    def name(self) -> str:
        """A name: bare, or `['any characters']`."""
        token = self.current
        if token.kind == "name":
            return self.advance().text
        if self.at_text("[") and self.peek().kind == "string" and self.peek(2).text == "]":
            self.advance()
            name = self.string()
            self.expect("]")
            return name
        return self.fail("expected a name")

    def string(self) -> str:
        """A string literal; adjacent ones are one string."""
        parts: list[str] = []
        while self.current.kind == "string":
            token = self.advance()
            parts.append(literals.string_value(token.text, token.at))
        if not parts:
            self.fail("expected a string")
        return "".join(parts)

    def comma_list(self, item: Callable[[], T]) -> tuple[T, ...]:
        """One or more items with commas between."""
        items = [item()]
        while self.accept(","):
            items.append(item())
        return tuple(items)

    def schema(self) -> tuple[Column, ...]:
        """`(name: type, ...)`."""
        self.expect("(")
        if self.accept(")"):
            return ()
        columns = [self._schema_column()]
        while self.accept(",") and not self.at_text(")"):
            columns.append(self._schema_column())
        self.expect(")")
        return tuple(columns)

    def _schema_column(self) -> Column:
        name = self.name()
        self.expect(":")
        return Column(name, self.type_name())

    def type_name(self) -> KqlType:
        """A type, by any of its spellings."""
        token = self.advance()
        if token.text not in TYPE_NAMES:
            self.fail("expected a type", token)
        return TYPE_NAMES[token.text]

    def pattern(self) -> tree.Pattern:
        """A column name that may hold `*`."""
        at = self.current.at
        if self.at_text("["):
            return tree.Pattern(at, self.name().replace("*", "\0"))
        text, end = "", at
        while self.current.at == end and (self.current.kind in ("name", "long") or self.current.text == "*"):
            text += self.current.text
            end = self.current.end
            self.advance()
        if not text:
            self.fail("expected a column name")
        return tree.Pattern(at, text)

    def operator_name(self) -> Token:
        """An operator's name, which may hold hyphens: `project-away` is three tokens without a gap."""
        first = self.current
        if first.kind != "name":
            self.fail("expected an operator")
        self.advance()
        text = first.text
        while self.current.text == "-" and self.current.at == first.at + len(text) and self.peek().kind == "name":
            if self.peek().at != self.current.end:
                break
            text += "-" + self.peek().text
            self.advance()
            self.advance()
        return Token("name", text, first.at)

    def enter(self, at: int) -> None:
        """Goes one level deeper; raises the limit's problem below the deepest."""
        self.depth += 1
        if self.depth > limits.NESTING.value:
            raise over_limit(f"the query nests deeper than {limits.NESTING.value} levels", at)
