"""Conversions and tests of types: tostring(), toint(), isempty(), gettype() and their kin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql import plan
from lurewire.kql.conversions import to
from lurewire.kql.dialects import duckdb_convert, sql
from lurewire.kql.scope import ERROR
from lurewire.kql.types import KqlType

from .common import duckdb, named
from .registry import Function, anything, real, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.kql import tree
    from lurewire.kql.binder import ExpressionBinder
    from lurewire.kql.dialects.sql import Node


def _bind_conversion(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    (value,) = binder.arguments(node, row)
    assert isinstance(row.result, KqlType)
    return value if value is ERROR or value.type is row.result else to(value, row.result)


def _conversion(name: str, kind: KqlType, *aliases: str) -> Function:
    return Function(name, (anything("value"),), kind, aliases=aliases, naming="first", bind=_bind_conversion)


def _bind_parse_json(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    (value,) = binder.arguments(node, row)
    if value is ERROR or value.type is KqlType.DYNAMIC:
        return value
    if value.type is not KqlType.STRING:
        return to(value, KqlType.DYNAMIC)
    return plan.Call(KqlType.DYNAMIC, row, (value,))


def _is_empty(arguments: Sequence[Node], call: plan.Call) -> Node:
    argument = call.arguments[0]
    if argument.type is KqlType.STRING:
        return sql.equal(arguments[0], sql.text(""))
    if argument.type is KqlType.DYNAMIC:
        return sql.coalesce(exp.In(this=sql.atom(arguments[0]), expressions=[sql.text('""')]), sql.boolean(True))
    return sql.is_null(arguments[0])


def _is_null(arguments: Sequence[Node], call: plan.Call) -> Node:
    if call.arguments[0].type is KqlType.STRING:
        return sql.boolean(False)
    return sql.is_null(arguments[0])


def _is_not_empty(arguments: Sequence[Node], call: plan.Call) -> Node:
    return sql.negation(_is_empty(arguments, call))


def _is_not_null(arguments: Sequence[Node], call: plan.Call) -> Node:
    return sql.negation(_is_null(arguments, call))


_TYPE_OF_JSON = (
    ("ARRAY", "array"),
    ("OBJECT", "dictionary"),
    ("VARCHAR", "string"),
    ("BOOLEAN", "bool"),
    ("DOUBLE", "double"),
)


def _gettype(arguments: Sequence[Node], call: plan.Call) -> Node:
    kind = call.arguments[0].type
    if kind is not KqlType.DYNAMIC:
        return sql.text("real" if kind is KqlType.REAL else kind.value)
    found = sql.call("json_type", arguments[0])
    branches = [(sql.equal(found, sql.text(name)), sql.text(shown)) for name, shown in _TYPE_OF_JSON]
    return sql.case([(sql.is_null(found), sql.text("null")), *branches], sql.text("long"))


FUNCTIONS = (
    _conversion("tostring", KqlType.STRING),
    _conversion("toint", KqlType.INT),
    _conversion("tolong", KqlType.LONG),
    _conversion("toreal", KqlType.REAL, "todouble"),
    _conversion("todecimal", KqlType.DECIMAL),
    _conversion("tobool", KqlType.BOOL, "toboolean"),
    _conversion("todatetime", KqlType.DATETIME),
    _conversion("totimespan", KqlType.TIMESPAN, "totime"),
    _conversion("toguid", KqlType.GUID),
    Function(
        "parse_json",
        (anything("json"),),
        KqlType.DYNAMIC,
        duckdb(lambda arguments, _: duckdb_convert.parse_json(arguments[0])),
        aliases=("todynamic", "parsejson", "toobject"),
        makes_null=True,
        naming="first",
        bind=_bind_parse_json,
    ),
    Function("isempty", (anything("value"),), KqlType.BOOL, duckdb(_is_empty), never_null=True),
    Function("isnotempty", (anything("value"),), KqlType.BOOL, duckdb(_is_not_empty), ("notempty",), never_null=True),
    Function("isnull", (anything("value"),), KqlType.BOOL, duckdb(_is_null), never_null=True),
    Function("isnotnull", (anything("value"),), KqlType.BOOL, duckdb(_is_not_null), ("notnull",), never_null=True),
    Function(
        "gettype",
        (anything("value"),),
        KqlType.STRING,
        duckdb(_gettype),
        never_null=True,
        naming="prefix_first",
        label="type",
    ),
    Function("isnan", (real("number"),), KqlType.BOOL, named("isnan")),
    Function("isinf", (real("number"),), KqlType.BOOL, named("isinf")),
    Function("isfinite", (real("number"),), KqlType.BOOL, named("isfinite")),
    Function(
        "isascii",
        (text("value"),),
        KqlType.BOOL,
        duckdb(lambda arguments, _: sql.call("regexp_full_match", arguments[0], sql.text(r"(?s)[\x00-\x7f]*"))),
    ),
    # Texts are kept as UTF-8 only.
    Function("isutf8", (text("value"),), KqlType.BOOL, duckdb(lambda _, __: sql.boolean(True)), never_null=True),
)
