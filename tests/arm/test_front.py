"""Lists of all types, pages, tags, locks, registration, diagnostic settings: what clients find around resources."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.arm import ArmError, ResourceStore
from lurewire.arm.filters import RESOURCE_FIELDS, parse_filter
from lurewire.core.resources import ResourceId, ResourceType

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests
    from tests.arm.house import House, Server

    from lurewire.core.resources import Change
else:
    from arm.house import House, Server

SUBSCRIPTION = "/subscriptions/6a5b4c3d-0000-4000-8000-000000000002"
GROUP = f"{SUBSCRIPTION}/resourceGroups/shelf"
WIDGETS = f"{GROUP}/providers/Contoso.Test/widgets"
VERSION = "api-version=2021-04-01"


@pytest.fixture(scope="module")
def owner(server: Server) -> str:
    return server.token("owner", ("Owner", SUBSCRIPTION))


@pytest.fixture
def shelf(server: Server, owner: str) -> Iterator[str]:
    """A group of its own with five widgets, tagged, and a part in one."""
    server.call("PUT", GROUP, owner, json={"location": "local", "tags": {"Team": "blue"}})
    for at in range(5):
        sent = {"location": "local", "kind": "k", "tags": {"Row": str(at % 2)}, "properties": {"x": 1}}
        assert server.call("PUT", f"{WIDGETS}/w{at}", owner, json=sent).status_code == 201
    server.call("PUT", f"{WIDGETS}/w0/parts/p", owner, json={})
    yield GROUP
    server.call("DELETE", GROUP, owner)


def error(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def names(answer: requests.Response) -> list[str]:
    return [one["name"] for one in answer.json()["value"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resourceType eq 'Contoso.Test/widgets'", ["w0", "w1", "w2", "w3", "w4"]),
        ("resourceType eq 'contoso.test/WIDGETS' and name eq 'w3'", ["w3"]),
        ("name eq 'w1' or name eq 'w2'", ["w1", "w2"]),
        ("(name eq 'w1' or name eq 'w2') and tagName eq 'row' and tagValue eq '1'", ["w1"]),
        ("tagName eq 'Row' and tagValue eq '1'", ["w1", "w3"]),
        ("tagName eq 'none'", []),
        ("substringof('W4', name) and location eq 'local'", ["w4"]),
        ("name ne 'w0' and resourceGroup eq 'shelf' and tagName eq 'Row'", ["w1", "w2", "w3", "w4"]),
        ("name eq 'it''s'", []),
    ],
)
def test_resources_are_listed_and_filtered(
    server: Server, owner: str, shelf: str, text: str, expected: list[str]
) -> None:
    for place in (shelf, SUBSCRIPTION):
        answer = server.call("GET", f"{place}/resources?{VERSION}", owner, params={"$filter": text})
        assert names(answer) == expected, answer.text
    row = server.call("GET", f"{shelf}/resources?{VERSION}&$expand=createdTime,provisioningState", owner).json()[
        "value"
    ][0]
    assert set(row) == {"id", "name", "type", "kind", "location", "tags", "createdTime", "provisioningState"}


@pytest.mark.parametrize(
    "text", ["name", "name eq", "name gt 'a'", "size eq 'a'", "name eq 'a' and", "(name eq 'a'", "name eq 'a')", "'", "%",
             "tagName ne 'a'", "substringof('a', location)", "name eq 'a' or " * 60 + "name eq 'b'", "(" * 200]
)  # fmt: skip
def test_filters_that_are_refused(text: str) -> None:
    with pytest.raises(ArmError) as caught:
        parse_filter(text, RESOURCE_FIELDS)
    assert (caught.value.status, caught.value.code) == (400, "InvalidFilterInQueryString")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose pages have two rows."""
    made = Server(House(tmp_path_factory.mktemp("narrow"), {"arm.page_rows": 2}))
    made.start()
    yield made
    made.stop()


