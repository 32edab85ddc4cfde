from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurewire.analytics import LIMITS, rules, times
from lurewire.analytics.errors import BadRequest
from lurewire.core.limits import Limits
from lurewire.core.resources import Change, ResourceId

if TYPE_CHECKING:
    from tests.analytics.conftest import World


def _refused(kit: Any, body: dict[str, Any]) -> str:
    """The error of a PUT, before its query is looked at."""
    with pytest.raises(BadRequest) as caught:
        rules.prepare(Change(kit.rule_id(), body, None, None), Limits(LIMITS), 0)
    return caught.value.message


async def test_the_stored_body_is_normalised(world: World, kit: Any) -> None:
    sent = kit.scheduled(
        queryFrequency="PT01H00M00S",
        queryPeriod="P1D",
        severity="high",
        triggerOperator="greaterthan",
        suppressionDuration="PT120M",
        description=None,
        tactics=["discovery"],
        customDetails=None,
        templateVersion="1.0.0",
        somethingNull=None,
    )
    body = await world.put(sent)
    properties = body["properties"]
    assert body["kind"] == "Scheduled"
    assert body["type"] == "Microsoft.SecurityInsights/alertRules"
    assert body["name"] == "r1"
    assert (properties["queryFrequency"], properties["queryPeriod"]) == ("PT1H", "P1D")
    assert (properties["severity"], properties["triggerOperator"]) == ("High", "GreaterThan")
    assert properties["suppressionDuration"] == "PT2H"
    assert properties["tactics"] == ["Discovery"]
    assert properties["lastModifiedUtc"] == "2026-11-22T12:00:00.0000000Z"
    again = await world.put({"kind": body["kind"], "properties": properties}, existing=body)
    assert again["properties"] == properties


@pytest.mark.parametrize(("changes", "kind"), [({}, "Scheduled"), ({"nrt": True}, "NRT")])
async def test_a_missing_kind_is_inferred(world: World, kit: Any, changes: dict[str, Any], kind: str) -> None:
    body = kit.nrt() if changes else kit.scheduled()
    del body["kind"]
    assert (await world.put(body))["kind"] == kind


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"displayName": ...}, "displayName"),
        ({"displayName": "  "}, "displayName"),
        ({"enabled": "yes"}, "enabled"),
        ({"severity": "Awful"}, "severity"),
        ({"query": ""}, "query"),
        ({"query": "x" * 10_001}, "10001 characters"),
        ({"queryFrequency": "PT4M59S"}, "queryFrequency"),
        ({"queryFrequency": "P15D", "queryPeriod": "P15D"}, "queryFrequency"),
        ({"queryFrequency": "P1M"}, "queryFrequency"),
        ({"queryFrequency": 300}, "queryFrequency"),
        ({"queryPeriod": "PT4M"}, "queryPeriod"),
        ({"queryFrequency": "PT1H", "queryPeriod": "PT30M"}, "queryPeriod"),
        ({"queryPeriod": "P3D"}, "queryPeriod"),  # more than two days needs a frequency of an hour
        ({"queryFrequency": "PT1H", "queryPeriod": "P15D"}, "queryPeriod"),
        ({"triggerOperator": "Roughly"}, "triggerOperator"),
        ({"triggerThreshold": -1}, "triggerThreshold"),
        ({"triggerThreshold": 10_001}, "triggerThreshold"),
        ({"triggerThreshold": 0.5}, "triggerThreshold"),
        ({"suppressionDuration": "PT1M"}, "suppressionDuration"),
        ({"suppressionDuration": "P2D"}, "suppressionDuration"),
        ({"suppressionDuration": ...}, "suppressionDuration"),
        ({"tactics": ["Cooking"]}, "tactics[0]"),
        ({"techniques": ["T11"]}, "techniques[0]"),
        ({"subTechniques": ["T1110"]}, "subTechniques[0]"),
        ({"description": "x" * 5001}, "description"),
        ({"surprise": 1}, "surprise"),
        ({"startTimeUtc": "2026-01-01T00:00:00Z"}, "startTimeUtc"),
        ({"eventGroupingSettings": {"aggregationKind": "Some"}}, "eventGroupingSettings.aggregationKind"),
        ({"entityMappings": [{"entityType": "Cat", "fieldMappings": []}]}, "entityMappings[0].entityType"),
        ({"entityMappings": [{"entityType": "IP", "fieldMappings": []}]}, "entityMappings[0].fieldMappings"),
        (
            {"entityMappings": [{"entityType": "IP", "fieldMappings": [{"identifier": "Name", "columnName": "x"}]}]},
            "entityMappings[0].fieldMappings[0].identifier",
        ),
        (
            {"entityMappings": [{"entityType": "IP", "fieldMappings": [{"identifier": "Address", "columnName": "x"}] * 4}]},
            "entityMappings[0].fieldMappings",
        ),
        (
            {"entityMappings": [{"entityType": "IP", "fieldMappings": [{"identifier": "Address", "columnName": "x"}]}] * 11},
            "entityMappings",
        ),
        ({"customDetails": {f"k{n}": "x" for n in range(21)}}, "customDetails"),
        ({"customDetails": {"k": 7}}, "customDetails"),
        (
            {"alertDetailsOverride": {"alertDisplayNameFormat": "{{a}}{{b}}{{c}}{{d}}"}},
            "alertDetailsOverride.alertDisplayNameFormat",
        ),
        (
            {"alertDetailsOverride": {"alertDynamicProperties": [{"alertProperty": "Mood", "value": "x"}]}},
            "alertDynamicProperties[0].alertProperty",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(kit: Any, changes: dict[str, Any], named: str) -> None:
    assert named in _refused(kit, kit.scheduled(**changes))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"lookbackDuration": "PT1M"}, "lookbackDuration"),
        ({"lookbackDuration": "P8D"}, "lookbackDuration"),
        ({"matchingMethod": "Selected"}, "at least one"),
        ({"matchingMethod": "Selected", "groupByEntities": ["Host"]}, "groupByEntities[0]"),
        ({"matchingMethod": "Selected", "groupByCustomDetails": ["x"]}, "groupByCustomDetails[0]"),
        ({"matchingMethod": "Magic"}, "matchingMethod"),
    ],
)
def test_grouping_that_does_not_fit_is_refused(kit: Any, changes: dict[str, Any], named: str) -> None:
    grouping = {
        "enabled": True,
        "reopenClosedIncident": False,
        "lookbackDuration": "PT5H",
        "matchingMethod": "AnyAlert",
    }
    incidents = {"createIncident": True, "groupingConfiguration": {**grouping, **changes}}
    assert named in _refused(kit, kit.scheduled(incidentConfiguration=incidents))


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "properties"),
        ({"properties": []}, "properties"),
        ({"kind": "Fusion", "properties": {}}, "Fusion"),
        ({"kind": 7, "properties": {}}, "kind"),
        ({"kind": "NRT", "properties": {"queryFrequency": "PT5M"}}, "queryFrequency"),
    ],
)
def test_bodies_of_another_shape_are_refused(kit: Any, body: dict[str, Any], named: str) -> None:
    assert named in _refused(kit, body)


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("TrapEye_Threats_CL\n| where nope == 1", "[2,9]"),
        ("TrapEye_Threats_CL | whre x", "[1,"),
        ("No_Such_Table_CL", "[1,1]"),
        ("search *", "search"),
        ("union *", "union"),
        ("TrapEye_Threats_CL | where source_ip == 'open", "[1,"),
    ],
)
async def test_a_query_that_does_not_compile_is_refused_with_its_place(
    world: World, kit: Any, query: str, place: str
) -> None:
    (kind,) = world.analytics.resource_types
    with pytest.raises(BadRequest) as caught:
        await kind.prepare(Change(kit.rule_id(), kit.scheduled(query=query), None, None))
    assert "Failed to run the analytics rule query" in caught.value.message
    assert place in caught.value.message


