from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from lurewire.analytics import LIMITS, rules
from lurewire.analytics.alerts import Window, build
from lurewire.analytics.details import Results
from lurewire.core.limits import Limits
from lurewire.core.resources import Change
from lurewire.kql import Column, KqlType, ticks_from_datetime

if TYPE_CHECKING:
    from tests.analytics.conftest import World

TEXTS = ("source_ip", "reverse_lookup", "threat_uuid", "note")
SINGLE: dict[str, Any] = {"eventGroupingSettings": {"aggregationKind": "SingleAlert"}}


def _alert(kit: Any, *rows: dict[str, Any], name: str = "r1", **changes: Any) -> dict[str, Any]:
    """The alert of a rule whose results are `rows`."""
    body = kit.scheduled(**changes)
    rule, _ = rules.prepare(Change(kit.rule_id(name), body, None, None), Limits(LIMITS), 0)
    columns = (*(Column(c, KqlType.STRING) for c in TEXTS), Column("score", KqlType.LONG))
    arrays = [pa.array([row.get(c, "") for row in rows]) for c in TEXTS]
    arrays.append(pa.array([row.get("score") for row in rows], pa.int64()))
    batch = pa.record_batch(arrays, names=[c.name for c in columns])
    window = Window(0, 3_000_000_000)
    results = Results(columns, (batch,))
    made = build(rule, results, "key", window=window, now=0, customer_id=kit.CUSTOMER, limits=Limits(LIMITS))
    return made.payload


async def _stored_alert(world: World, kit: Any, *rows: dict[str, Any], **rule: Any) -> dict[str, Any]:
    """The alert of a rule over rows that its first run finds in the workspace."""
    await world.ingest(*rows, at=kit.START - kit.ago(7))
    await world.put(kit.scheduled(**rule))
    assert len(world.alerts) == 1, world.alerts
    return world.alerts[0]


def _mapping(kind: str, **columns: str) -> dict[str, Any]:
    fields = [{"identifier": name, "columnName": column} for name, column in columns.items()]
    return {"entityType": kind, "fieldMappings": fields}


async def test_the_page_s_rule_gives_name_description_details_and_entities(world: World, kit: Any) -> None:
    alert = await _stored_alert(
        world,
        kit,
        {"source_ip": "198.51.100.7", "reverse_lookup": "x.example", "threat_uuid": "u-1"},
        tactics=["Reconnaissance", "credentialaccess"],
        techniques=["T1110"],
        entityMappings=[_mapping("IP", Address="source_ip"), _mapping("dns", domainname="reverse_lookup")],
        customDetails={"threat_uuid": "threat_uuid", "source_ip": "source_ip"},
        alertDetailsOverride={
            "alertDisplayNameFormat": "New TrapEye Threat from {{source_ip}}",
            "alertDescriptionFormat": "run:\nT\n| where threat_uuid == '{{ threat_uuid }}'",
        },
    )
    properties = alert["alert"]["properties"]
    assert properties["alertDisplayName"] == "New TrapEye Threat from 198.51.100.7"
    assert properties["description"] == "run:\nT\n| where threat_uuid == 'u-1'"
    assert properties["severity"] == "Medium"
    assert properties["tactics"] == ["Reconnaissance", "CredentialAccess"]
    assert properties["startTimeUtc"] == properties["endTimeUtc"] == "2026-11-22T11:53:00.0000000Z"
    assert properties["alertType"] == f"{kit.CUSTOMER}_r1"
    assert properties["productName"] == "Azure Sentinel"
    assert alert["customDetails"] == {"threat_uuid": ["u-1"], "source_ip": ["198.51.100.7"]}
    assert [(e["kind"], e["properties"]["friendlyName"]) for e in alert["entities"]] == [
        ("Ip", "198.51.100.7"),
        ("DnsResolution", "x.example"),
    ]
    assert alert["entities"][0]["properties"]["address"] == "198.51.100.7"
    assert alert["entities"][1]["properties"]["domainName"] == "x.example"
    data = properties["additionalData"]
    assert json.loads(data["Custom Details"]) == alert["customDetails"]
    assert json.loads(data["Analytic Rule Ids"]) == ["r1"]
    assert (data["Query Period"], data["Trigger Operator"], data["Trigger Threshold"]) == (
        "00:05:00",
        "GreaterThan",
        "0",
    )


