"""Versions of workflows: a run keeps to the one that it was started with, also when the workflow changes meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.core.resources import ResourceId
from lurewire.playbooks.definition import Workflow, compile_workflow
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

    async def keep(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        """Store the version that a workflow's body is; again changes nothing."""
        number = body["properties"]["version"]
        same = versions.c.workflow == resource_id.key, versions.c.version == number
        if self._db.read(lambda conn: conn.execute(sa.select(versions.c.version).where(*same)).first()) is None:
            row = {"workflow": resource_id.key, "version": number, "sealed": self._box.encrypt(encode(body))}
            await self._db.write(lambda conn: conn.execute(insert(versions).values(row).on_conflict_do_nothing()))

    def of(self, resource_id: ResourceId, body: dict[str, Any]) -> Version:
        """The version that a stored body is."""
        properties = body["properties"]
        key = (resource_id.key, properties["version"])
        held = self._compiled.get(key)
        if held is not None:
            return held
        identity = body.get("identity")
        made = Version(
            resource_id,
            properties["version"],
            body["location"],
            body.get("tags") or {},
            identity is not None and identity["type"] == "SystemAssigned",
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
        same = versions.c.workflow == workflow, versions.c.version == number
        sealed = self._db.read(lambda conn: conn.execute(sa.select(versions.c.sealed).where(*same)).scalar_one())
        body = msgspec.json.decode(self._box.decrypt(sealed))
        return self.of(ResourceId.parse(body["id"]), body)

    def forget(self, resource_id: ResourceId) -> None:
        """Drop what is compiled of a workflow that was deleted."""
        for key in [key for key in self._compiled if key[0] == resource_id.key]:
            del self._compiled[key]
