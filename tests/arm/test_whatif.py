"""What a deployment would change; the mode Complete; deployments that are canceled, exported and listed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.arm import ArmError
from lurewire.core.resources import ResourceId, ResourceType

if TYPE_CHECKING:
    from tests.arm.house import House, Server
    from tests.arm.templates import (
        GROUP,
        GROUP_ID,
        SUBSCRIPTION,
        WIDGETS,
        body,
        deploy,
        nested,
        stored,
        template,
        widget,
    )

    from lurewire.core.resources import Change
else:
    from arm.templates import GROUP, GROUP_ID, SUBSCRIPTION, WIDGETS, body, deploy, nested, stored, template, widget

DEPLOYMENTS = f"{GROUP}/providers/Microsoft.Resources/deployments"


async def what_if(house: House, what: dict[str, Any], mode: str = "Incremental", **more: Any) -> dict[str, Any]:
    """The changes by the last part of the id, without those that are ignored."""
    sent = body(what, more.pop("parameters", None), mode)
    sent["properties"] |= more.pop("properties", {})
    result = await house.deployments.what_if(GROUP_ID, "d1", sent, **more)
    named = {str(one["resourceId"]).rpartition("/")[2]: one for one in result["changes"]}
    return {name: one for name, one in named.items() if one["changeType"] != "Ignore"} | {
        "diagnostics": result["diagnostics"]
    }


async def test_each_kind_of_change(house: House) -> None:
    await deploy(
        house,
        template(widget("same", {"size": 1}), widget("other", {"size": 1, "list": [1, {"a": 1}], "old": {"x": 1}})),
    )
    what = template(
        widget("same", {"size": 1}),
        widget("other", {"size": 2, "list": [1, {"a": 2}, 3], "new": "[reference('same').serial]"}, tags={"t": "1"}),
        widget("fresh", {"size": 3}),
        widget("skipped", condition=False),
    )
    found = await what_if(house, what)
    assert {name: one["changeType"] for name, one in found.items() if name != "diagnostics"} == {
        "same": "NoChange",
        "other": "Modify",
        "fresh": "Create",
    }
    changes = {one["path"]: one for one in found["other"]["delta"]}
    assert {path: one["propertyChangeType"] for path, one in changes.items()} == {
        "tags": "Create",
        "properties.size": "Modify",
        "properties.list": "Array",
        "properties.old": "Delete",
        "properties.new": "Create",
    }
    assert (changes["properties.size"]["before"], changes["properties.size"]["after"]) == (1, 2)
    assert changes["properties.new"]["after"] == "[reference('same').serial]"
    elements = {one["path"]: one["propertyChangeType"] for one in changes["properties.list"]["children"]}
    assert elements == {"1": "Modify", "2": "Create"}
    assert changes["properties.list"]["children"][0]["children"][0]["path"] == "a"
    assert found["fresh"]["before"] is None
    assert found["fresh"]["after"]["properties"] == {"size": 3}
    assert found["fresh"]["after"]["apiVersion"] == "2024-01-01"
    assert stored(house, "fresh") is None
    assert stored(house, "other")["size"] == 1
    assert not house.deployments.exists(GROUP_ID, "d2")
    short = await what_if(house, what, properties={"whatIfSettings": {"resultFormat": "ResourceIdOnly"}})
    assert short["other"] == {
        "resourceId": f"{WIDGETS}/other",
        "deploymentId": f"{DEPLOYMENTS}/d1",
        "changeType": "Deploy",
    }
    with pytest.raises(ArmError, match="'Everything' is not one of"):
        await what_if(house, what, properties={"whatIfSettings": {"resultFormat": "Everything"}})


async def test_what_each_put_changes_by_itself_is_no_change(house: House) -> None:
    old, count = house.widgets.type, 0

    async def prepare(change: Change) -> dict[str, Any]:
        nonlocal count
        count += 1
        properties = change.body.get("properties") or {}
        if "bad" in properties:
            message = "not now"
            raise ArmError(message)
        return change.body | {"properties": properties | {"changedTime": str(count), "state": "on"}}

    house.store.register(ResourceType(old.type, prepare, old.applied, old.deleted))
    await deploy(house, template(widget("w", {"a": 1})))
    assert (await what_if(house, template(widget("w", {"a": 1}))))["w"]["changeType"] == "NoChange"
    assert [one["path"] for one in (await what_if(house, template(widget("w", {"a": 2}))))["w"]["delta"]] == [
        "properties.a"
    ]
    unknown = (await what_if(house, template(widget("w", {"bad": 1}))))["w"]
    assert [one["path"] for one in unknown["delta"]] == ["properties.bad"]


async def test_a_secret_that_changes_is_a_change_and_is_not_shown(house: House) -> None:
    what = template(
        widget("w", {"key": "[parameters('key')]", "open": "[parameters('key')]"}),
        parameters={"key": {"type": "securestring"}},
    )
    await deploy(house, what, {"key": "first-secret"})
    same = await what_if(house, what, parameters={"key": "first-secret"})
    assert same["w"]["changeType"] == "NoChange"
    other = await what_if(house, what, parameters={"key": "second-secret"})
    assert {(one["path"], one["before"], one["after"]) for one in other["w"]["delta"]} == {
        ("properties.key", "*******", "*******"),
        ("properties.open", "*******", "*******"),
    }
    fresh = await what_if(house, template(widget("new", {"key": "third-secret"})))
    assert fresh["new"]["after"]["properties"]["key"] == "*******"
    assert "-secret" not in json.dumps([same, other, fresh])


async def test_what_is_inside_nested_deployments_is_predicted_where_it_can_be(house: House) -> None:
    inside = template(widget("[parameters('v')]"), parameters={"v": {"type": "string"}})
    what = template(
        nested("known", inside, {"v": "inner"}, scope="inner"),
        nested("unknown", inside, {"v": "[reference('a').serial]"}, scope="inner"),
        widget("a"),
    )
    found = await what_if(house, what)
    assert found["inner"]["deploymentId"] == f"{DEPLOYMENTS}/known"
    [short] = found["diagnostics"]
    assert (short["code"], short["target"]) == ("NestedDeploymentShortCircuited", f"{DEPLOYMENTS}/unknown")


async def test_complete_deletes_what_the_template_does_not_name(house: House) -> None:
    vault = ResourceId.parse(f"{GROUP}/providers/Microsoft.KeyVault/vaults/lurewire-vault")
    await deploy(house, template(widget("keep"), widget("drop"), widget("skipped"), widget("inside")))
    await house.store.put(ResourceId.parse(f"{WIDGETS}/keep/parts/p"), {})
    owner = await house.principal("owner", ("Owner", GROUP))
    what = template(
        widget("keep"),
        widget("skipped", condition=False),
        nested("child", template(widget("inside"))),
    )
    found = await what_if(house, what, "Complete", api_version="2018-05-01")
    assert {name for name, one in found.items() if name != "diagnostics" and one["changeType"] == "Delete"} == {
        "drop",
        "lurewire-vault",
    }
    found = await what_if(house, what, "Complete", api_version="2021-04-01")
    assert found["skipped"]["changeType"] == "Delete"
    assert found["drop"]["before"]["id"] == f"{WIDGETS}/drop"
    incremental = await house.deployments.what_if(GROUP_ID, "d1", body(what))
    ignored = {one["resourceId"] for one in incremental["changes"] if one["changeType"] == "Ignore"}
    assert ignored == {f"{WIDGETS}/drop", f"{WIDGETS}/skipped", str(vault)}
    writer = await house.principal("writer", ("Logic App Contributor", GROUP))
    with pytest.raises(ArmError) as caught:
        await deploy(house, template(), mode="Complete", principal=writer)
    assert caught.value.code == "InvalidTemplateDeployment"
    assert "'Contoso.Test/widgets/delete'" in caught.value.message
    done = await deploy(house, what, mode="Complete", principal=owner, api_version="2018-05-01")
    assert done["mode"] == "Complete"
    assert [body["name"] for body in house.store.list("Contoso.Test/widgets")] == ["keep", "skipped", "inside"]
    assert house.store.get(ResourceId.parse(f"{WIDGETS}/keep/parts/p")), "what stands in a resource is not deleted"
    assert house.store.list("Microsoft.Authorization/roleAssignments"), "nor are extension resources"
    assert house.store.get(vault) is None
    operations = [one["properties"] for one in house.deployments.operations(GROUP_ID, "d1")]
    deleted = [one["targetResource"]["resourceName"] for one in operations if one["provisioningOperation"] == "Delete"]
    assert deleted == ["drop", "lurewire-vault"]


async def test_complete_deletes_nothing_where_something_failed(house: House) -> None:
    await deploy(house, template(widget("drop")))
    done = await deploy(house, template(widget("bad", {"explode": 1})), mode="Complete")
    assert done["provisioningState"] == "Failed"
    assert stored(house, "drop") is not None


async def test_a_running_deployment_is_canceled_before_its_next_resource(house: House) -> None:
    old = house.widgets.type

    async def prepare(change: Change) -> dict[str, Any]:
        house.deployments.cancel(GROUP_ID, "d1")
        with pytest.raises(ArmError, match="still active"):
            await house.deployments.delete(GROUP_ID, "d1")
        return await old.prepare(change)

    house.store.register(ResourceType(old.type, prepare, old.applied, old.deleted))
    done = await deploy(house, template(widget("a"), widget("b")))
    assert done["provisioningState"] == "Canceled"
    assert (stored(house, "a") is not None, stored(house, "b")) == (True, None)
    with pytest.raises(ArmError) as caught:
        house.deployments.cancel(GROUP_ID, "d1")
    assert (caught.value.status, caught.value.code) == (409, "DeploymentCannotBeCancelled")
    with pytest.raises(ArmError, match="could not be found"):
        house.deployments.cancel(GROUP_ID, "none")


def test_over_http(server: Server) -> None:
    owner = server.token("owner", ("Owner", SUBSCRIPTION))
    what = template(widget("http"), parameters={"key": {"type": "securestring", "defaultValue": "default-secret"}})
    sent = json.dumps(body(what)).replace('"template"', "template").encode()  # as azure-cli sends it
    answer = server.call("POST", f"{DEPLOYMENTS}/w/whatIf", owner, data=sent)
    assert (answer.status_code, answer.json()["status"]) == (200, "Succeeded")
    assert {"Create"} <= {one["changeType"] for one in answer.json()["properties"]["changes"]}
    wrong = server.call("POST", f"{DEPLOYMENTS}/w/whatIf", owner, json=body(template(widget("a", {"x": "[nope()]"}))))
    assert (wrong.json()["status"], wrong.json()["error"]["code"]) == ("Failed", "InvalidTemplate")
    reader = server.token("reader", ("Reader", SUBSCRIPTION))
    assert server.call("POST", f"{DEPLOYMENTS}/w/whatIf", reader, data=sent).status_code == 403
    for name in ("w1", "w2", "w3"):
        assert server.call("PUT", f"{DEPLOYMENTS}/{name}", owner, data=sent).status_code == 201
    exported = server.call("POST", f"{DEPLOYMENTS}/w1/exportTemplate", owner)
    assert exported.json()["template"]["resources"] == what["resources"]
    assert "default-secret" not in exported.text
    assert (
        server.call("POST", f"{DEPLOYMENTS}/w1/cancel", owner).json()["error"]["code"] == "DeploymentCannotBeCancelled"
    )
    newest = server.call("GET", f"{DEPLOYMENTS}/?api-version=2021-04-01&$top=2", owner).json()
    assert [len(newest["value"]), "nextLink" in newest] == [2, False]
    failed = f"{DEPLOYMENTS}/?api-version=2021-04-01&$filter=provisioningState eq 'Failed'"
    assert server.call("GET", failed, owner).json()["value"] == []
    at = f"{SUBSCRIPTION}/providers/Microsoft.Resources/deployments"
    subscription = body(template()) | {"location": "local"}
    subscription["properties"]["template"]["$schema"] = "https://x.example/subscriptionDeploymentTemplate.json#"
    made = server.call("PUT", f"{at}/s", owner, json=subscription)
    assert (made.status_code, made.json()["location"]) == (201, "local")
    assert server.call("GET", f"{at}/s/operations", owner).json()["value"] == []
    assert server.call("GET", made.headers["Azure-AsyncOperation"].removeprefix(server.house.url()), owner).json() == {
        "status": "Succeeded"
    }
    tenant = "/providers/Microsoft.Resources/deployments"
    assert server.call("GET", tenant, owner).status_code == 403
    everywhere = server.token("everywhere", ("Owner", "/"))
    assert server.call("GET", tenant, everywhere).json() == {"value": []}
