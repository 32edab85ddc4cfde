"""DuckDB SQL for conversions between KQL types, JSON text and paths into dynamic values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql.types import INTEGERS, KqlType

from . import duckdb_time, sql
from .sql import Node, call, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: How each type is kept.
STORAGE: dict[KqlType, exp.DataType] = {
    KqlType.BOOL: sql.data_type(sql.BOOLEAN),
    KqlType.INT: sql.data_type(sql.INTEGER),
    KqlType.LONG: sql.data_type(sql.BIGINT),
    KqlType.REAL: sql.data_type(sql.DOUBLE),
    KqlType.DECIMAL: sql.decimal_type(),
    KqlType.STRING: sql.data_type(sql.VARCHAR),
    KqlType.DATETIME: sql.data_type(sql.BIGINT),
    KqlType.TIMESPAN: sql.data_type(sql.BIGINT),
    KqlType.GUID: sql.data_type(sql.UUID),
    KqlType.DYNAMIC: sql.data_type(sql.VARCHAR),
}

_JSON_LIST = exp.DataType(this=exp.DType.ARRAY, expressions=[sql.data_type(sql.VARCHAR)], nested=True)
_SAFE_KEY = re.compile(r"[^\x00-\x1f\"\\*\x7f]+")


def convert(node: Node, source: KqlType, target: KqlType) -> Node:
    """`node` of type `source` as `target`; null where the value does not convert."""
    if source is target:
        return node
    if source is KqlType.DYNAMIC:
        return from_dynamic_text(call("json_extract_string", node, text("$")), target)
    if target is KqlType.STRING:
        return _TO_TEXT[source](node)
    if target is KqlType.DYNAMIC:
        return json_of(node, source)
    if source is KqlType.STRING:
        return _FROM_TEXT[target](node)
    return _between(node, source, target)


def from_dynamic_text(node: Node, target: KqlType) -> Node:
    """A dynamic value's text (a JSON string without its quotes) as `target`."""
    return node if target is KqlType.STRING else _FROM_TEXT[target](node)


def _between(node: Node, source: KqlType, target: KqlType) -> Node:
    storage = STORAGE[target]
    if target is KqlType.BOOL:
        return sql.binary(exp.NEQ, node, sql.number(0))
    if source in (KqlType.REAL, KqlType.DECIMAL) and target not in (KqlType.REAL, KqlType.DECIMAL):
        return sql.try_cast(call("trunc", node), storage)
    if source in INTEGERS and target is KqlType.LONG:
        return sql.cast(node, storage)
    return sql.try_cast(node, storage)


def _real_text(node: Node) -> Node:
    # .NET writes 1E+20 where DuckDB writes 1e+20.
    def body(value: Node) -> Node:
        plain = call("upper", sql.cast(value, sql.VARCHAR))
        special = [("NAN", "NaN"), ("INF", "Infinity"), ("-INF", "-Infinity")]
        finite = call("isfinite", value)
        return sql.case(
            [(finite, plain)],
            sql.case([(sql.equal(plain, text(name)), text(shown)) for name, shown in special]),
        )

    return duckdb_time.bind(node, "r", body)


def _decimal_text(node: Node) -> Node:
    def body(shown: Node) -> Node:
        short = call("rtrim", call("rtrim", shown, text("0")), text("."))
        return sql.case([(call("contains", shown, text(".")), short)], shown)

    return duckdb_time.bind(sql.cast(node, sql.VARCHAR), "c", body)


def _plain_text(node: Node) -> Node:
    return sql.cast(node, sql.VARCHAR)


_TO_TEXT: dict[KqlType, Callable[[Node], Node]] = {
    KqlType.BOOL: _plain_text,
    KqlType.INT: _plain_text,
    KqlType.LONG: _plain_text,
    KqlType.REAL: _real_text,
    KqlType.DECIMAL: _decimal_text,
    KqlType.DATETIME: duckdb_time.datetime_text,
    KqlType.TIMESPAN: duckdb_time.timespan_text,
    KqlType.GUID: _plain_text,
}


def _whole_from_text(kind: exp.DType) -> Callable[[Node], Node]:
    # DuckDB's cast would round 12.7 to 13 and accept 1_000.
    def body(node: Node) -> Node:
        exact = call("regexp_full_match", node, text(r"\s*[+-]?(?:\d+|0[xX][0-9a-fA-F]+)\s*"))
        cut = sql.try_cast(call("trunc", _real_from_text(node)), kind)
        return sql.case([(exact, sql.try_cast(node, kind))], cut)

    return lambda node: duckdb_time.bind(node, "i", body)


def _real_from_text(node: Node) -> Node:
    def body(value: Node) -> Node:
        valid = call(
            "regexp_full_match",
            value,
            text(r"(?i)\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf|infinity)\s*"),
        )
        return sql.case([(valid, sql.try_cast(value, sql.DOUBLE))])

    return duckdb_time.bind(node, "r", body)


def _decimal_from_text(node: Node) -> Node:
    valid = call("regexp_full_match", node, text(r"(?i)\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*"))
    return sql.case([(valid, sql.try_cast(node, sql.decimal_type()))])


