"""What one query sees: tables of several workspaces as one, or only the rows about one resource.

Each workspace is a DuckDB file of its own, so that none can reach another. Rows of the others are copied, for the time of
the query, into temporary tables of the cursor that runs it: only the columns that the query reads, only of its window.
Source: https://learn.microsoft.com/azure/azure-monitor/logs/cross-workspace-query and .../logs/manage-access (resource
context: the rows whose `_ResourceId` is the resource's, or that of something in it).
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from sqlglot import exp

from lurewire.kql import Diagnostic, KqlError
from lurewire.schemas import RESOURCE, builtin_schema
from lurewire.workspace.catalog import TIME, StoredColumn, StoredTable, in_order
from lurewire.workspace.storage import HIDDEN, STORAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lurewire.core.resources import ResourceId
    from lurewire.kql import Catalog, CompiledQuery, KqlType, SavedFunction, Table
    from lurewire.workspace.catalog import Tables
    from lurewire.workspace.engine import Engine


_COPIED_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Origin:
    """A workspace that rows come from; `engine` is None for the one on whose cursor the query runs."""

    tables: Tables
    engine: Engine | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """One workspace's share of a table; `columns` has the stored name of each column that it has."""

    origin: Origin
    stored: StoredTable
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Made:
    """A table of the view and the stored tables that it is made of; `shown` is what compiled queries call it."""

    shown: str
    table: StoredTable
    parts: tuple[_Part, ...]

    def for_kql(self) -> Table:
        return replace(self.table.for_kql(), name=self.shown)


