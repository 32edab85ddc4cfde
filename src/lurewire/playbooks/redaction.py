"""Secrets out of run history: the values of secure parameters and vault secrets, wherever they appear.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-securing-a-logic-app#obfuscate
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from lurewire.expressions.functions.conversion import uri_component

if TYPE_CHECKING:
    from collections.abc import Iterable

SANITIZED = "*sanitized*"

_SHORTEST_PART = 4
"""A shorter secret is replaced only where it is a whole value: as a part of text it would be everywhere."""


class Redactor:
    """Replaces secrets in JSON; `secrets` are the values themselves, objects and arrays by their leaves."""

    def __init__(self, secrets: Iterable[Any]) -> None:
        leaves = [leaf for secret in secrets for leaf in _leaves(secret)]
        self._whole = {leaf for leaf in leaves if leaf not in ("", None, True, False)}
        texts = {str(leaf) for leaf in self._whole if len(str(leaf)) >= _SHORTEST_PART}
        # Longest first: where one secret is part of another, what is left of the longer one must not stay.
        self._parts = sorted({form for text in texts for form in _forms(text)}, key=len, reverse=True)

    def apply(self, value: Any) -> Any:
        """A copy of `value` without secrets; `value` itself where it holds none."""
        if not self._whole:
            return value
        return self._walk(value)

    def text(self, text: str) -> str:
        """`text` without secrets."""
        if text in self._whole:
            return SANITIZED
        for part in self._parts:
            if part in text:
                text = text.replace(part, SANITIZED)
        return text

    def _walk(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            items = [self._walk(item) for item in value]
            return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
        if isinstance(value, dict):
            members = {self.text(name): self._walk(item) for name, item in value.items()}
            same = list(members) == list(value) and all(members[name] is value[name] for name in value)
            return value if same else members
        if isinstance(value, int | float) and not isinstance(value, bool) and value in self._whole:
            return SANITIZED
        return value


def _leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _forms(text: str) -> set[str]:
    """A secret as it is and as requests carry it: percent-encoded, base64, escaped in JSON."""
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return {text, uri_component(text), encoded, escaped}
