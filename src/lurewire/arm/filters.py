"""`$filter` of lists of resources: comparisons of a few properties, joined by `and` and `or`.

Source: https://learn.microsoft.com/rest/api/resources/resources/list#uri-parameters
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lurewire.arm.errors import InvalidFilter
from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|([A-Za-z][\w/]*)|([(),]))")
_MOST_TERMS = 50


def _group(body: dict[str, Any]) -> str:
    return ResourceId.parse(body["id"]).resource_group or ""


def _inside(*names: str) -> Callable[[dict[str, Any]], str]:
    def value(body: dict[str, Any]) -> str:
        at: Any = body
        for name in names:
            at = at.get(name) if isinstance(at, dict) else None
        return str(at or "")

    return value


RESOURCE_FIELDS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "resourcetype": _inside("type"),
    "name": _inside("name"),
    "location": _inside("location"),
    "resourcegroup": _group,
    "identity": _inside("identity", "type"),
    "identity/principalid": _inside("identity", "principalId"),
    "plan": _inside("plan", "name"),
    "plan/name": _inside("plan", "name"),
    "plan/product": _inside("plan", "product"),
    "plan/publisher": _inside("plan", "publisher"),
}
"""What resources are filtered by; tags come to it."""

DEPLOYMENT_FIELDS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "provisioningstate": _inside("properties", "provisioningState"),
}

GROUP_FIELDS: Mapping[str, Callable[[dict[str, Any]], str]] = {}
"""Resource groups: by tags alone."""


def parse_filter(text: str | None, fields: Mapping[str, Callable[[dict[str, Any]], str]], *, tags: bool = True) -> Any:
    """A test of a row, always true without a filter; `fields` in lower case. Raises `InvalidFilter`."""
    if text is None or not text.strip():
        return lambda _row: True
    return _Parser(text, fields, tags=tags).whole()


class _Parser:
    def __init__(self, text: str, fields: Mapping[str, Callable[[dict[str, Any]], str]], *, tags: bool) -> None:
        self._text = text
        self._fields = fields
        self._tags = tags
        self._at = 0
        self._terms = 0

    def whole(self) -> Any:
        test = self._or(0)
        if self._peek() is not None:
            raise self._wrong()
        return test

    def _or(self, depth: int) -> Any:
        tests = [self._and(depth)]
        while self._word("or"):
            tests.append(self._and(depth))
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def _and(self, depth: int) -> Any:
        tests = [self._term(depth)]
        while self._word("and"):
            tests.append(self._term(depth))
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _term(self, depth: int) -> Any:
        self._terms += 1
        if self._terms > _MOST_TERMS or depth > _MOST_TERMS:
            raise InvalidFilter(f"The '$filter' has more than {_MOST_TERMS} comparisons.")
        if self._mark("("):
            test = self._or(depth + 1)
            self._expect(")")
            return test
        name = self._take()[1]
        if name is None:
            raise self._wrong()
        if name.lower() == "substringof":
            return self._substring()
        negated = self._operator()
        value = self._quoted()
        if name.lower() == "tagname" and self._tags and not negated:
            return self._tag(value)
        field = self._fields.get(name.lower())
        if field is None:
            known = ", ".join([*self._fields, *(["tagName", "tagValue"] if self._tags else [])])
            raise InvalidFilter(f"The '$filter' names '{name}'; here these are known: {known}.")
        wanted = value.lower()
        return lambda row: (field(row).lower() == wanted) is not negated

    def _substring(self) -> Any:
        self._expect("(")
        part = self._quoted().lower()
        self._expect(",")
        name = self._take()[1]
        field = self._fields.get((name or "").lower())
        if field is None or (name or "").lower() not in ("name", "resourcegroup"):
            raise InvalidFilter("'substringof' in '$filter' is for 'name' and 'resourceGroup'.")
        self._expect(")")
        return lambda row: part in field(row).lower()

    def _tag(self, name: str) -> Any:
        at = self._at
        value = None
        if self._word("and"):
            follows = self._take()[1]
            if follows is not None and follows.lower() == "tagvalue" and not self._operator():
                value = self._quoted()
            else:
                self._at = at
        wanted = name.lower()

        def test(row: dict[str, Any]) -> bool:
            found = [text for key, text in (row.get("tags") or {}).items() if key.lower() == wanted]
            return bool(found) and (value is None or value in found)

        return test

    def _operator(self) -> bool:
        word = (self._take()[1] or "").lower()
        if word not in ("eq", "ne"):
            raise InvalidFilter(f"The '$filter' compares with '{word}'; 'eq' and 'ne' are known.")
        return word == "ne"

    def _quoted(self) -> str:
        found = self._take()[0]
        if found is None:
            raise self._wrong()
        return found.replace("''", "'")

    def _peek(self) -> re.Match[str] | None:
        match = _TOKEN.match(self._text, self._at)
        if match is None and self._text[self._at :].strip():
            raise self._wrong()
        return match

    def _take(self) -> tuple[str | None, str | None, str | None]:
        match = self._peek()
        if match is None:
            raise self._wrong()
        self._at = match.end()
        return match[1], match[2], match[3]

    def _word(self, word: str) -> bool:
        match = self._peek()
        if match is None or (match[2] or "").lower() != word:
            return False
        self._at = match.end()
        return True

    def _mark(self, mark: str) -> bool:
        match = self._peek()
        if match is None or match[3] != mark:
            return False
        self._at = match.end()
        return True

    def _expect(self, mark: str) -> None:
        if not self._mark(mark):
            raise self._wrong()

    def _wrong(self) -> InvalidFilter:
        return InvalidFilter(f"The '$filter' cannot be read from character {self._at}: '{self._text[:200]}'.")
