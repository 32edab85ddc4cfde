"""What the vault room speaks of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SecretVersion:
    """One version of a secret; times are seconds since 1970, UTC."""

    name: str
    version: str
    content_type: str | None
    tags: dict[str, str]
    enabled: bool
    not_before: int | None
    expires: int | None
    created: int
    value: str = field(repr=False)

    def bundle(self, vault_url: str) -> dict[str, Any]:
        """The secret bundle, as the data plane answers.

        Source: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
        """
        attributes: dict[str, Any] = {
            "enabled": self.enabled,
            "nbf": self.not_before,
            "exp": self.expires,
            "created": self.created,
            "updated": self.created,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": 90,
        }
        bundle = {
            "value": self.value,
            "contentType": self.content_type,
            "id": f"{vault_url.rstrip('/')}/secrets/{self.name}/{self.version}",
            "attributes": {name: value for name, value in attributes.items() if value is not None},
            "tags": self.tags,
        }
        return {name: value for name, value in bundle.items() if value is not None}


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What a new version of a secret is made of."""

    content_type: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    enabled: bool = True
    not_before: int | None = None
    expires: int | None = None
    value: str = field(repr=False, default="")
