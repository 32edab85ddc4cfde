"""What an alert takes from its results: texts with `{{column}}`, custom details, entities, overridden properties.

Sources: https://learn.microsoft.com/azure/sentinel/customize-alert-details,
https://learn.microsoft.com/azure/sentinel/surface-custom-details-in-alerts,
https://learn.microsoft.com/azure/sentinel/map-data-fields-to-entities.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow.compute as pc

from lurewire.analytics.entities import Entity, entity_type, entity_type_of_alert
from lurewire.analytics.models import Severity, Tactic
from lurewire.analytics.rules import PARAMETER
from lurewire.kql import KqlType, datetime_text, json_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lurewire.analytics.models import EntityMapping, Properties
    from lurewire.core.limits import Limits
    from lurewire.kql import Column


@dataclass(frozen=True, slots=True)
class Results:
    """The results of one run: typed columns, and Arrow batches that start with them (datetime and timespan in ticks)."""

    columns: tuple[Column, ...]
    batches: tuple[Any, ...]

    @property
    def count(self) -> int:
        """How many results there are."""
        return sum(batch.num_rows for batch in self.batches)

    def only(self, at: int) -> Results:
        """The results with result `at` alone."""
        for batch in self.batches:
            if at < batch.num_rows:
                return Results(self.columns, (batch.slice(at, 1),))
            at -= batch.num_rows
        raise IndexError(at)

    def texts(self, column: str) -> Iterator[str]:
        """The values of a column as text, result by result; empty where there is no such column or no value."""
        for i, c in enumerate(self.columns):
            if c.name == column:
                return (text_of(c.type, value) for b in self.batches for value in b.column(i).to_pylist())
        return itertools.repeat("", self.count)

    def first(self, column: str) -> str:
        """The first result's value of a column as text; empty where there is none."""
        return next(self.texts(column), "")

    def span(self, column: str) -> tuple[int, int] | None:
        """The least and the greatest value of a datetime column; None where there is none."""
        for i, c in enumerate(self.columns):
            if c.name == column and c.type is KqlType.DATETIME:
                ends = [pc.min_max(batch.column(i)).as_py() for batch in self.batches]
                found = [end for end in ends if end["min"] is not None]
                return (min(e["min"] for e in found), max(e["max"] for e in found)) if found else None
        return None

    def content(self) -> str:
        """All values as text: what tells one result from another."""
        return "\x1f".join(text for column in self.columns for text in self.texts(column.name))


def text_of(kind: KqlType, value: Any) -> str:
    """KQL's `tostring()` of a value; null is empty."""
    if value is None:
        return ""
    if kind is KqlType.BOOL:
        return "true" if value else "false"
    if kind is KqlType.DATETIME:
        return datetime_text(value)
    encoded = json_value(kind, value)
    return repr(encoded).upper() if isinstance(encoded, float) else str(encoded)


def cut(text: str, size: int) -> str:
    """As much of `text` as fits in `size` bytes of UTF-8, never part of a character."""
    return text.encode()[:size].decode("utf-8", "ignore")


def formatted(template: str | None, results: Results, default: str, size: int) -> str:
    """`template` with the first result's values; `default` where there is no template or a parameter has no value.

    A value is put in as it is: what looks like a parameter inside of it stays text.
    """
    if not template:
        return cut(default, size)
    values = {name: results.first(name) for name in PARAMETER.findall(template)}
    if not all(values.values()):
        return cut(default, size)
    return cut(PARAMETER.sub(lambda m: values[m[1]], template), size)


def severity(properties: Properties, results: Results) -> Severity:
    """The severity of the override column if its value is one, else the rule's."""
    override = properties.alert_details_override
    column = override and override.alert_severity_column_name
    try:
        return Severity(results.first(column)) if column else properties.severity
    except ValueError:
        return properties.severity


def tactics(properties: Properties, results: Results) -> list[str]:
    """The tactics of the override column if its value is made of tactics, else the rule's."""
    override = properties.alert_details_override
    column = override and override.alert_tactics_column_name
    names = [part.strip(' "[]') for part in results.first(column).split(",")] if column else []
    try:
        found = [Tactic(name).value for name in names if name]
    except ValueError:
        found = []
    return found or [t.value for t in properties.tactics]


def overrides(properties: Properties, results: Results) -> dict[str, str]:
    """The alert properties that the rule takes from columns, where the first result has a value."""
    override = properties.alert_details_override
    found = (
        {p.alert_property.value: results.first(p.value) for p in override.alert_dynamic_properties} if override else {}
    )
    return {name: text for name, text in found.items() if text}


