"""The dialects that a plan can be printed in, each a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lurewire.kql import safety

from . import clickhouse_functions, clickhouse_relations, duckdb_print, duckdb_relations

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlglot import exp

    from .duckdb_relations import Relations

DialectName = Literal["duckdb", "clickhouse"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a plan becomes the text of one engine.

    `relations` lowers it, `functions` are all that the SQL may call, `text` prints the finished tree.
    """

    name: DialectName
    relations: type[Relations]
    functions: frozenset[str]
    text: Callable[[exp.Expression], str]


def _clickhouse_text(node: exp.Expression) -> str:
    from sqlglot.dialects.clickhouse import ClickHouse  # noqa: PLC0415 - slow to import, and few print it

    return ClickHouse.Generator(dialect="clickhouse").generate(node, copy=False)


DIALECTS: dict[str, Dialect] = {
    row.name: row
    for row in (
        Dialect("duckdb", duckdb_relations.Relations, safety.FUNCTIONS, duckdb_print.text_of),
        Dialect("clickhouse", clickhouse_relations.Relations, clickhouse_functions.SQL_FUNCTIONS, _clickhouse_text),
    )
}
