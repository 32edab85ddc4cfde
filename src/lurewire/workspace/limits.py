"""The workspace's limits, each with the document that states it."""

from __future__ import annotations

from lurewire.core.limits import Limit

_QUERY = "https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#log-queries-and-language"
_API = "https://learn.microsoft.com/azure/azure-monitor/logs/api/timeouts"
_OWN = "docs/design.md"

LIMITS: tuple[Limit, ...] = (
    Limit("query_rows", 500_000, "rows", _QUERY),
    Limit("query_bytes", 100 << 20, "bytes", _QUERY),
    Limit("query_default_seconds", 180, "seconds", _API),
    Limit("query_max_seconds", 600, "seconds", _API),
    Limit("query_queue", 200, "queries", _QUERY),
    Limit("query_body_bytes", 1 << 20, "bytes", _OWN),
    Limit("query_workers", 3, "threads", _OWN),
    Limit("engine_memory_mb", 1024, "MB", _OWN),
    Limit("engine_checkpoint_mb", 256, "MB", _OWN),
    Limit("journal_segment_bytes", 64 << 20, "bytes", _OWN),
    Limit("waiting_bytes", 256 << 20, "bytes", _OWN),
)
