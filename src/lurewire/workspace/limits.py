"""The workspace's limits, each with the document that states it."""

from __future__ import annotations

from lurewire.core.limits import Limit

_QUERY = "https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#log-queries-and-language"
_THROTTLING = "https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#user-query-throttling"
_CROSS = "https://learn.microsoft.com/azure/azure-monitor/logs/cross-workspace-query#limits"
_API = "https://learn.microsoft.com/azure/azure-monitor/logs/api/timeouts"
_WATCHLISTS = "https://learn.microsoft.com/azure/sentinel/sentinel-service-limits#watchlist-limits"
_WATCHLIST_NAMES = "https://learn.microsoft.com/azure/sentinel/watchlists#limitations-of-watchlists"

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
    Limit(
        "workspace.copied_bytes",
        1 << 30,
        "bytes",
        "our own: rows of other workspaces that one query brings to its own, on disk beyond the engine's memory",
    ),
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
        "workspace.answers_bytes",
        400 << 20,
        "bytes",
        "our own: queries that run, each as the largest answer, and answers that their readers have not taken, of all users",
    ),
    Limit(
        "workspace.answer_seconds",
        60,
        "seconds",
        "our own: a reader that takes nothing of an answer for so long is left",
    ),
    Limit(
        "workspace.engine_memory_mb",
        640,
        "MB",
        "our own: with what waits to be loaded the process stays under 1.5 GB; DuckDB spills to disk beyond it",
    ),
    Limit(
        "workspace.engine_spill_mb",
        10_000,
        "MB",
        "our own: what all queries together may have on disk beyond the engine's memory, so that the journal has room",
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
    Limit("workspace.watchlist_bytes", 3_984_588, "bytes of an upload, 3.8 MB", _WATCHLISTS),
    Limit("workspace.watchlist_line_characters", 10_240, "characters", _WATCHLISTS),
    Limit("workspace.watchlist_item_bytes", 10_240, "bytes", _WATCHLISTS),
    Limit("workspace.watchlist_items", 10_000_000, "items of all watchlists", _WATCHLISTS),
    Limit("workspace.watchlist_name_min", 3, "characters of a name or alias", _WATCHLIST_NAMES),
    Limit("workspace.watchlist_name_max", 64, "characters of a name or alias", _WATCHLIST_NAMES),
    Limit("workspace.watchlist_columns", 500, "columns", "our own: as many as a table has at most"),
    Limit("workspace.watchlist_column_characters", 128, "characters", "our own: Azure documents none"),
    Limit("workspace.watchlist_page_items", 1_000, "items", "our own: as the lists of all other resources"),
    Limit("workspace.watchlist_request_bytes", 64 << 10, "bytes", "our own: six times the longest item"),
)
