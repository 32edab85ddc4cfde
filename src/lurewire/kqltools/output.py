"""A result as text: a table for people, CSV, JSON and JSON lines for programs."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from lurewire.kql import KqlType, json_value

from .terminal import cut, inert, padded, width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lurewire.kql import Column, Result

_GAP = "  "
_NARROWEST = 6
_NUMBERS = frozenset({KqlType.INT, KqlType.LONG, KqlType.REAL, KqlType.DECIMAL})


def write_result(result: Result, kind: str, columns: int | None = None) -> str:
    """The result in one of the forms of `FORMATS`; a table takes at most `columns` cells of a line (None: as many as it needs)."""
    return FORMATS[kind](result, columns)


def _texts(result: Result) -> list[list[str]]:
    kinds = [column.type for column in result.columns]
    return [[_text(kind, value) for kind, value in zip(kinds, row, strict=True)] for row in result.rows]


def _text(kind: KqlType, value: Any) -> str:
    if kind is KqlType.BOOL and value is not None:
        return "true" if value else "false"
    encoded = json_value(kind, value)
    return "" if encoded is None else str(encoded)


def _values(result: Result) -> Iterator[dict[str, Any]]:
    for row in result.rows:
        yield {column.name: _value(column, value) for column, value in zip(result.columns, row, strict=True)}


def _value(column: Column, value: Any) -> Any:
    if column.type is KqlType.DYNAMIC and value is not None:
        return json.loads(value)
    return json_value(column.type, value)


def _csv(result: Result, _columns: int | None) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.name for column in result.columns])
    writer.writerows(_texts(result))
    return out.getvalue()


def _json(result: Result, _columns: int | None) -> str:
    return json.dumps(list(_values(result)), ensure_ascii=False, indent=2) + "\n"


def _json_lines(result: Result, _columns: int | None) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _values(result))


def _table(result: Result, columns: int | None) -> str:
    heads = [inert(column.name) for column in result.columns]
    rows = [[inert(text) for text in row] for row in _texts(result)]
    if not heads:
        return ""
    widths = [max(width(text) for text in texts) for texts in zip(heads, *rows, strict=True)]
    if columns is not None:
        widths = _fitted(widths, columns - len(_GAP) * (len(widths) - 1))
        if not widths:
            return _records(heads, rows, columns)
    right = [column.type in _NUMBERS for column in result.columns]
    lines = [_line(heads, widths, right), _GAP.join("-" * size for size in widths)]
    lines += [_line(row, widths, right) for row in rows]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _line(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = zip(texts, widths, right, strict=True)
    return _GAP.join(padded(cut(text, size), size, right=number) for text, size, number in parts)


def _fitted(widths: list[int], room: int) -> list[int]:
    """The widths, the widest made narrower until they fit; none where they cannot."""
    if sum(min(size, _NARROWEST) for size in widths) > room:
        return []
    low, high = _NARROWEST, max(widths)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(size, middle) for size in widths) <= room:
            low = middle
        else:
            high = middle - 1
    return [min(size, low) for size in widths]


def _records(heads: Sequence[str], rows: Sequence[Sequence[str]], columns: int) -> str:
    """Each row as lines of name and value, for a table that has more columns than a line has room for."""
    size = min(max(width(head) for head in heads), columns // 2)
    blocks = []
    for number, row in enumerate(rows, 1):
        lines = [f"-- row {number} of {len(rows)}"]
        lines += [
            f"{padded(cut(head, size), size)}{_GAP}{cut(text, max(columns - size - len(_GAP), _NARROWEST))}".rstrip()
            for head, text in zip(heads, row, strict=True)
        ]
        blocks.append("\n".join(lines))
    return "\n".join(blocks) + "\n" if blocks else f"{cut(', '.join(heads), columns)}\n(no rows)\n"


#: The forms of a result.
FORMATS: dict[str, Callable[[Result, int | None], str]] = {
    "table": _table,
    "csv": _csv,
    "json": _json,
    "ndjson": _json_lines,
}
