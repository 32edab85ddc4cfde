"""Functions and aggregates as ClickHouse prints them; a name that is not here is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.kql import limits, plan
from lurewire.kql.types import KqlType

from . import clickhouse_convert as convert
from . import sql
from .refusals import NotPrinted
from .sql import Node, call, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Lower = Callable[[Sequence[Node], plan.Call], Node]
    LowerAggregate = Callable[[Sequence[Node], plan.AggregateCall, Node | None], Node]


def _empty(arguments: Sequence[Node], value: plan.Call) -> Node:
    if value.arguments[0].type is KqlType.STRING:
        return sql.equal(arguments[0], text(""))
    return sql.coalesce(sql.equal(arguments[0], text("")), sql.boolean(True))


FUNCTIONS: Mapping[str, Lower] = {
    "isempty": _empty,
    "isnotempty": lambda arguments, value: sql.negation(_empty(arguments, value)),
    "isnull": lambda arguments, _: sql.is_null(arguments[0]),
    "isnotnull": lambda arguments, _: sql.negation(sql.is_null(arguments[0])),
    "strcat": lambda arguments, _: call("concat", *arguments),
    "strlen": lambda arguments, _: call("CAST", call("lengthUTF8", arguments[0]), text("Nullable(Int64)")),
    "tolower": lambda arguments, _: call("lowerUTF8", arguments[0]),
    "toupper": lambda arguments, _: call("upperUTF8", arguments[0]),
}


def _over(name: str, arguments: Sequence[Node], condition: Node | None) -> Node:
    """An aggregate, over the rows of a condition if there is one."""
    if condition is None:
        return call(name, *arguments)
    return call(f"{name}If", *arguments, sql.coalesce(condition, sql.boolean(False)))


def _count(arguments: Sequence[Node], aggregate: plan.AggregateCall, condition: Node | None) -> Node:
    del arguments
    return convert.typed(_over("count", (), condition), aggregate.types[0])


def _dcount(arguments: Sequence[Node], aggregate: plan.AggregateCall, condition: Node | None) -> Node:
    return convert.typed(_over("uniqExact", arguments[:1], condition), aggregate.types[0])


def _extreme(name: str) -> LowerAggregate:
    def lower(arguments: Sequence[Node], aggregate: plan.AggregateCall, condition: Node | None) -> Node:
        if aggregate.types[0] is KqlType.STRING:
            return _over(name, arguments, condition)
        return _over(f"{name}OrNull", arguments, condition)

    return lower


def _sum(arguments: Sequence[Node], aggregate: plan.AggregateCall, condition: Node | None) -> Node:
    kind = aggregate.types[0]
    if kind is KqlType.REAL:
        return sql.coalesce(_over("sum", arguments, condition), convert.typed(sql.number(0), kind))
    if kind is KqlType.DECIMAL:
        raise NotPrinted("clickhouse", "sum() of a decimal")
    total = _over("sum", [call("toInt128", arguments[0])], condition)
    return call("accurateCast", sql.coalesce(total, sql.number(0)), text(convert.STORAGE[kind]))


def _set(arguments: Sequence[Node], aggregate: plan.AggregateCall, condition: Node | None) -> Node:
    """The distinct values as a JSON array; of a dynamic array, its elements are what the set is made of."""
    kept = limits.LIST_ELEMENTS.value if aggregate.limit is None else aggregate.limit
    if kept <= 0:
        return text("[]")
    value, kind = arguments[0], aggregate.arguments[0].type
    if kind is KqlType.DYNAMIC:
        is_array = sql.equal(call("JSONType", value), text("Array"))
        elements = call(
            "if", is_array, call("JSONExtractArrayRaw", call("ifNull", value, text("[]"))), call("array", value)
        )
        flat = call("arrayFlatten", _over("groupArray", [elements], _present(value, condition)))
        items = call("arrayDistinct", flat)
    else:
        items = _over("groupUniqArray", [convert.json_of(value, kind)], condition)
    part = call("arraySlice", items, sql.number(1), sql.number(kept))
    return call("concat", text("["), call("arrayStringConcat", part, text(",")), text("]"))


def _present(value: Node, condition: Node | None) -> Node:
    there = sql.negation(sql.is_null(value))
    return there if condition is None else sql.both(there, condition)


AGGREGATES: Mapping[str, LowerAggregate] = {
    "count": _count,
    "countif": _count,
    "dcount": _dcount,
    "dcountif": _dcount,
    "max": _extreme("max"),
    "maxif": _extreme("max"),
    "min": _extreme("min"),
    "minif": _extreme("min"),
    "sum": _sum,
    "sumif": _sum,
    "make_set": _set,
    "make_set_if": _set,
}

#: Functions of ClickHouse that this dialect prints; none reads a file, the network, a setting or the catalogue.
SQL_FUNCTIONS = frozenset(
    """
    CAST abs accurateCast accurateCastOrNull array arrayDistinct arrayElement arrayFlatten arrayMap arraySlice arrayStringConcat coalesce
    concat count countIf endsWith extractGroups groupArrayIf groupUniqArray groupUniqArrayIf if ifNull intDiv JSONExtractArrayRaw
    JSONExtractRaw JSONExtractString JSONType left leftPad length lengthUTF8 lowerUTF8 match max maxIf maxOrNull maxOrNullIf min minIf
    minOrNull minOrNullIf nullIf position positiveModulo replaceAll replaceRegexpAll right rightPad startsWith substring sum sumIf throwIf
    toFloat64OrNull toInt128 toInt128OrNull toInt64 toInt64OrNull toJSONString toString toUUIDOrNull trimBoth trunc tuple
    uniqExact uniqExactIf upperUTF8 values groupArray
    """.split()  # noqa: SIM905 - names read better as a paragraph
)
