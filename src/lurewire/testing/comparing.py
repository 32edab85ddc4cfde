"""Expected rows against those that came out: by type, not by spelling, and a difference that people can read."""

from __future__ import annotations

import decimal
import difflib
import json
import math
import uuid
from typing import TYPE_CHECKING, Any

from lurewire.kql import KqlType, json_value, nearest, ticks_from_text, timespan_from_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lurewire.kql import Column, Result

_DIGITS = 12


def row_difference(expected: Sequence[dict[str, Any]], result: Result, *, ordered: bool) -> str:
    """How the rows differ, empty where they do not.

    Compared are the columns that any expected row names; one that another row leaves out is null there.
    """
    names = list(dict.fromkeys(name for row in expected for name in row))
    places = {column.name: index for index, column in enumerate(result.columns)}
    for name in names:
        if name not in places:
            hint = nearest(name, places)
            return f"the result has no column '{name}'{f' ({hint})' if hint else ''}"
    columns = [result.columns[places[name]] for name in names]
    try:
        wanted = [_line(columns, [_typed(c, row.get(c.name)) for c in columns]) for row in expected]
    except ValueError as error:
        return str(error)
    found = [_line(columns, [row[places[name]] for name in names]) for row in result.rows]
    if not ordered:
        wanted, found = sorted(wanted), sorted(found)
    if wanted == found:
        return ""
    lines = difflib.unified_diff(wanted, found, "expected", "came out", lineterm="", n=1)
    return "\n".join(lines)


def _line(columns: Sequence[Column], values: Sequence[Any]) -> str:
    shown = {column.name: _shown(column.type, value) for column, value in zip(columns, values, strict=True)}
    return json.dumps(shown, ensure_ascii=False)


def _shown(kind: KqlType, value: Any) -> Any:
    if value is None:
        return "" if kind is KqlType.STRING else None
    if kind is KqlType.DYNAMIC:
        return _sorted(json.loads(value) if isinstance(value, str) else value)
    if kind is KqlType.REAL and math.isfinite(value):
        return float(f"{value:.{_DIGITS}g}")
    return json_value(kind, value)


def _sorted(value: Any) -> Any:
    """A dynamic value whose bags have their keys in order, which says nothing in KQL."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value


def _typed(column: Column, value: Any) -> Any:
    """An expected value as the engine has it; raises ValueError where it is none of the column's type."""
    if value is None:
        return None
    try:
        made = _TYPED[column.type](value)
    except (ValueError, TypeError, AttributeError, decimal.InvalidOperation):
        made = None
    if made is None:
        raise ValueError(f"expected rows: '{value}' is no {column.type}, which the column '{column.name}' is")
    return made


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


_TYPED: dict[KqlType, Callable[[Any], Any]] = {
    KqlType.BOOL: _bool,
    KqlType.INT: _whole,
    KqlType.LONG: _whole,
    KqlType.REAL: float,
    KqlType.DECIMAL: lambda value: decimal.Decimal(str(value)),
    KqlType.STRING: _text,
    KqlType.DATETIME: lambda value: ticks_from_text(str(value)),
    KqlType.TIMESPAN: lambda value: timespan_from_text(str(value)),
    KqlType.GUID: lambda value: uuid.UUID(str(value)),
    KqlType.DYNAMIC: json.dumps,
}
