"""DuckDB SQL for the string operators: terms, substrings, equality without case.

A term is a maximal run of letters and digits (https://learn.microsoft.com/kusto/query/datatypes-string-operators). Case
is part of the pattern, never a flag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from . import sql
from .sql import Node, call, text

if TYPE_CHECKING:
    from collections.abc import Sequence

_TERM = r"[\p{L}\p{N}]"
_EDGE_BEFORE = r"(?:^|[^\p{L}\p{N}])"
_EDGE_AFTER = r"(?:$|[^\p{L}\p{N}])"
#: Which ends of the needle must fall on an end of a term.
_EDGES = {"has": (True, True), "hasprefix": (True, False), "hassuffix": (False, True)}


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


def term_pattern(kind: str, needle: str) -> str:
    """The pattern of one literal needle; an end that is no letter or digit needs no boundary."""
    before, after = _EDGES[kind]
    return (
        (_EDGE_BEFORE if before and needle and _is_term(needle[0]) else "")
        + quote_regex(needle)
        + (_EDGE_AFTER if after and needle and _is_term(needle[-1]) else "")
    )


def terms(kind: str, case_sensitive: bool, subject: Node, needles: Sequence[str], *, every: bool) -> Node:
    """Literal needles: one pattern for any of them, or a condition for each when all must be there."""
    prefix = "(?s)" if case_sensitive else "(?is)"
    patterns = [term_pattern(kind, needle) for needle in needles]
    if not patterns:
        return sql.boolean(every)
    if every:
        return sql.both(*(call("regexp_matches", subject, text(prefix + pattern)) for pattern in patterns))
    joined = patterns[0] if len(patterns) == 1 else "|".join(patterns)
    return call("regexp_matches", subject, text(prefix + joined))


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
