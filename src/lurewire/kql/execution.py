"""Runs a query over Arrow tables or rows in a DuckDB of its own, closed to the outside; for tests, tools and notebooks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import duckdb

from . import ticks, udf
from .compiler import CompiledQuery, compile  # noqa: A004 - the public name; see compiler.py
from .errors import EXECUTION, Diagnostic, KqlError
from .external import read as read_external
from .loading import load
from .results import RunResult
from .types import Tables

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from .profiles import ProfileName
    from .sources import Source
    from .types import Catalog, KqlType
    from .udf import Geo

#: The bytes of a location that externaldata names; raises OSError.
Fetch = Callable[[str], bytes]


def closed_connection(*, memory_megabytes: int | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB without file, network or extension access, whose configuration is locked.

    `memory_megabytes` bounds its memory; without it, DuckDB's own share of the machine's memory does.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "autoload_known_extensions": "false",
        "autoinstall_known_extensions": "false",
        "python_enable_replacements": "false",
    }
    if memory_megabytes is not None:
        config["memory_limit"] = f"{memory_megabytes}MB"
    connection = duckdb.connect(config=config)
    connection.execute("SET lock_configuration = true")
    return connection


def run(
    text: str,
    tables: Mapping[str, Source] | None = None,
    *,
    now: dt.datetime | int | None = None,
    profile: ProfileName = "query",
    schemas: Mapping[str, Mapping[str, KqlType | str]] | None = None,
    values: Mapping[str, str] | None = None,
    geo: Geo | None = None,
    fetch: Fetch | None = None,
) -> RunResult:
    """Compiles and runs a query over `tables`; raises KqlError, and ValueError for a table that cannot be one.

    A table is a list of rows, a pyarrow Table, a pandas or Polars frame, a DuckDB relation, or whatever else offers an
    Arrow stream. Rows take their columns from the keys and the types from the values: bool, int (long), float (real), str,
    datetime (without a zone: UTC), timedelta, UUID, Decimal, and dict and list (dynamic). `schemas` declares the columns of
    tables, `{"Table": {"Column": "datetime"}}`: their values are converted, and a column that a table lacks is null in it.
    `now` is what now() means, as a datetime or in ticks; a query that uses it without one is refused with ValueError.
    `values` are those of the query's declared parameters.
    `geo` gives what is known of the place of an IP address, for geo_info_from_ip_address(); None for an address that it does
    not know. `fetch` gives the bytes of a location that externaldata names, or raises OSError: it alone decides what may be
    read. Without them a query that needs one is refused, or stopped, by name.
    """
    connection = closed_connection()
    try:
        declared = schemas or {}
        sources = dict.fromkeys(declared, ()) | dict(tables or {})
        loaded = (
            load(connection, name, source, number, declared.get(name))
            for number, (name, source) in enumerate(sources.items())
        )
        catalog = Tables(loaded, allowed=None if fetch is None else _any_location)
        return run_over(text, connection, catalog, now=now, profile=profile, values=values, geo=geo, fetch=fetch)
    finally:
        connection.close()


def _any_location(location: str) -> bool:
    """What `fetch` decides of."""
    del location
    return True


def run_over(
    text: str,
    connection: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    *,
    now: dt.datetime | int | None = None,
    profile: ProfileName = "query",
    window: tuple[int, int] | None = None,
    values: Mapping[str, str] | None = None,
    geo: Geo | None = None,
    fetch: Fetch | None = None,
) -> RunResult:
    """Compiles and runs a query over what a connection holds; raises KqlError.

    `window` bounds every table that has a time column: after its first tick, up to and with its last. `geo` and `fetch` are
    as in `run`; the catalogue says which locations a query may name, and the first `geo` that a connection gets stays.
    """
    given = {} if now is None else {"now": now if isinstance(now, int) else ticks.ticks_from_datetime(now)}
    if window is not None:
        given |= {"t_from": window[0], "t_to": window[1]}

    def rows(query: CompiledQuery) -> list[tuple[Any, ...]]:
        return execute(connection, query, given, geo=geo, fetch=fetch)

    compiled = compile(
        text,
        catalog,
        profile=profile,
        window=window is not None,
        values=values,
        explore=rows,
    )
    first, *others = (
        RunResult(one.columns, rows(one), one.render, compiled=one) for one in (compiled, *compiled.further)
    )
    for relation, _ in compiled.held:
        connection.execute(f"drop table if exists temp.{relation}")
    return replace(first, further=tuple(others))


def execute(
    connection: duckdb.DuckDBPyConnection,
    compiled: CompiledQuery,
    parameters: Mapping[str, int],
    *,
    geo: Geo | None = None,
    fetch: Fetch | None = None,
) -> list[tuple[Any, ...]]:
    """All rows of a compiled query; an engine error becomes KqlError, a missing parameter ValueError.

    `geo` and `fetch` are as in `run`; a query that reads external data is refused with ValueError without `fetch`.
    """
    for relation, held in compiled.held:
        _started(connection, held, f"create or replace temp table {relation} as {held.sql}", parameters, geo, fetch)
    started = _started(connection, compiled, compiled.sql, parameters, geo, fetch)
    try:
        rows: list[tuple[Any, ...]] = started.fetchall()
    except duckdb.Error as error:
        raise translate_engine_error(error) from error
    return rows


def _started(
    connection: duckdb.DuckDBPyConnection,
    compiled: CompiledQuery,
    statement: str,
    parameters: Mapping[str, int],
    geo: Geo | None,
    fetch: Fetch | None,
) -> duckdb.DuckDBPyConnection:
    for outside in compiled.external:
        if fetch is None:
            raise ValueError("the query reads external data, and there is nothing that fetches it")
        connection.register(outside.relation, read_external(outside, fetch))
    missing = compiled.parameters - parameters.keys()
    if missing:
        raise ValueError(f"the query needs the parameters {', '.join(sorted(missing))}")
    try:
        if compiled.functions:
            udf.register(connection, compiled.functions, geo=geo)
        given = {name: parameters[name] for name in compiled.parameters}
        return connection.execute(statement, given)
    except duckdb.Error as error:
        raise translate_engine_error(error) from error


def translate_engine_error(error: duckdb.Error) -> KqlError:
    """What stopped the engine, in the words of a KQL user; generated names are left out."""
    first = _OF_PYTHON.sub("", str(error).split("\n", 1)[0])[:500]
    for kind, pattern, message in _ENGINE_ERRORS:
        if isinstance(error, kind) and re.search(pattern, first):
            return KqlError([Diagnostic("execution", EXECUTION, message.format(first), 1, 1)])
    return KqlError([Diagnostic("execution", EXECUTION, f"the query failed while it ran: {first}", 1, 1)])


#: What stands before the message of a function in Python.
_OF_PYTHON = re.compile("^Invalid Input Error: Python exception occurred while executing the UDF: [A-Za-z]+: ")
_ENGINE_ERRORS = (
    (duckdb.OutOfRangeException, "", "a number went beyond the range of its type: {}"),
    (duckdb.ConversionException, "out of range|DECIMAL", "a number went beyond the range of its type: {}"),
    (
        duckdb.InvalidInputException,
        r"(?i)regex|missing [\])]|bad repetition|invalid (character class|escape|perl|named|repetition|UTF-8)|no argument for|unexpected \)",
        "a regular expression is not valid RE2: {}",
    ),
    (duckdb.OutOfMemoryException, "", "the query needs more memory than it may use"),
    (duckdb.InterruptException, "", "the query was cancelled"),
)
