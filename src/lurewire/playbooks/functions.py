"""The functions of workflow definitions that read the run.

Source: https://learn.microsoft.com/azure/logic-apps/expression-functions-reference#workflow-functions
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from lurewire.expressions import UNSUPPORTED, WORKFLOW, Function, FunctionError, FunctionTable
from lurewire.expressions.functions.arguments import string, url
from lurewire.expressions.values import AccessError, access
from lurewire.playbooks.models import ABSENT, Record

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from lurewire.playbooks.definition import Action
    from lurewire.playbooks.frames import Frame
    from lurewire.playbooks.run import Run


class Context:
    """What an expression of an action sees; the time and the GUIDs of a repeated action are those of the first try."""

    def __init__(self, run: Run, frame: Frame, moment: datetime, tracking_id: str) -> None:
        self.run = run
        self.frame = frame
        self.items: list[Any] = []
        self._moment = moment
        self._tracking_id = tracking_id
        self._guids = 0

    def now(self) -> datetime:
        """The time at which the action started."""
        return self._moment

    def guid(self) -> uuid.UUID:
        """The next GUID."""
        self._guids += 1
        return uuid.uuid5(uuid.UUID(self._tracking_id), f"guid {self._guids}")

    def action(self, name: str) -> Action:
        """The action of that name, without case; raises `FunctionError`."""
        found = self.run.workflow.action(name)
        if found is None:
            message = f"was invoked with '{name}', which is not an action of this workflow."
            raise FunctionError(message)
        return found

    def read(self, name: str, part: Callable[[Record], Any]) -> Any:
        """A part of an action's record: null where it has none, an array where it is in a loop that is over."""

        def mapped(found: Any) -> Any:
            if isinstance(found, list):
                return [mapped(item) for item in found]
            return None if found is None else part(found)

        return mapped(self.frame.find(self.action(name)))


def _outputs(record: Record) -> Any:
    return None if record.outputs is ABSENT else record.outputs


def _body(record: Record) -> Any:
    return record.outputs.get("body") if isinstance(record.outputs, dict) else None


def _named(values: dict[str, Any], name: str, what: str) -> Any:
    try:
        return access(values, name)
    except AccessError:
        message = f"was invoked with '{name}', which is not {what} of this workflow."
        raise FunctionError(message) from None


def _variables(context: Context, arguments: list[Any]) -> Any:
    name = string(arguments, 0)
    variable = context.run.variables.get(name.lower())
    if variable is None:
        message = f"was invoked with '{name}', a variable that is not initialized."
        raise FunctionError(message)
    value = variable.value
    return list(value) if isinstance(value, list) else value


def _items(context: Context, arguments: list[Any]) -> Any:
    name = string(arguments, 0)
    frame = context.frame.enclosing(name)
    if frame is None or frame.loop is None or not frame.loop.type.collects:
        message = f"was invoked with '{name}', which is not a For each around this action."
        raise FunctionError(message)
    return frame.item


def _item(context: Context, _arguments: list[Any]) -> Any:
    if context.items:
        return context.items[-1]
    frame: Frame | None = context.frame
    while frame is not None:
        if frame.loop is not None and frame.loop.type.collects:
            return frame.item
        frame = frame.parent
    raise FunctionError("was invoked outside a For each, Filter array or Select.")


def _iteration_indexes(context: Context, arguments: list[Any]) -> int:
    name = string(arguments, 0)
    frame = context.frame.enclosing(name)
    if frame is None or frame.loop is None or frame.loop.type.collects:
        message = f"was invoked with '{name}', which is not an Until around this action."
        raise FunctionError(message)
    return frame.iteration[-1]


def _result(context: Context, arguments: list[Any]) -> list[Any]:
    scope = context.action(string(arguments, 0))
    if not scope.graphs:
        message = f"was invoked with '{scope.name}', which holds no actions."
        raise FunctionError(message)
    tracking = context.run.client_tracking_id

    def inside(frame: Frame) -> list[Any]:
        found = (frame.records.get(name) for graph in scope.graphs.values() for name in graph.actions)
        return [record.as_json(tracking) for record in found if record is not None]

    home = context.frame
    while len(home.iteration) > len(scope.loops) and home.parent is not None:
        home = home.parent
    if not scope.type.loop:
        return inside(home)
    results: list[Any] = []
    for iteration in home.iterations(scope.name):
        repetition: dict[str, Any] = {"name": scope.name}
        if scope.type.collects:
            repetition["inputs"] = iteration.item
        results.append({**repetition, "outputs": inside(iteration)})
    return results


def _guid(context: Context, arguments: list[Any]) -> str:
    value = context.guid()
    form = string(arguments, 0) if arguments else "D"
    texts = {"D": str(value), "N": value.hex, "B": f"{{{value}}}", "P": f"({value})"}
    if form.upper() not in texts:
        message = f"was invoked with the format '{form[:20]}'; the formats are N, D, B and P."
        raise FunctionError(message)
    return texts[form.upper()]


def _record(context: Context, arguments: list[Any]) -> Any:
    tracking = context.run.client_tracking_id
    return context.read(string(arguments, 0), lambda record: record.as_json(tracking))


_RUN_FUNCTIONS: tuple[Function[Context], ...] = (
    Function("parameters", 1, 1, lambda c, a: _named(c.run.parameters, string(a, 0), "a parameter"), url("parameters")),
    Function("variables", 1, 1, _variables, url("variables")),
    Function("trigger", 0, 0, lambda c, _: c.run.trigger, url("trigger")),
    Function("triggerOutputs", 0, 0, lambda c, _: c.run.trigger["outputs"], url("triggerOutputs")),
    Function("triggerBody", 0, 0, lambda c, _: c.run.trigger["outputs"].get("body"), url("triggerBody")),
    Function("actions", 1, 1, _record, url("actions")),
    Function("outputs", 1, 1, lambda c, a: c.read(string(a, 0), _outputs), url("outputs")),
    Function("body", 1, 1, lambda c, a: c.read(string(a, 0), _body), url("body")),
    Function("items", 1, 1, _items, url("items")),
    Function("item", 0, 0, _item, url("item")),
    Function("iterationIndexes", 1, 1, _iteration_indexes, url("iterationIndexes")),
    Function("result", 1, 1, _result, url("result")),
    Function("workflow", 0, 0, lambda c, _: c.run.describe(), url("workflow")),
    Function("guid", 0, 1, _guid, url("guid")),
)


def _no_callback(_context: Context, _arguments: list[Any]) -> Any:
    raise FunctionError("has no value outside a trigger's subscription.")


TABLE: FunctionTable[Context] = FunctionTable((*WORKFLOW, *_RUN_FUNCTIONS), (*UNSUPPORTED, "listCallbackUrl"))
"""The functions of actions, outputs and trigger conditions."""

TRIGGER_TABLE: FunctionTable[Context] = FunctionTable(
    (*WORKFLOW, *_RUN_FUNCTIONS, Function("listCallbackUrl", 0, 1, _no_callback, url("listCallbackUrl"))), UNSUPPORTED
)
"""The functions of a trigger's inputs, which are checked and, here, never evaluated."""
