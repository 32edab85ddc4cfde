"""Management locks: what must not be deleted, or not be changed at all.

Sources: https://learn.microsoft.com/azure/azure-resource-manager/management/lock-resources and
https://learn.microsoft.com/rest/api/resources/management-locks. A lock holds for what it is on and for everything in
that; it does not hold back the data plane. Of actions (POST) those that show keys are reads, as with the lock
CanNotDelete; ReadOnly does not stop them here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.arm.errors import InvalidLock, ScopeLocked
from lurewire.core.resources import ResourceId, ResourceType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lurewire.core.resources import Change

LOCKS = "Microsoft.Authorization/locks"
LEVELS = ("CanNotDelete", "ReadOnly")
_LONGEST_NOTES = 512


def lock_type() -> ResourceType:
    """The resource type of locks."""
    return ResourceType(LOCKS, _prepare, _applied, _deleted)


def check_locks(locks: Iterable[dict[str, Any]], target: ResourceId, *, deletes: bool) -> None:
    """Raise `ScopeLocked` where a lock forbids to write `target`, or to delete it and what is in it."""
    if target.type.lower() == LOCKS.lower():
        return
    key, held = target.key, []
    for body in locks:
        scope = ResourceId.parse(body["id"]).scope
        above = key == scope.lower() or key.startswith(f"{scope.lower()}/")
        inside = deletes and scope.lower().startswith(f"{key}/")
        if (above and (deletes or body["properties"]["level"] == "ReadOnly")) or inside:
            held.append(scope)
    if held:
        raise ScopeLocked(str(target), "delete" if deletes else "write", held)


async def _prepare(change: Change) -> dict[str, Any]:
    properties = change.body.get("properties")
    level = properties.get("level") if isinstance(properties, dict) else None
    found = next((one for one in LEVELS if one.lower() == str(level).lower()), None)
    if found is None or not isinstance(properties, dict):
        raise InvalidLock(f"The level '{level}' of a lock is not one of {' and '.join(LEVELS)}.")
    notes = properties.get("notes")
    if notes is not None and (not isinstance(notes, str) or len(notes) > _LONGEST_NOTES):
        raise InvalidLock(f"The notes of a lock are a text of at most {_LONGEST_NOTES} characters.")
    return {"properties": properties | {"level": found}}


async def _applied(resource_id: ResourceId, body: dict[str, Any]) -> None:
    """The store asks for locks when something is to be changed."""


async def _deleted(resource_id: ResourceId) -> None:
    """As above."""
