"""A source that throttles, refuses some of it, or is hostile."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurewire.pull import Folder, FolderError, Place, Source, Unreadable, pull
from lurewire.pull.files import file_stem
from lurewire.pull.playbooks import Parameters, without_secrets
from lurewire.pull.tables import schema_file, table_resource
from lurewire.pull.templates import Portable, template
from lurewire.pull.watchlists import watchlist_resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.testbench.started import Started

WORKSPACE = "/subscriptions/s-1/resourceGroups/g-1/providers/Microsoft.OperationalInsights/workspaces/w-1"

ENDPOINT = (
    "reference(resourceId('Microsoft.Insights/dataCollectionEndpoints', 'dce'), '2023-03-11').logsIngestion.endpoint"
)
IMMUTABLE = "reference(resourceId('Microsoft.Insights/dataCollectionRules', 'my''rule'), '2023-03-11').immutableId"


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "origin" in request.fixturenames:
        request.getfixturevalue("origin").ask("/testbench/reset", {})


def read(origin: Started, folder: Path, *roles: str, scope: str | None = None) -> Any:
    place = Place(origin.now.facts["subscription_id"], "lurewire", "lurewire")
    credential = origin.credential(f"source-{'-'.join(roles)}", *roles, scope=scope)
    with Source(credential, origin.url, origin.url, connection_verify=origin.ca) as source:
        return pull(source, place, Folder(folder))


def test_a_throttled_source_is_asked_again_when_it_says(origin: Started, tmp_path: Path) -> None:
    origin.ask("/testbench/add", {"match": {"room": "arm"}, "status": 429, "retryAfter": 1, "skip": 2, "times": 2})
    origin.ask("/testbench/add", {"match": {"room": "workspace"}, "status": 429, "retryAfter": 0, "times": 1})
    origin.ask("/testbench/add", {"match": {"room": "arm"}, "status": 503, "retryAfter": 0, "skip": 3, "times": 1})
    report = read(origin, tmp_path, "Owner", "Log Analytics Reader")
    assert report.unread == []
    assert report.counts["analytic-rules"] >= 3
    given = [fault["given"] for fault in origin.ask("/testbench/faults", {})["value"]]
    assert given == [2, 1, 1]


def test_what_may_not_be_read_is_named_and_the_rest_is_there(origin: Started, tmp_path: Path) -> None:
    report = read(origin, tmp_path, "Log Analytics Reader", scope=origin.workspace)
    missed = dict(report.unread)
    assert report.counts["tables"] >= 3
    assert "Microsoft.Logic/workflows/read" in missed["Microsoft.Logic/workflows"]
    assert "Microsoft.Insights/dataCollectionRules" in missed
    assert report.counts["playbooks"] == 0


def test_what_could_not_be_read_this_time_is_not_removed(origin: Started, tmp_path: Path) -> None:
    whole = read(origin, tmp_path, "Owner")
    assert any(name.startswith("playbooks/") for name in whole.changes.written)
    partial = read(origin, tmp_path, "Log Analytics Reader", scope=origin.workspace)
    assert partial.changes.removed == []
    assert read(origin, tmp_path, "Owner").changes.written == []


def test_a_workspace_that_is_not_there(origin: Started, tmp_path: Path) -> None:
    credential = origin.credential("source-none", "Owner")
    place = Place(origin.now.facts["subscription_id"], "lurewire", "nowhere")
    with (
        Source(credential, origin.url, origin.url, connection_verify=origin.ca) as source,
        pytest.raises(Unreadable, match="nowhere"),
    ):
        pull(source, place, Folder(tmp_path))
    with pytest.raises(Unreadable, match="https"):
        Source(credential, "http://localhost:1", "http://localhost:1")


@given(st.text())
def test_no_name_is_a_way_out(name: str) -> None:
    stem = file_stem(name)
    assert stem
    assert not stem.startswith(".")
    assert not set(stem) & set('/\\:*?"<>|\0\n ')
    assert file_stem(stem) == stem
    assert len(stem) <= 90


@given(st.lists(st.text(max_size=20), min_size=1, max_size=8, unique=True))
def test_each_resource_has_a_file_of_its_own(names: list[str]) -> None:
    folder = Folder(Path("/nowhere"))
    for name in names:
        folder.add("rules", name, name)
    files = dict(folder._named())
    assert len({path.casefold() for path in files}) == len(names)


def test_links_and_foreign_manifests_do_not_lead_out(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    (outside / "keep.json").write_text("{}")
    root.mkdir()
    (root / "pull.json").write_text(json.dumps({"files": ["../outside/keep.json", "/etc/passwd", "rules/../../x", 3]}))
    folder = Folder(root)
    folder.add("rules", "a", "{}")
    assert folder.store(()).removed == []
    assert (outside / "keep.json").exists()
    (root / "tables").symlink_to(outside)
    folder = Folder(root)
    folder.add("tables", "a", "{}")
    with pytest.raises(FolderError, match="is a link out of"):
        folder.store(())
    (root / "pull.json").write_text("[]")
    with pytest.raises(FolderError, match="not as a pull writes it"):
        Folder(root).store(())


class Pages:
    """A source's HTTP, answered from a list."""

    def __init__(self, *bodies: Any) -> None:
        self.bodies = list(bodies)
        self.asked: list[str] = []

    def source(self, monkeypatch: pytest.MonkeyPatch) -> Source:
        def send(_client: Any, request: Any) -> Any:
            self.asked.append(request.url)
            return self.bodies.pop(0)

        monkeypatch.setattr("lurewire.pull.client._send", send)
        return Source(object(), "https://arm.test", "https://query.test")  # type: ignore[arg-type]


