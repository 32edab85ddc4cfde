"""Deployments as they are kept: what a GET shows, their operations and their templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.arm.tables import deployment_templates, deployments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.core.database import Database
    from lurewire.core.resources import ResourceId

Bodies = list[dict[str, Any]]


class Records:
    """Reads and writes deployments; who may is asked before."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, deployment: ResourceId) -> dict[str, Any] | None:
        """A deployment, None where there is none."""
        found: dict[str, Any] | None = self._one(deployments.c.body, deployment.key)
        return found

    def operations(self, deployment: ResourceId) -> Bodies | None:
        """What a deployment did, None where there is none."""
        found: Bodies | None = self._one(deployments.c.operations, deployment.key)
        return found

    def template(self, deployment: ResourceId) -> dict[str, Any] | None:
        """The template of a deployment, its secure values taken out; None where there is none."""
        query = sa.select(deployment_templates.c.template).where(deployment_templates.c.key == deployment.key)
        found = self._db.read(lambda conn: conn.execute(query).scalar())
        return None if found is None else msgspec.json.decode(found)

    def list(self, scope: str) -> Bodies:
        """The deployments at a scope (its id in lower case), the latest first."""
        query = sa.select(deployments.c.body).where(deployments.c.group_key == scope)
        found = [msgspec.json.decode(body) for body in self._db.read(lambda conn: conn.execute(query).scalars().all())]
        return sorted(found, key=lambda body: str(body["properties"]["timestamp"]), reverse=True)

    def unfinished(self) -> Sequence[tuple[str, dict[str, Any], Bodies]]:
        """Scope, body and operations of the deployments that are not finished."""
        query = sa.select(deployments).where(deployments.c.state == "Running")
        return [
            (row.group_key, msgspec.json.decode(row.body), msgspec.json.decode(row.operations))
            for row in self._db.read(lambda conn: conn.execute(query).all())
        ]

    async def save(
        self, scope: str, body: dict[str, Any], operations: Bodies, template: dict[str, Any] | None = None
    ) -> None:
        """Keep a deployment at a scope (its id in lower case), and its template where there is one."""
        values = {
            "key": body["id"].lower(),
            "group_key": scope,
            "state": body["properties"]["provisioningState"],
            "body": msgspec.json.encode(body),
            "operations": msgspec.json.encode(operations),
        }
        upsert = insert(deployments).values(values)
        upsert = upsert.on_conflict_do_update(index_elements=["key"], set_=values)
        text = None if template is None else msgspec.json.encode(template)

        def work(conn: sa.Connection) -> None:
            conn.execute(upsert)
            if text is not None:
                row = {"key": values["key"], "scope_key": scope, "template": text}
                kept = insert(deployment_templates).values(row)
                conn.execute(kept.on_conflict_do_update(index_elements=["key"], set_=row))

        await self._db.write(work)

    async def delete(self, deployment: ResourceId) -> bool:
        """Forget a deployment; False where there was none."""

        def work(conn: sa.Connection) -> int:
            conn.execute(sa.delete(deployment_templates).where(deployment_templates.c.key == deployment.key))
            return conn.execute(sa.delete(deployments).where(deployments.c.key == deployment.key)).rowcount

        return await self._db.write(work) > 0

    async def delete_all(self, scope: str) -> None:
        """Forget all deployments at a scope."""

        def work(conn: sa.Connection) -> None:
            conn.execute(sa.delete(deployment_templates).where(deployment_templates.c.scope_key == scope))
            conn.execute(sa.delete(deployments).where(deployments.c.group_key == scope))

        await self._db.write(work)

    def _one(self, column: sa.Column[Any], key: str) -> Any:
        query = sa.select(column).where(deployments.c.key == key)
        found = self._db.read(lambda conn: conn.execute(query).scalar())
        return None if found is None else msgspec.json.decode(found)
