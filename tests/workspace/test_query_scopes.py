"""Whose rows a query sees: one workspace, several, or those about one resource; with whose rights."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests
from azure.identity import ClientSecretCredential
from azure.monitor.query import LogsQueryClient, LogsQueryStatus

from lurewire.kql import Column, KqlError, KqlType

if TYPE_CHECKING:
    from tests.ingestion.cloud import ARM, GROUP, LOGS, SUBSCRIPTION, TENANT, WORKSPACE, Cloud, table_body
else:
    from ingestion.cloud import ARM, GROUP, LOGS, SUBSCRIPTION, TENANT, WORKSPACE, Cloud, table_body

READER = "Log Analytics Reader"
SECOND = WORKSPACE.replace("workspaces/lurewire", "workspaces/second")
THIRD = WORKSPACE.replace("workspaces/lurewire", "workspaces/third")
PROD = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/Prod"
EMPTY = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/empty"
MACHINE = f"{PROD}/providers/Microsoft.Compute/virtualMachines/o'Brien"
OTHER = MACHINE + "2"


@pytest.fixture(scope="module")
def ids(cloud: Cloud) -> dict[str, str]:
    """The GUIDs of three workspaces, each with some rows of one table, whose columns differ."""
    for scope in (PROD, EMPTY, MACHINE, OTHER):
        cloud.put(scope, {"location": "local", "properties": {}})
    columns = {
        WORKSPACE: {"TimeGenerated": "datetime", "who": "string", "count": "int"},
        SECOND: {"TimeGenerated": "datetime", "who": "string", "count": "real", "where": "string"},
        THIRD: {"TimeGenerated": "datetime", "who": "string"},
    }
    rows: dict[str, list[dict[str, Any]]] = {
        WORKSPACE: [
            {"who": "a", "count": 1, "_ResourceId": MACHINE.upper()},
            {"who": "b", "count": 2, "TimeGenerated": "2026-01-01T00:00:00Z"},
        ],
        SECOND: [
            {"who": "c", "count": 0.5, "where": "x", "_ResourceId": f"{MACHINE}/extensions/e"},
            {"who": "d", "_ResourceId": OTHER, "TimeGenerated": "2026-01-01T12:00:00Z"},
        ],
        THIRD: [{"who": "secret", "_ResourceId": OTHER}],
    }
    found = {}
    for place, named in columns.items():
        body = cloud.put(place, {"location": "local", "properties": {}})
        found[place] = body["properties"]["customerId"]
        cloud.put(f"{place}/tables/Shared_CL", table_body("Shared_CL", named))

        async def fill(place: str = place) -> None:
            workspace = cloud.workspaces.by_id(place)
            assert workspace is not None
            await workspace.until_loaded(await workspace.append("Shared_CL", rows[place], key="rows"))

        cloud.run(fill())
    return found


@pytest.fixture(scope="module")
def token(cloud: Cloud, ids: dict[str, str]) -> str:
    """Of somebody who may query the first two workspaces."""
    return cloud.token("reader of two", (READER, WORKSPACE), (READER, SECOND), resource=LOGS)


def ask(cloud: Cloud, path: str, token: str, body: dict[str, Any], **headers: str) -> Any:
    return requests.post(
        cloud.url() + path,
        json=body,
        headers={"Authorization": f"Bearer {token}"} | headers,
        verify=cloud.ca,
        timeout=30,
    )


def rows(answer: requests.Response) -> list[list[Any]]:
    assert answer.status_code == 200, answer.text
    found: list[list[Any]] = answer.json()["tables"][0]["rows"]
    return found


def test_several_workspaces_are_one(cloud: Cloud, ids: dict[str, str], token: str) -> None:
    path = f"/v1/workspaces/{ids[WORKSPACE]}/query"
    body: dict[str, Any] = {"query": "Shared_CL | project who, count_int, count_real, where | sort by who asc"}
    every = [["a", 1, None, ""], ["b", 2, None, ""], ["c", None, 0.5, "x"], ["d", None, None, ""]]
    for name in ("second", ids[SECOND].upper(), SECOND.lower()):
        answer = ask(cloud, path, token, body | {"workspaces": [name, ids[WORKSPACE]]})
        assert rows(answer) == every, "the columns of one name and two types are two"
    alone = ask(cloud, path, token, {"query": "Shared_CL | project who, ['count'] | sort by who asc", "workspaces": []})
    assert rows(alone) == [["a", 1], ["b", 2]]


def test_several_workspaces_within_a_timespan(cloud: Cloud, ids: dict[str, str], token: str) -> None:
    body = {
        "query": "let T = Shared_CL; T | join kind=inner (T) on who | project who, TenantId, Type | sort by who asc",
        "timespan": "2026-01-01/P1D",
        "workspaces": ["second"],
    }
    found = rows(ask(cloud, f"/v1/workspaces/{ids[WORKSPACE]}/query", token, body))
    assert found == [["b", ids[WORKSPACE], "Shared_CL"], ["d", ids[SECOND], "Shared_CL"]]


def test_columns_that_the_data_decide_over_several_workspaces(cloud: Cloud, ids: dict[str, str], token: str) -> None:
    query = "Shared_CL | project b = bag_pack(who, 1) | evaluate bag_unpack(b) | getschema | summarize array_sort_asc(make_set(ColumnName))"
    body = {"query": query, "workspaces": ["second"]}
    ((found,),) = rows(ask(cloud, f"/v1/workspaces/{ids[WORKSPACE]}/query", token, body))
    assert found == '["a","b","c","d"]'


def test_sources_of_a_result(cloud: Cloud, ids: dict[str, str], token: str) -> None:
    path, prefer = f"/v1/workspaces/{ids[WORKSPACE]}/query", "include-dataSources=true"
    alone = ask(cloud, path, token, {"query": "Shared_CL | count"}, Prefer=prefer).json()
    assert alone["dataSources"] == [{"resourceId": WORKSPACE, "tables": ["Shared_CL"]}]
    both = ask(cloud, path, token, {"query": "Shared_CL | count", "workspaces": ["second"]}, Prefer=prefer).json()
    assert [one["resourceId"] for one in both["dataSources"]] == [WORKSPACE, SECOND]


@pytest.mark.parametrize(
    ("named", "status", "code", "words"),
    [
        (["third"], 403, "InsufficientAccessError", "insufficient access"),
        (["nowhere"], 403, "InsufficientAccessError", "insufficient access"),
        (["second"] * 3, 200, "", ""),
        ([7], 400, "BadArgumentError", ""),
    ],
)
def test_every_workspace_needs_its_right(
    cloud: Cloud, ids: dict[str, str], token: str, named: list[Any], status: int, code: str, words: str
) -> None:
    body = {"query": "Shared_CL | count", "workspaces": named}
    answer = ask(cloud, f"/v1/workspaces/{ids[WORKSPACE]}/query", token, body)
    assert answer.status_code == status
    if code:
        assert answer.json()["error"]["code"] == code
        assert words in answer.text


def test_a_query_names_another_workspace(cloud: Cloud, ids: dict[str, str], token: str) -> None:
    path = f"/v1/workspaces/{ids[WORKSPACE]}/query"
    for name in ("second", ids[SECOND].upper(), SECOND.lower()):
        text = f"workspace('{name}').Shared_CL | project who, ['count'], where | sort by who asc"
        assert rows(ask(cloud, path, token, {"query": text})) == [["c", 0.5, "x"], ["d", None, ""]]
    within = {"query": 'workspace("second").Shared_CL | project who', "timespan": "2026-01-01/P1D"}
    assert rows(ask(cloud, path, token, within)) == [["d"]]
    both = """let Others = workspace('second').Shared_CL;
        union withsource=From workspace('lurewire').Shared_CL, workspace('second').Shared_CL, Shared_CL, Others
        | summarize n = count() by From, TenantId | sort by From asc, TenantId asc"""
    assert rows(ask(cloud, path, token, {"query": both})) == [
        ["Others", ids[SECOND], 2],
        ["Shared_CL", ids[WORKSPACE], 4],
        ["workspace('second').Shared_CL", ids[SECOND], 2],
    ]
    one_of_two = {"query": "workspace('lurewire').Shared_CL | project who | sort by who asc", "workspaces": ["second"]}
    assert rows(ask(cloud, path, token, one_of_two)) == [["a"], ["b"]]
    sources = ask(
        cloud, path, token, {"query": "workspace('second').Shared_CL"}, Prefer="include-dataSources=true"
    ).json()["dataSources"]
    assert sources == [{"resourceId": SECOND, "tables": ["Shared_CL"]}]


@pytest.mark.parametrize(
    ("text", "status", "code", "words"),
    [
        ("workspace('third').Shared_CL | count", 403, "InsufficientAccessError", "insufficient access"),
        ("workspace('third').Nothing_CL", 403, "InsufficientAccessError", "insufficient access"),
        ("union isfuzzy=true Shared_CL, workspace('third').Shared_CL", 403, "InsufficientAccessError", ""),
        ("workspace('nowhere').Shared_CL", 403, "InsufficientAccessError", "insufficient access"),
        ("workspace('second').Nothing_CL", 400, "BadArgumentError", "'Nothing_CL'"),
        ("workspace('second').Nothing()", 400, "BadArgumentError", "in another workspace"),
        ("workspace('third').Nothing()", 403, "InsufficientAccessError", "insufficient access"),
        ("restrict access to (*); workspace('second').Shared_CL", 400, "BadArgumentError", "not this workspace"),
    ],
)
def test_a_workspace_that_a_query_names_needs_its_right(
    cloud: Cloud, ids: dict[str, str], token: str, text: str, status: int, code: str, words: str
) -> None:
    for more in ({}, {"workspaces": ["second"]}):
        answer = ask(cloud, f"/v1/workspaces/{ids[WORKSPACE]}/query", token, {"query": text} | more)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
        assert words in answer.text


def test_a_saved_function_names_another_workspace_with_the_callers_rights(
    cloud: Cloud, ids: dict[str, str], token: str
) -> None:
    body = {"category": "c", "displayName": "d", "functionAlias": "Beyond"}
    body["query"] = "workspace('second').Shared_CL | project who"
    cloud.put(f"{WORKSPACE}/savedSearches/beyond", {"properties": body})
    path = f"/v1/workspaces/{ids[WORKSPACE]}/query"
    assert rows(ask(cloud, path, token, {"query": "Beyond | count"})) == [[2]]
    first = cloud.token("reader of the first alone", (READER, WORKSPACE), resource=LOGS)
    assert ask(cloud, path, first, {"query": "Beyond | count"}).status_code == 403
    assert rows(ask(cloud, path, first, {"query": "Shared_CL | count"})) == [[2]]


def test_a_query_calls_a_function_of_another_workspace(cloud: Cloud, ids: dict[str, str], token: str) -> None:
    for alias, parameters, query in (
        ("Whose", "", "Shared_CL | project who"),
        ("Wild", "", "union withsource=source * | where source endswith 'Shared_CL' | project who"),
        ("Sought", "", "search * | where isnotempty(who) | project who"),
        ("Found", "", "find where who != '' project who | project who"),
        ("From", "first: string", "Whose | where who == first | union (workspace('lurewire').Shared_CL | project who)"),
    ):
        body = {"category": "c", "displayName": alias, "functionAlias": alias, "query": query}
        cloud.put(f"{SECOND}/savedSearches/{alias.lower()}", {"properties": body | {"functionParameters": parameters}})
    path = f"/v1/workspaces/{ids[WORKSPACE]}/query"
    assert rows(ask(cloud, path, token, {"query": "workspace('second').Whose | sort by who asc"})) == [["c"], ["d"]]
    for name in ("Wild", "Sought", "Found()"):
        answer = ask(cloud, path, token, {"query": f"workspace('second').{name} | sort by who asc"})
        assert rows(answer) == [["c"], ["d"]]
    both = {"query": "workspace('second').From('d') | sort by who asc"}
    assert rows(ask(cloud, path, token, both)) == [["a"], ["b"], ["d"]]
    within = {"query": "workspace('second').Whose()", "timespan": "2026-01-01/P1D"}
    assert rows(ask(cloud, path, token, within)) == [["d"]]
    assert ask(cloud, path, token, {"query": "Whose()"}).status_code == 400, "it is no function here"
    first = cloud.token("reader of the first only", (READER, WORKSPACE), resource=LOGS)
    assert ask(cloud, path, first, {"query": "workspace('second').Whose"}).status_code == 403
    some = grant(
        cloud,
        "all but Shared_CL of both",
        ["*/read"],
        ["Microsoft.OperationalInsights/workspaces/query/Shared_CL/read"],
        GROUP,
    )
    for name in ("Whose", "Wild", "Sought", "Found", "From('d')"):
        assert ask(cloud, path, some, {"query": f"workspace('second').{name}"}).status_code == 403


def test_several_results_read_what_is_drawn_once(cloud: Cloud, ids: dict[str, str], token: str) -> None:
    path = f"/v1/workspaces/{ids[WORKSPACE]}/query"
    for source in ("Shared_CL", "workspace('second').Shared_CL"):
        text = f"{source} | extend drawn = rand() | fork (project who, drawn) (project who, drawn) (count)"
        for asked in ({"query": text}, {"query": text, "timespan": "2026-01-01/P1D"}):
            answer = ask(cloud, path, token, asked)
            first, second, count = (table["rows"] for table in answer.json()["tables"])
            assert sorted(first) == sorted(second), answer.text
            assert count == [[len(first)]] != [[0]]
    some = grant(
        cloud,
        "all but Shared_CL, of what is drawn",
        ["*/read"],
        ["Microsoft.OperationalInsights/workspaces/query/Shared_CL/read"],
        GROUP,
    )
    drawn = {"query": "Shared_CL | sample 1 | fork (count) (project z = 1)"}
    assert ask(cloud, path, some, drawn).status_code == 403


def test_a_rule_reads_no_other_workspace(cloud: Cloud, ids: dict[str, str]) -> None:
    assert ids
    workspace = cloud.workspace()
    with pytest.raises(KqlError, match="not this workspace"):
        workspace.compile("workspace('second').Shared_CL")


def test_workspaces_that_a_query_names_count(tmp_path_factory: pytest.TempPathFactory) -> None:
    small = Cloud(tmp_path_factory.mktemp("small"), {"workspace.query_workspaces": 2})
    small.start()
    try:
        for place in (SECOND, THIRD):
            small.put(place, {"location": "local", "properties": {}})
        granted = small.token("reader", (READER, GROUP), resource=LOGS)
        path = f"/v1/workspaces/{small.workspace().customer_id}/query"
        two = "union workspace('second').Heartbeat, workspace('SECOND').Heartbeat, Heartbeat | count"
        assert rows(ask(small, path, granted, {"query": two})) == [[0]]
        three = ask(small, path, granted, {"query": two.replace("SECOND", "third")})
    finally:
        small.stop()
    assert three.status_code == 400
    assert "at most 2 workspaces" in three.text


def test_microsofts_client_over_several_workspaces(cloud: Cloud, ids: dict[str, str]) -> None:
    app_id, secret = cloud.app("sdk of two", (READER, WORKSPACE), (READER, SECOND))
    credential = ClientSecretCredential(
        TENANT, app_id, secret, authority=cloud.url(), disable_instance_discovery=True, connection_verify=cloud.ca
    )
    with LogsQueryClient(credential, endpoint=cloud.url(), audience=LOGS, connection_verify=cloud.ca) as client:
        query, others = "Shared_CL | summarize n = count() by TenantId", [ids[SECOND]]
        both: Any = client.query_workspace(ids[WORKSPACE], query, timespan=None, additional_workspaces=others)
        assert both.status == LogsQueryStatus.SUCCESS
        assert {row["TenantId"]: row["n"] for row in both.tables[0].rows} == {ids[WORKSPACE]: 2, ids[SECOND]: 2}
        of_it: Any = client.query_resource(WORKSPACE, "Shared_CL | count", timespan=None)
        assert of_it.tables[0].rows[0][0] == 2, "a workspace's own id means the workspace"


def test_rows_about_a_resource(cloud: Cloud, ids: dict[str, str]) -> None:
    def found(scope: str, path: str = "") -> Any:
        granted = cloud.token(f"reader of {scope}", ("Reader", scope), resource=LOGS)
        return ask(
            cloud,
            f"/v1{path or scope}/query",
            granted,
            {"query": "Shared_CL | summarize array_sort_asc(make_set(who))"},
        )

    assert rows(found(MACHINE)) == [['["a","c"]']], "what is in it too, whatever the case; its neighbour is not"
    assert rows(found(OTHER)) == [['["d","secret"]']], "in whichever workspace"
    assert rows(found(PROD)) == [['["a","c","d","secret"]']]
    assert found(OTHER, MACHINE).status_code == 403
    assert rows(found(EMPTY)) == [["[]"]]


def test_a_resources_readers_see_its_rows_and_nothing_else(cloud: Cloud, ids: dict[str, str]) -> None:
    granted = cloud.token("reader of a machine", ("Reader", MACHINE), resource=LOGS)

    def status(query: str, **more: Any) -> int:
        return int(ask(cloud, f"/v1{MACHINE}/query", granted, {"query": query} | more).status_code)

    assert status("Shared_CL | count") == 200
    assert status("union * | where Type == 'Shared_CL' | count") == 200
    assert status("_GetWatchlist('x')") == 400
    assert status("workspace('second').Shared_CL") == 400
    assert status("Shared_CL", workspaces=["second"]) == 400
    search = ask(cloud, f"/v1{MACHINE}/query", granted, {"query": "search 'secret' | count"})
    assert rows(search) == [[0]]
    assert ask(cloud, f"/v1/workspaces/{ids[THIRD]}/query", granted, {"query": "Shared_CL"}).status_code == 403
    assert ask(cloud, "/v1/subscriptions/x/y/query", granted, {"query": "Shared_CL"}).status_code == 404


def test_a_workspace_can_keep_resources_readers_out(cloud: Cloud, ids: dict[str, str]) -> None:
    features = {"enableLogAccessUsingOnlyResourcePermissions": False}
    cloud.put(THIRD, {"location": "local", "properties": {"features": features}})
    try:
        granted = cloud.token("reader of the other", ("Reader", OTHER), resource=LOGS)
        answer = ask(
            cloud, f"/v1{OTHER}/query", granted, {"query": "Shared_CL | summarize array_sort_asc(make_set(who))"}
        )
        assert rows(answer) == [['["d"]']]
    finally:
        cloud.put(THIRD, {"location": "local", "properties": {}})


@pytest.mark.parametrize("path", ["/api/query", "/query"])
def test_the_resource_managers_way(cloud: Cloud, ids: dict[str, str], token: str, path: str) -> None:
    managed = cloud.token("reader by arm", (READER, GROUP), resource=ARM)
    url = f"{WORKSPACE}{path}?api-version=2017-01-01-preview"
    assert rows(ask(cloud, url, managed, {"query": "Shared_CL | count"})) == [[2]]
    assert ask(cloud, url, token, {"query": "Shared_CL | count"}).status_code == 401, "of another audience"
    unknown = ask(
        cloud, url.replace("/lurewire/query", "/nope/query").replace("/lurewire/api", "/nope/api"), managed, {}
    )
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "WorkspaceNotFoundError")


def test_get(cloud: Cloud, ids: dict[str, str], token: str) -> None:
    def get(path: str, **parameters: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(cloud.url() + path, params=parameters, headers=headers, verify=cloud.ca, timeout=30)

    path = f"/v1/workspaces/{ids[WORKSPACE]}/query"
    assert rows(get(path, query="Shared_CL | count")) == [[2]]
    assert rows(get(path, query="Shared_CL | count", timespan="2026-01-01/P1D")) == [[1]]
    assert rows(get(path, query="Shared_CL | count", workspaces=f"second,{ids[SECOND]}")) == [[4]]
    assert get(path).status_code == 400
    assert get(path, query="Shared_CL |").status_code == 400
    nowhere = get(f"/v1/workspaces/{ids[WORKSPACE]}/nothing")
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "PathNotFoundError")


def test_metadata(cloud: Cloud, ids: dict[str, str], token: str) -> None:
    path = f"/v1/workspaces/{ids[WORKSPACE]}/metadata"
    search = {"category": "c", "displayName": "d", "query": "Shared_CL | take n", "functionAlias": "Few"}
    search["functionParameters"] = "n:long = 5"
    cloud.put(f"{WORKSPACE}/savedSearches/few", {"properties": search})
    headers = {"Authorization": f"Bearer {token}"}
    got = requests.get(cloud.url() + path, headers=headers, verify=cloud.ca, timeout=30).json()
    tables = {table["name"]: table for table in got["tables"]}
    assert {"name": "count", "type": "int"} in tables["Shared_CL"]["columns"]
    shown = {name: tables["Shared_CL"][name] for name in ("id", "timespanColumn", "hasData", "tableType")}
    assert shown == {"id": "t/Shared_CL", "timespanColumn": "TimeGenerated", "hasData": True, "tableType": "CustomLog"}
    assert (tables["SecurityAlert"]["hasData"], tables["SecurityAlert"]["tableType"]) == (False, "Microsoft")
    (function,) = (one for one in got["functions"] if one["name"] == "Few")
    assert (function["parameters"], function["body"]) == ("n:long = 5", "Shared_CL | take n")
    assert [(one["id"], one["resourceId"]) for one in got["workspaces"]] == [(ids[WORKSPACE], WORKSPACE)]
    both = ask(cloud, path, token, {"workspaces": ["second"]}).json()
    assert [one["name"] for one in both["workspaces"]] == ["lurewire", "second"]
    assert ask(cloud, path, token, {"workspaces": ["third"]}).status_code == 403


def test_metadata_when_too_many_queries_wait(tmp_path_factory: pytest.TempPathFactory) -> None:
    busy = Cloud(tmp_path_factory.mktemp("busy"), {"workspace.query_queue": 0})
    busy.start()
    try:
        busy.table("Some_CL", {"TimeGenerated": "datetime"})
        granted = busy.token("reader", (READER, WORKSPACE), resource=LOGS)
        answer = ask(busy, f"/v1/workspaces/{busy.workspace().customer_id}/metadata", granted, {})
    finally:
        busy.stop()
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "ThrottledError")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_query_names_at_most_a_hundred_workspaces(cloud: Cloud, ids: dict[str, str], token: str) -> None:
    path = f"/v1/workspaces/{ids[WORKSPACE]}/query"
    many = ask(cloud, path, token, {"query": "Shared_CL | count", "workspaces": [f"w{i}" for i in range(101)]})
    assert many.status_code == 400
    assert "at most 100 workspaces" in many.json()["error"]["innererror"]["message"]
    again = {"query": "Shared_CL | count", "workspaces": ["second"] * 1_000}
    assert rows(ask(cloud, path, token, again)) == [[4]], "one that is named again is one"


def test_a_guid_is_its_workspaces_whatever_another_is_called(cloud: Cloud, ids: dict[str, str], token: str) -> None:
    impostor = WORKSPACE.replace("workspaces/lurewire", f"workspaces/{ids[SECOND]}")
    cloud.put(impostor, {"location": "local", "properties": {}})
    body = {"query": "Shared_CL | count", "workspaces": [ids[SECOND]]}
    assert rows(ask(cloud, f"/v1/workspaces/{ids[WORKSPACE]}/query", token, body)) == [[4]]


def grant(cloud: Cloud, name: str, actions: list[str], without: list[str], scope: str) -> str:
    """The token of somebody with a role of their own at `scope`."""
    role = str(uuid.uuid4())
    authorization = "providers/Microsoft.Authorization"
    permissions = [{"actions": actions, "notActions": without}]
    subscription = f"/subscriptions/{SUBSCRIPTION}"
    body = {"roleName": name, "type": "CustomRole", "permissions": permissions, "assignableScopes": [subscription]}
    definition = f"{subscription}/{authorization}/roleDefinitions/{role}"
    cloud.put(definition, {"properties": body})
    principal = cloud.principal(name)
    given = {"roleDefinitionId": definition, "principalId": principal.object_id}
    cloud.put(f"{scope}/{authorization}/roleAssignments/{uuid.uuid4()}", {"properties": given})
    return str(cloud.identity.token_for(principal, LOGS))


def test_a_role_for_some_tables(cloud: Cloud, ids: dict[str, str]) -> None:
    query = "Microsoft.OperationalInsights/workspaces/query"
    path = f"/v1/workspaces/{ids[WORKSPACE]}/query"
    cloud.query("Heartbeat | count")
    one = grant(cloud, "heartbeat only", [f"{query}/read", f"{query}/Heartbeat/read"], [], WORKSPACE)
    assert ask(cloud, path, one, {"query": "Heartbeat | count"}).status_code == 200
    assert ask(cloud, path, one, {"query": "print 1"}).status_code == 200
    for text in ("Shared_CL | count", "Heartbeat | count; Shared_CL | take 1", "union * | count"):
        refused = ask(cloud, path, one, {"query": text})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "InsufficientAccessError"), text
    every = grant(cloud, "all but one", ["*/read"], [f"{query}/Shared_CL/read"], SECOND)
    here = f"/v1/workspaces/{ids[SECOND]}/query"
    assert ask(cloud, here, every, {"query": "Heartbeat | count"}).status_code == 200
    assert ask(cloud, here, every, {"query": "Shared_CL | count"}).status_code == 403
    two = grant(cloud, "reads one", [f"{query}/read", f"{query}/*/read"], [], WORKSPACE)
    alone = {"query": "union Shared_CL, workspace('second').Shared_CL | count"}
    assert ask(cloud, path, two, alone).status_code == 403, "a right here is none there"
    of_both = grant(cloud, "all but one of both", ["*/read"], [f"{query}/Shared_CL/read"], GROUP)
    assert ask(cloud, path, of_both, {"query": "workspace('second').Heartbeat | count"}).status_code == 200
    assert ask(cloud, path, of_both, {"query": "workspace('second').Shared_CL | count"}).status_code == 403
    both = cloud.token("reader of the first", (READER, WORKSPACE), resource=LOGS)
    assert ask(cloud, path, both, {"query": "Shared_CL | count"}).status_code == 200


def test_a_role_for_some_tables_of_a_resource(cloud: Cloud, ids: dict[str, str]) -> None:
    assert ids
    most = grant(cloud, "not these logs", ["*/read"], ["Microsoft.Insights/logs/Shared_CL/read"], PROD)
    path = f"/v1{MACHINE}/query"
    assert ask(cloud, path, most, {"query": "Heartbeat | count"}).status_code == 200
    assert ask(cloud, path, most, {"query": "Shared_CL | count"}).status_code == 403


def test_one_name_with_two_types_beside_a_column_of_the_made_name(cloud: Cloud, ids: dict[str, str]) -> None:
    three = [(READER, place) for place in (WORKSPACE, SECOND, THIRD)]
    granted = cloud.token("reader of three", *three, resource=LOGS)

    async def fill(place: str, column: Column, value: object) -> None:
        workspace = cloud.workspaces.by_id(place)
        assert workspace is not None
        await workspace.create_table("Types_CL", [Column("TimeGenerated", KqlType.DATETIME), column])
        await workspace.until_loaded(await workspace.append("Types_CL", [{column.name: value}], key="rows"))

    cloud.run(fill(WORKSPACE, Column("A", KqlType.LONG), 1))
    cloud.run(fill(SECOND, Column("A", KqlType.STRING), "x"))
    cloud.run(fill(THIRD, Column("A_long", KqlType.STRING), "y"))
    query = "Types_CL | summarize n = sum(A_long_1), x = max(A_string), y = max(A_long)"
    body = {"query": query, "workspaces": ["second", "third"]}
    assert rows(ask(cloud, f"/v1/workspaces/{ids[WORKSPACE]}/query", granted, body)) == [[1, "x", "y"]]
