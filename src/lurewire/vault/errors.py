"""Key Vault's errors, one class each.

Source: https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
"""

from __future__ import annotations

from typing import ClassVar

from lurewire.core.errors import WireError


class VaultError(WireError):
    """An error with the code that Key Vault puts inside it."""

    inner: ClassVar[str | None] = None


class SecretNotFound(VaultError):
    """The vault has no such secret, or no such version of it."""

    status = 404
    code = "SecretNotFound"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you "
            "may be able to recover it using the correct recovery command."
        )


class DeletedSecretNotFound(VaultError):
    """The bin of the vault has no such secret."""

    status = 404
    code = "SecretNotFound"

    def __init__(self, name: str) -> None:
        super().__init__(f"Deleted Secret not found: {name}")


class SecretIsDeleted(VaultError):
    """A secret of the name is in the bin."""

    status = 409
    code = "Conflict"
    inner = "ObjectIsDeletedButRecoverable"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this "
            "state, the secret can only be recovered or purged."
        )


class SecretExists(VaultError):
    """A backup cannot be restored over a secret that is there."""

    status = 409
    code = "Conflict"

    def __init__(self, name: str) -> None:
        super().__init__(f"The secret {name} exists: a backup is restored only where no secret has its name.")


class PurgeNotAllowed(VaultError):
    """The vault is protected from purges."""

    status = 403
    code = "Forbidden"

    def __init__(self, vault: str) -> None:
        super().__init__(
            'Operation "purge" is not allowed because purge protection is enabled for this vault. Key Vault service '
            f"will automatically purge it after the retention period has passed.\r\nVault: {vault}"
        )


class VaultNotFound(VaultError):
    """No vault answers to the host name or id."""

    status = 404
    code = "VaultNotFound"


class DeletedVaultNotFound(VaultError):
    """There is no deleted vault of the name."""

    status = 404
    code = "DeletedVaultNotFound"

    def __init__(self, name: str, location: str) -> None:
        super().__init__(f"The vault '{name[:50]}' in '{location[:50]}' is not a deleted one.")


class VaultPurgeNotAllowed(VaultError):
    """The deleted vault is protected from purges."""

    status = 405
    code = "MethodNotAllowed"

    def __init__(self) -> None:
        super().__init__("Operation 'DeletedVaultPurge' is not allowed.")


class VaultIsDeleted(VaultError):
    """A deleted vault has the name, and keeps it until it is purged."""

    status = 409
    code = "ConflictError"

    def __init__(self) -> None:
        super().__init__(
            "A vault with the same name already exists in deleted state. You need to either recover or purge existing "
            "key vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft "
            "delete."
        )


class SoftDeletedVaultDoesNotExist(VaultError):
    """There is no deleted vault to recover at that id."""

    status = 404
    code = "SoftDeletedVaultDoesNotExist"

    def __init__(self, vault: str) -> None:
        super().__init__(f"A soft deleted vault with the id '{vault}' does not exist: there is nothing to recover.")


class SecretNotDeletable(VaultError):
    """Resource Manager has no deletion of secrets."""

    status = 405
    code = "MethodNotAllowed"

    def __init__(self) -> None:
        super().__init__(
            "A secret is deleted over the vault's own address, DELETE {vault}/secrets/{name}; Resource Manager does not "
            "delete secrets."
        )


class SecretDisabled(VaultError):
    """The version is switched off."""

    status = 403
    code = "Forbidden"
    inner = "SecretDisabled"


class BadParameter(VaultError):
    """The name, the body or the query does not fit."""

    status = 400
    code = "BadParameter"


class RequestTooLarge(VaultError):
    """The body is longer than the limit."""

    status = 413
    code = "RequestTooLarge"


class TemplateAccessDenied(VaultError):
    """The vault is not enabled for template deployment."""

    status = 403
    code = "Forbidden"
    inner = "AccessDenied"


class VaultAlreadyExists(VaultError):
    """Another vault has the name; a vault's name is its host name."""

    status = 409
    code = "VaultAlreadyExists"


class InvalidVault(VaultError):
    """The vault's properties ask for what is not supported, or do not fit."""

    status = 400
    code = "BadRequest"