def test_pages_are_followed_and_never_to_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages(
        {"value": [{"name": "a"}, 3], "nextLink": "https://arm.test/x?$skipToken=1"},
        {"value": [{"name": "b"}], "nextLink": "https://evil.test/x"},
    )
    found: list[dict[str, Any]] = []
    with pytest.raises(Unreadable, match=r"another host: https://evil\.test"):
        found.extend(pages.source(monkeypatch).pages("/x", "1"))
    assert [one["name"] for one in found] == ["a", "b"]
    assert len(pages.asked) == 2


@pytest.mark.parametrize("path", ["@evil.test/x", ".evil.test/x", ":443@evil.test", ""])
def test_an_id_that_the_source_gives_is_no_way_to_another_host(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    pages = Pages({}, {})
    source = pages.source(monkeypatch)
    with pytest.raises(Unreadable, match="no id of a resource"):
        source.get(path, "1")
    with pytest.raises(Unreadable, match="no id of a resource"):
        list(source.pages(path, "1"))
    assert pages.asked == []


@pytest.mark.parametrize("body", [[], {"value": 3}, {}, None])
def test_what_is_no_list_is_refused(monkeypatch: pytest.MonkeyPatch, body: Any) -> None:
    with pytest.raises(Unreadable, match="no list"):
        list(Pages(body).source(monkeypatch).pages("/x", "1"))


def portable() -> Portable:
    made = Portable("g-1", "w-1", "eastus")
    made.replace_workspace(WORKSPACE, "c-1")
    made.replace("/subscriptions/s-1/resourceGroups/g-1", "resourceGroup().id")
    made.replace("/subscriptions/s-1", "subscription().id")
    made.replace_rule("my'rule", "dcr-1")
    made.replace_endpoint("dce", "https://dce.test/")
    return made


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", "plain"),
        ("[1]", "[[1]"),
        ("[1] and more", "[1] and more"),
        (WORKSPACE.upper(), "[resourceId('Microsoft.OperationalInsights/workspaces', parameters('workspace'))]"),
        ("/subscriptions/s-1/resourceGroups/g-1/x", "[concat(resourceGroup().id, '/x')]"),
        ("/subscriptions/s-1/resourceGroups/g-12/x", "[concat(subscription().id, '/resourceGroups/g-12/x')]"),
        ("/subscriptions/s-12", "/subscriptions/s-12"),
        (
            "/subscriptions/s-1/providers/Microsoft.Web/locations/eastus/managedApis/x",
            "[concat(subscription().id, '/providers/Microsoft.Web/locations/', parameters('location'), '/managedApis/x')]",
        ),
        ("it's eastus", "it's eastus"),
        (
            "https://dce.test/dataCollectionRules/dcr-1/streams/'s'",
            f"[concat({ENDPOINT}, '/dataCollectionRules/', {IMMUTABLE}, '/streams/''s''')]",
        ),
        ("https://dce.test/other", "https://dce.test/other"),
    ],
)
def test_ids_become_expressions(text: str, written: str) -> None:
    assert portable().text(text) == written


