"""Deployments as they are kept: what a GET shows, their operations and their templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.arm.tables import deployment_requests, deployment_templates, deployments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.core.database import Database
    from lurewire.core.resources import ResourceId
    from lurewire.core.secretbox import SecretBox

Bodies = list[dict[str, Any]]

_BESIDE = (deployment_templates, deployment_requests)
"""What is kept beside a deployment, by its id."""


class Records:
    """Reads and writes deployments; who may is asked before."""

    def __init__(self, db: Database, box: SecretBox) -> None:
        self._db = db
        self._box = box

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

    def is_repeatable(self, deployment: ResourceId) -> bool:
        """Whether a deployment can be run again: it was not inside another one."""
        query = sa.select(deployment_requests.c.key).where(deployment_requests.c.key == deployment.key)
        return self._db.read(lambda conn: conn.execute(query).first()) is not None

    def repeatable(self, deployment: ResourceId) -> dict[str, Any] | None:
        """`template` and `parameters` of a deployment with their secrets, None where it cannot be run again."""
        query = sa.select(deployment_requests.c.sealed).where(deployment_requests.c.key == deployment.key)
        sealed = self._db.read(lambda conn: conn.execute(query).scalar())
        return None if sealed is None else msgspec.json.decode(self._box.decrypt(sealed))

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

    async def begin(self, scope: str, body: dict[str, Any], template: dict[str, Any]) -> None:
        """Keep a deployment that begins, at a scope (its id in lower case), with its template.

        What an earlier one of the name kept to be run again is forgotten.
        """
        key = body["id"].lower()
        rows: list[tuple[sa.Table, dict[str, Any]]] = [
            (deployments, _row(scope, body, [])),
            (deployment_templates, {"key": key, "scope_key": scope, "template": msgspec.json.encode(template)}),
        ]

        def work(conn: sa.Connection) -> None:
            conn.execute(sa.delete(deployment_requests).where(deployment_requests.c.key == key))
            for table, row in rows:
                conn.execute(insert(table).values(row).on_conflict_do_update(index_elements=["key"], set_=row))

        await self._db.write(work)

    async def save(
        self, scope: str, body: dict[str, Any], operations: Bodies, repeatable: dict[str, Any] | None = None
    ) -> None:
        """Keep how a deployment at a scope (its id in lower case) went; nothing where it was deleted with its scope.

        `repeatable` has its `template` and `parameters` with their secrets, where it may be run again.
        """
        values = _row(scope, body, operations)
        key = values["key"]
        update = sa.update(deployments).where(deployments.c.key == key).values(values)
        sealed = None if repeatable is None else self._box.encrypt(msgspec.json.encode(repeatable))

        def work(conn: sa.Connection) -> None:
            if conn.execute(update).rowcount and sealed is not None:
                conn.execute(insert(deployment_requests).values(key=key, scope_key=scope, sealed=sealed))

        await self._db.write(work)

    async def delete(self, deployment: ResourceId) -> bool:
        """Forget a deployment; False where there was none."""

        def work(conn: sa.Connection) -> int:
            for table in _BESIDE:
                conn.execute(sa.delete(table).where(table.c.key == deployment.key))
            return conn.execute(sa.delete(deployments).where(deployments.c.key == deployment.key)).rowcount

        return await self._db.write(work) > 0

    async def delete_all(self, scope: str) -> None:
        """Forget all deployments at a scope."""

        def work(conn: sa.Connection) -> None:
            for table in _BESIDE:
                conn.execute(sa.delete(table).where(table.c.scope_key == scope))
            conn.execute(sa.delete(deployments).where(deployments.c.group_key == scope))

        await self._db.write(work)

    def _one(self, column: sa.Column[Any], key: str) -> Any:
        query = sa.select(column).where(deployments.c.key == key)
        found = self._db.read(lambda conn: conn.execute(query).scalar())
        return None if found is None else msgspec.json.decode(found)


def _row(scope: str, body: dict[str, Any], operations: Bodies) -> dict[str, Any]:
    return {
        "key": body["id"].lower(),
        "group_key": scope,
        "state": body["properties"]["provisioningState"],
        "body": msgspec.json.encode(body),
        "operations": msgspec.json.encode(operations),
    }
