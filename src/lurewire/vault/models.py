"""What the vault room speaks of; times are seconds since 1970, UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a vault does with what is deleted in it: keep it for `days`, and let it be purged before that, or not.

    Source: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret#deletionrecoverylevel
    """

    days: int
    purgeable: bool

    #: The days for which the service keeps things where nobody says otherwise.
    USUAL_DAYS = 90

    @property
    def level(self) -> str:
        """Azure's name for it."""
        kept = "Recoverable" if self.days == self.USUAL_DAYS else "CustomizedRecoverable"
        return f"{kept}+Purgeable" if self.purgeable else kept

    @property
    def seconds(self) -> int:
        """For how long things are kept."""
        return self.days * 86_400


@dataclass(frozen=True, slots=True)
class SecretVersion:
    """One version of a secret; `value` is empty where it was not asked for. `seq` grows from version to version."""

    name: str
    version: str
    content_type: str | None
    tags: dict[str, str]
    enabled: bool
    not_before: int | None
    expires: int | None
    created: int
    updated: int
    seq: int
    value: str = field(repr=False, default="")

    def attributes(self) -> dict[str, Any]:
        """Whether it is switched on, and its times, where it has them."""
        every = {
            "enabled": self.enabled,
            "nbf": self.not_before,
            "exp": self.expires,
            "created": self.created,
            "updated": self.updated,
        }
        return {name: value for name, value in every.items() if value is not None}

    def bundle(self, vault_url: str, recovery: Recovery) -> dict[str, Any]:
        """The secret bundle, as the data plane answers.

        Source: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
        """
        return {"value": self.value} | self.properties(vault_url, recovery)

    def properties(self, vault_url: str, recovery: Recovery, *, versioned: bool = True) -> dict[str, Any]:
        """The bundle without the value, or the item of a list; its id names the version, or the secret alone."""
        secret = f"{vault_url.rstrip('/')}/secrets/{self.name}"
        bundle = {
            "contentType": self.content_type,
            "id": f"{secret}/{self.version}" if versioned else secret,
            "attributes": self.attributes() | {"recoveryLevel": recovery.level, "recoverableDays": recovery.days},
            "tags": self.tags,
        }
        return {name: value for name, value in bundle.items() if value is not None}


@dataclass(frozen=True, slots=True)
class DeletedSecret:
    """A secret in the bin: its current version, when it was deleted and when it is purged."""

    secret: SecretVersion
    deleted: int
    purges: int

    def bundle(self, vault_url: str, recovery: Recovery, *, versioned: bool = True) -> dict[str, Any]:
        """The deleted secret bundle, or the item of a list; never with the value.

        Source: https://learn.microsoft.com/rest/api/keyvault/secrets/get-deleted-secret/get-deleted-secret
        """
        return self.secret.properties(vault_url, recovery, versioned=versioned) | {
            "recoveryId": f"{vault_url.rstrip('/')}/deletedsecrets/{self.secret.name}",
            "deletedDate": self.deleted,
            "scheduledPurgeDate": self.purges,
        }


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What a new version of a secret is made of."""

    content_type: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    enabled: bool = True
    not_before: int | None = None
    expires: int | None = None
    value: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted: at most `count` items, of those behind the key `after`."""

    count: int
    after: str = ""