def test_names_by_property_and_queries_as_they_are() -> None:
    given = {"queries": {"resourcegroups": "G-1", "resourcename": "w-1", "x": "g-1"}, "query": WORKSPACE}
    assert portable().value(given) == {
        "queries": {
            "resourcegroups": "[resourceGroup().name]",
            "resourcename": "[parameters('workspace')]",
            "x": "g-1",
        },
        "query": WORKSPACE,
    }
    assert template([{"a": "[parameters('workspace')]"}])["parameters"].keys() == {"workspace"}
    both = "[concat('say \"', parameters('workspace'), '\"')]"
    assert template([{"a": both}])["parameters"].keys() == {"workspace"}


def test_secrets_of_a_playbook_become_parameters() -> None:
    http = {"type": "Http", "inputs": {"uri": "https://x", "headers": {"X-API-Key": "SECRET", "Accept": "a"}}}
    basic = {"type": "Http", "inputs": {"authentication": {"type": "Basic", "username": "u", "password": "SECRET"}}}
    oauth = {"inputs": {"authentication": {"type": "ActiveDirectoryOAuth", "clientId": "c", "secret": "SECRET"}}}
    dynamic = {"inputs": {"headers": {"Authorization": "@{parameters('Key')}"}}}
    definition = {
        "parameters": {"Key": {"type": "SecureString", "defaultValue": "SECRET"}, "Plain": {"type": "String"}},
        "triggers": {},
        "actions": {
            "Look up": http,
            "Scope": {"actions": {"Basic": basic, "OAuth": {"else": {"actions": {"In": oauth}}}}},
            "D": dynamic,
        },
    }
    parameters = Parameters()
    made = without_secrets(
        {"properties": {"definition": definition, "parameters": {"Key": {"value": "SECRET"}}}}, parameters
    )
    assert "SECRET" not in json.dumps(portable().value(made))
    assert sorted(parameters.declared) == ["Basic_password", "In_secret", "Key", "Look_up_X_API_Key"]
    written = portable().value(made)
    assert written["definition"]["actions"]["Look up"]["inputs"]["headers"] == {
        "X-API-Key": "[parameters('Look_up_X_API_Key')]",
        "Accept": "a",
    }
    assert written["definition"]["actions"]["D"] == dynamic


def test_secrets_by_name_and_in_texts_become_parameters_too() -> None:
    basic = {"inputs": {"authentication": {"type": "Basic", "username": "u", "password": "P@SECRET"}}}
    login = {
        "inputs": {
            "uri": "https://x.test/it's?a=1&code=SECRET&sig=@{variables('s')}",
            "queries": {"sig": "SECRET", "top": "5"},
            "headers": {"X-Auth-Token": "@@SECRET"},
            "body": {"list": [{"client_secret": "SECRET", "tokenUrl": "https://x.test", "max": 3}]},
        }
    }
    form = {"inputs": {"body": "grant_type=x&client_secret=SECRET&scope=@{parameters('s')}"}}
    computed = {"inputs": {"uri": "@concat('https://x.test?code=', variables('c'))"}}
    definition = {
        "parameters": {"SlackToken": {"type": "String", "defaultValue": "SECRET"}},
        "actions": {"Basic": basic, "Login": login, "Form": form, "Computed": computed},
    }
    parameters = Parameters()
    properties = {"definition": definition, "parameters": {"SlackToken": {"value": "SECRET"}}}
    written = portable().value(without_secrets({"properties": properties}, parameters))
    assert "SECRET" not in json.dumps(written)
    actions = written["definition"]["actions"]
    assert actions["Login"]["inputs"]["uri"] == (
        "[concat('https://x.test/it''s?a=1&code=', parameters('Login_uri'), '&sig=@{variables(''s'')}')]"
    )
    assert actions["Login"]["inputs"]["body"]["list"] == [
        {"client_secret": "[parameters('Login_client_secret')]", "tokenUrl": "https://x.test", "max": 3}
    ]
    assert actions["Login"]["inputs"]["queries"]["top"] == "5"
    assert actions["Form"]["inputs"]["body"] == (
        "[concat('grant_type=x&client_secret=', parameters('Form_body'), '&scope=@{parameters(''s'')}')]"
    )
    assert actions["Computed"] == computed
    assert {one["type"] for one in parameters.declared.values()} == {"securestring"}


