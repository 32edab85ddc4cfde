"""What a deployment shows and deletes is what its caller may see and delete; lists show each caller its own."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.arm import ArmError
from lurewire.core.resources import ResourceId, ResourceType

if TYPE_CHECKING:
    from tests.arm.house import House, Server
    from tests.arm.templates import GROUP, GROUP_ID, SUBSCRIPTION, WIDGETS, body, deploy, stored, template, widget

    from lurewire.core.principal import Principal
    from lurewire.core.resources import Change
else:
    from arm.templates import GROUP, GROUP_ID, SUBSCRIPTION, WIDGETS, body, deploy, stored, template, widget

AUTHORIZATION = "providers/Microsoft.Authorization"
DEPLOYS = ("Microsoft.Resources/deployments/*", "Contoso.Test/widgets/write", "Contoso.Test/widgets/delete")


async def with_actions(house: House, *actions: str, name: str = "deployer") -> Principal:
    """An app with a role of its own on the group."""
    principal = await house.principal(name)
    role = ResourceId.parse(f"{GROUP}/{AUTHORIZATION}/roleDefinitions/{uuid.uuid4()}")
    permissions = [{"actions": list(actions), "notActions": [], "dataActions": [], "notDataActions": []}]
    properties = {"roleName": str(uuid.uuid4()), "assignableScopes": [GROUP], "permissions": permissions}
    await house.store.put(role, {"properties": properties})
    given = ResourceId.parse(f"{GROUP}/{AUTHORIZATION}/roleAssignments/{uuid.uuid4()}")
    sent = {"roleDefinitionId": f"{SUBSCRIPTION}/{AUTHORIZATION}/roleDefinitions/{role.name}"}
    await house.store.put(given, {"properties": sent | {"principalId": principal.object_id}})
    return principal


async def test_what_if_shows_nothing_that_the_caller_may_not_read(house: House) -> None:
    await deploy(house, template(widget("named", {"p": "private"}), widget("other", {"p": "private"})))
    deployer = await with_actions(house, *DEPLOYS)
    what = template(widget("named", {"p": "mine"}), widget("new"))
    found = await house.deployments.what_if(GROUP_ID, "d1", body(what), deployer)
    shown = {one["resourceId"].rpartition("/")[2]: one for one in found["changes"]}
    assert set(shown) == {"named", "new"}
    assert shown["named"]["changeType"] == "Deploy"
    assert (shown["named"]["before"], shown["named"]["after"], shown["named"]["delta"]) == (None, None, None)
    assert "private" not in json.dumps(found)

    vaults = await with_actions(house, *DEPLOYS, "Microsoft.KeyVault/vaults/delete", name="cleaner")
    found = await house.deployments.what_if(GROUP_ID, "d1", body(what, mode="Complete"), vaults)
    gone = {
        one["resourceId"].rpartition("/")[2]: one["before"] for one in found["changes"] if one["changeType"] == "Delete"
    }
    assert gone == {"other": None, "lurewire-vault": None}

    reader = await with_actions(house, *DEPLOYS, "*/read", name="reader")
    found = await house.deployments.what_if(GROUP_ID, "d1", body(what), reader)
    assert {one["changeType"] for one in found["changes"]} == {"Modify", "Create", "Ignore"}


async def test_complete_deletes_nothing_new_that_the_caller_may_not_delete(house: House) -> None:
    old = house.widgets.type
    late = ResourceId.parse(f"{GROUP}/providers/Contoso.Test/gadgets/late")

    async def prepare(change: Change) -> dict[str, Any]:
        await house.store.put(late, {"properties": {}})
        return await old.prepare(change)

    await house.store.delete(ResourceId.parse(f"{GROUP}/providers/Microsoft.KeyVault/vaults/lurewire-vault"))
    deployer = await with_actions(house, *DEPLOYS)
    house.store.register(ResourceType(old.type, prepare, old.applied, old.deleted))
    done = await deploy(house, template(widget("w")), mode="Complete", principal=deployer)
    assert done["provisioningState"] == "Failed"
    assert [one["code"] for one in done["error"]["details"]] == ["AuthorizationFailed"]
    assert house.store.get(late) is not None


async def test_a_secret_that_was_listed_is_in_no_error(house: House) -> None:
    async def listing(_resource: ResourceId) -> Any:
        return {"key": "listed-secret-key"}

    house.deployments.register_listing("Contoso.Test/widgets", "listKeys", listing)
    old = house.widgets.type

    async def prepare(change: Change) -> dict[str, Any]:
        if "quote" in change.body["properties"]:
            message = f"the widget cannot take {change.body['properties']['quote']}"
            raise ArmError(message)
        return await old.prepare(change)

    house.store.register(ResourceType(old.type, prepare, old.applied, old.deleted))
    key = "listKeys('w', '1').key"
    what = template(widget("w"), widget("x", {"quote": f"[base64({key})]"}), widget("y", {"quote": f"[fail({key})]"}))
    done = await deploy(house, what)
    messages = json.dumps([done, house.deployments.operations(GROUP_ID, "d1")])
    assert done["provisioningState"] == "Failed"
    assert "the widget cannot take *******" in messages
    assert "ended the deployment: *******" in messages
    assert "listed-secret-key" not in messages
    assert "bGlzdGVkLXNlY3JldC1rZXk" not in messages


async def test_the_defaults_of_secure_parameters_are_not_kept(house: House) -> None:
    declared = {"key": {"type": "securestring", "defaultValue": "default-secret"}}
    definition = {"parameters": {"inner": {"type": "SecureObject", "defaultValue": {"a": "inner-secret"}}}}
    what = template(widget("w", {"key": "[parameters('key')]", "d": definition}), parameters=declared)
    await deploy(house, what, {"key": "given-secret"})
    kept = house.deployments.template(GROUP_ID, "d1")
    assert "-secret" not in json.dumps(kept)
    assert kept["parameters"]["key"]["type"] == "securestring"
    assert stored(house, "w")["key"] == "given-secret"


async def test_tags_as_a_resource_of_a_template_are_refused_and_not_forgotten(house: House) -> None:
    tags = {"type": "Microsoft.Resources/tags", "apiVersion": "2021-04-01", "name": "default"}
    done = await deploy(house, template(tags | {"properties": {"tags": {"a": "b"}}}))
    [error] = done["error"]["details"]
    assert error["code"] == "InvalidRequestContent"
    assert "give the resource or the resource group its 'tags'" in error["message"]


async def test_two_deployments_of_one_name_while_the_first_is_planned(house: House) -> None:
    both = [deploy(house, template(*(widget(f"{one}{at}") for at in range(40)))) for one in "ab"]
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    [refused] = [one for one in outcomes if isinstance(one, ArmError)]
    assert (refused.status, refused.code) == (409, "DeploymentActive")
    assert sum(stored(house, f"{one}0") is not None for one in "ab") == 1


def test_lists_show_each_caller_what_it_may_read(server: Server) -> None:
    owner = server.token("owner", ("Owner", SUBSCRIPTION))
    other = f"{SUBSCRIPTION}/resourceGroups/other-group"
    assert server.call("PUT", other, owner, json={"location": "local"}).status_code == 201
    assert server.call("PUT", f"{WIDGETS}/listed", owner, json={}).status_code in (200, 201)
    mine = server.token("of one group", ("Reader", other))
    reader = server.run(with_actions(server.house, "Microsoft.KeyVault/*/read", name="of one kind"))
    vaults = server.house.identity.token_for(reader, "https://management.azure.com")

    def seen(path: str, token: str) -> set[str]:
        answer = server.call("GET", f"{SUBSCRIPTION}{path}", token)
        assert answer.status_code == 200, answer.text
        return {one["name"] for one in answer.json()["value"]}

    assert seen("/resourcegroups", owner) >= {"lurewire", "other-group"}
    assert seen("/resourcegroups", mine) == {"other-group"}
    assert seen("/resources", owner) >= {"listed", "lurewire-vault"}
    assert seen("/resources", mine) == set()
    assert seen("/resources", vaults) == {"lurewire-vault"}
    nobody = server.token("nobody")
    for path in ("/resourcegroups", "/resources"):
        assert server.call("GET", f"{SUBSCRIPTION}{path}", nobody).json()["error"]["code"] == "AuthorizationFailed"
        assert server.call("GET", f"{SUBSCRIPTION}{path}").status_code == 401
        foreign = f"/subscriptions/{uuid.uuid4()}{path}"
        assert server.call("GET", foreign, nobody).status_code == 403
        assert server.call("GET", foreign, mine).json()["error"]["code"] == "SubscriptionNotFound"


@pytest.mark.parametrize("top", ["0", "x", "1" * 10, "9" * 5000])
def test_tops_that_are_refused(server: Server, top: str) -> None:
    owner = server.token("owner", ("Owner", SUBSCRIPTION))
    answer = server.call("GET", f"{SUBSCRIPTION}/resourcegroups?api-version=1&$top={top}", owner)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidQueryParameterValue")
