"""Limits of Key Vault's secrets."""

from lurewire.core.limits import Limit

LIMITS = (
    Limit(
        "vault.secret_bytes",
        25 * 1024,
        "bytes",
        "https://learn.microsoft.com/azure/key-vault/secrets/about-secrets",
    ),
    Limit(
        "vault.tags",
        15,
        "tags",
        "https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-tags",
    ),
    Limit(
        "vault.tag_characters",
        256,
        "characters",
        "https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-tags",
    ),
    Limit(
        "vault.page_items",
        25,
        "items",
        "https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets/get-secrets",
    ),
    Limit(
        "vault.backup_versions",
        500,
        "versions",
        "https://learn.microsoft.com/azure/key-vault/general/backup#limitations",
    ),
    Limit(
        "vault.least_retention_days",
        7,
        "days",
        "https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview#soft-delete-behavior",
    ),
    Limit(
        "vault.retention_days",
        90,
        "days",
        "https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview#soft-delete-behavior",
    ),
    Limit(
        "vault.restore_bytes",
        24 * 1024 * 1024,
        "bytes",
        "our own: a backup of 500 versions of 25 kB, encrypted, fits; a longer one is not made",
    ),
    Limit(
        "vault.request_bytes",
        256 * 1024,
        "bytes",
        "our own: a secret of 25 kB with every character escaped, its tags and attributes fit",
    ),
)
