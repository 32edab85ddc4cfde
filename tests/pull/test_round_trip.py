"""What was pulled from one Lurewire deploys into another, and is the same there; it can be checked and tested, too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.cli.env import lines
from lurewire.supervisor import read_runtime

if TYPE_CHECKING:
    from pathlib import Path

    from tests.testbench.started import MANAGEMENT, Started
else:
    from testbench.started import MANAGEMENT

FOLDERS = ("tables", "dcrs", "functions", "watchlists", "analytic-rules", "playbooks", "automation-rules")
TABLE = {
    "properties": {
        "retentionInDays": 60,
        "schema": {
            "name": "Doors_CL",
            "columns": [{"name": "TimeGenerated", "type": "datetime"}, {"name": "door", "type": "string"}],
        },
    }
}
RULE = {
    "kind": "Scheduled",
    "properties": {
        "displayName": "../../Door: opened\n by night",
        "enabled": True,
        "severity": "Low",
        "query": "Doors_CL | where door == '[x]'",
        "queryFrequency": "PT5M",
        "queryPeriod": "PT5M",
        "triggerOperator": "GreaterThan",
        "triggerThreshold": 0,
        "suppressionEnabled": False,
        "suppressionDuration": "PT5H",
    },
}


WATCHLIST = {
    "properties": {
        "displayName": "Doors, watched",
        "provider": "Custom",
        "source": "doors.csv",
        "description": "[not an expression]",
        "labels": ["door"],
        "itemsSearchKey": "door",
        "rawContent": 'door,floor\n[x],"1, left"\ngone,2\n"a ""b\nc",3\n',
        "contentType": "text/csv",
    }
}


def environment(started: Started, role: str = "Owner", *more: str) -> dict[str, str]:
    """What `lurewire env` and `lurewire app create` print, and nothing of this process's own."""
    printed = lines(read_runtime(started.folder))
    words = [line.removeprefix("export ").split("=", 1) for line in printed.splitlines() if line.startswith("export ")]
    made = started.app(f"pull-{role}-{len(more)}", role, *more)
    variables = {name: value.strip("'") for name, value in words}
    return variables | {
        "AZURE_CLIENT_ID": made["client_id"],
        "AZURE_CLIENT_SECRET": made["client_secret"],
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }


