"""Watchlists over HTTPS: resources, items, what queries see of them, and what is refused."""

from __future__ import annotations

import string
import threading
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from lurewire.core.errors import WireError
from lurewire.core.limits import Limits
from lurewire.core.resources import ResourceId
from lurewire.workspace import LIMITS
from lurewire.workspace.decoding import RowDecoder
from lurewire.workspace.watchlist_content import BadContent, items

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.ingestion.cloud import ARM, GROUP, LOGS, TENANT, WORKSPACE, Cloud

    from lurewire.workspace import Workspace
else:
    from ingestion.cloud import ARM, GROUP, LOGS, TENANT, WORKSPACE, Cloud

SENTINEL = f"{WORKSPACE}/providers/Microsoft.SecurityInsights"
PROPERTIES = {
    "displayName": "High value",
    "provider": "Microsoft",
    "source": "Local file",
    "itemsSearchKey": "ip",
    "contentType": "Text/Csv",
    "numberOfLinesToSkip": 0,
}
CSV = 'ip,owner\n1.1.1.1,"O\'Brien, ""x"""\n2.2.2.2,\'); drop table t1; --\n1.1.1.1,"O\'Brien, ""x"""\n\n'


class Caller:
    """Somebody with roles on the resource group."""

    def __init__(self, cloud: Cloud, *roles: str) -> None:
        self._cloud = cloud
        self._token = cloud.token(f"caller {uuid.uuid4()}", *((role, GROUP) for role in roles), resource=ARM)
        self._session = requests.Session()

    def __call__(self, method: str, path: str, body: Any = None, **query: str) -> requests.Response:
        given = {"api-version": "2023-02-01"} | query
        headers = {"Authorization": f"Bearer {self._token}"}
        url = path if path.startswith("https://") else self._cloud.url() + SENTINEL + path
        parameters = None if path.startswith("https://") else given
        return self._session.request(
            method, url, params=parameters, json=body, headers=headers, verify=self._cloud.ca, timeout=60
        )

    def put(self, alias: str, status: int = 201, **properties: Any) -> dict[str, Any]:
        answer = self("PUT", f"/watchlists/{quote(alias)}", {"properties": PROPERTIES | properties})
        assert answer.status_code == status, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def refused(self, alias: str, **properties: Any) -> str:
        error = self.put(alias, 400, **properties)["error"]
        assert error["code"] == "BadRequest"
        assert self("GET", f"/watchlists/{quote(alias)}").status_code == 404, "what is refused is not stored"
        return str(error["message"])


@pytest.fixture(scope="module")
def owner(cloud: Cloud) -> Caller:
    return Caller(cloud, "Owner")


def rows(cloud: Cloud, alias: str, *columns: str) -> list[tuple[Any, ...]]:
    return sorted(cloud.query(f"_GetWatchlist('{alias}') | project {', '.join(columns)}"))


def test_a_watchlist_from_csv(cloud: Cloud, owner: Caller) -> None:
    made = owner.put("made", rawContent=f'skipped, "too\n{CSV}', numberOfLinesToSkip=1, description="D", labels=["a"])
    shown = owner("GET", "/Watchlists/MADE").json()
    assert shown == made
    properties = shown["properties"]
    assert "rawContent" not in properties
    assert (properties["watchlistAlias"], properties["watchlistType"]) == ("made", "watchlist")
    assert (properties["uploadStatus"], properties["provisioningState"]) == ("Complete", "Succeeded")
    assert (properties["tenantId"], properties["isDeleted"]) == (TENANT, False)
    assert properties["createdBy"]["objectId"] == properties["updatedBy"]["objectId"]
    assert shown["etag"].startswith('"')
    assert shown["systemData"]["createdByType"] == "Application"
    assert shown["type"] == "Microsoft.SecurityInsights/Watchlists"
    assert [one["name"] for one in owner("GET", "/watchlists").json()["value"]] == ["made"]
    found = rows(cloud, "made", "SearchKey", "ip", "owner")
    assert found == [("1.1.1.1", "1.1.1.1", 'O\'Brien, "x"'), ("2.2.2.2", "2.2.2.2", "'); drop table t1; --")]
    ((listed,),) = cloud.query("_GetWatchlistAlias | where WatchlistAlias == 'made' | count")
    assert listed == 1
    assert owner("DELETE", "/watchlists/made").status_code == 204
    assert owner("DELETE", "/watchlists/made").status_code == 204
    assert owner("GET", "/watchlists/made").status_code == 404


