"""Functions that a template defines itself.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/user-defined-functions: a function sees its
own parameters and nothing else of the template.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lurewire.arm.deployments.context import Names, Value
from lurewire.arm.deployments.functions import METERED, UNSUPPORTED, metered
from lurewire.arm.deployments.parameters import KINDS
from lurewire.arm.errors import InvalidTemplate
from lurewire.expressions import Function, FunctionError, FunctionTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.arm.deployments.context import Context

_URL = "https://learn.microsoft.com/azure/azure-resource-manager/templates/user-defined-functions"
_NAME = re.compile(r"[^\W\d]\w*")
_DEEPEST = 20
"""Calls of a template's functions inside each other: a function may call another one, and not itself for ever."""


def own_functions(section: Any) -> FunctionTable[Context] | None:
    """The table with a template's functions, None where it defines none; raises `InvalidTemplate`."""
    if section is None or section == []:
        return None
    if not isinstance(section, list):
        raise _invalid("/functions", "'functions' must be an array")
    rows: list[Function[Context]] = []
    table: list[FunctionTable[Context]] = []
    for at, group in enumerate(section):
        where = f"/functions/{at}"
        if (
            not isinstance(group, dict)
            or not isinstance(group.get("members"), dict)
            or not _is_name(group.get("namespace"))
        ):
            raise _invalid(where, "functions have the form {namespace, members}")
        for name, member in group["members"].items():
            if not _is_name(name):
                raise _invalid(where, f"'{name}' is not the name of a function")
            rows.append(_row(f"{group['namespace']}.{name}", member, f"{where}/members/{name}", table))
    table.append(FunctionTable((*METERED, *rows), UNSUPPORTED))
    return table[0]


def _row(name: str, member: Any, where: str, table: list[FunctionTable[Context]]) -> Function[Context]:
    output = member.get("output") if isinstance(member, dict) else None
    parameters = (member.get("parameters") or []) if isinstance(member, dict) else None
    if not isinstance(output, dict) or "value" not in output or not isinstance(parameters, list):
        raise _invalid(where, "a function has the form {parameters, output: {type, value}}")
    for one in (*parameters, output):
        if not isinstance(one, dict) or str(one.get("type", "")).lower() not in KINDS:
            raise _invalid(
                where, f"a parameter and an output have a 'type', one of {', '.join(k.shown for k in KINDS.values())}"
            )
    if not all(_is_name(one.get("name")) for one in parameters):
        raise _invalid(where, "a parameter of a function needs a 'name'")
    kinds = [KINDS[str(one["type"]).lower()] for one in parameters]
    result = KINDS[str(output["type"]).lower()]

    def call(context: Context, arguments: list[Any]) -> Any:
        for index, (kind, value) in enumerate(zip(kinds, arguments, strict=True)):
            if not kind.fits(value):
                raise FunctionError(f"expects its parameter number {index + 1} to be of the type '{kind.shown}'.")
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
        found = inside.watch(output["value"], table[0], f"{where}/output/value").value
        if not result.fits(found):
            raise FunctionError(f"gives a value that is not of the type '{result.shown}'.")
        return found

    return metered(Function(name, len(parameters), len(parameters), call, _URL))


def _given(value: Any) -> Callable[[], Value]:
    return lambda: Value(value, secret=False)  # the caller has noted whether it is secret


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _invalid(where: str, problem: str) -> InvalidTemplate:
    return InvalidTemplate(f"Deployment template validation failed: {problem}, at {where}.", target=where)
