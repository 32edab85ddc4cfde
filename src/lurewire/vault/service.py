"""The vault room's face: secrets for whoever has the role, over HTTP and inside the process."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lurewire.core.errors import Forbidden
from lurewire.core.limits import Limits
from lurewire.vault.checks import check_name
from lurewire.vault.errors import BadParameter, TemplateAccessDenied, VaultNotFound
from lurewire.vault.hosts import Hosts
from lurewire.vault.limits import LIMITS
from lurewire.vault.store import SecretStore
from lurewire.vault.types import Vaults, is_vault_name, wrong_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.http import Gatekeeper
    from lurewire.core.principal import Principal
    from lurewire.core.resources import ResourceId, ResourceType
    from lurewire.core.secretbox import SecretBox
    from lurewire.vault.models import NewVersion, SecretVersion

GET_SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"  # noqa: S105 - an action's name
SET_SECRET = "Microsoft.KeyVault/vaults/secrets/setSecret/action"  # noqa: S105 - an action's name
DEPLOY = "Microsoft.KeyVault/vaults/deploy/action"


class Vault:
    """All vaults of the install; `default_vault` is the name of the one that the server's own host name means."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        secret_box: SecretBox,
        gatekeeper: Gatekeeper,
        *,
        tenant_id: str,
        base_url: Callable[[], str],
        default_vault: str,
        names: Sequence[str] = (),
        mapped_hosts: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.tenant_id = tenant_id
        self.base_url = base_url
        self.limits = limits or Limits(LIMITS)
        self.hosts = Hosts(base_url, default_vault, names, mapped_hosts)
        self._gatekeeper = gatekeeper
        self._store = SecretStore(db, clock, secret_box)
        self._vaults = Vaults(self._store, self.hosts, tenant_id, self.limits)

    @property
    def resource_types(self) -> tuple[ResourceType, ...]:
        """What `arm` stores for this room."""
        return self._vaults.resource_types

    def name_problem(self, name: str) -> tuple[str, str] | None:
        """Why a new vault cannot have a name, as reason and message; None where it can."""
        if not is_vault_name(name):
            return "AccountNameInvalid", wrong_name(name[:50])
        if self._vaults.named(name) is not None:
            return "AlreadyExists", f"The vault name '{name}' is already in use."
        return None

    def vault_of(self, netloc: str) -> ResourceId:
        """The vault that a host name means; raises `VaultNotFound`."""
        name = self.hosts.vault_name(netloc)
        found = None if name is None else self._vaults.named(name)
        if found is None:
            raise VaultNotFound(f"No key vault answers to the host name '{netloc[:255]}'.")
        return found

    def get(self, vault: ResourceId, name: str, version: str = "") -> SecretVersion:
        """A version of a secret, the current one where none is named; who may is asked before.

        Raises `SecretNotFound`, `SecretDisabled` and `BadParameter`.
        """
        return self._store.get(vault, check_name(name), version)

    async def put(self, vault: ResourceId, name: str, new: NewVersion) -> SecretVersion:
        """Make a new version of a secret; who may is asked before. Raises `BadParameter`."""
        return await self._store.add(vault, check_name(name), new)

    def read(self, principal: Principal, secret_uri: str) -> str:
        """The value that `@Microsoft.KeyVault(SecretUri=...)` means, for a principal that has the role.

        Raises `Forbidden`, `VaultNotFound`, `SecretNotFound`, `SecretDisabled` and `BadParameter`. Source:
        https://learn.microsoft.com/azure/app-service/app-service-key-vault-references#source-app-settings-from-key-vault
        """
        vault, name, version = self._locate(secret_uri)
        scope = f"{vault}/secrets/{name}"
        if not self._gatekeeper.allows(principal, GET_SECRET, scope, data=True):
            raise Forbidden(principal, GET_SECRET, scope)
        return self.get(vault, name, version).value

    def template_secret(self, principal: Principal | None, vault: ResourceId, name: str, version: str) -> str:
        """The value of a template parameter that refers to a secret, for who may deploy from the vault.

        `principal` None is the platform itself. Raises `Forbidden`, `VaultNotFound`, `TemplateAccessDenied`,
        `SecretNotFound`, `SecretDisabled` and `BadParameter`. Source:
        https://learn.microsoft.com/azure/azure-resource-manager/templates/key-vault-parameter#grant-deployment-access-to-the-secrets
        """
        properties = self._vaults.properties(vault)
        if properties is None:
            raise VaultNotFound(f"The key vault '{vault}' was not found.")
        if principal is not None and not self._gatekeeper.allows(principal, DEPLOY, str(vault), data=False):
            raise Forbidden(principal, DEPLOY, str(vault))
        if properties.get("enabledForTemplateDeployment") is not True:
            message = f"The vault '{vault.name}' is not enabled for template deployment (enabledForTemplateDeployment)."
            raise TemplateAccessDenied(message)
        return self.get(vault, name, version).value

    def _locate(self, secret_uri: str) -> tuple[ResourceId, str, str]:
        try:
            parts = urlsplit(secret_uri)
            kind, name, *version = parts.path.strip("/").split("/")
        except ValueError:
            raise BadParameter("The URI is not that of a secret: https://{vault}/secrets/{name}[/{version}].") from None
        if parts.scheme != "https" or kind.lower() != "secrets" or len(version) > 1:
            raise BadParameter("The URI is not that of a secret: https://{vault}/secrets/{name}[/{version}].")
        return self.vault_of(parts.netloc), check_name(name), version[0] if version else ""
