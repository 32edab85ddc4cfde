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


class VaultNotFound(VaultError):
    """No vault answers to the host name or id."""

    status = 404
    code = "VaultNotFound"


class DeletedVaultNotFound(VaultError):
    """There is no deleted vault of the name."""

    status = 404
    code = "DeletedVaultNotFound"


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