async def test_every_alert_is_a_row_of_security_alert(world: World, kit: Any) -> None:
    alert = await _stored_alert(
        world,
        kit,
        {"source_ip": "198.51.100.7"},
        tactics=["Discovery", "Impact"],
        techniques=["T1110"],
        entityMappings=[_mapping("IP", Address="source_ip")],
        customDetails={"Score": "score"},
    )
    commit = await world.workspace.append("Heartbeat", [{}], "marker")
    await world.workspace.until_loaded(commit)
    rows = await world.query(
        "SecurityAlert | project TenantId, SystemAlertId, AlertSeverity, ProviderName, VendorName, Tactics, Techniques, "
        "Entities, ExtendedProperties, Type, IsIncident, StartTime"
    )
    assert len(rows) == 1
    tenant, alert_id, severity, provider, vendor, tactics, techniques, entities, extended, kind, incident, start = rows[
        0
    ]
    assert (tenant, alert_id, severity, kind) == (kit.CUSTOMER, alert["id"], "Medium", "SecurityAlert")
    assert (provider, vendor) == ("ASI Scheduled Alerts", "Microsoft")
    assert (tactics, techniques, incident) == ("Discovery,Impact", '["T1110"]', False)
    assert json.loads(entities) == [{"$id": "1", "Address": "198.51.100.7", "Type": "ip"}]
    assert json.loads(json.loads(extended)["Custom Details"]) == {"Score": []}
    assert start == ticks_from_datetime(kit.START - kit.ago(7))


HOSTILE = (
    "'; drop table incidents; --",
    '"><script>alert(1)</script>',
    "\x1b]0;owned\x07\x1b[2J",
    "line\r\nbreak",
    "\u202eevil\u200b",
    "'{{threat_uuid}}' | union *",
    "\\' or true //",
)


async def test_hostile_text_stays_text_from_the_row_to_the_alert(world: World, kit: Any) -> None:
    await world.put(
        kit.scheduled(
            alertDetailsOverride={"alertDisplayNameFormat": "From {{note}}", "alertDescriptionFormat": "{{note}}"},
            customDetails={"note": "note"},
            entityMappings=[_mapping("Account", Name="note")],
        )
    )
    await world.ingest(*({"note": text} for text in HOSTILE))
    assert len(world.alerts) == len(HOSTILE)
    seen = {alert["alert"]["properties"]["description"]: alert for alert in world.alerts}
    assert set(seen) == set(HOSTILE)
    for text, alert in seen.items():
        assert alert["alert"]["properties"]["alertDisplayName"] == f"From {text}"
        assert alert["customDetails"]["note"] == [text]
        assert alert["entities"][0]["properties"]["accountName"] == text


class TestFormats:
    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            ("{{source_ip}} {{note}}", "1.2.3.4 {{source_ip}}"),  # what a value holds stays text
            ("no parameters", "no parameters"),
            ("{{reverse_lookup}} is empty", "Threat"),  # a parameter without a value: the rule's own name
            ("{{no_such_column}}", "Threat"),
            ("{{SOURCE_IP}}", "Threat"),  # names are case-sensitive
            ("{source_ip} {{}} {{ }}", "{source_ip} {{}} {{ }}"),
            ("score {{score}}", "score 7"),
        ],
    )
    def test_parameters(self, kit: Any, template: str, expected: str) -> None:
        row = {"source_ip": "1.2.3.4", "note": "{{source_ip}}", "score": 7}
        alert = _alert(kit, row, alertDetailsOverride={"alertDisplayNameFormat": template})
        assert alert["alert"]["properties"]["alertDisplayName"] == expected

    def test_texts_are_cut_to_their_limits_between_characters(self, kit: Any) -> None:
        override = {"alertDisplayNameFormat": "x{{note}}", "alertDescriptionFormat": "x{{note}}"}
        alert = _alert(kit, {"note": "é" * 10_000}, alertDetailsOverride=override)
        properties = alert["alert"]["properties"]
        assert properties["alertDisplayName"] == "x" + "é" * 127
        assert properties["description"] == "x" + "é" * 2559

    def test_a_single_alert_is_named_by_its_first_result(self, kit: Any) -> None:
        rows = ({"source_ip": "2.2.2.2", "score": 1}, {"source_ip": "1.1.1.1", "score": 2})
        override = {"alertDisplayNameFormat": "{{source_ip}}"}
        alert = _alert(kit, *rows, **SINGLE, alertDetailsOverride=override)
        assert alert["alert"]["properties"]["alertDisplayName"] == "2.2.2.2"


