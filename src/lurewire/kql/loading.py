"""Columns of any origin as a table that a query may read: each converted to its KQL type, where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
from sqlglot import exp

from .dialects import duckdb_convert, sql
from .dialects.duckdb_print import text_of
from .sources import arrow_columns
from .types import TYPE_NAMES, Column, HiddenColumn, KqlType, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from .sources import Source


def schema_columns(name: str, schema: Mapping[str, KqlType | str]) -> tuple[Column, ...]:
    """The columns of a declared schema; raises ValueError where a type is none of KQL's."""
    columns = []
    for column, kind in schema.items():
        found = TYPE_NAMES.get(str(kind).lower())
        if found is None:
            raise ValueError(f"table '{name}', column '{column}': '{kind}' is no type of KQL")
        columns.append(Column(column, found))
    return tuple(columns)


def load(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    source: Source,
    number: int,
    schema: Mapping[str, KqlType | str] | None = None,
    hidden: Sequence[HiddenColumn] = (),
) -> Table:
    """Makes a source known to the connection, without a copy where its storage is KQL's; raises ValueError.

    `schema` gives the table's columns and their types, in order; what the source has beside them comes after. `hidden` is
    as in `define`.
    """
    found = arrow_columns(name, source)
    staging = f"a{number}"
    arrays = [array for _, array in found] or [
        pa.nulls(len(source) if isinstance(source, Sequence) else 0, pa.string())
    ]
    connection.register(staging, pa.table(arrays, names=[f"c{index}" for index in range(len(arrays))]))
    declared = schema_columns(name, schema or {})
    return define(connection, name, f"s{number}", staging, [column for column, _ in found], declared, hidden)


def define(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    relation: str,
    staging: str,
    stored: Sequence[Column],
    declared: Sequence[Column] = (),
    hidden: Sequence[HiddenColumn] = (),
) -> Table:
    """Table `name` as the view `relation` over `staging`, whose columns c0, c1, ... are `stored`.

    The table's columns are `declared`, converted as KQL's own functions convert and null where the staging lacks them;
    the others of `stored` follow. A guid is stored as text. `hidden` columns are not among them: one that the staging has is
    read from it, whatever else it would be.
    """
    places = {column.name: place for place, column in enumerate(stored)}
    apart = {*(column.name for column in declared), *(column.name for column in hidden)}
    wanted = [*declared, *(column for column in stored if column.name not in apart)]
    unseen = [column for column in hidden if column.name in places or not column.expression]
    every: list[Column | HiddenColumn] = [*wanted, *unseen]
    parts = []
    for index, column in enumerate(every):
        place = places.get(column.name)
        if place is None and isinstance(column, HiddenColumn) and column.sql:
            parts.append(f"{column.sql} AS c{index}")
            continue
        value = _missing(column.type) if place is None else _converted(f"c{place}", stored[place].type, column.type)
        parts.append(f"{text_of(value)} AS c{index}")
    select = f"SELECT {', '.join(parts) or '0 AS c0'} FROM {staging}"  # noqa: S608 - generated names
    connection.execute(f"CREATE TEMP VIEW {relation} AS {select}")
    found = {column.name: f"c{len(wanted) + index}" for index, column in enumerate(unseen)}
    offered = [replace(one, sql=found[one.name], expression="") if one.name in found else one for one in hidden]
    physical = tuple(f"c{index}" for index in range(len(wanted)))
    return Table(name, tuple(wanted), relation, physical, hidden=tuple(offered))


def _missing(kind: KqlType) -> exp.Expression:
    return sql.text("") if kind is KqlType.STRING else sql.cast(exp.Null(), duckdb_convert.STORAGE[kind])


def _converted(stored: str, kind: KqlType, wanted: KqlType) -> exp.Expression:
    value: exp.Expression = exp.Column(this=sql.identifier(stored))
    if kind is KqlType.GUID:
        value = sql.try_cast(value, sql.UUID)
    if kind is wanted:
        return value
    if kind is KqlType.STRING and wanted is KqlType.DYNAMIC:
        return duckdb_convert.parse_json(value)
    value = duckdb_convert.convert(value, kind, wanted)
    return sql.coalesce(value, sql.text("")) if wanted is KqlType.STRING else value