def test_lists_come_in_pages(narrow: Server) -> None:
    owner = narrow.token("owner", ("Owner", SUBSCRIPTION))
    group = f"{SUBSCRIPTION}/resourceGroups/lurewire"
    widgets = f"{group}/providers/Contoso.Test/widgets"
    for at in range(5):
        narrow.call("PUT", f"{widgets}/w{at}", owner, json={"location": "a b"})
    for path in (f"{widgets}?{VERSION}", f"{group}/resources?{VERSION}&$filter=location eq 'a b'"):
        link, found = path, []
        while link:
            page = narrow.call("GET", link, owner).json()
            assert len(page["value"]) <= 2
            found += [one["name"] for one in page["value"]]
            link = page.get("nextLink", "").removeprefix(narrow.house.url())
            assert not link or link.startswith(f"{path.partition('?')[0]}?{VERSION}&")
        assert found == ["w0", "w1", "w2", "w3", "w4"]
    first = narrow.call("GET", f"{widgets}?{VERSION}&$top=3", owner).json()
    narrow.call("DELETE", f"{widgets}/w0", owner)
    second = narrow.call("GET", first["nextLink"].removeprefix(narrow.house.url()), owner).json()
    assert [one["name"] for one in second["value"]] == ["w2"], "what was deleted moves no row to another page"
    assert "nextLink" not in second
    for query in ("$top=0", "$top=x", "$top=-1", "$skiptoken=nonsense", "$skiptoken=W10"):
        assert error(narrow.call("GET", f"{widgets}?{VERSION}&{query}", owner)) == (400, "InvalidQueryParameterValue")


def test_tags_by_themselves(server: Server, owner: str, shelf: str) -> None:
    for scope in (f"{WIDGETS}/w0", shelf, SUBSCRIPTION):
        path = f"{scope}/providers/Microsoft.Resources/tags/default"
        answer = server.call("PUT", path, owner, json={"properties": {"tags": {"a": "1", "b": "2"}}})
        assert answer.json()["properties"]["tags"] == {"a": "1", "b": "2"}, answer.text
        merged = server.call("PATCH", path, owner, json={"operation": "Merge", "properties": {"tags": {"A": "3"}}})
        assert merged.json()["properties"]["tags"] == {"b": "2", "A": "3"}
        less = server.call(
            "PATCH", path, owner, json={"operation": "Delete", "properties": {"tags": {"b": "2", "A": "x"}}}
        )
        assert less.json()["properties"]["tags"] == {"A": "3"}
        replaced = server.call("PATCH", path, owner, json={"operation": "Replace", "properties": {"tags": {"c": "4"}}})
        assert server.call("GET", path, owner).json() == replaced.json()
        assert server.call("DELETE", path, owner).status_code == 200
        assert server.call("GET", path, owner).json()["properties"]["tags"] == {}
        assert error(server.call("PATCH", path, owner, json={"operation": "Add"})) == (400, "InvalidRequestContent")
        assert error(server.call("PUT", path, owner, json={"properties": {"tags": {"a": 1}}})) == (
            400,
            "InvalidRequestContent",
        )
    assert server.call("GET", f"{WIDGETS}/w0", owner).json()["properties"]["x"] == 1
    used = server.call("GET", f"{SUBSCRIPTION}/tagNames", owner).json()["value"]
    assert {one["tagName"]: one["count"]["value"] for one in used} == {"Row": 4}
    reader = server.token("reader", ("Reader", SUBSCRIPTION))
    path = f"{WIDGETS}/w0/providers/Microsoft.Resources/tags/default"
    assert server.call("GET", path, reader).status_code == 200
    assert error(server.call("PUT", path, reader, json={})) == (403, "AuthorizationFailed")
    assert error(server.call("GET", path.replace("w0", "none"), owner)) == (404, "ResourceNotFound")


def test_tags_have_limits(server: Server, owner: str, shelf: str) -> None:
    for tags in ({str(n): "" for n in range(51)}, {"n" * 513: ""}, {"n": "v" * 257}, {"a": "1", "A": "2"}):
        assert error(server.call("PUT", f"{WIDGETS}/w0", owner, json={"tags": tags})) == (400, "InvalidTags")


