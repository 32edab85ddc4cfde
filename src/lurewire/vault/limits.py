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
        "vault.request_bytes",
        256 * 1024,
        "bytes",
        "our own: a secret of 25 kB with every character escaped, its tags and attributes fit",
    ),
)
