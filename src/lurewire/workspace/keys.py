"""The two shared keys of a workspace, by which the HTTP Data Collector API knows its callers.

Source: https://learn.microsoft.com/rest/api/loganalytics/shared-keys and contract section E.7. They are made when somebody
first asks for them or uses one, and are encrypted at rest. They belong to the workspace's GUID, not to its name: another
workspace of the same name has others.
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from starlette.responses import JSONResponse, Response

from lurewire.core.database import metadata
from lurewire.core.errors import WireError
from lurewire.core.http import Audience, Needs, Route
from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from lurewire.core.database import Database
    from lurewire.core.secretbox import SecretBox
    from lurewire.workspace.service import Workspaces

_NAMESPACE = "Microsoft.OperationalInsights"
_TYPE = f"{_NAMESPACE}/workspaces"
_WORKSPACE = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{_TYPE}/{{workspace}}"
_KEY_BYTES = 64

shared_keys = sa.Table(
    "workspace_shared_keys",
    metadata,
    sa.Column("customer_id", sa.String, primary_key=True),  # the workspace's GUID in lower case
    sa.Column("primary_key", sa.LargeBinary, nullable=False),  # encrypted
    sa.Column("secondary_key", sa.LargeBinary, nullable=False),  # encrypted
)


class NoSuchWorkspace(WireError):
    """There is no workspace of that id."""

    status = 404
    code = "ResourceNotFound"


class SharedKeys:
    """The keys of all workspaces, each the base64 text of 64 random bytes."""

    def __init__(self, db: Database, box: SecretBox) -> None:
        self._db = db
        self._box = box

    async def of(self, customer_id: str) -> tuple[str, str]:
        """The primary and the secondary key of a workspace's GUID; made where there are none."""
        found = self._stored(customer_id)
        if found is None:
            await self._store(customer_id, replace=False)
            found = self._stored(customer_id)
        assert found is not None
        return found

    async def regenerate(self, customer_id: str) -> tuple[str, str]:
        """New keys; the old ones are good for nothing from now on."""
        await self._store(customer_id, replace=True)
        return await self.of(customer_id)

    def _stored(self, customer_id: str) -> tuple[str, str] | None:
        query = sa.select(shared_keys).where(shared_keys.c.customer_id == customer_id.lower())
        row = self._db.read(lambda conn: conn.execute(query).one_or_none())
        if row is None:
            return None
        return self._box.decrypt(row.primary_key).decode(), self._box.decrypt(row.secondary_key).decode()

    async def _store(self, customer_id: str, *, replace: bool) -> None:
        made = {name: self._box.encrypt(_new_key()) for name in ("primary_key", "secondary_key")}
        statement = insert(shared_keys).values(customer_id=customer_id.lower(), **made)
        whole = (
            statement.on_conflict_do_update(index_elements=["customer_id"], set_=made)
            if replace
            else statement.on_conflict_do_nothing()
        )
        await self._db.write(lambda conn: conn.execute(whole))


def _new_key() -> bytes:
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES))


def shared_key_routes(workspaces: Workspaces, keys: SharedKeys) -> tuple[Route, ...]:
    """`sharedKeys`, which templates call `listKeys`, and `regenerateSharedKey`: control-plane routes."""

    def customer_id(request: Request) -> str:
        given = request.path_params
        group = ResourceId.parse(f"/subscriptions/{given['subscription']}/resourceGroups/{given['group']}")
        found = workspaces.by_id(group.extension(_NAMESPACE, "workspaces", given["workspace"]))
        if found is None:
            raise NoSuchWorkspace(f"The workspace '{given['workspace'][:80]}' was not found.")
        return found.customer_id

    def scope(request: Request) -> str:
        found = workspaces.id_of(customer_id(request))
        return str(found)

    async def show(request: Request) -> Response:
        return _answer(await keys.of(customer_id(request)))

    async def regenerate(request: Request) -> Response:
        return _answer(await keys.regenerate(customer_id(request)))

    def route(name: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
        return Route(
            "POST", f"{_WORKSPACE}/{name}", handler, Needs(f"{_TYPE}/{name}/action", Audience.MANAGEMENT, scope)
        )

    return (route("sharedKeys", show), route("listKeys", show), route("regenerateSharedKey", regenerate))


def _answer(found: tuple[str, str]) -> Response:
    content = dict(zip(("primarySharedKey", "secondarySharedKey"), found, strict=True))
    return JSONResponse(content, headers={"Cache-Control": "no-store"})
