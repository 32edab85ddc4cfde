"""Arrays and property bags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql import limits, plan, ticks
from lurewire.kql.conversions import to, widest
from lurewire.kql.dialects import duckdb_convert, duckdb_time, sql
from lurewire.kql.errors import semantic
from lurewire.kql.scope import ERROR
from lurewire.kql.types import NUMBERS, KqlType

from .common import duckdb
from .registry import Function, anything, dynamic, param, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.kql import tree
    from lurewire.kql.binder import ExpressionBinder
    from lurewire.kql.dialects.sql import Node

#: The place of the last value of a series that is as long as KQL lets it be.
_LAST_PLACE = sql.number(limits.LIST_ELEMENTS.value - 1)


def _json_type_is(node: Node, kind: str) -> Node:
    return sql.equal(sql.call("json_type", node), sql.text(kind))


def _array_length(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    length = sql.cast(sql.call("json_array_length", arguments[0]), sql.BIGINT)
    return sql.case([(_json_type_is(arguments[0], "ARRAY"), length)])


def _elements(arguments: Sequence[Node], call: plan.Call) -> list[Node]:
    return [
        duckdb_convert.json_element(node, argument.type)
        for node, argument in zip(arguments, call.arguments, strict=True)
    ]


def _joined(parts: Sequence[Node], opening: str, closing: str) -> Node:
    pieces: list[Node] = [sql.text(opening)]
    for position, part in enumerate(parts):
        if position:
            pieces.append(sql.text(","))
        pieces.append(part)
    return sql.concat(*pieces, sql.text(closing))


def _pack_array(arguments: Sequence[Node], call: plan.Call) -> Node:
    return _joined(_elements(arguments, call), "[", "]")


def _bag_pack(arguments: Sequence[Node], call: plan.Call) -> Node:
    pairs: dict[object, Node] = {}
    for position in range(0, len(arguments), 2):
        key_node, value = arguments[position], call.arguments[position]
        key = value.value if isinstance(value, plan.Constant) else position
        written = duckdb_convert.json_element(arguments[position + 1], call.arguments[position + 1].type)
        pairs[key] = sql.concat(duckdb_convert.json_string(key_node), sql.text(":"), written)
    return _joined(list(pairs.values()), "{", "}")


def _bind_bag_pack(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    if len(node.arguments) % 2:
        raise semantic(f"{node.name}(): expects pairs of key and value", node.at, token=node.name)
    values = binder.arguments(node, row)
    for position, value in enumerate(values):
        if value is ERROR:
            return ERROR
        if position % 2 == 0 and value.type is not KqlType.STRING:
            raise semantic(f"{node.name}(): a key must be a string, not {value.type}", node.arguments[position].at)
    return plan.Call(KqlType.DYNAMIC, row, tuple(values))


def _bind_pack_all(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    (ignore,) = binder.arguments(node, row) or (plan.Constant(KqlType.BOOL, False),)
    if ignore is ERROR:
        return ERROR
    assert isinstance(ignore, plan.Constant)
    columns = () if binder.rows is None else binder.rows.columns
    parts: list[plan.Scalar] = []
    for column in columns:
        parts.extend((plan.Constant(KqlType.STRING, column.name), plan.ColumnRef(column.type, column.id)))
    return plan.Call(KqlType.DYNAMIC, _PACK_PRESENT if ignore.value else BAG_PACK, tuple(parts))


def _pack_present(arguments: Sequence[Node], call: plan.Call) -> Node:
    """A bag of the slots whose values are neither null nor empty."""
    slots = []
    for position in range(0, len(arguments), 2):
        value, kind = arguments[position + 1], call.arguments[position + 1].type
        missing = sql.equal(value, sql.text("")) if kind is KqlType.STRING else sql.is_null(value)
        slot = sql.concat(
            duckdb_convert.json_string(arguments[position]), sql.text(":"), duckdb_convert.json_element(value, kind)
        )
        slots.append(sql.case([(sql.negation(missing), slot)]))
    joined = sql.or_empty(sql.call("array_to_string", sql.call("list_value", *slots), sql.text(",")))
    return sql.concat(sql.text("{"), joined, sql.text("}"))


def _contains_element(arguments: Sequence[Node], call: plan.Call) -> Node:
    value = duckdb_convert.json_element(arguments[1], call.arguments[1].type)
    return sql.call("list_contains", duckdb_convert.json_list(arguments[0]), value)


def _array_index_of(arguments: Sequence[Node], call: plan.Call) -> Node:
    value = duckdb_convert.json_element(arguments[1], call.arguments[1].type)
    items = duckdb_convert.json_list(arguments[0])
    if len(arguments) > 2:
        return duckdb_time.bind(items, "ls", lambda bound: _nth_index(bound, value, arguments[2:]))
    position = sql.call("list_position", items, value)
    found = sql.subtract(sql.coalesce(position, sql.number(0)), sql.number(1))
    return sql.case([(_json_type_is(arguments[0], "ARRAY"), sql.cast(found, sql.BIGINT))])


def _nth_index(items: Node, value: Node, window: Sequence[Node]) -> Node:
    """The place of the nth equal element in a window: start, length (-1 for all), occurrence."""
    length = sql.call("len", items)
    start = sql.case([(sql.binary(exp.LT, window[0], sql.number(0)), sql.add(length, window[0]))], window[0])
    place = sql.variable("i")
    conditions = [
        sql.equal(sql.call("list_extract", items, place), value),
        sql.binary(exp.GT, place, start),
    ]
    if len(window) > 1:
        inside = sql.binary(exp.LTE, place, sql.add(start, window[1]))
        conditions.append(sql.either(sql.binary(exp.LT, window[1], sql.number(0)), inside))
    places = sql.call("range", sql.number(1), sql.add(length, sql.number(1)))
    found = sql.call("list_filter", places, sql.lambda_("i", sql.both(*conditions)))
    nth = sql.call("list_extract", found, window[2] if len(window) > 2 else sql.number(1))
    return sql.case(
        [(sql.negation(sql.is_null(length)), sql.subtract(sql.coalesce(nth, sql.number(0)), sql.number(1)))]
    )


def _bag_keys(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    keys = sql.cast(sql.call("to_json", sql.call("json_keys", arguments[0])), sql.VARCHAR)
    return sql.case([(_json_type_is(arguments[0], "OBJECT"), keys)])


def _entries(bag: Node, keys: Node) -> Node:
    """A bag's slots for some of its keys, each as `"key":value`."""
    key = sql.variable("k")
    quoted = sql.call("replace", sql.call("replace", key, sql.text("~"), sql.text("~0")), sql.text("/"), sql.text("~1"))
    value = sql.cast(sql.call("json_extract", bag, sql.concat(sql.text("/"), quoted)), sql.VARCHAR)
    entry = sql.concat(duckdb_convert.json_string(key), sql.text(":"), value)
    return sql.call("list_transform", keys, sql.lambda_("k", entry))


