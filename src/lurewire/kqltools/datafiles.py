"""Files of rows as tables that a query reads: Parquet, CSV, TSV, JSON and JSON lines, each also in several files.

DuckDB reads the files where they lie; it may open those files and nothing else. A table's columns are those that a schema
declares, or what the file says: Parquet has types, and for text a type is inferred that every value of the column fits.
"""

from __future__ import annotations

import csv
import glob
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import duckdb
import pyarrow.parquet as pq

from lurewire.kql import Column, KqlType, Tables, define_table

from .catalog import UsageProblem
from .standard import columns_behind, empty_watchlist, published_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lurewire.kql import SavedFunction, Table

_MOST_OBJECT_BYTES = 64 * 1024 * 1024
_UTC = " [UTC]"  # the portal's export names its datetime columns so

_ISO = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d+)?)?\s*([Zz]|[+-]\d\d:?\d\d)?"
_US = r"\d{1,2}/\d{1,2}/\d{4},? \d{1,2}:\d\d(:\d\d(\.\d+)?)?( [AaPp][Mm])?"
#: What every text `x` of a column must match to be more than text, in the order of trial.
_TEXT_TYPES: tuple[tuple[KqlType, str], ...] = (
    (KqlType.BOOL, "regexp_full_match(x, '(?i)true|false')"),
    (KqlType.LONG, r"regexp_full_match(x, '-?(0|[1-9]\d{0,17})')"),
    (KqlType.REAL, r"regexp_full_match(x, '-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?')"),
    (KqlType.DATETIME, f"regexp_full_match(x, '{_ISO}|{_US}')"),
    (KqlType.DYNAMIC, r"regexp_matches(x, '^\s*[{\[]') AND json_valid(x)"),
)
_JSON_TYPES = {
    "BOOLEAN": KqlType.BOOL,
    "UBIGINT": KqlType.LONG,
    "BIGINT": KqlType.LONG,
    "DOUBLE": KqlType.REAL,
    "VARCHAR": KqlType.STRING,
    "NULL": KqlType.STRING,
}


@dataclass(frozen=True, slots=True)
class DataFiles:
    """A DuckDB whose only way out is to the given files, and the catalogue of their tables."""

    connection: duckdb.DuckDBPyConnection
    catalog: FileTables

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.connection.close()


