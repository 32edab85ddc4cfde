"""Records of the HTTP Data Collector API: from a property and its value to a column with a suffix.

Source: https://learn.microsoft.com/previous-versions/azure/azure-monitor/logs/data-collector-api#record-type-and-properties
and contract section C.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from lurewire.kql import Column, KqlType, ticks_from_text
from lurewire.schemas.infer import fitting_name

if TYPE_CHECKING:
    from collections.abc import Mapping

RESERVED = frozenset(("tenant", "timegenerated", "rawdata"))

_SUFFIXES = {
    KqlType.STRING: "_s",
    KqlType.BOOL: "_b",
    KqlType.REAL: "_d",
    KqlType.DATETIME: "_t",
    KqlType.GUID: "_g",
}
_LONGEST = 43  # with its suffix a name has 45 characters
_GUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s?(Z|[+-]\d\d:?\d\d)?)?")
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_BOOLS = {"true": True, "false": False}


class ReservedProperty(ValueError):
    """A record has a property that no record may have; the message names it."""


@dataclass(slots=True)
class Shaper:
    """Shapes records for a table whose columns are `known`, by name; `new` are those that it needs beside them.

    A table has `most` columns at most: properties beyond are `dropped`.
    """

    known: Mapping[str, KqlType]
    most: int
    new: dict[str, KqlType] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    _bases: dict[str, str] = field(default_factory=dict)

    @property
    def new_columns(self) -> list[Column]:
        """The columns to add."""
        return [Column(name, kind) for name, kind in self.new.items()]

    def shape(self, record: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
        """A record's columns with their values; null properties are left out. Raises `ReservedProperty`."""
        shaped = {}
        for name, raw in record.items():
            found = self._shaped(name, bytes(raw))
            if found is not None:
                shaped[found[0]] = found[1]
        return shaped

    def _shaped(self, name: str, raw: bytes) -> tuple[str, Any] | None:
        base = self._bases.get(name)
        if base is None:
            if name.lower() in RESERVED:
                raise ReservedProperty(name)
            base = self._bases[name] = fitting_name(name)[:_LONGEST]
        if raw == b"null":
            return None
        if raw[:1] in (b"{", b"["):
            return self._column(base, KqlType.STRING, raw.decode(errors="replace"))
        value = _value(raw)
        if isinstance(value, bool):
            return self._column(base, KqlType.BOOL, value)
        if not isinstance(value, str):
            return self._column(base, KqlType.REAL, value)
        kind = _kind_of(value)
        if base + _SUFFIXES[kind] not in self.known:
            for other, suffix in _SUFFIXES.items():
                converted = _as(value, other)
                if converted is not None and base + suffix in self.known:
                    return base + suffix, converted
        return self._column(base, kind, _as(value, kind))

    def _column(self, base: str, kind: KqlType, value: Any) -> tuple[str, Any] | None:
        name = base + _SUFFIXES[kind]
        if name not in self.known and name not in self.new:
            if len(self.known) + len(self.new) >= self.most:
                self.dropped.add(name)
                return None
            self.new[name] = kind
        return name, value


def _value(raw: bytes) -> str | float | bool:
    """The value of a JSON string, number or boolean; half of a surrogate pair becomes U+FFFD."""
    try:
        value = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        value = json.loads(raw, parse_int=float)
        if isinstance(value, str):
            value = value.encode(errors="replace").decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return float(raw)  # of the text: an integer that no double holds is infinite, and not an error
    return value  # type: ignore[no-any-return]


def _kind_of(text: str) -> KqlType:
    if _GUID.fullmatch(text):
        return KqlType.GUID
    return KqlType.DATETIME if _MOMENT.fullmatch(text) and ticks_from_text(text) is not None else KqlType.STRING


def _as(text: str, kind: KqlType) -> Any:
    """A text as a column of `kind` takes it, None where it does not."""
    if kind is KqlType.GUID:
        return str(uuid.UUID(text)) if _GUID.fullmatch(text) else None
    if kind is KqlType.DATETIME:
        return text if _MOMENT.fullmatch(text) and ticks_from_text(text) is not None else None
    if kind is KqlType.REAL:
        return float(text) if _NUMBER.fullmatch(text) else None
    return _BOOLS.get(text.lower()) if kind is KqlType.BOOL else text
