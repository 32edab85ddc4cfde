"""The ingestion API's limits, each with the document that states it."""

from __future__ import annotations

from lurewire.core.limits import Limit

_SERVICE = "https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api"
_RULES = "https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#data-collection-rules"

LIMITS: tuple[Limit, ...] = (
    Limit("ingestion.body_bytes", 1 << 20, "bytes", _SERVICE),
    Limit("ingestion.requests_per_minute", 12_000, "requests", _SERVICE),
    Limit("ingestion.bytes_per_minute", 2 << 30, "bytes", _SERVICE),
    Limit("ingestion.streams_per_flow", 10, "streams", _RULES),
    Limit("ingestion.flows", 10, "flows", _RULES),
)
