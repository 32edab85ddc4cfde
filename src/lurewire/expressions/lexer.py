"""Expression text to tokens.

Source: https://learn.microsoft.com/azure/logic-apps/expression-functions-reference and
https://learn.microsoft.com/azure/azure-resource-manager/templates/template-expressions
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from lurewire.expressions.errors import ExpressionError

_INT64_MAX = 2**63 - 1

_TOKEN = re.compile(
    r"""
      (?P<text>'(?:[^']|'')*')
    | (?P<number>(?:[+-](?:[0-9]+\.?[0-9]*|\.[0-9]+)|[0-9]+\.?[0-9]*)(?:[eE][+-]?[0-9]+)?)
    | (?P<name>[^\W\d]\w*)
    | (?P<mark>[()\[\],.?}])
    """,
    re.VERBOSE,
)
_BLANK = re.compile(r"[ \t\r\n]*")


class Kind(Enum):
    """What a token is."""

    TEXT = "text"
    NUMBER = "number"
    NAME = "name"
    MARK = "mark"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `value` is the text unescaped, the number, the name or the mark; `position` is in the whole string."""

    kind: Kind
    value: str | int | float
    position: int


def tokens(source: str, start: int, end: int, *, closes: bool) -> tuple[list[Token], int]:
    """The tokens of `source` from `start`, and the index behind the last.

    With `closes` the expression ends at its `}`, without it at `end`. Raises `ExpressionError`.
    """
    found: list[Token] = []
    at = start
    while True:
        blank = _BLANK.match(source, at, end)
        at = at if blank is None else blank.end()
        if at == end:
            if closes:
                raise ExpressionError("InvalidTemplate", "The expression has no closing '}'.", source, start, "")
            found.append(Token(Kind.END, "", at))
            return found, at
        match = _TOKEN.match(source, at, end)
        if match is None:
            raise ExpressionError("InvalidTemplate", _unexpected(source[at]), source, at, "")
        if match.group() == "}":
            if not closes:
                raise ExpressionError("InvalidTemplate", _unexpected("}"), source, at, "")
            found.append(Token(Kind.END, "", at))
            return found, match.end()
        found.append(_token(match, source))
        at = match.end()


def _unexpected(character: str) -> str:
    if character == "'":
        return "A string in the expression has no closing quotation mark."
    return f"The expression has an unexpected character '{character}'."


def _token(match: re.Match[str], source: str) -> Token:
    kind = Kind(match.lastgroup)
    lexeme = match.group()
    if kind is Kind.TEXT:
        return Token(kind, lexeme[1:-1].replace("''", "'"), match.start())
    if kind is Kind.NUMBER:
        return Token(kind, _number(lexeme, source, match.start()), match.start())
    return Token(kind, lexeme, match.start())


def _number(lexeme: str, source: str, position: int) -> int | float:
    if lexeme.lstrip("+-").isdigit():
        if len(lexeme) <= 20 and -_INT64_MAX - 1 <= (whole := int(lexeme)) <= _INT64_MAX:
            return whole
    elif abs(real := float(lexeme)) != float("inf"):
        return real
    raise ExpressionError("InvalidTemplate", f"The number {lexeme[:40]} is out of range.", source, position, "")
