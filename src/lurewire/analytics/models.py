"""The wire model of an analytics rule: kinds Scheduled and NRT of Microsoft.SecurityInsights/alertRules.

Source: azure.md F.2 and https://learn.microsoft.com/rest/api/securityinsights/alert-rules/create-or-update.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

import msgspec

from lurewire.analytics import times


class _Caseless(StrEnum):
    """An enum of the wire, read without case, as the service does, and written in its own spelling."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return next((m for m in cls if isinstance(value, str) and m.value.lower() == value.lower()), None)


class RuleKind(_Caseless):
    """The kinds of rule that run a query."""

    SCHEDULED = "Scheduled"
    NRT = "NRT"


class Severity(_Caseless):
    """How bad it is."""

    HIGH = "High"
    MEDIUM = "Medium"
    LOW = "Low"
    INFORMATIONAL = "Informational"


class TriggerOperator(_Caseless):
    """How the number of results compares with the threshold for an alert to be raised."""

    GREATER_THAN = "GreaterThan"
    LESS_THAN = "LessThan"
    EQUAL = "Equal"
    NOT_EQUAL = "NotEqual"


class Aggregation(_Caseless):
    """Events into alerts: all into one, or one for each."""

    SINGLE_ALERT = "SingleAlert"
    ALERT_PER_RESULT = "AlertPerResult"


class Matching(_Caseless):
    """Which alerts of a rule share an incident."""

    ALL_ENTITIES = "AllEntities"
    ANY_ALERT = "AnyAlert"
    SELECTED = "Selected"


class AlertDetail(_Caseless):
    """The alert details that `Selected` grouping may compare."""

    DISPLAY_NAME = "DisplayName"
    SEVERITY = "Severity"


class Tactic(_Caseless):
    """The ATT&CK tactics that the service knows (enterprise, and those of industrial control systems)."""

    RECONNAISSANCE = "Reconnaissance"
    RESOURCE_DEVELOPMENT = "ResourceDevelopment"
    INITIAL_ACCESS = "InitialAccess"
    EXECUTION = "Execution"
    PERSISTENCE = "Persistence"
    PRIVILEGE_ESCALATION = "PrivilegeEscalation"
    DEFENSE_EVASION = "DefenseEvasion"
    CREDENTIAL_ACCESS = "CredentialAccess"
    DISCOVERY = "Discovery"
    LATERAL_MOVEMENT = "LateralMovement"
    COLLECTION = "Collection"
    COMMAND_AND_CONTROL = "CommandAndControl"
    EXFILTRATION = "Exfiltration"
    IMPACT = "Impact"
    PRE_ATTACK = "PreAttack"
    IMPAIR_PROCESS_CONTROL = "ImpairProcessControl"
    INHIBIT_RESPONSE_FUNCTION = "InhibitResponseFunction"


class AlertProperty(_Caseless):
    """The alert properties that `alertDynamicProperties` may take from a column."""

    ALERT_LINK = "AlertLink"
    CONFIDENCE_LEVEL = "ConfidenceLevel"
    CONFIDENCE_SCORE = "ConfidenceScore"
    EXTENDED_LINKS = "ExtendedLinks"
    PRODUCT_NAME = "ProductName"
    PROVIDER_NAME = "ProviderName"
    PRODUCT_COMPONENT_NAME = "ProductComponentName"
    REMEDIATION_STEPS = "RemediationSteps"
    TECHNIQUES = "Techniques"


class Duration:
    """An ISO 8601 duration in ticks; not a dataclass, because those have a JSON form of their own in msgspec."""

    __slots__ = ("ticks",)

    def __init__(self, ticks: int) -> None:
        self.ticks = ticks

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and other.ticks == self.ticks

    def __hash__(self) -> int:
        return hash(self.ticks)