def test_a_further_upload_adds_what_is_not_there(cloud: Cloud, owner: Caller) -> None:
    first = owner.put("more", rawContent=CSV, contentType="text/csv")
    second = owner.put("more", 200, rawContent="\ufeffip\tnew\n3.3.3.3\tx\n1.1.1.1\ty\n", contentType="text/tsv")
    owner.put("more", 200, rawContent=CSV)
    assert first["properties"]["watchlistId"] == second["properties"]["watchlistId"]
    assert first["properties"]["created"] == second["properties"]["created"]
    assert first["etag"] != second["etag"]
    expected = [("1.1.1.1", ""), ("1.1.1.1", "y"), ("2.2.2.2", ""), ("3.3.3.3", "x")]
    assert rows(cloud, "more", "SearchKey", "new") == expected
    owner.put("more", 200, displayName="Other name")
    assert rows(cloud, "more", "SearchKey", "new") == expected, "a PUT without content leaves the items as they are"
    stale = owner("PUT", "/watchlists/more", {"etag": first["etag"], "properties": PROPERTIES})
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "Conflict")
    other = owner.put("more", 400, itemsSearchKey="owner")["error"]["message"]
    assert "'properties.itemsSearchKey' cannot be changed" in other


def test_items(cloud: Cloud, owner: Caller) -> None:
    owner.put("single")
    assert rows(cloud, "single", "ip") == []
    name, body = str(uuid.uuid4()), {"properties": {"itemsKeyValue": {"ip": "9.9.9.9", "n": 1.5, "o": {"a": [1]}}}}
    path = f"/watchlists/single/watchlistItems/{name}"
    assert (owner("GET", path).status_code, owner("HEAD", path).status_code) == (404, 404)
    made = owner("PUT", path, body)
    assert owner("HEAD", path).status_code == 204
    assert made.status_code == 201, made.text
    assert owner("GET", path.upper().replace("/WATCHLISTS", "/watchlists")).json() == made.json()
    properties = made.json()["properties"]
    assert properties["itemsKeyValue"] == body["properties"]["itemsKeyValue"]
    assert (properties["watchlistItemId"], properties["watchlistItemType"]) == (name, "watchlist-item")
    assert (made.json()["name"], made.json()["type"]) == (name, "Microsoft.SecurityInsights/Watchlists/WatchlistItems")
    assert rows(cloud, "single", "_DTItemId", "SearchKey", "n", "o") == [(name, "9.9.9.9", "1.5", '{"a":[1]}')]
    changed = {"etag": made.json()["etag"], "properties": {"itemsKeyValue": {"ip": "8.8.8.8", "z": None}}}
    again = owner("PUT", path, changed)
    assert again.status_code == 200
    assert again.json()["etag"] != made.json()["etag"]
    assert again.json()["properties"]["created"] == properties["created"]
    stale = owner("PUT", path, changed)
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "Conflict")
    assert rows(cloud, "single", "SearchKey", "n", "z") == [("8.8.8.8", "", "")]
    assert [one["name"] for one in owner("GET", "/watchlists/single/watchlistItems").json()["value"]] == [name]
    assert owner("DELETE", path).status_code == 200
    assert owner("DELETE", path).status_code == 204
    assert rows(cloud, "single", "SearchKey", "n") == [], "its columns stay"
    history = cloud.query(f"Watchlist | where WatchlistItemId == '{name}' | project _DTItemStatus, UpdatedBy.objectId")
    assert [status for status, _ in history] == ["Create", "Update", "Delete"]
    assert all(history[0][1] == author for _, author in history)


