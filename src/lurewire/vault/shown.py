"""Secrets as Resource Manager shows them: as they are in their vault now, whoever made them; never with the value.

Source: https://learn.microsoft.com/rest/api/keyvault/keyvault/secrets/get
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lurewire.core.resources import ResourceId
from lurewire.vault.errors import SecretNotFound
from lurewire.vault.models import Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.vault.hosts import Hosts
    from lurewire.vault.models import SecretVersion
    from lurewire.vault.store import SecretStore

SECRETS = "Microsoft.KeyVault/vaults/secrets"


class ShownSecrets:
    """Implements `lurewire.core.resources.BuiltIns`; `vault_body` is that of the vault with an id, None without one."""

    def __init__(
        self, store: SecretStore, hosts: Hosts, vault_body: Callable[[ResourceId], dict[str, Any] | None]
    ) -> None:
        self._store = store
        self._hosts = hosts
        self._vault_body = vault_body

    def get(self, resource_id: ResourceId) -> dict[str, Any] | None:
        """The secret with that id, None where its vault has none."""
        found = self._find(resource_id)
        return None if found is None else self._body(resource_id, found)

    def list(self, parent: ResourceId) -> list[dict[str, Any]]:
        """The secrets of a vault, by name."""
        if self._vault_body(parent) is None:
            return []
        every = self._store.current(parent, Page(sys.maxsize))
        return [self._body(parent.child("secrets", one.name), one) for one in every]

    def current(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """The resource of a secret that a template made, with what the secret is by now; None where it was deleted."""
        resource_id = ResourceId.parse(body["id"])
        found = self._find(resource_id)
        if found is None:
            return None
        shown = self._body(resource_id, found)
        hidden = {"value": found.value} if "value" in body["properties"] else {}
        return body | {"tags": shown["tags"], "properties": shown["properties"] | hidden}

    def _find(self, resource_id: ResourceId) -> SecretVersion | None:
        vault = resource_id.parent
        if vault is None or self._vault_body(vault) is None:
            return None
        try:
            return self._store.find(vault, resource_id.name)
        except SecretNotFound:
            return None

    def _body(self, resource_id: ResourceId, one: SecretVersion) -> dict[str, Any]:
        vault = resource_id.parent
        assert vault is not None
        uri = f"{self._hosts.url(vault.name)}secrets/{one.name}"
        properties = {
            "attributes": one.attributes(),
            "contentType": one.content_type,
            "secretUri": uri,
            "secretUriWithVersion": f"{uri}/{one.version}",
        }
        return {
            "id": str(resource_id),
            "name": one.name,
            "type": SECRETS,
            "location": (self._vault_body(vault) or {}).get("location"),
            "tags": one.tags,
            "etag": f'"{one.version}-{one.updated}"',
            "properties": {name: value for name, value in properties.items() if value is not None},
        }
