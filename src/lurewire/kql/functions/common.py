"""What the function families share: short lowerings for functions that are one call in DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.kql.dialects import duckdb_convert, sql
from lurewire.kql.types import KqlType
from lurewire.kql.udf import Udf

from .registry import Function, Param

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from lurewire.kql import plan
    from lurewire.kql.dialects.sql import Node


def duckdb(lower: Callable[[Sequence[Node], plan.Call], Node]) -> Mapping[str, Callable[..., Node]]:
    """A lowering for DuckDB."""
    return {"duckdb": lower}


def named(name: str) -> Mapping[str, Callable[..., Node]]:
    """A function that is one call in DuckDB, with the same arguments."""
    return {"duckdb": lambda arguments, _: sql.call(name, *arguments)}


def literal_argument(call: plan.Call, position: int) -> object:
    """The value of an argument that the registry row requires to be a literal."""
    from lurewire.kql.plan import Constant  # noqa: PLC0415 - plan imports this package's registry for its types

    argument = call.arguments[position]
    assert isinstance(argument, Constant)
    return argument.value


def _kind(parameter: Param) -> KqlType:
    """The type in which a parameter reaches Python: what is not of one type comes as JSON."""
    return KqlType.DYNAMIC if parameter.convert is None else parameter.convert


def scripted(
    name: str,
    body: Callable[..., Any],
    params: tuple[Param, ...],
    result: KqlType,
    **options: Any,
) -> Function:
    """A function that is computed in Python.

    Arguments left out are null; those of a variadic last parameter come as one array. A parameter that takes several
    types comes as a JSON value (datetimes and timespans as their texts).
    """
    variadic = bool(options.get("variadic"))
    kinds = tuple(_kind(parameter) for parameter in params)
    if variadic:
        kinds = (*kinds[:-1], KqlType.DYNAMIC)
    required = 0 if options.get("never_null") else len(params) - int(options.get("optional", 0))
    udf = Udf(name, kinds, result, body, required, geo=bool(options.pop("geo", False)))

    def lower(arguments: Sequence[Node], call: plan.Call) -> Node:
        shown = [
            _argument(node, argument.type, kind)
            for node, argument, kind in zip(arguments, call.arguments, _spread(kinds, len(arguments)), strict=True)
        ]
        if variadic:
            first = len(params) - 1
            elements = [
                duckdb_convert.json_element(node, argument.type)
                for node, argument in zip(arguments[first:], call.arguments[first:], strict=True)
            ]
            shown = [*shown[:first], sql.concat(sql.text("["), *_separated(elements), sql.text("]"))]
        shown.extend(sql.cast(sql.NULL.copy(), duckdb_convert.STORAGE[kind]) for kind in kinds[len(shown) :])
        node = sql.call(udf.sql_name, *shown)
        return sql.cast(node, sql.UUID) if result is KqlType.GUID else node

    options.setdefault("makes_null", True)
    return Function(name, params, result, duckdb(lower), udf=udf, **options)


def _spread(kinds: Sequence[KqlType], count: int) -> list[KqlType]:
    return [kinds[min(position, len(kinds) - 1)] for position in range(count)]


def _argument(node: Node, given: KqlType, wanted: KqlType) -> Node:
    if wanted is KqlType.DYNAMIC:
        return node if given is KqlType.DYNAMIC else duckdb_convert.json_of(node, given)
    return sql.cast(node, sql.VARCHAR) if wanted is KqlType.GUID else node


def _separated(parts: Sequence[Node]) -> list[Node]:
    separated: list[Node] = []
    for part in parts:
        separated.extend((sql.text(","), part) if separated else (part,))
    return separated