def test_a_head_and_an_etag_at_deletion(server: Server, owner: str, shelf: str) -> None:
    assert server.call("HEAD", f"{WIDGETS}/w1", owner).status_code == 204
    assert server.call("HEAD", f"{WIDGETS}/none", owner).status_code == 404
    old = server.call("GET", f"{WIDGETS}/w1", owner).json()["etag"]
    server.call("PATCH", f"{WIDGETS}/w1", owner, json={"tags": {}})
    wrong = server.call("DELETE", f"{WIDGETS}/w1", owner, headers={"If-Match": old})
    assert error(wrong) == (412, "PreconditionFailed")
    assert server.call("DELETE", f"{WIDGETS}/w1", owner, headers={"If-Match": "*"}).status_code == 200


def test_a_doubled_slash_is_one_and_a_path_of_nobody_is_told_so(server: Server, owner: str, shelf: str) -> None:
    doubled = f"{GROUP}/providers/Contoso.Test//widgets/w1"
    assert server.call("GET", doubled, owner).json()["id"] == f"{WIDGETS}/w1"
    narrow = server.token("narrow", ("Logic App Contributor", GROUP))
    assert error(server.call("PUT", doubled, narrow, json={})) == (403, "AuthorizationFailed")
    assert error(server.call("GET", "/nothing/here", owner)) == (404, "NotFound")


def test_what_a_patch_may_change(server: Server, owner: str) -> None:
    vault = f"{SUBSCRIPTION}/resourceGroups/lurewire/providers/Microsoft.KeyVault/vaults/lurewire-vault"
    before = server.call("GET", vault, owner).json()
    sent = {"tags": {"a": "b"}, "location": before["location"], "properties": {"enabledForTemplateDeployment": True}}
    after = server.call("PATCH", vault, owner, json=sent).json()
    assert after["properties"] == before["properties"] | {"enabledForTemplateDeployment": True}
    assert error(server.call("PATCH", vault, owner, json={"sku": {}})) == (400, "UnsupportedPatch")
    assert error(server.call("PATCH", vault, owner, json={"location": "moon"})) == (400, "UnsupportedPatch")
    group = f"{SUBSCRIPTION}/resourceGroups/lurewire"
    assert error(server.call("PATCH", group, owner, json={"properties": {}})) == (400, "UnsupportedPatch")


def test_groups_locations_and_moves(server: Server, owner: str, shelf: str) -> None:
    groups = f"{SUBSCRIPTION}/resourcegroups?{VERSION}"
    assert names(server.call("GET", f"{groups}&$filter=tagName eq 'team' and tagValue eq 'blue'", owner)) == ["shelf"]
    assert len(names(server.call("GET", f"{groups}&$top=1", owner))) == 1
    assert error(server.call("GET", f"{groups}&$filter=location eq 'x'", owner)) == (400, "InvalidFilterInQueryString")
    assert names(server.call("GET", f"{SUBSCRIPTION}/locations", owner)) == ["local"]
    for action in ("moveResources", "validateMoveResources"):
        assert error(server.call("POST", f"{shelf}/{action}", owner, json={})) == (400, "ResourceMoveNotSupported")


def test_a_subscription_that_is_not_here(server: Server, owner: str) -> None:
    foreign = f"/subscriptions/{uuid.uuid4()}"
    nobody = server.token("nobody")
    for path in ("", "/resources", "/resourcegroups/g", "/resourcegroups/g/providers/Contoso.Test/widgets/w", "/providers",
                 "/resourcegroups/g/providers/Microsoft.Resources/deployments/d"):  # fmt: skip
        assert error(server.call("GET", foreign + path, owner)) == (404, "SubscriptionNotFound")
        assert error(server.call("GET", foreign + path, nobody)) == (403, "AuthorizationFailed")


