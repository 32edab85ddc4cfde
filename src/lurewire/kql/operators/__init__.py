"""All tabular operators, by name and by tree node. A new one is a module here and a line below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import (
    by_names,
    columns,
    evaluate,
    expansion,
    invocation,
    joins,
    make_series,
    parsing,
    rendering,
    rows,
    samples,
    serialization,
    series,
    sources,
    summarize,
    unions,
)

if TYPE_CHECKING:
    from .registry import TabularOperator

ROWS = (
    *rows.OPERATORS,
    *columns.OPERATORS,
    *summarize.OPERATORS,
    *sources.OPERATORS,
    *series.OPERATORS,
    *rendering.OPERATORS,
    *serialization.OPERATORS,
    *unions.OPERATORS,
    *make_series.OPERATORS,
    *evaluate.OPERATORS,
    *samples.OPERATORS,
    *invocation.OPERATORS,
    *joins.OPERATORS,
    *expansion.OPERATORS,
    *parsing.OPERATORS,
    *by_names.OPERATORS,
)

#: Operators after a pipe.
OPERATORS: dict[str, TabularOperator] = {
    name: row for row in ROWS if not row.source for name in (row.name, *row.aliases)
}
#: Operators at the start of a pipeline.
SOURCES: dict[str, TabularOperator] = {name: row for row in ROWS if row.source for name in (row.name, *row.aliases)}
BY_NODE = {row.node: row for row in ROWS}
