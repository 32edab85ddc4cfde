"""Workspaces and their tables as ARM resources."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests

from lurewire.core.errors import WireError
from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from tests.ingestion.cloud import ARM, COLUMNS, GROUP, LOGS, WORKSPACE, Cloud, columns, table_body
else:
    from ingestion.cloud import ARM, COLUMNS, GROUP, LOGS, WORKSPACE, Cloud, columns, table_body

SECOND = WORKSPACE.replace("workspaces/lurewire", "workspaces/second")
TIME = {"TimeGenerated": "datetime"}


def refused(cloud: Cloud, resource_id: str, body: dict[str, Any]) -> WireError:
    with pytest.raises(WireError) as caught:
        cloud.put(resource_id, body)
    assert caught.value.status == 400
    return caught.value


def test_workspace_has_a_customer_id_for_ever(cloud: Cloud) -> None:
    first = cloud.put(SECOND, {"location": "local", "properties": {"retentionInDays": 90}})["properties"]
    again = cloud.put(SECOND, {"location": "local", "properties": {"customerId": str(uuid.uuid4())}})["properties"]
    uuid.UUID(first["customerId"])
    assert again["customerId"] == first["customerId"]
    assert again["createdDate"] == first["createdDate"]
    assert (first["retentionInDays"], again["retentionInDays"]) == (90, 30)
    assert first["provisioningState"] == "Succeeded"
    assert first["sku"] == {"name": "PerGB2018"}


@pytest.mark.parametrize(
    ("name", "properties"),
    [("abc", {}), ("a" * 64, {}), ("-abcd", {}), ("fine", {"retentionInDays": 1}), ("fine", {"retentionInDays": "x"})],
)
def test_workspaces_that_azure_refuses(cloud: Cloud, name: str, properties: dict[str, Any]) -> None:
    body = {"location": "local", "properties": properties}
    assert refused(cloud, SECOND.replace("second", name), body).code == "InvalidParameter"


def test_workspaces_do_not_see_each_other(cloud: Cloud) -> None:
    other_id = cloud.put(SECOND, {"location": "local", "properties": {}})["properties"]["customerId"]
    cloud.table("Secret_CL", TIME | {"text": "string"})

    async def fill() -> None:
        workspace = cloud.workspace()
        await workspace.until_loaded(await workspace.append("Secret_CL", [{"text": "hidden"}], key="s"))

    cloud.run(fill())
    token = cloud.token("reader of the second", ("Log Analytics Reader", SECOND), resource=LOGS)

    def ask(workspace_id: str, query: str) -> requests.Response:
        url = f"{cloud.url()}/v1/workspaces/{workspace_id}/query"
        headers = {"Authorization": f"Bearer {token}"}
        return requests.post(url, json={"query": query}, headers=headers, verify=cloud.ca, timeout=30)

    assert ask(cloud.workspace().customer_id, "Secret_CL").status_code == 403
    unknown = ask(other_id, "Secret_CL")
    assert unknown.status_code == 400
    assert "Secret_CL" in unknown.json()["error"]["innererror"]["innererror"]["message"]
    assert ask(other_id, "SecurityAlert | count").json()["tables"][0]["rows"] == [[0]]


def test_deleted_workspace_is_gone_with_its_data(cloud: Cloud) -> None:
    third = SECOND.replace("second", "third")
    body = cloud.put(third, {"location": "local", "properties": {}})
    cloud.put(f"{third}/tables/T_CL", table_body("T_CL", TIME))
    folder = cloud.folder / "workspaces" / body["properties"]["customerId"]
    assert folder.is_dir()
    assert cloud.run(cloud.store.delete(ResourceId.parse(third)))
    assert not folder.exists()
    again = cloud.put(third, {"location": "local", "properties": {}})
    assert again["properties"]["customerId"] != body["properties"]["customerId"]


def test_table_as_azure_shows_it(cloud: Cloud) -> None:
    url = f"{cloud.url()}{WORKSPACE}/tables/Shown_CL?api-version=2022-10-01"
    token = cloud.token("contributor", ("Contributor", GROUP), resource=ARM)
    headers = {"Authorization": f"Bearer {token}"}
    body = table_body("Shown_CL", COLUMNS)
    body["properties"] |= {"plan": "Analytics", "retentionInDays": 30, "totalRetentionInDays": 60}
    for _ in range(2):
        answer = requests.put(url, json=body, headers=headers, verify=cloud.ca, timeout=30)
        assert answer.status_code == 200, "clients of this type refuse 201"
    shown = requests.get(url, headers=headers, verify=cloud.ca, timeout=30).json()["properties"]
    assert (shown["plan"], shown["retentionInDays"], shown["totalRetentionInDays"]) == ("Analytics", 30, 60)
    assert (shown["archiveRetentionInDays"], shown["provisioningState"]) == (30, "Succeeded")
    schema = shown["schema"]
    assert schema["columns"] == columns(COLUMNS | {"TimeGenerated": "dateTime", "at": "dateTime"})
    assert [c["name"] for c in schema["standardColumns"]] == ["TenantId", "TimeGenerated", "Type", "_ResourceId"]
    assert (schema["tableType"], schema["tableSubType"]) == ("CustomLog", "DataCollectionRuleBased")


def test_table_grows_and_its_types_stay(cloud: Cloud) -> None:
    cloud.table("Grow_CL", TIME | {"a": "int"})
    cloud.table("Grow_CL", TIME | {"a": "int", "b": "string"})
    assert [c.name for c in cloud.run(cloud.workspace().query("Grow_CL")).columns][2:4] == ["a", "b"]
    error = refused(cloud, f"{WORKSPACE}/tables/Grow_CL", table_body("Grow_CL", TIME | {"a": "string"}))
    assert error.message == "properties.schema.columns: column 'a' of 'Grow_CL' is int; it cannot become string"
    assert cloud.run(cloud.store.delete(ResourceId.parse(f"{WORKSPACE}/tables/Grow_CL")))
    cloud.table("Grow_CL", TIME | {"a": "string"})
    assert cloud.query("Grow_CL | count") == [(0,)]


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("Events", table_body("Events", TIME), "ends with _CL"),
        ("1st_CL", table_body("1st_CL", TIME), "starts with a letter"),
        ("T'; drop table t1;--_CL", table_body("x", TIME), "letters, digits"),
        ("T_CL", {"properties": {}}, "schema.columns is required"),
        ("T_CL", {"properties": []}, "properties is an object"),
        ("T_CL", table_body("U_CL", TIME), "is not the table's name"),
        ("T_CL", table_body("T_CL", {"x": "string"}), "'TimeGenerated' with type datetime"),
        ("T_CL", table_body("T_CL", {"TimeGenerated": "string"}), "'TimeGenerated' with type datetime"),
        ("T_CL", table_body("T_CL", TIME | {"Type": "string"}), "'Type' is reserved"),
        ("T_CL", table_body("T_CL", TIME | {"_x": "string"}), "starts with a letter"),
        ("T_CL", table_body("T_CL", TIME | {"a" * 46: "string"}), "45 letters"),
        ("T_CL", table_body("T_CL", TIME | {'a"; drop table t1': "string"}), "letters, digits"),
        ("T_CL", table_body("T_CL", TIME | {"a": "timespan"}), "no type of a column"),
        ("T_CL", table_body("T_CL", TIME | {f"c{i}": "int" for i in range(500)}), "at most 500"),
        ("T_CL", {"properties": {"schema": {"columns": [*columns(TIME), *columns(TIME)]}}}, "declared twice"),
        ("T_CL", {"properties": {"schema": {"columns": ["TimeGenerated"]}}}, "with a name and a type"),
        ("T_CL", {"properties": {"plan": "Basic"}}, "plan 'Basic'"),
        ("T_CL", table_body("T_CL", TIME) | {"properties": {"retentionInDays": 1}}, "retentionInDays"),
        ("SecurityAlert", table_body("SecurityAlert", {"Mine": "string"}), "no column 'Mine'"),
    ],
)
def test_tables_that_azure_refuses(cloud: Cloud, name: str, body: dict[str, Any], words: str) -> None:
    assert words in refused(cloud, f"{WORKSPACE}/tables/{name}", body).message


def test_table_of_azure_keeps_its_schema(cloud: Cloud) -> None:
    stored = cloud.put(f"{WORKSPACE}/tables/SecurityAlert", {"properties": {"retentionInDays": 180}})
    assert stored["properties"]["retentionInDays"] == 180
    schema = stored["properties"]["schema"]
    assert (schema["tableType"], schema["columns"]) == ("Microsoft", [])
    assert "AlertName" in [c["name"] for c in schema["standardColumns"]]


def headers(cloud: Cloud) -> dict[str, str]:
    return {"Authorization": f"Bearer {cloud.token('contributor', ('Contributor', GROUP), resource=ARM)}"}


def call(cloud: Cloud, method: str, path: str, body: Any = None) -> requests.Response:
    url = f"{cloud.url()}{path}?api-version=2022-10-01"
    return requests.request(method, url, json=body, headers=headers(cloud), verify=cloud.ca, timeout=30)


def test_retention_of_a_table(cloud: Cloud) -> None:
    cloud.put(SECOND, {"location": "local", "properties": {"retentionInDays": 90}})
    url = f"{SECOND}/tables/Kept_CL"
    cloud.put(url, table_body("Kept_CL", TIME))
    workspace = cloud.workspaces.by_id(SECOND)
    assert workspace is not None

    def shown(change: dict[str, Any]) -> tuple[Any, ...]:
        answer = call(cloud, "PATCH", url, {"properties": change})
        assert answer.status_code == 200, answer.text
        got = answer.json()["properties"]
        names = ("retentionInDays", "totalRetentionInDays", "archiveRetentionInDays", "retentionInDaysAsDefault")
        return (*(got[name] for name in names), got["totalRetentionInDaysAsDefault"], workspace.kept_days("Kept_CL"))

    assert shown({}) == (90, 90, 0, True, True, 90)
    assert shown({"totalRetentionInDays": 365}) == (90, 365, 275, True, False, 365)
    assert shown({"retentionInDays": 30}) == (30, 365, 335, False, False, 365)
    assert shown({"totalRetentionInDays": -1}) == (30, 30, 0, False, True, 30)
    assert shown({"retentionInDays": -1}) == (90, 90, 0, True, True, 90)
    cloud.put(SECOND, {"location": "local", "properties": {"retentionInDays": 60}})
    assert workspace.kept_days("Kept_CL") == 60, "the default is the workspace's, whenever it changes"
    assert shown({"retentionInDays": 30, "plan": "Analytics"})[:2] == (30, 30)
    for wrong in (
        {"totalRetentionInDays": 7},
        {"totalRetentionInDays": 800},
        {"retentionInDays": 3},
        {"plan": "Basic"},
    ):
        assert call(cloud, "PATCH", url, {"properties": wrong}).status_code == 400, wrong
    assert shown({}) == (30, 30, 0, False, True, 30), "what is refused changes nothing"
    sent_back = {"retentionInDays": 45, "totalRetentionInDays": 30}  # as az does: with the total that it was shown
    assert shown(sent_back) == (45, 45, 0, False, True, 45)


def test_retention_of_a_table_follows_the_workspaces(cloud: Cloud) -> None:
    cloud.put(SECOND, {"location": "local", "properties": {"retentionInDays": 60}})
    plain, pinned = f"{SECOND}/tables/Follows_CL", f"{SECOND}/tables/Pinned_CL"
    cloud.put(plain, table_body("Follows_CL", TIME))
    body = table_body("Pinned_CL", TIME)
    body["properties"] |= {"totalRetentionInDays": 90}
    etag = cloud.put(pinned, body)["etag"]
    cloud.put(SECOND, {"location": "local", "properties": {"retentionInDays": 120}})

    def days(shown: dict[str, Any]) -> tuple[Any, ...]:
        got = shown["properties"]
        names = ("retentionInDays", "totalRetentionInDays", "archiveRetentionInDays")
        return (*(got[name] for name in names), got["retentionInDaysAsDefault"], got["totalRetentionInDaysAsDefault"])

    assert days(call(cloud, "GET", plain).json()) == (120, 120, 0, True, True)
    shown = call(cloud, "GET", pinned).json()
    assert days(shown) == (120, 120, 0, True, False), "rows stay as long as the longer of both says"
    assert shown["etag"] == etag, "nobody has changed it"
    listed = {one["name"]: days(one) for one in call(cloud, "GET", f"{SECOND}/tables").json()["value"]}
    assert listed["Follows_CL"] == (120, 120, 0, True, True)
    sent_back = {"schema": {"name": "Follows_CL"}, "retentionInDays": 180, "totalRetentionInDays": 120}
    sent_back["schema"] = call(cloud, "GET", plain).json()["properties"]["schema"]
    answer = call(
        cloud, "PUT", plain, {"properties": sent_back}
    )  # as az does, with the total of now and without its mark
    assert days(answer.json()) == (180, 180, 0, False, True)
    same = {"retentionInDays": 180, "retentionInDaysAsDefault": True, "schema": sent_back["schema"]}
    assert days(call(cloud, "PUT", plain, {"properties": same}).json())[3] is False, "a mark makes no default of it"
    cloud.put(SECOND, {"location": "local", "properties": {"retentionInDays": 60}})
    assert days(call(cloud, "GET", pinned).json()) == (60, 90, 30, True, False)


def test_columns_by_patch(cloud: Cloud) -> None:
    url = f"{WORKSPACE}/tables/Patched_CL"
    cloud.put(url, table_body("Patched_CL", TIME | {"a": "int"}) | {"tags": {"x": "y"}})
    body = table_body("Patched_CL", TIME | {"a": "int", "b": "string"})
    body["properties"]["schema"]["description"] = "d"
    assert call(cloud, "PATCH", url, body).status_code == 200
    got = call(cloud, "GET", url).json()
    assert got["tags"] == {"x": "y"}
    assert [column["name"] for column in got["properties"]["schema"]["columns"]] == ["TimeGenerated", "a", "b"]
    assert got["properties"]["schema"]["description"] == "d"
    wrong = call(cloud, "PATCH", url, table_body("Patched_CL", TIME | {"a": "string"}))
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "InvalidParameter")
    assert call(cloud, "POST", f"{url}/migrate").status_code == 200
    nowhere = call(cloud, "PATCH", f"{WORKSPACE}/tables/Nope_CL", {})
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "ResourceNotFound")
    assert call(cloud, "POST", f"{WORKSPACE}/tables/Nope_CL/migrate").status_code == 404


def test_tables_of_azure_are_there_without_a_put(cloud: Cloud) -> None:
    cloud.put(SECOND, {"location": "local", "properties": {"retentionInDays": 90}})
    url = f"{SECOND}/tables/SecurityEvent"
    shown = call(cloud, "GET", url.lower()).json()
    assert (shown["name"], shown["id"], shown["properties"]["retentionInDays"]) == ("SecurityEvent", url, 90)
    assert "EventID" in [column["name"] for column in shown["properties"]["schema"]["standardColumns"]]
    changed = call(cloud, "PATCH", url, {"properties": {"retentionInDays": 120}})
    assert (changed.status_code, changed.json()["properties"]["retentionInDays"]) == (200, 120)
    workspace = cloud.workspaces.by_id(SECOND)
    assert workspace is not None
    assert workspace.kept_days("SecurityEvent") == 120
    listed = {one["name"]: one for one in call(cloud, "GET", f"{SECOND}/tables").json()["value"]}
    assert listed["SecurityEvent"]["properties"]["retentionInDays"] == 120
    assert "SigninLogs" not in listed, "nothing has named it here"
    cloud.run(workspace.query("SigninLogs | count"))
    assert "SigninLogs" in {one["name"] for one in call(cloud, "GET", f"{SECOND}/tables").json()["value"]}
    assert call(cloud, "DELETE", url).status_code == 200
    assert call(cloud, "DELETE", url).status_code == 204, "what it was set to is gone; the table stays"
    assert call(cloud, "GET", url).json()["properties"]["retentionInDays"] == 90
    assert call(cloud, "GET", f"{SECOND}/tables/NoSuchTable").status_code == 404
    assert call(cloud, "DELETE", SECOND).status_code == 200


def test_workspace_by_patch_and_in_lists(cloud: Cloud) -> None:
    first = cloud.put(SECOND, {"location": "local", "properties": {"retentionInDays": 90}})["properties"]
    change = {"properties": {"workspaceCapping": {"dailyQuotaGb": 0.5}, "features": {"disableLocalAuth": True}}}
    got = call(cloud, "PATCH", SECOND, change | {"tags": {"a": "b"}}).json()
    assert (got["tags"], got["properties"]["retentionInDays"]) == ({"a": "b"}, 90)
    assert got["properties"]["customerId"] == first["customerId"]
    assert got["properties"]["workspaceCapping"]["dailyQuotaGb"] == 0.5
    assert got["properties"]["features"]["disableLocalAuth"] is True
    assert got["properties"]["features"]["enableLogAccessUsingOnlyResourcePermissions"] is True
    refused: list[dict[str, Any]] = [
        {"workspaceCapping": {"dailyQuotaGb": 0}},
        {"workspaceCapping": 1},
        {"features": []},
    ]
    for wrong in refused:
        assert call(cloud, "PATCH", SECOND, {"properties": wrong}).status_code == 400, wrong
    assert call(cloud, "PATCH", SECOND.replace("second", "nowhere"), {}).status_code == 404
    kind = "/providers/Microsoft.OperationalInsights/workspaces"
    for scope in (GROUP, GROUP.rsplit("/resourceGroups", 1)[0]):
        listed = requests.get(
            f"{cloud.url()}{scope}{kind}?api-version=2022-10-01",
            headers={"Authorization": f"Bearer {cloud.token('all', ('Reader', scope), resource=ARM)}"},
            verify=cloud.ca,
            timeout=30,
        )
        assert {"lurewire", "second"} <= {one["name"] for one in listed.json()["value"]}


def test_changes_of_schema_are_noted(cloud: Cloud) -> None:
    cloud.table("Noted_CL", TIME)
    cloud.table("Noted_CL", TIME)
    cloud.table("Noted_CL", TIME | {"a": "int"})
    assert cloud.run(cloud.store.delete(ResourceId.parse(f"{WORKSPACE}/tables/Noted_CL")))
    cloud.settle()
    found = cloud.query("Operation | where Detail has 'Noted_CL' | sort by TimeGenerated asc | project Detail")
    assert [detail.split(" was ")[1] for (detail,) in found] == [
        "created with 1 columns.",
        "changed to 2 columns.",
        "deleted with its rows.",
    ]
