"""A workflow definition, validated and compiled: the graph of its actions, its triggers and its parameters.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-definition-language
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lurewire.playbooks.actions import ACTION_TYPES, REFUSED_TYPES
from lurewire.playbooks.checks import Check, Known, members, refuse, unsupported
from lurewire.playbooks.models import Status
from lurewire.playbooks.parameters import Parameter, declared
from lurewire.playbooks.triggers import Trigger, compile_triggers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lurewire.core.limits import Limits
    from lurewire.playbooks.registry import ActionType

_SCHEMA = "schemas/2016-06-01/workflowdefinition.json"
_DEFINITION = frozenset(
    {"$schema", "contentVersion", "parameters", "triggers", "actions", "outputs", "staticResults", "description"}
)
_COMMON = frozenset({"type", "runAfter", "description", "metadata", "runtimeConfiguration", "operationOptions"})
_RUN_AFTER = {
    status.value.lower(): status for status in (Status.SUCCEEDED, Status.FAILED, Status.SKIPPED, Status.TIMED_OUT)
}


@dataclass(slots=True, eq=False)
class Graph:
    """Actions beside each other, with who waits for whom in `Action.run_after`."""

    actions: dict[str, Action] = field(default_factory=dict)

    @property
    def leaves(self) -> tuple[Action, ...]:
        """The actions that nobody waits for: they decide the status of the whole."""
        awaited = {name for action in self.actions.values() for name in action.run_after}
        return tuple(action for name, action in self.actions.items() if name not in awaited)


@dataclass(slots=True, eq=False)
class Action:
    """One action: `plan` is what its type prepared, `hidden` the parts (`inputs`, `outputs`) not shown in history."""

    name: str
    type: ActionType
    definition: dict[str, Any]
    where: str
    run_after: dict[str, frozenset[Status]]
    loops: tuple[Action, ...]
    parent: Action | None
    graphs: dict[str, Graph] = field(default_factory=dict)
    plan: Any = None
    reads: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Workflow:
    """A definition that can run: every action by name, at whatever depth."""

    graph: Graph
    actions: dict[str, Action]
    triggers: dict[str, Trigger]
    parameters: dict[str, Parameter]
    outputs: dict[str, Any]
    names: dict[str, str]  # an action's name in lower case to its name

    def action(self, name: str) -> Action | None:
        """The action of that name, without case."""
        found = self.names.get(name.lower())
        return None if found is None else self.actions[found]


def compile_workflow(definition: Any, values: Any, limits: Limits) -> Workflow:
    """Validate a definition and the values of its parameters (`properties.parameters`).

    Raises `InvalidTemplate` for what Azure refuses and `NotSupported` for what only Lurewire does; both name the path.
    """
    if not isinstance(definition, dict):
        refuse("the definition must be an object", "/")
    for name in definition:
        if name not in _DEFINITION:
            unsupported(f"the property '{name[:80]}' of a definition", "/")
    if _SCHEMA not in str(definition.get("$schema", "")):
        refuse(f"$schema must be the workflow definition language's, .../{_SCHEMA}#", "/$schema")
    parameters = declared(definition.get("parameters"), values, limits)
    known = Known(limits, frozenset(name.lower() for name in parameters))
    compiler = _Compiler(known)
    compiler.collect(definition.get("actions"), "/actions", 0)
    graph = compiler.graph(definition.get("actions"), "/actions", (), None)
    compiler.finish()
    outputs = _outputs(definition.get("outputs"), known)
    triggers = compile_triggers(definition.get("triggers"), known)
    return Workflow(graph, compiler.actions, triggers, parameters, outputs, known.actions)


def _outputs(value: Any, known: Known) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, output, where in members(value, "/outputs", known.limits["playbooks.outputs"], "outputs"):
        check = Check(name, output, where, known)
        check.required(output, ("type", "value"), "")
        check.expressions(output["value"], "value")
        found[name] = output
    return found


class _Compiler:
    def __init__(self, known: Known) -> None:
        self._known = known
        self.actions: dict[str, Action] = {}

    def collect(self, actions: Any, where: str, depth: int) -> None:
        """First pass: names, types and variables, so that the second can look up what comes later.

        `depth` is the number of actions around these: published playbooks have nine levels, so the limit counts so.
        """
        known = self._known
        if depth > known.limits["playbooks.nesting"]:
            refuse(f"actions are nested more than {known.limits['playbooks.nesting']} deep", where)
        for name, action, at in members(actions, where, known.limits["playbooks.actions"], "actions"):
            if len(name) > known.limits["playbooks.name"] or not name:
                refuse(f"an action's name has 1 to {known.limits['playbooks.name']} characters", at)
            if name.lower() in known.actions:
                refuse(f"the action name '{name}' is used twice", at)
            known.actions[name.lower()] = name
            if len(known.actions) > known.limits["playbooks.actions"]:
                refuse(f"the workflow has more than {known.limits['playbooks.actions']} actions", at)
            kind = _type(action, at)
            if kind.name == "InitializeVariable":
                self._collect_variables(action, at, depth)
            for branch in kind.branches(action, at):
                self.collect(branch.actions, branch.where, depth + 1)

    def _collect_variables(self, action: dict[str, Any], where: str, depth: int) -> None:
        if depth > 0:
            refuse("a variable is initialized at the top level of the workflow, not inside another action", where)
        inputs = action.get("inputs")
        found = inputs.get("variables") if isinstance(inputs, dict) else None
        for variable in found if isinstance(found, list) else []:
            name = variable.get("name") if isinstance(variable, dict) else None
            if not isinstance(name, str):
                continue
            if name.lower() in self._known.variables:
                refuse(f"the variable '{name}' is initialized twice", where)
            self._known.variables[name.lower()] = str(variable.get("type", "")).lower()
        if len(self._known.variables) > self._known.limits["playbooks.variables"]:
            refuse(f"the workflow has more than {self._known.limits['playbooks.variables']} variables", where)

    def graph(self, actions: Any, where: str, loops: tuple[Action, ...], parent: Action | None) -> Graph:
        graph = Graph()
        for name, definition, at in members(actions, where, self._known.limits["playbooks.actions"], "actions"):
            graph.actions[name] = self._action(name, definition, at, loops, parent)
        for action in graph.actions.values():
            for predecessor in action.run_after:
                if predecessor not in graph.actions:
                    refuse(
                        f"'runAfter' names '{predecessor}', which is not an action beside this one",
                        f"{action.where}/runAfter",
                    )
        _refuse_cycle(graph, where)
        return graph

    def _action(
        self, name: str, definition: dict[str, Any], where: str, loops: tuple[Action, ...], parent: Action | None
    ) -> Action:
        kind = _type(definition, where)
        run_after = {
            self._known.actions.get(predecessor.lower(), predecessor): statuses
            for predecessor, statuses in _run_after(definition.get("runAfter"), where).items()
        }
        action = Action(name, kind, definition, where, run_after, loops, parent)
        inside = (*loops, action) if kind.loop else loops
        check = Check(
            name,
            definition,
            where,
            self._known,
            # An Until's own condition may use its iterations; a For each's list may not.
            tuple(loop.name for loop in (loops if kind.collects else inside)),
            top_level=parent is None,
        )
        check.only(definition, _COMMON | kind.properties, "")
        action.hidden = _runtime_configuration(check, kind)
        action.plan = kind.check(check)
        action.reads = frozenset(check.reads)
        self.actions[name] = action
        for branch in kind.branches(definition, where):
            action.graphs[branch.label] = self.graph(branch.actions, branch.where, inside, action)
        return action

    def finish(self) -> None:
        """Third pass: references across the graph, and what secure outputs hide."""
        for action in self.actions.values():
            reachable = set(self._reachable(action))
            for name in sorted(action.reads):
                self._check_reference(action, self.actions[name], reachable)
        changed = True
        while changed:
            changed = False
            for action in self.actions.values():
                if any("outputs" in self.actions[name].hidden for name in action.reads):
                    hidden = action.hidden | {"inputs"} | ({"outputs"} if action.type.hides_outputs else set())
                    changed |= hidden != action.hidden
                    action.hidden = hidden

    def _reachable(self, action: Action) -> Iterator[str]:
        """What an action's expressions may refer to, by Azure's rule."""
        if action.type.loop and not action.type.collects:
            yield from _names(action.graphs.values())
        current: Action | None = action
        while current is not None:
            waiting = list(current.run_after)
            siblings = self._siblings(current)
            seen: set[str] = set()
            while waiting:
                name = waiting.pop()
                if name in seen:
                    continue
                seen.add(name)
                yield name
                yield from _names(siblings.actions[name].graphs.values())
                waiting.extend(siblings.actions[name].run_after)
            current = current.parent
            if current is not None:
                yield current.name

    def _siblings(self, action: Action) -> Graph:
        if action.parent is None:
            return Graph({name: found for name, found in self.actions.items() if found.parent is None})
        return next(graph for graph in action.parent.graphs.values() if action.name in graph.actions)

    def _check_reference(self, action: Action, target: Action, reachable: set[str]) -> None:
        if target.name not in reachable:
            refuse(
                f"the action '{target.name}' cannot be referenced: it must be on the 'runAfter' path of "
                f"'{action.name}', or within a scope on that path",
                action.where,
            )
        inside = (*action.loops, action) if action.type.loop else action.loops
        outside = [loop for loop in target.loops if loop not in inside and loop.type.collects]
        if len(outside) > 1:
            refuse(
                f"the action '{target.name}' is nested in a foreach scope of multiple levels; referencing "
                "repetition actions from outside the scope is not supported",
                action.where,
            )


def _names(graphs: Any) -> Iterator[str]:
    for graph in graphs:
        for name, action in graph.actions.items():
            yield name
            yield from _names(action.graphs.values())


def _type(action: dict[str, Any], where: str) -> ActionType:
    name = action.get("type")
    if not isinstance(name, str):
        refuse("the property 'type' is required", where)
    if name.lower() in REFUSED_TYPES:
        unsupported(f"the action type '{name}'", f"{where}/type")
    kind = ACTION_TYPES.get(name.lower())
    if kind is None:
        refuse(f"the action type '{name[:80]}' is not known", f"{where}/type")
    return kind


def _run_after(value: Any, where: str) -> dict[str, frozenset[Status]]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        refuse("it must be an object", f"{where}/runAfter")
    found: dict[str, frozenset[Status]] = {}
    for name, statuses in value.items():
        at = f"{where}/runAfter/{name}"
        if name.lower() in (other.lower() for other in found):
            refuse(f"the action '{name}' is there twice, with other capitals", at)
        if not isinstance(statuses, list) or not statuses:
            refuse("it must be an array of statuses that is not empty", at)
        for status in statuses:
            if not isinstance(status, str) or status.lower() not in _RUN_AFTER:
                refuse(f"'{str(status)[:40]}' is not one of Succeeded, Failed, Skipped, TimedOut", at)
        found[name] = frozenset(_RUN_AFTER[status.lower()] for status in statuses)
    return found


def _refuse_cycle(graph: Graph, where: str) -> None:
    left = {name: set(action.run_after) for name, action in graph.actions.items()}
    while free := [name for name, predecessors in left.items() if not predecessors]:
        for name in free:
            del left[name]
        for predecessors in left.values():
            predecessors.difference_update(free)
    if left:
        refuse(f"the actions {', '.join(sorted(left))} wait for each other", where)


def _runtime_configuration(check: Check, kind: ActionType) -> frozenset[str]:
    configuration = check.mapping(check.definition.get("runtimeConfiguration", {}), "runtimeConfiguration")
    known = {"secureData", "staticResult"} | ({"concurrency"} if kind.collects else set())
    check.only(configuration, frozenset(known), "runtimeConfiguration")
    static = check.mapping(configuration.get("staticResult", {}), "runtimeConfiguration/staticResult")
    if static and str(static.get("staticResultOptions", "")).lower() != "disabled":
        check.unsupported("static results", "runtimeConfiguration/staticResult")
    secure = check.mapping(configuration.get("secureData", {}), "runtimeConfiguration/secureData")
    parts = secure.get("properties", [])
    place = "runtimeConfiguration/secureData/properties"
    if not isinstance(parts, list):
        check.refuse("it must be an array", place)
    hidden = {check.literal(part, place, ("inputs", "outputs")) for part in parts}
    return frozenset(hidden | {"outputs"} if kind.hides_outputs and "inputs" in hidden else hidden)
