"""KQL types, and what a query needs to know of the tables it reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class KqlType(StrEnum):
    """The ten scalar types of KQL (https://learn.microsoft.com/kusto/query/scalar-data-types/)."""

    BOOL = "bool"
    INT = "int"
    LONG = "long"
    REAL = "real"
    DECIMAL = "decimal"
    STRING = "string"
    DATETIME = "datetime"
    TIMESPAN = "timespan"
    GUID = "guid"
    DYNAMIC = "dynamic"


#: Every spelling of a type that KQL accepts in a schema or a typed literal.
TYPE_NAMES: dict[str, KqlType] = {
    "bool": KqlType.BOOL,
    "boolean": KqlType.BOOL,
    "int": KqlType.INT,
    "int32": KqlType.INT,
    "long": KqlType.LONG,
    "int64": KqlType.LONG,
    "real": KqlType.REAL,
    "double": KqlType.REAL,
    "decimal": KqlType.DECIMAL,
    "string": KqlType.STRING,
    "datetime": KqlType.DATETIME,
    "date": KqlType.DATETIME,
    "timespan": KqlType.TIMESPAN,
    "time": KqlType.TIMESPAN,
    "guid": KqlType.GUID,
    "uuid": KqlType.GUID,
    "uniqueid": KqlType.GUID,
    "dynamic": KqlType.DYNAMIC,
}

ALL_TYPES = frozenset(KqlType)
INTEGERS = frozenset({KqlType.INT, KqlType.LONG})
NUMBERS = INTEGERS | {KqlType.REAL, KqlType.DECIMAL}
#: Types whose values have an order, so that min(), max() and sort accept them.
ORDERED = ALL_TYPES - {KqlType.DYNAMIC}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or of a result; names are case-sensitive and may hold any character."""

    name: str
    type: KqlType


@dataclass(frozen=True, slots=True)
class Table:
    """A table that a query may read.

    `relation` is the SQL name of the relation and `physical` its SQL column names, in the order of `columns`.
    `identity` names hidden columns that say which row it is; `time_column` is the KQL name of the datetime column
    that a query window applies to.
    """

    name: str
    columns: tuple[Column, ...]
    relation: str
    physical: tuple[str, ...]
    identity: tuple[str, ...] = ()
    time_column: str | None = "TimeGenerated"

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.physical):
            raise ValueError(f"table {self.name}: {len(self.columns)} columns, {len(self.physical)} physical names")


class Catalog(Protocol):
    """What the caller knows of its tables."""

    def table(self, name: str) -> Table | None:
        """The table of that exact name, or None."""

    def table_names(self) -> Iterable[str]:
        """All table names, for the hint at the nearest known one."""


class Tables:
    """A catalog over a fixed set of tables."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self._tables = {table.name: table for table in tables}

    def table(self, name: str) -> Table | None:
        """The table of that exact name, or None."""
        return self._tables.get(name)

    def table_names(self) -> Iterable[str]:
        """All table names."""
        return self._tables
