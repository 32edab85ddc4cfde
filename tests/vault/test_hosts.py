"""Which vault a host name means."""

from __future__ import annotations

import pytest

from lurewire.vault.hosts import Hosts

HOSTS = Hosts(lambda: "https://lure.home.arpa:8443", "main", ["lure.local"], {"secrets.corp.internal": "corp"})


@pytest.mark.parametrize(
    ("netloc", "vault", "resource"),
    [
        ("localhost:8443", "main", "https://vault.azure.net"),
        ("127.0.0.1", "main", "https://vault.azure.net"),
        ("[::1]:8443", "main", "https://vault.azure.net"),
        ("LURE.home.arpa:8443", "main", "https://vault.azure.net"),
        ("lure.local:1", "main", "https://vault.azure.net"),
        ("secrets.corp.internal", "corp", "https://vault.azure.net"),
        ("One.vault.localhost:8443", "one", "https://vault.localhost:8443"),
        ("one.vault.azure.net", "one", "https://vault.azure.net"),
        ("a.b.vault.azure.net", None, "https://vault.azure.net"),
        ('one.vault.localhost:1", evil="', None, "https://vault.azure.net"),
        ("evil.example", None, "https://vault.azure.net"),
        ("[", None, "https://vault.azure.net"),
        ("", None, "https://vault.azure.net"),
    ],
)
def test_hosts(netloc: str, vault: str | None, resource: str) -> None:
    assert HOSTS.vault_name(netloc) == vault
    if vault is not None:
        assert HOSTS.resource(netloc) == resource
    assert '"' not in HOSTS.resource(netloc)


def test_the_url_of_each_vault() -> None:
    assert HOSTS.url("Main") == "https://lure.home.arpa:8443/"
    assert HOSTS.url("Other") == "https://other.vault.localhost:8443/"
