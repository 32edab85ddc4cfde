"""Versions of workflows: a run keeps to the one that it was started with, also when the workflow changes meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.core.resources import ResourceId
from lurewire.playbooks.definition import Workflow, compile_workflow
from lurewire.playbooks.errors import WorkflowVersionNotFound
from lurewire.playbooks.journal import encode
from lurewire.playbooks.resource import whole
from lurewire.playbooks.tables import versions

if TYPE_CHECKING:
    from lurewire.core.database import Database
    from lurewire.core.limits import Limits
    from lurewire.core.secretbox import SecretBox

_CACHED = 256


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a workflow, compiled; `has_identity`: it has a system-assigned managed identity."""

    id: ResourceId
    number: str
    location: str
    tags: dict[str, Any]
    has_identity: bool
    workflow: Workflow

    def known_parameters(self) -> dict[str, Any]:
        """The parameters' values; null for those that are read from a vault when a run starts."""
        return {name: None if p.vault_uri else p.value for name, p in self.workflow.parameters.items()}


class Versions:
    """The stored versions, compiled once each."""

    def __init__(self, db: Database, box: SecretBox, limits: Limits) -> None:
        self._db = db
        self._box = box
        self._limits = limits
        self._compiled: dict[tuple[str, str], Version] = {}

    async def keep(self, resource_id: ResourceId, body: dict[str, Any], shown: dict[str, Any]) -> bool:
        """Store the version that a workflow's body is, and what a GET shows of it; False where it was there already."""
        number = body["properties"]["version"]
        same = versions.c.workflow == resource_id.key, versions.c.version == number
        if self._db.read(lambda conn: conn.execute(sa.select(versions.c.version).where(*same)).first()) is not None:
            return False
        row = {
            "workflow": resource_id.key,
            "version": number,
            "sealed": self._box.encrypt(encode(body | {"shown": shown})),
        }
        await self._db.write(lambda conn: conn.execute(insert(versions).values(row).on_conflict_do_nothing()))
        return True

    def of(self, resource_id: ResourceId, body: dict[str, Any]) -> Version:
        """The version that a stored body is."""
        properties = body["properties"]
        key = (resource_id.key, properties["version"])
        held = self._compiled.get(key)
        if held is not None:
            return held
        identity = body.get("identity") or {}
        made = Version(
            resource_id,
            properties["version"],
            body["location"],
            body.get("tags") or {},
            "SystemAssigned" in identity.get("type", ""),
            compile_workflow(*whole(properties), self._limits),
        )
        while len(self._compiled) >= _CACHED:
            del self._compiled[next(iter(self._compiled))]
        self._compiled[key] = made
        return made

    def get(self, workflow: str, number: str) -> Version:
        """The version of a workflow (resource id in lower case) that a run was started with."""
        held = self._compiled.get((workflow, number))
        if held is not None:
            return held
        body = self._row(workflow, number)
        return self.of(ResourceId.parse(body["id"]), body)

    def shown(self, workflow: str, number: str) -> dict[str, Any]:
        """A version of a workflow (resource id in lower case) without secrets; raises `WorkflowVersionNotFound`."""
        return _shown(self._row(workflow, number))

    def page(self, workflow: str, top: int, skip: int) -> list[dict[str, Any]]:
        """The versions that are kept, newest first, without secrets."""
        query = sa.select(versions.c.sealed).where(versions.c.workflow == workflow).order_by(versions.c.version)
        rows = self._db.read(lambda conn: conn.execute(query.limit(top).offset(skip)).scalars().all())
        return [_shown(self._opened(sealed)) for sealed in rows]

    def _row(self, workflow: str, number: str) -> dict[str, Any]:
        same = versions.c.workflow == workflow, versions.c.version == number
        sealed = self._db.read(lambda conn: conn.execute(sa.select(versions.c.sealed).where(*same)).scalar())
        if sealed is None:
            message = f"The version '{number[:80]}' of the workflow could not be found."
            raise WorkflowVersionNotFound(message)
        return self._opened(sealed)

    def _opened(self, sealed: bytes) -> dict[str, Any]:
        body: dict[str, Any] = msgspec.json.decode(self._box.decrypt(sealed))
        return body

    def forget(self, resource_id: ResourceId) -> None:
        """Drop what is compiled of a workflow that was deleted."""
        for key in [key for key in self._compiled if key[0] == resource_id.key]:
            del self._compiled[key]


def _shown(body: dict[str, Any]) -> dict[str, Any]:
    """A version as GET showed it; one of an older release, which did not keep that, without what may be secret in it."""
    found: dict[str, Any] | None = body.get("shown")
    if found is not None:
        return found
    hidden = ("definition", "parameters")
    return body | {"properties": {name: value for name, value in body["properties"].items() if name not in hidden}}
