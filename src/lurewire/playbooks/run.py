"""A run in memory: what its actions share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lurewire.playbooks.frames import Frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from lurewire.core.principal import Principal
    from lurewire.core.resources import ResourceId
    from lurewire.playbooks.definition import Workflow
    from lurewire.playbooks.models import Record


@dataclass(slots=True)
class Variable:
    """A variable: `type` is one of boolean, integer, float, string, object, array."""

    type: str
    value: Any


@dataclass(frozen=True, slots=True)
class Identity:
    """Which workflow runs, in which version; `principal` is its own managed identity, where it has one.

    `assigned` gives a user-assigned one by its id, None where it is not there or not assigned to the workflow now.
    """

    id: ResourceId
    version: str
    location: str
    tags: dict[str, Any]
    principal: Principal | None
    assigned: Callable[[ResourceId], Principal | None]


@dataclass(slots=True)
class Run:
    """The state of one run. `stored` are the records of an earlier process, by name and iteration."""

    name: str
    identity: Identity
    workflow: Workflow
    parameters: dict[str, Any]
    trigger: dict[str, Any]
    created: datetime
    stored: dict[tuple[str, tuple[int, ...]], Record] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)  # by name in lower case
    root: Frame = field(default_factory=Frame)
    completed: int = 0

    @property
    def client_tracking_id(self) -> str:
        """What correlates the run with its cause."""
        return str(self.trigger["clientTrackingId"])

    @property
    def id(self) -> str:
        """The run's resource id."""
        return f"{self.identity.id}/runs/{self.name}"

    def next_place(self) -> int:
        """The place of the next action that ends."""
        self.completed += 1
        return self.completed

    def describe(self) -> dict[str, Any]:
        """What `workflow()` gives."""
        identity = self.identity
        return {
            "id": str(identity.id),
            "name": identity.id.name,
            "type": "Microsoft.Logic/workflows",
            "location": identity.location,
            "tags": identity.tags,
            "run": {"id": self.id, "name": self.name, "type": "Microsoft.Logic/workflows/runs"},
        }
