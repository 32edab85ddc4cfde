"""Tokens to a tree, and a whole string to a template; one grammar for ARM `[...]` and workflows `@...`.

whole    := '@' expr  |  '[' expr ']'                 the value keeps its type
template := ( text | '@@{' | '@{' expr '}' )*         workflows only: always a string
expr     := primary ( '.'id | '?.'id | '['expr']' | '?['expr']' )*
primary  := name ('.' name)* '(' [expr {',' expr}] ')' | 'text' | number | true | false | null
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

from lurewire.expressions.errors import ExpressionError
from lurewire.expressions.lexer import Kind, Token, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NESTING = 100
"""Calls, indexes and property accesses inside each other: what a tree may be high."""

_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


class Syntax(Enum):
    """The dialect: how a string shows that it is an expression, and how long one may be (characters).

    Sources: https://learn.microsoft.com/azure/logic-apps/logic-apps-limits-and-config and
    https://learn.microsoft.com/azure/azure-resource-manager/templates/best-practices#template-limits
    """

    ARM = 24_576
    WORKFLOW = 8_192

    @property
    def limit(self) -> int:
        """The most characters of one expression."""
        return self.value


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant in an expression."""

    value: str | int | float | bool | None
    position: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function call; `name` as written."""

    name: str
    arguments: tuple[Node, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Access:
    """`target.key`, `target[key]`; `safe` is the form with `?`."""

    target: Node
    key: Node
    safe: bool
    position: int


Node = Literal | Call | Access


@dataclass(frozen=True, slots=True)
class Template:
    """A string that was read: `whole` is one expression that keeps its type, else `parts` are joined as text."""

    source: str
    whole: bool
    parts: tuple[str | Node, ...]

    @property
    def trees(self) -> tuple[Node, ...]:
        """The expressions in it."""
        return tuple(part for part in self.parts if not isinstance(part, str))


def is_expression(text: str, syntax: Syntax) -> bool:
    """Whether `text` holds an expression or an escape, so that it is not simply itself."""
    if syntax is Syntax.ARM:
        return text.startswith("[") and text.endswith("]")
    return "@" in text


@lru_cache(maxsize=16_384)
def parse(text: str, syntax: Syntax = Syntax.WORKFLOW) -> Template:
    """Read a string of a template or a definition; raises `ExpressionError` with the position.

    Sources: https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-definition-language#expressions and
    https://learn.microsoft.com/azure/azure-resource-manager/templates/template-expressions#escape-characters
    """
    if syntax is Syntax.ARM:
        return _parse_arm(text)
    if text.startswith("@@"):
        return Template(text, whole=False, parts=(text[1:],))
    if text.startswith("@") and len(text) > 1 and text[1] != "{":
        _check_length(text, 1, len(text), syntax)
        return Template(text, whole=True, parts=(_tree(text, 1, len(text)),))
    return _parse_interpolated(text, syntax)


def references(tree: Node) -> Iterator[Call]:
    """Every call in a tree, outermost first: what load-time validation looks up."""
    waiting: list[Node] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Call):
            yield node
            waiting.extend(reversed(node.arguments))
        elif isinstance(node, Access):
            waiting.extend((node.key, node.target))


def _parse_arm(text: str) -> Template:
    if not is_expression(text, Syntax.ARM):
        return Template(text, whole=False, parts=(text,))
    if text.startswith("[["):
        return Template(text, whole=False, parts=(text[1:],))
    _check_length(text, 1, len(text) - 1, Syntax.ARM)
    return Template(text, whole=True, parts=(_tree(text, 1, len(text) - 1),))


def _parse_interpolated(text: str, syntax: Syntax) -> Template:
    parts: list[str | Node] = []
    literal, at = "", 0
    while (opening := text.find("@{", at)) >= 0:
        if opening > at and text[opening - 1] == "@":
            literal += text[at : opening - 1] + "@{"
            at = opening + 2
            continue
        literal += text[at:opening]
        if literal:
            parts.append(literal)
        found, at = tokens(text, opening + 2, len(text), closes=True)
        _check_length(text, opening + 2, at - 1, syntax)
        parts.append(_Parser(text, found).whole())
        literal = ""
    literal += text[at:]
    if literal or not parts:
        parts.append(literal)
    return Template(text, whole=False, parts=tuple(parts))


def _tree(text: str, start: int, end: int) -> Node:
    found, _ = tokens(text, start, end, closes=False)
    return _Parser(text, found).whole()


def _check_length(text: str, start: int, end: int, syntax: Syntax) -> None:
    if end - start > syntax.limit:
        message = f"The expression has {end - start} characters; the limit is {syntax.limit}."
        raise ExpressionError("InvalidTemplate", message, text, start, "")


class _Parser:
    """Recursive descent; every method returns the node and its height, which bounds the evaluator's recursion."""

    def __init__(self, source: str, found: list[Token]) -> None:
        self._source = source
        self._tokens = found
        self._at = 0

    def whole(self) -> Node:
        node, _ = self._expression(0)
        if self._current.kind is not Kind.END:
            raise self._unexpected("the end of the expression")
        return node

    @property
    def _current(self) -> Token:
        return self._tokens[self._at]

    def _is_mark(self, mark: str) -> bool:
        token = self._current
        return token.kind is Kind.MARK and token.value == mark

    def _take(self, mark: str) -> bool:
        if not self._is_mark(mark):
            return False
        self._at += 1
        return True

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            raise self._unexpected(f"'{mark}'")

    def _unexpected(self, expected: str) -> ExpressionError:
        token = self._current
        found = "its end" if token.kind is Kind.END else f"'{token.value}'"
        message = f"The expression is not valid: expected {expected}, found {found}."
        return ExpressionError("InvalidTemplate", message, self._source, token.position, "")

    def _checked(self, height: int, position: int) -> int:
        if height > MAX_NESTING:
            message = f"The expression is nested more than {MAX_NESTING} deep."
            raise ExpressionError("InvalidTemplate", message, self._source, position, "")
        return height

    def _expression(self, depth: int) -> tuple[Node, int]:
        node, height = self._primary(self._checked(depth, self._current.position))
        while True:
            position = self._current.position
            safe = self._take("?")
            if self._take("."):
                token = self._current
                if token.kind is not Kind.NAME:
                    raise self._unexpected("a property name")
                self._at += 1
                key: Node = Literal(token.value, token.position)
                key_height = 1
            elif self._take("["):
                key, key_height = self._expression(depth + 1)
                self._expect("]")
            elif safe:
                raise self._unexpected("'.' or '['")
            else:
                return node, height
            node = Access(node, key, safe, position)
            height = self._checked(1 + max(height, key_height), position)

    def _primary(self, depth: int) -> tuple[Node, int]:
        token = self._current
        if token.kind in (Kind.TEXT, Kind.NUMBER):
            self._at += 1
            return Literal(token.value, token.position), 1
        if token.kind is not Kind.NAME:
            raise self._unexpected("a function, a string, a number, true, false or null")
        name = self._name()
        if self._take("("):
            arguments, height = self._arguments(depth)
            return Call(name, arguments, token.position), self._checked(height + 1, token.position)
        if name in _CONSTANTS:
            return Literal(_CONSTANTS[name], token.position), 1
        message = f"The expression is not valid: '{name}' is neither a call nor true, false or null."
        raise ExpressionError("InvalidTemplate", message, self._source, token.position, "")

    def _name(self) -> str:
        # A user-defined ARM function has a namespace: `contoso.uniqueName(...)`.
        name = str(self._current.value)
        self._at += 1
        while name not in _CONSTANTS and self._is_mark(".") and self._tokens[self._at + 1].kind is Kind.NAME:
            name += f".{self._tokens[self._at + 1].value}"
            self._at += 2
        return name

    def _arguments(self, depth: int) -> tuple[tuple[Node, ...], int]:
        if self._take(")"):
            return (), 0
        found: list[Node] = []
        highest = 0
        while True:
            node, height = self._expression(depth + 1)
            found.append(node)
            highest = max(highest, height)
            if self._take(")"):
                return tuple(found), highest
            if not self._take(","):
                raise self._unexpected("',' or ')'")
