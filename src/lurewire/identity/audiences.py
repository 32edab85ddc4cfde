"""Which resource URIs a token may be for, and which of them each service accepts.

Sources: azure.md, section A.7 (captured from the SDKs), and for the sovereign clouds
https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview#endpoint-uri and
https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers.
Audiences are compared without case and without one slash at the end.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from lurewire.core.http import Audience

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")

PUBLIC_AUDIENCES: dict[Audience, tuple[str, ...]] = {
    Audience.MANAGEMENT: ("https://management.azure.com", "https://management.core.windows.net"),
    Audience.MONITOR: ("https://monitor.azure.com", "https://monitor.azure.us", "https://monitor.azure.cn"),
    Audience.LOG_ANALYTICS: (
        "https://api.loganalytics.io",
        "https://api.loganalytics.azure.com",
        "https://management.azure.com",
    ),
    Audience.VAULT: (
        "https://vault.azure.net",
        "https://vault.usgovcloudapi.net",
        "https://vault.azure.cn",
    ),
    Audience.GRAPH: (
        "https://graph.microsoft.com",
        "https://graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
        "00000003-0000-0000-c000-000000000000",  # its application id, by which tokens may name it, too
    ),
}
"""What each service of Azure is called; the first is the name for messages."""

_LOCAL_PREFIXES: dict[Audience, tuple[str, ...]] = {
    Audience.MANAGEMENT: ("",),  # msticpy asks for its resource manager's own URL
    Audience.MONITOR: (),
    Audience.LOG_ANALYTICS: ("",),  # azure-monitor-query 2 asks for its endpoint
    Audience.VAULT: ("", "vault."),  # azure-cli accepts the host; names nest under vault.localhost
    Audience.GRAPH: ("",),  # azure-cli asks for the address that cloud metadata names
}


def canonical(audience: str) -> str:
    """The form in which audiences are compared."""
    return audience.lower().removesuffix("/")


class Audiences:
    """The accepted audiences of a server that is reached at `base_url` and at further host names."""

    def __init__(self, base_url: str, names: tuple[str, ...] = ()) -> None:
        parts = urlsplit(base_url)
        port = "" if parts.port in (None, 443) else f":{parts.port}"
        hosts = {(parts.netloc.rpartition(":")[0] if parts.port else parts.netloc), *_LOCAL_HOSTS, *names}
        self._accepted = {
            audience: frozenset(
                [canonical(uri) for uri in public]
                + [canonical(f"https://{prefix}{h}{port}") for prefix in _LOCAL_PREFIXES[audience] for h in hosts]
            )
            for audience, public in PUBLIC_AUDIENCES.items()
        }
        self._known = frozenset().union(*self._accepted.values())

    def known(self, resource: str) -> bool:
        """Whether some service here is called `resource`."""
        return canonical(resource) in self._known

    def accepts(self, audience: Audience, claim: str) -> bool:
        """Whether a token with `aud` = `claim` is good for the service `audience`."""
        return canonical(claim) in self._accepted[audience]
