"""Custom roles, and assignments at every kind of scope."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.core.errors import WireError
from lurewire.core.resources import ResourceId
from lurewire.identity import role_assignment

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import requests
    from tests.arm.house import House, Server

TENANT = "6a5b4c3d-0000-4000-8000-000000000001"
SUBSCRIPTION = "/subscriptions/6a5b4c3d-0000-4000-8000-000000000002"
GROUP = f"{SUBSCRIPTION}/resourceGroups/lurewire"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/lurewire-vault"
CHILD = f"{VAULT}/secrets/one"
ROOT = f"/providers/Microsoft.Management/managementGroups/{TENANT}"
DEFINITIONS = "providers/Microsoft.Authorization/roleDefinitions"
ASSIGNMENTS = "providers/Microsoft.Authorization/roleAssignments"
READ = "Microsoft.KeyVault/vaults/read"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


def definition(name: str, *scopes: str, **lists: list[str]) -> dict[str, Any]:
    permissions = [lists or {"actions": [READ]}]
    return {"properties": {"roleName": name, "assignableScopes": list(scopes or [GROUP]), "permissions": permissions}}


@pytest.fixture(scope="module")
def admin(server: Server) -> str:
    return server.token("admin", ("Owner", "/"))


def code(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def put(server: Server, token: str, body: dict[str, Any], name: str = "", scope: str = GROUP) -> requests.Response:
    return server.call("PUT", f"{scope}/{DEFINITIONS}/{name or uuid.uuid4()}", token, json=body)


def test_a_custom_role_from_its_making_to_its_end(server: Server, admin: str) -> None:
    made = put(server, admin, definition("Looker"))
    body = made.json()
    assert made.status_code == 201
    assert body["id"] == f"{SUBSCRIPTION}/{DEFINITIONS}/{body['name']}"
    assert body["properties"]["type"] == "CustomRole"
    assert body["properties"]["permissions"] == [
        {"actions": [READ], "notActions": [], "dataActions": [], "notDataActions": []}
    ]
    robot = server.run(server.house.principal("robot"))
    token = server.house.identity.token_for(robot, "https://management.azure.com")
    assert server.call("GET", VAULT, token).status_code == 403
    assignment = f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}"
    given = {"properties": {"roleDefinitionId": body["id"], "principalId": robot.object_id}}
    assert server.call("PUT", assignment, admin, json=given).status_code == 201
    assert server.call("GET", VAULT, token).status_code == 200
    assert server.call("GET", GROUP, token).status_code == 403

    wider = definition("Looker", GROUP, SUBSCRIPTION, actions=["Microsoft.*/read"], notActions=[READ])
    assert put(server, admin, wider, body["name"], SUBSCRIPTION).status_code == 201, "through another scope"
    assert server.call("GET", VAULT, token).status_code == 403
    assert server.call("GET", GROUP, token).status_code == 200
    shown = server.call("GET", f"{GROUP}/{DEFINITIONS}/{body['name']}", admin).json()["properties"]
    assert shown["assignableScopes"] == [GROUP, SUBSCRIPTION]
    assert shown["createdOn"] == body["properties"]["createdOn"]

    path = f"{GROUP}/{DEFINITIONS}/{body['name']}"
    assert code(server.call("DELETE", path, admin)) == (400, "RoleDefinitionHasAssignments")
    assert server.call("DELETE", assignment, admin).status_code == 200
    assert server.call("DELETE", path, admin).json()["name"] == body["name"]
    assert server.call("DELETE", path, admin).status_code == 204
    assert code(server.call("GET", path, admin)) == (404, "RoleDefinitionDoesNotExist")
    assert code(server.call("PUT", assignment, admin, json=given)) == (400, "RoleDefinitionDoesNotExist")


def test_lists_and_their_filters(server: Server, admin: str) -> None:
    other = f"{SUBSCRIPTION}/resourceGroups/other"
    server.run(server.house.store.put(ResourceId.parse(other), {"location": "local"}))
    here = put(server, admin, definition("It's here", GROUP)).json()["name"]
    there = put(server, admin, definition("There", other)).json()["name"]

    def names(scope: str, text: str = "") -> set[str]:
        query = {"api-version": "2022-04-01"} | ({"$filter": text} if text else {})
        answer = server.call("GET", f"{scope}/{DEFINITIONS}", admin, params=query, bare=True)
        return {one["name"] for one in answer.json()["value"]}

    assert {here, READER} <= names(GROUP)
    assert there not in names(GROUP)
    assert not {here, there} & names(SUBSCRIPTION), "what cannot be given at the scope itself"
    assert {here, there, READER} <= names(SUBSCRIPTION, "atScopeAndBelow()")
    assert names(GROUP, "type eq 'CustomRole'") == {here}
    assert names(GROUP, "roleName eq 'it''s here'") == {here}
    assert names(SUBSCRIPTION, "atScopeAndBelow() and type eq 'CustomRole'") >= {here, there}
    assert here not in names(GROUP, "type eq 'BuiltInRole'")
    for name in (here, there):
        assert server.call("DELETE", f"{SUBSCRIPTION}/{DEFINITIONS}/{name}", admin).status_code == 200


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"roleName": ""}, (400, "BadRequestFormat")),
        ({"roleName": 7}, (400, "BadRequestFormat")),
        ({"roleName": "reader"}, (409, "RoleDefinitionWithSameNameExists")),
        ({"type": "BuiltInRole"}, (400, "BadRequestFormat")),
        ({"description": "x" * 2049}, (400, "BadRequestFormat")),
        ({"assignableScopes": []}, (400, "BadRequestFormat")),
        ({"assignableScopes": ["/"]}, (400, "LinkedInvalidPropertyId")),
        ({"assignableScopes": [VAULT]}, (400, "LinkedInvalidPropertyId")),
        ({"assignableScopes": [ROOT, f"{ROOT}x"]}, (400, "BadRequestFormat")),
        ({"permissions": []}, (400, "BadRequestFormat")),
        ({"permissions": [{"actions": [READ]}] * 2}, (400, "BadRequestFormat")),
        ({"permissions": [{"notActions": [READ]}]}, (400, "BadRequestFormat")),
        ({"permissions": [{"actions": READ}]}, (400, "BadRequestFormat")),
        ({"permissions": [{"actions": ["Microsoft.KeyVault"]}]}, (400, "InvalidActionOrNotAction")),
        ({"permissions": [{"actions": ["a b/read"]}]}, (400, "InvalidActionOrNotAction")),
        ({"permissions": [{"actions": [7]}]}, (400, "InvalidActionOrNotAction")),
        (
            {"permissions": [{"actions": [READ], "condition": "x", "conditionVersion": "2.0"}]},
            (400, "BadRequestFormat"),
        ),
    ],
)
def test_wrong_definitions(server: Server, admin: str, change: dict[str, Any], expected: tuple[int, str]) -> None:
    body = definition("Wrong")
    body["properties"] |= change
    assert code(put(server, admin, body)) == expected


def test_wrong_names_bodies_and_built_in_roles(server: Server, admin: str) -> None:
    assert code(put(server, admin, definition("N"), "looker")) == (400, "InvalidRoleDefinitionId")
    assert code(put(server, admin, definition("N"), READER)) == (400, "InvalidRoleDefinitionOperation")
    path = f"{GROUP}/{DEFINITIONS}/{READER}"
    assert code(server.call("DELETE", path, admin)) == (400, "InvalidRoleDefinitionOperation")
    for wrong in (b"[]", b"{", b'{"properties": 7}', b"\xff", b"[" * 100_000):
        answer = server.call("PUT", f"{GROUP}/{DEFINITIONS}/{uuid.uuid4()}", admin, data=wrong)
        assert code(answer) == (400, "BadRequestFormat")


def test_who_rules_one_group_makes_no_role_for_another(server: Server, admin: str) -> None:
    """A role is a right at all its scopes: to make or change one takes the right to do so at each."""
    limited = server.token("limited", ("Owner", GROUP))
    both = definition("Both", GROUP, SUBSCRIPTION, actions=["*"])
    assert code(put(server, limited, both)) == (403, "LinkedAuthorizationFailed")
    own = put(server, limited, definition("Own")).json()["name"]
    assert put(server, admin, definition("Own", GROUP, SUBSCRIPTION), own).status_code == 201
    assert code(put(server, limited, definition("Own", actions=["*"]), own)) == (403, "LinkedAuthorizationFailed")
    assert code(server.call("DELETE", f"{GROUP}/{DEFINITIONS}/{own}", limited)) == (403, "LinkedAuthorizationFailed")
    assert server.call("DELETE", f"{GROUP}/{DEFINITIONS}/{own}", admin).status_code == 200
    reader = server.token("mere reader", ("Reader", "/"))
    assert code(put(server, reader, definition("No"))) == (403, "AuthorizationFailed")


def test_a_role_is_not_given_outside_its_scopes(server: Server, admin: str) -> None:
    name = put(server, admin, definition("Inside")).json()["name"]
    given = {
        "properties": {
            "roleDefinitionId": f"{SUBSCRIPTION}/{DEFINITIONS}/{name}",
            "principalId": str(uuid.uuid4()),
            "principalType": "ServicePrincipal",
        }
    }
    outside = server.call("PUT", f"{SUBSCRIPTION}/{ASSIGNMENTS}/{uuid.uuid4()}", admin, json=given)
    assert code(outside) == (400, "RoleDefinitionDoesNotExist")
    inside = f"{VAULT}/{ASSIGNMENTS}/{uuid.uuid4()}"
    assert server.call("PUT", inside, admin, json=given).status_code == 201
    assert server.call("DELETE", inside, admin).status_code == 200
    assert server.call("DELETE", f"{GROUP}/{DEFINITIONS}/{name}", admin).status_code == 200


@pytest.mark.parametrize(
    ("scope", "reaches"),
    [
        ("", {"/", ROOT, SUBSCRIPTION, GROUP, VAULT, CHILD}),
        (ROOT, {ROOT, SUBSCRIPTION, GROUP, VAULT, CHILD}),
        (SUBSCRIPTION, {SUBSCRIPTION, GROUP, VAULT, CHILD}),
        (GROUP, {GROUP, VAULT, CHILD}),
        (VAULT, {VAULT, CHILD}),
    ],
)
def test_an_assignment_at_any_scope_holds_there_and_below(
    server: Server, admin: str, scope: str, reaches: set[str]
) -> None:
    robot = server.run(server.house.principal("robot"))
    path = f"{scope}/{ASSIGNMENTS}/{uuid.uuid4()}"
    given = {
        "properties": {
            "roleDefinitionId": f"/{DEFINITIONS}/{OWNER}",
            "principalId": robot.object_id,
            "principalType": None,
        }
    }
    made = server.call("PUT", path, admin, json=given)
    assert (made.status_code, made.json()["properties"]["scope"]) == (201, scope or "/")
    places = ("/", ROOT, SUBSCRIPTION, GROUP, VAULT, CHILD)
    found = {one for one in places if server.house.identity.allows(robot, READ, one, data=False)}
    assert found == reaches
    for place in places:
        listed = {
            text: [
                one["name"]
                for one in server.call(
                    "GET",
                    f"{place.rstrip('/')}/{ASSIGNMENTS}",
                    admin,
                    params={"api-version": "2022-04-01", "$filter": text},
                    bare=True,
                ).json()["value"]
            ]
            for text in (f"principalId eq '{robot.object_id}'", f"atScope() and assignedTo('{robot.object_id}')")
        }
        name = path.rpartition("/")[2]
        assert [names == [name] for names in listed.values()] == [True, place in reaches], place
    shown = server.call("GET", path, admin).json()
    assert shown["name"] == path.rpartition("/")[2]
    assert server.call("PUT", path, admin, json=given).status_code == 200
    assert server.call("DELETE", path, admin).status_code == 200
    assert server.call("DELETE", path, admin).status_code == 204
    assert server.call("GET", path, admin).status_code == 404
    assert not server.house.identity.allows(robot, READ, GROUP, data=False)


def test_management_groups_and_who_may_move_what(server: Server, admin: str) -> None:
    groups = "/providers/Microsoft.Management/managementGroups"
    outer, inner = f"{groups}/outer", f"{groups}/inner"
    assert server.call("PUT", outer, admin, json={"properties": {"displayName": "Outer"}}).status_code == 200
    parent = {"properties": {"details": {"parent": {"id": outer}}}}
    assert server.call("PUT", inner, admin, json=parent).json()["properties"]["details"]["parent"]["id"] == outer
    loop = {"properties": {"details": {"parent": {"id": inner}}}}
    assert code(server.call("PUT", outer, admin, json=loop)) == (400, "BadRequest")
    lost = {"properties": {"details": {"parent": {"id": f"{groups}/lost"}}}}
    assert code(server.call("PUT", inner, admin, json=lost)) == (404, "NotFound")
    assert {one["name"] for one in server.call("GET", groups, admin).json()["value"]} == {TENANT, "outer", "inner"}

    robot = server.run(server.house.principal("of the group"))
    server.run(server.house.store.put(*role_assignment(ResourceId.parse(outer), robot, "Owner")))
    token = server.house.identity.token_for(robot, "https://management.azure.com")
    member = f"{inner}{SUBSCRIPTION}"
    assert server.call("GET", GROUP, token).status_code == 403
    # Else who owns a group could take any subscription into it, and own that, too.
    assert code(server.call("PUT", member, token, json={})) == (403, "LinkedAuthorizationFailed")
    assert server.call("PUT", member, admin, json={}).status_code == 200
    assert server.call("GET", GROUP, token).status_code == 200
    assert server.call("PUT", f"{outer}{SUBSCRIPTION}", admin, json={}).status_code == 200
    assert server.call("GET", member, admin).status_code == 404, "a subscription is in one group"
    assert server.call("GET", GROUP, token).status_code == 200, "and moved from one straight into the other"
    assert server.call("PUT", member, admin, json={}).status_code == 200
    listed = server.call("GET", f"{GROUP}/{ASSIGNMENTS}?api-version=2022-04-01&$filter=atScope()", token).json()
    assert outer in {one["properties"]["scope"] for one in listed["value"]}
    assert code(server.call("DELETE", outer, admin)) == (400, "BadRequest")
    assert code(server.call("DELETE", inner, admin)) == (400, "BadRequest")
    for way_round in (f"/{inner}", f"//{inner}", f"/./{inner}"):
        assert server.call("DELETE", way_round, admin).status_code in (400, 404), way_round
    assert server.call("GET", inner, admin).status_code == 200
    assert server.call("PUT", f"{groups}/{TENANT}{SUBSCRIPTION}", admin, json={}).status_code == 200
    assert server.call("GET", GROUP, token).status_code == 403
    assert server.call("GET", member, admin).status_code == 404
    for group in (inner, outer):
        assert server.call("DELETE", group, admin).status_code == 204
    assert code(server.call("DELETE", f"{groups}/{TENANT}", admin)) == (400, "BadRequest")
    assert code(server.call("PUT", f"{groups}/bad.", admin, json={})) == (400, "BadRequest")


async def test_simultaneous_moves_leave_a_subscription_in_one_group(house: House) -> None:
    groups = [ResourceId.parse(f"/providers/Microsoft.Management/managementGroups/g{number}") for number in range(5)]
    for group in groups:
        await house.store.put(group, {})
    mover = await house.principal("mover", ("Owner", "/"))
    name = SUBSCRIPTION.rpartition("/")[2]
    manager = house.identity.management_groups
    for _ in range(5):
        moves: list[Awaitable[Any]] = [manager.move(house.store, group, name, mover) for group in groups]
        moves += [house.store.put(group.child("subscriptions", name), {}) for group in groups]  # as templates do
        await asyncio.gather(*moves)
        [member] = house.store.list("Microsoft.Management/managementGroups/subscriptions")
        scopes = [group for group in groups if house.identity.covers(str(group), SUBSCRIPTION)]
        assert [str(scope) for scope in scopes] == [member["properties"]["parent"]["id"]]
    house.db.close()
    again = type(house)(house.folder)
    await again.open()
    assert again.identity.covers(member["properties"]["parent"]["id"], SUBSCRIPTION)
    again.db.close()


def test_a_role_is_read_where_it_can_be_given(server: Server, admin: str) -> None:
    other = f"{SUBSCRIPTION}/resourceGroups/not-there"
    server.run(server.house.store.put(ResourceId.parse(other), {"location": "local"}))
    made = put(server, admin, definition("Only here", GROUP)).json()
    at = f"{DEFINITIONS}/{made['name']}"
    for scope in (GROUP, VAULT, SUBSCRIPTION, ROOT, ""):
        assert server.call("GET", f"{scope}/{at}", admin).json()["properties"]["roleName"] == "Only here", scope
    assert server.call("GET", made["id"], admin).status_code == 200, "its id names the subscription"
    for scope in (other, f"{other}/providers/Microsoft.KeyVault/vaults/v"):
        assert code(server.call("GET", f"{scope}/{at}", admin)) == (404, "RoleDefinitionDoesNotExist"), scope
        assert server.call("DELETE", f"{scope}/{at}", admin).status_code == 204
    assert server.call("GET", f"{other}/{DEFINITIONS}/{READER}", admin).status_code == 200
    assert server.call("DELETE", f"{GROUP}/{at}", admin).status_code == 200


async def test_custom_roles_survive_a_restart_and_come_from_templates(house: House) -> None:
    name = str(uuid.uuid4())
    target = ResourceId.parse(f"{SUBSCRIPTION}/{DEFINITIONS}/{name}")
    await house.store.put(target, definition("From a template"))
    robot = await house.principal("robot")
    given = ResourceId.parse(f"{GROUP}/{ASSIGNMENTS}/{uuid.uuid4()}")
    properties = {"roleDefinitionId": str(target), "principalId": robot.object_id}
    await house.store.put(given, {"properties": properties})
    elsewhere = ResourceId.parse(f"{GROUP}/{DEFINITIONS}/{name}")
    with pytest.raises(WireError, match="exists already"):
        await house.store.put(elsewhere, definition("Twice"))
    house.db.close()
    again = type(house)(house.folder)
    await again.open()
    try:
        assert again.identity.allows(robot, READ, VAULT, data=False)
        await again.store.delete(target)
        assert not again.identity.allows(robot, READ, VAULT, data=False), "a role that is gone allows nothing"
    finally:
        again.db.close()
