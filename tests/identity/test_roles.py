"""Roles: what each allows where, and assignments as resources."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.core.errors import WireError
from lurewire.core.resources import ResourceId
from lurewire.identity import ROLES, role_assignment
from lurewire.identity.access import Permissions
from lurewire.identity.roles import Role

if TYPE_CHECKING:
    from tests.arm.house import House, Server

    from lurewire.core.principal import Principal

SUBSCRIPTION = "/subscriptions/6a5b4c3d-0000-4000-8000-000000000002"
GROUP = f"{SUBSCRIPTION}/resourceGroups/lurewire"
RULE = f"{GROUP}/providers/Microsoft.Insights/dataCollectionRules/dcr-1"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/lurewire-vault"
INGEST = "Microsoft.Insights/Telemetry/Write"
GET_SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
PURGE = "Microsoft.KeyVault/locations/deletedVaults/purge/action"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"

CONTRACT = {
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Microsoft Sentinel Contributor": "ab8e14d6-4a74-4a29-9ba8-549422addade",
    "Microsoft Sentinel Responder": "3e150937-b8fe-4cfb-8069-0eaf05ecd056",
    "Microsoft Sentinel Reader": "8d289c81-5878-46d4-8554-54e1e3d8b5cb",
    "Microsoft Sentinel Playbook Operator": "51d6186e-6489-4900-b93f-92e23144cca5",
    "Microsoft Sentinel Automation Contributor": "f4c81013-99ee-4d62-a7ee-b3f1f648599a",
    "Log Analytics Reader": "73c42c96-874c-492b-b04d-ab87d138a893",
    "Log Analytics Contributor": "92aaf0da-9dab-42b6-94a3-d43ce8d16293",
    "Logic App Contributor": "87a39d53-fc1b-424a-814c-f7e04687dc9e",
    "Logic App Operator": "515c2055-d9d4-4321-b1b9-bd0c9a0f79fe",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Key Vault Administrator": "00482a5a-887f-4fb3-b363-3b7fe8e74483",
    "Key Vault Reader": "21090545-7ca7-4776-b22c-e363652d74d2",
    "Key Vault Contributor": "f25e0fa2-a7c8-4377-a976-54943a77a395",
    "Key Vault Purge Operator": "a68e7c17-0ab2-4c09-9a58-125dae29748c",
    "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Reader": READER,
    "User Access Administrator": "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
    "Managed Identity Operator": "f1a07417-d97a-45cb-824c-7a7467783830",
}

# role, action, data action or not, allowed
DECISIONS = [
    ("Owner", "Microsoft.Authorization/roleAssignments/write", False, True),
    ("Owner", GET_SECRET, True, False),
    ("Contributor", "Microsoft.Logic/workflows/write", False, True),
    ("Contributor", "microsoft.authorization/roleassignments/WRITE", False, False),
    ("Contributor", "Microsoft.Authorization/roleAssignments/read", False, True),
    ("Reader", "Microsoft.Logic/workflows/read", False, True),
    ("Reader", "Microsoft.Logic/workflows/write", False, False),
    ("Reader", "Microsoft.Logic/workflows/reader", False, False),
    ("User Access Administrator", "Microsoft.Authorization/roleAssignments/delete", False, True),
    ("User Access Administrator", "Microsoft.Logic/workflows/write", False, False),
    ("Monitoring Metrics Publisher", INGEST, True, True),
    ("Monitoring Metrics Publisher", INGEST, False, False),
    ("Monitoring Metrics Publisher", "Microsoft.Insights/dataCollectionRules/read", False, False),
    ("Log Analytics Reader", "Microsoft.OperationalInsights/workspaces/query/read", False, True),
    ("Log Analytics Reader", "Microsoft.OperationalInsights/workspaces/sharedKeys/read", False, False),
    ("Log Analytics Contributor", "Microsoft.OperationalInsights/workspaces/tables/write", False, True),
    ("Microsoft Sentinel Reader", "Microsoft.SecurityInsights/incidents/read", False, True),
    ("Microsoft Sentinel Reader", "Microsoft.SecurityInsights/incidents/write", False, False),
    ("Microsoft Sentinel Responder", "Microsoft.SecurityInsights/incidents/write", False, True),
    ("Microsoft Sentinel Responder", "Microsoft.SecurityInsights/incidents/comments/write", False, True),
    ("Microsoft Sentinel Responder", "Microsoft.SecurityInsights/incidents/comments/delete", False, False),
    ("Microsoft Sentinel Responder", "Microsoft.SecurityInsights/alertRules/write", False, False),
    ("Microsoft Sentinel Contributor", "Microsoft.SecurityInsights/alertRules/write", False, True),
    ("Microsoft Sentinel Playbook Operator", "Microsoft.Logic/workflows/read", False, True),
    ("Microsoft Sentinel Automation Contributor", "Microsoft.Logic/workflows/runs/read", False, True),
    ("Logic App Contributor", "Microsoft.Logic/workflows/write", False, True),
    ("Logic App Contributor", "Microsoft.Resources/deployments/write", False, True),
    ("Logic App Operator", "Microsoft.Logic/workflows/enable/action", False, True),
    ("Logic App Operator", "Microsoft.Logic/workflows/write", False, False),
    ("Key Vault Secrets User", GET_SECRET, True, True),
    ("Key Vault Secrets User", "Microsoft.KeyVault/vaults/secrets/setSecret/action", True, False),
    ("Key Vault Secrets Officer", "Microsoft.KeyVault/vaults/secrets/setSecret/action", True, True),
    ("Key Vault Administrator", "Microsoft.KeyVault/vaults/secrets/purge/action", True, True),
    ("Key Vault Administrator", "Microsoft.KeyVault/vaults/delete", False, False),
    ("Key Vault Reader", "Microsoft.KeyVault/vaults/secrets/readMetadata/action", True, True),
    ("Key Vault Reader", GET_SECRET, True, False),
    ("Key Vault Contributor", "Microsoft.KeyVault/vaults/delete", False, True),
    ("Key Vault Contributor", PURGE, False, False),
    ("Key Vault Contributor", GET_SECRET, True, False),
    ("Key Vault Purge Operator", PURGE, False, True),
    ("Key Vault Purge Operator", "Microsoft.KeyVault/vaults/delete", False, False),
]


def assign(
    scope: str, principal: Principal | str, role: str = READER, **more: Any
) -> tuple[ResourceId, dict[str, Any]]:
    oid = principal if isinstance(principal, str) else principal.object_id
    properties = {
        "roleDefinitionId": f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        "principalId": oid,
    }
    target = ResourceId.parse(scope).extension("Microsoft.Authorization", "roleAssignments", str(uuid.uuid4()))
    return target, {"properties": properties | more}


def test_the_table_has_azures_ids_and_its_documentation() -> None:
    assert {role.name: role.id for role in ROLES} == CONTRACT
    assert all(role.url.startswith("https://learn.microsoft.com/") and role.description for role in ROLES)
    assert all(role.actions or role.data_actions for role in ROLES)


@pytest.mark.parametrize(("role", "action", "data", "allowed"), DECISIONS)
async def test_what_each_role_allows(house: House, role: str, action: str, data: bool, allowed: bool) -> None:
    principal = await house.principal("p", (role, GROUP))
    assert house.identity.allows(principal, action, RULE, data=data) is allowed


async def test_a_role_holds_at_its_scope_and_below_without_case(house: House) -> None:
    publisher = await house.principal(
        "publisher", ("Monitoring Metrics Publisher", GROUP.upper().replace("/SUB", "/sub"))
    )

    def may(scope: str) -> bool:
        return house.identity.allows(publisher, INGEST, scope, data=True)

    assert may(GROUP)
    assert may(RULE)
    assert may(RULE.upper())
    assert may(f"{RULE}/")
    assert not may(SUBSCRIPTION)
    assert not may(f"{GROUP}2/providers/Microsoft.Insights/dataCollectionRules/dcr-1")
    assert not may("/")
    assert house.identity.sees(publisher, SUBSCRIPTION)
    assert house.identity.sees(publisher, RULE)
    assert not house.identity.sees(publisher, f"{GROUP}2")


async def test_decisions_follow_assignments_at_once_and_over_a_restart(house: House) -> None:
    principal = await house.principal("p")
    action = "Microsoft.Insights/dataCollectionRules/read"
    assert not house.identity.allows(principal, action, RULE, data=False)
    target, body = assign(GROUP, principal)
    await house.store.put(target, body)
    assert house.identity.allows(principal, action, RULE, data=False)
    again = type(house)(house.folder)
    house.db.close()
    await again.open()
    assert again.identity.allows(principal, action, RULE, data=False)
    assert await again.store.delete(target)
    assert not again.identity.allows(principal, action, RULE, data=False)
    again.db.close()


async def test_putting_the_same_assignment_again_changes_nothing(house: House) -> None:
    principal = await house.principal("p")
    target, body = role_assignment(ResourceId.parse(GROUP), principal, "reader")
    first = await house.store.put(target, body)
    second = await house.store.put(target, body)
    assert first["properties"]["createdOn"] == second["properties"]["createdOn"]
    assert role_assignment(ResourceId.parse(GROUP.upper().replace("/SUB", "/sub")), principal, "Reader")[0] == target
    with pytest.raises(WireError, match="no built-in role 'Emperor'"):
        role_assignment(ResourceId.parse(GROUP), principal, "Emperor")


async def test_wrong_assignments(house: House) -> None:
    principal = await house.principal("p")
    stranger = "b1b1b1b1-0000-4000-8000-000000000000"
    target, body = assign(GROUP, principal)
    await house.store.put(target, body)
    emperor = str(uuid.UUID(int=7))
    contributor = CONTRACT["Contributor"]
    other_role = {"properties": assign(GROUP, principal, contributor)[1]["properties"]}
    cases = [
        (*assign(GROUP, principal), "RoleAssignmentExists", 409),
        (*assign(GROUP, stranger), "PrincipalNotFound", 400),
        (*assign(GROUP, principal, emperor), "RoleDefinitionDoesNotExist", 400),
        (*assign(GROUP, "not a guid"), "BadRequestFormat", 400),
        (*assign(GROUP, principal, contributor, principalType="Robot"), "BadRequestFormat", 400),
        (*assign(GROUP, principal, contributor, condition="@Resource[x] StringEquals 'y'"), "BadRequestFormat", 400),
        (target, other_role, "RoleAssignmentUpdateNotPermitted", 400),
        (target, {}, "BadRequestFormat", 400),
        (
            ResourceId.parse(f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/x"),
            body,
            "InvalidRoleAssignmentId",
            400,
        ),
        (*assign(RULE, principal), "ResourceNotFound", 404),
        (*assign(f"{GROUP}2", principal), "ResourceGroupNotFound", 404),
    ]
    for resource_id, wrong, code, status in cases:
        with pytest.raises(WireError) as caught:
            await house.store.put(resource_id, wrong)
        assert (caught.value.code, caught.value.status) == (code, status)
    known = assign(GROUP, stranger, principalType="ServicePrincipal")
    await house.store.put(*known)


async def test_a_managed_identity_belongs_to_one_life_of_its_resource(house: House) -> None:
    widget = ResourceId.parse(f"{GROUP}/providers/Contoso.Test/widgets/w")
    body = await house.store.put(widget, {"identity": {"type": "SystemAssigned"}, "properties": {}})
    principal = house.identity.managed_identity(widget)
    assert principal is not None
    assert body["identity"] == {
        "type": "SystemAssigned",
        "principalId": principal.object_id,
        "tenantId": principal.tenant_id,
    }
    again = await house.store.put(widget, {"identity": {"type": "SystemAssigned"}, "properties": {"a": 1}})
    assert again["identity"] == body["identity"]
    await house.store.put(*role_assignment(ResourceId.parse(GROUP), principal, "Reader"))
    await house.store.delete(widget)
    assert house.identity.managed_identity(widget) is None
    reborn = (await house.store.put(widget, {"identity": {"type": "SystemAssigned"}}))["identity"]["principalId"]
    assert reborn != principal.object_id
    successor = house.identity.principal(reborn)
    assert successor is not None
    assert not house.identity.allows(successor, "Microsoft.Logic/workflows/read", GROUP, data=False)
    await house.store.put(widget, {"properties": {}})
    assert house.identity.managed_identity(widget) is None
    with pytest.raises(WireError, match="The identity ids must not be null or empty"):
        await house.store.put(widget, {"identity": {"type": "UserAssigned", "userAssignedIdentities": {}}})


def test_role_definitions_and_assignments_over_http(server: Server) -> None:
    token = server.token("admin", ("Owner", SUBSCRIPTION))
    definitions = f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"
    found = server.call(
        "GET", f"{definitions}?api-version=2022-04-01&$filter=roleName eq 'Log Analytics Reader'", token
    )
    [one] = found.json()["value"]
    assert one["name"] == CONTRACT["Log Analytics Reader"]
    assert one["id"] == f"{definitions}/{one['name']}"
    assert "*/read" in one["properties"]["permissions"][0]["actions"]
    assert server.call("GET", f"{definitions}/{one['name']}", token).json() == one
    assert server.call("GET", f"{definitions}/{uuid.uuid4()}", token).status_code == 404
    wrong = server.call("GET", f"{definitions}?api-version=2022-04-01&$filter=name lt 3", token)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "InvalidFilter")

    robot = server.run(server.house.principal("robot"))
    target, body = assign(GROUP, robot)
    created = server.call("PUT", str(target), token, json=body)
    assert created.status_code == 201
    assert created.json()["properties"]["scope"] == GROUP
    assert server.call("PUT", str(target), token, json=body).status_code == 200
    twin = server.call("PUT", str(assign(GROUP, robot)[0]), token, json=body)
    assert (twin.status_code, twin.json()["error"]["code"]) == (409, "RoleAssignmentExists")
    lists = "providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter="
    by_principal = server.call("GET", f"{SUBSCRIPTION}/{lists}principalId eq '{robot.object_id}'", token)
    assert [v["name"] for v in by_principal.json()["value"]] == [target.name]
    at_subscription = server.call("GET", f"{SUBSCRIPTION}/{lists}atScope()", token).json()["value"]
    assert target.name not in [v["name"] for v in at_subscription]
    at_vault = server.call("GET", f"{VAULT}/{lists}atScope() and assignedTo('{robot.object_id}')", token)
    assert [v["name"] for v in at_vault.json()["value"]] == [target.name]
    assert server.call("DELETE", str(target), token).status_code == 200
    assert server.call("DELETE", str(target), token).status_code == 204


@pytest.mark.parametrize(
    ("pattern", "action", "fits"),
    [
        # The role for reading and assigning identities has these two, and no others for it.
        ("ns/ids/*/read", "ns/ids/read", True),
        ("ns/ids/*/assign/action", "ns/ids/assign/action", True),
        ("ns/ids/*/read", "ns/ids/x/y/read", True),
        ("ns/ids/*/read", "ns/idsread", False),
        ("ns/ids/*/read", "ns/other/read", False),
        ("ns/ids/*read", "ns/ids/read", True),
        ("ns/ids*/read", "ns/ids/read", True),
        ("*/read", "ns/ids/read", True),
        ("*/read", "read", False),
        ("ns/*/ids/*/read", "ns/ids/read", True),
        ("ns/*/ids/*/read", "ns/a/ids/b/read", True),
        ("ns/*/*/read", "ns/read", True),
        ("ns/*/*/read", "nsread", False),
        ("ns/*/read", "ns/", False),
        ("ns/ab*ba", "ns/aba", False),
        ("ns/ids/*", "ns/ids", False),
        ("ns/ids/*", "ns/ids/read", True),
        ("**", "ns/ids/read", True),
    ],
)
def test_what_a_star_stands_for(pattern: str, action: str, *, fits: bool) -> None:
    role = Role("r", "", "", "", actions=(pattern,), data_actions=(pattern,))
    assert [Permissions(role).allow(action.upper(), data=data) for data in (False, True)] == [fits, fits]
    but = Role("r", "", "", "", actions=("*",), not_actions=(pattern,))
    assert Permissions(but).allow(action, data=False) is not fits
