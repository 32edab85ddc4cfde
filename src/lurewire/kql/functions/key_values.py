"""Values of keys in texts, as the parse-kv operator takes them out; the functions have no name in KQL.

Source: https://learn.microsoft.com/kusto/query/parse-kv-operator. With delimiters and without them a text is read once, from
left to right; by a regular expression it is the engine's work.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lurewire.kql.dialects import duckdb_time, sql
from lurewire.kql.types import KqlType

from .common import duckdb, scripted
from .registry import Function, dynamic, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lurewire.kql import plan
    from lurewire.kql.dialects.sql import Node

_WORD = re.compile(r"[^\W_]+")
#: What white space around keys and values is.
_BLANK = " \t\r\n\f\v"


class _Quotes:
    """Reads what stands between quotes in one text."""

    def __init__(self, source: str, form: Mapping[str, Any]) -> None:
        self._source = source
        self._closing = {quote[0]: quote[-1] for quote in form["quotes"]}
        self._escapes = frozenset(form["escapes"])

    def read(self, at: int) -> tuple[str, int] | None:
        """What stands in the quotes that open at `at`, and where it ends; None where none opens, or it never closes."""
        source = self._source
        opening = source[at : at + 1]
        closing = self._closing.get(opening)
        if closing is None:
            return None
        parts: list[str] = []
        place = at + 1
        while place < len(source):
            character = source[place]
            if character in self._escapes and place + 1 < len(source):
                parts.append(source[place + 1])
                place += 2
            elif character == closing:
                return "".join(parts), place + 1
            else:
                parts.append(character)
                place += 1
        # It will not close from further on either.
        del self._closing[opening]
        return None


class _Delimited:
    """The pairs of a text in which delimiters are told."""

    def __init__(self, source: str, form: Mapping[str, Any]) -> None:
        self._source = source
        self._pair, self._kv = form["pair"], form["kv"]
        self._greedy = form["greedy"]
        self._quotes = _Quotes(source, form)
        self._found: dict[str, int] = {}

    def _next(self, delimiter: str, at: int) -> int:
        """Where a delimiter comes next, or the end of the text; what was found ahead is not looked for again."""
        known = self._found.get(delimiter, -1)
        if known < at:
            place = self._source.find(delimiter, at)
            known = self._found[delimiter] = len(self._source) if place < 0 else place
        return known

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Keys and values in order."""
        source, at = self._source, 0
        while at < len(source):
            if source.startswith(self._pair, at):
                at += len(self._pair)
            elif source[at].isspace():
                at += 1
            else:
                key, at = self._key(at)
                if key is not None:
                    value, at = self._value(at)
                    yield key, value

    def _key(self, at: int) -> tuple[str | None, int]:
        """A key, and where its value begins; without one, where the next pair begins."""
        quoted = self._quotes.read(at)
        if quoted is not None:
            key, end = quoted
            while (
                end < len(self._source) and self._source[end].isspace() and not self._source.startswith(self._kv, end)
            ):
                end += 1
            if self._source.startswith(self._kv, end):
                return key, end + len(self._kv)
            return None, self._next(self._pair, end)
        kv, pair = self._next(self._kv, at), self._next(self._pair, at)
        if pair < kv or kv == len(self._source):
            return None, pair
        return self._source[at:kv].strip(), kv + len(self._kv)

    def _value(self, at: int) -> tuple[str, int]:
        """A value, and where it ends."""
        source = self._source
        while at < len(source) and source[at].isspace() and not source.startswith(self._pair, at):
            at += 1
        quoted = self._quotes.read(at)
        if quoted is not None:
            return quoted[0], self._next(self._pair, quoted[1])
        end = self._before_next_key(at) if self._greedy else self._next(self._pair, at)
        return source[at:end].strip(), end

    def _before_next_key(self, at: int) -> int:
        """Where the pair delimiter stands that has a key behind it, or the end."""
        looked = at
        while True:
            kv = self._next(self._kv, looked)
            if kv == len(self._source):
                return kv
            pair = self._source.rfind(self._pair, looked, kv)
            if pair >= 0 and self._source[pair + len(self._pair) : kv].strip():
                return pair
            looked = kv + len(self._kv)


def _words(source: str, form: Mapping[str, Any]) -> Iterator[str]:
    """Runs of letters and digits, and what stands in quotes."""
    quotes, at = _Quotes(source, form), 0
    while at < len(source):
        quoted = quotes.read(at)
        if quoted is not None:
            word, at = quoted
            yield word
            continue
        found = _WORD.match(source, at)
        if found is not None:
            yield found.group()
        at = at + 1 if found is None else found.end()


def _undelimited(source: str, form: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each key that is asked for with the word behind it."""
    keys = set(form["keys"])
    words = _words(source, form)
    for word in words:
        if word in keys:
            value = next(words, None)
            if value is not None:
                yield word, value


def _values(source: str, form: Mapping[str, Any]) -> list[str | None]:
    """The value of each key, in the order of the keys: that of its first appearance, None where it does not appear."""
    pairs = _undelimited(source, form) if form["pair"] is None else _Delimited(source, form).pairs()
    missing = set(form["keys"])
    found: dict[str, str] = {}
    for key, value in pairs:
        if key in missing:
            missing.remove(key)
            found[key] = value
            if not missing:
                break
    return [found.get(key) for key in form["keys"]]


VALUES = scripted("parse_kv", _values, (text("source"), dynamic("form")), KqlType.DYNAMIC)


def _by_regex(arguments: Sequence[Node], call: plan.Call) -> Node:
    """The values of keys, the first and second group of each match of a regular expression (RE2)."""
    del call
    source, pattern, *keys = arguments

    def trimmed(node: Node) -> Node:
        return sql.call("trim", node, sql.text(_BLANK))

    def group(number: int) -> Node:
        found = sql.call("regexp_extract_all", source, pattern, sql.number(number))
        return sql.call("list_transform", found, sql.lambda_("g", trimmed(sql.variable("g"))))

    def of_pairs(pairs: Node) -> Node:
        place = sql.call("list_position", sql.call("struct_extract", pairs, sql.text("k")), sql.variable("w"))
        value = sql.call("list_extract", sql.call("struct_extract", pairs, sql.text("v")), place)
        wanted = sql.call("list_value", *keys)
        found = sql.call("list_transform", wanted, sql.lambda_("w", value))
        return sql.cast(sql.call("to_json", found), sql.VARCHAR)

    return duckdb_time.bind(sql.struct({"k": group(1), "v": group(2)}), "p", of_pairs)


BY_REGEX = Function(
    "parse_kv_regex",
    (text("source"), text("pattern"), text("key")),
    KqlType.DYNAMIC,
    duckdb(_by_regex),
    variadic=True,
    never_null=True,
)

#: Functions in Python that no row of the registry names.
UDFS = (VALUES.udf,)
