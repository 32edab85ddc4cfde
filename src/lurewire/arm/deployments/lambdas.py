"""Functions of templates that take a lambda expression.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-lambda
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

from lurewire.expressions import Function, FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.arm.deployments.context import Context

_DOC = "https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-lambda"


@dataclass(frozen=True, slots=True)
class Lambda:
    """A lambda expression: its variables, and its body as it was reached."""

    names: tuple[str, ...]
    body: Callable[[], Any]

    def __call__(self, context: Context, *values: Any) -> Any:
        """The body's value for `values`; those beyond the variables are left out."""
        outside = context.lambdas
        context.lambdas = outside | dict(zip((name.lower() for name in self.names), values, strict=False))
        try:
            return self.body()
        finally:
            context.lambdas = outside


def _lambda(_context: Context, arguments: list[Any]) -> Any:
    names = [argument() for argument in arguments[:-1]]
    if not all(isinstance(name, str) for name in names):
        raise FunctionError("expects the names of its variables to be strings.")
    return Lambda(tuple(names), arguments[-1])


def _lambda_variables(context: Context, arguments: list[Any]) -> Any:
    name = arguments[0]
    if not isinstance(name, str) or name.lower() not in context.lambdas:
        raise FunctionError(f"was asked for '{name}', which is no variable of a lambda expression around it.")
    return context.lambdas[name.lower()]


def _list_and(arguments: list[Any], at: int, most: int) -> tuple[list[Any], Lambda]:
    items, function = arguments[0], arguments[at]
    if not isinstance(items, list):
        raise FunctionError("expects its parameter number 1 to be an array.")
    if not isinstance(function, Lambda) or not 1 <= len(function.names) <= most:
        raise FunctionError(f"expects its parameter number {at + 1} to be a lambda expression of at most {most} names.")
    return items, function


def _map(context: Context, arguments: list[Any]) -> Any:
    items, function = _list_and(arguments, 1, 2)
    return [function(context, item, index) for index, item in enumerate(items)]


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise FunctionError("expects its lambda expression to give a Boolean.")
    return value


def _filter(context: Context, arguments: list[Any]) -> Any:
    items, function = _list_and(arguments, 1, 2)
    return [item for index, item in enumerate(items) if _truth(function(context, item, index))]


def _reduce(context: Context, arguments: list[Any]) -> Any:
    items, function = _list_and(arguments, 2, 3)
    value = arguments[1]
    for index, item in enumerate(items):
        value = function(context, value, item, index)
    return value


def _sort(context: Context, arguments: list[Any]) -> Any:
    items, function = _list_and(arguments, 1, 2)

    def order(left: Any, right: Any) -> int:
        if _truth(function(context, left, right)):
            return -1
        return 1 if _truth(function(context, right, left)) else 0

    return sorted(items, key=cmp_to_key(order))


def _key(value: Any) -> str:
    if not isinstance(value, str):
        raise FunctionError("expects the lambda expression of the keys to give strings.")
    return value


def _to_object(context: Context, arguments: list[Any]) -> Any:
    items, keys = _list_and(arguments, 1, 1)
    values = _list_and(arguments, 2, 1)[1] if len(arguments) > 2 else None
    return {_key(keys(context, item)): item if values is None else values(context, item) for item in items}


def _group_by(context: Context, arguments: list[Any]) -> Any:
    items, keys = _list_and(arguments, 1, 2)
    groups: dict[str, list[Any]] = {}
    for index, item in enumerate(items):
        groups.setdefault(_key(keys(context, item, index)), []).append(item)
    return groups


def _map_values(context: Context, arguments: list[Any]) -> Any:
    members = arguments[0]
    if not isinstance(members, dict):
        raise FunctionError("expects its parameter number 1 to be an object.")
    _, function = _list_and([[], arguments[1]], 1, 1)
    return {name: function(context, value) for name, value in members.items()}


LAMBDAS: tuple[Function[Context], ...] = (
    Function("lambda", 1, 4, _lambda, f"{_DOC}#map", lazy=True),
    Function("lambdaVariables", 1, 1, _lambda_variables, f"{_DOC}#map"),
    Function("map", 2, 2, _map, f"{_DOC}#map"),
    Function("filter", 2, 2, _filter, f"{_DOC}#filter"),
    Function("reduce", 3, 3, _reduce, f"{_DOC}#reduce"),
    Function("sort", 2, 2, _sort, f"{_DOC}#sort"),
    Function("toObject", 2, 3, _to_object, f"{_DOC}#toobject"),
    Function("groupBy", 2, 2, _group_by, f"{_DOC}#groupby"),
    Function("mapValues", 2, 2, _map_values, f"{_DOC}#mapvalues"),
)
