"""Vaults and their secrets as ARM resources.

Source: https://learn.microsoft.com/azure/templates/microsoft.keyvault/vaults
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from lurewire.core.resources import Change, ResourceId, ResourceType
from lurewire.vault.checks import check_name, new_version
from lurewire.vault.errors import InvalidVault, VaultAlreadyExists

if TYPE_CHECKING:
    from lurewire.core.limits import Limits
    from lurewire.vault.hosts import Hosts
    from lurewire.vault.store import SecretStore

VAULTS = "Microsoft.KeyVault/vaults"
SECRETS = f"{VAULTS}/secrets"
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]")


def is_vault_name(name: str) -> bool:
    """Whether a vault can have the name."""
    return _NAME.fullmatch(name) is not None and "--" not in name


def wrong_name(name: str) -> str:
    """Why a vault cannot have the name."""
    return f"The vault name '{name}' is invalid: it has 3 to 24 letters, digits and single hyphens."


class Vaults:
    """Validates vaults and template secrets, and knows by name which vaults there are."""

    def __init__(self, store: SecretStore, hosts: Hosts, tenant_id: str, limits: Limits) -> None:
        self._store = store
        self._hosts = hosts
        self._tenant_id = tenant_id
        self._limits = limits
        self._by_name: dict[str, tuple[ResourceId, dict[str, Any]]] = {}

    @property
    def resource_types(self) -> tuple[ResourceType, ...]:
        """What `arm` stores for this room."""
        return (
            ResourceType(VAULTS, self._prepare_vault, self._vault_applied, self._vault_deleted),
            ResourceType(
                SECRETS,
                self._prepare_secret,
                self._secret_applied,
                self._secret_deleted,
                hidden=("/properties/value",),
            ),
        )

    def named(self, name: str) -> ResourceId | None:
        """The id of the vault with this name."""
        found = self._by_name.get(name.lower())
        return None if found is None else found[0]

    def properties(self, vault: ResourceId) -> dict[str, Any] | None:
        """The properties of a vault, None where there is none with this id."""
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
        if str(properties.get("tenantId", self._tenant_id)).lower() != self._tenant_id.lower():
            raise InvalidVault(f"'properties.tenantId' must be this tenant, '{self._tenant_id}'.")
        if properties.get("accessPolicies") or properties.get("enableRbacAuthorization", True) is not True:
            message = (
                "Access policies are not supported: set 'properties.enableRbacAuthorization' to true, leave "
                "'properties.accessPolicies' empty, and assign the role 'Key Vault Secrets User'."
            )
            raise InvalidVault(message)
        return change.body | {
            "properties": {
                "sku": {"family": "A", "name": "standard"},
                "enabledForTemplateDeployment": False,
                "enableSoftDelete": True,
                **properties,
                "tenantId": self._tenant_id,
                "enableRbacAuthorization": True,
                "accessPolicies": [],
                "vaultUri": self._hosts.url(name),
                "provisioningState": "Succeeded",
            }
        }

    async def _vault_applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        self._by_name[resource_id.name.lower()] = (resource_id, body["properties"])

    async def _vault_deleted(self, resource_id: ResourceId) -> None:
        self._by_name.pop(resource_id.name.lower(), None)
        await self._store.delete_vault(resource_id)

    async def _prepare_secret(self, change: Change) -> dict[str, Any]:
        check_name(change.id.name)
        properties = change.body.get("properties")
        if not isinstance(properties, dict):
            raise InvalidVault("A secret needs 'properties'.")
        new_version(properties | {"tags": change.body.get("tags")}, self._limits)
        uri = f"{self._hosts.url(change.id.names[0])}secrets/{change.id.name}"
        version = uuid.uuid4().hex
        return change.body | {
            "properties": properties | {"secretUri": uri, "secretUriWithVersion": f"{uri}/{version}"},
        }

    async def _secret_applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        properties = body["properties"]
        vault = resource_id.parent
        assert vault is not None
        version = properties["secretUriWithVersion"].rpartition("/")[2]
        made = new_version(properties | {"tags": body.get("tags")}, self._limits)
        await self._store.add(vault, resource_id.name, made, version)

    async def _secret_deleted(self, resource_id: ResourceId) -> None:
        vault = resource_id.parent
        assert vault is not None
        await self._store.delete_secret(vault, resource_id.name)
