"""Rows of a table as a file that `lurewire test` and `lurewire kql run` read."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lurewire.pull.client import Unreadable

if TYPE_CHECKING:
    from lurewire.pull.client import Source

_NAME = re.compile(r"\w{1,63}", re.ASCII)
_LEFT_OUT = frozenset({"TenantId", "Type"})


def sample_text(source: Source, workspace_id: str, table: str, rows: int) -> str:
    """The newest `rows` rows, a JSON array with one row a line. Raises `Unreadable`."""
    if not _NAME.fullmatch(table):
        raise Unreadable(0, f"'{table[:80]}' is no name of a table")
    columns, found = source.query(workspace_id, f"['{table}'] | sort by TimeGenerated desc | take {int(rows)}")
    lines = [
        json.dumps(
            {
                name: _plain(kind, value)
                for (name, kind), value in zip(columns, row, strict=False)
                if name not in _LEFT_OUT and value is not None
            },
            ensure_ascii=False,
        )
        for row in found
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _plain(kind: str, value: Any) -> Any:
    """A dynamic value comes as JSON text."""
    if kind != "dynamic" or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
