"""make-series in DuckDB: one pass over the slots of each group, in which a slot brings the defaults before it along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql.limits import LIST_ELEMENTS

from . import duckdb_convert, sql
from .duckdb_windows import over

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lurewire.kql import plan

    from .duckdb import Scalars
    from .sql import Node


_TOO_MANY = f"make-series: a series has more than {LIST_ELEMENTS.value} values"
_NO_STEP = "make-series: the step must be above zero"


def _ascending(node: Node) -> Node:
    return exp.Ordered(this=node, desc=False, nulls_first=False)


def gap(series: plan.Series, columns: Mapping[int, Node]) -> Node:
    """How many slots are missing before a slot."""
    slot = columns[series.slot]
    keys = [columns[key] for key in series.keys]
    before = over(sql.call("lag", slot), keys, [_ascending(slot)])
    first = sql.number(-1) if series.fixed else sql.subtract(slot, sql.number(1))
    missing = sql.subtract(sql.subtract(slot, sql.coalesce(before, first)), sql.number(1))
    # Held against the first slot, not the one before: the gaps of a group together stay below the limit.
    place = slot if series.fixed else sql.subtract(slot, over(sql.call("min", slot), keys, []))
    too_many = sql.binary(exp.GTE, place, sql.number(LIST_ELEMENTS.value))
    return sql.case([(too_many, sql.call("error", sql.text(_TOO_MANY)))], missing)


def last_slot(series: plan.Series, columns: Mapping[int, Node]) -> Node:
    """The last slot of a group; null when there is none."""
    return sql.call("max", columns[series.slot])


def arrays(series: plan.Series, scalars: Scalars, missing: Node, used: set[int]) -> dict[int, Node]:
    """The arrays of a group: the values that are used, and the axis; empty where a bound or the step is null.

    More values than Microsoft's limit are an error of the engine
    (https://learn.microsoft.com/kusto/query/make-series-operator).
    """
    slot = scalars.columns[series.slot]
    last = last_slot(series, scalars.columns)
    first: Node = sql.number(0) if series.fixed else sql.coalesce(sql.call("min", slot), sql.number(0))
    end = sql.add(last, sql.number(1)) if series.end is None else scalars.lower(series.end)
    step = scalars.lower(series.step)
    end = sql.case(
        [
            (sql.binary(exp.LTE, step, sql.number(0)), sql.call("error", sql.text(_NO_STEP))),
            (
                sql.binary(exp.GT, sql.subtract(end, first), sql.number(LIST_ELEMENTS.value)),
                sql.call("error", sql.text(_TOO_MANY)),
            ),
        ],
        sql.coalesce(end, first),
    )
    made: dict[int, Node] = {}
    for value in series.values:
        if value.id not in used:
            continue
        default = duckdb_convert.json_element(scalars.lower(value.default), value.default.type)
        filler = sql.call("list_value", default)
        found = duckdb_convert.json_element(scalars.lower(value.value), value.value.type)
        with_gap = sql.call("list_concat", sql.call("repeat", filler, missing), sql.call("list_value", found))
        listed = exp.Order(this=with_gap, expressions=[_ascending(slot)])
        elements = sql.call("flatten", sql.call("list", listed))
        after = sql.subtract(sql.subtract(end, sql.number(1)), sql.coalesce(last, sql.subtract(first, sql.number(1))))
        empty = sql.call("list_value")
        tail = sql.call("repeat", filler, sql.call("greatest", after, sql.number(0)))
        made[value.id] = duckdb_convert.json_array(sql.call("list_concat", sql.coalesce(elements, empty), tail))
    if series.axis in used:
        kind = series.origin.type
        place = sql.multiply(sql.variable("i"), step)
        written = duckdb_convert.json_of(sql.add(scalars.lower(series.origin), place), kind)
        places = sql.call("range", first, end)
        made[series.axis] = duckdb_convert.json_array(sql.call("list_transform", places, sql.lambda_("i", written)))
    return made
