"""The workspace's limits, each with the document that states it."""

from __future__ import annotations

from lurewire.core.limits import Limit

_QUERY = "https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#log-queries-and-language"
_API = "https://learn.microsoft.com/azure/azure-monitor/logs/api/timeouts"

LIMITS: tuple[Limit, ...] = (
    Limit("workspace.query_rows", 500_000, "rows", _QUERY),
    Limit("workspace.query_bytes", 100 << 20, "bytes", _QUERY),
    Limit("workspace.query_default_seconds", 180, "seconds", _API),
    Limit("workspace.query_max_seconds", 600, "seconds", _API),
    Limit("workspace.query_queue", 200, "queries", _QUERY),
    Limit("workspace.query_body_bytes", 1 << 20, "bytes", "our own: a hundred times the longest query of a rule"),
    Limit(
        "workspace.query_workers",
        3,
        "threads",
        "our own: one for rules alone, and one a core of a small machine for all",
    ),
    Limit(
        "workspace.engine_memory_mb",
        1024,
        "MB",
        "our own: leaves room for the rest on a machine of 4 GB; DuckDB spills to disk beyond it",
    ),
    Limit(
        "workspace.engine_checkpoint_mb",
        256,
        "MB",
        "our own: a start after a crash reads so much of DuckDB's log in under 5 seconds",
    ),
    Limit(
        "workspace.journal_segment_bytes", 64 << 20, "bytes", "our own: the size in which loaded journal is given back"
    ),
    Limit("workspace.waiting_bytes", 256 << 20, "bytes", "our own: four of the loader's largest transactions"),
)
