"""What is done with a workflow besides running it: enable, disable, validate, its versions, triggers and callback URLs.

Source: https://learn.microsoft.com/rest/api/logic/workflows
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from lurewire.core.resources import Change, ResourceId, Resources
from lurewire.playbooks.errors import WorkflowNotFound, WorkflowTriggerNotFound
from lurewire.playbooks.resource import WORKFLOWS, system_id, whole
from lurewire.playbooks.triggers import find_trigger_named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lurewire.core.principal import Principal
    from lurewire.playbooks.callbacks import Callbacks
    from lurewire.playbooks.resource import WorkflowResources
    from lurewire.playbooks.triggers import Trigger
    from lurewire.playbooks.versions import Versions

Body = dict[str, Any]


class Store(Resources, Protocol):
    """The resource store, as this room uses it."""

    def shown(self, resource_id: ResourceId) -> Body | None:
        """The stored body as a GET answers it, without hidden values, or None."""
        ...

    async def put(
        self, resource_id: ResourceId, body: Body, principal: Principal | None = None, *, assigns: bool = True
    ) -> Body:
        """Validate, store and apply; `assigns` False: who asks names no identities, and needs no right to them."""
        ...


class Operations:
    """The operations on stored workflows; all raise `WorkflowNotFound`."""

    def __init__(
        self, resources: Store, workflows: WorkflowResources, versions: Versions, callbacks: Callbacks
    ) -> None:
        self._resources = resources
        self._workflows = workflows
        self._versions = versions
        self._callbacks = callbacks
        self._by_system_id: dict[str, ResourceId] = {}

    def stored(self, workflow: ResourceId) -> None:
        """Take note of a workflow that callbacks can name."""
        self._by_system_id[system_id(workflow)] = workflow

    def deleted(self, workflow: ResourceId) -> None:
        """Forget it."""
        self._by_system_id.pop(system_id(workflow), None)

    async def switch(self, workflow: ResourceId, state: str, principal: Principal) -> None:
        """Put the workflow with another `state`, as a version of its own; raises a conflict where it changes meanwhile."""
        body = self._body(workflow)
        if body["properties"]["state"] == state:
            return
        definition, parameters = whole(body["properties"])
        kept = {name: body[name] for name in ("location", "tags", "identity", "etag") if name in body}
        properties = {"state": state, "definition": definition, "parameters": parameters}
        await self._resources.put(workflow, kept | {"properties": properties}, principal, assigns=False)

    async def validate(self, workflow: ResourceId, body: Body, principal: Principal) -> None:
        """Raise what putting `body` would."""
        await self._workflows.prepare(Change(workflow, body, self._resources.get(workflow), principal))

    def versions(self, workflow: ResourceId, top: int, skip: int = 0) -> list[Body]:
        """The versions that are kept, newest first."""
        self._body(workflow)
        return [_version(workflow, shown) for shown in self._versions.page(workflow.key, top, skip)]

    def version(self, workflow: ResourceId, number: str) -> Body:
        """One version; raises `WorkflowVersionNotFound`."""
        self._body(workflow)
        return _version(workflow, self._versions.shown(workflow.key, number))

    def triggers(self, workflow: ResourceId) -> list[Body]:
        """The triggers of the newest version."""
        body = self._body(workflow)
        found = self._versions.of(workflow, body).workflow.triggers
        return [_trigger(workflow, body, trigger) for trigger in found.values()]

    def trigger(self, workflow: ResourceId, name: str) -> Body:
        """One of them; raises `WorkflowTriggerNotFound`."""
        body = self._body(workflow)
        return _trigger(workflow, body, self._trigger(workflow, body, name))

    def callback(self, workflow: ResourceId, trigger: str) -> Body:
        """What `listCallbackUrl` answers; raises `WorkflowTriggerNotFound`."""
        body = self._body(workflow)
        return self._callbacks.describe(body, self._trigger(workflow, body, trigger))

    async def callback_of_trigger(self, trigger: ResourceId) -> Body:
        """The same by the trigger's resource id."""
        workflow = trigger.parent
        if workflow is None or workflow.type.lower() != WORKFLOWS.lower():
            message = f"The workflow trigger '{trigger}' could not be found."
            raise WorkflowTriggerNotFound(message)
        return self.callback(workflow, trigger.name)

    def called(self, name: str, trigger: str, queries: Mapping[str, str]) -> tuple[ResourceId, Trigger]:
        """Whose callback URL a request came by; raises `CallbackUnsigned` and `CallbackRefused`.

        What the workflow has is told only to who has a URL of it: raises `WorkflowTriggerNotFound` after these.
        """
        workflow = self._by_system_id.get(name.lower())
        if workflow is None:
            message = f"The workflow '{name[:80]}' could not be found."
            raise WorkflowNotFound(message)
        body = self._body(workflow)
        found = find_trigger_named(self._versions.of(workflow, body).workflow.triggers, trigger)
        self._callbacks.check(body, trigger if found is None else found.name, queries)
        return workflow, found or self._trigger(workflow, body, trigger)

    def _body(self, workflow: ResourceId) -> Body:
        body = self._resources.get(workflow)
        if body is None:
            message = f"The workflow '{workflow}' could not be found."
            raise WorkflowNotFound(message)
        return body

    def _trigger(self, workflow: ResourceId, body: Body, name: str) -> Trigger:
        triggers = self._versions.of(workflow, body).workflow.triggers
        found = find_trigger_named(triggers, name)
        if found is None:
            known = ", ".join(f"'{one}'" for one in triggers)
            message = f"The workflow '{workflow.name}' has no trigger '{name[:80]}'; it has {known or 'none'}."
            raise WorkflowTriggerNotFound(message)
        return found


def _version(workflow: ResourceId, shown: Body) -> Body:
    number = shown["properties"]["version"]
    return {
        **{name: shown[name] for name in ("location", "tags") if name in shown},
        "properties": shown["properties"],
        "id": f"{workflow}/versions/{number}",
        "name": number,
        "type": f"{WORKFLOWS}/versions",
    }


def _trigger(workflow: ResourceId, body: Body, trigger: Trigger) -> Body:
    properties = body["properties"]
    number = properties["version"]
    return {
        "properties": {
            "provisioningState": "Succeeded",
            "createdTime": properties["createdTime"],
            "changedTime": properties["changedTime"],
            "state": properties["state"],
            "workflow": {"id": f"{workflow}/versions/{number}", "name": number, "type": f"{WORKFLOWS}/versions"},
        },
        "id": f"{workflow}/triggers/{trigger.name}",
        "name": trigger.name,
        "type": f"{WORKFLOWS}/triggers",
    }
