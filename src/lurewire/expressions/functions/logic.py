"""Logical and comparison functions; `and`, `or`, `if` and `coalesce` evaluate only what decides."""

from __future__ import annotations

from typing import Any

from lurewire.expressions.functions.arguments import boolean, refuse, url
from lurewire.expressions.table import Function
from lurewire.expressions.values import compare, equal


def _truth(value: Any, index: int) -> bool:
    if not isinstance(value, bool):
        raise refuse("a Boolean", value, index)
    return value


def _if(_: object, arguments: list[Any]) -> Any:
    return arguments[1]() if _truth(arguments[0](), 0) else arguments[2]()


def _coalesce(_: object, arguments: list[Any]) -> Any:
    for argument in arguments:
        value = argument()
        if value is not None:
            return value
    return None


def _and(_: object, arguments: list[Any]) -> bool:
    return all(_truth(argument(), index) for index, argument in enumerate(arguments))


def _or(_: object, arguments: list[Any]) -> bool:
    return any(_truth(argument(), index) for index, argument in enumerate(arguments))


LOGIC: tuple[Function[object], ...] = (
    Function("and", 1, None, _and, url("and"), lazy=True),
    Function("or", 1, None, _or, url("or"), lazy=True),
    Function("not", 1, 1, lambda _, a: not boolean(a, 0), url("not")),
    Function("if", 3, 3, _if, url("if"), lazy=True),
    Function("coalesce", 1, None, _coalesce, url("coalesce"), lazy=True),
    Function("equals", 2, 2, lambda _, a: equal(a[0], a[1]), url("equals")),
    Function("greater", 2, 2, lambda _, a: compare(a[0], a[1]) > 0, url("greater")),
    Function("greaterOrEquals", 2, 2, lambda _, a: compare(a[0], a[1]) >= 0, url("greaterOrEquals")),
    Function("less", 2, 2, lambda _, a: compare(a[0], a[1]) < 0, url("less")),
    Function("lessOrEquals", 2, 2, lambda _, a: compare(a[0], a[1]) <= 0, url("lessOrEquals")),
)