class FileTables(Tables):
    """The tables of the files, and without rows the watchlists that ASIM's parsers look for in every workspace."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, tables: Sequence[Table], functions: Iterable[SavedFunction]
    ) -> None:
        super().__init__(tables, functions)
        self._connection = connection
        self._watchlists: dict[str, Table | None] = {}

    def watchlist(self, alias: str) -> Table | None:
        """The empty watchlist."""
        if alias not in self._watchlists:
            self._watchlists[alias] = empty_watchlist(self._connection, alias)
        return self._watchlists[alias]

    def watchlist_aliases(self) -> Iterable[str]:
        """None: nobody made any."""
        return ()


@dataclass(frozen=True, slots=True)
class _Staged:
    """A relation with columns c0, c1, ...; `inferred` are the types that the columns have where no schema says another."""

    relation: str
    stored: tuple[Column, ...]
    inferred: tuple[Column, ...]


def open_files(
    given: Sequence[str],
    schemas: Mapping[str, Sequence[Column]] | None = None,
    *,
    builtin: bool = False,
    functions: Iterable[SavedFunction] = (),
) -> DataFiles:
    """The tables written `Name=path`, where the path may be a pattern and a name may come again; raises UsageProblem.

    A table has the columns that `schemas` declares for it, or, with `builtin`, those that Azure publishes.
    """
    tables = _tables(given)
    connection = duckdb.connect(
        config={
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "python_enable_replacements": "false",
        }
    )
    paths = [str(path) for files in tables.values() for path in files]
    connection.execute("SET allowed_paths = $paths", {"paths": paths})
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    found = []
    for number, (name, files) in enumerate(tables.items()):
        try:
            staged = _READERS[_kind(files[0])](connection, files, number)
        except (duckdb.Error, OSError, ValueError) as error:
            raise UsageProblem(f"{files[0]}: {str(error).splitlines()[0]}") from error
        declared = (schemas or {}).get(name)
        if declared is None and builtin:
            declared = published_columns(name)
        columns = staged.inferred if declared is None else declared
        behind = () if declared is None else columns_behind(name, columns)
        found.append(define_table(connection, name, f"s{number}", staged.relation, staged.stored, columns, behind))
    return DataFiles(connection, FileTables(connection, found, functions))


def _tables(given: Sequence[str]) -> dict[str, list[Path]]:
    tables: dict[str, list[Path]] = {}
    for text in given:
        name, equals, pattern = text.partition("=")
        if not equals or not name or not pattern:
            raise UsageProblem(f"a table is written Name=path, not '{text}'")
        files = [Path(one).resolve() for one in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - absolute patterns too
        files = files or [path.resolve() for path in (Path(pattern),) if path.is_file()]
        if not files:
            raise UsageProblem(f"{pattern}: there is no such file")
        tables.setdefault(name, []).extend(files)
        for path in tables[name]:
            if _kind(path) != _kind(tables[name][0]):
                raise UsageProblem(f"{path}: the files of the table '{name}' are not of one kind")
    return tables


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else (suffixes or [""])[-1]
    if kind not in _READERS:
        raise UsageProblem(f"{path}: rows are read from {', '.join(_READERS)}, also with .gz")
    return kind


def _list(files: Sequence[Path]) -> str:
    return f"[{', '.join(_quoted(str(path)) for path in files)}]"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# Parquet


def _parquet(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], number: int) -> _Staged:
    names = [tuple(pq.read_schema(path).names) for path in files]
    source = f"read_parquet({_list(files)}{'' if len(set(names)) == 1 else ', union_by_name = true'})"
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608 - quoted paths
    # DuckDB renames columns whose names differ in case only; the file has the names as they are.
    found = names[0] if len(set(names)) == 1 else tuple(row[0] for row in described)
    columns, parts = [], []
    for index, (name, row) in enumerate(zip(found, described, strict=True)):
        kind, expression = _native(row[1], f"p{index}", name)
        columns.append(Column(name, kind))
        parts.append(f"{expression} AS c{index}")
    aliases = ", ".join(f"p{index}" for index in range(len(columns)))
    connection.execute(f"CREATE TEMP VIEW f{number} AS SELECT {', '.join(parts)} FROM {source} AS t({aliases})")  # noqa: S608 - the same
    return _Staged(f"f{number}", tuple(columns), tuple(columns))


_EPOCH_US = 62_135_596_800_000_000
_NATIVE: dict[str, tuple[KqlType, str]] = {
    "BOOLEAN": (KqlType.BOOL, "{0}"),
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT"), (KqlType.INT, "{0}::INTEGER")),
    **dict.fromkeys(("BIGINT", "UINTEGER", "UBIGINT", "HUGEINT"), (KqlType.LONG, "{0}::BIGINT")),
    **dict.fromkeys(("FLOAT", "DOUBLE"), (KqlType.REAL, "{0}::DOUBLE")),
    "VARCHAR": (KqlType.STRING, "coalesce({0}, '')"),
    **dict.fromkeys(
        ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS"),
        (KqlType.DATETIME, f"(epoch_us({{0}}) + {_EPOCH_US}) * 10"),
    ),
    "DATE": (KqlType.DATETIME, f"(epoch_us({{0}}::TIMESTAMP) + {_EPOCH_US}) * 10"),
    "TIMESTAMP_NS": (
        KqlType.DATETIME,
        f"(epoch_ns({{0}}) - (epoch_ns({{0}}) % 100 + 100) % 100) // 100 + {_EPOCH_US * 10}",
    ),
    "TIME": (KqlType.TIMESPAN, "epoch_us({0}) * 10"),
    "UUID": (KqlType.GUID, "{0}::VARCHAR"),
    "JSON": (KqlType.DYNAMIC, "{0}::VARCHAR"),
}


def _native(kind: str, name: str, column: str) -> tuple[KqlType, str]:
    if kind.startswith("DECIMAL"):
        return KqlType.DECIMAL, f"{name}::DECIMAL(34,17)"
    if kind.startswith("ENUM"):
        return KqlType.STRING, f"coalesce({name}::VARCHAR, '')"
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP")):
        return KqlType.DYNAMIC, f"to_json({name})::VARCHAR"
    found = _NATIVE.get(kind)
    if found is None:
        raise ValueError(f"the column '{column}' has the type {kind}, for which KQL has none")
    return found[0], found[1].format(name)


# Text with separators


def _separated(delimiter: str) -> Callable[[duckdb.DuckDBPyConnection, Sequence[Path], int], _Staged]:
    def read(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], number: int) -> _Staged:
        header = _header(files[0], delimiter)
        for path in files[1:]:
            if _header(path, delimiter) != header:
                raise ValueError(f"{path} has other columns in its first line")
        columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(header)))
        options = f"auto_detect = false, header = true, delim = {_quoted(delimiter)}, quote = '\"', escape = '\"'"
        source = f"read_csv({_list(files)}, {options}, columns = {{{columns}}})"
        parts = ", ".join(f"coalesce(c{index}, '') AS c{index}" for index in range(len(header)))
        connection.execute(f"CREATE TEMP TABLE f{number} AS SELECT {parts} FROM {source}")  # noqa: S608 - quoted paths
        stored = tuple(Column(name, KqlType.STRING) for name in header)
        kinds = _text_types(connection, f"f{number}", [f"c{index}" for index in range(len(header))], _TEXT_TYPES)
        inferred = tuple(Column(name, kind) for name, kind in zip(header, kinds, strict=True))
        return _Staged(f"f{number}", stored, inferred)

    return read


def _header(path: Path, delimiter: str) -> list[str]:
    opened: Any = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file, delimiter=delimiter), [])
    if not names:
        raise ValueError("its first line has no names of columns")
    names = [name.removesuffix(_UTC) for name in names]
    if len(set(names)) < len(names):
        raise ValueError("its first line names a column twice")
    return names


def _text_types(
    connection: duckdb.DuckDBPyConnection, relation: str, texts: Sequence[str], types: Sequence[tuple[KqlType, str]]
) -> list[KqlType]:
    """For each text expression the first type that all its values but the empty ones fit."""
    if not texts:
        return []
    tests = [f"bool_and({test}) FILTER (x <> '')" for _, test in types]
    kinds = []
    for text in texts:
        row = connection.execute(f"SELECT {', '.join(tests)} FROM (SELECT {text} AS x FROM {relation})").fetchone()  # noqa: S608 - generated names
        assert row is not None
        kinds.append(next((kind for (kind, _), fits in zip(types, row, strict=True) if fits), KqlType.STRING))
    return kinds


# JSON


def _json(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], number: int) -> _Staged:
    source = f"read_json_objects({_list(files)}, format = 'auto', maximum_object_size = {_MOST_OBJECT_BYTES})"
    connection.execute(f"CREATE TEMP TABLE j{number} AS SELECT json FROM {source}")  # noqa: S608 - quoted paths
    structure, odd = connection.execute(
        f"SELECT json_group_structure(json), count(*) FILTER (json_type(json) <> 'OBJECT') FROM j{number}"  # noqa: S608 - generated names
    ).fetchone() or (None, 0)
    if odd:
        raise ValueError("its rows are objects, alone on a line or in an array")
    fields: dict[str, Any] = json.loads(structure) if structure else {}
    pointers = ["/" + name.replace("~", "~0").replace("/", "~1") for name in fields]
    parts = [
        f"nullif(json_extract(json, {_quoted(pointer)})::VARCHAR, 'null') AS c{index}"
        for index, pointer in enumerate(pointers)
    ]
    connection.execute(f"CREATE TEMP VIEW f{number} AS SELECT {', '.join(parts) or 'NULL AS c0'} FROM j{number}")  # noqa: S608 - the same
    inferred = []
    for index, (name, shape) in enumerate(fields.items()):
        kind = _JSON_TYPES.get(shape, KqlType.DYNAMIC) if isinstance(shape, str) else KqlType.DYNAMIC
        if kind is KqlType.STRING:
            texts = [f"json_extract_string(c{index}, '$')"]
            (kind,) = _text_types(
                connection, f"f{number}", texts, [(k, t) for k, t in _TEXT_TYPES if k is KqlType.DATETIME]
            )
        inferred.append(Column(name, kind))
    return _Staged(f"f{number}", tuple(Column(name, KqlType.DYNAMIC) for name in fields), tuple(inferred))


_READERS: dict[str, Callable[[duckdb.DuckDBPyConnection, Sequence[Path], int], _Staged]] = {
    ".parquet": _parquet,
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".json": _json,
    ".jsonl": _json,
    ".ndjson": _json,
}
