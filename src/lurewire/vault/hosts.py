"""Which vault a host name means, and what a client must ask a token for there."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SUFFIXES = (".vault.localhost", ".vault.azure.net", ".vault.usgovcloudapi.net", ".vault.azure.cn")
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_PUBLIC_RESOURCE = "https://vault.azure.net"


class Hosts:
    """One port serves all vaults: `{vault}.vault.localhost`, Azure's names, and the server's own for one of them.

    `names` are further host names of the server, `mapped` gives single hosts a vault's name.
    """

    def __init__(
        self,
        base_url: Callable[[], str],
        default_vault: str,
        names: Sequence[str] = (),
        mapped: Mapping[str, str] | None = None,
    ) -> None:
        self._base_url = base_url
        self._default_vault = default_vault
        self._own = {name.lower() for name in (*_LOCAL_HOSTS, *names)}
        self._mapped = {host.lower(): vault for host, vault in (mapped or {}).items()}

    def vault_name(self, netloc: str) -> str | None:
        """The name of the vault that `netloc` (host, and port or not) means, or None."""
        host = _host(netloc)
        if host in self._mapped:
            return self._mapped[host]
        for suffix in _SUFFIXES:
            name = host.removesuffix(suffix)
            if name != host and name and "." not in name:
                return name
        own = host in self._own or host == _host(urlsplit(self._base_url()).netloc)
        return self._default_vault if own else None

    def resource(self, netloc: str) -> str:
        """The resource for which a client is told to get a token.

        SDKs take only a parent domain of the vault's own name, on the same port; for a host without one they must be
        told not to compare (`verify_challenge_resource=False`), and get Azure's resource.
        """
        host = _host(netloc)
        for suffix in _SUFFIXES:
            if host.endswith(suffix):
                return f"https://{suffix[1:]}{_port(netloc)}"
        return _PUBLIC_RESOURCE

    def url(self, vault: str) -> str:
        """The URL that a vault's resource shows; the default vault has the server's own."""
        base = self._base_url()
        if vault.lower() == self._default_vault.lower():
            return f"{base}/"
        return f"https://{vault.lower()}.vault.localhost{_port(urlsplit(base).netloc)}/"


def _host(netloc: str) -> str:
    try:
        parts = urlsplit(f"//{netloc}")
        return "" if parts.port == 0 else (parts.hostname or "").lower()
    except ValueError:  # the port is no number, or the brackets do not match
        return ""


def _port(netloc: str) -> str:
    try:
        port = urlsplit(f"//{netloc}").port
    except ValueError:
        port = None
    return f":{port}" if port else ""
