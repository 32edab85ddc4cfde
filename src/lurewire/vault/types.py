"""Vaults and their secrets as ARM resources.

Source: https://learn.microsoft.com/azure/templates/microsoft.keyvault/vaults
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from lurewire.core.resources import Change, ResourceId, ResourceType
from lurewire.vault.checks import check_name, new_version
from lurewire.vault.errors import (
    InvalidVault,
    SecretIsDeleted,
    SoftDeletedVaultDoesNotExist,
    VaultAlreadyExists,
    VaultIsDeleted,
)
from lurewire.vault.retention import checked, recovery_of
from lurewire.vault.shown import SECRETS, ShownSecrets

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lurewire.core.limits import Limits
    from lurewire.vault.bin import SecretBin
    from lurewire.vault.deleted_vaults import DeletedVaults
    from lurewire.vault.hosts import Hosts
    from lurewire.vault.models import Recovery
    from lurewire.vault.store import SecretStore

VAULTS = "Microsoft.KeyVault/vaults"
_CREATE_MODES = ("default", "recover")
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]")


def is_vault_name(name: str) -> bool:
    """Whether a vault can have the name."""
    return _NAME.fullmatch(name) is not None and "--" not in name


def wrong_name(name: str) -> str:
    """Why a vault cannot have the name."""
    return f"The vault name '{name}' is invalid: it has 3 to 24 letters, digits and single hyphens."


class Vaults:
    """Validates vaults and template secrets, and knows by name which vaults there are."""

    def __init__(
        self,
        store: SecretStore,
        secret_bin: SecretBin,
        deleted: DeletedVaults,
        hosts: Hosts,
        tenant_id: str,
        limits: Limits,
    ) -> None:
        self._store = store
        self._bin = secret_bin
        self._deleted = deleted
        self._hosts = hosts
        self._tenant_id = tenant_id
        self._limits = limits
        self._by_name: dict[str, tuple[ResourceId, dict[str, Any]]] = {}
        self._shown = ShownSecrets(store, hosts, self._body)

    @property
    def resource_types(self) -> tuple[ResourceType, ...]:
        """What `arm` stores for this room."""
        return (
            ResourceType(
                VAULTS, self._prepare_vault, self._vault_applied, self._vault_deleted, stored=self._vault_stored
            ),
            ResourceType(
                SECRETS,
                self._prepare_secret,
                self._secret_applied,
                self._secret_deleted,
                hidden=("/properties/value",),
                built_ins=self._shown,
                current=self._shown.current,
                stored=self._secret_stored,
            ),
        )

    def named(self, name: str) -> ResourceId | None:
        """The id of the vault with this name."""
        found = self._by_name.get(name.lower())
        return None if found is None else found[0]

    def properties(self, vault: ResourceId) -> dict[str, Any] | None:
        """The properties of a vault, None where there is none with this id."""
        body = self._body(vault)
        return None if body is None else body["properties"]

    def recovery(self, vault: ResourceId) -> Recovery:
        """What a vault does with what is deleted in it."""
        return recovery_of(self.properties(vault) or {})

    def _body(self, vault: ResourceId) -> dict[str, Any] | None:
        found = self._by_name.get(vault.name.lower())
        return found[1] if found is not None and found[0] == vault else None

    async def _prepare_vault(self, change: Change) -> dict[str, Any]:
        name = change.id.name
        if not is_vault_name(name):
            raise InvalidVault(wrong_name(name))
        taken = self.named(name)
        if taken is not None and taken != change.id:
            raise VaultAlreadyExists(f"The vault name '{name}' is already in use by '{taken}'.")
        properties = change.body.get("properties")
        if not isinstance(properties, dict):
            raise InvalidVault("A vault needs 'properties'.")
        kept = self._kept(change)
        if kept is not None:
            return self._whole(kept, name, kept["properties"])  # as it was, whatever is asked for
        if str(properties.get("tenantId", self._tenant_id)).lower() != self._tenant_id.lower():
            raise InvalidVault(f"'properties.tenantId' must be this tenant, '{self._tenant_id}'.")
        if properties.get("accessPolicies") or properties.get("enableRbacAuthorization", True) is not True:
            message = (
                "Access policies are not supported: set 'properties.enableRbacAuthorization' to true, leave "
                "'properties.accessPolicies' empty, and assign the role 'Key Vault Secrets User'."
            )
            raise InvalidVault(message)
        old = None if change.existing is None else change.existing["properties"]
        return self._whole(change.body, name, properties | checked(properties, old, self._limits))

    def _kept(self, change: Change) -> dict[str, Any] | None:
        """The deleted vault that a PUT recovers, None where it makes or changes one."""
        recovers = _recovers(change.body)
        if change.existing is not None:
            return None
        deleted = self._deleted.get(change.id.name)
        if recovers:
            if deleted is None or deleted.id != change.id:
                raise SoftDeletedVaultDoesNotExist(str(change.id))
            return deleted.body
        if deleted is not None:
            raise VaultIsDeleted
        return None

    def _vault_stored(self, conn: Connection, change: Change) -> None:
        """A vault comes out of the bin, or has its name, in the moment that it is stored: it may be purged meanwhile."""
        if change.existing is not None:
            return
        if _recovers(change.body):
            self._deleted.take_out(conn, change.id)
        else:
            self._deleted.check_free(conn, change.id.name)

    def _whole(self, body: dict[str, Any], name: str, properties: dict[str, Any]) -> dict[str, Any]:
        shown = {name: value for name, value in properties.items() if name != "createMode"}
        return body | {
            "properties": {
                "sku": {"family": "A", "name": "standard"},
                "enabledForTemplateDeployment": False,
                **shown,
                "tenantId": self._tenant_id,
                "enableRbacAuthorization": True,
                "accessPolicies": [],
                "vaultUri": self._hosts.url(name),
                "provisioningState": "Succeeded",
            }
        }

    async def _vault_applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        self._by_name[resource_id.name.lower()] = (resource_id, body)
        await self._deleted.drop(resource_id)

    async def _vault_deleted(self, resource_id: ResourceId) -> None:
        found = self._by_name.get(resource_id.name.lower())
        if found is not None and found[0] == resource_id:
            await self._deleted.put(*found)
            del self._by_name[resource_id.name.lower()]

    async def _prepare_secret(self, change: Change) -> dict[str, Any]:
        check_name(change.id.name)
        properties = change.body.get("properties")
        if not isinstance(properties, dict):
            raise InvalidVault("A secret needs 'properties'.")
        new_version(properties | {"tags": change.body.get("tags")}, self._limits)
        vault = change.id.parent
        assert vault is not None
        if self._bin.holds(vault, change.id.name):
            raise SecretIsDeleted(change.id.name)
        uri = f"{self._hosts.url(change.id.names[0])}secrets/{change.id.name}"
        version = uuid.uuid4().hex
        return change.body | {
            "properties": properties | {"secretUri": uri, "secretUriWithVersion": f"{uri}/{version}"},
        }

    def _secret_stored(self, conn: Connection, change: Change) -> None:
        vault = change.id.parent
        assert vault is not None
        self._store.check_free(conn, vault, change.id.name)  # it may be deleted since `_prepare_secret`

    async def _secret_applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        properties = body["properties"]
        vault = resource_id.parent
        assert vault is not None
        version = properties["secretUriWithVersion"].rpartition("/")[2]
        made = new_version(properties | {"tags": body.get("tags")}, self._limits)
        await self._store.add_once(vault, resource_id.name, made, version)

    async def _secret_deleted(self, resource_id: ResourceId) -> None:
        """The secret stays: Resource Manager deletes it only with its vault, which keeps its secrets."""


def _recovers(body: dict[str, Any]) -> bool:
    """Whether the PUT of a vault asks for a deleted one; raises `InvalidVault` for a mode that there is not."""
    mode = str(body["properties"].get("createMode") or _CREATE_MODES[0]).lower()
    if mode not in _CREATE_MODES:
        raise InvalidVault(f"'properties.createMode' is one of {', '.join(_CREATE_MODES)}, not '{mode[:50]}'.")
    return mode == "recover"
