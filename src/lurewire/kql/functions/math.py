"""Numbers: bin(), round(), abs(), powers, logarithms, bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql import plan
from lurewire.kql.conversions import to, widest
from lurewire.kql.dialects import sql
from lurewire.kql.errors import semantic
from lurewire.kql.scope import ERROR
from lurewire.kql.types import INTEGERS, NUMBERS, KqlType

from .common import duckdb, named
from .registry import Function, Param, number, real, same_as, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.kql import tree
    from lurewire.kql.binder import ExpressionBinder
    from lurewire.kql.dialects.sql import Node

_BINNABLE = NUMBERS | {KqlType.DATETIME, KqlType.TIMESPAN, KqlType.DYNAMIC}


def _bind_bin(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    value, size = binder.arguments(node, row)
    return ERROR if ERROR in (value, size) else _bin(value, size, node.at)


def _bind_floor(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """floor(x) rounds down; floor(x, size) is bin()."""
    values = binder.arguments(node, row)
    if ERROR in values:
        return ERROR
    if len(values) == 2:
        return _bin(values[0], values[1], node.at)
    return values[0] if values[0].type in INTEGERS else plan.Call(KqlType.REAL, row, (to(values[0], KqlType.REAL),))


def _bin(value: plan.Scalar, size: plan.Scalar, at: int) -> plan.Scalar:
    if value.type in NUMBERS and size.type in NUMBERS:
        kind = widest(value.type, size.type)
        return plan.Bin(kind, to(value, kind), to(size, kind))
    if value.type in (KqlType.DATETIME, KqlType.TIMESPAN) and size.type is KqlType.TIMESPAN:
        return plan.Bin(value.type, value, size)
    raise semantic(f"bin() cannot round {value.type} to {size.type}", at)


def _round(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    if len(arguments) == 1:
        return sql.call("round", arguments[0])
    return sql.call("round", arguments[0], sql.cast(arguments[1], sql.INTEGER))


def _bind_abs(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    (value,) = binder.arguments(node, row)
    if value is ERROR:
        return value
    kind = KqlType.LONG if value.type is KqlType.INT else value.type
    return plan.Call(kind, row, (to(value, kind),))


def _sign(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    return sql.cast(sql.call("sign", arguments[0]), sql.DOUBLE)


def _real_function(name: str, duckdb_name: str | None = None) -> Function:
    return Function(name, (real("number"),), KqlType.REAL, named(duckdb_name or name), naming="first")


def _logarithm(name: str, duckdb_name: str) -> Function:
    """Null below zero; minus infinity at it, where DuckDB's stops."""

    def lower(arguments: Sequence[Node], call: plan.Call) -> Node:
        del call
        zero = sql.number(0)
        above, at = (sql.binary(kind, arguments[0], zero) for kind in (exp.GT, exp.EQ))
        below_all = sql.cast(sql.text("-Infinity"), sql.DOUBLE)
        return sql.case([(above, sql.call(duckdb_name, arguments[0])), (at, below_all)])

    return Function(name, (real("number"),), KqlType.REAL, duckdb(lower), makes_null=True, naming="first")


def _sqrt(arguments: Sequence[Node], call: plan.Call) -> Node:
    del call
    return sql.case([(sql.binary(exp.GTE, arguments[0], sql.number(0)), sql.call("sqrt", arguments[0]))])


def _of_a_ratio(name: str) -> Function:
    """An inverse of the sine or cosine: null beyond one; not a number of what is none."""

    def lower(arguments: Sequence[Node], call: plan.Call) -> Node:
        del call
        beyond = sql.binary(exp.GT, sql.call("abs", arguments[0]), sql.number(1))
        outside = sql.both(beyond, sql.negation(sql.call("isnan", arguments[0])))
        return sql.case([(outside, sql.NULL.copy())], sql.call(name, arguments[0]))

    return Function(name, (real("number"),), KqlType.REAL, duckdb(lower), makes_null=True, naming="first")


FUNCTIONS = (
    Function(
        "bin",
        (Param("value", _BINNABLE - {KqlType.DYNAMIC}), Param("roundTo", _BINNABLE - {KqlType.DYNAMIC})),
        same_as(0),
        naming="first",
        bind=_bind_bin,
    ),
    Function(
        "floor",
        (Param("value", _BINNABLE), Param("roundTo", _BINNABLE)),
        same_as(0),
        named("floor"),
        optional=1,
        naming="first",
        bind=_bind_floor,
    ),
    Function("ceiling", (real("number"),), KqlType.REAL, named("ceil"), naming="first"),
    Function("round", (real("number"), whole("precision")), KqlType.REAL, duckdb(_round), optional=1, naming="first"),
    Function(
        "abs",
        (Param("number", NUMBERS | {KqlType.TIMESPAN, KqlType.DYNAMIC}),),
        same_as(0),
        named("abs"),
        naming="first",
        bind=_bind_abs,
    ),
    Function("sign", (number("number"),), KqlType.REAL, duckdb(_sign)),
    Function("pow", (real("base"), real("exponent")), KqlType.REAL, named("pow"), naming="first"),
    Function("sqrt", (real("number"),), KqlType.REAL, duckdb(_sqrt), makes_null=True, naming="first"),
    _logarithm("log", "ln"),
    _logarithm("log2", "log2"),
    _logarithm("log10", "log10"),
    _real_function("exp"),
    Function(
        "exp2",
        (real("number"),),
        KqlType.REAL,
        duckdb(lambda arguments, _: sql.call("pow", sql.cast(sql.number(2), sql.DOUBLE), arguments[0])),
        naming="first",
    ),
    Function(
        "exp10",
        (real("number"),),
        KqlType.REAL,
        duckdb(lambda arguments, _: sql.call("pow", sql.cast(sql.number(10), sql.DOUBLE), arguments[0])),
        naming="first",
    ),
    *(_real_function(name) for name in ("sin", "cos", "tan", "atan")),
    *(_of_a_ratio(name) for name in ("asin", "acos")),
    Function("cot", (real("number"),), KqlType.REAL, named("cot")),
    Function("atan2", (real("y"), real("x")), KqlType.REAL, named("atan2"), naming="first"),
    Function("degrees", (real("radians"),), KqlType.REAL, named("degrees")),
    Function("radians", (real("degrees"),), KqlType.REAL, named("radians")),
    Function("pi", (), KqlType.REAL, named("pi"), never_null=True),
    Function(
        "binary_and",
        (whole("left"), whole("right")),
        KqlType.LONG,
        duckdb(lambda arguments, _: sql.binary(exp.BitwiseAnd, arguments[0], arguments[1])),
        naming="first",
    ),
    Function(
        "binary_or",
        (whole("left"), whole("right")),
        KqlType.LONG,
        duckdb(lambda arguments, _: sql.binary(exp.BitwiseOr, arguments[0], arguments[1])),
        naming="first",
    ),
    Function("binary_xor", (whole("left"), whole("right")), KqlType.LONG, named("xor"), naming="first"),
    Function(
        "binary_not",
        (whole("value"),),
        KqlType.LONG,
        duckdb(lambda arguments, _: sql.subtract(sql.number(-1), arguments[0])),
        naming="first",
    ),
)