class TestOverrides:
    @pytest.mark.parametrize(
        ("value", "severity"),
        [("high", "High"), ("Informational", "Informational"), ("Dire", "Medium"), ("", "Medium")],
    )
    def test_severity(self, kit: Any, value: str, severity: str) -> None:
        override = {"alertSeverityColumnName": "note"}
        alert = _alert(kit, {"note": value}, alertDetailsOverride=override)
        assert alert["alert"]["properties"]["severity"] == severity

    @pytest.mark.parametrize(
        ("value", "tactics"),
        [
            ("Impact", ["Impact"]),
            ('["impact", "Collection"]', ["Impact", "Collection"]),
            ("Impact, Collection", ["Impact", "Collection"]),
            ("Nonsense", ["Discovery"]),
            ("", ["Discovery"]),
        ],
    )
    def test_tactics(self, kit: Any, value: str, tactics: list[str]) -> None:
        override = {"alertTacticsColumnName": "note"}
        alert = _alert(kit, {"note": value}, tactics=["Discovery"], alertDetailsOverride=override)
        assert alert["alert"]["properties"]["tactics"] == tactics

    def test_dynamic_properties(self, kit: Any) -> None:
        properties = [
            {"alertProperty": "ProductName", "value": "note"},
            {"alertProperty": "ConfidenceScore", "value": "score"},
            {"alertProperty": "RemediationSteps", "value": "threat_uuid"},
            {"alertProperty": "AlertLink", "value": "reverse_lookup"},
        ]
        row = {"note": "Lurewire", "score": 1, "threat_uuid": '["unplug", "breathe"]'}
        alert = _alert(kit, row, alertDetailsOverride={"alertDynamicProperties": properties})
        seen = alert["alert"]["properties"]
        assert (seen["productName"], seen["confidenceScore"], seen["remediationSteps"], seen["alertLink"]) == (
            "Lurewire",
            1.0,
            ["unplug", "breathe"],
            "",
        )


class TestCustomDetails:
    def test_distinct_values_up_to_fifty(self, kit: Any) -> None:
        rows = [{"note": f"{n % 60}", "source_ip": "same"} for n in range(180)]
        alert = _alert(kit, *rows, **SINGLE, customDetails={"note": "note", "ip": "source_ip"})
        assert len(alert["customDetails"]["note"]) == 50
        assert alert["customDetails"]["ip"] == ["same"]

    def test_two_kilobytes_in_all(self, kit: Any) -> None:
        rows = [{"note": f"{n:02}" + "x" * 200, "source_ip": "y" * 3000, "threat_uuid": "u"} for n in range(20)]
        details = {"note": "note", "ip": "source_ip", "uuid": "threat_uuid"}
        alert = _alert(kit, *rows, **SINGLE, customDetails=details)
        assert alert["customDetails"]["ip"] == []
        assert len(alert["customDetails"]["note"]) == 9
        assert alert["customDetails"]["uuid"] == ["u"]
        assert len(json.dumps(alert["customDetails"]).encode()) <= 2048


