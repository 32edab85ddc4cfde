"""Functions that a template defines itself.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/user-defined-functions: a function sees its
own parameters and nothing else of the template.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lurewire.arm.deployments.conformity import Mismatch, check_value
from lurewire.arm.deployments.context import Names, Value
from lurewire.arm.deployments.functions import METERED, UNSUPPORTED, metered
from lurewire.arm.errors import InvalidTemplate
from lurewire.expressions import Function, FunctionError, FunctionTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.arm.deployments.context import Context
    from lurewire.arm.deployments.definitions import Type, Types

_URL = "https://learn.microsoft.com/azure/azure-resource-manager/templates/user-defined-functions"
_BESIDE = frozenset({"name", "value"})
"""What a function's parameters and output have beside their types."""

_NAME = re.compile(r"[^\W\d]\w*")
_DEEPEST = 20
"""Calls of a template's functions inside each other: a function may call another one, and not itself for ever."""


def own_functions(section: Any, types: Types) -> FunctionTable[Context] | None:
    """The table with a template's functions, None where it defines none; raises `InvalidTemplate`."""
    if section is None or section == []:
        return None
    if not isinstance(section, list):
        raise InvalidTemplate.at("/functions", "'functions' must be an array")
    rows: list[Function[Context]] = []
    table: list[FunctionTable[Context]] = []
    for at, group in enumerate(section):
        where = f"/functions/{at}"
        if (
            not isinstance(group, dict)
            or not isinstance(group.get("members"), dict)
            or not _is_name(group.get("namespace"))
        ):
            raise InvalidTemplate.at(where, "functions have the form {namespace, members}")
        for name, member in group["members"].items():
            if not _is_name(name):
                raise InvalidTemplate.at(where, f"'{name}' is not the name of a function")
            rows.append(_row(f"{group['namespace']}.{name}", member, types, f"{where}/members/{name}", table))
    table.append(FunctionTable((*METERED, *rows), UNSUPPORTED))
    return table[0]


def _row(name: str, member: Any, types: Types, where: str, table: list[FunctionTable[Context]]) -> Function[Context]:
    output = member.get("output") if isinstance(member, dict) else None
    parameters = (member.get("parameters") or []) if isinstance(member, dict) else None
    if not isinstance(output, dict) or "value" not in output or not isinstance(parameters, list):
        raise InvalidTemplate.at(where, "a function has the form {parameters, output: {type, value}}")
    if not all(isinstance(one, dict) and _is_name(one.get("name")) for one in parameters):
        raise InvalidTemplate.at(where, "a parameter of a function needs a 'name'")
    wanted = [types.read(one, f"{where}/parameters/{at}", _BESIDE) for at, one in enumerate(parameters)]
    result = types.read(output, f"{where}/output", _BESIDE)
    for one in (*wanted, result):
        if one.kind is None:
            raise InvalidTemplate.at(one.where, "it needs a 'type', or a '$ref' to a definition that has one")

    def call(context: Context, arguments: list[Any]) -> Any:
        for index, (of, value) in enumerate(zip(wanted, arguments, strict=True)):
            _check(value, of, context, f"was invoked with a parameter number {index + 1} that")
        if context.depth >= _DEEPEST:
            raise FunctionError(f"is called more than {_DEEPEST} deep.")
        values = {one["name"].lower(): _given(value) for one, value in zip(parameters, arguments, strict=True)}
        inside = replace(
            context,
            parameters=Names("parameter", values),
            variables=Names("variable"),
            runtime=None,
            loops={},
            lambdas={},
            depth=context.depth + 1,
            secret=False,
            own=None,
        )
        found = inside.watch(output["value"], table[0], f"{where}/output/value", parts=False)
        context.secret = context.secret or found.secret
        _check(found.value, result, context, "gives a value that")
        return found.value

    return metered(Function(name, len(parameters), len(parameters), call, _URL))


def _check(value: Any, of: Type, context: Context, what: str) -> None:
    try:
        check_value(value, of, context.budget.spend)
    except Mismatch as wrong:
        place = f", at '{wrong.path}'," if wrong.path else ""
        raise FunctionError(f"{what}{place} {wrong.problem}.") from None


def _given(value: Any) -> Callable[[], Value]:
    return lambda: Value(value, secret=False)  # the caller has noted whether it is secret


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None
