"""Window functions of the plan as DuckDB's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from . import duckdb_convert, sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.kql import plan

    from .duckdb import Scalars
    from .sql import Node


def over(value: Node, groups: Sequence[Node], order: Sequence[Node]) -> Node:
    """`value OVER (PARTITION BY groups ORDER BY order)`."""
    return exp.Window(
        this=value,
        partition_by=list(groups),
        order=exp.Order(expressions=list(order)) if order else None,
        over="OVER",
    )


def lower(call: plan.WindowCall, scalars: Scalars, order: Node) -> Node:
    """One window function over rows in `order`, an ordinal without ties: the default frame ends at the row itself."""
    groups = [] if call.group is None else [scalars.lower(call.group)]
    value = None if call.value is None else scalars.lower(call.value)
    match call.kind:
        case "number":
            node = over(sql.call("row_number"), groups, [order])
        case "previous" | "next":
            assert value is not None
            default = exp.Null() if call.default is None else scalars.lower(call.default)
            name = "lag" if call.kind == "previous" else "lead"
            node = over(sql.call(name, value, sql.number(call.offset), default), groups, [order])
        case "sum" | "maximum":
            assert value is not None
            node = over(sql.call("sum" if call.kind == "sum" else "max", value), groups, [order])
        case "total":
            assert value is not None
            node = over(sql.call("sum", value), groups, [])
        case _:
            assert value is not None
            assert call.span is not None
            node = _session(over(sql.call("list", value), groups, [order]), scalars.lower(call.span))
    return sql.cast(node, duckdb_convert.STORAGE[call.type])


def _session(values: Node, span: Node) -> Node:
    """The first value of the session that the last of `values` belongs to: it ends `span` or more above its first."""
    first, value = sql.variable("a"), sql.variable("b")
    later = sql.case([(sql.binary(exp.GTE, sql.subtract(value, first), span), value)], first)
    step = exp.Lambda(this=later, expressions=[sql.identifier("a"), sql.identifier("b")])
    return sql.call("list_reduce", values, step)