class TestEntities:
    @pytest.mark.parametrize(
        ("kind", "columns", "row", "expected"),
        [
            ("Account", {"FullName": "note"}, "CONTOSO\\ann", {"accountName": "ann", "ntDomain": "CONTOSO"}),
            ("Account", {"FullName": "note"}, "ann@contoso.com", {"accountName": "ann", "upnSuffix": "contoso.com"}),
            ("Account", {"Name": "note"}, "Root", None),  # identifies nobody
            ("Account", {"Name": "note", "Sid": "source_ip"}, "Root", {"accountName": "Root", "sid": "1.2.3.4"}),
            ("Host", {"FullName": "note"}, "web.contoso.com", {"hostName": "web", "dnsDomain": "contoso.com"}),
            ("Host", {"HostName": "note", "OSFamily": "source_ip"}, "web", {"hostName": "web", "osFamily": "1.2.3.4"}),
            ("URL", {"Url": "note"}, "https://x.example/a", {"url": "https://x.example/a"}),
            (
                "FileHash",
                {"Algorithm": "source_ip", "Value": "note"},
                "aa",
                {"algorithm": "1.2.3.4", "hashValue": "aa"},
            ),
            ("Process", {"CommandLine": "note"}, "rm -rf /", {"commandLine": "rm -rf /"}),
            ("File", {"Name": "note"}, "a.exe", {"fileName": "a.exe"}),
            ("IP", {"Address": "reverse_lookup"}, "x", None),  # no value, no entity
        ],
    )
    def test_identifiers(
        self, kit: Any, kind: str, columns: dict[str, str], row: str, expected: dict[str, str] | None
    ) -> None:
        rows = {"note": row, "source_ip": "1.2.3.4"}
        alert = _alert(kit, rows, entityMappings=[_mapping(kind, **columns)])
        entities = [
            {k: v for k, v in entity["properties"].items() if k not in ("friendlyName", "additionalData")}
            for entity in alert["entities"]
        ]
        assert entities == ([] if expected is None else [expected])

    def test_the_same_entity_has_one_name_everywhere_and_stands_once(self, kit: Any) -> None:
        rows = [{"source_ip": "1.1.1.1", "note": "1.1.1.1"}, {"source_ip": "2.2.2.2", "note": "1.1.1.1"}]
        mappings = [_mapping("IP", Address="source_ip"), _mapping("IP", Address="note")]
        alert = _alert(kit, *rows, **SINGLE, entityMappings=mappings)
        assert [e["properties"]["address"] for e in alert["entities"]] == ["1.1.1.1", "2.2.2.2"]
        again = _alert(kit, *rows, **SINGLE, entityMappings=mappings, name="r2")
        assert again["entities"] == alert["entities"]

    def test_entities_of_a_sentinel_column(self, kit: Any) -> None:
        text = json.dumps(
            [
                {"$id": "1", "Type": "ip", "Address": "1.1.1.1"},
                {"$id": "2", "Type": "account", "Name": "ann", "UPNSuffix": "x.com", "IsDomainJoined": True},
                {"$id": "3", "Type": "no-such-type", "Name": "x"},
                {"$ref": "1"},
                7,
            ]
        )
        rows = [{"note": text}, {"note": "not json"}, {"note": "{}"}]
        alert = _alert(kit, *rows, **SINGLE, sentinelEntitiesMappings=[{"columnName": "note"}])
        assert [e["kind"] for e in alert["entities"]] == ["Ip", "Account"]
        assert alert["entities"][1]["properties"]["isDomainJoined"] is True

    def test_at_most_five_hundred_and_64_kilobytes(self, kit: Any) -> None:
        rows = [{"source_ip": f"10.0.{n // 250}.{n % 250}"} for n in range(700)]
        alert = _alert(kit, *rows, **SINGLE, entityMappings=[_mapping("IP", Address="source_ip")])
        assert len(alert["entities"]) == 500

    def test_large_entities_are_left_out_when_they_no_longer_fit(self, kit: Any) -> None:
        rows = [{"note": f"https://x.example/{n}/" + "a" * 5000} for n in range(30)]
        alert = _alert(kit, *rows, **SINGLE, entityMappings=[_mapping("URL", Url="note")])
        assert len(alert["entities"]) == 12


class TestGrouping:
    @staticmethod
    def grouping(**changes: Any) -> dict[str, Any]:
        return {
            "createIncident": True,
            "groupingConfiguration": {
                "enabled": True,
                "reopenClosedIncident": False,
                "lookbackDuration": "PT1H",
                "matchingMethod": "AllEntities",
                **changes,
            },
        }

    @pytest.mark.parametrize(
        ("method", "groups"),
        [
            ({"matchingMethod": "AnyAlert"}, 1),
            ({"matchingMethod": "AllEntities"}, 3),
            ({"matchingMethod": "Selected", "groupByEntities": ["IP"]}, 2),
            ({"matchingMethod": "Selected", "groupByAlertDetails": ["DisplayName"]}, 2),
            ({"matchingMethod": "Selected", "groupByAlertDetails": ["Severity"]}, 1),
            ({"matchingMethod": "Selected", "groupByCustomDetails": ["uuid"]}, 3),
            ({"matchingMethod": "Selected", "groupByEntities": ["DNS"], "groupByAlertDetails": ["DisplayName"]}, 3),
        ],
    )
    def test_what_alerts_have_in_common(self, kit: Any, method: Any, groups: int) -> None:
        rows = (
            {"source_ip": "1.1.1.1", "reverse_lookup": "a", "threat_uuid": "1"},
            {"source_ip": "1.1.1.1", "reverse_lookup": "b", "threat_uuid": "2"},
            {"source_ip": "2.2.2.2", "reverse_lookup": "b", "threat_uuid": "3"},
            {"source_ip": "2.2.2.2", "reverse_lookup": "b", "threat_uuid": "3"},
        )
        rule: dict[str, Any] = {
            "entityMappings": [_mapping("IP", Address="source_ip"), _mapping("DNS", DomainName="reverse_lookup")],
            "customDetails": {"uuid": "threat_uuid"},
            "alertDetailsOverride": {"alertDisplayNameFormat": "from {{source_ip}}"},
            "incidentConfiguration": self.grouping(**method),
        }
        alerts = [_alert(kit, row, **rule) for row in rows]
        assert len({alert["grouping"]["key"] for alert in alerts}) == groups
        assert alerts[0]["grouping"]["lookbackSeconds"] == 3600

    def test_without_it_there_is_no_group(self, kit: Any) -> None:
        alert = _alert(kit, {"source_ip": "1.1.1.1"}, incidentConfiguration={"createIncident": False})
        assert alert["grouping"] is None
        assert alert["createIncident"] is False