def lurewire(variables: dict[str, str], *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from lurewire.cli import main; main()", *words]
    return subprocess.run(command, env=variables, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def content(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def deploy(started: Started, folder: Path) -> None:
    token = started.credential("deployer", "Owner").get_token(MANAGEMENT).token
    for name in FOLDERS:
        for file in sorted((folder / name).glob("*.json"), key=lambda path: ("dce" not in path.name, path.name)):
            template = json.loads(file.read_text())
            if "$schema" not in template:
                continue  # a schema of one of Azure's own tables
            values = {"workspace": "lurewire"} | {
                name: "a-secret" for name, one in template["parameters"].items() if one["type"] == "securestring"
            }
            given = {name: {"value": value} for name, value in values.items() if name in template["parameters"]}
            body = {"properties": {"mode": "Incremental", "template": template, "parameters": given}}
            path = f"{started.group}/providers/Microsoft.Resources/deployments/{file.stem}?api-version=2024-03-01"
            answer = started.call("PUT", path, token, json=body)
            assert answer.status_code in (200, 201), (file, answer.text)
            shown = started.call("GET", path, token).json()["properties"]
            assert shown["provisioningState"] == "Succeeded", (file, shown.get("error"))


def watchlist(origin: Started, token: str, path: str, version: str) -> None:
    """One that has lost an item and got two others, of which an upload can have one, and one without items."""
    made = origin.call("PUT", f"{path}/doors{version}", token, json=WATCHLIST)
    assert made.status_code == 201, made.text
    for item in origin.call("GET", f"{path}/doors/watchlistItems{version}", token).json()["value"]:
        if item["properties"]["itemsKeyValue"]["door"] == "gone":
            assert origin.call("DELETE", f"{path}/doors/watchlistItems/{item['name']}{version}", token).ok
    body = {"properties": {"itemsKeyValue": {"door": "new", "since": 2026}}}
    assert origin.call("PUT", f"{path}/doors/watchlistItems/one{version}", token, json=body).status_code == 201
    body = {"properties": {"itemsKeyValue": {"floor": "of no door"}}}
    assert origin.call("PUT", f"{path}/doors/watchlistItems/two{version}", token, json=body).status_code == 201
    bare = {"displayName": "Bare", "provider": "Custom", "itemsSearchKey": "door"}
    assert origin.call("PUT", f"{path}/bare{version}", token, json={"properties": bare}).status_code == 201


@pytest.fixture(scope="module")
def pulled(origin: Started, tmp_path_factory: pytest.TempPathFactory) -> Path:
    token = origin.credential("author", "Owner").get_token(MANAGEMENT).token
    version = "?api-version=2022-10-01"
    sentinel = f"{origin.workspace}/providers/Microsoft.SecurityInsights"
    assert origin.call("PUT", f"{origin.workspace}/tables/Doors_CL{version}", token, json=TABLE).status_code in (
        200,
        202,
    )
    made = origin.call("PUT", f"{sentinel}/alertRules/..night-door{version}", token, json=RULE)
    assert made.status_code in (200, 201), made.text
    watchlist(origin, token, f"{sentinel}/watchlists", version)
    folder = tmp_path_factory.mktemp("pulled") / "solution"
    done = lurewire(environment(origin, "Owner", "Log Analytics Reader"), "pull", str(folder), "--sample", "5")
    assert done.returncode == 0, done.stderr
    assert "watchlist doors: 1 of its items have no value of 'door', its search key" in done.stderr
    return folder


def test_it_deploys_into_another_and_is_equal_there(
    origin: Started, empty: Started, pulled: Path, tmp_path: Path
) -> None:
    before = content(pulled)
    deploy(empty, pulled)
    again = tmp_path / "again"
    done = lurewire(environment(empty, "Owner", "Log Analytics Reader"), "pull", str(again), "--sample", "5")
    assert done.returncode == 0, done.stderr
    after = content(again)
    samples = {name for name in before if name.startswith("sample-data/")}
    assert set(after) - samples == set(before) - samples
    for name in sorted(set(before) - samples - {"pull.json"}):
        assert after[name] == before[name], name
    counts = {folder: sum(name.startswith(f"{folder}/") for name in before) for folder in FOLDERS}
    assert counts["tables"] >= 4
    assert counts["analytic-rules"] >= 4
    assert (counts["playbooks"], counts["automation-rules"]) == (1, 1)
    assert counts["dcrs"] >= 3
    assert counts["watchlists"] == 2
    found = empty.query("_GetWatchlist('doors') | project SearchKey, floor, since | order by SearchKey asc")
    assert [list(row.values()) for row in found] == [["[x]", "1, left", ""], ['a "b\nc', "3", ""], ["new", "", "2026"]]
    assert empty.query("_GetWatchlist('bare') | project door") == []


def test_nothing_of_the_source_and_no_secret_is_in_the_files(origin: Started, pulled: Path) -> None:
    facts = origin.now.facts
    whole = "".join(text for name, text in content(pulled).items() if not name.startswith("sample-data/"))
    for own in (
        facts["subscription_id"],
        facts["tenant_id"],
        facts["workspace_id"],
        origin.url,
        *facts["dcrs"].values(),
    ):
        assert own not in whole
    playbook = json.loads((pulled / "playbooks" / "IPInsights-Enrich-Incident.json").read_text())
    assert playbook["parameters"]["API_KEY"]["type"] == "securestring"
    assert "defaultValue" not in playbook["parameters"]["API_KEY"]
    assert [one["type"] for one in playbook["resources"]] == ["Microsoft.Web/connections", "Microsoft.Logic/workflows"]


def test_a_hostile_name_stays_in_the_folder(pulled: Path) -> None:
    rules = sorted(path.name for path in (pulled / "analytic-rules").iterdir())
    assert "Door-opened-by-night.json" in rules
    assert sorted(path.name for path in pulled.parent.iterdir()) == ["solution"]


def test_a_second_pull_changes_nothing_and_a_deleted_rule_goes(origin: Started, pulled: Path) -> None:
    variables = environment(origin, "Owner", "Log Analytics Reader")
    done = lurewire(variables, "pull", str(pulled))
    assert "0 written" in done.stdout
    assert "0 removed" in done.stdout
    token = origin.credential("author", "Owner").get_token(MANAGEMENT).token
    path = f"{origin.workspace}/providers/Microsoft.SecurityInsights/alertRules/..night-door?api-version=2024-09-01"
    assert origin.call("DELETE", path, token).status_code == 200
    try:
        (pulled / "analytic-rules" / "mine.json").write_text("{}")
        done = lurewire(variables, "pull", str(pulled))
        assert "1 removed" in done.stdout
        assert not (pulled / "analytic-rules" / "Door-opened-by-night.json").exists()
        assert (pulled / "analytic-rules" / "mine.json").exists(), "what a pull did not write, it does not remove"
    finally:
        origin.call("PUT", path, token, json=RULE)


def test_rules_are_checked_and_tested_against_what_was_pulled(pulled: Path, tmp_path: Path) -> None:
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    rules = [str(path) for path in sorted((pulled / "analytic-rules").glob("*.json")) if path.name != "mine.json"]
    schemas = ["--schema", str(pulled / "tables"), "--schema", str(pulled / "dcrs")]
    done = lurewire(clean, "kql", "check", *rules, *schemas, "--no-builtin")
    assert done.returncode == 0, done.stdout
    done = lurewire(clean, "kql", "check", *rules, "--no-builtin")
    assert done.returncode == 1, "without the tables nothing is known"
    rule = next(path for path in rules if "High-threat-IP-address" in path)
    (tmp_path / "pulled.test.yaml").write_text(
        f"""rule: {rule}
schemas: [{pulled / "tables"}]
now: 2026-11-22T10:00:00Z
tables:
  IPInsights_CL:
    - {{TimeGenerated: "2026-11-22T09:30:00Z", ip_s: 198.51.100.7, threat_score_d: 90}}
tests:
  - name: a high score
    expect: {{alerts: 1}}
"""
    )
    done = lurewire(clean, "test", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def sample_rows(folder: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in (folder / "sample-data").glob("*.json")}


def test_samples_are_rows_that_a_query_reads(origin: Started, tmp_path: Path) -> None:
    token = origin.credential("sender", "Monitoring Metrics Publisher").get_token("https://monitor.azure.com/.default")
    rule = origin.now.facts["dcrs"]["trapeye-dcr"]
    row = {"event_type": "new_threat", "source_ip": "198.51.100.9", "@meta": {"product": "P"}, "threat_uuid": "1"}
    path = f"/dataCollectionRules/{rule}/streams/Custom-TrapEye_Threats_CL?api-version=2023-01-01"
    assert origin.call("POST", path, token.token, json=[row, row | {"threat_uuid": "2"}]).status_code == 204
    while len(origin.query("TrapEye_Threats_CL")) < 2:
        time.sleep(0.05)
    folder = tmp_path / "solution"
    done = lurewire(environment(origin, "Owner", "Log Analytics Reader"), "pull", str(folder), "--sample", "1")
    assert done.returncode == 0, done.stderr
    rows = sample_rows(folder)
    assert [(one["source_ip"], one["Product"]) for one in rows["TrapEye_Threats_CL"]] == [("198.51.100.9", "P")]
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    data = f"T={folder / 'sample-data' / 'TrapEye_Threats_CL.json'}"
    done = lurewire(clean, "kql", "run", "T | project source_ip", "--table", data, "--format", "ndjson")
    assert json.loads(done.stdout) == {"source_ip": "198.51.100.9"}, done.stderr
