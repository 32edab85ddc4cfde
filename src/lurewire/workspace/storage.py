"""How KQL values are stored: one row per type.

datetime is ticks of 100 ns since 0001-01-01 (BIGINT), so that seven digits survive and zone maps still prune; dynamic is
compact JSON text; a string is never null (a null string is empty, as in KQL). A table's column is one of these types:
https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lurewire.kql import KqlType

HIDDEN = ("_commit", "_ordinal", "_received")
"""Every stored row's identity (journal frame, place in it) and its time of receipt in ticks; never in a result."""

HIDDEN_SQL = '"_commit" BIGINT NOT NULL, "_ordinal" INTEGER NOT NULL, "_received" BIGINT NOT NULL'


@dataclass(frozen=True, slots=True)
class Storage:
    """A type's SQL type, its Arrow type in a decoded batch, and the JSON type that a clean value has (for msgspec)."""

    sql: str
    arrow: Any
    json: Any
    default: str | None = None


STORAGE: dict[KqlType, Storage] = {
    KqlType.BOOL: Storage("BOOLEAN", pa.bool_(), bool | None),
    KqlType.INT: Storage("INTEGER", pa.int32(), int | None),
    KqlType.LONG: Storage("BIGINT", pa.int64(), int | None),
    KqlType.REAL: Storage("DOUBLE", pa.float64(), float | None),
    KqlType.STRING: Storage("VARCHAR", pa.string(), str | None, default="''"),
    KqlType.DATETIME: Storage("BIGINT", pa.int64(), str | None),
    KqlType.GUID: Storage("UUID", pa.uuid(), str | None),
    KqlType.DYNAMIC: Storage("VARCHAR", pa.string(), None),
}

WIDENS: frozenset[tuple[KqlType, KqlType]] = frozenset(
    {
        (KqlType.INT, KqlType.LONG),
        (KqlType.INT, KqlType.REAL),
        (KqlType.LONG, KqlType.REAL),
    }
)
"""(from, to) pairs whose values are kept when a stored table's column is wider than the transform's."""