def test_a_patch_uploads_nothing_again(cloud: Cloud, owner: Caller) -> None:
    owner.put("patched", rawContent=CSV)
    for item in owner("GET", "/watchlists/patched/watchlistItems").json()["value"]:
        assert owner("DELETE", f"/watchlists/patched/watchlistItems/{item['name']}").status_code == 200
    assert owner("PATCH", "/watchlists/patched", {"tags": {"a": "b"}}).status_code == 200
    assert rows(cloud, "patched", "ip") == []
    refused = owner("PATCH", "/watchlists/patched", {"properties": {"displayName": "Other"}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "UnsupportedPatch")


def test_items_come_in_pages(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, {"workspace.watchlist_page_items": 10})
    cloud.start()
    try:
        owner = Caller(cloud, "Owner")
        owner.put("Über many", rawContent="ip\n" + "\n".join(f"10.0.0.{i}" for i in range(25)))
        pages, found = [owner("GET", f"/watchlists/{quote('Über many')}/watchlistItems")], []
        while "nextLink" in pages[-1].json():
            link = pages[-1].json()["nextLink"]
            assert set(link) <= set(string.ascii_letters + string.digits + "-._~:/?&=%$"), link
            pages.append(owner("GET", link))
        for page in pages:
            found += [one["properties"]["itemsKeyValue"]["ip"] for one in page.json()["value"]]
        assert len(pages) == 3
        assert sorted(found) == sorted(f"10.0.0.{i}" for i in range(25))
    finally:
        cloud.stop()


def test_an_upload_is_stored_in_pieces(cloud: Cloud, owner: Caller) -> None:
    owner.put("long", rawContent="ip\n" + "\n".join(map(str, range(2_500))))
    owner.put("wide", rawContent="ip,text\n" + "\n".join(f"{number},{'x' * 9_000}" for number in range(300)))
    pieces = cloud.query(
        "Watchlist | where WatchlistAlias in ('long', 'wide') and _DTItemType == 'watchlist-item'"
        " | summarize Items = count(), Size = sum(strlen(tostring(WatchlistItem)))"
        " by WatchlistAlias, Commit = tolong(split(_ItemId, '-')[0]) | project WatchlistAlias, Items, Size"
    )
    assert sorted(items for alias, items, _ in pieces if alias == "long") == [500, 1_000, 1_000]
    assert len([alias for alias, *_ in pieces if alias == "wide"]) == 3
    assert max(size for *_, size in pieces) <= (1 << 20) + 10_240


async def test_rows_are_made_and_read_off_the_event_loop(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    threads, decode = set(), RowDecoder.decode

    def decoded(self: RowDecoder, *given: Any) -> Any:
        threads.add(threading.current_thread())
        return decode(self, *given)

    def made() -> Iterator[dict[str, Any]]:
        for number in range(2):
            threads.add(threading.current_thread())
            yield {"WatchlistId": "w", "_DTItemId": str(number), "WatchlistItem": {"a": "1"}}

    monkeypatch.setattr(RowDecoder, "decode", decoded)
    await workspace.watchlists.add(made())
    assert threads
    assert threading.current_thread() not in threads
    assert (await workspace.query("Watchlist | count")).values() == [(2,)]


def test_a_deleted_watchlist_is_gone_and_another_of_its_name_is_another(cloud: Cloud, owner: Caller) -> None:
    first = owner.put("again", rawContent=CSV)["properties"]["watchlistId"]
    assert owner("DELETE", "/watchlists/again").status_code == 204
    with pytest.raises(Exception, match="there is no watchlist with the alias 'again'"):
        cloud.query("_GetWatchlist('again')")
    assert owner("GET", "/watchlists/again/watchlistItems").json()["error"]["code"] == "NotFound"
    second = owner.put("again", rawContent="ip\n7.7.7.7\n")["properties"]["watchlistId"]
    assert first != second
    assert rows(cloud, "again", "ip") == [("7.7.7.7",)]
    query = f"Watchlist | where WatchlistId == '{first}' | summarize arg_max(_DTTimestamp, _DTItemStatus) by _DTItemId"
    assert {row[-1] for row in cloud.query(query)} == {"Delete"}


def test_watchlists_and_items_are_there_after_a_restart(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    cloud.start()
    owner = Caller(cloud, "Owner")
    owner.put("kept", rawContent=CSV)
    (item,) = [
        one
        for one in owner("GET", "/watchlists/kept/watchlistItems").json()["value"]
        if one["properties"]["itemsKeyValue"]["ip"] == "1.1.1.1"
    ]
    assert owner("DELETE", f"/watchlists/kept/watchlistItems/{item['name']}").status_code == 200
    before = owner("GET", "/watchlists/kept/watchlistItems").json()
    assert len(before["value"]) == 1
    cloud.stop()
    cloud = Cloud(tmp_path)
    cloud.start()
    try:
        owner = Caller(cloud, "Owner")
        after = owner("GET", "/watchlists/kept/watchlistItems").json()
        assert [one["properties"] for one in after["value"]] == [one["properties"] for one in before["value"]]
        assert rows(cloud, "kept", "ip") == [("2.2.2.2",)], "what was uploaded is not written a second time"
        assert cloud.query("Watchlist | where _DTItemType == 'watchlist' | count") == [(1,)]
    finally:
        cloud.stop()


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"rawContent": "a,b\n1,2\n"}, "line 1: itemsSearchKey 'ip' is none of the columns 'a', 'b'"),
        ({"rawContent": "ip,b\n1,2\n3\n"}, "line 3 has 1 values, and there are 2 columns"),
        ({"rawContent": 'ip,b\n1,2\n3,"4" x\n'}, "line 3: "),
        ({"rawContent": 'ip,b\n1,2\n3,"4\n'}, "line 3: "),
        ({"rawContent": "ip,b\n1,2\n ,2\n"}, "line 3: the value of 'ip', the search key, is blank"),
        ({"rawContent": "ip,ip\n"}, "line 1: the column 'ip' is there twice"),
        ({"rawContent": "ip,\n"}, "line 1: '' cannot be the name of a column"),
        ({"rawContent": "ip,a\x00b\n"}, "line 1: 'a\\x00b' cannot be the name of a column"),
        ({"rawContent": "\n\n"}, "it has no header"),
        ({"rawContent": "a\nb", "numberOfLinesToSkip": 3}, "it has 2 lines, and 3 are to be skipped"),
        ({"rawContent": f"ip\n{'x' * 10_241}"}, "line 2 has more than 10240 characters"),
        ({"rawContent": f"ip,b\n{'x' * 5_200},{'é' * 2_600}"}, "line 2: an item of "),
        ({"rawContent": "x" * 3_984_589}, "'properties.rawContent': 3984589 bytes are more than the limit of 3984588"),
        ({"rawContent": ",".join(["ip", *map(str, range(500))])}, "501 columns are more than the 500"),
        ({"rawContent": ["ip"]}, "'properties.rawContent': a text is required"),
        ({"contentType": "application/json"}, "'properties.contentType': 'application/json' is neither text/csv nor"),
        ({"displayName": None}, "'properties.displayName': a text is required"),
        ({"displayName": "ab"}, "'properties.displayName': 'ab' does not have 3 to 64 characters"),
        ({"provider": " "}, "'properties.provider': a text is required"),
        ({"itemsSearchKey": 1}, "'properties.itemsSearchKey': a text is required"),
        ({"numberOfLinesToSkip": -1}, "'properties.numberOfLinesToSkip': a number of lines"),
        ({"sourceType": "AzureStorage"}, "'properties.sourceType': 'AzureStorage' is not supported here"),
        ({"sasUri": "https://x"}, "'properties.sasUri': a file in Azure Storage is not supported here"),
        ({"watchlistAlias": "other"}, "'properties.watchlistAlias': 'other' is not the name, 'refused'"),
        ({"defaultDuration": "90 days"}, "'properties.defaultDuration': '90 days' is no duration"),
        ({"labels": "a"}, "'properties.labels': a list of texts is required"),
    ],
)
def test_what_is_refused(owner: Caller, properties: dict[str, Any], told: str) -> None:
    assert told in owner.refused("refused", **properties)


