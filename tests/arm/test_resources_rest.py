"""Resources over HTTP, as Azure Resource Manager's clients see them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.arm.front import STATUS_OF_CREATION
from lurewire.core.errors import WireError
from lurewire.core.resources import ResourceId, ResourceType

if TYPE_CHECKING:
    import requests
    from tests.arm.house import House, Server

    from lurewire.core.resources import Change

TENANT = "6a5b4c3d-0000-4000-8000-000000000001"
SUBSCRIPTION = "/subscriptions/6a5b4c3d-0000-4000-8000-000000000002"
GROUP = f"{SUBSCRIPTION}/resourceGroups/lurewire"
WIDGETS = f"{GROUP}/providers/Contoso.Test/widgets"
STRANGE = f"{GROUP}/providers/Fabrikam.Odd/things/t"


@pytest.fixture(scope="module")
def owner(server: Server) -> str:
    return server.token("owner", ("Owner", SUBSCRIPTION))


def error(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_a_resource_is_created_shown_listed_updated_and_deleted(server: Server, owner: str) -> None:
    path = f"{WIDGETS}/Alpha"
    created = server.call("PUT", path, owner, json={"location": "local", "properties": {"size": 1}})
    assert created.status_code == 201
    body = created.json()
    assert (body["id"], body["name"], body["type"]) == (path, "Alpha", "Contoso.Test/widgets")
    assert body["properties"]["provisioningState"] == "Succeeded"
    assert body["systemData"]["createdByType"] == "Application"
    assert server.call("GET", path.upper(), owner).json() == body
    updated = server.call("PUT", path.lower(), owner, json={"properties": {"size": 2}})
    assert updated.status_code == 200
    assert updated.json()["id"] == path
    assert updated.json()["etag"] != body["etag"]
    assert updated.json()["systemData"]["createdAt"] == body["systemData"]["createdAt"]
    for place in (WIDGETS, f"{SUBSCRIPTION}/providers/Contoso.Test/widgets"):
        assert path in [one["id"] for one in server.call("GET", place, owner).json()["value"]]
    assert server.call("DELETE", path, owner).status_code == 200
    assert server.call("DELETE", path, owner).status_code == 204
    gone = server.call("GET", path, owner)
    assert error(gone) == (404, "ResourceNotFound")
    assert "'Contoso.Test/widgets/Alpha' under resource group 'lurewire' was not found" in gone.text
    assert path.lower() in server.house.widgets.deleted


def test_cloud_metadata_names_the_host_that_was_asked(server: Server) -> None:
    port = server.house.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "lurewire.example", "[::1]"):
        cloud = server.call("GET", "/metadata/endpoints?api-version=2022-09-01", headers={"Host": host}).json()
        addresses = {
            cloud["resourceManager"],
            cloud["authentication"]["loginEndpoint"],
            cloud["logAnalyticsResourceId"],
        }
        assert addresses == {f"https://{host}"}
        suffix = f"vault.localhost:{port}" if host.endswith(f":{port}") else "vault.localhost"
        assert cloud["suffixes"]["keyVaultDns"] == suffix
    # azure-cli asks for tokens for the first of these.
    assert cloud["authentication"]["audiences"][0] == "https://management.core.windows.net/"
    [only] = server.call("GET", "/metadata/endpoints?api-version=2019-05-01", headers={"Host": host}).json()
    assert only == cloud
    assert server.call("GET", "/metadata/endpoints?api-version=x", headers={"Host": "a:99999"}).status_code == 200
    assert error(server.call("GET", "/metadata/endpoints", bare=True)) == (400, "MissingApiVersionParameter")


def test_a_deleted_role_assignment_is_shown_once_more(server: Server, owner: str) -> None:
    role = f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    path = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    properties = {"roleDefinitionId": role, "principalId": str(uuid.uuid4()), "principalType": "ServicePrincipal"}
    made = server.call("PUT", path, owner, json={"properties": properties})
    assert made.status_code == 201
    deleted = server.call("DELETE", path, owner)
    assert (deleted.status_code, deleted.json()) == (200, made.json())
    again = server.call("DELETE", path, owner)
    assert (again.status_code, again.content) == (204, b"")


def test_hidden_values_reach_the_room_and_nobody_else(server: Server, owner: str) -> None:
    secret, typed = "correct horse", "battery staple"
    inputs = {"a": {"type": "SecureString", "value": typed}, "b": {"type": "String", "value": "shown"}}
    path = f"{WIDGETS}/quiet"
    sent = {"properties": {"key": secret, "inputs": inputs}}
    answers = [server.call("PUT", path, owner, json=sent), server.call("GET", path, owner)]
    answers.append(server.call("GET", WIDGETS, owner))
    answers.append(server.call("PATCH", path, owner, json={"tags": {"t": "1"}}))
    assert [a.status_code for a in answers] == [201, 200, 200, 200]
    assert not any(secret in a.text or typed in a.text for a in answers)
    assert answers[1].json()["properties"]["inputs"] == {"a": {"type": "SecureString"}, "b": inputs["b"]}
    whole = server.house.store.get(ResourceId.parse(path))
    assert whole is not None
    assert (whole["properties"]["key"], whole["tags"]) == (secret, {"t": "1"})
    assert server.house.widgets.applied[path.lower()]["properties"]["inputs"]["a"]["value"] == typed
    stored = b"".join(file.read_bytes() for file in server.house.folder.glob("control.db*"))
    assert b"quiet" in stored
    assert secret.encode() not in stored
    assert typed.encode() not in stored


def test_etags_and_conditions(server: Server, owner: str) -> None:
    path = f"{WIDGETS}/tagged"
    first = server.call("PUT", path, owner, json={}, headers={"If-None-Match": "*"}).json()["etag"]
    assert error(server.call("PUT", path, owner, json={}, headers={"If-None-Match": "*"})) == (
        412,
        "PreconditionFailed",
    )
    second = server.call("PUT", path, owner, json={}, headers={"If-Match": first}).json()["etag"]
    assert error(server.call("PUT", path, owner, json={}, headers={"If-Match": first})) == (412, "PreconditionFailed")
    assert error(server.call("PUT", path, owner, json={"etag": first})) == (409, "Conflict")
    assert server.call("PUT", path, owner, json={"etag": second}).status_code == 200


def test_tags_are_patched_and_nothing_else(server: Server, owner: str) -> None:
    path = f"{WIDGETS}/patched"
    server.call("PUT", path, owner, json={"tags": {"a": "1"}, "properties": {"size": 3}})
    patched = server.call("PATCH", path, owner, json={"tags": {"b": "2"}}).json()
    assert (patched["tags"], patched["properties"]["size"]) == ({"b": "2"}, 3)
    refused = server.call("PATCH", path, owner, json={"properties": {}})
    assert error(refused) == (400, "UnsupportedPatch")
    assert "'properties'" in refused.text
    assert error(server.call("PATCH", f"{WIDGETS}/none", owner, json={"tags": {}})) == (404, "ResourceNotFound")


def test_what_a_resource_stands_in_must_be_there(server: Server, owner: str) -> None:
    cases = {
        f"{WIDGETS}/none/parts/p": "ParentResourceNotFound",
        f"{SUBSCRIPTION}/resourceGroups/none/providers/Contoso.Test/widgets/w": "ResourceGroupNotFound",
        f"{WIDGETS}/none/providers/Contoso.Test/widgets/on-top": "ResourceNotFound",
    }
    for path, code in cases.items():
        assert error(server.call("PUT", path, owner, json={})) == (404, code)
        assert error(server.call("GET", path, owner)) == (404, code)
        assert error(server.call("GET", path.rpartition("/")[0], owner))[0] == 404
    server.call("PUT", f"{WIDGETS}/parent", owner, json={})
    assert server.call("PUT", f"{WIDGETS}/parent/parts/p", owner, json={}).status_code == 201
    listed = server.call("GET", f"{WIDGETS}/parent/parts", owner).json()["value"]
    assert [one["name"] for one in listed] == ["p"]


async def test_a_foreign_subscription(house: House) -> None:
    with pytest.raises(WireError) as caught:
        await house.store.put(ResourceId.parse(f"/subscriptions/{uuid.uuid4()}/resourceGroups/g"), {"location": "x"})
    assert (caught.value.code, caught.value.status) == ("SubscriptionNotFound", 404)


def test_deleting_a_group_deletes_what_is_in_it_innermost_first(server: Server, owner: str) -> None:
    group = f"{SUBSCRIPTION}/resourceGroups/doomed"
    widget = f"{group}/providers/Contoso.Test/widgets/w"
    assert error(server.call("PUT", group, owner, json={})) == (400, "LocationRequired")
    assert server.call("PUT", group, owner, json={"location": "local"}).status_code == 201
    assert server.call("PUT", group, owner, json={"location": "local", "tags": {"a": "b"}}).status_code == 200
    assert server.call("HEAD", group, owner).status_code == 204
    for path in (widget, f"{widget}/parts/p", f"{widget}/parts/p/providers/Contoso.Test/widgets/on-top"):
        assert server.call("PUT", path, owner, json={}).status_code == 201
    assert server.call("DELETE", group, owner).status_code == 200
    deleted = [key for key in server.house.widgets.deleted if key.startswith(group.lower())]
    assert deleted == [
        f"{widget}/parts/p/providers/contoso.test/widgets/on-top".lower(),
        f"{widget}/parts/p".lower(),
        widget.lower(),
    ]
    assert server.call("HEAD", group, owner).status_code == 404
    assert error(server.call("GET", group, owner)) == (404, "ResourceGroupNotFound")
    assert error(server.call("DELETE", group, owner)) == (404, "ResourceGroupNotFound")


def test_an_unknown_type_is_kept_and_takes_a_role_for_every_type(server: Server, owner: str) -> None:
    narrow = server.token("narrow", ("Logic App Contributor", GROUP))
    assert error(server.call("PUT", STRANGE, narrow, json={})) == (403, "AuthorizationFailed")
    assert server.call("PUT", STRANGE, owner, json={"properties": {"a": 1}}).status_code == 201
    reader = server.token("reader", ("Reader", GROUP))
    assert server.call("GET", STRANGE, reader).json()["properties"] == {"a": 1, "provisioningState": "Succeeded"}
    assert error(server.call("DELETE", STRANGE, reader)) == (403, "AuthorizationFailed")


def test_a_connection_is_connected_and_keeps_its_secret(server: Server, owner: str) -> None:
    path = f"{GROUP}/providers/Microsoft.Web/connections/azuresentinel-x"
    api = f"{SUBSCRIPTION}/providers/Microsoft.Web/locations/local/managedApis/azuresentinel"
    sent = {"kind": "V1", "properties": {"api": {"id": api}, "parameterValues": {"key": "open sesame"}}}
    answer = server.call("PUT", path, owner, json=sent)
    assert answer.status_code == 201
    properties = answer.json()["properties"]
    assert properties["statuses"] == [{"status": "Connected"}]
    assert properties["api"] == {"name": "azuresentinel", "id": api}
    assert "sesame" not in answer.text
    assert error(server.call("PUT", path, owner, json={"properties": {}})) == (400, "InvalidRequestContent")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"a": 1e400}',
        b'{"a": "\\ud800"}',
        b"\xff\xfe",
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a":' * 150 + b"1" + b"}" * 150,
        b'{"identity": 3}',
        b'{"tags": {"a": 1}}',
        b'{"tags": []}',
        b'{"identity": {"type": ["SystemAssigned"]}}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_hostile_bodies(server: Server, owner: str, body: bytes) -> None:
    answer = server.call("PUT", f"{WIDGETS}/hostile", owner, data=body)
    assert answer.status_code == 400, answer.text
    assert server.call("GET", f"{WIDGETS}/hostile", owner).status_code == 404


def test_large_numbers_stay_what_they_are(server: Server, owner: str) -> None:
    for number in (2**63, -(2**70), 12345678901234567890123):
        answer = server.call("PUT", f"{WIDGETS}/large", owner, data=f'{{"properties": {{"n": {number}}}}}'.encode())
        if answer.status_code == 400:
            assert error(answer)[1] == "InvalidRequestContent"
        else:
            assert server.call("GET", f"{WIDGETS}/large", owner).json()["properties"]["n"] == number


def test_too_long_a_body(server: Server, owner: str) -> None:
    answer = server.call("PUT", f"{WIDGETS}/long", owner, data=b" " * (4 * 1024 * 1024 + 1))
    assert error(answer) == (413, "RequestContentTooLarge")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing/providers/Contoso.Test/widgets/w",
        f"{SUBSCRIPTION}/resourceGroups/lurewire/extra/providers/Contoso.Test/widgets/w",
        f"{GROUP}/providers/Contoso.Test/widgets",
        f"{GROUP}/providers/Contoso.Test",
        f"{GROUP}/providers/Contoso.Test/widgets/a/b",
    ],
)
def test_paths_that_are_no_resource(server: Server, owner: str, path: str) -> None:
    assert server.call("PUT", path, owner, json={}).status_code in (400, 405)


@pytest.mark.parametrize("name", ["a%3Cscript%3E", "a%0Ab", "a%25b", "a%1B[31m", "x" * 261, "%26", "a%3Fb", "a%23b"])
def test_hostile_names(server: Server, owner: str, name: str) -> None:
    assert error(server.call("PUT", f"{WIDGETS}/{name}", owner, json={})) == (400, "InvalidResourceName")


def test_a_filter_that_is_not_known_is_refused_and_not_ignored(server: Server, owner: str) -> None:
    for place in (WIDGETS, f"{SUBSCRIPTION}/resourcegroups"):
        answer = server.call("GET", f"{place}?api-version=2022-04-01&$filter=name eq 'x'", owner)
        assert error(answer) == (400, "InvalidFilterInQueryString")


def test_tokens_and_versions(server: Server, owner: str) -> None:
    path = f"{WIDGETS}/any"
    missing = server.call("GET", path)
    assert error(missing) == (401, "AuthenticationFailed")
    assert f'authorization_uri="{server.house.url()}/{TENANT}"' in missing.headers["WWW-Authenticate"]
    assert error(server.call("GET", path, "a.b.c")) == (401, "InvalidAuthenticationToken")
    tampered = owner[:-8] + ("A" * 8 if not owner.endswith("A" * 8) else "B" * 8)
    assert error(server.call("GET", path, tampered)) == (401, "InvalidAuthenticationToken")
    vault_token = server.token("for the vault", ("Owner", SUBSCRIPTION), resource="https://vault.azure.net")
    assert error(server.call("GET", path, vault_token)) == (401, "InvalidAuthenticationTokenAudience")
    no_role = server.token("nobody")
    refused = server.call("GET", path, no_role)
    assert error(refused) == (403, "AuthorizationFailed")
    assert f"perform action 'Contoso.Test/widgets/read' over scope '{path}'" in refused.text
    assert error(server.call("GET", path, owner, bare=True)) == (400, "MissingApiVersionParameter")
    own = str(uuid.uuid4())
    headers = {"x-ms-client-request-id": own, "x-ms-return-client-request-id": "true"}
    answer = server.call("GET", path, owner, headers=headers)
    assert answer.headers["x-ms-client-request-id"] == own
    assert uuid.UUID(answer.headers["x-ms-request-id"])


def test_subscriptions_show_what_the_caller_has_a_role_in(server: Server, owner: str) -> None:
    mine = server.call("GET", "/subscriptions", owner).json()["value"]
    assert [one["id"] for one in mine] == [SUBSCRIPTION]
    inside = server.token("inside", ("Reader", GROUP))
    assert len(server.call("GET", "/subscriptions", inside).json()["value"]) == 1
    nobody = server.token("nobody else")
    assert server.call("GET", "/subscriptions", nobody).json()["value"] == []
    assert server.call("GET", "/tenants", nobody).json()["value"][0]["tenantId"] == TENANT
    assert error(server.call("GET", "/subscriptions")) == (401, "AuthenticationFailed")
    assert server.call("GET", SUBSCRIPTION, owner).json()["state"] == "Enabled"


def test_a_role_in_a_group_shows_the_subscription_around_it(server: Server) -> None:
    inside, nobody = server.token("in a group", ("Logic App Operator", GROUP)), server.token("without a role")
    elsewhere = SUBSCRIPTION[:-1] + "9"
    for path in ("", "/locations"):
        assert server.call("GET", SUBSCRIPTION + path, inside).status_code == 200
        assert error(server.call("GET", SUBSCRIPTION + path, nobody)) == (403, "AuthorizationFailed")
        assert error(server.call("GET", SUBSCRIPTION + path)) == (401, "AuthenticationFailed")
        assert error(server.call("GET", elsewhere + path, inside)) == (404, "SubscriptionNotFound")
        assert error(server.call("GET", elsewhere + path, nobody)) == (403, "AuthorizationFailed")
    # Resource providers take the right to read them, at the subscription.
    assert error(server.call("GET", f"{SUBSCRIPTION}/providers", inside)) == (403, "AuthorizationFailed")


def test_providers_are_always_registered(server: Server, owner: str) -> None:
    every = server.call("GET", f"{SUBSCRIPTION}/providers", owner).json()["value"]
    assert {"Contoso.Test", "Microsoft.KeyVault", "Microsoft.Authorization"} <= {one["namespace"] for one in every}
    one = server.call("POST", f"{SUBSCRIPTION}/providers/microsoft.keyvault/register", owner).json()
    assert one["registrationState"] == "Registered"
    assert one["resourceTypes"][0]["apiVersions"]
    assert server.call("GET", f"{SUBSCRIPTION}/providers/Microsoft.KeyVault", owner).json() == one
    assert error(server.call("GET", f"{SUBSCRIPTION}/providers/No.Such", owner)) == (404, "InvalidResourceNamespace")


async def test_every_stored_resource_is_applied_again_at_start_and_one_that_fails_holds_up_none(house: House) -> None:
    for name in ("a", "b"):
        await house.store.put(ResourceId.parse(f"{WIDGETS}/{name}"), {"properties": {"key": name}})
    house.db.close()
    again = type(house)(house.folder)
    normal = again.widgets._applied

    async def failing(resource_id: ResourceId, body: dict[str, Any]) -> None:
        if resource_id.name == "a":
            message = "cannot"
            raise RuntimeError(message)
        await normal(resource_id, body)

    old = again.widgets.type
    again.widgets.type = ResourceType(old.type, old.prepare, failing, old.deleted, old.hidden)
    await again.open()
    assert list(again.widgets.applied) == [f"{WIDGETS}/b".lower()]
    assert again.widgets.applied[f"{WIDGETS}/b".lower()]["properties"]["key"] == "b"
    again.db.close()


async def test_puts_of_one_id_wait_for_each_other(house: House) -> None:
    import asyncio

    inside, most = 0, 0

    async def prepare(change: Change) -> dict[str, Any]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        count = (change.existing or {"properties": {"count": 0}})["properties"]["count"]
        return change.body | {"properties": {"count": count + 1}}

    old = house.widgets.type
    house.store.register(ResourceType(old.type, prepare, old.applied, old.deleted))
    target = ResourceId.parse(f"{WIDGETS}/busy")
    await asyncio.gather(*(house.store.put(target, {}) for _ in range(20)))
    stored = house.store.get(target)
    assert stored is not None
    assert (stored["properties"]["count"], most) == (20, 1)


def test_types_whose_clients_refuse_201() -> None:
    assert STATUS_OF_CREATION["microsoft.operationalinsights/workspaces/tables"] == 200
