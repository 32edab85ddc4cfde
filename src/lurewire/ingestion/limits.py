"""The ingestion APIs' limits, each with the document that states it."""

from __future__ import annotations

from lurewire.core.limits import Limit

_SERVICE = "https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api"
_RULES = "https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#data-collection-rules"
_TIME = "https://learn.microsoft.com/azure/azure-monitor/logs/log-standard-columns#timegenerated"
_COLLECTOR = "https://learn.microsoft.com/previous-versions/azure/azure-monitor/logs/data-collector-api#data-limits"

LIMITS: tuple[Limit, ...] = (
    Limit("ingestion.body_bytes", 1 << 20, "bytes", _SERVICE),
    Limit("ingestion.field_bytes", 64 << 10, "bytes", _SERVICE),
    Limit("ingestion.requests_per_minute", 12_000, "requests", _SERVICE),
    Limit("ingestion.bytes_per_minute", 2 << 30, "bytes", _SERVICE),
    Limit("ingestion.time_past_hours", 48, "hours", _TIME),
    Limit("ingestion.time_ahead_hours", 24, "hours", _TIME),
    Limit("ingestion.streams_per_flow", 10, "streams", _RULES),
    Limit("ingestion.flows", 10, "flows", _RULES),
    Limit("ingestion.transform_characters", 15_360, "characters", _RULES),
    Limit(
        "ingestion.same_errors_per_hour", 10, "rows", "our own: Azure mutes an error that goes on and gives no figure"
    ),
    Limit("ingestion.errors_per_hour", 500, "rows", "our own: what one rule may write into DCRLogErrors"),
    Limit("ingestion.sample_bytes", 8 << 20, "bytes", "our own: the longest request about a sample of events"),
    Limit("ingestion.sample_records", 10_000, "records", "our own: events of a sample that a preview runs"),
    Limit("ingestion.preview_seconds", 20, "seconds", "our own: about what Azure gives a transformation"),
    Limit("ingestion.preview_memory_mb", 256, "MB", "our own: what the transformation of a preview may use"),
    Limit("ingestion.collector_body_bytes", 30 << 20, "bytes", _COLLECTOR),
    Limit("ingestion.collector_waiting_bytes", 128 << 20, "bytes", "our own: calls that are read and not yet stored"),
    Limit(
        "ingestion.collector_workspace_bytes",
        96 << 20,
        "bytes",
        "our own: of one workspace such calls and what is made of them, so that its disk stops no other's",
    ),
    Limit("ingestion.collector_field_bytes", 32 << 10, "bytes", _COLLECTOR),
    Limit("ingestion.collector_columns", 500, "columns", _COLLECTOR),
    Limit("ingestion.collector_clock_minutes", 15, "minutes", _COLLECTOR.replace("data-limits", "authorization")),
)
