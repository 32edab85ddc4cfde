"""All tabular operators, by name and by tree node. A new one is a module here and a line below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import (
    by_names,
    columns,
    consume,
    evaluate,
    expansion,
    external,
    find,
    graph_match,
    graph_tables,
    invocation,
    joins,
    make_series,
    parse_kv,
    parsing,
    partition,
    reduce,
    rendering,
    rows,
    samples,
    scan,
    search,
    serialization,
    series,
    several,
    sources,
    summarize,
    top_nested,
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
    *search.OPERATORS,
    *find.OPERATORS,
    *external.OPERATORS,
    *make_series.OPERATORS,
    *evaluate.OPERATORS,
    *samples.OPERATORS,
    *scan.OPERATORS,
    *consume.OPERATORS,
    *invocation.OPERATORS,
    *joins.OPERATORS,
    *expansion.OPERATORS,
    *parsing.OPERATORS,
    *parse_kv.OPERATORS,
    *partition.OPERATORS,
    *reduce.OPERATORS,
    *top_nested.OPERATORS,
    *by_names.OPERATORS,
    *several.OPERATORS,
    *graph_match.OPERATORS,
    *graph_tables.OPERATORS,
)

#: Operators after a pipe.
OPERATORS: dict[str, TabularOperator] = {
    name: row for row in ROWS if not row.source for name in (row.name, *row.aliases)
}
#: Operators at the start of a pipeline.
SOURCES: dict[str, TabularOperator] = {name: row for row in ROWS if row.source for name in (row.name, *row.aliases)}
BY_NODE = {node: row for row in ROWS for node in (row.node, *row.forms)}
