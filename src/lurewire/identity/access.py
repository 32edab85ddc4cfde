"""Role-based access: which action may a principal perform at which scope; nothing is allowed that no role allows.

Source: https://learn.microsoft.com/azure/role-based-access-control/overview#how-azure-rbac-determines-if-a-user-has-access-to-a-resource
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lurewire.identity.role_errors import LinkedAuthorizationFailed
from lurewire.identity.scopes import scope_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lurewire.core.principal import Principal
    from lurewire.identity.roles import Role
    from lurewire.identity.scopes import Scopes

_CACHE_SIZE = 50_000


class _Actions:
    """A list of actions in which `*` stands for any text, slashes too; case does not count.

    `/*/` stands for `/` as well: reading and assigning an identity are `userAssignedIdentities/read` and
    `.../assign/action`, and the role for just that has them as `.../*/read` and `.../*/assign/action` only.
    https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/identity#managed-identity-operator

    No regular expression: a role is written by a caller, and to compile thousands of patterns takes seconds.
    """

    __slots__ = ("_exact", "_globs")

    def __init__(self, actions: Iterable[str]) -> None:
        split = [action.lower().split("*") for action in actions]
        self._exact = frozenset(parts[0] for parts in split if len(parts) == 1)
        self._globs = tuple(tuple(parts) for parts in split if len(parts) > 1)

    def match(self, action: str) -> bool:
        """Whether one of the list is `action`, given in lower case."""
        return action in self._exact or any(_fits(parts, action) for parts in self._globs)


def _fits(parts: tuple[str, ...], action: str) -> bool:
    """Whether a text fits what stands around the `*`s of a pattern; each part is taken where it comes first.

    That finds a match wherever there is one, in time that grows with the text only.
    """
    before, *between, last = parts
    if not action.startswith(before) or not action.endswith(last):
        return False
    at = len(before)
    for part in between:
        found = action.find(part, at - _shared(before, part))
        if found < 0:
            return False
        before, at = part, found + len(part)
    return at - _shared(before, last) <= len(action) - len(last)


def _shared(before: str, after: str) -> int:
    """How many characters the texts on both sides of a `*` may have in common: the slash of `/*/`."""
    return int(before.endswith("/") and after.startswith("/"))


@dataclass(frozen=True, slots=True)
class Permissions:
    """A role's lists, ready to be asked."""

    role: Role
    _control: tuple[_Actions, _Actions] = field(init=False)
    _data: tuple[_Actions, _Actions] = field(init=False)

    def __post_init__(self) -> None:
        role = self.role
        object.__setattr__(self, "_control", (_Actions(role.actions), _Actions(role.not_actions)))
        object.__setattr__(self, "_data", (_Actions(role.data_actions), _Actions(role.not_data_actions)))

    def allow(self, action: str, *, data: bool) -> bool:
        """Whether the role allows `action`; what it leaves out, another role may still allow."""
        granted, withheld = self._data if data else self._control
        asked = action.lower()
        return granted.match(asked) and not withheld.match(asked)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A role of a principal at a scope and below; the scope is a key, as `scope_key` makes it."""

    principal_id: str
    role_id: str
    scope: str


class RoleIndex:
    """All roles and assignments in memory; decisions are kept until one of them changes."""

    def __init__(self, roles: Iterable[Role], scopes: Scopes) -> None:
        self.scopes = scopes
        self._permissions = {role.id: Permissions(role) for role in roles}
        self._custom: dict[str, str] = {}
        self._assignments: dict[str, Assignment] = {}
        self._by_principal: dict[str, list[Assignment]] = {}
        self._decisions: dict[tuple[str, str, str, bool], bool] = {}

    # Roles.

    def roles(self) -> list[Role]:
        """All roles: the built-in ones, then the custom ones by age."""
        return [one.role for one in self._permissions.values()]

    def role(self, role_id: str) -> Role | None:
        """The role with this GUID."""
        found = self._permissions.get(role_id.lower())
        return None if found is None else found.role

    def put_role(self, key: str, role: Role) -> None:
        """Know the custom role that is stored as `key`, in place of what it was before."""
        self._custom[role.id] = key
        self._permissions[role.id] = Permissions(role)
        self._decisions = {}

    def role_key(self, role_id: str) -> str | None:
        """As what a custom role is stored."""
        return self._custom.get(role_id.lower())

    def remove_role(self, key: str) -> None:
        """Forget the custom role that was stored as `key`; what is assigned with it allows nothing any more."""
        for role_id in [one for one, stored in self._custom.items() if stored == key]:
            del self._custom[role_id], self._permissions[role_id]
        self._decisions = {}

    def is_assigned(self, role_id: str) -> bool:
        """Whether some principal has the role somewhere."""
        return any(one.role_id == role_id for one in self._assignments.values())

    def assignable(self, role: Role, scope: str) -> bool:
        """Whether the role may be given at `scope`."""
        place = scope_key(scope)
        return any(self.scopes.covers(scope_key(one), place) for one in role.assignable_scopes)

    # Assignments.

    def put(self, key: str, principal_id: str, role_id: str, scope: str) -> None:
        """Know the assignment `key`, in place of what it was before."""
        self._forget(key)
        assignment = Assignment(principal_id.lower(), role_id.lower(), scope_key(scope))
        self._assignments[key] = assignment
        self._by_principal.setdefault(assignment.principal_id, []).append(assignment)
        self._decisions = {}

    def remove(self, key: str) -> None:
        """Forget the assignment `key`."""
        self._forget(key)
        self._decisions = {}

    def find(self, principal_id: str, role_id: str, scope: str) -> str | None:
        """The key of the assignment that says just this."""
        wanted = Assignment(principal_id.lower(), role_id.lower(), scope_key(scope))
        return next((key for key, assignment in self._assignments.items() if assignment == wanted), None)

    def place(self, child: str, parent: str | None) -> None:
        """Know that a management group or subscription is in the group `parent`; None: in the root group."""
        if parent is None:
            self.scopes.remove(scope_key(child))
        else:
            self.scopes.put(scope_key(child), scope_key(parent))
        self._decisions = {}

    # Decisions.

    def allows(self, principal_id: str, action: str, scope: str, *, data: bool) -> bool:
        """Whether some role of the principal, at `scope` or above, allows `action`."""
        question = (principal_id, action, scope, data)
        decisions = self._decisions  # templates are planned in threads: what changed meanwhile has a new dictionary
        known = decisions.get(question)
        if known is None:
            if len(decisions) >= _CACHE_SIZE:
                decisions.clear()
            known = decisions[question] = self._decide(principal_id, action, scope, data=data)
        return known

    def require(self, principal: Principal, action: str, scopes: Iterable[str]) -> None:
        """Raise `LinkedAuthorizationFailed` for the first of `scopes` at which the principal may not do `action`."""
        for scope in sorted(set(scopes)):
            if not self.allows(principal.object_id, action, scope, data=False):
                raise LinkedAuthorizationFailed(
                    f"The client '{principal.app_id}' with object id '{principal.object_id}' may perform what it asks "
                    f"for on the scope of the request; however, it does not have permission to perform action "
                    f"'{action}' on the linked scope '{scope}'."
                )

    def sees(self, principal_id: str, scope: str) -> bool:
        """Whether the principal has any role at, above or inside `scope`."""
        place, covers = scope_key(scope), self.scopes.covers
        return any(
            covers(assignment.scope, place) or covers(place, assignment.scope)
            for assignment in self._by_principal.get(principal_id.lower(), ())
        )

    def _decide(self, principal_id: str, action: str, scope: str, *, data: bool) -> bool:
        place = scope_key(scope)
        for assignment in self._by_principal.get(principal_id.lower(), ()):
            permissions = self._permissions.get(assignment.role_id)
            if permissions is None or not permissions.allow(action, data=data):
                continue
            if self.scopes.covers(assignment.scope, place):
                return True
        return False

    def _forget(self, key: str) -> None:
        old = self._assignments.pop(key, None)
        if old is not None:
            self._by_principal[old.principal_id].remove(old)