def _bool_from_text(node: Node) -> Node:
    def body(value: Node) -> Node:
        # As JSON writes it, before any other way.
        word = call("lower", call("trim", value))
        words = [(form, name) for form in (value, word) for name in ("true", "false")]
        return sql.case(
            [(sql.equal(form, text(name)), sql.boolean(name == "true")) for form, name in words],
            sql.binary(exp.NEQ, _real_from_text(value), sql.number(0)),
        )

    return duckdb_time.bind(node, "b", body)


#: The 32 digits of a guid at the start of a text; what comes after them is ignored
#: (https://learn.microsoft.com/kusto/query/toguid-function).
_GUID = r"^[ {]*([0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12})"


def _guid_from_text(node: Node) -> Node:
    return sql.try_cast(call("regexp_extract", node, text(_GUID), sql.number(1)), sql.UUID)


_FROM_TEXT: dict[KqlType, Callable[[Node], Node]] = {
    KqlType.BOOL: _bool_from_text,
    KqlType.INT: _whole_from_text(sql.INTEGER),
    KqlType.LONG: _whole_from_text(sql.BIGINT),
    KqlType.REAL: _real_from_text,
    KqlType.DECIMAL: _decimal_from_text,
    KqlType.DATETIME: duckdb_time.datetime_from_text,
    KqlType.TIMESPAN: duckdb_time.timespan_from_text,
    KqlType.GUID: _guid_from_text,
}


def parse_json(node: Node) -> Node:
    """Text as a dynamic value: its JSON in compact form, or the text itself as a JSON string; null for empty text."""

    def body(source: Node) -> Node:
        # TRY, because DuckDB folds constants in branches that are not taken.
        parsed = call("nullif", sql.cast(call("try", call("json", source)), sql.VARCHAR), text("null"))
        return sql.case(
            [(sql.equal(source, text("")), exp.Null()), (call("json_valid", source), parsed)], json_string(source)
        )

    return duckdb_time.bind(node, "j", body)


def json_string(node: Node) -> Node:
    """Text as a JSON string."""
    return sql.cast(call("to_json", node), sql.VARCHAR)


def json_of(node: Node, kind: KqlType) -> Node:
    """A value as JSON text, null staying null."""
    if kind is KqlType.DYNAMIC:
        return node
    if kind is KqlType.STRING:
        return json_string(node)
    if kind in (KqlType.BOOL, KqlType.INT, KqlType.LONG):
        return sql.cast(node, sql.VARCHAR)
    if kind is KqlType.REAL:
        return duckdb_time.bind(
            node,
            "r",
            lambda value: sql.case(
                [(call("isfinite", value), sql.cast(value, sql.VARCHAR))],
                sql.concat(text('"'), _real_text(value), text('"')),
            ),
        )
    return sql.concat(text('"'), _TO_TEXT[kind](node), text('"'))


def json_element(node: Node, kind: KqlType) -> Node:
    """A value as an element of a JSON array or bag: null is written out."""
    written = json_of(node, kind)
    return written if kind is KqlType.STRING else sql.coalesce(written, text("null"))


def json_array(items: Node) -> Node:
    """A list of JSON texts as one JSON array."""
    return sql.concat(text("["), call("array_to_string", items, text(",")), text("]"))


def json_list(node: Node) -> Node:
    """A dynamic array as a list of JSON texts; null when it is no array. JSON null is the text `null`."""
    return call(
        "list_transform",
        call("from_json", node, text('["JSON"]')),
        sql.lambda_("e", sql.coalesce(sql.cast(sql.variable("e"), sql.VARCHAR), text("null"))),
    )


def nullable_json_list(node: Node) -> Node:
    """The same with SQL null for JSON null."""
    return sql.cast(call("from_json", node, text('["JSON"]')), _JSON_LIST)


def text_list(node: Node) -> Node:
    """A dynamic array as a list of texts, strings without quotes; null when it is no array."""
    return call("from_json", node, text('["VARCHAR"]'))


def path(target: Node, steps: Sequence[str | int | tuple[Node, KqlType]], *, as_text: bool) -> Node:
    """Access into a dynamic value: JSON text, or the text of the value (strings without quotes) with `as_text`.

    Plain keys and indexes become one path; a key that the path language cannot quote is a JSON pointer of its own.
    """
    pieces: list[Node | str] = []
    for step in steps:
        piece = _step(step)
        before = pieces[-1] if pieces else None
        if isinstance(piece, str) and isinstance(before, str) and piece[0] == before[0] == "$":
            pieces[-1] = before + piece[1:]
        else:
            pieces.append(piece)
    node = target
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1
        where = text(piece) if isinstance(piece, str) else piece
        if last and as_text:
            return call("json_extract_string", node, where)
        node = call("json_extract", node, where)
    return call("nullif", sql.cast(node, sql.VARCHAR), text("null"))


def _step(step: str | int | tuple[Node, KqlType]) -> Node | str:
    if isinstance(step, int):
        return f"$[{step}]" if step >= 0 else f"$[#{step}]"
    if isinstance(step, str):
        if _SAFE_KEY.fullmatch(step):
            return f'$."{step}"'
        return "/" + step.replace("~", "~0").replace("/", "~1")
    node, kind = step
    if kind is KqlType.STRING:
        return sql.concat(
            text("/"), call("replace", call("replace", node, text("~"), text("~0")), text("/"), text("~1"))
        )
    shown = sql.cast(node, sql.VARCHAR)
    sign = sql.case([(sql.binary(exp.LT, node, sql.number(0)), text("$[#"))], text("$["))
    return sql.concat(sign, shown, text("]"))
