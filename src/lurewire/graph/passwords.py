"""Passwords (secrets) of applications and of service principals.

Sources: https://learn.microsoft.com/graph/api/application-addpassword and
https://learn.microsoft.com/graph/api/application-removepassword
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lurewire.graph.errors import GraphBadRequest
from lurewire.graph.objects import time_text
from lurewire.graph.values import time_of

if TYPE_CHECKING:
    from lurewire.core.limits import Limits
    from lurewire.identity import AppRegistration, Identity

_LIFETIME = timedelta(days=730)
"""Where the request names no end."""

_TOLERANCE = timedelta(minutes=5)
"""By how much a client's clock may be ahead."""


class Passwords:
    """The passwords of one kind of owner: applications, or service principals."""

    def __init__(self, identity: Identity, limits: Limits, *, of_principals: bool) -> None:
        self._identity = identity
        self._limits = limits
        self._of_principals = of_principals

    async def add(self, app: AppRegistration, body: dict[str, Any]) -> dict[str, Any]:
        """Make a password; `secretText` is in the answer and nowhere else."""
        given = body.get("passwordCredential") or {}
        if not isinstance(given, dict):
            raise GraphBadRequest("Invalid value specified for property 'passwordCredential': it must be an object.")
        name = given.get("displayName") or ""
        if not isinstance(name, str) or len(name) > self._limits["graph.display_name"]:
            message = "Invalid value specified for property 'displayName' of resource 'PasswordCredential'."
            raise GraphBadRequest(message)
        now = self._identity.clock.now()
        start = time_of(given, "startDateTime") or now
        if start > now + _TOLERANCE:
            raise GraphBadRequest("'startDateTime' in the future is not supported: a password is good from now on.")
        end = time_of(given, "endDateTime") or start + _LIFETIME
        if end <= now:
            raise GraphBadRequest("Invalid value specified for property 'endDateTime': it is in the past.")
        made = await self._identity.add_secret(app.app_id, name=name, expires_at=end, of_principal=self._of_principals)
        return {
            "customKeyIdentifier": None,
            "displayName": name or None,
            "endDateTime": time_text(made.expires_at),
            "hint": made.value[:3],
            "keyId": made.key_id,
            "secretText": made.value,
            "startDateTime": time_text(made.created_at),
        }

    async def remove(self, app: AppRegistration, body: dict[str, Any]) -> None:
        """Remove a password."""
        key_id = str(body.get("keyId", "")).lower()
        if not any(one.key_id == key_id and one.of_principal is self._of_principals for one in app.secrets):
            raise GraphBadRequest("No password credential found with keyId.")
        await self._identity.remove_secret(app.app_id, key_id)
