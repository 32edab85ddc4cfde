"""The columns that Azure gives every record of a table, where the table is rows of a file or a test.

They are as in a workspace: `*` shows those that the table shows there, and a query finds the others by their names. What
rows hold themselves is taken; else a record's id is its place, and it was received when it was generated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.kql import HiddenColumn, KqlType, define_table
from lurewire.schemas import (
    RESOURCE,
    hidden_columns,
    known_schema,
    shows_resource,
    standard_watchlist,
    with_standard_columns,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from lurewire.kql import Column, Table

_TIME = "TimeGenerated"


def published_columns(name: str) -> tuple[Column, ...] | None:
    """What `*` shows of a table that Azure publishes; None for another."""
    schema = known_schema(name)
    if schema is None:
        return None
    columns = with_standard_columns(schema)
    return columns if shows_resource(name) else tuple(column for column in columns if column != RESOURCE)


def columns_behind(name: str, columns: Sequence[Column]) -> tuple[HiddenColumn, ...]:
    """What a query finds by name behind the columns of a table of a workspace: one whose records have a time."""
    shown = {column.name for column in columns}
    if _TIME not in shown:
        return ()
    offered = (
        HiddenColumn(RESOURCE.name, RESOURCE.type),
        HiddenColumn("_TimeReceived", KqlType.DATETIME, expression=_TIME),
        HiddenColumn("_ItemId", KqlType.STRING, sql="CAST(row_number() OVER () AS VARCHAR)"),
        *hidden_columns(name, [column.name for column in columns]),
    )
    return tuple(column for column in offered if column.name not in shown)


def empty_watchlist(connection: duckdb.DuckDBPyConnection, alias: str) -> Table | None:
    """A watchlist that ASIM's parsers look for in every workspace, as where nobody made it; None for any other alias."""
    columns = standard_watchlist(alias)
    if columns is None:
        return None
    return define_table(connection, f"watchlist {alias}", f"empty_{alias}", "(SELECT 1 WHERE false)", (), columns)