def test_tables_as_azure_shows_them() -> None:
    standard = [{"name": "TenantId", "type": "guid", "isHidden": False}]
    columns = [{"name": "TimeGenerated", "type": "dateTime", "isDefaultDisplay": True}, {"name": "a", "type": "string"}]
    schema = {"name": "X_CL", "columns": columns, "standardColumns": standard, "tableType": "CustomLog"}
    properties = {
        "plan": "Analytics",
        "retentionInDays": 30,
        "retentionInDaysAsDefault": True,
        "totalRetentionInDays": 90,
    }
    assert table_resource({"name": "X_CL", "properties": properties | {"schema": schema}}) == {
        "plan": "Analytics",
        "totalRetentionInDays": 90,
        "schema": {
            "name": "X_CL",
            "columns": [{"name": "TimeGenerated", "type": "datetime"}, {"name": "a", "type": "string"}],
        },
    }
    assert schema_file({"name": "Syslog", "properties": {"schema": schema}})["Properties"][0] == {
        "Name": "TenantId",
        "Type": "guid",
    }


def test_a_watchlist_is_its_items() -> None:
    items: list[dict[str, Any]] = [
        {"properties": {"itemsKeyValue": {"b": "2", "a": "x,y"}}},
        {"properties": {"itemsKeyValue": {"a": "1"}}},
        {"properties": {"itemsKeyValue": {"a": "2\r3", "b": {"é": [1, None]}}}},
        {},
    ]
    given = {"displayName": "W", "itemsSearchKey": "a", "created": "now", "watchlistId": "1"}
    made, notes = watchlist_resource(given, items)
    assert list(csv.reader(io.StringIO(made["rawContent"], newline=""))) == [
        ["a", "b"],
        ["1", ""],
        ["2\r3", '{"é":[1,null]}'],
        ["x,y", "2"],
    ]
    assert watchlist_resource({"itemsSearchKey": "a"}, [])[0]["rawContent"] == "a\r\n"
    assert notes == []
    assert "watchlistId" not in made
    assert (made["displayName"], made["itemsSearchKey"], made["numberOfLinesToSkip"]) == ("W", "a", 0)


def test_what_does_not_deploy_of_a_watchlist_is_told() -> None:
    items: list[dict[str, Any]] = [
        {"properties": {"itemsKeyValue": one}} for one in ({"a": " "}, {"b": "2"}, {"a": "1"})
    ]
    made, notes = watchlist_resource({"itemsSearchKey": "a"}, items)
    assert made["rawContent"] == "a\r\n1\r\n"
    assert notes == ["2 of its items have no value of 'a', its search key; no upload can have them, nor the file"]
    items = [{"properties": {"itemsKeyValue": {"a": f"{number}{'x' * 1_000}"}}} for number in range(4_000)]
    _, (note,) = watchlist_resource({"itemsSearchKey": "a"}, items)
    assert note.startswith("its content has 4022893 bytes")
    assert note.endswith("and does not deploy: an upload has 3984588 at most")