def test_aliases(owner: Caller) -> None:
    for alias in ("ab", "a" * 65):
        assert f"the alias: '{alias}' does not have 3 to 64 characters" in owner.refused(alias)
    for alias in ("-abc", "abc_", "a'b", "a;b"):
        assert f"the alias: '{alias}' does not consist of letters" in owner.refused(alias)
    for alias in ("abc", "Über 9-to_5", "a" * 64):
        owner.put(alias)
        assert owner("DELETE", f"/watchlists/{quote(alias)}").status_code == 204


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ([], "The body is not a JSON object"),
        ({}, "'properties.itemsKeyValue': an object"),
        ({"properties": {"itemsKeyValue": {}}}, "'properties.itemsKeyValue': an object"),
        ({"properties": {"itemsKeyValue": {"": "x"}}}, "'properties.itemsKeyValue': '' cannot be the name of a column"),
        ({"properties": {"itemsKeyValue": {"a\nb": "x"}}}, "'a\\nb' cannot be the name of a column"),
        ({"properties": {"itemsKeyValue": {"a": "x" * 10_240}}}, "an item of 10248 bytes is longer than 10240"),
        ({"properties": {"itemsKeyValue": {str(i): 1 for i in range(501)}}}, "501 columns are more than the 500"),
        ({"properties": {"itemsKeyValue": {str(i): 1 for i in range(499)}}}, "columns are more than the 500"),
        ({"properties": {"itemsKeyValue": {"ip": "1"}, "entityMapping": 1}}, "'properties.entityMapping': an object"),
    ],
)
def test_items_that_are_refused(owner: Caller, body: Any, told: str) -> None:
    if owner("GET", "/watchlists/plain").status_code == 404:
        owner.put("plain", rawContent=CSV)
    answer = owner("PUT", "/watchlists/plain/watchlistItems/x", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")
    assert told in answer.json()["error"]["message"]
    assert owner("GET", "/watchlists/plain/watchlistItems/x").status_code == 404


def test_names_of_items_and_bodies_that_are_too_long(owner: Caller) -> None:
    body = {"properties": {"itemsKeyValue": {"ip": "1"}}}
    assert owner("PUT", "/watchlists/none-such/watchlistItems/x", body).status_code == 404
    owner.put("named")
    for name in ("a b", "x" * 129, "'; drop"):
        answer = owner("PUT", f"/watchlists/named/watchlistItems/{quote(name)}", body)
        assert answer.status_code == 400, name
    long = {"properties": {"itemsKeyValue": {"ip": "x" * 70_000}}}
    assert owner("PUT", "/watchlists/named/watchlistItems/x", long).status_code == 413


def test_the_number_of_items_is_bounded(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, {"workspace.watchlist_items": 2})
    cloud.start()
    try:
        owner = Caller(cloud, "Owner")
        owner.put("full", rawContent="ip\n1\n2\n")
        owner.put("full", 200, rawContent="ip\n2\n1\n")  # they are there
        told = "The workspace has 2 watchlist items; with 1 more they are over 2."
        assert told in owner.refused("another", rawContent="ip\n3\n")
        body = {"properties": {"itemsKeyValue": {"ip": "3"}}}
        assert owner("PUT", "/watchlists/full/watchlistItems/x", body).json()["error"]["message"] == told
        item = owner("GET", "/watchlists/full/watchlistItems").json()["value"][0]["name"]
        assert owner("PUT", f"/watchlists/full/watchlistItems/{item}", body).status_code == 200
        assert owner("DELETE", f"/watchlists/full/watchlistItems/{item}").status_code == 200
        assert owner("PUT", "/watchlists/full/watchlistItems/x", body).status_code == 201
    finally:
        cloud.stop()


def test_an_upload_that_memory_has_no_room_for_may_come_again(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, {"workspace.waiting_bytes": 3_000})
    cloud.start()
    try:
        owner = Caller(cloud, "Owner")
        body = {"properties": PROPERTIES | {"rawContent": "ip\n" + "1234567\n" * 500}}
        answer = owner("PUT", "/watchlists/busy", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "TooManyRequests")
        assert answer.headers["Retry-After"] == "5"
        assert owner("GET", "/watchlists/busy").status_code == 404
    finally:
        cloud.stop()


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [
        ("Microsoft Sentinel Reader", True, False),
        ("Microsoft Sentinel Responder", True, False),
        ("Microsoft Sentinel Contributor", True, True),
        ("Log Analytics Reader", True, False),
        ("Monitoring Metrics Publisher", False, False),
    ],
)
def test_roles(cloud: Cloud, owner: Caller, role: str, *, reads: bool, writes: bool) -> None:
    if owner("GET", "/watchlists/guarded").status_code == 404:
        owner.put("guarded", rawContent=CSV)
    caller, item = Caller(cloud, role), "/watchlists/guarded/watchlistItems/x"
    seen = {caller("GET", path).status_code for path in ("/watchlists", "/watchlists/guarded", item[:-2])}
    assert seen == {200 if reads else 403}
    assert caller("GET", item).status_code == (404 if reads else 403)
    body = {"properties": {"itemsKeyValue": {"ip": "5.5.5.5"}}}
    written = [caller("PUT", item, body), caller("DELETE", item)]
    written.append(caller("PUT", "/watchlists/guarded", {"properties": PROPERTIES}))
    assert [answer.status_code for answer in written] == ([201, 200, 200] if writes else [403] * 3)


