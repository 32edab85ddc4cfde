"""Patterns of similar texts, for the reduce operator; the functions have no name in KQL.

Source: https://learn.microsoft.com/kusto/query/reduce-operator, which names the algorithm: R. Vaarandi, A Data Clustering
Algorithm for Mining Patterns From Event Logs (2003). A term counts with its place in the text. Terms that more than the
threshold's part of all rows have are frequent; rows with the same frequent terms are a group if they are as many.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lurewire.kql.limits import LIST_ELEMENTS
from lurewire.kql.types import KqlType

from .common import scripted
from .registry import dynamic, real, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: The pattern of the rows that are in no group.
OTHERS = "others"
_WILDCARD = "*"


@dataclass(frozen=True, slots=True)
class _Text:
    """A text taken apart: its terms, and what stands before each of them and behind the last."""

    terms: tuple[str, ...]
    gaps: tuple[str, ...]


def _separators(characters: str) -> re.Pattern[str]:
    kind = re.escape(characters) if characters else "^0-9A-Za-z"
    return re.compile(f"[{kind}]+")


def _apart(source: str, separators: re.Pattern[str]) -> _Text:
    terms: list[str] = []
    gaps: list[str] = []
    at = 0
    gap = ""
    for found in separators.finditer(source):
        if found.start() > at:
            terms.append(source[at : found.start()])
            gaps.append(gap)
        gap, at = found.group(), found.end()
    if at < len(source):
        terms.append(source[at:])
        gaps.append(gap)
        gap = ""
    return _Text(tuple(terms), (*gaps, gap))


def _shown(gap: str) -> str:
    """A gap beside a wildcard: letters and digits that are separators fall to the wildcard."""
    return "".join(character for character in gap if not character.isalnum())


def _pattern(example: _Text, places: Sequence[int], *, longer: bool) -> str:
    """The frequent terms with what stands between them, and wildcards for the rest."""
    parts: list[str] = []
    before = -1
    for place in places:
        gap = example.gaps[place]
        if place == before + 1:
            parts.append(gap)
        else:
            parts.append((_shown(example.gaps[before + 1]) if before >= 0 else "") + _WILDCARD + _shown(gap))
        parts.append(example.terms[place])
        before = place
    if longer:
        following = next((gap for gap in example.gaps[before + 1 :] if gap), "")
        parts.append(_shown(following) + _WILDCARD)
    else:
        parts.append(example.gaps[-1])
    return "".join(parts)


def _groups(pairs: Iterable[Sequence[Any]], threshold: float, characters: str) -> dict[tuple[Any, ...], list[Any]]:
    """Values and their counts by the frequent terms of each; those of no group under ()."""
    known = list(pairs)
    if len(known) > LIST_ELEMENTS.value:
        raise ValueError(f"reduce: more than {LIST_ELEMENTS.value} different values")
    separators = _separators(characters)
    apart = [(value, count, _apart(value, separators)) for value, count in known]
    least = threshold * sum(count for _, count, _ in apart)
    words: Counter[tuple[int, str]] = Counter()
    for _, count, parts in apart:
        for place, term in enumerate(parts.terms):
            # A number is what changes from row to row.
            if not term.isdecimal():
                words[place, term] += count
    found: dict[tuple[Any, ...], list[Any]] = {}
    for value, count, parts in apart:
        key = tuple(word for word in enumerate(parts.terms) if words[word] > least)
        found.setdefault(key, []).append((value, count, parts))
    small = [key for key, members in found.items() if not key or sum(count for _, count, _ in members) <= least]
    others = [member for key in small for member in found.pop(key)]
    if others:
        found[()] = others
    return found


def _named(key: tuple[Any, ...], members: Sequence[Any]) -> tuple[str, str]:
    """A group's pattern and the value that stands for it."""
    if not key:
        return OTHERS, ""
    representative, _, example = min(members, key=lambda member: member[0])
    places = [place for place, _ in key]
    longer = any(len(parts.terms) > places[-1] + 1 for _, _, parts in members)
    if longer and len(example.terms) == places[-1] + 1:
        example = next(parts for _, _, parts in members if len(parts.terms) > places[-1] + 1)
    return _pattern(example, places, longer=longer), representative


def _reduced(pairs: Any, threshold: float, characters: str) -> list[Any]:
    """Pattern, count and representative of each group, the largest first."""
    rows = []
    for key, members in _groups(pairs, threshold, characters).items():
        pattern, representative = _named(key, members)
        rows.append([pattern, sum(count for _, count, _ in members), representative])
    return sorted(rows, key=lambda row: (-row[1], row[0], row[2]))


def _assigned(pairs: Any, threshold: float, characters: str) -> list[Any]:
    """Each value with the pattern of its group."""
    rows: list[Any] = []
    for key, members in _groups(pairs, threshold, characters).items():
        pattern, _ = _named(key, members)
        rows.extend([value, pattern] for value, _, _ in members)
    return rows


_PARAMS = (dynamic("values"), real("threshold"), text("characters"))
REDUCED = scripted("reduce_values", _reduced, _PARAMS, KqlType.DYNAMIC)
ASSIGNED = scripted("reduce_patterns", _assigned, _PARAMS, KqlType.DYNAMIC)

#: Functions in Python that no row of the registry names.
UDFS = (REDUCED.udf, ASSIGNED.udf)