class ResourceView:
    """A catalogue of the rows about `under` and what is in it, over some workspaces; for one query.

    At most `most_copied` bytes of other workspaces' rows are brought to the one that runs the query; beyond its memory they
    are on its disk.

    It has tables and nothing else: functions, watchlists and files belong to a workspace, not to a resource.
    """

    def __init__(self, origins: Sequence[Origin], under: ResourceId | None, most_copied: int) -> None:
        self._origins = tuple(origins)
        self._under = under
        self._most_copied = most_copied
        self._copied: Counter[str] = Counter()
        self._made: dict[str, _Made] = {}
        self._foreign: Any = None
        self._lock = threading.Lock()

    def table(self, name: str) -> Table | None:
        """The table of that exact name in any of the workspaces."""
        made = self._made.get(name) or self._make(name)
        return None if made is None else made.for_kql()

    def table_names(self) -> Iterable[str]:
        """All names that a query may use."""
        return sorted({name for origin in self._origins for name in origin.tables.table_names()})

    def wildcard_names(self) -> Iterable[str]:
        """The tables that exist in any of the workspaces."""
        return sorted({name for origin in self._origins for name in origin.tables.wildcard_names()})

    def named(self) -> frozenset[str]:
        """What compiled queries call the tables that the query has named so far."""
        return frozenset(self._made)

    def sources(self, read: frozenset[str]) -> Iterator[tuple[Tables, str]]:
        """(workspace, table) of those of them that are `read`."""
        for shown, made in self._made.items():
            if shown in read:
                for part in made.parts:
                    yield part.origin.tables, part.stored.name

    def prepare(self, cursor: Any, compiled: CompiledQuery, parameters: Mapping[str, int]) -> None:
        """Make the relations that a compiled query reads, on its own cursor, whose end is theirs.

        Raises `KqlError` where other workspaces have more of them than may be copied, and `duckdb.Error`.
        """
        held = (one for _, one in compiled.held)
        text = "\n".join(one.sql for one in (compiled, *compiled.further, *held))
        for made in self._made.values():
            relation = made.table.relation
            if re.search(rf"\b{relation}\b", text) is None:
                continue
            named = set(re.findall(rf"\b{relation}c\d+\b", text))
            columns = [column for column in made.table.columns if column.sql in named]
            selects = [
                self._select(cursor, part, f"{relation}r{place}", columns, parameters)
                for place, part in enumerate(made.parts)
            ]
            cursor.execute(f"create or replace temp view {relation} as {' union all '.join(selects)}")

    def interrupt(self) -> None:
        """Stop the copying of another workspace's rows, which an interrupt of the query's own cursor does not reach."""
        with self._lock:
            if self._foreign is not None:
                self._foreign.interrupt()

    def _make(self, name: str) -> _Made | None:
        return self._make_of(self._origins, name, name)

    def _make_of(self, origins: Sequence[Origin], name: str, shown: str) -> _Made | None:
        """The table `name` of some workspaces, as `shown`."""
        found = [(origin, origin.tables.existing(name)) for origin in origins]
        shares = [(origin, stored) for origin, stored in found if stored is not None]
        if not shares:
            home = origins[0]
            stored = home.tables.find(name) if builtin_schema(name) is not None else None
            if stored is None:
                return None
            shares = [(home, stored)]
        made = self._made[shown] = _join(name, shown, f"x{len(self._made)}", shares)
        return made

    def _select(
        self, cursor: Any, part: _Part, copy: str, columns: Sequence[StoredColumn], parameters: Mapping[str, int]
    ) -> str:
        """The statement for the rows of one workspace; those of another are brought here first, as `copy`."""
        values = [f"{part.columns.get(column.sql) or _absent(column)} as {column.sql}" for column in columns]
        where = list(self._conditions(part.stored))
        if part.origin.engine is None:
            return _statement([*values, *HIDDEN], part.stored.relation, where)
        if "t_from" in parameters:
            time = part.stored.column(TIME)
            assert time is not None
            where.append(f"{time.sql} > {parameters['t_from']:d} and {time.sql} <= {parameters['t_to']:d}")
        statement = _statement([*values, *HIDDEN], part.stored.relation, where)
        foreign = part.origin.engine.cursor()
        with self._lock:
            self._foreign = foreign
        try:
            reader = foreign.sql(statement).to_arrow_reader(_COPIED_ROWS)
            rows = pa.RecordBatchReader.from_batches(reader.schema, self._counted(copy, reader))
            cursor.register(f"{copy}_rows", rows)
            cursor.execute(f"create or replace temp table {copy} as select * from {copy}_rows")  # noqa: S608 - generated names
            cursor.unregister(f"{copy}_rows")
        except duckdb.Error:
            if self._copied.total() > self._most_copied:
                raise _too_much(part.stored.name, self._most_copied) from None
            raise
        finally:
            with self._lock:
                self._foreign = None
            foreign.close()
        return f"select * from {copy}"  # noqa: S608 - a generated name

    def _counted(self, copy: str, reader: Any) -> Iterator[Any]:
        self._copied[copy] = 0
        for batch in reader:
            self._copied[copy] += batch.nbytes
            if self._copied.total() > self._most_copied:
                raise OverflowError("too much is copied")
            yield batch

    def _conditions(self, stored: StoredTable) -> Iterator[str]:
        if self._under is None:
            return
        column = stored.column(RESOURCE.name)
        assert column is not None
        same, inside = (exp.Literal.string(text).sql("duckdb") for text in (self._under.key, self._under.key + "/"))
        yield f"(lower({column.sql}) = {same} or starts_with(lower({column.sql}), {inside}))"


class WorkspacesView(ResourceView):
    """A catalogue over several workspaces: tables of one name are one; functions and watchlists are the first's.

    `reach` gives the workspace that workspace('...') means, or None where there is none; it raises where the caller has no
    right to it. Of several workspaces none has `own_names`: the first's are reached like any other's.
    """

    def __init__(self, origins: Sequence[Origin], reach: Callable[[str], Origin | None], most_copied: int) -> None:
        super().__init__(origins, None, most_copied)
        self._home = origins[0].tables
        self._reach = reach
        self.own_names = self._home.own_names if len(origins) == 1 else frozenset[str]()

    def other_workspace(self, name: str) -> Catalog | None:
        """The tables of one workspace alone."""
        origin = self._reach(name)
        return None if origin is None else _Reached(self, origin, name)

    def of_one(self, origin: Origin, name: str, shown: str) -> Table | None:
        """The table of that exact name in one workspace, which compiled queries call `shown`."""
        made = self._made.get(shown) or self._make_of((origin,), name, shown)
        return None if made is None else made.for_kql()

    def function(self, name: str) -> SavedFunction | None:
        """The saved function of that exact name, or None."""
        return self._home.function(name)

    def function_names(self) -> Iterable[str]:
        """The names of all saved functions."""
        return self._home.function_names()

    def watchlist(self, alias: str) -> Table | None:
        """The watchlist of that alias."""
        return self._home.watchlist(alias)

    def watchlist_aliases(self) -> Iterable[str]:
        """The aliases of the watchlists that somebody made."""
        return self._home.watchlist_aliases()

    def allows_external(self, location: str) -> bool:
        """Whether externaldata may read a location."""
        return self._home.allows_external(location)


