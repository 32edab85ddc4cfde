"""An analytics rule as a resource: what is validated when it is PUT, and what is stored.

Source: azure.md F.2 (properties, limits, error codes).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lurewire.analytics import entities, times
from lurewire.analytics.errors import BadRequest
from lurewire.analytics.models import (
    Aggregation,
    Grouping,
    Matching,
    NrtProperties,
    Properties,
    RuleKind,
    ScheduledProperties,
    TriggerOperator,
    decode,
    encode,
)
from lurewire.core.resources import ResourceId
from lurewire.kql import datetime_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lurewire.core.limits import Limits
    from lurewire.core.resources import Change

RULE_TYPE: Final = "Microsoft.SecurityInsights/alertRules"

PARAMETER: Final = re.compile(r"\{\{\s*([^{}\s](?:[^{}]*[^{}\s])?)\s*\}\}")
"""A parameter of an alert detail's format: `{{column}}`."""

WHOLE_WORKSPACE: Final = re.compile(r"^[^/\n]*\b(union|search)\s+\*", re.IGNORECASE | re.MULTILINE)
"""`union *` and `search *`, which Sentinel refuses in a rule.

Source: https://learn.microsoft.com/azure/sentinel/scheduled-rules-overview
"""

_TECHNIQUE: Final = re.compile(r"T\d{4}", re.ASCII)
_SUB_TECHNIQUE: Final = re.compile(r"T\d{4}\.\d{3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rule:
    """A stored rule."""

    id: ResourceId
    kind: RuleKind
    properties: Properties

    @property
    def key(self) -> str:
        """The id in lower case."""
        return self.id.key

    @property
    def insights(self) -> str:
        """The `.../providers/Microsoft.SecurityInsights` that the rule stands in."""
        return f"{self.id.scope}/providers/{self.id.namespace}"

    @property
    def per_result(self) -> bool:
        """Whether each result raises an alert of its own."""
        grouping = self.properties.event_grouping_settings
        return grouping is not None and grouping.aggregation_kind is Aggregation.ALERT_PER_RESULT

    @property
    def tiled(self) -> bool:
        """Whether the windows of successive runs meet without overlap: an event is then in exactly one of them."""
        p = self.properties
        return isinstance(p, ScheduledProperties) and p.query_period == p.query_frequency

    @property
    def any_result_raises(self) -> bool:
        """Whether the threshold is "greater than 0"."""
        p = self.properties
        return isinstance(p, NrtProperties) or (
            p.trigger_operator is TriggerOperator.GREATER_THAN and p.trigger_threshold == 0
        )

    def raises(self, results: int) -> bool:
        """Whether that many results pass the rule's threshold."""
        p = self.properties
        if isinstance(p, NrtProperties):
            return results > 0
        return _COMPARE[p.trigger_operator](results, p.trigger_threshold)


_COMPARE: Final[dict[TriggerOperator, Callable[[int, int], bool]]] = {
    TriggerOperator.GREATER_THAN: lambda n, t: n > t,
    TriggerOperator.LESS_THAN: lambda n, t: n < t,
    TriggerOperator.EQUAL: lambda n, t: n == t,
    TriggerOperator.NOT_EQUAL: lambda n, t: n != t,
}


def read(body: dict[str, Any]) -> Rule:
    """The rule of a stored body; it was validated when it was stored."""
    kind = RuleKind(body["kind"])
    return Rule(ResourceId.parse(body["id"]), kind, decode(kind, body["properties"]))


def prepare(change: Change, limits: Limits, now: int) -> tuple[Rule, dict[str, Any]]:
    """Validate a PUT, all but its query; returns the rule and the ARM body to store.

    Raises `BadRequest`, which names the property.
    """
    body = change.body
    properties = body.get("properties")
    if not isinstance(properties, dict):
        raise BadRequest("'properties': an object is required.")
    kind = _kind(body, properties)
    try:
        typed = decode(kind, properties)
    except msgspec.ValidationError as error:
        raise BadRequest(f"{_where(str(error))} (in the properties of a rule of kind {kind})") from error
    rule = Rule(change.id, kind, typed)
    problems = [f"'properties.{where}': {what}." for check in _CHECKS for where, what in check(rule, limits)]
    if problems:
        raise BadRequest(" ".join(problems))
    stored = encode(typed) | {"lastModifiedUtc": datetime_text(now)}
    return rule, {
        "id": str(change.id),
        "name": change.id.name,
        "type": RULE_TYPE,
        "kind": kind.value,
        "properties": stored,
    }


def _kind(body: dict[str, Any], properties: dict[str, Any]) -> RuleKind:
    kind = body.get("kind")
    if kind is None:  # SDKs leave it out: azure.md F.2
        return RuleKind.SCHEDULED if properties.get("queryFrequency") is not None else RuleKind.NRT
    try:
        return RuleKind(kind)
    except ValueError as error:
        raise BadRequest(
            f"'kind': rules of kind '{kind}' are not supported; these are: {', '.join(RuleKind)}."
        ) from error


def _where(message: str) -> str:
    """The message of msgspec with its path first, as a property of the body."""
    text, _, path = message.partition(" - at `$")
    return f"'properties{path.rstrip('`')}': {text}" if path else f"'properties': {text}"


def _between(where: str, ticks: int, low: int, high: int) -> Iterator[tuple[str, str]]:
    if not low * times.SECOND <= ticks <= high * times.SECOND:
        bounds = " to ".join(times.format_duration(s * times.SECOND) for s in (low, high))
        yield where, f"{times.format_duration(ticks)} is not within {bounds}"


def _check_texts(rule: Rule, limits: Limits) -> Iterator[tuple[str, str]]:
    p = rule.properties
    if not p.display_name.strip():
        yield "displayName", "a name is required"
    if not 1 <= len(p.query) <= limits["analytics.query_characters"]:
        yield "query", f"the query has {len(p.query)} characters; 1 to {limits['analytics.query_characters']} fit"
    if len(p.description or "") > limits["analytics.rule_description_characters"]:
        yield "description", f"at most {limits['analytics.rule_description_characters']} characters fit"
    for name, texts, form in (
        ("techniques", p.techniques, _TECHNIQUE),
        ("subTechniques", p.sub_techniques, _SUB_TECHNIQUE),
    ):
        for i, text in enumerate(texts):
            if not form.fullmatch(text):
                yield f"{name}[{i}]", f"'{text}' is not an ATT&CK technique such as T1110 or T1110.003"


def _check_schedule(rule: Rule, limits: Limits) -> Iterator[tuple[str, str]]:
    p = rule.properties
    yield from _between(
        "suppressionDuration",
        p.suppression_duration.ticks,
        limits["analytics.suppression_min"],
        limits["analytics.suppression_max"],
    )
    if isinstance(p, NrtProperties):
        return
    frequency, period = p.query_frequency.ticks, p.query_period.ticks
    shortest = limits["analytics.frequency_min"]
    yield from _between("queryFrequency", frequency, shortest, limits["analytics.frequency_max"])
    longest = "analytics.period_max" if frequency >= times.HOUR else "analytics.period_max_below_hour"
    yield from _between("queryPeriod", period, shortest, limits[longest])
    if period < frequency:
        yield "queryPeriod", "it is shorter than queryFrequency, so events between the windows would never be seen"
    if not 0 <= p.trigger_threshold <= limits["analytics.threshold_max"]:
        yield "triggerThreshold", f"0 to {limits['analytics.threshold_max']} fit"


def _check_entities(rule: Rule, limits: Limits) -> Iterator[tuple[str, str]]:
    mappings = rule.properties.entity_mappings
    if len(mappings) + len(rule.properties.sentinel_entities_mappings) > limits["analytics.entity_mappings"]:
        yield "entityMappings", f"at most {limits['analytics.entity_mappings']} mappings fit"
    for i, mapping in enumerate(mappings):
        where = f"entityMappings[{i}]"
        kind = entities.entity_type(mapping.entity_type)
        if kind is None:
            known = ", ".join(t.name for t in entities.ENTITY_TYPES)
            yield f"{where}.entityType", f"'{mapping.entity_type}' is none of {known}"
            continue
        if not 1 <= len(mapping.field_mappings) <= limits["analytics.identifiers_per_mapping"]:
            yield f"{where}.fieldMappings", f"1 to {limits['analytics.identifiers_per_mapping']} identifiers fit"
        for j, field in enumerate(mapping.field_mappings):
            if kind.identifier(field.identifier) is None:
                known = ", ".join(i.name for i in kind.identifiers)
                yield f"{where}.fieldMappings[{j}].identifier", f"'{field.identifier}' is none of {known}"


def _check_details(rule: Rule, limits: Limits) -> Iterator[tuple[str, str]]:
    p = rule.properties
    if len(p.custom_details) > limits["analytics.custom_details"]:
        yield "customDetails", f"at most {limits['analytics.custom_details']} fit"
    name_format = p.alert_details_override and p.alert_details_override.alert_display_name_format
    parameters = len(PARAMETER.findall(name_format or ""))
    if parameters > limits["analytics.name_parameters"]:
        yield (
            "alertDetailsOverride.alertDisplayNameFormat",
            f"it has {parameters} parameters; {limits['analytics.name_parameters']} fit",
        )


def _check_grouping(rule: Rule, limits: Limits) -> Iterator[tuple[str, str]]:
    incidents = rule.properties.incident_configuration
    grouping = incidents.grouping_configuration if incidents else None
    if grouping is None or not grouping.enabled:
        return
    where = "incidentConfiguration.groupingConfiguration"
    yield from _between(
        f"{where}.lookbackDuration",
        grouping.lookback_duration.ticks,
        limits["analytics.grouping_lookback_min"],
        limits["analytics.grouping_lookback_max"],
    )
    if grouping.matching_method is Matching.SELECTED:
        yield from _check_selected(rule, grouping, where)


def _check_selected(rule: Rule, grouping: Grouping, where: str) -> Iterator[tuple[str, str]]:
    if not (grouping.group_by_entities or grouping.group_by_alert_details or grouping.group_by_custom_details):
        yield where, "matchingMethod Selected needs at least one entity or detail to group by"
    mapped = {m.entity_type.lower() for m in rule.properties.entity_mappings}
    for i, name in enumerate(grouping.group_by_entities):
        if name.lower() not in mapped:
            yield f"{where}.groupByEntities[{i}]", f"the rule maps no entity of type '{name}'"
    for i, name in enumerate(grouping.group_by_custom_details):
        if name not in rule.properties.custom_details:
            yield f"{where}.groupByCustomDetails[{i}]", f"the rule has no custom detail '{name}'"


_CHECKS: Final = (_check_texts, _check_schedule, _check_entities, _check_details, _check_grouping)
