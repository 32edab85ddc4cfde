"""DuckDB SQL for the string operators: terms, substrings, equality without case.

A term is a maximal run of letters and digits (https://learn.microsoft.com/kusto/query/datatypes-string-operators). Case
is part of the pattern, never a flag.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlglot import exp

from . import sql
from .sql import Node, call, text

if TYPE_CHECKING:
    from collections.abc import Sequence

_TERM = r"[\p{L}\p{N}]"
_EDGE_BEFORE = r"(?:^|[^\p{L}\p{N}])"
_EDGE_AFTER = r"(?:$|[^\p{L}\p{N}])"
_FOLDED_ALIKE = re.compile(r"[\x00-HJ-hj-\x7f]+", re.ASCII)
#: Shorter needles are in most texts anyway.
_SHORTEST_LOOKED_FOR = 3
#: Which ends of the needle must fall on an end of a term.
_EDGES = {"has": (True, True), "hasprefix": (True, False), "hassuffix": (False, True)}


@lru_cache(maxsize=1024)
def quote_regex(needle: str) -> str:
    """The needle as an RE2 pattern that matches it and nothing else."""
    quoted = []
    for character in needle:
        if character.isalnum() or character == "_" or ord(character) > 127:
            quoted.append(character)
        elif character < " " or character == "\x7f":
            quoted.append(f"\\x{{{ord(character):x}}}")
        else:
            quoted.append("\\" + character)
    return "".join(quoted)


def _is_term(character: str) -> bool:
    return character.isalnum() or character.isnumeric()


def _edges(kind: str, needle: str) -> tuple[str, str]:
    """The boundaries of a literal needle; an end that is no letter or digit needs none."""
    before, after = _EDGES[kind]
    return (
        _EDGE_BEFORE if before and needle and _is_term(needle[0]) else "",
        _EDGE_AFTER if after and needle and _is_term(needle[-1]) else "",
    )


def term_pattern(kind: str, *needles: str, case_sensitive: bool = True) -> str:
    """One pattern for any of the needles; case counts in them alone. Each boundary is written once: RE2 slows down hundreds of times otherwise."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for needle in needles:
        grouped.setdefault(_edges(kind, needle), []).append(quote_regex(needle))
    opening = "(?:" if case_sensitive else "(?i:"
    return "|".join(f"{before}{opening}{'|'.join(quoted)}){after}" for (before, after), quoted in grouped.items())


def terms(
    kind: str, case_sensitive: bool, subject: Node, needles: Sequence[str], *, every: bool, predicate: bool
) -> Node:
    """Literal needles: one pattern for any of them, or a condition for each when all must be there.

    With `predicate` false and null count the same.
    """
    if not needles:
        return sql.boolean(every)
    if every or len(needles) == 1:
        first, *others = sorted(needles, key=len, reverse=True)
        rest = [_exact(kind, case_sensitive, subject, needle) for needle in others]
        return sql.both(_term(kind, case_sensitive, subject, first, predicate), *rest)
    return _exact(kind, case_sensitive, subject, *needles)


def _exact(kind: str, case_sensitive: bool, subject: Node, *needles: str) -> Node:
    pattern = term_pattern(kind, *needles, case_sensitive=case_sensitive)
    return call("regexp_matches", subject, text("(?s)" + pattern))


def _term(kind: str, case_sensitive: bool, subject: Node, needle: str, predicate: bool) -> Node:
    """One literal needle.

    A pattern that begins with a boundary is tried at every character. One that begins with a letter is skipped to (RE2
    looks for its first letters), so the needle alone is looked for first; what has it not cannot have it as a term.
    """
    exact = _exact(kind, case_sensitive, subject, needle)
    if not _edges(kind, needle)[0] or not _read_twice(subject) or len(needle) < _SHORTEST_LOOKED_FOR:
        return exact
    if case_sensitive:
        found = call("contains", subject, text(needle))
    else:
        found = call("regexp_matches", subject, text("(?is)" + quote_regex(needle)))
    return sql.both(found, exact) if predicate else sql.case([(found, exact)], sql.boolean(False))


def _read_twice(subject: Node) -> bool:
    """Whether a text costs little beside what is looked for in it: a column, or the columns of a row together."""
    return isinstance(subject, exp.Column) or (isinstance(subject, exp.Anonymous) and subject.this == "concat_ws")


def term_of(kind: str, case_sensitive: bool, subject: Node, needle: Node) -> Node:
    """A needle that is known only as the query runs."""
    before, after = _EDGES[kind]
    parts = [text("(?s)" if case_sensitive else "(?is)")]
    if before:
        starts = call("regexp_matches", needle, text(f"^{_TERM}"))
        parts.append(sql.case([(starts, text(_EDGE_BEFORE))], text("")))
    parts.append(call("regexp_escape", needle))
    if after:
        ends = call("regexp_matches", needle, text(f"{_TERM}$"))
        parts.append(sql.case([(ends, text(_EDGE_AFTER))], text("")))
    return call("regexp_matches", subject, sql.concat(*parts))


def terms_in_list(subject: Node, needles: Node, *, every: bool) -> Node:
    """`has_any` and `has_all` over a list of texts."""
    condition = term_of("has", False, subject, sql.coalesce(sql.variable("n"), text("")))
    if every:
        condition = sql.negation(condition)
    matches = call("len", call("list_filter", needles, sql.lambda_("n", condition)))
    comparison = exp.EQ if every else exp.GT
    return sql.coalesce(sql.binary(comparison, matches, sql.number(0)), sql.boolean(False))


def contained(subject: Node, needle: str) -> Node:
    """`contains` with a literal needle where only truth counts.

    To lower a whole text costs more than to look through it, so a piece of the needle is looked for first. RE2 folds every
    letter that lower() makes an ASCII one of, but for the dotted capital I, so a piece has no i.
    """
    exact = substring("contains", False, subject, text(needle))
    piece = max(_FOLDED_ALIKE.findall(needle), key=len, default="")
    if not _read_twice(subject) or len(piece) < _SHORTEST_LOOKED_FOR:
        return exact
    return sql.both(call("regexp_matches", subject, text("(?is)" + quote_regex(piece))), exact)


def folded(node: Node, case_sensitive: bool) -> Node:
    """The text as it is compared."""
    if case_sensitive:
        return node
    if isinstance(node, exp.Literal):
        return text(node.this.lower()) if node.this.isascii() else call("lower", node)
    return call("lower", node)


def substring(kind: str, case_sensitive: bool, subject: Node, needle: Node) -> Node:
    """equals, contains, startswith and endswith."""
    left, right = folded(subject, case_sensitive), folded(needle, case_sensitive)
    if kind == "equals":
        return sql.equal(left, right)
    return call({"contains": "contains", "startswith": "starts_with", "endswith": "ends_with"}[kind], left, right)
