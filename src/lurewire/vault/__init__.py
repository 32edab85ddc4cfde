"""Vault: Key Vault's secrets."""

from lurewire.vault.control import control_routes
from lurewire.vault.errors import (
    BadParameter,
    SecretDisabled,
    SecretIsDeleted,
    SecretNotFound,
    VaultError,
    VaultNotFound,
)
from lurewire.vault.limits import LIMITS
from lurewire.vault.models import NewVersion, SecretVersion
from lurewire.vault.routes import vault_routes
from lurewire.vault.service import Vault

__all__ = [
    "LIMITS",
    "BadParameter",
    "NewVersion",
    "SecretDisabled",
    "SecretIsDeleted",
    "SecretNotFound",
    "SecretVersion",
    "Vault",
    "VaultError",
    "VaultNotFound",
    "control_routes",
    "vault_routes",
]
