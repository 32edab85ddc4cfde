"""Scopes: which one is inside which, where the text of an id shows it and where management groups decide it.

Source: https://learn.microsoft.com/azure/role-based-access-control/scope-overview
"""

from __future__ import annotations

_GROUPS = "/providers/microsoft.management/managementgroups/"
_SUBSCRIPTIONS = "/subscriptions/"


def scope_key(scope: str) -> str:
    """The form in which scopes are compared: lower case, no slash at the end; the tenant's own is empty."""
    return scope.lower().rstrip("/")


def group_scope(name: str) -> str:
    """The scope of a management group."""
    return f"/providers/Microsoft.Management/managementGroups/{name}"


class Scopes:
    """The tree of scopes: tenant, management groups, subscriptions, and below them what an id contains.

    All scopes that it takes and gives are keys, as `scope_key` makes them.
    """

    def __init__(self, tenant_id: str) -> None:
        self.root = scope_key(group_scope(tenant_id))
        self._parents: dict[str, str] = {}

    def put(self, child: str, parent: str) -> None:
        """Know that a management group or a subscription is in the management group `parent`."""
        self._parents[child] = parent

    def remove(self, child: str) -> None:
        """Forget where `child` is: it is in the root group, as everything is that nobody moved."""
        self._parents.pop(child, None)

    def children(self, group: str) -> list[str]:
        """The management groups and subscriptions that were put into `group`."""
        return sorted(child for child, parent in self._parents.items() if parent == group)

    def known(self, child: str) -> bool:
        """Whether `child` was put into some group."""
        return child in self._parents

    def parent(self, container: str) -> str | None:
        """The management group that a group or a subscription is in; None above the root group."""
        return None if container == self.root else self._parents.get(container, self.root)

    def above(self, scope: str) -> tuple[str, ...]:
        """The management groups that `scope` is in, from the inside out."""
        container = _container(scope)
        found: list[str] = []
        parent = self.parent(container) if container else None
        while parent is not None and parent not in found:
            found.append(parent)
            parent = self.parent(parent)
        return tuple(found)

    def covers(self, outer: str, inner: str) -> bool:
        """Whether `inner` is `outer` or inside it."""
        return outer in ("", inner) or inner.startswith(outer + "/") or outer in self.above(inner)


def _container(scope: str) -> str | None:
    """The subscription or management group that a scope is, or stands in."""
    for prefix in (_SUBSCRIPTIONS, _GROUPS):
        if scope.startswith(prefix):
            return prefix + scope.removeprefix(prefix).partition("/")[0]
    return None
