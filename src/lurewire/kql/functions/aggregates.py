"""Aggregates of summarize. dcount counts exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql import limits, plan, tree
from lurewire.kql.dialects import duckdb_convert, sql
from lurewire.kql.errors import semantic
from lurewire.kql.naming import result_name
from lurewire.kql.types import ALL_TYPES, INTEGERS, NUMBERS, KqlType

from . import digests
from .registry import Aggregate, Param, anything, ordered, same_as

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lurewire.kql.dialects.sql import Node
    from lurewire.kql.udf import Udf

    Lower = Callable[[Sequence[Node], plan.AggregateCall, Node | None, Sequence[Node]], list[Node]]

_SUMMABLE = NUMBERS | {KqlType.TIMESPAN, KqlType.DYNAMIC}
_AVERAGED = NUMBERS | {KqlType.TIMESPAN, KqlType.DATETIME, KqlType.DYNAMIC}


def _duckdb(lower: Lower) -> Mapping[str, Lower]:
    return {"duckdb": lower}


def _over(
    name: str, value: Node | None, condition: Node | None, *, distinct: bool = False, order: Sequence[Node] = ()
) -> Node:
    """An aggregate of the engine, with its filter."""
    arguments: list[Node] = [] if value is None else [value]
    if distinct:
        arguments = [exp.Distinct(expressions=arguments)]
    if order:
        arguments = [exp.Order(this=arguments[0], expressions=list(order))]
    node: Node = sql.call(name, *arguments)
    return node if condition is None else exp.Filter(this=node, expression=exp.Where(this=condition))


def _present(value: Node, condition: Node | None) -> Node:
    not_null = sql.negation(sql.is_null(value))
    return not_null if condition is None else sql.both(not_null, condition)


def _count(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    del arguments, call, order
    return [_over("count", exp.Star(), condition)]


def _dcount(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    del call, order
    return [_over("count", arguments[0], condition, distinct=True)]


def _sum(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    del order
    total = _over("sum", arguments[0], condition)
    return [sql.cast(sql.coalesce(total, sql.number(0)), duckdb_convert.STORAGE[call.types[0]])]


def _avg(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    del order
    value, kind = arguments[0], call.types[0]
    if kind is KqlType.REAL:
        return [sql.coalesce(_over("avg", value, condition), sql.cast(sql.text("nan"), sql.DOUBLE))]
    total, count = _over("sum", value, condition), _over("count", value, condition)
    if kind is KqlType.DECIMAL:
        return [sql.cast(_over("avg", value, condition), sql.decimal_type())]
    # Through double a mean of ticks would lose its last digits.
    return [sql.cast(sql.whole_divide(total, sql.call("nullif", count, sql.number(0))), sql.BIGINT)]


def _extreme(name: str) -> Lower:
    def lower(
        arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
    ) -> list[Node]:
        del order
        node = _over(name, arguments[0], condition)
        return [sql.or_empty(node) if call.types[0] is KqlType.STRING else node]

    return lower


def _array(items: Node, call: plan.AggregateCall) -> list[Node]:
    kept = limits.LIST_ELEMENTS.value if call.limit is None else call.limit
    part = sql.call("list_slice", items, sql.number(1), sql.number(max(kept, 0)))
    if kept <= 0:
        return [sql.text("[]")]
    return [sql.coalesce(duckdb_convert.json_array(part), sql.text("[]"))]


def _make_list(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    value, kind = arguments[0], call.arguments[0].type
    present = _present(value, condition) if plan.may_be_null(call.arguments[0]) else condition
    if kind is not KqlType.DYNAMIC:
        return _array(_over("list", duckdb_convert.json_of(value, kind), present, order=order), call)
    return _array(sql.call("flatten", _over("list", _elements(value), present, order=order)), call)


def _elements(value: Node) -> Node:
    """The elements of an array, or the one value that is none: lists and sets are made of these."""
    return sql.coalesce(duckdb_convert.json_list(value), sql.call("list_value", value))


def _make_list_with_nulls(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    written = duckdb_convert.json_element(arguments[0], call.arguments[0].type)
    return _array(_over("list", written, condition, order=order), call)


def _make_set(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    del order
    value, kind = arguments[0], call.arguments[0].type
    present = _present(value, condition) if plan.may_be_null(call.arguments[0]) else condition
    if kind is not KqlType.DYNAMIC:
        return _array(_over("list", duckdb_convert.json_of(value, kind), present, distinct=True), call)
    flat = sql.call("list_distinct", sql.call("flatten", _over("list", _elements(value), present)))
    return _array(flat, call)


def _make_bag(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    """One bag of all slots; of slots with the same key one is kept."""
    del order
    is_bag = sql.equal(sql.call("json_type", arguments[0]), sql.text("OBJECT"))
    bags = _over("list", arguments[0], is_bag if condition is None else sql.both(is_bag, condition))
    key, bag = sql.variable("k"), sql.variable("b")
    quoted = sql.call("replace", sql.call("replace", key, sql.text("~"), sql.text("~0")), sql.text("/"), sql.text("~1"))
    value = sql.cast(sql.call("json_extract", bag, sql.concat(sql.text("/"), quoted)), sql.VARCHAR)
    pair = sql.call("list_value", key, value)
    slots = sql.call(
        "flatten",
        sql.call(
            "list_transform",
            bags,
            sql.lambda_("b", sql.call("list_transform", sql.call("json_keys", bag), sql.lambda_("k", pair))),
        ),
    )
    keys = sql.call(
        "list_transform",
        sql.variable("ps"),
        sql.lambda_("p", sql.call("list_extract", sql.variable("p"), sql.number(1))),
    )
    entry = sql.variable("e")
    first = sql.equal(
        sql.call("list_position", keys, sql.call("list_extract", entry, sql.number(1))), sql.variable("i")
    )
    kept = sql.call(
        "list_filter",
        sql.variable("ps"),
        exp.Lambda(this=first, expressions=[sql.identifier("e"), sql.identifier("i")]),
    )
    most = limits.LIST_ELEMENTS.value if call.limit is None else call.limit
    kept = sql.call("list_slice", kept, sql.number(1), sql.number(most))
    written = sql.concat(
        duckdb_convert.json_string(sql.call("list_extract", sql.variable("w"), sql.number(1))),
        sql.text(":"),
        sql.call("list_extract", sql.variable("w"), sql.number(2)),
    )
    joined = sql.call("array_to_string", sql.call("list_transform", kept, sql.lambda_("w", written)), sql.text(","))
    bag_text = sql.concat(sql.text("{"), joined, sql.text("}"))
    bound = sql.call("list_transform", sql.call("list_value", slots), sql.lambda_("ps", bag_text))
    return [sql.coalesce(sql.call("list_extract", bound, sql.number(1)), sql.text("{}"))]


def _take_any(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    del order
    if len(arguments) == 1:
        node = _over("any_value", arguments[0], condition)
        return [sql.or_empty(node) if call.types[0] is KqlType.STRING else node]
    return _fields(_over("first", _struct(arguments), condition), call)


def _struct(values: Sequence[Node]) -> Node:
    return exp.Struct(
        expressions=[
            exp.PropertyEQ(this=sql.identifier(f"f{position}"), expression=value)
            for position, value in enumerate(values)
        ]
    )


def _fields(record: Node, call: plan.AggregateCall) -> list[Node]:
    """Each field of the chosen record; a string is empty, not null, where there is no record."""
    nodes = []
    for position, kind in enumerate(call.types):
        node = sql.call("struct_extract", record, sql.text(f"f{position}"))
        nodes.append(sql.or_empty(node) if kind is KqlType.STRING else node)
    return nodes


def _arg(name: str) -> Lower:
    def lower(
        arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
    ) -> list[Node]:
        del order
        record = _struct(arguments)
        best: Node = sql.call(name, record, arguments[0])
        any_record: Node = sql.call("first", record)
        if condition is not None:
            best = exp.Filter(this=best, expression=exp.Where(this=condition))
            any_record = exp.Filter(this=any_record, expression=exp.Where(this=condition))
        # Where the maximized value is null in every row, some row still stands for the group.
        return _fields(sql.coalesce(best, any_record), call)

    return lower


def _statistic(name: str, empty: float | None) -> Lower:
    def lower(
        arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
    ) -> list[Node]:
        del call, order
        node = _over(name, arguments[0], condition)
        return [node if empty is None else sql.coalesce(node, sql.cast(sql.number(int(empty)), sql.DOUBLE))]

    return lower


def _sum_type(arguments: Sequence[plan.Scalar]) -> KqlType:
    return KqlType.LONG if arguments[0].type in INTEGERS else arguments[0].type


def _avg_type(arguments: Sequence[plan.Scalar]) -> KqlType:
    return KqlType.REAL if arguments[0].type in INTEGERS else arguments[0].type


def _pair(row: Aggregate, name: str, *aliases: str, prefix: str | None = None, page: str | None = None) -> Aggregate:
    """The -if form of an aggregate."""
    return Aggregate(
        name,
        row.params,
        row.result,
        row.lower,
        prefix if prefix is not None else row.prefix,
        aliases,
        row.optional,
        conditional=True,
        sized=row.sized,
        deterministic=row.deterministic,
        ordered=row.ordered,
        page=page,
    )


def _collected(items: Node) -> Node:
    """Collected JSON texts as one array; empty over nothing."""
    return sql.coalesce(duckdb_convert.json_array(items), sql.text("[]"))


def _script(udf: Udf) -> Lower:
    """A function in Python over the values, each as JSON."""

    def lower(
        arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
    ) -> list[Node]:
        del order
        written = duckdb_convert.json_of(arguments[0], call.arguments[0].type)
        items = _over("list", written, _present(arguments[0], condition))
        return [sql.call(udf.sql_name, _collected(items))]

    return lower


def _hll(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    del order
    written = duckdb_convert.json_of(arguments[0], call.arguments[0].type)
    items = _over("list", written, _present(arguments[0], condition), distinct=True)
    return [sql.call(digests.SKETCH.sql_name, _collected(items))]


def _weights(arguments: Sequence[Node], condition: Node | None) -> Node:
    """Values with their weights as an array of pairs; the weight is one where none is given."""
    value = arguments[0]
    weight = arguments[1] if len(arguments) > 1 else sql.number(1)
    shown = [sql.cast(side, sql.VARCHAR) for side in (value, weight)]
    pair = sql.concat(sql.text("["), shown[0], sql.text(","), shown[1], sql.text("]"))
    present = _present(value, condition)
    if len(arguments) > 1:
        present = sql.both(sql.negation(sql.is_null(weight)), present)
    return _collected(_over("list", pair, present))


def _tdigest(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    del call, order
    return [sql.call(digests.DIGEST.sql_name, _weights(arguments[:2], condition))]


def _percents(call: plan.AggregateCall, first: int) -> list[float]:
    """The percentiles that a call asks for, one by one or as a literal array."""
    found: list[float] = []
    for argument in call.arguments[first:]:
        assert isinstance(argument, plan.Constant)
        value = argument.value
        given = json.loads(str(value)) if argument.type is KqlType.DYNAMIC and value is not None else [value]
        for item in given if isinstance(given, list) else [given]:
            if isinstance(item, bool) or not isinstance(item, int | float | Decimal) or not 0 <= item <= 100:
                message = f"{call.aggregate.name}(): '{item}' is no percentile between 0 and 100"
                raise semantic(message, 0)
            found.append(float(item))
    return found


def _share(percent: float) -> Node:
    # A decimal literal: 0.55 as a double is a little more, and would take the next value.
    return exp.Literal(this=f"{Decimal(str(percent)) / 100:f}", is_string=False)


def _percentiles(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    """The nearest rank: the least value at or below which that share of the values lies."""
    del order
    shares = [_share(percent) for percent in _percents(call, 1)]
    name = "quantile_disc"
    return [_filtered(sql.call(name, arguments[0], share), condition) for share in shares]


def _filtered(node: Node, condition: Node | None) -> Node:
    return node if condition is None else exp.Filter(this=node, expression=exp.Where(this=condition))


def _percentiles_array(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    found = _percentiles(arguments, call, condition, order)
    kind = call.arguments[0].type
    listed = sql.call("list_value", *(duckdb_convert.json_of(node, kind) for node in found))
    array = duckdb_convert.json_array(listed)
    return [sql.case([(sql.negation(sql.is_null(found[0])), array)])] if found else [sql.text("[]")]


def _weighted(arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None) -> Node:
    percents = sql.text(json.dumps(_percents(call, 2)))
    return sql.call(digests.WEIGHTED.sql_name, _weights(arguments[:2], condition), percents)


def _percentilesw(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    del order
    found = _weighted(arguments, call, condition)
    return [
        sql.cast(sql.call("json_extract_string", found, sql.text(f"$[{place}]")), duckdb_convert.STORAGE[kind])
        for place, kind in enumerate(call.types)
    ]


def _percentilesw_array(
    arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
) -> list[Node]:
    del order
    kind = call.arguments[0].type
    items = duckdb_convert.text_list(_weighted(arguments, call, condition))
    element = sql.cast(sql.variable("e"), duckdb_convert.STORAGE[kind])
    written = sql.call("list_transform", items, sql.lambda_("e", duckdb_convert.json_of(element, kind)))
    return [duckdb_convert.json_array(written)]


def _labels(first: int) -> Callable[[tree.Call], tuple[str, ...]]:
    """`percentile_x_95`, `percentile_x_99_9`."""

    def labels(node: tree.Call) -> tuple[str, ...]:
        inner = (result_name(node.arguments[0]) or "") if node.arguments else ""
        shown = [str(item.value) if isinstance(item, tree.Literal) else "" for item in node.arguments[first:]]
        return tuple(f"percentile_{inner}_{item.removesuffix('.0').replace('.', '_')}" for item in shown)

    return labels


def _paired(name: str) -> Lower:
    def lower(
        arguments: Sequence[Node], call: plan.AggregateCall, condition: Node | None, order: Sequence[Node]
    ) -> list[Node]:
        del call, order
        node = sql.call(name, arguments[0], arguments[1])
        return [_filtered(node, condition)]

    return lower


_VALUE = (anything("expr"),)
_COUNT = Aggregate("count", (anything("expr"),), KqlType.LONG, _duckdb(_count), "count", optional=1)
_DCOUNT = Aggregate(
    "dcount",
    (Param("expr"), Param("accuracy", INTEGERS, None, literal=True)),
    KqlType.LONG,
    _duckdb(_dcount),
    "dcount",
    optional=1,
)
_COUNT_DISTINCT = Aggregate("count_distinct", _VALUE, KqlType.LONG, _duckdb(_dcount), "count_distinct")
_SUM = Aggregate("sum", (Param("expr", _SUMMABLE),), _sum_type, _duckdb(_sum), "sum")
_AVG = Aggregate("avg", (Param("expr", _AVERAGED),), _avg_type, _duckdb(_avg), "avg")
_MIN = Aggregate("min", (ordered("expr"),), same_as(0), _duckdb(_extreme("min")), "min")
_MAX = Aggregate("max", (ordered("expr"),), same_as(0), _duckdb(_extreme("max")), "max")
_LIST = Aggregate(
    "make_list", _VALUE, KqlType.DYNAMIC, _duckdb(_make_list), "list", ("makelist",), sized=True, ordered=True
)
_SET = Aggregate("make_set", _VALUE, KqlType.DYNAMIC, _duckdb(_make_set), "set", ("makeset",), sized=True)
_BAG = Aggregate(
    "make_bag", (Param("expr", frozenset({KqlType.DYNAMIC})),), KqlType.DYNAMIC, _duckdb(_make_bag), "bag", sized=True
)
_ANY = Aggregate("take_any", _VALUE, same_as(0), _duckdb(_take_any), None, several=True, deterministic=False)
_ANY_IF = Aggregate("take_anyif", _VALUE, same_as(0), _duckdb(_take_any), None, conditional=True, deterministic=False)
_REALS = (Param("expr", NUMBERS | {KqlType.DYNAMIC}, KqlType.REAL),)
_STDEV = Aggregate("stdev", _REALS, KqlType.REAL, _duckdb(_statistic("stddev_samp", 0)), "stdev")
_VARIANCE = Aggregate("variance", _REALS, KqlType.REAL, _duckdb(_statistic("var_samp", 0)), "variance")

_STDEVP = Aggregate("stdevp", _REALS, KqlType.REAL, _duckdb(_statistic("stddev_pop", 0)), "stdevp")
_VARIANCEP = Aggregate("variancep", _REALS, KqlType.REAL, _duckdb(_statistic("var_pop", 0)), "variancep")
_COVARIANCE = Aggregate("covariance", _REALS * 2, KqlType.REAL, _duckdb(_paired("covar_samp")), "covariance")
_COVARIANCEP = Aggregate("covariancep", _REALS * 2, KqlType.REAL, _duckdb(_paired("covar_pop")), "covariancep")
_RANKED = Param("expr", _AVERAGED - {KqlType.DECIMAL})
_WEIGHT = Param("weight", NUMBERS - {KqlType.DECIMAL})
_PERCENT = Param("percentile", NUMBERS, None, literal=True)
_PERCENTS = Param("percentile", ALL_TYPES, None, literal=True)
_DYNAMIC = (Param("expr", frozenset({KqlType.DYNAMIC})),)
_PERCENTILES_PAGE = "percentiles-aggregation-function"
_WEIGHTED_PAGE = "percentilesw-aggregation-function"
_HLL = Aggregate(
    "hll",
    (Param("expr"), Param("accuracy", INTEGERS, None, literal=True)),
    KqlType.DYNAMIC,
    _duckdb(_hll),
    "hll",
    optional=1,
)

AGGREGATES = (
    _COUNT,
    replace(_COUNT, name="cnt", prefix="cnt", page="count-aggregation-function"),
    Aggregate("countif", (), KqlType.LONG, _duckdb(_count), "countif", conditional=True),
    _DCOUNT,
    _pair(_DCOUNT, "dcountif", prefix="dcountif"),
    _COUNT_DISTINCT,
    _pair(_COUNT_DISTINCT, "count_distinctif", prefix="count_distinctif"),
    _SUM,
    _pair(_SUM, "sumif", prefix="sumif"),
    _AVG,
    _pair(_AVG, "avgif", prefix="avgif"),
    _MIN,
    _pair(_MIN, "minif", prefix="minif"),
    _MAX,
    _pair(_MAX, "maxif", prefix="maxif"),
    _LIST,
    _pair(_LIST, "make_list_if"),
    Aggregate("make_list_with_nulls", _VALUE, KqlType.DYNAMIC, _duckdb(_make_list_with_nulls), "list", ordered=True),
    _SET,
    _pair(_SET, "make_set_if"),
    _BAG,
    _pair(_BAG, "make_bag_if"),
    replace(_BAG, name="make_dictionary", prefix="dictionary", page="make-bag-aggregation-function"),
    _ANY,
    Aggregate(
        "any",
        _VALUE,
        same_as(0),
        _duckdb(_take_any),
        "any",
        several=True,
        deterministic=False,
        page="take-any-aggregation-function",
    ),
    _ANY_IF,
    replace(_ANY_IF, name="anyif", prefix="anyif", page="take-anyif-aggregation-function"),
    Aggregate("arg_max", _VALUE, same_as(0), _duckdb(_arg("arg_max")), None, ("argmax",), several=True),
    Aggregate("arg_min", _VALUE, same_as(0), _duckdb(_arg("arg_min")), None, ("argmin",), several=True),
    _STDEV,
    _pair(_STDEV, "stdevif", prefix="stdevif"),
    _STDEVP,
    _VARIANCE,
    _pair(_VARIANCE, "varianceif", prefix="varianceif"),
    _VARIANCEP,
    # The engine's documented answer of variancepif() is that of a sample, unlike variancep().
    _pair(_VARIANCE, "variancepif", prefix="variancepif"),
    _COVARIANCE,
    _pair(_COVARIANCE, "covarianceif", prefix="covarianceif"),
    _COVARIANCEP,
    _pair(_COVARIANCEP, "covariancepif", prefix="covariancepif"),
    *(
        Aggregate(
            name,
            (_RANKED, _PERCENT),
            same_as(0),
            _duckdb(_percentiles),
            "percentile",
            page=_PERCENTILES_PAGE,
            variadic=name == "percentiles",
            labels=_labels(1),
        )
        for name in ("percentile", "percentiles")
    ),
    Aggregate(
        "percentiles_array",
        (_RANKED, _PERCENTS),
        KqlType.DYNAMIC,
        _duckdb(_percentiles_array),
        "percentiles",
        page=_PERCENTILES_PAGE,
        variadic=True,
    ),
    *(
        Aggregate(
            name,
            (_RANKED, _WEIGHT, _PERCENT),
            same_as(0),
            _duckdb(_percentilesw),
            "percentile",
            page=_WEIGHTED_PAGE,
            variadic=name == "percentilesw",
            labels=_labels(2),
        )
        for name in ("percentilew", "percentilesw")
    ),
    Aggregate(
        "percentilesw_array",
        (_RANKED, _WEIGHT, _PERCENTS),
        KqlType.DYNAMIC,
        _duckdb(_percentilesw_array),
        "percentiles",
        page=_WEIGHTED_PAGE,
        variadic=True,
    ),
    _HLL,
    _pair(_HLL, "hll_if", prefix="hll_if"),
    Aggregate("hll_merge", _DYNAMIC, KqlType.DYNAMIC, _duckdb(_script(digests.MERGED_SKETCH)), "hll_merge"),
    Aggregate("tdigest", (_RANKED, _WEIGHT), KqlType.DYNAMIC, _duckdb(_tdigest), "tdigest", optional=1),
    Aggregate(
        "tdigest_merge",
        _DYNAMIC,
        KqlType.DYNAMIC,
        _duckdb(_script(digests.MERGED_DIGEST)),
        "merge_tdigests",
        ("merge_tdigest",),
    ),
    Aggregate("buildschema", _DYNAMIC, KqlType.DYNAMIC, _duckdb(_script(digests.SCHEMA)), "schema"),
    *(
        Aggregate(
            f"binary_all_{word}",
            (Param("expr", INTEGERS),),
            KqlType.LONG,
            _duckdb(_statistic(f"bit_{word}", None)),
        )
        for word in ("and", "or", "xor")
    ),
)
