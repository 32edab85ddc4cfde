"""The limits of incidents and automation rules, each with the document that states it; a setting may give another value."""

from __future__ import annotations

from typing import Final

from lurewire.core.limits import Limit

_SERVICE: Final = "https://learn.microsoft.com/azure/sentinel/sentinel-service-limits"
_AUTOMATION: Final = "https://learn.microsoft.com/azure/sentinel/create-manage-use-automation-rules"
_FIELD: Final = "https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#log-analytics-workspaces"
_OWN: Final = "Lurewire: the document names no figure"

LIMITS: Final[tuple[Limit, ...]] = (
    Limit("incidents.alerts", 150, "alerts", _SERVICE),
    Limit("incidents.comments", 100, "comments", _SERVICE),
    Limit("incidents.comment_characters", 30_000, "characters", _SERVICE),
    Limit("incidents.tasks", 40, "tasks", _SERVICE),
    Limit("incidents.description_characters", 5_000, "characters", _SERVICE),
    Limit("incidents.page", 1_000, "incidents", _OWN),
    Limit("incidents.log_field_bytes", 64 * 1024, "bytes", _FIELD),
    Limit("incidents.request_bytes", 1024 * 1024, "bytes", _OWN),
    Limit("incidents.automation_rules", 512, "rules", _SERVICE),
    Limit("incidents.automation_actions", 20, "actions", _SERVICE),
    Limit("incidents.automation_conditions", 50, "conditions", _SERVICE),
    Limit("incidents.playbook_wait", 120, "seconds", _AUTOMATION),
)
