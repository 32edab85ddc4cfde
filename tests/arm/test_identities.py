"""Identities of resources: their own, and user-assigned ones, which take the right to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from tests.arm.house import ARM, GROUP, WIDGETS, House, Server
    from tests.arm.templates import GROUP_ID, body, deploy, symbolic, widget
else:
    from arm.house import ARM, GROUP, WIDGETS, House, Server
    from arm.templates import GROUP_ID, body, deploy, symbolic, widget

USER_ASSIGNED = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
ONE, TWO = f"{USER_ASSIGNED}/one", f"{USER_ASSIGNED}/two"


@pytest.fixture(scope="module")
def owner(server: Server) -> str:
    token = server.token("identity-owner", ("Owner", "/"))
    for path in (ONE, TWO):
        assert server.call("PUT", path, token, json={"location": "local"}).status_code == 201
    return token


def put(server: Server, token: str, name: str, identity: Any, **more: Any) -> Any:
    return server.call("PUT", f"{WIDGETS}/{name}", token, json={"properties": {}, "identity": identity} | more)


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_identities_come_and_go(server: Server, owner: str) -> None:
    principal = server.call("GET", ONE, owner).json()["properties"]
    made = put(server, owner, "u", {"type": "userassigned", "userAssignedIdentities": {ONE: {}}}).json()
    ids = {key: principal[key] for key in ("principalId", "clientId")}
    assert made["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {ONE: ids}}
    again = put(server, owner, "u", made["identity"]).json()
    assert again["identity"] == made["identity"]
    both = {"type": "SystemAssigned,UserAssigned", "userAssignedIdentities": {ONE: None, TWO: {}}}
    shown = put(server, owner, "u", both).json()["identity"]
    assert shown["type"] == "SystemAssigned, UserAssigned"
    assert set(shown) == {"type", "principalId", "tenantId", "userAssignedIdentities"}
    assert list(shown["userAssignedIdentities"]) == [TWO]
    own = ResourceId.parse(f"{WIDGETS}/u")
    assert server.house.identity.managed_identity(own) is not None
    put(server, owner, "u", {"type": "UserAssigned", "userAssignedIdentities": {TWO: {}}})
    assert server.house.identity.managed_identity(own) is None
    changed = server.call("PATCH", f"{WIDGETS}/u", owner, json={"identity": {"type": "None"}}).json()
    assert changed["identity"]["type"] == "None"
    assert server.house.identity.managed_identity(ResourceId.parse(TWO)) is not None


@pytest.mark.parametrize(
    ("identity", "wrong"),
    [
        ({"type": "Shared"}, "InvalidIdentityType"),
        ({"type": "SystemAssigned, None"}, "InvalidIdentityType"),
        ({"type": "UserAssigned"}, "MissingIdentityIds"),
        ({"type": "UserAssigned", "userAssignedIdentities": {ONE: None}}, "MissingIdentityIds"),
        ({"type": "UserAssigned", "userAssignedIdentities": [ONE]}, "InvalidIdentityValues"),
        ({"type": "UserAssigned", "userAssignedIdentities": {ONE: {"role": "Owner"}}}, "InvalidIdentityValues"),
        ({"type": "SystemAssigned", "userAssignedIdentities": {ONE: {}}}, "InvalidIdentityValues"),
        ({"type": "UserAssigned", "userAssignedIdentities": {"one": {}}}, "LinkedInvalidPropertyId"),
        ({"type": "UserAssigned", "userAssignedIdentities": {f"{WIDGETS}/u": {}}}, "LinkedInvalidPropertyId"),
        ({"type": "UserAssigned", "userAssignedIdentities": {f"{USER_ASSIGNED}/x": {}}}, "FailedIdentityOperation"),
    ],
)
def test_identities_that_are_refused(server: Server, owner: str, identity: Any, wrong: str) -> None:
    assert code(put(server, owner, "refused", identity)) == (400, wrong)
    assert server.call("GET", f"{WIDGETS}/refused", owner).status_code == 404


def test_an_identity_has_no_identity_that_could_be_taken_away_from_it(server: Server, owner: str) -> None:
    sent = {"location": "local", "identity": {"type": "SystemAssigned"}}
    assert code(server.call("PUT", ONE, owner, json=sent)) == (400, "InvalidIdentityType")
    assert server.call("PUT", ONE, owner, json={"location": "local", "identity": {"type": "None"}}).status_code == 200
    assert server.house.identity.managed_identity(ResourceId.parse(ONE)) is not None


def test_a_custom_role_may_name_the_right_as_microsofts_pages_do(server: Server, owner: str) -> None:
    pattern = "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action"
    role = "0e5a0c0e-0000-4000-8000-00000000a552"
    path = f"{GROUP}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    allowed = {"actions": ["Contoso.Test/widgets/*", pattern], "notActions": []}
    body = {"roleName": "Assigner", "type": "CustomRole", "permissions": [allowed], "assignableScopes": [GROUP]}
    assert server.call("PUT", path, owner, json={"properties": body}).status_code == 201
    assigner = grant(server, owner, "assigner", role)
    wanted = {"type": "UserAssigned", "userAssignedIdentities": {ONE: {}}}
    assert put(server, assigner, "assigned", wanted).status_code == 201


def grant(server: Server, owner: str, name: str, role: str, *grants: tuple[str, str]) -> str:
    """A token of a new app with a custom role on the group."""
    principal = server.run(server.house.principal(name, *grants))
    properties = {
        "principalId": principal.object_id,
        "roleDefinitionId": f"{GROUP}/providers/Microsoft.Authorization/roleDefinitions/{role}",
    }
    path = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{principal.object_id}"
    assert server.call("PUT", path, owner, json={"properties": properties}).status_code == 201
    return server.house.identity.token_for(principal, ARM)


def test_who_assigns_an_identity_needs_the_right_to_it(server: Server, owner: str) -> None:
    writer = {"actions": ["Contoso.Test/widgets/*"], "notActions": []}
    role = "0e5a0c0e-0000-4000-8000-00000000a551"
    path = f"{GROUP}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    body = {"roleName": "Widget writer", "type": "CustomRole", "permissions": [writer], "assignableScopes": [GROUP]}
    assert server.call("PUT", path, owner, json={"properties": body}).status_code == 201
    widgets = grant(server, owner, "widget-writer", role)
    wanted = {"type": "UserAssigned", "userAssignedIdentities": {ONE: {}}}
    refused = put(server, widgets, "linked", wanted)
    assert code(refused) == (403, "LinkedAuthorizationFailed")
    assert "userAssignedIdentities/assign/action" in refused.json()["error"]["message"]
    # Also for one that is not there: who may not assign does not learn which there are.
    nobody = {"type": "UserAssigned", "userAssignedIdentities": {f"{USER_ASSIGNED}/x": {}}}
    assert code(put(server, widgets, "linked", nobody)) == (403, "LinkedAuthorizationFailed")
    operator = grant(server, owner, "operator", role, ("Managed Identity Operator", ONE))
    assert put(server, operator, "linked", wanted).status_code == 201
    two = {"type": "UserAssigned", "userAssignedIdentities": {ONE: {}, TWO: {}}}
    assert code(put(server, operator, "linked", two)) == (403, "LinkedAuthorizationFailed")
    # Tags can be changed by who may not assign: that names no identity.
    assert server.call("PATCH", f"{WIDGETS}/linked", widgets, json={"tags": {"a": "b"}}).status_code == 200
    assert code(server.call("PATCH", f"{WIDGETS}/linked", widgets, json={"identity": wanted}))[0] == 403


async def test_a_template_makes_and_assigns_one(house: House) -> None:
    kind = "Microsoft.ManagedIdentity/userAssignedIdentities"
    made = {"type": kind, "apiVersion": "2023-01-31", "name": "made", "location": "local"}
    given = {
        "type": "UserAssigned",
        "userAssignedIdentities": {f"[format('{{0}}', resourceId('{kind}', 'made'))]": {}},
    }
    what = symbolic(
        {"made": made, "w": widget("w", identity=given, dependsOn=["made"])},
        outputs={"id": {"type": "string", "value": "[reference('made').principalId]"}},
    )
    done = await deploy(house, what)
    assert done["provisioningState"] == "Succeeded", done
    [shown] = (house.store.get(ResourceId.parse(f"{WIDGETS}/w")) or {})["identity"]["userAssignedIdentities"].values()
    assert shown["principalId"] == done["outputs"]["id"]["value"]


@pytest.mark.parametrize("kind", ["SystemAssigned", "SystemAssigned,UserAssigned"])
async def test_what_is_deployed_again_changes_no_identity(house: House, kind: str) -> None:
    await house.store.put(ResourceId.parse(ONE), {"location": "local"})
    identity: dict[str, Any] = {"type": kind} | ({"userAssignedIdentities": {ONE: {}}} if "User" in kind else {})
    sent = body(symbolic({"w": widget("w", identity=identity)}))
    await house.deployments.deploy(GROUP_ID, "d1", sent)
    predicted = await house.deployments.what_if(GROUP_ID, "d1", sent)
    assert [one["changeType"] for one in predicted["changes"] if one["resourceId"].endswith("/w")] == ["NoChange"]
    await house.store.put(ResourceId.parse(TWO), {"location": "local"})
    other = {"type": "UserAssigned", "userAssignedIdentities": {TWO: {}}}
    predicted = await house.deployments.what_if(GROUP_ID, "d1", body(symbolic({"w": widget("w", identity=other)})))
    assert [one["changeType"] for one in predicted["changes"] if one["resourceId"].endswith("/w")] == ["Modify"]
