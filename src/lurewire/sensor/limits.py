"""The sensor's limits and the tables that steer it: declared here, each with its source."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

from lurewire.core.limits import Limit

_MANUAL = "docs/sensor.md"
_INGESTION = "https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api"

LIMITS = (
    Limit("sensor.connections", 512, "connections open on one decoy", _MANUAL),
    Limit("sensor.connections_per_source", 32, "connections open from one address on one decoy", _MANUAL),
    Limit("sensor.connection_seconds", 1800, "seconds a connection may last", _MANUAL),
    Limit("sensor.idle_seconds", 120, "seconds without a byte from the client", _MANUAL),
    Limit("sensor.interactions_per_connection", 2000, "interactions, then the connection is closed", _MANUAL),
    Limit("sensor.proxy_header_seconds", 5, "seconds for the PROXY protocol header", _MANUAL),
    Limit("sensor.proxy_header_bytes", 4096, "bytes of a PROXY protocol v2 header with its TLVs", _MANUAL),
    Limit("sensor.ssh_login_seconds", 60, "seconds until a login must have succeeded", _MANUAL),
    Limit("sensor.ssh_attempts_per_connection", 6, "failed logins, then the connection is closed", _MANUAL),
    Limit("sensor.ssh_channels", 10, "session channels open on one connection", _MANUAL),
    Limit("sensor.ssh_line_bytes", 8192, "bytes of one command line; the rest of the line is dropped", _MANUAL),
    Limit("sensor.ssh_pending_lines", 64, "command lines read ahead before reading pauses", _MANUAL),
    Limit("sensor.http_head_bytes", 16384, "bytes of request line and headers", _MANUAL),
    Limit("sensor.http_headers", 100, "headers of one request", _MANUAL),
    Limit("sensor.http_body_bytes", 65536, "bytes of a request body that are read", _MANUAL),
    Limit("sensor.http_request_seconds", 20, "seconds for a whole request to arrive", _MANUAL),
    Limit("sensor.value_bytes", 8192, "bytes kept of one value that an attacker sent", _MANUAL),
    Limit("sensor.details_bytes", 60_000, "bytes of additional_data as JSON (Azure cuts a field at 64 KB)", _INGESTION),
    Limit("sensor.threat_idle_seconds", 86_400, "seconds after which a source's next touch is a new threat", _MANUAL),
    Limit("sensor.reverse_dns_seconds", 2, "seconds that a reverse lookup may take", _MANUAL),
    Limit("sensor.reverse_dns_pending", 64, "reverse lookups under way; above this the name stays empty", _MANUAL),
    Limit("sensor.batch_bytes", 900_000, "bytes of JSON in one upload (the service takes 1 MB a call)", _INGESTION),
    Limit("sensor.batch_events", 1000, "events in one upload", _MANUAL),
    Limit("sensor.retry_seconds", 60, "longest pause between two tries of an upload", _MANUAL),
    Limit("sensor.retention_days", 90, "days for which interactions stay in sensor.db", _MANUAL),
)

INTERNAL_NETWORKS: tuple[IPv4Network | IPv6Network, ...] = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",  # RFC 1918
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",  # RFC 6598, carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",  # RFC 4193
        "fe80::/10",
    )
)
"""Addresses whose `source_asn` is `Private` and whose `source_country` is `Internal Network`."""

WEAK_PASSWORDS = frozenset(
    {
        (b"root", b"root"),
        (b"root", b"toor"),
        (b"root", b"123456"),
        (b"root", b"password"),
        (b"admin", b"admin"),
        (b"admin", b"password"),
        (b"ubuntu", b"ubuntu"),
        (b"pi", b"raspberry"),
        (b"user", b"user"),
        (b"test", b"test"),
        (b"oracle", b"oracle"),
        (b"postgres", b"postgres"),
    }
)
"""Logins that the SSH decoy accepts at once: an attacker who is let in shows more than one who is not."""
