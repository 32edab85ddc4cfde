"""The outputs that a template declares.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/outputs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.arm.deployments.functions import Evaluator
from lurewire.arm.deployments.loops import UNNAMED, loop_count, unroll
from lurewire.arm.deployments.plan import Output
from lurewire.arm.errors import InvalidTemplate

if TYPE_CHECKING:
    from lurewire.arm.deployments.context import Context
    from lurewire.arm.deployments.definitions import Types

_BESIDE = frozenset({"value", "condition", "copy"})
"""What an output has beside its type."""


def declared_outputs(outputs: dict[str, Any], context: Context, types: Types) -> list[Output]:
    """The outputs whose condition holds, their values not evaluated yet; raises `InvalidTemplate`."""
    evaluate, found = Evaluator(context), []
    for name, raw in outputs.items():
        where = f"/outputs/{name}"
        if not isinstance(raw, dict):
            raise InvalidTemplate.at(where, "an output must be an object with a type")
        of = types.read(raw, where, _BESIDE)
        if of.kind is None:
            raise InvalidTemplate.at(where, "an output needs a 'type', or a '$ref' to a definition that has one")
        if ("value" in raw) == ("copy" in raw):
            raise InvalidTemplate.at(where, "an output needs a 'value' or a 'copy'")
        condition = evaluate(raw.get("condition", True), f"{where}/condition")
        if not isinstance(condition, bool):
            raise InvalidTemplate.at(f"{where}/condition", "'condition' must be true or false")
        if condition:
            value = unroll(raw["value"], context.loops, evaluate, where) if "value" in raw else None
            if "copy" in raw:
                value = _loop(raw["copy"], context, f"{where}/copy")
            found.append(Output(name, of.kind, of, value))
    return found


def _loop(raw: Any, context: Context, where: str) -> list[Any]:
    if not isinstance(raw, dict) or set(raw) - {"name"} != {"count", "input"}:
        raise InvalidTemplate.at(where, "the loop of an output has the form {count, input}")
    evaluate = Evaluator(context)
    size = loop_count(evaluate(raw["count"], f"{where}/count"), f"{where}/count")
    name = str(raw.get("name", UNNAMED)).lower()
    return [
        unroll(raw["input"], context.loops | {UNNAMED: at, name: at}, evaluate, f"{where}/input") for at in range(size)
    ]
