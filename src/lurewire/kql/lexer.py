"""Text to tokens, in one pass and linear time.

Token text is kept as written, so that the tokens and the gaps between them give the query back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .errors import SYNTAX_TOKEN, Problem

TokenKind = Literal["name", "string", "long", "real", "timespan", "typed", "punctuation", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `at` and `end` are offsets into the query."""

    kind: TokenKind
    text: str
    at: int

    @property
    def end(self) -> int:
        """Offset after the token."""
        return self.at + len(self.text)


_UNITS = (
    "microseconds?|micros?|milliseconds?|millis?|ms|minutes?|min|m|seconds?|sec|s|hours?|hrs?|h|days?|d|ticks?|"
    "nanoseconds?|nanos?"
)
_TYPED = "datetime|date|timespan|time|guid|uuid|uniqueid|real|double|long|int64|int32|int|decimal|boolean|bool"

#: What stands between tokens, invisible characters of copied text too; Unicode's other spaces do not.
_SPACES = r" \t\n\f\r\u00a0\u1680\u180e\u2000-\u200b\u202f\u205f\u3000\ufeff"

_TOKEN = re.compile(
    rf"""
    (?P<gap>(?:[{_SPACES}]+|//[^\n\r]*)+)
    |(?P<string>[hH]?(?:@"(?:[^"]|"")*"|@'(?:[^']|'')*'|"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
        |[hH]?```[\s\S]*?```|[hH]?~~~[\s\S]*?~~~)
    |(?P<typed>(?:{_TYPED})[ \t]*\((?:\s*"[^"\\\n()]*"\s*|\s*'[^'\\\n()]*'\s*|[^()"'\[\];|,={{}}]*)\))
    |(?P<timespan>\d+(?:\.\d+)?(?:{_UNITS})(?![\w$]))
    |(?P<hex>0[xX][0-9a-fA-F]+(?![\w$]))
    |(?P<real>\d+(?:\.(?!\.)\d*(?:[eE][+-]?\d+)?|[eE][+-]?\d+)(?![\w$]))
    |(?P<long>\d+(?![\w$]))
    |(?P<name>[^\W\d][\w]*|\$[\w]+|\d+[^\W\d]\w*)
    |(?P<punctuation>![A-Za-z_]+~?|==|!=|<>|<=|>=|=~|!~|\.\.|=>|~|[-+*/%<>=!|;,.:()\[\]{{}}?@&^\#$`\\"'])
    """,
    re.VERBOSE,
)

#: Names that are infix operators when a tilde follows at once.
_TILDE = {"in", "!in"}


def tokenize(text: str) -> list[Token]:
    """The tokens of `text`, the last of kind "end"; raises Problem at a character that starts no token."""
    tokens: list[Token] = []
    add = tokens.append
    match = _TOKEN.match
    at, length = 0, len(text)
    while at < length:
        found = match(text, at)
        if found is None:
            raise Problem("syntax", SYNTAX_TOKEN, "unexpected character", at, text[at])
        kind = found.lastgroup
        value = found.group()
        if kind != "gap":
            if value in ('"', "'", "`", "\\"):
                raise Problem(
                    "syntax", SYNTAX_TOKEN, _unexpected(value), at, text[at : at + 20].split("\n", maxsplit=1)[0]
                )
            if kind == "name" and value == "in" and text.startswith("~", at + 2) and text[at + 3 : at + 4] not in "~=":
                value, kind = "in~", "punctuation"
            add(Token("long" if kind == "hex" else kind, value, at))  # type: ignore[arg-type]
        at += len(value)
    add(Token("end", "", length))
    return tokens


def _unexpected(character: str) -> str:
    return "unterminated string" if character in "\"'`" else "unexpected character"
