"""Secure values are kept out of everything that is stored, shown or logged of a deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHOWN_INSTEAD = "*******"
_SHORTEST_PART = 4
_SECURE = frozenset({"securestring", "secureobject"})


class Redactor:
    """Replaces secure values wherever they occur in a text, as they are or escaped as JSON or Python would.

    A value shorter than 4 characters is replaced only where the text is nothing else: within words it tells nothing.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        found = {text for value in values for text in texts(value) if text}
        self._whole = found
        escaped = {
            form for text in found for form in (text, msgspec.json.encode(text).decode()[1:-1], repr(text)[1:-1])
        }
        self._parts = sorted((t for t in escaped if len(t) >= _SHORTEST_PART), key=len, reverse=True)

    def __call__(self, value: Any) -> Any:
        """`value` with every secure text in it replaced."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self(item) for item in value]
        if isinstance(value, dict):
            return {self._text(name): self(item) for name, item in value.items()}
        return value

    def cost(self, value: Any) -> int:
        """How often a text is looked for in another one to redact `value`."""
        return len(self._parts) * _strings(value)

    def _text(self, text: str) -> str:
        if text in self._whole:
            return SHOWN_INSTEAD
        for part in self._parts:
            text = text.replace(part, SHOWN_INSTEAD)
        return text


def without_defaults(value: Any) -> Any:
    """A template without the default values of its secure parameters, those of templates and workflows in it too."""
    if isinstance(value, list):
        return [without_defaults(item) for item in value]
    if not isinstance(value, dict):
        return value
    is_secure = str(value.get("type", "")).lower() in _SECURE
    return {
        name: Redactor([child])(child) if is_secure and name == "defaultValue" else without_defaults(child)
        for name, child in value.items()
    }


def _strings(value: Any) -> int:
    """How many strings a value has, names of properties too."""
    if isinstance(value, list):
        return sum(map(_strings, value))
    if isinstance(value, dict):
        return len(value) + sum(map(_strings, value.values()))
    return int(isinstance(value, str))


def texts(value: Any) -> Iterator[str]:
    """The strings in a value, and its numbers as such."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