class _Reached:
    """The tables and functions of one workspace that a query of another names."""

    def __init__(self, view: WorkspacesView, origin: Origin, name: str) -> None:
        self._view = view
        self._origin = origin
        self._name = name
        self.own_names = origin.tables.own_names | {name}

    def table(self, name: str) -> Table | None:
        """The table of that exact name."""
        return self._view.of_one(self._origin, name, f"workspace('{self._name}').{name}")

    def table_names(self) -> Iterable[str]:
        """All names that a query may use."""
        return self._origin.tables.table_names()

    def wildcard_names(self) -> Iterable[str]:
        """The tables that a wildcard in one of its functions stands for."""
        return self._origin.tables.wildcard_names()

    def function(self, name: str) -> SavedFunction | None:
        """The saved function of that exact name, or None."""
        return self._origin.tables.function(name)

    def function_names(self) -> Iterable[str]:
        """The names of all saved functions."""
        return self._origin.tables.function_names()

    def other_workspace(self, name: str) -> Catalog | None:
        """What workspace('...') means in one of its functions: what it means in the query, with the caller's rights."""
        return self._view.other_workspace(name)

    def allows_external(self, location: str) -> bool:
        """Whether externaldata in one of its functions may read a location."""
        return self._origin.tables.allows_external(location)


def _too_much(table: str, most: int) -> KqlError:
    message = (
        f"the rows that the query reads in other workspaces are more than {most} bytes, reached at their table '{table}': "
        "bound its time, or query that workspace itself"
    )
    return KqlError([Diagnostic("limit", "LW0003", message, 1, 1)])


def _join(name: str, shown_as: str, relation: str, shares: Sequence[tuple[Origin, StoredTable]]) -> _Made:
    """The table whose columns are those of all its shares.

    One name with two types is two columns, `name_type`, as union does it (https://learn.microsoft.com/kusto/query/union-operator).
    """
    shown = _shown_names(shares)
    columns: dict[str, StoredColumn] = {}
    parts = []
    for origin, stored in shares:
        own = {}
        for column in stored.columns:
            label = shown[column.name, column.type]
            joined = columns.setdefault(label, StoredColumn(label, column.type, f"{relation}c{len(columns)}"))
            own[joined.sql] = column.sql
        parts.append(_Part(origin, stored, own))
    return _Made(shown_as, StoredTable(name, relation, in_order(columns), len(columns)), tuple(parts))


def _shown_names(shares: Sequence[tuple[Origin, StoredTable]]) -> dict[tuple[str, KqlType], str]:
    """What a column of that name and type is called: a name of its own, also where some column is called `name_type`."""
    every = sorted({(column.name, column.type) for _, stored in shares for column in stored.columns})
    counts = Counter(name for name, _ in every)
    taken = set(counts)
    shown = {}
    for name, kind in every:
        label = name
        if counts[name] > 1:
            label = f"{name}_{kind}"
            while label in taken:
                label += "_1"
            taken.add(label)
        shown[name, kind] = label
    return shown


def _absent(column: StoredColumn) -> str:
    """The value where a share has no such column: null, or an empty string."""
    storage = STORAGE[column.type]
    return storage.default or f"null::{storage.sql}"


def _statement(values: Sequence[str], relation: str, where: Sequence[str]) -> str:
    condition = f" where {' and '.join(where)}" if where else ""
    return f"select {', '.join(values)} from {relation}{condition}"  # noqa: S608 - generated names and quoted literals
