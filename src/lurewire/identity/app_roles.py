"""Application permissions on Microsoft Graph: what an app may do in the directory. A table; nobody has one by default.

Names and GUIDs are facts of Microsoft Graph, and the actions are those of Entra's own roles. Sources:
https://learn.microsoft.com/graph/permissions-reference and
https://learn.microsoft.com/entra/identity/role-based-access-control/custom-available-permissions
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lurewire.identity.tables import app_roles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lurewire.core.clock import Clock
    from lurewire.core.database import Database

DIRECTORY = "https://graph.microsoft.com"
"""The scope of a directory action: no role assignment of Azure reaches it, not even an owner's of the tenant."""

_DOC = "https://learn.microsoft.com/graph/permissions-reference"
_KINDS = ("applications", "servicePrincipals")
_READ = tuple(f"microsoft.directory/{kind}/standard/read" for kind in _KINDS)
_WRITE = tuple(
    f"microsoft.directory/{kind}/{verb}"
    for kind in _KINDS
    for verb in ("create", "delete", "basic/update", "credentials/update")
)


@dataclass(frozen=True, slots=True)
class AppRole:
    """A permission: `value` is its name in tokens."""

    value: str
    id: str
    description: str
    url: str
    actions: tuple[str, ...]


class UnknownAppRole(ValueError):
    """There is no permission of that name."""


APP_ROLES: tuple[AppRole, ...] = (
    AppRole(
        "Application.Read.All",
        "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",
        "Sees all applications and service principals.",
        f"{_DOC}#applicationreadall",
        _READ,
    ),
    AppRole(
        "Application.ReadWrite.All",
        "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9",
        "Makes, changes and deletes all applications and service principals, and their credentials.",
        f"{_DOC}#applicationreadwriteall",
        _READ + _WRITE,
    ),
    AppRole(
        "Directory.Read.All",
        "7ab1d382-f21e-4acd-a863-ba3e13f7da61",
        "Sees the directory.",
        f"{_DOC}#directoryreadall",
        _READ,
    ),
)

_BY_NAME = {role.value.lower(): role for role in APP_ROLES}


def app_role(name: str) -> AppRole:
    """The permission of this name; raises `UnknownAppRole`."""
    role = _BY_NAME.get(name.lower())
    if role is None:
        known = ", ".join(one.value for one in APP_ROLES)
        raise UnknownAppRole(f"there is no Microsoft Graph permission '{name}' here; there are {known}")
    return role


class AppRoles:
    """Which service principal has which permissions."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def grant(self, object_id: str, names: Iterable[str]) -> None:
        """Give permissions to a service principal; raises `UnknownAppRole` before any is given."""
        now = self._clock.now().timestamp()
        rows = [
            {"object_id": object_id.lower(), "role_id": app_role(name).id, "created_at": now}
            for name in dict.fromkeys(names)
        ]
        insert = sa.insert(app_roles).prefix_with("OR IGNORE")
        if rows:
            await self._db.write(lambda conn: conn.execute(insert, rows))

    def of(self, object_id: str) -> list[AppRole]:
        """The permissions of a service principal."""
        held = sa.select(app_roles.c.role_id).where(app_roles.c.object_id == object_id.lower())
        ids = set(self._db.read(lambda conn: conn.execute(held).scalars().all()))
        return [role for role in APP_ROLES if role.id in ids]

    def allow(self, object_id: str, action: str) -> bool:
        """Whether some permission of the principal allows a directory action."""
        return any(action in role.actions for role in self.of(object_id))
