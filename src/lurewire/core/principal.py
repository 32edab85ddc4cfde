"""Who makes a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Principal:
    """A service principal: the subject of role assignments.

    `object_id` is the token's `oid` and the RBAC principal id; `app_id` its `appid`.
    Source: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
    """

    object_id: str
    app_id: str
    tenant_id: str
    kind: Literal["app", "managed_identity"]
    name: str
