"""Role-based access: which action may a principal perform at which scope; nothing is allowed that no role allows.

Source: https://learn.microsoft.com/azure/role-based-access-control/overview#how-azure-rbac-determines-if-a-user-has-access-to-a-resource
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lurewire.identity.roles import Role

_CACHE_SIZE = 50_000


def _pattern(actions: Iterable[str]) -> re.Pattern[str]:
    """One pattern for a list of actions: `*` stands for any text, slashes too; case does not count."""
    alternatives = "|".join(".*".join(re.escape(part) for part in action.split("*")) for action in actions)
    return re.compile(alternatives or r"(?!)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Permissions:
    """A role's lists, ready to be asked."""

    role: Role
    _control: tuple[re.Pattern[str], re.Pattern[str]] = field(init=False)
    _data: tuple[re.Pattern[str], re.Pattern[str]] = field(init=False)

    def __post_init__(self) -> None:
        role = self.role
        object.__setattr__(self, "_control", (_pattern(role.actions), _pattern(role.not_actions)))
        object.__setattr__(self, "_data", (_pattern(role.data_actions), _pattern(role.not_data_actions)))

    def allow(self, action: str, *, data: bool) -> bool:
        """Whether the role allows `action`; what it leaves out, another role may still allow."""
        granted, withheld = self._data if data else self._control
        return granted.fullmatch(action) is not None and withheld.fullmatch(action) is None


@dataclass(frozen=True, slots=True)
class Assignment:
    """A role of a principal at a scope and below; scopes are in lower case, without a slash at the end."""

    principal_id: str
    role_id: str
    scope: str

    def covers(self, scope: str) -> bool:
        """Whether `scope` (in lower case) is this one or inside it."""
        return scope == self.scope or scope.startswith(self.scope + "/")


class RoleIndex:
    """All assignments in memory, by principal; decisions are kept until an assignment changes."""

    def __init__(self, roles: Iterable[Role]) -> None:
        self._permissions = {role.id: Permissions(role) for role in roles}
        self._assignments: dict[str, Assignment] = {}
        self._by_principal: dict[str, list[Assignment]] = {}
        self._decisions: dict[tuple[str, str, str, bool], bool] = {}

    def put(self, key: str, principal_id: str, role_id: str, scope: str) -> None:
        """Know the assignment `key`, in place of what it was before."""
        self._forget(key)
        assignment = Assignment(principal_id.lower(), role_id.lower(), scope.lower().rstrip("/"))
        self._assignments[key] = assignment
        self._by_principal.setdefault(assignment.principal_id, []).append(assignment)
        self._decisions.clear()

    def remove(self, key: str) -> None:
        """Forget the assignment `key`."""
        self._forget(key)
        self._decisions.clear()

    def find(self, principal_id: str, role_id: str, scope: str) -> str | None:
        """The key of the assignment that says just this."""
        wanted = Assignment(principal_id.lower(), role_id.lower(), scope.lower().rstrip("/"))
        return next((key for key, assignment in self._assignments.items() if assignment == wanted), None)

    def allows(self, principal_id: str, action: str, scope: str, *, data: bool) -> bool:
        """Whether some role of the principal, at `scope` or above, allows `action`."""
        question = (principal_id, action, scope, data)
        known = self._decisions.get(question)
        if known is None:
            if len(self._decisions) >= _CACHE_SIZE:
                self._decisions.clear()
            known = self._decisions[question] = self._decide(principal_id, action, scope, data=data)
        return known

    def sees(self, principal_id: str, scope: str) -> bool:
        """Whether the principal has any role at, above or inside `scope`."""
        place = scope.lower().rstrip("/")
        return any(
            assignment.covers(place) or assignment.scope.startswith(place + "/")
            for assignment in self._by_principal.get(principal_id.lower(), ())
        )

    def _decide(self, principal_id: str, action: str, scope: str, *, data: bool) -> bool:
        place = scope.lower().rstrip("/")
        for assignment in self._by_principal.get(principal_id.lower(), ()):
            permissions = self._permissions.get(assignment.role_id)
            if permissions is not None and assignment.covers(place) and permissions.allow(action, data=data):
                return True
        return False

    def _forget(self, key: str) -> None:
        old = self._assignments.pop(key, None)
        if old is not None:
            self._by_principal[old.principal_id].remove(old)
