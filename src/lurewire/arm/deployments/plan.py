"""A deployment before anything is changed: its resources, what each waits for, and their order.

Sources: https://learn.microsoft.com/azure/azure-resource-manager/templates/resource-dependency and
https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-resource#implicit-dependency
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lurewire.arm.errors import InvalidTemplate
from lurewire.expressions import pointer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lurewire.arm.deployments.context import Context, Value
    from lurewire.arm.deployments.definitions import Kind, Type
    from lurewire.arm.deployments.parameters import Parameter
    from lurewire.arm.deployments.secrecy import Redactor
    from lurewire.arm.deployments.target import Target
    from lurewire.arm.deployments.template import Declared


class NotDeployedYet(Exception):
    """An expression asks for a resource that is only there later; `index` is its place in the plan, None: elsewhere."""

    def __init__(self, index: int | None) -> None:
        super().__init__(index)
        self.index = index


@dataclass(frozen=True, slots=True)
class Output:
    """A declared output: `value` is an expression still."""

    name: str
    kind: Kind
    type: Type
    value: Any

    @property
    def where(self) -> str:
        """Where in the template it is declared."""
        return f"/outputs/{self.name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deployment will do: `order` lists the resources' places, `needs` what each waits for.

    `children` are the plans of nested deployments; one whose parameters wait for a resource has none yet. `borrowed`
    is a plan whose expressions are those of the template around it, so that its context is that template's.
    """

    target: Target
    parameters: list[Parameter]
    values: dict[str, Value]
    resources: list[Declared]
    directory: Directory
    order: list[int]
    needs: dict[int, set[int]]
    outputs: list[Output]
    context: Context
    redactor: Redactor
    borrowed: bool = False
    children: dict[int, Plan] = field(default_factory=dict)

    def writes(self) -> Iterator[tuple[str, str]]:
        """Action and scope of each resource that is put, those of nested deployments too."""
        for index, resource in enumerate(self.resources):
            if not resource.deployed:
                continue
            is_group = resource.id.type.lower() == "microsoft.resources/resourcegroups"
            action = "Microsoft.Resources/subscriptions/resourceGroups" if is_group else resource.id.type
            yield f"{action}/write", str(resource.id)
            if index in self.children:
                yield from self.children[index].writes()

    def leaves(self) -> Iterator[tuple[str, str]]:
        """Every string that is evaluated at run time, with its place."""
        for index, resource in enumerate(self.resources):
            if not resource.deployed:
                continue
            yield from leaves(resource.nested.parameters if resource.nested else resource.body, resource.where)
            child = self.children.get(index)
            if child is not None and child.borrowed:
                yield from child.leaves()
        for output in self.outputs:
            yield from leaves(output.value, f"{output.where}/value")


class Directory:
    """The resources of a template by what they may be called."""

    def __init__(self, resources: list[Declared]) -> None:
        self._resources = resources
        self._named: dict[str, dict[int, None]] = {}
        self._loops: dict[str, list[int]] = {}
        for index, resource in enumerate(resources):
            for name in resource.names:
                self._named.setdefault(name, {})[index] = None
            if resource.loop is not None:
                self._loops.setdefault(resource.loop.lower(), []).append(index)

    def find(self, text: str) -> int | None:
        """The place of the resource that `text` names; raises `InvalidTemplate` where it may mean several."""
        lowered = text.lower().strip("/")
        found = list(self._named.get(f"/{lowered}" if text.startswith("/") else lowered, ()))
        deployed = [index for index in found if self._resources[index].condition]
        if len(deployed) > 1:
            places = ", ".join(self._resources[index].where for index in deployed)
            message = f"Deployment template validation failed: '{text}' may mean the resources at {places}."
            raise InvalidTemplate(message)
        return next(iter(deployed or found), None)

    def of_loop(self, text: str) -> list[int]:
        """The places of the resources of the copy loop that `text` names, in their order."""
        return self._loops.get(text.lower(), [])


def explicit(resources: list[Declared], directory: Directory, index: int) -> set[int]:
    """What `dependsOn` and a serial loop have the resource wait for; raises `InvalidTemplate`."""
    resource, needs = resources[index], set[int]()
    for text in resource.depends_on:
        at = directory.find(text)
        wanted = directory.of_loop(text) if at is None else [at]
        if not wanted and not _is_empty_loop(text, resource):
            raise InvalidTemplate.at(
                f"{resource.where}/dependsOn", f"the resource '{text}' is not defined in the template"
            )
        needs |= set(wanted)
    if resource.serial is not None and resource.loop is not None:
        batch = resource.at // resource.serial
        needs |= {
            place
            for place in directory.of_loop(resource.loop)
            if resources[place].where == resource.where and resources[place].at // resource.serial == batch - 1
        }
    return needs


def _is_empty_loop(text: str, resource: Declared) -> bool:
    return text.lower() in resource.empty_loops


def leaves(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """The strings of a document, property names too, each with its JSON pointer."""
    if isinstance(value, str):
        yield value, where
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from leaves(child, f"{where}/{index}")
    elif isinstance(value, dict):
        for name, child in value.items():
            place = f"{where}/{pointer(name)}"
            yield name, place
            yield from leaves(child, place)


def in_order(resources: list[Declared], needs: dict[int, set[int]]) -> list[int]:
    """The places in an order that keeps `needs`, else the template's; raises `InvalidTemplate` for a circle."""
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
        raise InvalidTemplate.at(resources[circle[0]].where, f"circular dependency detected: {names}")
    return order


def _circle(waiting: dict[int, set[int]], done: set[int], start: int) -> list[int]:
    path = [start]
    while True:
        step = min(waiting[path[-1]] - done)
        if step in path:
            return [*path[path.index(step) :], step]
        path.append(step)
