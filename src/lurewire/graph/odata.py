"""Query options of lists: `$filter`, `$select`, `$top`, `$skiptoken`, `$count`; every other one is refused by name.

Source: https://learn.microsoft.com/graph/query-parameters and https://learn.microsoft.com/graph/filter-query-parameter
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from lurewire.graph.errors import MalformedRequest, UnsupportedQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lurewire.core.limits import Limits

_OPTIONS = ("$filter", "$select", "$top", "$skiptoken", "$count")
_TEXT = r"'((?:[^']|'')*)'"
_STARTS = re.compile(rf"startswith\(\s*(\w+)\s*,\s*{_TEXT}\s*\)", re.IGNORECASE)
_ANY = re.compile(rf"(\w+)/any\(\s*(\w+)\s*:\s*(\w+)\s+eq\s+{_TEXT}\s*\)", re.IGNORECASE)
_EQUALS = re.compile(rf"(\w+)\s+eq\s+{_TEXT}", re.IGNORECASE)
_IN = re.compile(rf"(\w+)\s+in\s*\(\s*({_TEXT}(?:\s*,\s*{_TEXT})*)\s*\)", re.IGNORECASE)
_AND = re.compile(r"\s+and\s+|\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: how it is called, and which properties may be filtered on in which way."""

    name: str
    segment: str
    equals: frozenset[str]
    starts: frozenset[str]
    members: frozenset[str]
    properties: frozenset[str]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, the token of the next one, and how many there are in all where that was asked for."""

    objects: list[dict[str, Any]]
    next_token: str | None
    count: int | None


def page_of(objects: Iterable[dict[str, Any]], kind: Kind, query: Mapping[str, str], limits: Limits) -> Page:
    """The page that `query` asks for, of objects in any order. Raises `UnsupportedQuery` and `MalformedRequest`."""
    check_options(query, _OPTIONS)
    size = _size(query.get("$top"), limits)
    found = sorted(_filtered(objects, kind, query.get("$filter", "")), key=lambda one: str(one["id"]))
    after = _last_id(query.get("$skiptoken"))
    rest = [one for one in found if str(one["id"]) > after]
    shown = rest[:size]
    token = _token(str(shown[-1]["id"])) if len(rest) > size else None
    count = len(found) if query.get("$count", "").lower() == "true" else None
    return Page(shown, token, count)


def check_options(query: Mapping[str, str], known: Sequence[str]) -> None:
    """Raise `UnsupportedQuery` for an option of OData's that is none of `known`."""
    for name in query:
        if name.startswith("$") and name not in known:
            raise UnsupportedQuery(f"The query option '{name}' is not supported here; {', '.join(known)} are.")


def selected(whole: dict[str, Any], kind: Kind, query: Mapping[str, str]) -> dict[str, Any]:
    """The properties of an object that `$select` names; all without it."""
    names = [name.strip() for name in query.get("$select", "").split(",") if name.strip()]
    for name in names:
        if name not in kind.properties:
            raise MalformedRequest(
                "Parsing OData Select and Expand failed: Could not find a property named "
                f"'{name}' on type 'microsoft.graph.{kind.name}'."
            )
    return {name: whole[name] for name in names} if names else whole


def next_link(url: str, query: Mapping[str, str], token: str) -> str:
    """The URL of the next page: the same question from behind `token` on."""
    options = {**query, "$skiptoken": token}
    return f"{url}?{urlencode(options, quote_via=quote, safe='$')}"


def _size(text: str | None, limits: Limits) -> int:
    if text is None:
        return limits["graph.page_default"]
    largest = limits["graph.page_largest"]
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= largest):
        raise MalformedRequest(
            f"Invalid page size specified: '{text[:20]}'. Must be between 1 and {largest} inclusive."
        )
    return int(text)


def _filtered(objects: Iterable[dict[str, Any]], kind: Kind, text: str) -> list[dict[str, Any]]:
    found = list(objects)
    at, text = 0, text.strip()
    while at < len(text):
        keep, at = _clause(kind, text, at)
        found = [one for one in found if keep(one)]
    return found


def _clause(kind: Kind, text: str, at: int) -> tuple[Callable[[Mapping[str, Any]], bool], int]:
    """The predicate of the clause that begins at `at`, and where the next one begins."""
    for pattern, make in _CLAUSES:
        match = pattern.match(text, at)
        joined = _AND.match(text, match.end()) if match else None
        if match and joined:
            return make(kind, match), joined.end()
    raise MalformedRequest(f"Invalid filter clause: '{text[at:][:200]}' cannot be read.")


def _starts(kind: Kind, match: re.Match[str]) -> Callable[[Mapping[str, Any]], bool]:
    name, prefix = _property(kind, match[1], kind.starts), _unquoted(match[2])
    return lambda one: str(one[name]).lower().startswith(prefix)


def _any(kind: Kind, match: re.Match[str]) -> Callable[[Mapping[str, Any]], bool]:
    if match[2] != match[3]:
        raise MalformedRequest(f"Invalid filter clause: '{match[3]}' is not the variable '{match[2]}'.")
    name, value = _property(kind, match[1], kind.members), _unquoted(match[4])
    return lambda one: value in (str(member).lower() for member in one[name])


def _equals(kind: Kind, match: re.Match[str]) -> Callable[[Mapping[str, Any]], bool]:
    name, value = _property(kind, match[1], kind.equals), _unquoted(match[2])
    return lambda one: str(one[name]).lower() == value


def _in(kind: Kind, match: re.Match[str]) -> Callable[[Mapping[str, Any]], bool]:
    name = _property(kind, match[1], kind.equals)
    values = {_unquoted(value) for value in re.findall(_TEXT, match[2])}
    return lambda one: str(one[name]).lower() in values


_CLAUSES: tuple[tuple[re.Pattern[str], Callable[..., Callable[[Mapping[str, Any]], bool]]], ...] = (
    (_STARTS, _starts),
    (_ANY, _any),
    (_IN, _in),
    (_EQUALS, _equals),
)


def _property(kind: Kind, name: str, known: frozenset[str]) -> str:
    if name not in known:
        raise UnsupportedQuery(
            f"Unsupported or invalid query filter clause specified for property '{name}' of resource '{kind.name}'."
        )
    return name


def _unquoted(text: str) -> str:
    """A literal's text, in the case that comparisons ignore."""
    return text.replace("''", "'").lower()


def _token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")


def _last_id(token: str | None) -> str:
    try:
        return base64.urlsafe_b64decode(f"{token or ''}==").decode("ascii")
    except ValueError:
        raise MalformedRequest("The value of '$skiptoken' is none that was handed out here.") from None