class _Model(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    pass


class FieldMapping(_Model, frozen=True):
    """One identifier of an entity and the column that holds it."""

    identifier: str
    column_name: str


class EntityMapping(_Model, frozen=True):
    """An entity of each result."""

    entity_type: str
    field_mappings: tuple[FieldMapping, ...]


class SentinelEntitiesMapping(_Model, frozen=True):
    """A column that holds entities in the form of SecurityAlert.Entities."""

    column_name: str


class EventGrouping(_Model, frozen=True):
    """Events into alerts."""

    aggregation_kind: Aggregation = Aggregation.SINGLE_ALERT


class DynamicProperty(_Model, frozen=True):
    """An alert property that is taken from a column."""

    alert_property: AlertProperty
    value: str


class AlertDetails(_Model, frozen=True):
    """Alert details that depend on the results; `{{column}}` in a format is the column's value."""

    alert_display_name_format: str | None = None
    alert_description_format: str | None = None
    alert_tactics_column_name: str | None = None
    alert_severity_column_name: str | None = None
    alert_dynamic_properties: tuple[DynamicProperty, ...] = ()


class Grouping(_Model, frozen=True):
    """Alerts into incidents."""

    enabled: bool
    reopen_closed_incident: bool
    lookback_duration: Duration
    matching_method: Matching
    group_by_entities: tuple[str, ...] = ()
    group_by_alert_details: tuple[AlertDetail, ...] = ()
    group_by_custom_details: tuple[str, ...] = ()


class IncidentConfiguration(_Model, frozen=True):
    """Whether alerts open incidents, and how they share them."""

    create_incident: bool
    grouping_configuration: Grouping | None = None


class _RuleProperties(_Model, frozen=True, kw_only=True):
    display_name: str
    enabled: bool
    query: str
    severity: Severity
    suppression_duration: Duration
    suppression_enabled: bool
    description: str | None = None
    tactics: tuple[Tactic, ...] = ()
    techniques: tuple[str, ...] = ()
    sub_techniques: tuple[str, ...] = ()
    event_grouping_settings: EventGrouping | None = None
    custom_details: dict[str, str] = msgspec.field(default_factory=dict)
    entity_mappings: tuple[EntityMapping, ...] = ()
    sentinel_entities_mappings: tuple[SentinelEntitiesMapping, ...] = ()
    alert_details_override: AlertDetails | None = None
    incident_configuration: IncidentConfiguration | None = None
    alert_rule_template_name: str | None = None
    template_version: str | None = None
    last_modified_utc: str | None = None


class ScheduledProperties(_RuleProperties, frozen=True, kw_only=True):
    """The properties of a rule that runs on a schedule over a window of time."""

    query_frequency: Duration
    query_period: Duration
    trigger_operator: TriggerOperator
    trigger_threshold: int


class NrtProperties(_RuleProperties, frozen=True, kw_only=True):
    """The properties of a rule that runs over what was ingested since it last ran."""


Properties = ScheduledProperties | NrtProperties

PROPERTIES: dict[RuleKind, type[ScheduledProperties | NrtProperties]] = {
    RuleKind.SCHEDULED: ScheduledProperties,
    RuleKind.NRT: NrtProperties,
}


def decode(kind: RuleKind, properties: dict[str, Any]) -> Properties:
    """The typed properties; raises `msgspec.ValidationError`, which names the property by path.

    A null property is an absent one: exports write null for what is not set.
    """
    return msgspec.convert(_without_nulls(properties), PROPERTIES[kind], dec_hook=_decode)


def encode(properties: Properties) -> dict[str, Any]:
    """The ARM JSON of typed properties: durations and enums in the service's spelling."""
    encoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(properties, enc_hook=_encode))
    return encoded


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return value


def _decode(kind: type[Any], value: Any) -> Any:
    if kind is not Duration:
        raise NotImplementedError(kind.__name__)
    if not isinstance(value, str):
        raise TypeError(f"Expected an ISO 8601 duration, got `{type(value).__name__}`")
    return Duration(times.parse_duration(value))


def _encode(value: Any) -> Any:
    if isinstance(value, Duration):
        return times.format_duration(value.ticks)
    raise NotImplementedError(type(value).__name__)
