"""From a sample of events to a table, a stream and a flow: over HTTPS, and as the template that the command prints."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lurewire.core.errors import WireError
from lurewire.core.limits import Limits
from lurewire.core.resources import ResourceId
from lurewire.ingestion import LIMITS, SampleRequest, samples
from lurewire.kql import Column, KqlType
from lurewire.kqltools import sample_schema

if TYPE_CHECKING:
    from tests.ingestion.cloud import ARM, ENDPOINT, GROUP, WORKSPACE, Cloud
else:
    from ingestion.cloud import ARM, ENDPOINT, GROUP, WORKSPACE, Cloud

EVENT = {
    "timestamp": "2026-01-23T19:23:22.149Z",
    "@meta": {"source": "x"},
    "id": "4711",
    "port": 22,
    "ratio": 0.5,
    "tags": ["a"],
    "seen": True,
    "name": "[red]'; drop table t1; --",
}


@pytest.fixture(scope="module")
def token(cloud: Cloud) -> str:
    return cloud.token("contributor of samples", ("Contributor", GROUP), resource=ARM)


def ask(cloud: Cloud, token: str, verb: str, body: Any, workspace: str = WORKSPACE) -> requests.Response:
    url = f"{cloud.url()}{workspace}/providers/Lurewire.Ingestion/samples/{verb}?api-version=2026-11-01"
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return requests.post(url, data=data, headers=headers, verify=cloud.ca, timeout=30)


def test_infer_names_table_stream_and_transform(cloud: Cloud, token: str) -> None:
    found = ask(cloud, token, "infer", {"sample": EVENT, "table": "Inferred_CL"}).json()
    assert found["stream"]["name"] == "Custom-Inferred_CL"
    assert {c["name"]: c["type"] for c in found["stream"]["columns"]} == {
        "timestamp": "datetime",
        "@meta": "dynamic",
        "id": "string",
        "port": "long",
        "ratio": "real",
        "tags": "dynamic",
        "seen": "boolean",
        "name": "string",
    }
    assert found["table"]["columns"][0] == {"name": "TimeGenerated", "type": "dateTime"}
    assert found["renamed"] == {"@meta": "meta", "id": "id_"}
    assert found["transformKql"] == (
        "source | project-rename meta = ['@meta'], id_ = id | extend TimeGenerated = timestamp"
    )
    assert found["parseJsonSchema"]["properties"]["port"] == {"type": "integer"}
    assert cloud.store.get(ResourceId.parse(f"{WORKSPACE}/tables/Inferred_CL")) is None


def test_preview_shows_rows_and_errors_and_creates_nothing(cloud: Cloud, token: str) -> None:
    asked: dict[str, Any] = {"sample": json.dumps(EVENT) + "\n" + json.dumps(EVENT), "table": "Previewed_CL"}
    shown = ask(cloud, token, "preview", asked).json()
    assert (shown["records"], len(shown["rows"]), shown["errors"]) == (2, 2, [])
    row = shown["rows"][0]
    assert (row["TimeGenerated"], row["port"], row["id_"]) == ("2026-01-23T19:23:22.149Z", 22, "4711")
    wrong = ask(cloud, token, "preview", asked | {"transform": "source\n| where nope == 1"}).json()
    assert [(e["code"], e["line"]) for e in wrong["errors"]] == [("InvalidTransformQuery", 2)]
    timeless = ask(cloud, token, "preview", asked | {"transform": "source | project port"}).json()
    assert "TimeGenerated" in timeless["errors"][0]["message"]
    assert cloud.store.get(ResourceId.parse(f"{WORKSPACE}/tables/Previewed_CL")) is None


def test_apply_makes_table_rule_and_flow_and_rows_arrive(cloud: Cloud, token: str) -> None:
    made = ask(cloud, token, "apply", {"sample": [EVENT], "table": "Applied_CL", "rule": "applied-dcr"})
    assert made.status_code == 200, made.text
    answer = made.json()
    assert answer["endpoint"] == cloud.url()
    sender = cloud.token("publisher of samples", ("Monitoring Metrics Publisher", GROUP))
    assert cloud.post(answer["immutableId"], answer["stream"], sender, [EVENT]).status_code == 204
    cloud.settle()
    query = "Applied_CL | project TimeGenerated, port, ratio, seen, id_, tostring(meta.source), name"
    assert cloud.query(query) == [(639047930021490000, 22, 0.5, True, "4711", "x", EVENT["name"])]


def test_apply_widens_an_existing_table_and_rule(cloud: Cloud, token: str) -> None:
    first = {"sample": {"a": 1}, "table": "Wider_CL", "rule": "wider-dcr", "endpoint": ENDPOINT}
    assert ask(cloud, token, "apply", first).status_code == 200
    other = {"sample": {"x": 1}, "table": "Beside_CL", "rule": "wider-dcr"}
    second = ask(cloud, token, "apply", other)
    third = ask(cloud, token, "apply", first | {"sample": [{"a": 2, "b": "new"}]})
    assert (second.status_code, third.status_code) == (200, 200), second.text + third.text
    rule = cloud.store.get(ResourceId.parse(third.json()["rule"]))
    assert rule is not None
    properties = rule["properties"]
    assert sorted(properties["streamDeclarations"]) == ["Custom-Beside_CL", "Custom-Wider_CL"]
    assert len(properties["dataFlows"]) == 2
    assert len(properties["destinations"]["logAnalytics"]) == 1
    sender = cloud.token("publisher of samples", ("Monitoring Metrics Publisher", GROUP))
    assert cloud.post(third.json()["immutableId"], "Custom-Wider_CL", sender, [{"a": 3, "b": "c"}]).status_code == 204
    cloud.settle()
    assert cloud.query("Wider_CL | project a, b") == [(3, "c")]
    conflict = ask(cloud, token, "apply", first | {"sample": {"a": "text"}})
    assert (conflict.status_code, conflict.json()["error"]["code"]) == (400, "InvalidSample")


def test_apply_takes_the_place_of_a_flow_without_an_output_stream(cloud: Cloud, token: str) -> None:
    """Its output is the stream itself: beside it, a second flow would store every row twice."""
    asked = {"sample": {"a": 1}, "table": "Once_CL", "rule": "once-dcr", "endpoint": ENDPOINT}
    made = ask(cloud, token, "apply", asked).json()
    rule = cloud.store.get(ResourceId.parse(made["rule"]))
    assert rule is not None
    (flow,) = rule["properties"]["dataFlows"]
    del flow["outputStream"]
    cloud.rule("once-dcr", {"location": "local", "properties": rule["properties"]})
    assert ask(cloud, token, "apply", asked).status_code == 200
    sender = cloud.token("publisher of samples", ("Monitoring Metrics Publisher", GROUP))
    assert cloud.post(made["immutableId"], made["stream"], sender, [{"a": 3}]).status_code == 204
    cloud.settle()
    assert cloud.query("Once_CL | project a") == [(3,)]


@pytest.mark.parametrize(
    ("streams", "destinations", "output", "kept"),
    [
        (["s"], ["here"], "t", []),
        (["s"], ["here"], "u", [(["s"], ["here"])]),
        (["x"], ["here"], "t", [(["x"], ["here"])]),
        (["s"], ["there"], "t", [(["s"], ["there"])]),
        (["s", "x"], ["here"], "t", [(["x"], ["here"])]),
        (["s", "x"], ["here", "there"], "t", [(["x"], ["here", "there"]), (["s"], ["there"])]),
    ],
)
def test_only_the_way_that_is_applied_is_taken_from_a_flow(
    streams: list[str], destinations: list[str], output: str, kept: list[tuple[list[str], list[str]]]
) -> None:
    flow = {"streams": streams, "destinations": destinations, "outputStream": output, "transformKql": "source"}
    found = samples._without(flow, "s", "t", "here")
    assert [(one["streams"], one["destinations"]) for one in found] == kept
    assert all(one["transformKql"] == "source" for one in found)


def test_apply_into_a_table_of_azure(cloud: Cloud, token: str) -> None:
    sample = {"time": "2026-01-01T00:00:00Z", "vendor": "Contoso", "port": 22}
    transform = "source | project TimeGenerated = ['time'], DeviceVendor = vendor, SourcePort = toint(port)"
    asked = {"sample": sample, "table": "CommonSecurityLog", "rule": "cef-sample", "transform": transform}
    made = ask(cloud, token, "apply", asked)
    assert made.status_code == 200, made.text
    sender = cloud.token("publisher of samples", ("Monitoring Metrics Publisher", GROUP))
    stream = made.json()["stream"]
    assert cloud.post(made.json()["immutableId"], stream, sender, [sample]).status_code == 204
    cloud.settle()
    assert cloud.query("CommonSecurityLog | project DeviceVendor, SourcePort") == [("Contoso", 22)]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not what is expected"),
        ({"table": "X_CL"}, "sample"),
        ({"sample": {}, "table": "X_CL"}, "no property"),
        ({"sample": "", "table": "X_CL"}, "empty"),
        ({"sample": [1], "table": "X_CL"}, "ecord 1 of"),
        ({"sample": '{"a":1}\n{"a"', "table": "X_CL"}, "no JSON"),
        ({"sample": {"a": 1}, "table": "1x"}, "no table of Azure"),
        ({"sample": {"a": 1}, "table": "X_CL", "time": "b"}, "o record of"),
        ({"sample": {"a": "b"}, "table": "X_CL", "time": "a"}, "no time"),
        ({"sample": [{"a": 1}] * 10_001, "table": "X_CL"}, "at most 10000"),
        (b'{"table":"X_CL","sample":' + b'{"a":' * 200 + b"1" + b"}" * 201, "more than 100 deep"),
        ({"sample": {"a": 1}, "table": "X_CL", "transform": "source" + " " * 20_000}, "at most 15360"),
        ({"sample": {"a": 1}, "table": "X_CL", "more": 1}, "more"),
    ],
)
def test_requests_that_are_refused_say_why(cloud: Cloud, token: str, body: Any, words: str) -> None:
    answer = ask(cloud, token, "preview", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidSample")
    assert words in answer.json()["error"]["message"]


def test_apply_refuses_what_it_cannot_finish_and_leaves_no_table(cloud: Cloud, token: str) -> None:
    asked = {"sample": {"a": 1}, "table": "Left_CL", "rule": "left-dcr", "endpoint": f"{ENDPOINT}-not"}
    answer = ask(cloud, token, "apply", asked)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidPayload")
    assert cloud.store.get(ResourceId.parse(f"{WORKSPACE}/tables/Left_CL")) is None
    answer = ask(cloud, token, "apply", asked | {"rule": WORKSPACE})
    assert (answer.status_code, "no data collection rule" in answer.json()["error"]["message"]) == (400, True)


def test_each_step_needs_its_role(cloud: Cloud, token: str) -> None:
    body = {"sample": {"a": 1}, "table": "Roles_CL", "rule": "roles-dcr"}
    reader = cloud.token("reader of samples", ("Reader", GROUP), resource=ARM)
    owner = cloud.token("owner of the workspace alone", ("Owner", WORKSPACE), resource=ARM)
    for verb in ("infer", "preview", "apply"):
        assert ask(cloud, reader, verb, body).status_code == 403
    assert ask(cloud, owner, "preview", body).status_code == 200
    answer = ask(cloud, owner, "apply", body)  # its rule would stand beside the workspace
    assert answer.status_code == 403
    assert "Microsoft.Insights/dataCollectionRules/write" in answer.json()["error"]["message"]


def test_the_printed_template_deploys(cloud: Cloud) -> None:
    text = json.dumps([EVENT, {"[odd]": 1}]).encode()
    template, _ = sample_schema(text, "Templated_CL", "arm")
    body = {
        "properties": {
            "mode": "Incremental",
            "template": json.loads(template),
            "parameters": {"workspaceName": {"value": "lurewire"}},
        }
    }
    done = cloud.run(cloud.deployments.deploy(ResourceId.parse(GROUP), "sample", body))
    assert done["properties"]["provisioningState"] == "Succeeded", done["properties"].get("error")
    rule = done["properties"]["outputs"]["immutableId"]["value"]
    sender = cloud.token("publisher of samples", ("Monitoring Metrics Publisher", GROUP))
    assert cloud.post(rule, "Custom-Templated_CL", sender, [EVENT, {"[odd]": 5}]).status_code == 204
    cloud.settle()
    assert cloud.query("Templated_CL | where isnotnull(odd) | project odd") == [(5,)]


def test_a_preview_uses_no_more_memory_than_it_may() -> None:
    bomb = "source" + " | extend a = strcat(a, a, a, a, a, a, a, a, a, a)" * 2
    records = [{"a": "x" * 1000}] * 2000
    limits = Limits(LIMITS, {"ingestion.preview_memory_mb": 16})
    shown = samples._transformed([Column("a", KqlType.STRING)], bomb, records, 0, limits)
    assert [one["message"] for one in shown.errors] == ["the query needs more memory than it may use"]


def test_a_preview_runs_no_longer_than_it_may() -> None:
    counts = ", ".join(f"n{number} = countof(a, '(x|y)*{number}', 'regex')" for number in range(150))
    records = [{"a": "xy" * 400}] * 10_000
    shown, took = preview_in(1, f"source | extend {counts}", records)
    assert [(one["code"], one["message"]) for one in shown.errors] == [
        ("InvalidTransformQuery", "The transform did not end in 1 seconds.")
    ]
    assert (shown.rows, took < 8) == ([], True), "the whole of it takes longer"
    shown, _ = preview_in(60, "source | where countof(a, '(x|y)*1', 'regex') == 0 | project n = strlen(a)", records)
    assert (shown.errors, len(shown.rows), shown.rows[0]) == ([], 10_000, {"n": 800})


def preview_in(seconds: int, transform: str, records: list[dict[str, Any]]) -> tuple[samples.Preview, float]:
    limits = Limits(LIMITS, {"ingestion.preview_seconds": seconds})
    started = time.monotonic()
    shown = samples._transformed([Column("a", KqlType.STRING)], transform, records, 0, limits)
    return shown, time.monotonic() - started


NAMES = st.sampled_from(
    ["a", "A", "_a", "id", "Type", "TimeGenerated", "x y", "é", "", '"', "\\", "1", "a" * 60, "[x]", "'"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(["2026-01-01", "2026-01-01T00:00:00.1234567Z", "9999-99-99", "0001-01-01 00:00:00+14:00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=6), min_size=1, max_size=4))
def test_whatever_is_inferred_compiles_and_keeps_every_record(cloud: Cloud, records: list[dict[str, Any]]) -> None:
    asked = SampleRequest(sample=records, table="Any_CL")
    try:
        shown = cloud.run(cloud.samples.preview(ResourceId.parse(WORKSPACE), asked))
    except WireError as error:
        assert error.code == "InvalidSample"  # noqa: PT017 - the other outcome is looked at below
        return
    assert shown["errors"] == []
    assert len(shown["rows"]) == len(records)
    assert {c["name"] for c in shown["table"]["columns"]} <= {c["name"] for c in shown["columns"]}
    assert shown["mistyped"] == {}