def test_locks_hold(server: Server, owner: str, shelf: str) -> None:
    lock = f"{shelf}/providers/Microsoft.Authorization/locks"
    for level in (None, "Sometimes"):
        refused = server.call("PUT", f"{lock}/l", owner, json={"properties": {"level": level}})
        assert error(refused) == (400, "InvalidLockLevel")
    made = server.call("PUT", f"{lock}/keep", owner, json={"properties": {"level": "cannotdelete", "notes": "mine"}})
    assert (made.status_code, made.json()["properties"]["level"]) == (201, "CanNotDelete")
    assert server.call("PUT", f"{WIDGETS}/w2", owner, json={}).status_code == 200
    for path in (f"{WIDGETS}/w2", shelf):
        held = server.call("DELETE", path, owner)
        assert error(held) == (409, "ScopeLocked")
        assert f"'{shelf}'" in held.json()["error"]["message"]
    inner = f"{WIDGETS}/w2/providers/Microsoft.Authorization/locks/still"
    server.call("PUT", inner, owner, json={"properties": {"level": "ReadOnly"}})
    assert names(server.call("GET", lock, owner)) == ["keep", "still"]
    assert names(server.call("GET", f"{lock}?{VERSION}&$filter=atScope()", owner)) == ["keep"]
    assert server.call("DELETE", f"{lock}/keep", owner).status_code == 200
    writes: tuple[tuple[str, dict[str, Any]], ...] = (("PUT", {}), ("PATCH", {"tags": {}}))
    for method, change in writes:
        assert error(server.call(method, f"{WIDGETS}/w2", owner, json=change)) == (409, "ScopeLocked")
    assert error(server.call("DELETE", shelf, owner)) == (409, "ScopeLocked")  # for what is locked inside
    template = {"$schema": "https://x/deploymentTemplate.json#", "contentVersion": "1.0.0.0", "resources": [
        {"type": "Contoso.Test/widgets", "apiVersion": "1", "name": "w2"}]}  # fmt: skip
    sent = {"properties": {"mode": "Incremental", "template": template}}
    done = server.call("PUT", f"{shelf}/providers/Microsoft.Resources/deployments/d", owner, json=sent).json()
    assert done["properties"]["error"]["details"][0]["code"] == "ScopeLocked"
    assert server.call("DELETE", inner, owner).status_code == 200
    assert server.call("DELETE", f"{WIDGETS}/w2", owner).status_code == 200
    writer = server.token("writer", ("Contributor", SUBSCRIPTION))
    assert error(server.call("PUT", f"{lock}/l", writer, json={})) == (403, "AuthorizationFailed")


def test_a_provider_is_unregistered_until_it_is_used(server: Server, owner: str, shelf: str) -> None:
    provider = f"{SUBSCRIPTION}/providers/Contoso.Test"
    assert server.call("POST", f"{provider}/unregister", owner).json()["registrationState"] == "Unregistered"
    assert server.call("GET", provider, owner).json()["registrationState"] == "Unregistered"
    assert server.call("PUT", f"{WIDGETS}/w0", owner, json={}).status_code == 200
    assert server.call("GET", provider, owner).json()["registrationState"] == "Registered"


async def test_where_providers_must_be_registered_first_a_client_does_it(house: House) -> None:
    from lurewire.core.secretbox import SecretBox

    box = SecretBox(house.folder / "secret.key")
    store = ResourceStore(
        house.db,
        house.clock,
        box,
        subscription_id=house.account.subscription_id,
        identities=house.identity,
        register_first=True,
    )
    assert store.registrations.state("Microsoft.Authorization") == "Registered"
    assert store.registrations.state("Contoso.Test") == "NotRegistered"
    with pytest.raises(ArmError) as caught:
        await store.registrations.check("Contoso.Test")
    assert (caught.value.status, caught.value.code) == (409, "MissingSubscriptionRegistration")
    assert "'Contoso.Test'" in caught.value.message
    await store.registrations.put("contoso.test", "Registered")
    await store.registrations.check("Contoso.Test")


