"""The workspace's tables: KQL names here, generated names (t1, c0, ...) in SQL.

DuckDB compares identifiers without case and KQL does not; and names come from outside. So no KQL name is ever part of a
statement. The catalogue is a table of the same DuckDB file: it changes in one transaction with what it describes.
"""

from __future__ import annotations

import contextlib
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from lurewire.kql import Column, HiddenColumn, KqlType, SavedFunction, Table
from lurewire.schemas import (
    RESOURCE,
    builtin_names,
    builtin_schema,
    hidden_columns,
    shows_resource,
    standard_watchlist,
)
from lurewire.workspace.external import Places
from lurewire.workspace.storage import HIDDEN_SQL, STORAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lurewire.workspace.engine import Engine

TIME = "TimeGenerated"
LEADING = ("TenantId", TIME)
"""Columns that every table starts with: the workspace's GUID and the record's time."""
TRAILING = ("Type", "_ResourceId")
"""Columns that every table ends with: its own name and the Azure resource that the record is about."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
_COLUMN_NAME = re.compile(r'[^"\\]{1,128}')


class SchemaConflict(Exception):
    """A column exists with another type, or a name cannot be a table's or a column's."""


class StoredColumn(msgspec.Struct, frozen=True):
    """A column: `sql` is its generated name; `constant` ones have one value for the table and take no space."""

    name: str
    type: KqlType
    sql: str
    constant: bool = False


class StoredTable(msgspec.Struct, frozen=True):
    """A table as the catalogue has it; `columns` in the order in which a query shows them, `width` counts all c-names."""

    name: str
    relation: str
    columns: tuple[StoredColumn, ...]
    width: int

    def column(self, name: str) -> StoredColumn | None:
        """The column of that exact name."""
        return next((c for c in self.columns if c.name == name), None)

    def for_kql(self) -> Table:
        """The table as the KQL room sees it."""
        shown = [c for c in self.columns if c.name != RESOURCE.name or shows_resource(self.name)]
        return Table(
            name=self.name,
            columns=tuple(Column(c.name, c.type) for c in shown),
            relation=self.relation,
            physical=tuple(c.sql for c in shown),
            identity=("_commit", "_ordinal"),
            time_column=TIME,
            hidden=hidden_of(self),
            received="_received",
        )


def hidden_of(table: StoredTable) -> tuple[HiddenColumn, ...]:
    """What a query finds of every record by name alone.

    A record's id is made of its place in the journal. `_ResourceId` is among the table's columns where that shows it.
    """
    resource = table.column(RESOURCE.name)
    return (
        *(() if resource is None else (HiddenColumn(RESOURCE.name, RESOURCE.type, sql=resource.sql),)),
        HiddenColumn("_TimeReceived", KqlType.DATETIME, sql="_received"),
        HiddenColumn("_ItemId", KqlType.STRING, expression="strcat(_commit, '-', _ordinal)"),
        *hidden_columns(table.name, [column.name for column in table.columns]),
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """A change of schema that is ready to run: statements, and the table as it will be."""

    statements: tuple[str, ...]
    table: StoredTable


class Tables:
    """The catalogue of one workspace; implements the KQL room's `Catalog`.

    Azure's built-in tables are created when they are first named. Lookups are safe from any thread.
    """

    def __init__(self, engine: Engine, customer_id: str) -> None:
        self._engine = engine
        self._customer_id = customer_id
        self._tables: dict[str, StoredTable] = {}
        self._kql: dict[str, Table] = {}
        self._functions: dict[str, tuple[str, SavedFunction]] = {}
        self._watchlists: dict[str, Table] = {}
        self._lock = threading.RLock()
        self.version = 0
        """Rises with every change of a schema or function: the key of whatever is compiled against it."""
        self.own_names: frozenset[str] = frozenset((customer_id,))
        """What workspace('...') calls this workspace by."""
        self.places = Places()
        """Where externaldata may read."""

    def load(self) -> None:
        """Read the catalogue from the engine."""
        cursor = self._engine.cursor()
        try:
            documents = cursor.execute("select document from lw.tables").fetchall()
        finally:
            cursor.close()
        for (document,) in documents:
            self._remember(msgspec.json.decode(document, type=StoredTable))

    def table(self, name: str) -> Table | None:
        """The table as the KQL room sees it, or None."""
        found = self._kql.get(name)
        if found is None and self.find(name) is not None:
            found = self._kql[name]
        return found

    def table_names(self) -> Iterable[str]:
        """All names that a query may use."""
        return sorted({*self._tables, *builtin_names()})

    def wildcard_names(self) -> Iterable[str]:
        """The tables that exist: those of Azure that nothing ever wrote to or named hold no rows."""
        return sorted(self._tables)

    def function(self, name: str) -> SavedFunction | None:
        """The saved function of that exact name, or None."""
        found = self._functions.get(name)
        return None if found is None else found[1]

    def function_names(self) -> Iterable[str]:
        """The names of all saved functions."""
        return sorted(self._functions)

    def check_function(self, key: str, function: SavedFunction) -> None:
        """Raises `SchemaConflict` where another saved search than `key`, or a table, has the function's name."""
        if self._functions.get(function.name, (key,))[0] != key:
            raise SchemaConflict(f"there is a function named '{function.name[:80]}' already")
        if function.name in self._tables or builtin_schema(function.name) is not None:
            raise SchemaConflict(f"there is a table named '{function.name[:80]}'")

    def save_function(self, key: str, function: SavedFunction | None) -> None:
        """Put the function of the saved search `key` in place; None takes it away. Raises as `check_function` does."""
        with self._lock:
            if function is not None:
                self.check_function(key, function)
            self._functions = {name: kept for name, kept in self._functions.items() if kept[0] != key}
            if function is not None:
                self._functions[function.name] = key, function
            self.version += 1

    def watchlist(self, alias: str) -> Table | None:
        """The watchlist of that alias: its columns beside `_DTItemId`, `LastUpdatedTimeUTC` and `SearchKey`.

        Those that ASIM's parsers look for, whether or not anyone made them, are empty where nobody did.
        """
        found = self._watchlists.get(alias)
        if found is not None:
            return found
        columns = standard_watchlist(alias)
        if columns is None:
            return None
        physical = tuple("moment" if column.type is KqlType.DATETIME else "value" for column in columns)
        return Table(alias, columns, "lw.no_watchlist", physical, time_column=None)

    def watchlist_aliases(self) -> Iterable[str]:
        """The aliases of the watchlists that somebody made."""
        return sorted(self._watchlists)

    def is_watchlist(self, name: str) -> bool:
        """Whether what a query calls so are the items of a watchlist."""
        return any(table.name == name for table in self._watchlists.values())

    def share_watchlist(self, alias: str, table: Table | None) -> None:
        """Make a relation the watchlist of an alias, or with None take the alias away."""
        with self._lock:
            kept = {name: other for name, other in self._watchlists.items() if name != alias}
            self._watchlists = kept if table is None else kept | {alias: table}
            self.version += 1

    def allows_external(self, location: str) -> bool:
        """Whether externaldata may read a location."""
        return self.places.allows(location)

    def stored(self) -> list[StoredTable]:
        """The tables that exist, by name."""
        return sorted(self._tables.values(), key=lambda t: t.name)

    def find(self, name: str) -> StoredTable | None:
        """The table of that exact name; a built-in one is created here if this is its first use."""
        found = self._tables.get(name)
        if found is not None:
            return found
        schema = builtin_schema(name)
        return None if schema is None else self.create(name, schema)

    def existing(self, name: str) -> StoredTable | None:
        """The table of that exact name, if it exists already."""
        return self._tables.get(name)

    def create(self, name: str, columns: Sequence[Column]) -> StoredTable:
        """Create a table, unless it exists. Raises `SchemaConflict`."""
        with self._lock:
            found = self._tables.get(name)
            if found is not None:
                return found
            cursor = self._engine.cursor()
            try:
                plan = self._plan_new(cursor, name, columns)
                self._run(cursor, plan)
            finally:
                cursor.close()
            return plan.table

    def plan_columns(self, name: str, columns: Sequence[Column]) -> Plan:
        """The change that gives an existing table exactly `columns` beside its standard ones.

        A column that is not named any more leaves the catalogue and keeps its space; new ones are added without a
        rewrite. Raises `SchemaConflict` for another type of a column, or where the table is not there.
        """
        table = self._tables.get(name)
        if table is None:
            raise SchemaConflict(f"there is no table '{name[:80]}'")
        wanted = _own(columns)
        statements, kept, width = [], {}, table.width
        for column in wanted:
            existing = table.column(column.name)
            if existing is not None and existing.type is not column.type:
                message = f"column '{column.name}' of '{name}' is {existing.type}; it cannot become {column.type}"
                raise SchemaConflict(message)
            if existing is None:
                existing = StoredColumn(column.name, column.type, f"c{width}")
                width += 1
                statements.append(f"alter table {table.relation} add column {_definition(existing)}")
            kept[column.name] = existing
        standard = {c.name: c for c in table.columns if c.name in (*LEADING, *TRAILING)}
        stored = StoredTable(name, table.relation, in_order(kept | standard), width)
        return Plan(tuple(statements), stored)

    def change(self, cursor: Any, name: str, columns: Sequence[Column]) -> StoredTable:
        """Carry out `plan_columns`; on the loader's thread, so that no load meets half of it."""
        plan = self.plan_columns(name, columns)
        if plan.table != self._tables[name]:
            self._run(cursor, plan)
        return plan.table

    def drop(self, cursor: Any, name: str) -> None:
        """Drop a table with its rows, on the loader's thread; nothing happens where there is none."""
        table = self._tables.get(name)
        if table is None:
            return
        with _transaction(cursor):
            cursor.execute("delete from lw.tables where relation = ?", [table.relation])
            cursor.execute(f"drop table {table.relation}")
        with self._lock:
            del self._tables[name], self._kql[name]
            self.version += 1

    def clear(self, cursor: Any, name: str) -> None:
        """Delete the rows of a table, on the loader's thread."""
        cursor.execute(f"delete from {self._tables[name].relation}")  # noqa: S608 - the name is ours: t and a number

    def _run(self, cursor: Any, plan: Plan) -> None:
        """Run a plan in one transaction, then show the table as it made it."""
        document = msgspec.json.encode(plan.table).decode()
        with _transaction(cursor):
            for statement in plan.statements:
                cursor.execute(statement)
            cursor.execute("delete from lw.tables where relation = ?", [plan.table.relation])
            cursor.execute("insert into lw.tables values (?, ?, ?)", [plan.table.relation, plan.table.name, document])
        self._remember(plan.table)

    def _plan_new(self, cursor: Any, name: str, columns: Sequence[Column]) -> Plan:
        if not _NAME.fullmatch(name):
            raise SchemaConflict(f"'{name[:80]}' cannot be the name of a table")
        (number,) = cursor.execute("select nextval('lw.relations')").fetchone()
        relation = f"t{number}"
        constants = {"TenantId": self._customer_id, "Type": name}
        stored = {n: StoredColumn(n, KqlType.STRING, f"k{i}", constant=True) for i, n in enumerate(constants)}
        own = [Column(TIME, KqlType.DATETIME), *_own(columns), Column("_ResourceId", KqlType.STRING)]
        for i, column in enumerate(own):
            stored[column.name] = StoredColumn(column.name, column.type, f"c{i}")
        table = StoredTable(name, relation, in_order(stored), len(own))
        parts = [_definition(c) for c in table.columns if not c.constant]
        parts += [_constant(c, constants[c.name]) for c in table.columns if c.constant]
        return Plan((f"create table {relation}({', '.join(parts)}, {HIDDEN_SQL})",), table)

    def _remember(self, table: StoredTable) -> None:
        with self._lock:
            self._kql[table.name] = table.for_kql()
            self._tables[table.name] = table
            self.version += 1


