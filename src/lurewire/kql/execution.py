"""Runs a query over Arrow tables or rows in a DuckDB of its own, closed to the outside; for tests, tools and notebooks."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from . import ticks, udf
from .compiler import CompiledQuery, compile  # noqa: A004 - the public name; see compiler.py
from .errors import EXECUTION, Diagnostic, KqlError
from .types import Column, KqlType, Table, Tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .profiles import ProfileName

_ARROW: dict[KqlType, pa.DataType] = {
    KqlType.BOOL: pa.bool_(),
    KqlType.INT: pa.int32(),
    KqlType.LONG: pa.int64(),
    KqlType.REAL: pa.float64(),
    KqlType.DECIMAL: pa.decimal128(34, 17),
    KqlType.STRING: pa.string(),
    KqlType.DATETIME: pa.int64(),
    KqlType.TIMESPAN: pa.int64(),
    KqlType.GUID: pa.string(),
    KqlType.DYNAMIC: pa.string(),
}


@dataclass(frozen=True, slots=True)
class Result:
    """A query's result: columns in order, rows of engine values (datetimes and timespans in ticks), and how it was run."""

    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    compiled: CompiledQuery


def closed_connection() -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB without file, network or extension access, whose configuration is locked."""
    connection = duckdb.connect(
        config={
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "python_enable_replacements": "false",
        }
    )
    connection.execute("SET lock_configuration = true")
    return connection


def run(
    text: str,
    tables: Mapping[str, pa.Table | Sequence[Mapping[str, Any]]] | None = None,
    *,
    now: dt.datetime | int | None = None,
    profile: ProfileName = "query",
) -> Result:
    """Compiles and runs a query over `tables`; raises KqlError.

    A list of rows takes its columns from the rows' keys and its types from their values: bool, int (long), float (real),
    str, datetime, timedelta, UUID, Decimal, and dict and list (dynamic). Arrow tables map by their types. `now` is what
    now() means, as a datetime or in ticks; a query that uses it without one is refused with ValueError.
    """
    connection = closed_connection()
    try:
        catalog = []
        for number, (name, source) in enumerate((tables or {}).items()):
            arrow, columns = _arrow(source)
            relation = f"s{number}"
            connection.register(f"a{number}", arrow)
            casts = ", ".join(
                f"CAST(c{index} AS {'UUID' if column.type is KqlType.GUID else _SQL[column.type]}) AS c{index}"
                for index, column in enumerate(columns)
            )
            connection.execute(f"CREATE TEMP TABLE {relation} AS SELECT {casts} FROM a{number}")  # noqa: S608 - generated names
            connection.unregister(f"a{number}")
            physical = tuple(f"c{index}" for index in range(len(columns)))
            catalog.append(Table(name, tuple(columns), relation, physical))
        given = {} if now is None else {"now": _now(now)}
        compiled = compile(
            text, Tables(catalog), profile=profile, explore=lambda first: execute(connection, first, given)
        )
        return Result(compiled.columns, execute(connection, compiled, given), compiled)
    finally:
        connection.close()


def execute(
    connection: duckdb.DuckDBPyConnection, compiled: CompiledQuery, parameters: Mapping[str, int]
) -> list[tuple[Any, ...]]:
    """All rows of a compiled query; an engine error becomes KqlError, a missing parameter ValueError."""
    missing = compiled.parameters - parameters.keys()
    if missing:
        raise ValueError(f"the query needs the parameters {', '.join(sorted(missing))}")
    try:
        if compiled.functions:
            udf.register(connection, compiled.functions)
        given = {name: parameters[name] for name in compiled.parameters}
        rows: list[tuple[Any, ...]] = connection.execute(compiled.sql, given).fetchall()
    except duckdb.Error as error:
        raise translate_engine_error(error) from error
    return rows


def translate_engine_error(error: duckdb.Error) -> KqlError:
    """What stopped the engine, in the words of a KQL user; generated names are left out."""
    first = str(error).split("\n", 1)[0][:500]
    for kind, pattern, message in _ENGINE_ERRORS:
        if isinstance(error, kind) and re.search(pattern, first):
            return KqlError([Diagnostic("execution", EXECUTION, message.format(first), 1, 1)])
    return KqlError([Diagnostic("execution", EXECUTION, f"the query failed while it ran: {first}", 1, 1)])


_ENGINE_ERRORS = (
    (duckdb.OutOfRangeException, "", "a number went beyond the range of its type: {}"),
    (duckdb.ConversionException, "out of range", "a number went beyond the range of its type: {}"),
    (
        duckdb.InvalidInputException,
        r"(?i)regex|missing [\])]|bad repetition|invalid (character class|escape|perl|named|repetition|UTF-8)|no argument for|unexpected \)",
        "a regular expression is not valid RE2: {}",
    ),
    (duckdb.OutOfMemoryException, "", "the query needs more memory than it may use"),
    (duckdb.InterruptException, "", "the query was cancelled"),
)

_SQL: dict[KqlType, str] = {
    KqlType.BOOL: "BOOLEAN",
    KqlType.INT: "INTEGER",
    KqlType.LONG: "BIGINT",
    KqlType.REAL: "DOUBLE",
    KqlType.DECIMAL: "DECIMAL(34,17)",
    KqlType.STRING: "VARCHAR",
    KqlType.DATETIME: "BIGINT",
    KqlType.TIMESPAN: "BIGINT",
    KqlType.GUID: "UUID",
    KqlType.DYNAMIC: "VARCHAR",
}


def _now(now: dt.datetime | int) -> int:
    return now if isinstance(now, int) else ticks.ticks_from_datetime(now)


def _arrow(source: pa.Table | Sequence[Mapping[str, Any]]) -> tuple[pa.Table, list[Column]]:
    """The source with generated column names and the storage of each KQL type."""
    if isinstance(source, pa.Table):
        values = {name: source.column(index).to_pylist() for index, name in enumerate(source.column_names)}
        if len(values) != source.num_columns:
            raise ValueError("an Arrow table has two columns of the same name")
        kinds = {field.name: _kind_of_arrow(field.type) for field in source.schema}
    else:
        names = list(dict.fromkeys(name for row in source for name in row))
        values = {name: [row.get(name) for row in source] for name in names}
        kinds = {name: _kind_of_values(column) for name, column in values.items()}
    columns = [Column(name, kind) for name, kind in kinds.items()]
    arrays = [
        pa.array([_stored(column.type, value) for value in values[column.name]], _ARROW[column.type])
        for column in columns
    ]
    return pa.table(arrays, names=[f"c{index}" for index in range(len(columns))]), columns


def _kind_of_arrow(kind: pa.DataType) -> KqlType:
    tests = (
        (pa.types.is_boolean, KqlType.BOOL),
        (pa.types.is_int64, KqlType.LONG),
        (pa.types.is_uint64, KqlType.LONG),
        (pa.types.is_uint32, KqlType.LONG),
        (pa.types.is_integer, KqlType.INT),
        (pa.types.is_floating, KqlType.REAL),
        (pa.types.is_decimal, KqlType.DECIMAL),
        (pa.types.is_timestamp, KqlType.DATETIME),
        (pa.types.is_date, KqlType.DATETIME),
        (pa.types.is_duration, KqlType.TIMESPAN),
        (pa.types.is_string, KqlType.STRING),
        (pa.types.is_large_string, KqlType.STRING),
    )
    return next((found for test, found in tests if test(kind)), KqlType.DYNAMIC)


def _kind_of_values(values: Sequence[Any]) -> KqlType:
    known: tuple[tuple[type, KqlType], ...] = (
        (bool, KqlType.BOOL),
        (int, KqlType.LONG),
        (float, KqlType.REAL),
        (str, KqlType.STRING),
        (dt.datetime, KqlType.DATETIME),
        (dt.timedelta, KqlType.TIMESPAN),
        (uuid.UUID, KqlType.GUID),
        (decimal.Decimal, KqlType.DECIMAL),
    )
    found = {
        next((kind for python, kind in known if isinstance(value, python)), KqlType.DYNAMIC)
        for value in values
        if value is not None
    }
    if found == {KqlType.LONG, KqlType.REAL}:
        return KqlType.REAL
    return found.pop() if len(found) == 1 else KqlType.STRING if not found else KqlType.DYNAMIC


def _stored(kind: KqlType, value: Any) -> Any:
    if value is None:
        return "" if kind is KqlType.STRING else None
    if kind is KqlType.DYNAMIC:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    if kind is KqlType.DATETIME:
        moment = value if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time())
        return ticks.ticks_from_datetime(moment)
    if kind is KqlType.TIMESPAN:
        return value // dt.timedelta(microseconds=1) * ticks.PER_MICROSECOND
    if kind is KqlType.GUID:
        return str(value)
    return value
