"""An analytics rule as files hold it: Sentinel's rule YAML, an ARM resource, or a rule exported from the portal.

Sources: https://learn.microsoft.com/rest/api/securityinsights/alert-rules/create-or-update and
https://github.com/Azure/Azure-Sentinel/wiki/Query-Style-Guide (the YAML form).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lurewire.kql import timespan_from_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KINDS = {"scheduled": "Scheduled", "nrt": "NRT"}
_SECOND = 10_000_000
_DURATION = re.compile(
    r"P(?=.)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.ASCII | re.IGNORECASE
)
_PARAMETER = re.compile(r"\{\{\s*([^{}\s](?:[^{}]*[^{}\s])?)\s*\}\}")
_COMPARE: dict[str, tuple[str, Callable[[int, int], bool]]] = {
    "gt": ("more than", lambda n, t: n > t),
    "greaterthan": ("more than", lambda n, t: n > t),
    "lt": ("fewer than", lambda n, t: n < t),
    "lessthan": ("fewer than", lambda n, t: n < t),
    "eq": ("exactly", lambda n, t: n == t),
    "equal": ("exactly", lambda n, t: n == t),
    "ne": ("not exactly", lambda n, t: n != t),
    "notequal": ("not exactly", lambda n, t: n != t),
}
#: Alerts that one run raises at most (https://learn.microsoft.com/azure/sentinel/near-real-time-rules and
#: https://learn.microsoft.com/azure/sentinel/scheduled-rules-overview).
_MOST_ALERTS = {"Scheduled": 150, "NRT": 30}


class BadRule(ValueError):
    """A rule's property that cannot be read."""


@dataclass(frozen=True, slots=True)
class Use:
    """A column that a rule takes from its query's results: where, and the text that names it at `index`."""

    column: str
    where: str
    text: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """What runs and what raises alerts: `period` is the window in ticks, None for a rule that runs on what is new."""

    name: str
    kind: str
    query: str
    period: int | None
    operator: str
    threshold: int
    per_result: bool
    uses: tuple[Use, ...]

    @property
    def condition(self) -> str:
        """When it raises alerts, in words."""
        return f"{_COMPARE[self.operator][0]} {self.threshold} results"

    def alerts(self, results: int) -> int:
        """How many alerts a run with that many results raises."""
        if not _COMPARE[self.operator][1](results, self.threshold):
            return 0
        return min(results, _MOST_ALERTS[self.kind]) if self.per_result else 1


def properties_of(document: Any) -> Mapping[str, Any] | None:
    """The properties of a rule, which ARM nests and YAML does not; None where the document is no rule with a query."""
    if not isinstance(document, Mapping):
        return None
    nested = document.get("properties")
    properties = nested if isinstance(nested, Mapping) and "query" in nested else document
    return properties if isinstance(properties.get("query"), str) else None


def read_rule(document: Any) -> Rule | None:
    """The scheduled or NRT rule of a document; None where it is something else. Raises BadRule."""
    properties = properties_of(document)
    kind = KINDS.get(str(document.get("kind", "")).lower()) if properties is not None else None
    if properties is None or kind is None:
        return None
    operator = str(properties.get("triggerOperator") or "gt").lower()
    if operator not in _COMPARE:
        raise BadRule(f"triggerOperator: '{operator}' is none of GreaterThan, LessThan, Equal and NotEqual")
    threshold = properties.get("triggerThreshold") or 0
    if isinstance(threshold, bool) or not isinstance(threshold, int):
        raise BadRule(f"triggerThreshold: '{threshold}' is no whole number")
    grouping = properties.get("eventGroupingSettings")
    aggregation = grouping.get("aggregationKind") if isinstance(grouping, Mapping) else None
    return Rule(
        name=str(properties.get("displayName") or properties.get("name") or document.get("name") or ""),
        kind=kind,
        query=properties["query"],
        period=_duration(properties.get("queryPeriod")) if kind == "Scheduled" else None,
        operator=operator,
        threshold=threshold,
        per_result=str(aggregation).lower() == "alertperresult",
        uses=tuple(_uses(properties)),
    )


def _duration(text: Any) -> int | None:
    """Ticks of `P1DT2H` or `1d`; None where nothing is given."""
    if text is None:
        return None
    found = _DURATION.fullmatch(str(text).strip())
    if found is not None:
        weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return ((((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + seconds) * _SECOND
    ticks = timespan_from_text(str(text))
    if ticks is None or ticks <= 0:
        raise BadRule(f"queryPeriod: '{text}' is no duration such as 1d, 5m or PT5M")
    return ticks


def _uses(properties: Mapping[str, Any]) -> Iterator[Use]:
    for mapping in _mappings(properties.get("entityMappings")):
        for field in _mappings(mapping.get("fieldMappings")):
            if isinstance(field.get("columnName"), str):
                yield Use(field["columnName"], "entityMappings", field["columnName"])
    for sentinel in _mappings(properties.get("sentinelEntitiesMappings")):
        if isinstance(sentinel.get("columnName"), str):
            yield Use(sentinel["columnName"], "sentinelEntitiesMappings", sentinel["columnName"])
    details = properties.get("customDetails")
    for column in details.values() if isinstance(details, Mapping) else ():
        if isinstance(column, str):
            yield Use(column, "customDetails", column)
    override = properties.get("alertDetailsOverride")
    if isinstance(override, Mapping):
        yield from _override_uses(override)


def _override_uses(override: Mapping[str, Any]) -> Iterator[Use]:
    for key in ("alertDisplayNameFormat", "alertDescriptionFormat"):
        text = override.get(key)
        if isinstance(text, str):
            for found in _PARAMETER.finditer(text):
                yield Use(found[1], f"alertDetailsOverride.{key}", text, found.start(1))
    for key in ("alertTacticsColumnName", "alertSeverityColumnName"):
        if isinstance(override.get(key), str) and override[key]:
            yield Use(override[key], f"alertDetailsOverride.{key}", override[key])
    for dynamic in _mappings(override.get("alertDynamicProperties")):
        if isinstance(dynamic.get("value"), str):
            yield Use(dynamic["value"], "alertDetailsOverride.alertDynamicProperties", dynamic["value"])


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
