"""The limits of analytics rules, each with the document that states it; a setting may give another value."""

from __future__ import annotations

from typing import Final

from lurewire.core.limits import Limit

_SERVICE: Final = "https://learn.microsoft.com/azure/sentinel/sentinel-service-limits"
_SCHEDULED: Final = "https://learn.microsoft.com/azure/sentinel/scheduled-rules-overview"
_NRT: Final = "https://learn.microsoft.com/azure/sentinel/near-real-time-rules"
_DETAILS: Final = "https://learn.microsoft.com/azure/sentinel/customize-alert-details"
_ENTITIES: Final = "https://learn.microsoft.com/azure/sentinel/map-data-fields-to-entities"
_OWN: Final = "Lurewire: the document names no figure"

LIMITS: Final[tuple[Limit, ...]] = (
    Limit("analytics.enabled_scheduled_rules", 512, "rules", _SERVICE),
    Limit("analytics.enabled_nrt_rules", 50, "rules", _SERVICE),
    Limit("analytics.delay", 300, "seconds", _SCHEDULED),
    Limit("analytics.frequency_min", 300, "seconds", _SCHEDULED),
    Limit("analytics.frequency_max", 14 * 86_400, "seconds", _SCHEDULED),
    Limit("analytics.period_max", 14 * 86_400, "seconds", _SCHEDULED),
    Limit("analytics.period_max_below_hour", 2 * 86_400, "seconds", _SERVICE),
    Limit("analytics.nrt_interval", 60, "seconds", _NRT),
    Limit("analytics.query_characters", 10_000, "characters", _SCHEDULED),
    Limit("analytics.threshold_max", 10_000, "results", _SERVICE),
    Limit("analytics.alerts_per_run", 150, "alerts", _SCHEDULED),
    Limit("analytics.nrt_alerts_per_run", 30, "alerts", _NRT),
    Limit("analytics.suppression_min", 300, "seconds", _SCHEDULED),
    Limit("analytics.suppression_max", 86_400, "seconds", _SCHEDULED),
    Limit("analytics.entity_mappings", 10, "mappings", _SERVICE),
    Limit("analytics.identifiers_per_mapping", 3, "identifiers", _ENTITIES),
    Limit("analytics.entities_per_alert", 500, "entities", _SERVICE),
    Limit("analytics.entities_bytes", 64 * 1024, "bytes", _SERVICE),
    Limit("analytics.custom_details", 20, "details", _SERVICE),
    Limit("analytics.custom_detail_values", 50, "values", _SERVICE),
    Limit("analytics.custom_details_bytes", 2 * 1024, "bytes", _SERVICE),
    Limit("analytics.name_parameters", 3, "parameters", _DETAILS),
    Limit("analytics.alert_name_bytes", 256, "bytes", _SERVICE),
    Limit("analytics.alert_description_bytes", 5 * 1024, "bytes", _SERVICE),
    Limit("analytics.rule_description_characters", 5_000, "characters", _SERVICE),
    Limit("analytics.grouping_lookback_min", 300, "seconds", _SCHEDULED),
    Limit("analytics.grouping_lookback_max", 7 * 86_400, "seconds", _SCHEDULED),
    Limit("analytics.run_attempts", 6, "attempts", _OWN),
    Limit("analytics.catch_up_runs", 4_032, "runs", _OWN),
    Limit("analytics.parallel_queries", 8, "queries", _OWN),
)
