"""Limits: declared once, with their source, and overridable by a setting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a service: its default `value` in `unit`, and the document that states it."""

    name: str
    value: int
    unit: str
    source: str


class Limits:
    """A room's limits by name, each with its default or the value that a setting gives it.

    Raises `KeyError` for a name that the room does not declare.
    """

    def __init__(self, declared: tuple[Limit, ...], overrides: dict[str, int] | None = None) -> None:
        self._declared = {limit.name: limit for limit in declared}
        self._values = {limit.name: limit.value for limit in declared}
        for name, value in (overrides or {}).items():
            if name in self._values:
                self._values[name] = value

    def __getitem__(self, name: str) -> int:
        return self._values[name]

    def declared(self, name: str) -> Limit:
        """The declaration of `name`: unit and source."""
        return self._declared[name]