def _bag_merge(arguments: Sequence[Node], call: plan.Call) -> Node:
    """Slots of the first bag, then those of the next that are not there yet; what is no bag counts as empty."""
    del call
    bags = [sql.case([(_json_type_is(argument, "OBJECT"), argument)], sql.text("{}")) for argument in arguments]
    merged = bags[0]
    for bag in bags[1:]:

        def join(left: Node, bag: Node = bag) -> Node:
            def body(right: Node) -> Node:
                known = sql.call("json_keys", left)
                fresh = sql.negation(sql.call("list_contains", known, sql.variable("f")))
                keys = sql.call("list_filter", sql.call("json_keys", right), sql.lambda_("f", fresh))
                slots = sql.call("list_concat", _entries(left, known), _entries(right, keys))
                return sql.concat(sql.text("{"), sql.call("array_to_string", slots, sql.text(",")), sql.text("}"))

            return duckdb_time.bind(bag, "rb", body)

        merged = duckdb_time.bind(merged, "lb", join)
    return merged


def _array_concat(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    lists = [duckdb_convert.json_list(argument) for argument in arguments]
    return duckdb_convert.json_array(lists[0] if len(lists) == 1 else sql.call("list_concat", *lists))


def _array_reverse(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    return duckdb_convert.json_array(sql.call("list_reverse", duckdb_convert.json_list(arguments[0])))


def _array_slice(arguments: Sequence[Node], call: plan.Call) -> Node:
    """Both ends count from zero and are included; a negative one counts from the end."""
    del call

    def body(items: Node) -> Node:
        length = sql.call("len", items)

        def place(index: Node) -> Node:
            from_end = sql.add(length, index)
            return sql.add(sql.case([(sql.binary(exp.LT, index, sql.number(0)), from_end)], index), sql.number(1))

        first = sql.call("greatest", place(arguments[1]), sql.number(1))
        last = sql.call("greatest", place(arguments[2]), sql.number(0))
        # A last place of zero would mean "to the end" to DuckDB.
        part = sql.call("list_slice", items, first, last)
        return sql.case([(sql.binary(exp.LT, last, first), sql.text("[]"))], duckdb_convert.json_array(part))

    return duckdb_time.bind(duckdb_convert.json_list(arguments[0]), "ls", body)


def _distinct(items: Node) -> Node:
    """Distinct elements in the order of their first appearance."""

    def body(values: Node) -> Node:
        first = sql.equal(sql.call("list_position", values, sql.variable("e")), sql.variable("i"))
        return sql.call(
            "list_filter", values, exp.Lambda(this=first, expressions=[sql.identifier("e"), sql.identifier("i")])
        )

    return duckdb_time.bind(items, "ds", body)


def _set_union(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    lists = sql.call("list_concat", *(duckdb_convert.json_list(argument) for argument in arguments))
    return duckdb_convert.json_array(_distinct(lists))


def _set_filter(arguments: Sequence[Node], *, keep: bool) -> Node:
    items = _distinct(duckdb_convert.json_list(arguments[0]))
    for argument in arguments[1:]:
        inside: Node = sql.call("list_contains", duckdb_convert.json_list(argument), sql.variable("m"))
        items = sql.call("list_filter", items, sql.lambda_("m", inside if keep else sql.negation(inside)))
    return duckdb_convert.json_array(items)


def _bind_range(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    values = binder.arguments(node, row)
    if ERROR in values:
        return ERROR
    kinds = {value.type for value in values}
    if kinds <= NUMBERS - {KqlType.DECIMAL}:
        kind = widest(KqlType.LONG, *kinds)
        values = [to(value, kind) for value in values]
    elif values[0].type not in (KqlType.DATETIME, KqlType.TIMESPAN) or values[1].type is not values[0].type:
        raise semantic(f"range(): no steps from {values[0].type} to {values[1].type}", node.at, token=node.name)
    elif len(values) == 2:
        values.append(plan.Constant(KqlType.TIMESPAN, ticks.PER_HOUR))
    return plan.Call(KqlType.DYNAMIC, row, tuple(values))


def _range(arguments: Sequence[Node], call: plan.Call) -> Node:
    kind = call.arguments[0].type
    start, stop = arguments[0], arguments[1]
    step = arguments[2] if len(arguments) == 3 else sql.number(1)
    if kind is KqlType.REAL:
        way = sql.subtract(stop, start)
        places = sql.call("floor", sql.binary(exp.Div, way, step))
        known = [
            (sql.is_null(way), exp.Null()),
            (sql.equal(step, sql.number(0)), sql.number(-1)),
            (sql.call("isfinite", places), _at_most(places, _LAST_PLACE)),
        ]
        count = sql.try_cast(sql.case(known), sql.BIGINT)
        series = sql.call("generate_series", sql.number(0), count)
        element = sql.add(start, sql.multiply(step, sql.variable("e")))
    else:
        series = sql.call("generate_series", start, _reached(start, stop, step), step)
        element = sql.variable("e")
    written = duckdb_convert.json_of(element, kind)
    return duckdb_convert.json_array(sql.call("list_transform", series, sql.lambda_("e", written)))


def _at_most(value: Node, most: Node) -> Node:
    """The smaller of the two; null where the value is null, which least() would pass over."""
    return sql.case([(sql.binary(exp.GT, value, most), most)], value)


def _reached(start: Node, stop: Node, step: Node) -> Node:
    """Where a series ends that has as many values as KQL keeps: what lies beyond is never made."""
    furthest = sql.add(sql.cast(start, sql.HUGEINT), sql.multiply(sql.cast(step, sql.HUGEINT), _LAST_PLACE))
    upward = sql.binary(exp.GT, step, sql.number(0))
    beyond = sql.case([(upward, sql.binary(exp.GT, stop, furthest))], sql.binary(exp.LT, stop, furthest))
    return sql.case([(beyond, sql.try_cast(furthest, sql.BIGINT))], stop)


BAG_PACK = Function(
    "bag_pack",
    (anything("key"), anything("value")),
    KqlType.DYNAMIC,
    duckdb(_bag_pack),
    ("pack", "pack_dictionary"),
    variadic=True,
    never_null=True,
    least=2,
    bind=_bind_bag_pack,
    page="pack-function",
)

_PACK_PRESENT = Function("pack_all", (), KqlType.DYNAMIC, duckdb(_pack_present), never_null=True)

FUNCTIONS = (
    Function(
        "array_length", (dynamic("array"),), KqlType.LONG, duckdb(_array_length), ("arraylength",), makes_null=True
    ),
    Function(
        "pack_array",
        (anything("value"),),
        KqlType.DYNAMIC,
        duckdb(_pack_array),
        variadic=True,
        never_null=True,
        least=0,
    ),
    BAG_PACK,
    Function(
        "pack_all",
        (param("ignore_null_empty", KqlType.BOOL, literal=True),),
        KqlType.DYNAMIC,
        optional=1,
        bind=_bind_pack_all,
        never_null=True,
    ),
    Function(
        "set_has_element", (dynamic("set"), anything("value")), KqlType.BOOL, duckdb(_contains_element), makes_null=True
    ),
    Function(
        "array_index_of",
        (dynamic("array"), anything("value"), whole("start"), whole("length"), whole("occurrence")),
        KqlType.LONG,
        duckdb(_array_index_of),
        optional=3,
        makes_null=True,
    ),
    Function("bag_keys", (dynamic("object"),), KqlType.DYNAMIC, duckdb(_bag_keys), makes_null=True),
    Function(
        "bag_merge", (dynamic("bag"),), KqlType.DYNAMIC, duckdb(_bag_merge), variadic=True, never_null=True, least=2
    ),
    Function(
        "array_concat", (dynamic("array"),), KqlType.DYNAMIC, duckdb(_array_concat), variadic=True, makes_null=True
    ),
    Function("array_reverse", (dynamic("array"),), KqlType.DYNAMIC, duckdb(_array_reverse), makes_null=True),
    Function(
        "array_slice",
        (dynamic("array"), whole("start"), whole("end")),
        KqlType.DYNAMIC,
        duckdb(_array_slice),
        makes_null=True,
    ),
    Function(
        "set_union", (dynamic("set"),), KqlType.DYNAMIC, duckdb(_set_union), variadic=True, makes_null=True, least=2
    ),
    Function(
        "set_intersect",
        (dynamic("set"),),
        KqlType.DYNAMIC,
        duckdb(lambda arguments, _: _set_filter(arguments, keep=True)),
        variadic=True,
        makes_null=True,
        least=2,
    ),
    Function(
        "set_difference",
        (dynamic("set"),),
        KqlType.DYNAMIC,
        duckdb(lambda arguments, _: _set_filter(arguments, keep=False)),
        variadic=True,
        makes_null=True,
        least=2,
    ),
    Function(
        "range",
        (anything("start"), anything("stop"), anything("step")),
        KqlType.DYNAMIC,
        duckdb(_range),
        optional=1,
        makes_null=True,
        bind=_bind_range,
        page="range-function",
    ),
)
