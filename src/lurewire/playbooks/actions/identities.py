"""Whose name an action or a connection acts in: the workflow's own identity, or one that is assigned to it.

Source: https://learn.microsoft.com/azure/logic-apps/authenticate-with-managed-identity: `identity` beside the type of
the authentication is the resource id of a user-assigned identity; without it, or with SystemAssigned, it is the own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.core.resources import InvalidResourceId, ResourceId
from lurewire.expressions.values import text
from lurewire.playbooks.registry import ActionError

if TYPE_CHECKING:
    from lurewire.core.principal import Principal
    from lurewire.playbooks.engine import ActionInvocation

_OWN = ("", "systemassigned")
_CODE = "WorkflowManagedIdentityNotSpecified"


def managed_principal(invocation: ActionInvocation, authentication: dict[str, Any], who: str) -> Principal:
    """The identity that an authentication of the type ManagedServiceIdentity means; raises `ActionError`."""
    identity, wanted = invocation.run.identity, text(authentication.get("identity"))
    if wanted.lower() in _OWN:
        if identity.principal is None:
            message = f"The {who} authenticates with a managed identity, but the workflow has none: set identity.type."
            raise ActionError(_CODE, message)
        return identity.principal
    try:
        principal = identity.assigned(ResourceId.parse(wanted.rstrip("/")))
    except InvalidResourceId:
        principal = None
    if principal is None:
        message = (
            f"The {who} authenticates with the identity '{wanted[:300]}', which is not there or not assigned to the "
            "workflow: add it to identity.userAssignedIdentities."
        )
        raise ActionError(_CODE, message)
    return principal
