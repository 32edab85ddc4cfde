"""A deployment before anything is changed: everything about it that can be known is checked and put in order.

Sources: https://learn.microsoft.com/azure/azure-resource-manager/templates/resource-dependency and
https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-resource#implicit-dependency
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from lurewire.arm.deployments.context import Names, Value
from lurewire.arm.deployments.functions import TEMPLATE_FUNCTIONS
from lurewire.arm.deployments.parameters import KINDS, Parameter, VaultReference, declared, resolve
from lurewire.arm.deployments.secrecy import Redactor
from lurewire.arm.deployments.template import Declared, check_sections, declare, invalid
from lurewire.arm.errors import InvalidTemplate
from lurewire.expressions import Syntax, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lurewire.arm.deployments.context import Context
    from lurewire.core.limits import Limits
    from lurewire.core.resources import ResourceId


class NotDeployedYet(Exception):
    """An expression asks for a resource that is only there later; `index` is its place in the plan, None: elsewhere."""

    def __init__(self, index: int | None) -> None:
        super().__init__(index)
        self.index = index


@dataclass(frozen=True, slots=True)
class Output:
    """A declared output: `value` is an expression still."""

    name: str
    type: str
    value: Any

    @property
    def where(self) -> str:
        """Where in the template it is declared."""
        return f"/outputs/{self.name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deployment will do: `order` lists the resources' places, `needs` what each waits for."""

    parameters: list[Parameter]
    values: dict[str, Value]
    resources: list[Declared]
    order: list[int]
    needs: dict[int, set[int]]
    outputs: list[Output]
    context: Context
    redactor: Redactor

    def find(self, text: str) -> int | None:
        """The place of the resource that `text` names; raises `InvalidTemplate` where it may mean several."""
        return find(self.resources, text)


def make_plan(
    template: dict[str, Any],
    supplied: Any,
    context: Context,
    group: ResourceId,
    limits: Limits,
    read_secret: Callable[[Parameter, VaultReference], str],
) -> Plan:
    """Check and order a template; raises `InvalidTemplate`, and what `read_secret` raises."""
    check_sections(template, limits)
    parameters = declared(template, supplied)
    values = resolve(parameters, context, read_secret)
    redactor = Redactor(value.value for value in values.values() if value.secret)
    try:
        context.variables = _variables(template.get("variables") or {}, context)
        _check_expressions(template)
        resources = declare(template, context, group, limits)
        needs = {index: _explicit(resources, index) for index in range(len(resources))}
        context.reference = _preview(resources)
        for index, resource in enumerate(resources):
            if resource.condition:
                needs[index] |= _implicit(resource, context) - {index}
        context.reference = None
        order = _order(resources, needs)
        outputs = _outputs(template.get("outputs") or {}, context)
    except InvalidTemplate as error:
        raise InvalidTemplate(redactor(error.message), target=error.target) from None
    return Plan(parameters, values, resources, order, needs, outputs, context, redactor)


def find(resources: list[Declared], text: str) -> int | None:
    """The place of the resource that `text` names; raises `InvalidTemplate` where it may mean several."""
    found = [index for index, one in enumerate(resources) if one.is_called(text)]
    deployed = [index for index in found if resources[index].condition]
    if len(deployed) > 1:
        places = ", ".join(resources[index].where for index in deployed)
        raise InvalidTemplate(f"Deployment template validation failed: '{text}' may mean the resources at {places}.")
    return next(iter(deployed or found), None)


def _variables(variables: dict[str, Any], context: Context) -> Names:
    def source(name: str) -> Callable[[], Value]:
        return lambda: context.watch(variables[name], TEMPLATE_FUNCTIONS, f"/variables/{name}")

    names = Names("variable", {name.lower(): source(name) for name in variables})
    if len(names.sources) != len(variables):
        raise invalid("/variables", "two variables differ only in case")
    return names


def _check_expressions(template: dict[str, Any]) -> None:
    for section in ("variables", "resources", "outputs"):
        wrong = next(check(template.get(section), TEMPLATE_FUNCTIONS, Syntax.ARM, f"/{section}"), None)
        if wrong is not None:
            raise InvalidTemplate(f"Deployment template validation failed: {wrong}", target=wrong.where)


def _explicit(resources: list[Declared], index: int) -> set[int]:
    needs = set()
    for text in resources[index].depends_on:
        at = find(resources, text)
        if at is None:
            raise invalid(
                f"{resources[index].where}/dependsOn", f"the resource '{text}' is not defined in the template"
            )
        needs.add(at)
    return needs


def _preview(resources: list[Declared]) -> Callable[[str, str | None, bool], Any]:
    def reference(text: str, _api_version: str | None, _full: bool) -> NoReturn:
        raise NotDeployedYet(find(resources, text))

    return reference


def _implicit(resource: Declared, context: Context) -> set[int]:
    """Evaluate every string by itself: one that waits for a `reference` must not hide what is wrong with another."""
    needs = set()
    for value, where in _leaves(resource.body, resource.where):
        try:
            context.watch(value, TEMPLATE_FUNCTIONS, where)
        except NotDeployedYet as signal:
            if signal.index is not None:
                needs.add(signal.index)
    return needs


def _leaves(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """The strings of a document, property names too, each with its JSON pointer."""
    if isinstance(value, str):
        yield value, where
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _leaves(child, f"{where}/{index}")
    elif isinstance(value, dict):
        for name, child in value.items():
            place = f"{where}/{pointer(name)}"
            yield name, place
            yield from _leaves(child, place)


def pointer(name: str) -> str:
    """A property name as segment of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _order(resources: list[Declared], needs: dict[int, set[int]]) -> list[int]:
    waiting = {index: set(before) for index, before in needs.items()}
    ready = [index for index, before in waiting.items() if not before]
    heapq.heapify(ready)
    after: dict[int, list[int]] = {}
    for index, before in needs.items():
        for one in before:
            after.setdefault(one, []).append(index)
    order = []
    while ready:
        done = heapq.heappop(ready)
        order.append(done)
        for index in after.get(done, ()):
            waiting[index].discard(done)
            if not waiting[index]:
                heapq.heappush(ready, index)
    if len(order) < len(resources):
        stuck = min(set(waiting) - set(order))
        circle = _circle(waiting, set(order), stuck)
        names = " -> ".join(str(resources[index].id) for index in circle)
        raise invalid(resources[circle[0]].where, f"circular dependency detected: {names}")
    return order


def _circle(waiting: dict[int, set[int]], done: set[int], start: int) -> list[int]:
    path = [start]
    while True:
        step = min(waiting[path[-1]] - done)
        if step in path:
            return [*path[path.index(step) :], step]
        path.append(step)


def _outputs(outputs: dict[str, Any], context: Context) -> list[Output]:
    found = []
    for name, raw in outputs.items():
        where = f"/outputs/{name}"
        if not isinstance(raw, dict) or str(raw.get("type", "")).lower() not in KINDS:
            raise invalid(where, f"an output needs a 'type', one of {', '.join(k.shown for k in KINDS.values())}")
        other = sorted(set(raw) - {"type", "value", "condition", "metadata"})
        if other or "value" not in raw:
            raise invalid(
                where, f"'{other[0]}' is not supported in an output" if other else "an output needs a 'value'"
            )
        condition = context.watch(raw.get("condition", True), TEMPLATE_FUNCTIONS, f"{where}/condition").value
        if not isinstance(condition, bool):
            raise invalid(f"{where}/condition", "'condition' must be true or false")
        if condition:
            found.append(Output(name, str(raw["type"]).lower(), raw["value"]))
    return found
