"""What a query may name: tables with their columns, saved functions, watchlists; from files, and Azure's own built in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lurewire.kql import TYPE_NAMES, Column, HiddenColumn, KqlType, SavedFunction, Table
from lurewire.schemas import (
    HIDDEN,
    known_names,
    known_schema,
    standard_watchlist,
    watchlist_columns,
    with_standard_columns,
)

from .containers import Unreadable, read_text
from .documents import MalformedDocument, read_documents
from .functions import functions_in
from .standard import columns_behind, published_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BUILTIN = "builtin"
"""The name of Azure's published schemas where a schema file could stand."""

_TABLE_TYPE = "microsoft.operationalinsights/workspaces/tables"
Schemas = dict[str, tuple[Column, ...]]


class UsageProblem(ValueError):
    """An option, or a file that an option names, which cannot be used."""


class KnownCatalog:
    """A catalogue of schemas without rows; `missing` collects the names of tables that were asked for and are not there."""

    def __init__(
        self,
        tables: Mapping[str, Sequence[Column]],
        functions: Iterable[SavedFunction] = (),
        watchlists: Mapping[str, Sequence[Column]] | None = None,
        *,
        builtin: bool = True,
        lookup: Callable[[str], Sequence[Column] | None] | None = None,
    ) -> None:
        self._given = dict(tables)
        self._functions = {function.name: function for function in functions}
        self._watchlists = dict(watchlists or {})
        self._builtin = builtin
        self._lookup = lookup
        self._made: dict[str, Table | None] = {}
        self._relations = 0
        self.missing: set[str] = set()

    def table(self, name: str) -> Table | None:
        """The table of that exact name: as given, else as `lookup` knows it, else as Azure publishes it."""
        if name in self._made:
            return self._made[name]
        columns = self._given.get(name)
        if columns is None and self._lookup is not None:
            columns = self._lookup(name)
        if columns is None and self._builtin:
            columns = _all_columns().get(name)
        if columns is not None:
            made = self._table(name, columns)
        else:
            published = published_columns(name) if self._builtin else None
            if published is None:
                self.missing.add(name)
                self._made[name] = None
                return None
            made = self._table(name, published)
        self._made[name] = made
        return made

    def _table(self, name: str, columns: Sequence[Column]) -> Table:
        names = {column.name for column in columns}
        behind = columns_behind(name, columns)
        self._relations += 1
        return Table(
            name,
            tuple(columns),
            f"known{self._relations}",
            tuple(f"c{index}" for index in range(len(columns))),
            time_column="TimeGenerated" if "TimeGenerated" in names else None,
            hidden=tuple(HiddenColumn(column.name, column.type, f"h{index}") for index, column in enumerate(behind)),
            received="r",
        )

    def table_names(self) -> Iterable[str]:
        """All table names."""
        return [*self._given, *(known_names() if self._builtin else ())]

    def wildcard_names(self) -> Iterable[str]:
        """The tables that `*` stands for: those that were given, and a few with the columns of all that Azure publishes."""
        return [*self._given, *(_all_columns() if self._builtin else ())]

    def function(self, name: str) -> SavedFunction | None:
        """The saved function of that exact name."""
        return self._functions.get(name)

    def function_names(self) -> Iterable[str]:
        """The names of all saved functions."""
        return self._functions

    def watchlist(self, alias: str) -> Table | None:
        """The columns of a watchlist: as given, or of one that ASIM's parsers look for in every workspace."""
        given = self._watchlists.get(alias)
        columns = standard_watchlist(alias) if given is None else watchlist_columns(given)
        if columns is None:
            self.missing.add(alias)
            return None
        return self._table(f"watchlist {alias}", columns)

    def watchlist_aliases(self) -> Iterable[str]:
        """The aliases of all watchlists."""
        return self._watchlists


@cache
def _all_columns() -> Mapping[str, tuple[Column, ...]]:
    """The columns of all published tables, in as few tables as one column of a name takes; no query can name these tables.

    A union of them has the columns that one of all the tables has, in a small part of the time.
    """
    types: dict[str, dict[KqlType, None]] = {}
    for name in known_names():
        for column in (*with_standard_columns(known_schema(name) or ()), *HIDDEN):
            types.setdefault(column.name, {})[column.type] = None
    tables: dict[str, list[Column]] = {}
    for name, kinds in types.items():
        for number, kind in enumerate(kinds):
            tables.setdefault(f"* {number}", []).append(Column(name, kind))
    return {name: tuple(columns) for name, columns in tables.items()}


# Files of schemas


def read_schemas(paths: Iterable[str | Path]) -> tuple[Schemas, dict[str, tuple[Column, ...]]]:
    """The tables, and the streams of data collection rules, that files and folders of schemas declare.

    Raises UsageProblem, which names the file.
    """
    tables: Schemas = {}
    streams: Schemas = {}
    for path in _files(paths):
        for document in _read(path):
            try:
                _declared(document, tables, streams, top=True)
            except ValueError as error:
                raise UsageProblem(f"{path}: {error}") from None
    return tables, streams