DIAGNOSTICS = "providers/Microsoft.Insights/diagnosticSettings"
VAULT = f"{SUBSCRIPTION}/resourceGroups/lurewire/providers/Microsoft.KeyVault/vaults/lurewire-vault"
WORKSPACE = f"{SUBSCRIPTION}/resourceGroups/lurewire/providers/Microsoft.OperationalInsights/workspaces/ws"


@pytest.fixture(scope="module")
def workspace(server: Server) -> str:
    """A workspace, without the room of workspaces."""

    async def prepare(change: Change) -> dict[str, Any]:
        return change.body

    async def nothing(*_: Any) -> None: ...

    async def put() -> None:
        server.house.store.register(ResourceType("Microsoft.OperationalInsights/workspaces", prepare, nothing, nothing))
        await server.house.store.put(ResourceId.parse(WORKSPACE), {})

    server.run(put())
    return WORKSPACE


def test_diagnostic_settings(server: Server, owner: str, workspace: str) -> None:
    path = f"{VAULT}/{DIAGNOSTICS}/audit"
    sent = {"properties": {"workspaceId": workspace, "logs": [{"category": "auditevent", "enabled": True}]}}
    made = server.call("PUT", path, owner, json=sent)
    assert made.status_code == 200
    [row] = made.json()["properties"]["logs"]
    assert (row["category"], row["enabled"], row["retentionPolicy"]) == (
        "AuditEvent",
        True,
        {"enabled": False, "days": 0},
    )
    assert names(server.call("GET", f"{VAULT}/{DIAGNOSTICS}", owner)) == ["audit"]
    ask = server.house.diagnostics.workspaces
    vault = ResourceId.parse(VAULT)
    assert [str(one) for one in ask(vault, "AuditEvent")] == [workspace]
    assert ask(vault, "AzurePolicyEvaluationDetails") == []
    assert ask(ResourceId.parse(workspace), "Audit") == []
    every = {"properties": {"workspaceId": workspace, "logs": [{"categoryGroup": "allLogs", "enabled": True}]}}
    assert error(server.call("PUT", f"{VAULT}/{DIAGNOSTICS}/more", owner, json=every)) == (409, "Conflict")
    assert server.call("PUT", path, owner, json=every).status_code == 200
    assert [str(one) for one in ask(vault, "azurepolicyevaluationdetails")] == [workspace]
    off = {
        "properties": {"workspaceId": workspace, "logs": [], "metrics": [{"category": "AllMetrics", "enabled": True}]}
    }
    assert server.call("PUT", path, owner, json=off).status_code == 200
    assert ask(vault, "AuditEvent") == []
    for at in range(4):
        assert server.call("PUT", f"{VAULT}/{DIAGNOSTICS}/m{at}", owner, json=off).status_code == 200
    assert error(server.call("PUT", f"{VAULT}/{DIAGNOSTICS}/m5", owner, json=off)) == (409, "Conflict")
    assert server.call("DELETE", path, owner).status_code == 200
    assert server.call("DELETE", path, owner).status_code == 204
    whole = f"{SUBSCRIPTION}/{DIAGNOSTICS}/activity"
    activity = {"properties": {"workspaceId": workspace, "logs": [{"category": "Administrative", "enabled": True}]}}
    assert server.call("PUT", whole, owner, json=activity).status_code == 200
    assert names(server.call("GET", f"{SUBSCRIPTION}/{DIAGNOSTICS}", owner)) == ["activity"]
    assert [str(one) for one in ask(ResourceId.parse(SUBSCRIPTION), "administrative")] == [workspace]