def test_who_may_not_read_the_table_may_not_read_its_watchlists(cloud: Cloud, owner: Caller) -> None:
    owner.put("secret", rawContent=CSV)
    role = {
        "properties": {
            "roleName": "All but watchlists",
            "type": "CustomRole",
            "permissions": [
                {
                    "actions": ["Microsoft.OperationalInsights/workspaces/query/*/read"],
                    "notActions": ["Microsoft.OperationalInsights/workspaces/query/Watchlist/read"],
                }
            ],
            "assignableScopes": [GROUP],
        }
    }
    role["properties"]["permissions"][0]["actions"].append("Microsoft.OperationalInsights/workspaces/query/read")  # type: ignore[index]
    definition = str(uuid.uuid4())
    path = f"{GROUP}/providers/Microsoft.Authorization/roleDefinitions/{definition}"
    cloud.put(path, role)
    principal = cloud.principal("not watchlists")
    cloud.put(
        f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}",
        {"properties": {"roleDefinitionId": path, "principalId": principal.object_id}},
    )
    token = cloud.identity.token_for(principal, LOGS)

    def ask(query: str) -> int:
        url = f"{cloud.url()}/v1/workspaces/{cloud.workspace().customer_id}/query"
        headers = {"Authorization": f"Bearer {token}"}
        return requests.post(url, json={"query": query}, headers=headers, verify=cloud.ca, timeout=30).status_code

    assert ask("Heartbeat | take 1") == 200
    assert ask("_GetWatchlist('secret')") == 403
    assert ask("Heartbeat | where Computer in ((_GetWatchlist('secret') | project ip))") == 403


