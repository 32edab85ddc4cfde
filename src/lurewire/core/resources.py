"""Azure Resource Manager's resources, as the rooms see them; the store and its REST front are in `arm`.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-resource#resourceid
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sqlalchemy import Connection

    from lurewire.core.principal import Principal


class InvalidResourceId(ValueError):
    """The text is not a resource id; says at which segment."""


@dataclass(frozen=True, slots=True, eq=False)
class ResourceId:
    """The id of a resource, a resource group or a subscription; two that differ only in case are equal.

    `scope` is what the last `/providers/` stands on (an extension resource's target, else the resource group, else the
    subscription), `namespace` the provider (`Microsoft.Insights`), `types` and `names` the pairs behind it.
    """

    scope: str
    namespace: str
    types: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> ResourceId:
        """Take an id apart; raises `InvalidResourceId`."""
        trimmed = "/" + text.strip("/")
        at = trimmed.lower().rfind("/providers/")
        if at < 0:
            return cls._parse_container(trimmed)
        scope, rest = trimmed[:at], trimmed[at + len("/providers/") :].split("/")
        if len(rest) < 3 or len(rest) % 2 == 0 or not all(rest):
            msg = f"'{text}' is not a resource id: after '/providers/' come a namespace and pairs of type and name"
            raise InvalidResourceId(msg)
        return cls(str(cls.parse(scope)) if scope else "", rest[0], tuple(rest[1::2]), tuple(rest[2::2]))

    @classmethod
    def _parse_container(cls, text: str) -> ResourceId:
        parts = text.split("/")[1:]
        kinds = ("subscriptions", "resourcegroups")
        well_formed = len(parts) in (2, 4) and all(p.lower() == k for p, k in zip(parts[::2], kinds, strict=False))
        if not well_formed or not all(parts):
            msg = f"'{text}' is not a resource id: it names no subscription, resource group or provider"
            raise InvalidResourceId(msg)
        if len(parts) == 2:
            return cls("", "Microsoft.Resources", ("subscriptions",), (parts[1],))
        return cls(f"/subscriptions/{parts[1]}", "Microsoft.Resources", ("resourceGroups",), (parts[3],))

    def __str__(self) -> str:
        if self.type == "Microsoft.Resources/subscriptions":
            return f"/subscriptions/{self.name}"
        if self.type == "Microsoft.Resources/resourceGroups":
            return f"{self.scope}/resourceGroups/{self.name}"
        pairs = "/".join(f"{t}/{n}" for t, n in zip(self.types, self.names, strict=True))
        return f"{self.scope}/providers/{self.namespace}/{pairs}"

    def __eq__(self, other: object) -> bool:
        return self.key == other.key if isinstance(other, ResourceId) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def key(self) -> str:
        """The id in lower case: what the store finds it by."""
        return str(self).lower()

    @property
    def type(self) -> str:
        """The full type, such as `Microsoft.Insights/dataCollectionRules`."""
        return "/".join((self.namespace, *self.types))

    @property
    def name(self) -> str:
        """The last name."""
        return self.names[-1]

    @property
    def parent(self) -> ResourceId | None:
        """What it stands in: the parent resource, the extended resource, the group or the subscription."""
        if len(self.types) > 1:
            return ResourceId(self.scope, self.namespace, self.types[:-1], self.names[:-1])
        return ResourceId.parse(self.scope) if self.scope else None

    @property
    def subscription(self) -> str | None:
        """The subscription's GUID."""
        parts = str(self).split("/")
        return parts[2] if len(parts) > 2 and parts[1].lower() == "subscriptions" else None

    @property
    def resource_group(self) -> str | None:
        """The resource group's name."""
        parts = str(self).split("/")
        return parts[4] if len(parts) > 4 and parts[3].lower() == "resourcegroups" else None

    def child(self, kind: str, name: str) -> ResourceId:
        """The child resource `kind`/`name`."""
        return ResourceId(self.scope, self.namespace, (*self.types, kind), (*self.names, name))

    def extension(self, namespace: str, kind: str, name: str) -> ResourceId:
        """The extension resource of another provider on this one."""
        return ResourceId(str(self), namespace, (kind,), (name,))


@dataclass(frozen=True, slots=True)
class Change:
    """A PUT that is about to be stored: `body` is what was sent, `existing` what is stored now."""

    id: ResourceId
    body: dict[str, Any]
    existing: dict[str, Any] | None
    principal: Principal | None


class BuiltIns(Protocol):
    """Resources of a type that are there although nobody put them, until somebody does; bodies are whole, with an etag."""

    def get(self, resource_id: ResourceId) -> dict[str, Any] | None:
        """The body of that resource, None where it is no such one."""
        ...

    def list(self, parent: ResourceId) -> list[dict[str, Any]]:
        """The bodies of those in `parent`."""
        ...


@dataclass(frozen=True, slots=True)
class ResourceType:
    """What a room says of a resource type that it owns.

    `prepare` validates a change and returns the whole ARM body to store, with the properties that Azure adds; it
    raises the room's `WireError`s and has no other effect. `stored` runs in the transaction that stores it, for what must
    hold at that very moment; what it raises undoes the transaction. `applied` makes the room act on a stored body; it is called
    after each PUT and, at start, for every stored resource, so it must be idempotent. `deleted` undoes it.
    `hidden` are the JSON pointers of secrets: encrypted at rest, never in an answer or an export. `warnings` says what
    of a body is taken and will not work here, as pairs of code and message for who deploys it; it raises nothing.
    `current` gives a stored body with what other resources decide of it now, as everybody sees it from then on, and None
    where it is there no more; it raises nothing. Where `single`, one resource of the type stands for its name wherever it is: a PUT drops any other in the
    same transaction, without `deleted`, as `applied` tells what holds from then on.
    """

    type: str
    prepare: Callable[[Change], Awaitable[dict[str, Any]]]
    applied: Callable[[ResourceId, dict[str, Any]], Awaitable[None]]
    deleted: Callable[[ResourceId], Awaitable[None]]
    hidden: tuple[str, ...] = ()
    built_ins: BuiltIns | None = None
    warnings: Callable[[dict[str, Any]], Sequence[tuple[str, str]]] = field(default=lambda _body: ())
    current: Callable[[dict[str, Any]], dict[str, Any] | None] = field(default=lambda body: body)
    single: bool = False
    stored: Callable[[Connection, Change], None] = field(default=lambda _conn, _change: None)


class Resources(Protocol):
    """The resource store, as rooms use it: bodies are whole, with `id`, `name`, `type` and the hidden values."""

    def get(self, resource_id: ResourceId) -> dict[str, Any] | None:
        """The stored body, or None."""
        ...

    def list(self, resource_type: str) -> list[dict[str, Any]]:
        """All stored bodies of a type."""
        ...

    async def put(
        self, resource_id: ResourceId, body: dict[str, Any], principal: Principal | None = None
    ) -> dict[str, Any]:
        """Validate, store and apply; returns the stored body."""
        ...

    async def delete(self, resource_id: ResourceId) -> bool:
        """Delete; False where there was none."""
        ...
