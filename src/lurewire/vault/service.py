"""The vault room's face: secrets for whoever has the role, over HTTP and inside the process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lurewire.core.errors import Forbidden
from lurewire.core.limits import Limits
from lurewire.core.log import get_logger
from lurewire.core.resources import InvalidResourceId, ResourceId
from lurewire.vault.backup import opened, sealed
from lurewire.vault.bin import SecretBin
from lurewire.vault.checks import check_name
from lurewire.vault.deleted_vaults import DeletedVaults
from lurewire.vault.errors import (
    BadParameter,
    DeletedVaultNotFound,
    PurgeNotAllowed,
    TemplateAccessDenied,
    VaultNotFound,
    VaultPurgeNotAllowed,
)
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
    from lurewire.core.resources import ResourceType
    from lurewire.core.secretbox import SecretBox
    from lurewire.vault.deleted_vaults import DeletedVault
    from lurewire.vault.models import DeletedSecret, NewVersion, Recovery, SecretVersion

GET_SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"  # noqa: S105 - an action's name
DEPLOY = "Microsoft.KeyVault/vaults/deploy/action"

_PURGE_SECONDS = 3600
_ENVELOPE_BYTES = 256  # what a request to restore has around the backup

_log = get_logger("vault")


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
        self._clock = clock
        self._box = secret_box
        self._purging: asyncio.Task[None] | None = None
        #: The secrets of all vaults, those that were deleted, and the vaults that were.
        self.secrets = SecretStore(db, clock, secret_box)
        self.bin = SecretBin(db, clock)
        self.deleted_vaults = DeletedVaults(db, clock)
        self._vaults = Vaults(self.secrets, self.bin, self.deleted_vaults, self.hosts, tenant_id, self.limits)

    async def start(self) -> None:
        """Purge what is past its time, now and every hour."""
        await self.purge_due()
        self._purging = asyncio.create_task(self._purge_on())

    async def stop(self) -> None:
        """Purge no more."""
        if self._purging is not None:
            self._purging.cancel()
            await asyncio.gather(self._purging, return_exceptions=True)

    async def purge_due(self) -> None:
        """Delete for good the secrets and vaults whose time in the bin is over."""
        await self.bin.purge_due()
        await self.deleted_vaults.purge_due()

    async def _purge_on(self) -> None:
        while True:
            await self._clock.sleep(_PURGE_SECONDS)
            try:
                await self.purge_due()
            except Exception as error:  # noqa: BLE001 - nobody sees what is past its time; the next round tries again
                _log.error("deleted secrets could not be purged", exc_info=error)

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
        if self.deleted_vaults.get(name) is not None:
            return "AlreadyExists", f"The vault name '{name}' is that of a deleted vault: recover or purge it."
        return None

    # Vaults that were deleted.

    def deleted_vault(self, subscription: str, location: str, name: str) -> DeletedVault:
        """A deleted vault; raises `DeletedVaultNotFound`."""
        found = self.deleted_vaults.get(name)
        place = None if found is None else (str(found.id.subscription).lower(), found.location.lower())
        if found is None or place != (subscription.lower(), location.lower()):
            raise DeletedVaultNotFound(name, location)
        return found

    async def purge_vault(self, subscription: str, location: str, name: str) -> None:
        """Delete a deleted vault for good; raises `DeletedVaultNotFound` and `VaultPurgeNotAllowed`."""
        found = self.deleted_vault(subscription, location, name)
        if not found.purgeable:
            raise VaultPurgeNotAllowed
        if not await self.deleted_vaults.purge(found):
            raise DeletedVaultNotFound(name, location)

    # Secrets.

    def recovery(self, vault: ResourceId) -> Recovery:
        """What a vault does with what is deleted in it."""
        return self._vaults.recovery(vault)

    def has(self, vault: str) -> bool:
        """Whether there is a vault with that id."""
        try:
            return self._vaults.properties(ResourceId.parse(vault)) is not None
        except InvalidResourceId:
            return False

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
        return self.secrets.get(vault, check_name(name), version)

    async def put(self, vault: ResourceId, name: str, new: NewVersion) -> SecretVersion:
        """Make a new version of a secret; who may is asked before.

        Raises `BadParameter`, `SecretIsDeleted`, and `VaultNotFound` where the vault was deleted since then.
        """
        self._check_there(vault)
        return await self.secrets.add(vault, check_name(name), new)

    async def delete(self, vault: ResourceId, name: str) -> DeletedSecret:
        """Put a secret into the bin; raises `SecretNotFound` and `BadParameter`."""
        return await self.bin.put(vault, check_name(name), self.recovery(vault).seconds)

    async def purge(self, vault: ResourceId, name: str) -> None:
        """Delete a secret in the bin for good; raises `DeletedSecretNotFound`, `PurgeNotAllowed` and `BadParameter`."""
        if not self.recovery(vault).purgeable:
            raise PurgeNotAllowed(vault.name)
        await self.bin.purge(vault, check_name(name))

    async def backup(self, vault: ResourceId, name: str) -> str:
        """All versions of a secret, sealed; raises `SecretNotFound`, and `BadParameter` where there are too many."""
        most, longest = self.limits["vault.backup_versions"], self.limits["vault.restore_bytes"]

        def make() -> str:
            versions = self.secrets.whole(vault, name, most + 1)
            if len(versions) > most:
                raise BadParameter(f"The secret has more than {most} versions, too many for a backup.")
            made = sealed(versions, self._box)
            if len(made) + _ENVELOPE_BYTES > longest:
                raise BadParameter(f"The backup would be longer than the {longest} bytes that can be restored.")
            return made

        check_name(name)
        return await asyncio.to_thread(make)

    async def restore(self, vault: ResourceId, backup: object) -> SecretVersion:
        """Bring back what `backup` gave; raises `BadParameter`, `SecretExists`, `SecretIsDeleted` and `VaultNotFound`."""
        versions = await asyncio.to_thread(opened, backup, self._box)
        self._check_there(vault)
        await self.secrets.restore(vault, versions)
        return self.secrets.find(vault, versions[0].name)

    def _check_there(self, vault: ResourceId) -> None:
        """A vault may be deleted, and purged, while a request's body arrives: its secrets would be a later vault's."""
        if self._vaults.properties(vault) is None:
            raise VaultNotFound(f"The key vault '{vault}' was not found.")

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