def test_a_query_over_several_workspaces_reads_those_of_its_own(cloud: Cloud, owner: Caller) -> None:
    owner.put("first-of-two", rawContent=CSV)
    second = WORKSPACE.replace("workspaces/lurewire", "workspaces/second")
    cloud.put(second, {"location": "local", "properties": {}})
    token = cloud.token(f"of both {uuid.uuid4()}", ("Log Analytics Reader", GROUP), resource=LOGS)

    def ask(query: str, *workspaces: str) -> Any:
        url = f"{cloud.url()}/v1/workspaces/{cloud.workspace().customer_id}/query"
        body, headers = {"query": query, "workspaces": workspaces}, {"Authorization": f"Bearer {token}"}
        return requests.post(url, json=body, headers=headers, verify=cloud.ca, timeout=30).json()

    counted = "union (_GetWatchlist('first-of-two') | project ip), (Heartbeat | project ip = Computer) | count"
    assert ask(counted, "second")["tables"][0]["rows"] == [[2]]
    reached = counted.replace("Heartbeat", "workspace('second').Heartbeat")
    assert ask(reached)["tables"][0]["rows"] == [[2]]
    refused = ask("workspace('second')._GetWatchlist('first-of-two')")["error"]
    assert "_GetWatchlist" in str(refused)


def template(*resources: dict[str, Any]) -> dict[str, Any]:
    schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
    made = {"$schema": schema, "contentVersion": "1.0.0.0", "resources": list(resources)}
    return made | {"parameters": {"workspace": {"type": "string", "defaultValue": "lurewire"}}}


def listed(alias: str, **more: Any) -> dict[str, Any]:
    kind, prefix = "Microsoft.OperationalInsights/workspaces/providers/Watchlists", "/Microsoft.SecurityInsights/"
    properties = PROPERTIES | {"watchlistAlias": alias, "rawContent": CSV, "numberOfLinesToSkip": "0"}
    return {
        "type": kind,
        "apiVersion": "2021-03-01-preview",
        "name": f"[concat(parameters('workspace'), '{prefix}{alias}')]",
        "properties": properties,
    } | more


def deploy(cloud: Cloud, name: str, properties: dict[str, Any]) -> dict[str, Any]:
    done = cloud.run(
        cloud.deployments.deploy(ResourceId.parse(GROUP), name, {"properties": {"mode": "Incremental"} | properties})
    )
    found: dict[str, Any] = done["properties"]
    return found