@contextlib.contextmanager
def _transaction(cursor: Any) -> Iterator[None]:
    cursor.execute("begin")
    try:
        yield
        cursor.execute("commit")
    except BaseException:
        with contextlib.suppress(duckdb.Error):  # the first error tells more
            cursor.execute("rollback")
        raise


def _own(columns: Sequence[Column]) -> list[Column]:
    """The columns that are not standard, checked."""
    seen: set[str] = set()
    for column in columns:
        if not _COLUMN_NAME.fullmatch(column.name) or not column.name.isprintable():
            raise SchemaConflict(f"'{column.name[:80]}' cannot be the name of a column")
        if column.name in seen:
            raise SchemaConflict(f"column '{column.name}' is declared twice")
        if column.type not in STORAGE:
            raise SchemaConflict(f"column '{column.name}': a table cannot have the type {column.type}")
        seen.add(column.name)
    return [c for c in columns if c.name not in (*LEADING, *TRAILING)]


def in_order(columns: dict[str, StoredColumn]) -> tuple[StoredColumn, ...]:
    """The columns of a table by name, as a query shows them: standard ones first and last."""
    own = [c for n, c in columns.items() if n not in (*LEADING, *TRAILING)]
    return (*(columns[n] for n in LEADING), *own, *(columns[n] for n in TRAILING))


def _definition(column: StoredColumn) -> str:
    storage = STORAGE[column.type]
    default = f" default {storage.default}" if storage.default else ""
    return f"{column.sql} {storage.sql}{default}"


def _constant(column: StoredColumn, value: str) -> str:
    """A column that is computed, not stored; `value` is a checked table name or the workspace's GUID."""
    assert _NAME.fullmatch(value)
    return f"{column.sql} varchar generated always as ('{value}') virtual"