def _files(paths: Iterable[str | Path]) -> Iterator[Path]:
    for given in paths:
        path = Path(given)
        if path.is_dir():
            yield from sorted(found for found in path.rglob("*") if found.suffix.lower() in (".json", ".yaml", ".yml"))
        elif path.is_file():
            yield path
        else:
            raise UsageProblem(f"{path}: there is no such file or folder")


def _read(path: Path) -> list[Any]:
    try:
        return read_documents(read_text(path), path.suffix)
    except (Unreadable, MalformedDocument) as error:
        raise UsageProblem(f"{path}: {error}") from None


def _declared(node: Any, tables: Schemas, streams: Schemas, *, top: bool = False) -> None:
    """Reads every form of schema: a table resource, a rule's streams, a list of properties, or {table: {column: type}}."""
    if isinstance(node, list):
        for item in node:
            _declared(item, tables, streams)
        return
    if not isinstance(node, Mapping):
        return
    if isinstance(node.get("properties"), Mapping):
        _resource(node, node["properties"], tables, streams)
    elif isinstance(node.get("Properties"), list) and isinstance(node.get("Name"), str):
        columns = [{"name": one.get("Name"), "type": one.get("Type")} for one in node["Properties"]]
        tables[str(node["Name"])] = _columns(str(node["Name"]), columns)
    elif isinstance(node.get("resources"), list):
        _declared(node["resources"], tables, streams)
    elif top:
        for name, columns in node.items():
            tables[str(name)] = _columns(str(name), columns)


def _resource(node: Mapping[str, Any], properties: Mapping[str, Any], tables: Schemas, streams: Schemas) -> None:
    """Reads a resource: a table, a data collection rule, or what holds a template."""
    schema = properties.get("schema")
    if isinstance(schema, Mapping) and str(node.get("type", _TABLE_TYPE)).lower().endswith("/tables"):
        name = str(schema.get("name") or str(node.get("name", "")).rpartition("/")[2])
        tables[name] = with_standard_columns(_columns(name, schema.get("columns")))
    declared = properties.get("streamDeclarations")
    for stream, declaration in declared.items() if isinstance(declared, Mapping) else ():
        streams[stream] = _columns(stream, declaration.get("columns") if isinstance(declaration, Mapping) else None)
    _declared(properties.get("template") or properties.get("mainTemplate"), tables, streams)


def _columns(name: str, given: Any) -> tuple[Column, ...]:
    """Columns as {name: type} or [{name, type}]."""
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, list) and all(isinstance(one, Mapping) for one in given):
        pairs = [(one.get("name"), one.get("type")) for one in given]
    else:
        raise ValueError(f"table '{name}': its columns are written {{column: type}} or [{{name, type}}]")
    columns: dict[str, Column] = {}
    for column, kind in pairs:
        found = TYPE_NAMES.get(str(kind).lower())
        if found is None:
            raise ValueError(f"table '{name}', column '{column}': '{kind}' is no type of KQL")
        columns[str(column)] = Column(str(column), found)
    return tuple(columns.values())


# Files of functions


def read_functions(paths: Iterable[str | Path]) -> list[SavedFunction]:
    """The saved functions of files and folders; raises UsageProblem, which names the file."""
    found: dict[str, SavedFunction] = {}
    for given in paths:
        path = Path(given)
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        if not path.exists():
            raise UsageProblem(f"{path}: there is no such file or folder")
        for file in files:
            for function in _functions(file):
                found[function.name] = function
    return list(found.values())


def _functions(path: Path) -> Iterator[SavedFunction]:
    suffix = path.suffix.lower()
    if suffix in (".kql", ".csl", ".kusto") and path.is_file():
        try:
            yield SavedFunction(path.stem, "", read_text(path))
        except Unreadable as error:
            raise UsageProblem(f"{path}: {error}") from None
    elif suffix in (".json", ".yaml", ".yml") and path.is_file():
        documents = _read(path)
        try:
            yield from functions_in(documents)
        except ValueError as error:
            raise UsageProblem(f"{path}: {error}") from None


def read_watchlists(given: Iterable[str]) -> dict[str, tuple[Column, ...]]:
    """Watchlists written `alias=column,column:type`; a column without a type is a string. Raises UsageProblem."""
    found = {}
    for text in given:
        alias, equals, columns = text.partition("=")
        if not equals or not alias:
            raise UsageProblem(f"a watchlist is written alias=column,column:type, not '{text}'")
        pairs = [part.partition(":") for part in columns.split(",") if part.strip()]
        try:
            found[alias] = _columns(alias, {name.strip(): kind.strip() or "string" for name, _, kind in pairs})
        except ValueError as error:
            raise UsageProblem(f"watchlist: {error}") from None
    return found
