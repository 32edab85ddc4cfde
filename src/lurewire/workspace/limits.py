"""The workspace's limits, each with the document that states it."""

from __future__ import annotations

from lurewire.core.limits import Limit

_QUERY = "https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#log-queries-and-language"
_THROTTLING = "https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#user-query-throttling"
_CROSS = "https://learn.microsoft.com/azure/azure-monitor/logs/cross-workspace-query#limits"
_API = "https://learn.microsoft.com/azure/azure-monitor/logs/api/timeouts"

LIMITS: tuple[Limit, ...] = (
    Limit("workspace.query_rows", 500_000, "rows", _QUERY),
    Limit("workspace.query_bytes", 100 << 20, "bytes", _QUERY),
    Limit("workspace.query_default_seconds", 180, "seconds", _API),
    Limit("workspace.query_max_seconds", 600, "seconds", _API),
    Limit("workspace.user_queries", 200, "queries per user and window", _THROTTLING),
    Limit("workspace.user_query_seconds", 30, "seconds", _THROTTLING),
    Limit("workspace.user_queries_at_once", 5, "queries per user", _THROTTLING),
    Limit("workspace.query_queue", 200, "queries per user, and of rules per workspace", _THROTTLING),
    Limit("workspace.query_queue_seconds", 180, "seconds", _THROTTLING),
    Limit("workspace.query_workspaces", 100, "workspaces", _CROSS),
    Limit("workspace.batch_queries", 100, "queries", "our own: Azure documents none"),
    Limit("workspace.query_body_bytes", 1 << 20, "bytes", "our own: a hundred times the longest query of a rule"),
    Limit(
        "workspace.retention_batch_rows",
        500_000,
        "rows",
        "our own: a batch that is past its retention holds the loader up for 25 ms",
    ),
    Limit(
        "workspace.query_workers",
        3,
        "threads",
        "our own: one for rules alone, and one a core of a small machine for all",
    ),
    Limit(
        "workspace.engine_memory_mb",
        640,
        "MB",
        "our own: with what waits to be loaded the process stays under 1.5 GB; DuckDB spills to disk beyond it",
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
    Limit(
        "workspace.waiting_bytes",
        176 << 20,
        "bytes",
        "our own: the loader's largest transaction and what comes meanwhile",
    ),
)
