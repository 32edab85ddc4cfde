"""Data collection rules and endpoints: what Azure accepts, what it refuses, and the solutions' templates."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lurewire.core.limits import Limits
from lurewire.ingestion.azure_tables import WRITABLE, WritableTables
from lurewire.ingestion.errors import RuleInvalid
from lurewire.ingestion.limits import LIMITS
from lurewire.ingestion.models import read_rule
from lurewire.schemas import builtin_schema
from lurewire.sensor import EVENT_COLUMNS, sample_events

if TYPE_CHECKING:
    from tests.ingestion.cloud import COLUMNS, ENDPOINT, GROUP, STREAM, WORKSPACE, Cloud, rule_body
else:
    from ingestion.cloud import COLUMNS, ENDPOINT, GROUP, STREAM, WORKSPACE, Cloud, rule_body

PUBLISHER = "Monitoring Metrics Publisher"
SEED = Path(__file__).resolve().parents[3] / "shared/seeds/000_2d761203eaf6696e.txt"
SOLUTIONS = Path(__file__).resolve().parents[2] / "src/lurewire/solutions"


@pytest.fixture(scope="module", autouse=True)
def events_table(cloud: Cloud) -> None:
    cloud.table("Events_CL", COLUMNS)


def refused(cloud: Cloud, body: dict[str, Any]) -> list[dict[str, Any]]:
    with pytest.raises(RuleInvalid) as caught:
        cloud.rule("refused-dcr", body)
    assert (caught.value.code, caught.value.message) == ("InvalidPayload", "Data collection rule is invalid")
    return list(caught.value.details)


def flow(**more: Any) -> dict[str, Any]:
    return {"streams": [STREAM], "destinations": ["la"], "outputStream": STREAM} | more


def test_endpoint_and_rule_get_their_properties_and_keep_them(cloud: Cloud) -> None:
    endpoint = cloud.put(ENDPOINT, {"location": "local", "properties": {}})["properties"]
    assert re.fullmatch(r"dce-[0-9a-f]{32}", endpoint["immutableId"])
    assert endpoint["logsIngestion"] == {"endpoint": cloud.url()}
    first = cloud.put(f"{GROUP}/providers/Microsoft.Insights/dataCollectionRules/kept", rule_body())["properties"]
    again = cloud.put(f"{GROUP}/providers/Microsoft.Insights/dataCollectionRules/kept", rule_body())["properties"]
    assert re.fullmatch(r"dcr-[0-9a-f]{32}", first["immutableId"])
    assert again["immutableId"] == first["immutableId"]
    assert "endpoints" not in first
    assert first["destinations"]["logAnalytics"][0]["workspaceId"] == cloud.workspace().customer_id
    direct = cloud.put(
        f"{GROUP}/providers/Microsoft.Insights/dataCollectionRules/direct", rule_body() | {"kind": "Direct"}
    )
    assert direct["properties"]["endpoints"]["logsIngestion"] == cloud.url()


def test_transform_errors_say_where(cloud: Cloud) -> None:
    details = refused(cloud, rule_body("source\n| where nope == 1"))
    assert [detail["code"] for detail in details] == ["InvalidTransformQuery"]
    assert details[0]["target"] == "properties.dataFlows[0].transformKql"
    assert details[0]["message"].startswith("Line 2, column 9: ")
    assert "nope" in details[0]["message"]


@pytest.mark.parametrize(
    ("transform", "code", "words"),
    [
        ("source | where", "InvalidTransformQuery", "Line 1"),
        ("source | summarize count() by name", "InvalidTransformQuery", "summarize"),
        ("source | project name", "InvalidTransformQuery", "TimeGenerated"),
        ("Heartbeat | project TimeGenerated", "InvalidTransformQuery", "Heartbeat"),
        ("source | extend Type = 'x'", "InvalidTransformOutput", "'Type'"),
        ("source | extend TenantId = 'x'", "InvalidTransformOutput", "'TenantId'"),
        (
            "source | extend total = count, name = tostring(count), more = 'x'",
            "InvalidTransformOutput",
            "total [produced:'Int', output:'Long'], more [produced:'String', output:'Dynamic']",
        ),
        (
            "source | extend TimeGenerated = 'now'",
            "InvalidTransformOutput",
            "TimeGenerated [produced:'String', output:'DateTime']",
        ),
    ],
)
def test_transforms_that_azure_refuses(cloud: Cloud, transform: str, code: str, words: str) -> None:
    (detail,) = refused(cloud, rule_body(transform))
    assert detail["code"] == code
    assert words in detail["message"]


@pytest.mark.parametrize(
    ("change", "code", "target"),
    [
        ({"streamDeclarations": {"Events_CL": {"columns": []}}}, "InvalidStream", "streamDeclarations['Events_CL']"),
        ({"streamDeclarations": {STREAM: {"columns": []}}}, "InvalidStream", f"streamDeclarations['{STREAM}']"),
        (
            {"streamDeclarations": {STREAM: {"columns": [{"name": "x", "type": "guid"}]}}},
            "InvalidStream",
            f"streamDeclarations['{STREAM}'].columns[0]",
        ),
        (
            {"streamDeclarations": {STREAM: {"columns": [{"name": "x", "type": "int"}] * 2}}},
            "InvalidStream",
            f"streamDeclarations['{STREAM}'].columns[1]",
        ),
        (
            {
                "streamDeclarations": {
                    STREAM: {"columns": [{"name": 'x"', "type": "int"}, {"name": "\n", "type": "int"}]}
                }
            },
            "InvalidStream",
            f"streamDeclarations['{STREAM}'].columns[1]",
        ),
        ({"destinations": {}}, "InvalidDestination", "destinations"),
        ({"destinations": {"eventHubs": [{}]}}, "InvalidDestination", "destinations"),
        ({"destinations": {"logAnalytics": [{"name": "la"}]}}, "InvalidDestination", "destinations.logAnalytics[0]"),
        (
            {"destinations": {"logAnalytics": [{"name": "la", "workspaceResourceId": f"{WORKSPACE}-not"}]}},
            "InvalidDestination",
            "destinations.logAnalytics",
        ),
        ({"dataFlows": []}, "InvalidDataFlow", "dataFlows"),
        ({"dataFlows": [flow(streams=[])]}, "InvalidDataFlow", "dataFlows[0]"),
        ({"dataFlows": [flow(streams=["Custom-Other"])]}, "InvalidStream", "dataFlows[0].streams"),
        ({"dataFlows": [flow(destinations=["nowhere"])]}, "InvalidDestination", "dataFlows[0]"),
        ({"dataFlows": [flow(outputStream="Events_CL")]}, "InvalidOutputTable", "dataFlows[0].outputStream"),
        ({"dataFlows": [flow(outputStream="Custom-None_CL")]}, "InvalidOutputTable", "dataFlows[0]"),
        ({"dataFlows": [flow(outputStream="Microsoft-None")]}, "InvalidOutputTable", "dataFlows[0]"),
        ({"dataFlows": [flow(outputStream="Microsoft-SigninLogs")]}, "InvalidOutputTable", "dataFlows[0]"),
        ({"dataFlows": [flow(outputStream="Microsoft-Events_CL")]}, "InvalidOutputTable", "dataFlows[0]"),
        ({"dataFlows": [flow(outputStream="Custom-Syslog")]}, "InvalidOutputTable", "dataFlows[0]"),
        (
            {"dataFlows": [flow(transformKql="source" + " " * 15_360)]},
            "InvalidTransformQuery",
            "dataFlows[0].transformKql",
        ),
        ({"dataFlows": [flow(outputStream="Custom-x'; drop table t1;--")]}, "InvalidOutputTable", "dataFlows[0]"),
        ({"dataCollectionEndpointId": f"{ENDPOINT}-not"}, "InvalidDataCollectionEndpoint", "dataCollectionEndpointId"),
    ],
)
def test_rules_that_azure_refuses(cloud: Cloud, change: dict[str, Any], code: str, target: str) -> None:
    details = refused(cloud, rule_body() | {"properties": rule_body()["properties"] | change})
    assert (code, f"properties.{target}") in [(detail["code"], detail["target"]) for detail in details]


def test_missing_table_in_azures_words(cloud: Cloud) -> None:
    (detail,) = refused(cloud, rule_body(dataFlows=[flow(outputStream="Custom-None_CL")]))
    assert detail["message"] == "Table for output stream 'Custom-None_CL' is not available for destination 'la'."


def test_arm_shows_the_details(cloud: Cloud) -> None:
    token = cloud.token("contributor", ("Contributor", GROUP), resource="https://management.azure.com")
    import requests

    url = f"{cloud.url()}{GROUP}/providers/Microsoft.Insights/dataCollectionRules/bad?api-version=2023-03-11"
    answer = requests.put(
        url, json=rule_body("source |"), headers={"Authorization": f"Bearer {token}"}, verify=cloud.ca, timeout=30
    )
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["details"][0]["code"]) == ("InvalidPayload", "InvalidTransformQuery")


def test_one_stream_may_have_several_flows(cloud: Cloud) -> None:
    cloud.table("Names_CL", {"TimeGenerated": "datetime", "name": "string"})
    flows = [
        flow(transformKql="source | where name startswith 'several'"),
        flow(transformKql="source | project TimeGenerated, name = strcat('of ', name)", outputStream="Custom-Names_CL"),
        flow(transformKql="source | extend name = strcat('again ', name)"),
    ]
    rule = cloud.rule("several", rule_body(dataFlows=flows))
    token = cloud.token("publisher of several", (PUBLISHER, GROUP))
    assert cloud.post(rule, STREAM, token, [{"name": "several"}, {"name": "none"}]).status_code == 204
    cloud.settle()
    events = cloud.query("Events_CL | where name has_any ('several', 'none') | project name")
    assert sorted(events) == [("again none",), ("again several",), ("several",)]
    assert sorted(cloud.query("Names_CL | project name")) == [("of none",), ("of several",)]


def test_new_version_of_a_rule_takes_over_and_deletion_ends_it(cloud: Cloud) -> None:
    token = cloud.token("publisher of versions", (PUBLISHER, GROUP))
    name = f"{GROUP}/providers/Microsoft.Insights/dataCollectionRules/versions"
    for version in ("first", "second"):
        rule = cloud.rule("versions", rule_body(f"source | extend name = '{version} version'"))
        assert cloud.post(rule, STREAM, token, [{}]).status_code == 204
    cloud.settle()
    query = "Events_CL | where name endswith ' version' | project name"
    assert cloud.query(query) == [("first version",), ("second version",)]
    from lurewire.core.resources import ResourceId

    assert cloud.run(cloud.store.delete(ResourceId.parse(name)))
    assert cloud.post(rule, STREAM, token, [{}]).status_code == 404


def test_stream_of_a_table_of_azure(cloud: Cloud) -> None:
    body = rule_body(
        streamDeclarations={},
        dataFlows=[{"streams": ["Microsoft-CommonSecurityLog"], "destinations": ["la"], "transformKql": "source"}],
    )
    rule = cloud.rule("cef", body)
    token = cloud.token("publisher of cef", (PUBLISHER, GROUP))
    rows = [{"DeviceVendor": "Contoso", "SourcePort": 22}]
    assert cloud.post(rule, "Microsoft-CommonSecurityLog", token, rows).status_code == 204
    cloud.settle()
    query = "CommonSecurityLog | project DeviceVendor, SourcePort, Type"
    assert cloud.query(query) == [("Contoso", 22, "CommonSecurityLog")]


def test_trapeye_template_is_the_pages(cloud: Cloud) -> None:
    template = json.loads((SOLUTIONS / "trapeye/tables.json").read_text())
    rule = template["resources"][-1]["properties"]
    declared = {
        name: {column["name"]: column["type"] for column in stream["columns"]}
        for name, stream in rule["streamDeclarations"].items()
    }
    assert declared == {
        "Custom-TrapEye_Threats_CL": EVENT_COLUMNS["new_threat"],
        "Custom-TrapEye_Interactions_CL": EVENT_COLUMNS["new_interaction"],
    }
    if not SEED.exists():
        pytest.skip("the page is not here")
    page = "\n".join(line.strip() for line in SEED.read_text().splitlines())
    for one in rule["dataFlows"]:
        assert one["transformKql"] in page


def test_trapeye_template_deploys_and_takes_the_sensors_events(cloud: Cloud) -> None:
    outputs = cloud.deploy("trapeye")
    assert outputs["logsIngestionEndpoint"] == cloud.url()
    token = cloud.token("trapeye", (PUBLISHER, outputs["ruleId"]))
    threat, interaction = sample_events()
    both = [threat, interaction]
    for table in ("TrapEye_Threats_CL", "TrapEye_Interactions_CL"):
        assert cloud.post(outputs["immutableId"], f"Custom-{table}", token, both).status_code == 204
    cloud.settle()
    ((when, first, *rest),) = cloud.query(
        "TrapEye_Threats_CL | project TimeGenerated, first_interaction, Product, Vendor, event, threat_uuid, source_ip"
    )
    assert when == first == 639047930021493380
    assert rest == ["Lurewire", "Lurewire", "new_threat", "00000000-0000-0000-0000-000000000000", "10.0.0.1"]
    (row,) = cloud.query(
        "TrapEye_Interactions_CL | project TimeGenerated, Product, tostring(additional_data.username), destination_port"
    )
    assert row == (639047930021493380, "Lurewire", "test-webhook-connection", 22)
    columns = [c.name for c in cloud.run(cloud.workspace().query("TrapEye_Threats_CL")).columns]
    assert "@meta" not in columns


def test_ipinsights_template_deploys_and_takes_a_lookup(cloud: Cloud) -> None:
    outputs = cloud.deploy("ipinsights")
    token = cloud.token("ipinsights", (PUBLISHER, outputs["ruleId"]))
    row = {"ip_s": "198.51.100.7", "threat_score_d": 87, "country_s": "NL", "is_tor_b": True, "asn_d": 64500}
    assert cloud.post(outputs["immutableId"], "Custom-IPInsights_CL", token, [row]).status_code == 204
    cloud.settle()
    query = "IPInsights_CL | project ip_s, threat_score_d, country_s, is_tor_b, is_vpn_b, isp_s"
    assert cloud.query(query) == [("198.51.100.7", 87.0, "NL", True, None, "")]


def test_tables_of_azure_that_a_rule_may_write_to() -> None:
    assert len(WRITABLE) == 104, "as many as the page has"
    assert {name for name in WRITABLE if builtin_schema(name) is None} == set(), "no rule could write to these"
    assert {"ASimAgentEventLogs", "ASimAlertEventLogs", "ASimAssetEntityLogs", "CrowdStrikeAuditEvents"} <= WRITABLE
    assert "SigninLogs" not in WritableTables([])
    assert "SigninLogs" in WritableTables(["SigninLogs"])
    assert "AuditLogs" not in WritableTables(["SigninLogs"])
    assert "AuditLogs" in WritableTables(["*"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
PARTS = ("streamDeclarations", "destinations", "dataFlows", "dataCollectionEndpointId")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PARTS), JSON)
def test_any_json_is_read_or_refused(part: str, value: Any) -> None:
    body = rule_body()
    body["properties"][part] = value
    read_rule(body, Limits(LIMITS))
    read_rule({"properties": value}, Limits(LIMITS))