def test_templates(cloud: Cloud, owner: Caller) -> None:
    extension = listed("extended") | {
        "type": "Microsoft.SecurityInsights/watchlists",
        "name": "extended",
        "scope": "[concat('Microsoft.OperationalInsights/workspaces/', parameters('workspace'))]",
    }
    for _ in range(2):
        done = deploy(cloud, "watchlists", {"template": template(listed("nested"), extension)})
        assert done["provisioningState"] == "Succeeded", done.get("error")
    for alias in ("nested", "extended"):
        assert rows(cloud, alias, "ip") == [("1.1.1.1",), ("2.2.2.2",)]
    other = listed("nested")
    other["properties"] |= {"rawContent": "ip\n1.1.1.1\n"}
    for resource, expected in ((listed("nested"), "NoChange"), (other, "Modify")):
        body = {"properties": {"mode": "Incremental", "template": template(resource)}}
        preview = cloud.run(cloud.deployments.what_if(ResourceId.parse(GROUP), "watchlists", body))
        changes = {row["resourceId"].rpartition("/")[2]: row for row in preview["changes"]}
        assert changes["nested"]["changeType"] == expected
        assert "1.1.1.1" not in str(preview), "what was uploaded is in no answer"
        assert "eJ" not in str(preview), "nor is its stored form"
    item = listed("nested/x") | {"properties": {"itemsKeyValue": {"ip": "6.6.6.6"}}}
    item["type"] += "/watchlistItems"
    refused = deploy(cloud, "item", {"template": template(item)})
    assert "cannot be deployed by a template" in str(refused["error"])
    assert owner("GET", "/watchlists/nested/watchlistItems/x").status_code == 404


def test_a_content_template_that_carries_a_watchlist(cloud: Cloud) -> None:
    content = {
        "type": "Microsoft.OperationalInsights/workspaces/providers/contentTemplates",
        "apiVersion": "2023-04-01-preview",
        "name": "[concat(parameters('workspace'), '/Microsoft.SecurityInsights/content')]",
        "properties": {
            "contentKind": "Watchlist",
            "version": "1.0.0",
            "displayName": "W",
            "mainTemplate": template(listed("carried")),
        },
    }
    done = deploy(cloud, "solution", {"template": template(content)})
    assert done["provisioningState"] == "Succeeded", done.get("error")
    with pytest.raises(Exception, match="there is no watchlist"):
        rows(cloud, "carried", "ip")
    done = deploy(cloud, "install", {"templateLink": {"id": f"{SENTINEL}/contentTemplates/content"}})
    assert done["provisioningState"] == "Succeeded", done.get("error")
    assert rows(cloud, "carried", "ip") == [("1.1.1.1",), ("2.2.2.2",)]


def test_a_watchlist_of_no_workspace_is_refused(cloud: Cloud) -> None:
    with pytest.raises(WireError, match="is not a workspace that is open here"):
        cloud.put(f"{GROUP}/providers/Microsoft.SecurityInsights/watchlists/lost", {"properties": PROPERTIES})


@pytest.fixture(scope="module")
def limits() -> Limits:
    return Limits(LIMITS)


NAMES = st.lists(
    st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=20),
    min_size=1,
    max_size=5,
    unique=True,
)


def quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


@given(st.data(), NAMES)
@settings(max_examples=200, deadline=None)
def test_every_row_of_a_csv_is_an_item(limits: Limits, data: st.DataObject, names: list[str]) -> None:
    values = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    rows = data.draw(st.lists(st.tuples(st.text("abc", min_size=1), *[values] * (len(names) - 1)), max_size=5))
    text = "\n".join(",".join(map(quoted, row)) for row in (names, *rows))
    expected = list({row: dict(zip(names, row, strict=True)) for row in rows}.values())
    assert list(items(text, "text/csv", 0, names[0], limits, set())) == expected


@given(st.text(), st.sampled_from(["text/csv", "text/tsv"]), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_any_text_is_items_or_refused_by_name(limits: Limits, text: str, kind: str, skip: int) -> None:
    try:
        found = list(items(text, kind, skip, "ip", limits, set()))
    except BadContent:
        return
    assert all("ip" in item for item in found)
