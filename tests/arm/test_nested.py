"""Deployments inside deployments, at other scopes, copied, and with symbolic names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.arm import ArmError
from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from tests.arm.house import House
    from tests.arm.templates import (
        GROUP,
        GROUP_ID,
        SCHEMAS,
        SUBSCRIPTION,
        WIDGETS,
        body,
        deploy,
        nested,
        outputs,
        stored,
        symbolic,
        template,
        widget,
    )
else:
    from arm.templates import (
        GROUP,
        GROUP_ID,
        SCHEMAS,
        SUBSCRIPTION,
        WIDGETS,
        body,
        deploy,
        nested,
        outputs,
        stored,
        symbolic,
        template,
        widget,
    )

SUBSCRIPTION_ID = ResourceId.parse(SUBSCRIPTION)
PARAMETER = {"v": {"type": "string"}}


async def test_a_nested_template_with_names_of_its_own_gives_its_outputs(house: House) -> None:
    inside = template(
        widget("[parameters('v')]", {"from": "[variables('w')]"}),
        parameters=PARAMETER,
        variables={"w": "inner"},
        outputs={"serial": {"type": "string", "value": "[reference(parameters('v')).serial]"}},
    )
    what = template(
        widget("last", {"x": "[reference('child').outputs.serial.value]"}),
        nested("child", inside, {"v": "[concat(variables('w'), '1')]"}, scope="inner"),
        variables={"w": "outer"},
        outputs={
            "all": {"type": "object", "value": "[reference('child').outputs]"},
            "state": {
                "type": "string",
                "value": "[reference(resourceId('Microsoft.Resources/deployments', 'child')).provisioningState]",
            },
        },
    )
    done = outputs(await deploy(house, what))
    assert stored(house, "outer1")["from"] == "inner"
    assert stored(house, "last")["x"] == "outer1"
    assert done == {"all": {"serial": {"type": "String", "value": "outer1"}}, "state": "Succeeded"}
    child = house.deployments.get(GROUP_ID, "child")
    assert child["properties"]["parameters"] == {"v": {"type": "String", "value": "outer1"}}
    operations = house.deployments.operations(GROUP_ID, "d1")
    assert [one["properties"]["targetResource"]["resourceName"] for one in operations] == ["child", "last"]


async def test_a_nested_template_without_a_scope_has_the_names_around_it(house: House) -> None:
    inside = template(
        widget("[concat(variables('w'), copyIndex(1))]", {"d": "[deployment().name]"}, copy={"name": "c", "count": 2}),
        widget("b", {"x": "[reference('a').serial]"}),
        variables={"w": "not this"},
        outputs={"w": {"type": "string", "value": "[variables('w')]"}},
    )
    what = template(
        nested("child", inside),
        widget("a"),
        variables={"w": "outer"},
        outputs={"w": {"type": "string", "value": "[reference('child').outputs.w.value]"}},
    )
    assert outputs(await deploy(house, what)) == {"w": "outer"}
    assert [stored(house, name)["d"] for name in ("outer1", "outer2")] == ["d1", "d1"]
    assert stored(house, "b")["x"] == "a"
    # What the nested template deploys is not there yet when the template around it is evaluated.
    late = template(widget("c"), outputs={"c": {"type": "string", "value": "[reference('c').serial]"}})
    failed = await deploy(house, template(nested("child", late)))
    assert "refers to 'c', which is not defined in the template" in json.dumps(failed["error"])


async def test_what_one_nested_deployment_gives_another_takes(house: House) -> None:
    one = template(widget("one"), outputs={"o": {"type": "string", "value": "[reference('one').serial]"}})
    two = template(widget("[concat(parameters('v'), '-two')]"), parameters=PARAMETER)
    what = template(
        nested("second", two, {"v": "[reference('first').outputs.o.value]"}, scope="inner"),
        nested("first", one, scope="inner"),
    )
    assert (await deploy(house, what))["provisioningState"] == "Succeeded"
    assert stored(house, "one-two") is not None


async def test_secrets_stay_secret_in_a_nested_template_that_does_not_know(house: House) -> None:
    inside = template(
        widget("w", {"header": "[parameters('v')]"}),
        parameters=PARAMETER,
        outputs={"o": {"type": "string", "value": "[parameters('v')]"}},
    )
    for scope in ("inner", "outer"):
        inner = nested("child", inside, {"v": "[parameters('key')]"}, scope=scope)
        if scope == "outer":
            inner = nested("child", template(widget("w", {"header": "[parameters('key')]"})), scope=scope)
        what = template(inner, parameters={"key": {"type": "securestring"}})
        assert (await deploy(house, what, {"key": "open-sesame"}))["provisioningState"] == "Succeeded"
        assert stored(house, "w")["header"] == "open-sesame"
        shown = [house.deployments.get(GROUP_ID, "child"), house.deployments.template(GROUP_ID, "child")]
        assert "sesame" not in json.dumps(shown)
        found = house.store.shown(ResourceId.parse(f"{WIDGETS}/w"))
        assert found is not None
        assert "header" not in found["properties"]


async def test_a_subscription_gets_a_group_and_what_is_in_it(house: House) -> None:
    inside = template(
        widget("w", {"place": "[resourceGroup().location]", "id": "[resourceId('A.B/c', 'd')]"}),
        outputs={"group": {"type": "string", "value": "[resourceGroup().name]"}},
    )
    group = {
        "type": "Microsoft.Resources/resourceGroups",
        "apiVersion": "2022-09-01",
        "name": "made",
        "location": "[deployment().location]",
    }
    child = nested("child", inside, scope="inner", resourceGroup="made", dependsOn=["made"])
    what = template(
        child,
        group,
        outputs={
            "id": {"type": "string", "value": "[resourceId('A.B/c', 'd')]"},
            "group": {"type": "string", "value": "[reference('child').outputs.group.value]"},
        },
    ) | {"$schema": f"{SCHEMAS}subscriptionDeploymentTemplate.json#"}
    with pytest.raises(ArmError) as caught:
        await deploy(house, what, at=SUBSCRIPTION_ID)
    assert (caught.value.code, caught.value.status) == ("LocationRequired", 400)
    done = await deploy(house, what, at=SUBSCRIPTION_ID, top={"location": "local"})
    assert outputs(done) == {"id": f"{SUBSCRIPTION}/providers/A.B/c/d", "group": "made"}
    made = house.store.get(ResourceId.parse(f"{SUBSCRIPTION}/resourceGroups/made/providers/Contoso.Test/widgets/w"))
    assert made is not None
    assert made["properties"]["place"] == "local"
    assert made["properties"]["id"] == f"{SUBSCRIPTION}/resourceGroups/made/providers/A.B/c/d"
    assert house.deployments.get(SUBSCRIPTION_ID, "d1")["location"] == "local"
    assert house.deployments.get(ResourceId.parse(f"{SUBSCRIPTION}/resourceGroups/made"), "child")
    wrong = body(template(widget("[resourceGroup().name]"))) | {"location": "local"}
    wrong["properties"]["template"]["$schema"] = what["$schema"]
    with pytest.raises(ArmError, match="not at the scope of a resource group"):
        await house.deployments.deploy(SUBSCRIPTION_ID, "d2", wrong)
    with pytest.raises(ArmError, match="'Complete' is for resource groups"):
        await deploy(house, what, mode="Complete", at=SUBSCRIPTION_ID, top={"location": "local"})
    with pytest.raises(ArmError, match=r"schema is not that of .* subscriptionDeploymentTemplate"):
        await deploy(house, template(), at=SUBSCRIPTION_ID, top={"location": "local"})


async def test_the_tenant_and_a_management_group(house: House) -> None:
    group = {"type": "Microsoft.Management/managementGroups", "apiVersion": "2021-04-01", "name": "mg"}
    what = template(group, outputs={"id": {"type": "string", "value": "[resourceId('A.B/c', 'd')]"}})
    what["$schema"] = f"{SCHEMAS}tenantDeploymentTemplate.json#"
    done = await deploy(house, what, at=None, top={"location": "local"})
    assert outputs(done) == {"id": "/providers/A.B/c/d"}
    at = ResourceId.parse("/providers/Microsoft.Management/managementGroups/mg")
    below = template(outputs={"name": {"type": "string", "value": "[managementGroup().name]"}})
    below["$schema"] = f"{SCHEMAS}managementGroupDeploymentTemplate.json#"
    assert outputs(await deploy(house, below, at=at, top={"location": "local"})) == {"name": "mg"}
    missing = ResourceId.parse("/providers/Microsoft.Management/managementGroups/none")
    with pytest.raises(ArmError) as caught:
        await deploy(house, below, at=missing, top={"location": "local"})
    assert caught.value.code == "ManagementGroupNotFound"


async def test_nested_deployments_that_are_refused_change_nothing(house: House) -> None:
    good = template(widget("w"))
    linked = nested("c", good)
    linked["properties"] |= {"templateLink": {"uri": "https://x.example/t.json"}}
    complete = nested("c", good)
    complete["properties"]["mode"] = "Complete"
    deep = template(widget("w"))
    for level in range(7):
        deep = template(nested(f"c{level}", deep, scope="inner"))
    for what, problem in (
        (template(linked), "either 'template' or 'templateLink', not both"),
        (template(complete), "a nested deployment has the mode 'Incremental'"),
        (template(nested("c", good, resourceGroup="none")), "Resource group 'none' could not be found"),
        (template(nested("c", good, subscriptionId="other", resourceGroup="g")), "'other' could not be found"),
        (template(nested("c", template(widget("a", {"x": "[nope()]"})))), "Nested deployment 'c' at /resources/0"),
        (template(nested("c", good, {"v": 1}, scope="inner")), "do not correspond to any parameters"),
        (template(nested("c", good, {"v": 1})), "has no parameter 'v'"),
        (template(nested("c", good, scope="middle")), "the scope 'middle' is not inner or outer"),
        (template(nested("a/b", good)), "a deployment's name has 1 to 64"),
        (template(nested("c", {"resources": []})), "'$schema' is missing"),
        (deep, "deployments are nested deeper than 5"),
        (symbolic({"c": nested("c", good, scope="outer")}), "the scope 'outer' is not inner"),
    ):
        with pytest.raises(ArmError) as caught:
            await deploy(house, what)
        assert caught.value.code == "InvalidTemplate"
        assert problem in caught.value.message
    assert house.store.list("Contoso.Test/widgets") == []


async def test_a_nested_deployment_that_fails_fails_the_one_around_it(house: House) -> None:
    what = template(nested("c", template(widget("bad", {"explode": 1}))), widget("after", dependsOn=["c"]))
    done = await deploy(house, what)
    assert done["error"]["details"][0]["code"] == "DeploymentFailed"
    assert done["error"]["details"][0]["details"][0]["code"] == "InternalServerError"
    assert house.deployments.get(GROUP_ID, "c")["properties"]["provisioningState"] == "Failed"
    assert stored(house, "after") is None


async def test_the_deployer_needs_the_rights_for_what_is_inside(house: House) -> None:
    writer = await house.principal("writer", ("Contributor", GROUP))
    other = f"{SUBSCRIPTION}/resourceGroups/other"
    await house.store.put(ResourceId.parse(other), {"location": "local"})
    inside = template(widget("w", {"v": "[parameters('v')]"}), parameters=PARAMETER)
    there = template(nested("c", inside, {"v": "x"}, scope="inner", resourceGroup="other"))
    with pytest.raises(ArmError) as caught:
        await deploy(house, there, principal=writer)
    assert caught.value.code == "InvalidTemplateDeployment"
    assert len(caught.value.details) == 2  # the nested deployment and the widget in it
    # Where the parameters are known only while it runs, so are the rights.
    hidden = nested("c", inside, {"v": "[reference('a').serial]"}, scope="inner", resourceGroup="other")
    with pytest.raises(ArmError) as caught:
        await deploy(house, template(widget("a"), hidden), principal=writer)
    await house.store.put(*_deployer(writer.object_id, other))
    done = await deploy(house, template(widget("a"), hidden), principal=writer)
    assert done["error"]["details"][0]["code"] == "AuthorizationFailed"


def _deployer(object_id: str, scope: str) -> tuple[ResourceId, dict[str, Any]]:
    """A role that may deploy and nothing else: Microsoft Sentinel Contributor."""
    role = "/providers/Microsoft.Authorization/roleDefinitions/ab8e14d6-4a74-4a29-9ba8-549422addade"
    at = ResourceId.parse(scope).extension(
        "Microsoft.Authorization", "roleAssignments", "a" * 8 + "-0000-4000-8000-" + "b" * 12
    )
    return at, {"properties": {"roleDefinitionId": role, "principalId": object_id, "principalType": "ServicePrincipal"}}


async def test_loops_of_resources_properties_variables_and_outputs(house: House) -> None:
    what = template(
        widget(
            "[concat('w', copyIndex(10))]",
            {
                "copy": [
                    {
                        "name": "parts",
                        "count": "[add(copyIndex(), 1)]",
                        "input": {"n": "[copyIndex('parts', 1)]", "w": "[copyIndex('all')]", "k": "plain"},
                    }
                ],
                "deep": {"copy": [{"name": "none", "count": 0, "input": 1}]},
                "name": "[variables('names')[copyIndex()]]",
            },
            copy={"name": "all", "count": "[length(variables('names'))]"},
        ),
        widget("after", {"x": "[reference('w11').serial]"}, dependsOn=["all"]),
        widget("waits for none", dependsOn=["empty"]),
        widget("[concat('e', copyIndex())]", copy={"name": "empty", "count": 0}),
        variables={
            "copy": [{"name": "names", "count": 2, "input": "[concat('name', copyIndex('names', 1))]"}],
            "inside": {"copy": [{"name": "list", "count": 2, "input": {"i": "[copyIndex('list')]"}}]},
        },
        outputs={
            "serials": {
                "type": "array",
                "copy": {"count": 2, "input": "[reference(concat('w', copyIndex(10))).serial]"},
            },
            "inside": {"type": "object", "value": "[variables('inside')]"},
        },
    )
    done = await deploy(house, what)
    assert outputs(done) == {"serials": ["w10", "w11"], "inside": {"list": [{"i": 0}, {"i": 1}]}}
    assert stored(house, "w11")["parts"] == [{"n": 1, "w": 1, "k": "plain"}, {"n": 2, "w": 1, "k": "plain"}]
    assert (stored(house, "w10")["deep"], stored(house, "w10")["name"]) == ({"none": []}, "name1")
    waits = {one["resourceName"]: len(one["dependsOn"]) for one in done["dependencies"]}
    assert waits == {"after": 2}
    assert stored(house, "e0") is None


async def test_a_serial_loop_goes_batch_by_batch(house: House) -> None:
    loop = {"name": "all", "count": 5, "mode": "Serial", "batchSize": 2}
    done = await deploy(house, template(widget("[concat('w', copyIndex())]", copy=loop)))
    waits = {one["resourceName"]: {d["resourceName"] for d in one["dependsOn"]} for one in done["dependencies"]}
    assert waits == {"w2": {"w0", "w1"}, "w3": {"w0", "w1"}, "w4": {"w2", "w3"}}


async def test_a_nested_deployment_in_a_loop(house: House) -> None:
    inside = template(widget("[parameters('v')]"), parameters=PARAMETER)
    inner = nested("[concat('c', copyIndex())]", inside, {"v": "[concat('in', copyIndex())]"}, scope="inner")
    outer = nested("[concat('o', copyIndex())]", template(widget("[concat('out', copyIndex('l'))]")))
    loops = [one | {"copy": {"name": name, "count": 2}} for one, name in ((inner, "k"), (outer, "l"))]
    assert (await deploy(house, template(*loops)))["provisioningState"] == "Succeeded"
    assert all(stored(house, name) is not None for name in ("in0", "in1", "out0", "out1"))


async def test_symbolic_names(house: House) -> None:
    await house.store.put(ResourceId.parse(f"{WIDGETS}/there"), {"properties": {"known": "yes"}})
    what = symbolic(
        {
            "last": widget(
                "last",
                {
                    "one": "[reference('first').serial]",
                    "second": "[reference('many[1]').serial]",
                    "all": "[map(references('many'), lambda('m', lambdaVariables('m').serial))]",
                    "full": "[reference('old', '2024-01-01', 'Full').name]",
                },
            ),
            "first": widget(
                "a", resources={"part": {"type": "parts", "apiVersion": "1", "name": "p", "dependsOn": ["first"]}}
            ),
            "many": widget("[format('m{0}', copyIndex())]", copy={"name": "loop", "count": 2}),
            "old": widget("there", existing=True),
            "end": widget("end", dependsOn=["many", "last"]),
            "child": nested(
                "child",
                symbolic({"x": widget("[parameters('v')]")}, parameters=PARAMETER),
                {"v": "[reference('old').known]"},
            ),
        },
        outputs={"known": {"type": "string", "value": "[reference('old').known]"}},
    )
    done = await deploy(house, what)
    assert outputs(done) == {"known": "yes"}
    last = stored(house, "last")
    assert (last["one"], last["second"], last["all"], last["full"]) == ("a", "m1", ["m0", "m1"], "there")
    assert house.store.get(ResourceId.parse(f"{WIDGETS}/a/parts/p"))
    assert stored(house, "yes") is not None
    assert f"{WIDGETS}/there" not in [one["id"] for one in done["outputResources"]]
    targets = [one["properties"]["targetResource"] for one in house.deployments.operations(GROUP_ID, "d1")]
    assert {one.get("symbolicName") for one in targets} >= {"first", "many", "last", "part"}
    with pytest.raises(ArmError, match="the resource 'a' is not defined in the template"):
        await deploy(house, symbolic({"x": widget("x", dependsOn=["a"]), "first": widget("a")}))


async def _key(resource_id: ResourceId) -> dict[str, str]:
    return {"key": f"key of {resource_id.name}"}


async def test_what_lists_keys_is_asked_of_its_room_and_stays_secret(house: House) -> None:
    house.deployments.register_listing("Contoso.Test/widgets", "listKeys", _key)
    what = template(
        widget("w", {"header": "[listKeys('a', '2024-01-01').key]"}),
        widget("a"),
        outputs={"o": {"type": "string", "value": "[listKeys(resourceId('Contoso.Test/widgets', 'a'), '1').key]"}},
    )
    done = await deploy(house, what)
    assert outputs(done) == {"o": None}
    assert stored(house, "w")["header"] == "key of a"
    assert "key of a" not in json.dumps([done, house.store.shown(ResourceId.parse(f"{WIDGETS}/w"))])
    reader = await house.principal("r", ("Logic App Contributor", GROUP))
    connection = {
        "type": "Microsoft.Web/connections",
        "apiVersion": "1",
        "name": "c",
        "properties": {"api": {"id": f"[listKeys('{WIDGETS}/a', '1').key]"}},
    }
    failed = await deploy(house, template(connection), principal=reader)
    assert failed["error"]["details"][0]["code"] == "AuthorizationFailed"
    unknown = await deploy(house, template(widget("x", {"k": "[listSecrets('a', '1')]"}), widget("a")))
    assert "has no action 'listSecrets'" in unknown["error"]["details"][0]["message"]


async def test_who_deploys_types_that_nothing_acts_on_is_told_so(house: House) -> None:
    odd = {"type": "Fabrikam.Odd/things", "apiVersion": "1", "name": "o"}
    site = {"type": "Microsoft.Web/sites", "apiVersion": "1", "name": "s"}
    what = template(widget("w"), odd, odd | {"name": "p"}, site)
    done = await deploy(house, what)
    told = [(one["level"], one["code"], one["target"].rpartition("/")[2]) for one in done["diagnostics"]]
    assert told == [("Warning", "ResourceTypeInert", "o"), ("Warning", "ResourceTypeInert", "s")]
    found = await house.deployments.what_if(GROUP_ID, "d1", body(what))
    assert found["diagnostics"] == done["diagnostics"]
    assert "diagnostics" not in await deploy(house, template(widget("w")))


def function(value: str, **parameters: str) -> dict[str, Any]:
    rows = [{"name": name, "type": kind} for name, kind in parameters.items()]
    return {"parameters": rows, "output": {"type": "string", "value": value}}


async def test_functions_of_the_template(house: House) -> None:
    members = {
        "named": function(
            "[concat(parameters('prefix'), '-', own.text(parameters('number')))]", prefix="string", number="int"
        ),
        "text": function("[string(parameters('n'))]", n="int"),
        "again": function("[own.again()]"),
        "outside": function("[parameters('p')]"),
        "looks": function("[variables('v')]"),
    }
    functions = [{"namespace": "own", "members": members}]
    sections: dict[str, Any] = {
        "functions": functions,
        "variables": {"v": "[own.named('v', 1)]"},
        "parameters": {
            "p": {"type": "string", "defaultValue": "x"},
            "key": {"type": "securestring", "defaultValue": "hush hush"},
        },
    }
    what = template(
        widget(
            "[OWN.named('w', copyIndex())]", {"k": "[own.named(parameters('key'), 1)]"}, copy={"name": "l", "count": 2}
        ),
        outputs={
            "v": {"type": "string", "value": "[variables('v')]"},
            "k": {"type": "string", "value": "[own.named(parameters('key'), 1)]"},
        },
        **sections,
    )
    assert outputs(await deploy(house, what)) == {"v": "v-1", "k": None}
    assert stored(house, "w-1")["k"] == "hush hush-1"
    assert "hush" not in json.dumps(house.store.shown(ResourceId.parse(f"{WIDGETS}/w-1")))
    for call, problem in (
        ("own.named('a', 'b')", "number 2 that is not of the type 'Int'"),
        ("own.named('a')", "expects 2 arguments but was called with 1"),
        ("own.again()", "is called more than 20 deep"),
        ("own.outside()", "defines no such parameter"),
        ("own.looks()", "defines no such variable"),
        ("own.none()", "'own.none' is not defined"),
    ):
        with pytest.raises(ArmError) as caught:
            await deploy(house, template(widget(f"[{call}]"), **sections))
        assert problem in caught.value.message
    for inner in ("inner", "outer"):  # a template's functions are known in an outer one, as all of its names
        child = nested("c", template(widget("[own.named('c', 1)]")), scope=inner)
        if inner == "inner":
            with pytest.raises(ArmError, match=r"'own\.named' is not defined"):
                await deploy(house, template(child, **sections))
        else:
            assert (await deploy(house, template(child, **sections)))["provisioningState"] == "Succeeded"
