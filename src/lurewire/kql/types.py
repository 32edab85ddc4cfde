"""KQL types, and what a query needs to know of the tables it reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


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
class HiddenColumn:
    """A column that is in no result unless the query names it, as `_TimeReceived` and `_BilledSize` in Azure.

    It is the SQL column `sql`, or where that is empty the value of `expression`: KQL over the table's columns, its hidden
    SQL columns, and its identity under the SQL names.
    """

    name: str
    type: KqlType
    sql: str = ""
    expression: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that a query may read.

    `relation` is the SQL name of the relation and `physical` its SQL column names, in the order of `columns`.
    `identity` names hidden columns that say which row it is; `time_column` is the KQL name of the datetime column
    that a query window applies to. `received` is the SQL column, in ticks, that ingestion_time() reads.
    """

    name: str
    columns: tuple[Column, ...]
    relation: str
    physical: tuple[str, ...]
    identity: tuple[str, ...] = ()
    time_column: str | None = "TimeGenerated"
    hidden: tuple[HiddenColumn, ...] = ()
    received: str | None = None

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.physical):
            raise ValueError(f"table {self.name}: {len(self.columns)} columns, {len(self.physical)} physical names")


class Catalog(Protocol):
    """What the caller knows of its tables."""

    def table(self, name: str) -> Table | None:
        """The table of that exact name, or None."""

    def table_names(self) -> Iterable[str]:
        """All table names, for the hint at the nearest known one."""


# What a catalogue may offer beside its tables. A query that needs what its catalogue does not offer is refused by name.


@dataclass(frozen=True, slots=True)
class SavedFunction:
    """A function that is stored, not declared by the query: `parameters` and `body` are KQL.

    `parameters` is written as in a let statement, without the parentheses: `a: long, b: string = "x", T: (*)`.
    """

    name: str
    parameters: str
    body: str


@runtime_checkable
class FunctionCatalog(Protocol):
    """A catalogue with saved functions."""

    def function(self, name: str) -> SavedFunction | None:
        """The function of that exact name, or None."""

    def function_names(self) -> Iterable[str]:
        """The names of all functions, for the hint at the nearest known one."""


@runtime_checkable
class WildcardCatalog(Protocol):
    """A catalogue whose wildcards do not stand for all its tables: tables that nothing ever wrote to hold no rows."""

    def wildcard_names(self) -> Iterable[str]:
        """The names of the tables that `*` in union, search and find stands for."""


@runtime_checkable
class WatchlistCatalog(Protocol):
    """A catalogue with watchlists (https://learn.microsoft.com/azure/sentinel/watchlists-queries)."""

    def watchlist(self, alias: str) -> Table | None:
        """A watchlist's rows, its own columns beside `_DTItemId`, `LastUpdatedTimeUTC` and `SearchKey`; or None."""

    def watchlist_aliases(self) -> Iterable[str]:
        """The aliases of all watchlists."""


@runtime_checkable
class ExternalCatalog(Protocol):
    """A catalogue that allows externaldata from some places."""

    def allows_external(self, location: str) -> bool:
        """Whether the caller reads that location: what nobody allows is refused by name."""


@dataclass(frozen=True, slots=True)
class QueryPrincipal:
    """Who runs a query: `kind` is aaduser, aadapp or aadgroup, `groups` are the object ids of the groups it is in."""

    kind: Literal["aaduser", "aadapp", "aadgroup"]
    object_id: str
    tenant_id: str
    name: str
    groups: frozenset[str] = frozenset()

    @property
    def name_in_full(self) -> str:
        """`aadapp=object id;tenant id`."""
        return f"{self.kind}={self.object_id};{self.tenant_id}"

    def answers_to(self, reference: str) -> bool:
        """Whether `kind=id or name[;tenant]` means this principal or one of its groups."""
        kind, _, rest = reference.partition("=")
        identifier, _, tenant = rest.partition(";")
        if tenant and tenant.lower() != self.tenant_id.lower():
            return False
        if kind.lower() == "aadgroup" and identifier.lower() in {group.lower() for group in self.groups}:
            return True
        own = {self.object_id.lower(), self.name.lower()}
        return kind.lower() == self.kind and identifier.lower() in own


@runtime_checkable
class PrincipalCatalog(Protocol):
    """A catalogue that knows for whom the query runs."""

    def principal(self) -> QueryPrincipal:
        """Who runs the query."""


@runtime_checkable
class WorkspaceCatalog(Protocol):
    """A catalogue that reaches the tables of other workspaces."""

    def other_workspace(self, name: str) -> Catalog | None:
        """The tables of the workspace that workspace('name') means, or None where there is none.

        Each has a `Table.name` that no table of this catalogue and of no further workspace has. What the method raises
        ends the compilation: that the caller has no right to the workspace, for one.
        """


class Tables:
    """A catalog over a fixed set of tables, and of saved functions if there are any.

    `allowed` says of a location whether externaldata may name it; without it none may be named.
    """

    def __init__(
        self,
        tables: Iterable[Table],
        functions: Iterable[SavedFunction] = (),
        *,
        allowed: Callable[[str], bool] | None = None,
    ) -> None:
        self._tables = {table.name: table for table in tables}
        self._functions = {function.name: function for function in functions}
        self._allowed = allowed

    def allows_external(self, location: str) -> bool:
        """Whether externaldata may name a location."""
        return self._allowed is not None and self._allowed(location)

    def table(self, name: str) -> Table | None:
        """The table of that exact name, or None."""
        return self._tables.get(name)

    def table_names(self) -> Iterable[str]:
        """All table names."""
        return self._tables

    def function(self, name: str) -> SavedFunction | None:
        """The function of that exact name, or None."""
        return self._functions.get(name)

    def function_names(self) -> Iterable[str]:
        """The names of all functions."""
        return self._functions