def custom_details(properties: Properties, results: Results, limits: Limits) -> dict[str, list[str]]:
    """Each detail's distinct values, within the limits of values a detail and of bytes in all; what is over is left out."""
    found: dict[str, list[str]] = {}
    left = limits["analytics.custom_details_bytes"] - 2
    for key, column in properties.custom_details.items():
        left -= len(msgspec.json.encode(key)) + 4
        values: list[str] = []
        for text in dict.fromkeys(results.texts(column)):
            size = len(msgspec.json.encode(text)) + 1
            if text and size <= left and len(values) < limits["analytics.custom_detail_values"]:
                values.append(text)
                left -= size
        found[key] = values
    return found


def entities(properties: Properties, results: Results, limits: Limits) -> list[Entity]:
    """The distinct entities of the results, in order, within the limits of number and of bytes."""
    found: dict[Entity, None] = {}
    left = limits["analytics.entities_bytes"]
    for entity in _candidates(properties, results):
        if entity in found:
            continue
        left -= len(msgspec.json.encode(entity.as_alert(len(found) + 1))) + 1
        if left < 0 or len(found) == limits["analytics.entities_per_alert"]:
            break
        found[entity] = None
    return list(found)


def _candidates(properties: Properties, results: Results) -> Iterator[Entity]:
    """The entities of the first row, then of the second ...; within a row in the order of the mappings."""
    sources: list[Iterator[Iterable[Entity]]] = [_mapped(mapping, results) for mapping in properties.entity_mappings]
    sources += [map(_from_alert, results.texts(s.column_name)) for s in properties.sentinel_entities_mappings]
    for row in zip(*sources, strict=True):
        for found in row:
            yield from found


def _mapped(mapping: EntityMapping, results: Results) -> Iterator[Iterable[Entity]]:
    kind = entity_type(mapping.entity_type)
    assert kind is not None, "checked when the rule was stored"
    identifiers = [f.identifier for f in mapping.field_mappings]
    for values in zip(*(results.texts(f.column_name) for f in mapping.field_mappings), strict=True):
        entity = Entity.make(kind, dict(zip(identifiers, values, strict=True)))
        yield () if entity is None else (entity,)


def _from_alert(text: str) -> Iterator[Entity]:
    """The entities in the text of a SecurityAlert.Entities column; what has no known form is passed over."""
    try:
        elements = msgspec.json.decode(text.encode()) if text else []
    except msgspec.DecodeError:
        return
    for element in elements if isinstance(elements, list) else []:
        kind = entity_type_of_alert(str(element.get("Type"))) if isinstance(element, dict) else None
        if kind is not None:
            entity = Entity.make(kind, {k: _scalar(v) for k, v in element.items()})
            if entity is not None:
                yield entity


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def unknown_columns(properties: Properties, names: Iterable[str]) -> list[str]:
    """A warning for each column that the rule uses and its query does not return."""
    known = set(names)
    used = [
        *(
            (f"entityMappings[{i}].fieldMappings[{j}].columnName", f.column_name)
            for i, m in enumerate(properties.entity_mappings)
            for j, f in enumerate(m.field_mappings)
        ),
        *(
            (f"sentinelEntitiesMappings[{i}].columnName", m.column_name)
            for i, m in enumerate(properties.sentinel_entities_mappings)
        ),
        *((f"customDetails.{key}", column) for key, column in properties.custom_details.items()),
    ]
    override = properties.alert_details_override
    if override is not None:
        where = "alertDetailsOverride"
        for name, template in (
            ("alertDisplayNameFormat", override.alert_display_name_format),
            ("alertDescriptionFormat", override.alert_description_format),
        ):
            used += [(f"{where}.{name}", column) for column in PARAMETER.findall(template or "")]
        for name, column in (
            ("alertTacticsColumnName", override.alert_tactics_column_name),
            ("alertSeverityColumnName", override.alert_severity_column_name),
        ):
            used += [(f"{where}.{name}", column)] if column else []
        used += [
            (f"{where}.alertDynamicProperties[{i}].value", p.value)
            for i, p in enumerate(override.alert_dynamic_properties)
        ]
    return [
        f"'properties.{where}': the query returns no column '{column}', so this part of the alerts stays empty"
        for where, column in used
        if column not in known
    ]