async def test_columns_that_the_query_does_not_return_are_a_warning(world: World, kit: Any) -> None:
    """The page's hourly rule maps a column that its own query renames: Azure takes it, so it is taken here."""
    mapping = {"entityType": "IP", "fieldMappings": [{"identifier": "Address", "columnName": "source_ip"}]}
    override = {"alertDisplayNameFormat": "{{ip}} {{gone}}", "alertSeverityColumnName": "gone too"}
    query = f"{kit.TABLE} | project ip = source_ip"
    await world.put(
        kit.scheduled(
            query=query, entityMappings=[mapping], alertDetailsOverride=override, customDetails={"x": "missing"}
        )
    )
    warnings = world.analytics.warnings(kit.rule_id())
    assert [w.split("'")[1] for w in warnings] == [
        "properties.entityMappings[0].fieldMappings[0].columnName",
        "properties.customDetails.x",
        "properties.alertDetailsOverride.alertDisplayNameFormat",
        "properties.alertDetailsOverride.alertSeverityColumnName",
    ]
    await world.ingest({"source_ip": "1.2.3.4"})
    assert world.alerts[0]["entities"] == []
    assert world.names() == ["Threat"]


async def test_the_number_of_enabled_rules_is_bounded(world: World, kit: Any) -> None:
    for n in range(50):
        await world.put(kit.nrt(), f"n{n}")
    (kind,) = world.analytics.resource_types
    with pytest.raises(BadRequest, match="50 enabled rules of kind NRT"):
        await kind.prepare(Change(kit.rule_id("one-more"), kit.nrt(), None, None))
    await kind.prepare(Change(kit.rule_id("n3"), kit.nrt(), None, None))
    await kind.prepare(Change(kit.rule_id("one-more"), kit.nrt(enabled=False), None, None))


@given(st.integers(min_value=0, max_value=400 * times.DAY))
def test_durations_are_read_as_they_are_written(ticks: int) -> None:
    assert times.parse_duration(times.format_duration(ticks)) == ticks


@pytest.mark.parametrize("text", ["", "P", "PT", "5M", "P1Y", "P1M", "PT-5M", "PT5", "-PT5M", "PT5M ago", "P1DT", "٣"])
def test_texts_that_are_no_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        times.parse_duration(text)


_NAMES = st.sampled_from(
    ["query", "queryFrequency", "severity", "enabled", "entityMappings", "entityType", "fieldMappings", "tactics",
     "incidentConfiguration", "groupingConfiguration", "alertDetailsOverride", "displayName", "x"]
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just("PT5M"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=10,
)


@given(st.dictionaries(_NAMES, _JSON, max_size=8))
def test_any_properties_are_accepted_or_refused(changes: dict[str, Any]) -> None:
    properties = {
        "displayName": "x", "enabled": True, "severity": "High", "query": "T", "queryFrequency": "PT5M",
        "queryPeriod": "PT5M", "triggerOperator": "Equal", "triggerThreshold": 0, "suppressionEnabled": False,
        "suppressionDuration": "PT5M",
    }  # fmt: skip
    rule_id = ResourceId.parse("/subscriptions/s/providers/Microsoft.SecurityInsights/alertRules/r")
    change = Change(rule_id, {"properties": {**properties, **changes}}, None, None)
    with contextlib.suppress(BadRequest):
        rules.prepare(change, Limits(LIMITS), 0)