def test_diagnostic_settings_that_are_refused(server: Server, owner: str, workspace: str) -> None:
    log = {"category": "AuditEvent", "enabled": True}
    good = {"workspaceId": workspace, "logs": [log]}
    for properties, problem in (
        ({"logs": [log]}, "'workspaceId' must be the id of a workspace"),
        ({"workspaceId": f"{workspace}2", "logs": [log]}, "was not found"),
        ({"workspaceId": VAULT, "logs": [log]}, "was not found"),
        (good | {"storageAccountId": "/x"}, "'storageAccountId' is not supported"),
        (good | {"eventHubAuthorizationRuleId": "/x"}, "'eventHubAuthorizationRuleId' is not supported"),
        (good | {"colour": "red"}, "'colour' is not supported"),
        (good | {"logs": [{"category": "Nothing", "enabled": True}]}, "Category 'Nothing' is not supported."),
        (good | {"logs": [{"category": "AuditEvent", "enabled": False}]}, "needs a log or a metric that is enabled"),
        (good | {"logs": ["AuditEvent"]}, "has a 'category' and 'enabled'"),
        (good | {"logs": {}}, "needs a log or a metric"),
        (good | {"logs": 1}, "'logs' must be an array"),
        (good | {"logAnalyticsDestinationType": "x"}, "Dedicated or AzureDiagnostics"),
        (None, "needs 'properties'"),
    ):
        answer = server.call("PUT", f"{VAULT}/{DIAGNOSTICS}/wrong", owner, json={"properties": properties})
        assert answer.status_code in (400, 404)
        assert problem in answer.json()["error"]["message"]
    group = SUBSCRIPTION + "/resourceGroups/lurewire"
    refused = server.call("PUT", f"{group}/{DIAGNOSTICS}/x", owner, json={"properties": good})
    assert error(refused) == (400, "ResourceTypeNotSupported")


def test_a_diagnostic_setting_needs_a_right_to_the_workspace_too(server: Server, workspace: str) -> None:
    writer = server.token("of the vault", ("Contributor", VAULT))
    for place in (workspace, f"{workspace}-that-is-not-there"):
        sent = {"properties": {"workspaceId": place, "logs": [{"category": "AuditEvent", "enabled": True}]}}
        refused = server.call("PUT", f"{VAULT}/{DIAGNOSTICS}/elsewhere", writer, json=sent)
        assert error(refused) == (403, "LinkedAuthorizationFailed")


def test_diagnostic_categories(server: Server, owner: str) -> None:
    path = f"{VAULT}/providers/Microsoft.Insights/diagnosticSettingsCategories"
    rows = server.call("GET", path, owner).json()["value"]
    assert [(one["name"], one["properties"]["categoryType"]) for one in rows] == [
        ("AuditEvent", "Logs"),
        ("AzurePolicyEvaluationDetails", "Logs"),
        ("AllMetrics", "Metrics"),
    ]
    assert rows[0]["properties"]["categoryGroups"] == ["allLogs", "audit"]
    assert server.call("GET", f"{path}/auditevent", owner).json() == rows[0]
    assert error(server.call("GET", f"{path}/none", owner)) == (404, "ResourceNotFound")
    group = f"{SUBSCRIPTION}/resourceGroups/lurewire/providers/Microsoft.Insights/diagnosticSettingsCategories"
    assert error(server.call("GET", group, owner)) == (400, "ResourceTypeNotSupported")


def test_vaults_that_were_deleted_and_names_that_are_free(server: Server, owner: str) -> None:
    provider = f"{SUBSCRIPTION}/providers/Microsoft.KeyVault"
    assert server.call("GET", f"{provider}/deletedVaults", owner).json() == {"value": []}
    gone = f"{provider}/locations/local/deletedVaults/old"
    for method, path in (("GET", gone), ("POST", f"{gone}/purge")):
        assert error(server.call(method, path, owner)) == (404, "DeletedVaultNotFound")
    for name, reason in (("free-name", None), ("lurewire-vault", "AlreadyExists"), ("a--b", "AccountNameInvalid")):
        sent: Any = {"name": name, "type": "Microsoft.KeyVault/vaults"}
        answer = server.call("POST", f"{provider}/checkNameAvailability", owner, json=sent).json()
        assert (answer["nameAvailable"], answer.get("reason")) == (reason is None, reason)
    for body in (b"{", b"[]", b"{}", b'{"type": "Microsoft.KeyVault/vaults", "name": 3}'):
        assert error(server.call("POST", f"{provider}/checkNameAvailability", owner, data=body)) == (
            400,
            "BadParameter",
        )
