"""Template deployments: order, references, outputs, secrets, and what is refused before anything is changed."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.arm import ArmError
from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from tests.arm.house import House

SUBSCRIPTION = "/subscriptions/6a5b4c3d-0000-4000-8000-000000000002"
GROUP = f"{SUBSCRIPTION}/resourceGroups/lurewire"
GROUP_ID = ResourceId.parse(GROUP)
WIDGETS = f"{GROUP}/providers/Contoso.Test/widgets"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/lurewire-vault"
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"


def template(*resources: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": list(resources)} | sections


def widget(name: str, properties: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    base = {"type": "Contoso.Test/widgets", "apiVersion": "2024-01-01", "name": name, "properties": properties or {}}
    return base | more


async def deploy(house: House, what: dict[str, Any], parameters: dict[str, Any] | None = None, **more: Any) -> Any:
    values = {name: {"value": value} for name, value in (parameters or {}).items()}
    body = {"properties": {"mode": "Incremental", "template": what, "parameters": values}}
    return (await house.deployments.deploy(GROUP_ID, "d1", body, **more))["properties"]


async def refused(house: House, what: dict[str, Any], parameters: dict[str, Any] | None = None) -> ArmError:
    """The error of a deployment that changes nothing."""
    before = len(house.store.list("Contoso.Test/widgets"))
    with pytest.raises(ArmError) as caught:
        await deploy(house, what, parameters)
    assert len(house.store.list("Contoso.Test/widgets")) == before
    assert not house.deployments.exists(GROUP_ID, "d1")
    return caught.value


def put_order(house: House) -> list[str]:
    """Names in the order in which they were stored."""
    return [body["name"] for body in house.store.list("Contoso.Test/widgets")]


async def test_a_playbook_like_template(house: House) -> None:
    """Connection, workflow with an identity, and a role for it on the vault: what playbook templates do."""
    what = template(
        {
            "type": "Microsoft.Authorization/roleAssignments",
            "apiVersion": "2022-04-01",
            "name": "[guid(resourceGroup().id, parameters('name'))]",
            "scope": "[concat('Microsoft.KeyVault/vaults/', parameters('vault'))]",
            "dependsOn": ["[resourceId('Contoso.Test/widgets', parameters('name'))]"],
            "properties": {
                "roleDefinitionId": f"[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{SECRETS_USER}')]",
                "principalId": "[reference(resourceId('Contoso.Test/widgets', parameters('name')), '2024-01-01', 'Full').identity.principalId]",
                "principalType": "ServicePrincipal",
            },
        },
        widget(
            "[parameters('name')]",
            {
                "connection": "[resourceId('Microsoft.Web/connections', variables('connection'))]",
                "template": "[[keep('brackets')]",
                "[variables('connection')]": "a key too",
                "key": "[parameters('API_KEY')]",
            },
            location="[resourceGroup().location]",
            identity={"type": "SystemAssigned"},
            tags={"hidden-SentinelTemplateName": "x"},
            dependsOn=["[resourceId('Microsoft.Web/connections', variables('connection'))]"],
        ),
        {
            "type": "MICROSOFT.WEB/CONNECTIONS",
            "apiVersion": "2016-06-01",
            "name": "[variables('connection')]",
            "location": "[resourceGroup().location]",
            "kind": "V1",
            "properties": {
                "displayName": "[variables('connection')]",
                "parameterValueType": "Alternative",
                "api": {
                    "id": "[concat('/subscriptions/', subscription().subscriptionId, '/providers/Microsoft.Web/locations/', resourceGroup().location, '/managedApis/azuresentinel')]"
                },
            },
        },
        parameters={
            "name": {"type": "string", "defaultValue": "IPInsights-Enrich-Incident"},
            "vault": {"type": "String"},
            "API_KEY": {"type": "securestring"},
        },
        variables={"connection": "[concat('azuresentinel-', parameters('name'))]"},
        outputs={
            "principal": {
                "type": "string",
                "value": "[reference(parameters('name'), '2024-01-01', 'full').identity.principalId]",
            },
            "serial": {"type": "string", "value": "[reference(parameters('name')).serial]"},
            "statuses": {"type": "array", "value": "[reference(variables('connection')).statuses]"},
            "leak": {"type": "string", "value": "[concat('key=', parameters('API_KEY'))]"},
            "safe": {"type": "securestring", "value": "[parameters('API_KEY')]"},
        },
    )
    key = "sk-4711-secret-key"
    done = await deploy(house, what, {"vault": "lurewire-vault", "api_key": key})
    assert done["provisioningState"] == "Succeeded", done
    name = "IPInsights-Enrich-Incident"
    stored = house.store.get(ResourceId.parse(f"{WIDGETS}/{name}"))
    assert stored is not None
    assert stored["location"] == "local"
    assert stored["properties"]["connection"] == f"{GROUP}/providers/Microsoft.Web/connections/azuresentinel-{name}"
    assert stored["properties"]["template"] == "[keep('brackets')]"
    assert stored["properties"][f"azuresentinel-{name}"] == "a key too"
    assert stored["properties"]["key"] == key
    assert done["outputs"] == {
        "principal": {"type": "String", "value": stored["identity"]["principalId"]},
        "serial": {"type": "String", "value": name},
        "statuses": {"type": "Array", "value": [{"status": "Connected"}]},
        "leak": {"type": "String"},
        "safe": {"type": "SecureString"},
    }
    assert done["parameters"] == {
        "name": {"type": "String", "value": name},
        "vault": {"type": "String", "value": "lurewire-vault"},
        "API_KEY": {"type": "SecureString"},
    }
    principal = house.identity.principal(stored["identity"]["principalId"])
    assert principal is not None
    action = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
    assert house.identity.allows(principal, action, f"{VAULT}/secrets/any", data=True)
    assert not house.identity.allows(principal, action, GROUP, data=True)
    assert key not in json.dumps(house.deployments.get(GROUP_ID, "d1"))
    assert key not in json.dumps(house.deployments.operations(GROUP_ID, "d1"))
    stored_bytes = b"".join(file.read_bytes() for file in house.folder.glob("control.db*"))
    assert key.encode() not in stored_bytes
    again = await deploy(house, what, {"vault": "lurewire-vault", "api_key": key})
    assert again["provisioningState"] == "Succeeded"


async def test_order_follows_dependencies_then_the_template(house: House) -> None:
    what = template(
        widget("c", {"x": "[reference('b').serial]"}),
        widget("e", dependsOn=["d", "Contoso.Test/widgets/a"]),
        widget("a"),
        widget("b", {"y": "[reference(resourceId('Contoso.Test/widgets', 'a')).serial]"}),
        widget("d", dependsOn=["[resourceId('Contoso.Test/widgets', 'c')]"]),
    )
    done = await deploy(house, what)
    assert done["provisioningState"] == "Succeeded", done
    assert put_order(house) == ["a", "b", "c", "d", "e"]
    assert house.widgets.applied[f"{WIDGETS}/c".lower()]["properties"]["x"] == "b"
    depends = {d["resourceName"]: [one["resourceName"] for one in d["dependsOn"]] for d in done["dependencies"]}
    assert depends == {"b": ["a"], "c": ["b"], "d": ["c"], "e": ["a", "d"]}


async def test_a_reference_hidden_behind_another_is_still_waited_for(house: House) -> None:
    what = template(
        widget("z", {"x": "[concat(reference('a').serial, reference('b').serial)]"}), widget("b"), widget("a")
    )
    assert (await deploy(house, what))["provisioningState"] == "Succeeded"
    assert house.widgets.applied[f"{WIDGETS}/z".lower()]["properties"]["x"] == "ab"


async def test_children_nested_extended_and_in_the_older_form(house: House) -> None:
    nested = {"type": "parts", "apiVersion": "1", "name": "inner", "dependsOn": ["outer"]}
    older = {
        "type": "Contoso.Test/widgets/providers/roleAssignments",
        "apiVersion": "2022-04-01",
        "name": "[concat('outer/Microsoft.Authorization/', guid('x'))]",
        "dependsOn": ["outer"],
        "properties": {
            "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{SECRETS_USER}",
            "principalId": str(uuid.uuid4()),
            "principalType": "ServicePrincipal",
        },
    }
    named = {"type": "Contoso.Test/widgets/parts", "apiVersion": "1", "name": "outer/second", "dependsOn": ["outer"]}
    done = await deploy(house, template(widget("outer", resources=[nested]), older, named))
    assert done["provisioningState"] == "Succeeded", done
    assert [one["name"] for one in house.store.list("Contoso.Test/widgets/parts")] == ["inner", "second"]
    [assignment] = house.store.list("Microsoft.Authorization/roleAssignments")
    assert assignment["properties"]["scope"] == f"{WIDGETS}/outer"


async def test_conditions_and_parameter_types(house: House) -> None:
    what = template(
        widget("[parameters('names')[0]]", {"size": "[parameters('size')]", "o": "[parameters('o').a]"}),
        widget("skipped", {"x": "[reference('nowhere')]"}, condition="[parameters('more')]"),
        widget("waits", dependsOn=["skipped"]),
        parameters={
            "names": {"type": "array", "minLength": 1},
            "size": {"type": "int", "allowedValues": [1, 2], "defaultValue": 2},
            "more": {"type": "bool", "defaultValue": "[equals(parameters('size'), 1)]"},
            "o": {"type": "secureObject"},
            "maybe": {"type": "string", "nullable": True},
        },
        outputs={"o": {"type": "secureobject", "value": "[parameters('o')]", "condition": "[parameters('more')]"}},
    )
    done = await deploy(house, what, {"names": ["n"], "o": {"a": "hush hush"}})
    assert done["provisioningState"] == "Succeeded", done
    assert put_order(house) == ["n", "waits"]
    assert done["outputs"] == {}
    assert "hush" not in json.dumps(done)
    for parameters, problem in (
        ({"names": ["n"]}, "parameter 'o' is not provided"),
        ({"names": [], "o": {}}, "is shorter than 'minLength' 1 allows, at /parameters/names"),
        ({"names": "n", "o": {}}, "not of the type 'Array', at /parameters/names"),
        ({"names": ["n"], "o": {}, "size": 3}, "not part of the allowed values, at /parameters/size"),
        ({"names": ["n"], "o": {}, "size": True}, "not of the type 'Int'"),
        (
            {"names": ["n"], "o": {}, "colour": "red"},
            "do not correspond to any parameters defined in the template: 'colour'",
        ),
    ):
        with pytest.raises(ArmError, match=re.escape(problem)) as caught:
            await deploy(house, what, parameters)
        assert caught.value.code == "InvalidTemplate"


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ({"resources": []}, "the required property '$schema' is missing"),
        (template() | {"$schema": "https://x.example/subscriptionDeploymentTemplate.json#"}, "schema is not that of"),
        (template(definitions={}), "'definitions' needs languageVersion 2.0"),
        (template(functions={}), "'functions' must be an array"),
        (template(functions=[{"namespace": "a"}]), "functions have the form {namespace, members}"),
        (template(functions=[{"namespace": "a", "members": {"b": {}}}]), "a function has the form"),
        (template(widget("[a.b()]")), "'a.b' is not defined"),
        (template(languageVersion="2.1-experimental"), "'languageVersion' is not supported"),
        (template(languageVersion="2.0"), "'resources' must be an object"),
        (template() | {"resources": {}}, "symbolic names need languageVersion 2.0"),
        (template(variables={"copy": 1}), "'copy' must be an array of loops, at /variables/copy"),
        (template(variables={"copy": [{"count": 1}]}), "at /variables/copy/0"),
        (template(variables={"a": 1, "copy": [{"name": "A", "count": 1, "input": 1}]}), "differ only in case"),
        (template(widget("a", copy={"name": "c", "count": 2})), "is defined twice, first at /resources/0"),
        (template(widget("a", copy={"name": "c"})), "the loop of a resource has the form"),
        (template(widget("a", copy={"name": "c", "count": 801})), "'count' must be an integer from 0 to 800"),
        (template(widget("a", copy={"name": "c", "count": "[reference('b').x]"}), widget("b")), "not expected at this"),
        (
            template(widget("a", copy={"name": "c", "count": 1, "batchSize": 1})),
            "'batchSize' belongs to the mode Serial",
        ),
        (template(widget("a", copy={"name": "c", "count": 1, "mode": "fast"})), "its 'mode' is Parallel or Serial"),
        (template(widget("a", copy={"name": "c", "count": 1, "times": 2})), "'times' is not supported in the loop"),
        (template(widget("a", {"copy": [{"name": "x", "count": 2}]})), "a loop has the form {name, count, input}"),
        (template(widget("a", {"x": "[copyIndex('none')]"})), "no loop 'none' is around it"),
        (
            template(widget("a", resources=[{"type": "parts", "apiVersion": "1", "name": "p", "copy": {"count": 1}}])),
            "a resource inside another one cannot be copied",
        ),
        (template(widget("a", existing=True)), "'existing' is true or false, and needs languageVersion 2.0"),
        (template(widget("a", resourceGroup="g")), "'resourceGroup' is for nested deployments"),
        (template({"type": "a/b", "name": "x"}), "needs an 'apiVersion'"),
        (template(widget("a/b")), "takes 1 names, and there are 2"),
        (template(widget("")), "'name' must be a string that is not empty"),
        (template(widget("a"), widget("A")), "is defined twice, first at /resources/0"),
        (template(widget("a", dependsOn=["b"])), "the resource 'b' is not defined in the template"),
        (template(widget("a", dependsOn=["a"])), "circular dependency detected"),
        (
            template(
                widget("a", dependsOn=["b"]), widget("b", {"x": "[reference('c').x]"}), widget("c", dependsOn=["a"])
            ),
            f"circular dependency detected: {WIDGETS}/a -> {WIDGETS}/b -> {WIDGETS}/c -> {WIDGETS}/a",
        ),
        (template(widget("a", {"x": "[pickZones('y', 'z', '1')]"})), "'pickZones' exists in Azure"),
        (template(widget("a", {"deep": [{"x": "[nope()]"}]})), "at /resources/0/properties/deep/0/x"),
        (template(widget("a", {"x": "[concat('a',]"})), "at /resources/0/properties/x"),
        (template(widget("a", {"x": "[parameters('p')]"})), "defines no such parameter"),
        (
            template(widget("a", {"x": "[reference('b')]", "y": "[parameters('p')]"}), widget("b")),
            "/resources/0/properties/y",
        ),
        (template(widget("[reference('b').x]"), widget("b")), "is not expected at this location"),
        (
            template(widget("[variables('v')]"), variables={"v": "[reference('b').x]"}),
            "is not expected at this location",
        ),
        (
            template(widget("[variables('a')]"), variables={"a": "[variables('b')]", "b": "[variables('a')]"}),
            "a -> b -> a",
        ),
        (template(widget("a", condition="maybe")), "'condition' must be true or false"),
        (template(widget("a") | {"type": "Microsoft.Resources/deployments"}), "a nested deployment needs a 'template'"),
        (template(parameters={"p": {"type": "text"}}), "the type 'text' is not one of"),
        (template(parameters={"p": {"$ref": "x"}}), "'$ref' needs languageVersion 2.0"),
        (template(outputs={"o": {"type": "string"}}), "an output needs a 'value' or a 'copy', at /outputs/o"),
        (template(outputs={"o": {"type": "array", "copy": {"count": 1}}}), "the loop of an output has the form"),
        (template(*(widget(f"w{i}") for i in range(801))), "more than the limit of 800"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
async def test_templates_that_are_refused_change_nothing(house: House, what: dict[str, Any], problem: str) -> None:
    error = await refused(house, what)
    assert (error.code, error.status) == ("InvalidTemplate", 400)
    assert problem in error.message


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        ({"mode": "Partial", "template": template()}, "mode 'Partial' is not supported"),
        ({"template": template()}, "mode '' is not supported"),
        ({"mode": "Incremental", "templateSpec": {}}, "'templateSpec' is not supported"),
        ({"mode": "Incremental"}, "needs a 'template'"),
    ],
)
async def test_deployments_that_are_refused(house: House, properties: dict[str, Any], problem: str) -> None:
    with pytest.raises(ArmError) as caught:
        await house.deployments.deploy(GROUP_ID, "d1", {"properties": properties})
    assert caught.value.code == "InvalidDeployment"
    assert problem in caught.value.message


async def test_a_failed_resource_fails_its_dependents_and_no_others(house: House) -> None:
    key = "hunter2-very-secret"
    what = template(
        widget("bad", {"explode": "[parameters('key')]"}),
        widget("after", dependsOn=["bad"]),
        widget("also", {"x": "[reference('after').serial]"}),
        {"type": "Contoso.Test/widgets/parts", "apiVersion": "1", "name": "none/p"},
        widget("good"),
        parameters={"key": {"type": "securestring"}},
        outputs={"o": {"type": "string", "value": "x"}},
    )
    done = await deploy(house, what, {"key": key})
    assert done["provisioningState"] == "Failed"
    assert done["error"]["code"] == "DeploymentFailed"
    assert [(d["code"], d["target"].rpartition("/")[2]) for d in done["error"]["details"]] == [
        ("InternalServerError", "bad"),
        ("ParentResourceNotFound", "p"),
    ]
    assert put_order(house) == ["good"]
    assert "outputs" not in done or done["outputs"] == {}
    operations = house.deployments.operations(GROUP_ID, "d1")
    states = {o["properties"]["targetResource"]["resourceName"]: o["properties"]["statusCode"] for o in operations}
    assert states == {"bad": "InternalServerError", "none/p": "NotFound", "good": "Created"}


async def test_secrets_do_not_leave_by_errors(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    key = 'p"w\\d-\nvery secret'
    what = template(
        widget("bad", {"explode": "[parameters('key')]"}),
        widget("worse", {"x": "[int(parameters('key'))]"}),
        parameters={"key": {"type": "securestring"}},
    )
    with pytest.raises(ArmError) as caught:
        await deploy(house, what, {"key": key})
    assert "very secret" not in caught.value.message
    what["resources"].pop()
    done = await deploy(house, what, {"key": key})
    shown = json.dumps([done, house.deployments.operations(GROUP_ID, "d1")])
    assert "very secret" not in shown
    captured = capsys.readouterr()
    assert "resource of a deployment failed" in captured.out + captured.err
    assert "very secret" not in captured.out + captured.err


async def test_a_secret_in_a_property_that_its_type_does_not_hide_is_hidden_all_the_same(house: House) -> None:
    what = template(
        widget("w", {"headers": [{"[variables('h')]": "[concat('Bearer ', parameters('key'))]"}], "plain": "shown"}),
        parameters={"key": {"type": "securestring"}},
        variables={"h": "Authorization"},
        outputs={"o": {"type": "object", "value": "[reference('w')]"}},
    )
    done = await deploy(house, what, {"key": "open-sesame"})
    assert done["provisioningState"] == "Succeeded", done
    target = ResourceId.parse(f"{WIDGETS}/w")
    shown = house.store.shown(target)
    assert shown is not None
    assert shown["properties"]["headers"] == [{}]
    assert shown["properties"]["plain"] == "shown"
    whole = house.store.get(target)
    assert whole is not None
    assert whole["properties"]["headers"] == [{"Authorization": "Bearer open-sesame"}]
    assert "sesame" not in json.dumps(done)
    defaulted = template(
        widget("v"),
        parameters={"key": {"type": "securestring"}, "url": {"type": "string", "defaultValue": "[parameters('key')]"}},
    )
    assert (await deploy(house, defaulted, {"key": "sesame"}))["parameters"]["url"] == {"type": "String"}


async def test_a_secret_stays_hidden_when_somebody_changes_the_rest(house: House) -> None:
    """As a PATCH does, or whoever puts back what the store gives it with another tag."""
    properties = {"headers": [{"[format('x/~{0}', 1)]": "[parameters('key')]"}], "also": "[parameters('key')]"}
    what = template(widget("w", properties), parameters={"key": {"type": "securestring"}})
    assert (await deploy(house, what, {"key": "open-sesame"}))["provisioningState"] == "Succeeded"
    target = ResourceId.parse(f"{WIDGETS}/w")
    whole = house.store.get(target)
    assert whole is not None
    for tag in ("first", "second"):
        await house.store.put(target, whole | {"tags": {"t": tag}, "etag": None})
        shown = house.store.shown(target)
        assert shown is not None
        assert (shown["tags"], shown["properties"]["headers"]) == ({"t": tag}, [{}])
        assert "sesame" not in json.dumps(shown)
    own = {"headers": whole["properties"]["headers"], "also": "mine"}
    await house.store.put(target, whole | {"properties": own, "etag": None})
    shown = house.store.shown(target)
    assert shown is not None
    assert (shown["properties"]["headers"], shown["properties"]["also"]) == ([{}], "mine")
    assert (house.store.get(target) or {})["properties"]["headers"] == [{"x/~1": "open-sesame"}]


async def test_a_parameter_from_the_vault_takes_the_deployers_right(house: House) -> None:
    vault = ResourceId.parse(VAULT)
    await house.store.put(vault.child("secrets", "api-key"), {"properties": {"value": "from-the-vault"}})
    what = template(widget("w", {"key": "[parameters('key')]"}), parameters={"key": {"type": "securestring"}})
    plain = template(widget("w"), parameters={"key": {"type": "string"}})

    def body(what: dict[str, Any], **reference: Any) -> dict[str, Any]:
        whole = {"keyVault": {"id": VAULT}, "secretName": "api-key"} | reference
        return {"properties": {"mode": "Incremental", "template": what, "parameters": {"key": {"reference": whole}}}}

    owner = await house.principal("owner", ("Contributor", GROUP))
    writer = await house.principal("writer", ("Logic App Contributor", GROUP))

    async def code(principal: Any, wanted: dict[str, Any]) -> str:
        with pytest.raises(ArmError) as caught:
            await house.deployments.deploy(GROUP_ID, "d1", wanted, principal)
        return caught.value.code

    assert await code(owner, body(what)) == "KeyVaultParameterReferenceSecretRetrieveFailed"  # not enabled for it
    await house.store.put(vault, {"location": "local", "properties": {"enabledForTemplateDeployment": True}})
    done = await house.deployments.deploy(GROUP_ID, "d1", body(what), owner)
    assert done["properties"]["provisioningState"] == "Succeeded", done
    assert done["properties"]["parameters"]["key"]["reference"]["secretName"] == "api-key"
    assert house.widgets.applied[f"{WIDGETS}/w".lower()]["properties"]["key"] == "from-the-vault"
    assert await code(writer, body(what)) == "KeyVaultParameterReferenceAuthorizationFailed"
    assert await code(owner, body(what, secretName="none")) == "KeyVaultParameterReferenceSecretRetrieveFailed"
    elsewhere = {"keyVault": {"id": f"{VAULT}2"}}
    assert await code(owner, body(what, **elsewhere)) == "KeyVaultParameterReferenceSecretRetrieveFailed"
    assert await code(owner, body(what, keyVault="x")) == "InvalidTemplate"
    assert await code(owner, body(plain)) == "InvalidTemplate"


async def test_the_deployer_needs_the_right_for_every_resource(house: House) -> None:
    writer = await house.principal("writer", ("Contributor", GROUP))
    assignment = {
        "type": "Microsoft.Authorization/roleAssignments",
        "apiVersion": "2022-04-01",
        "name": "[guid('x')]",
        "properties": {
            "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{SECRETS_USER}",
            "principalId": writer.object_id,
        },
    }
    with pytest.raises(ArmError) as caught:
        await deploy(house, template(widget("w"), assignment), principal=writer)
    assert (caught.value.code, caught.value.status) == ("InvalidTemplateDeployment", 403)
    assert (
        "does not have permission to perform action 'Microsoft.Authorization/roleAssignments/write'"
        in caught.value.message
    )
    assert put_order(house) == []
    skipped = assignment | {"condition": False}
    assert (await deploy(house, template(widget("w"), skipped), principal=writer))["provisioningState"] == "Succeeded"


async def test_reading_a_resource_outside_the_template_takes_a_role_too(house: House) -> None:
    reference = f"[reference('{VAULT}', '2023-07-01').vaultUri]"
    what = template(widget("w", {"uri": reference}))
    done = await deploy(house, what)
    assert done["provisioningState"] == "Succeeded"
    assert house.widgets.applied[f"{WIDGETS}/w".lower()]["properties"]["uri"].startswith("https://127.0.0.1")
    publisher = await house.principal("p", ("Logic App Contributor", GROUP))
    connection = {
        "type": "Microsoft.Web/connections",
        "apiVersion": "1",
        "name": "c",
        "properties": {"api": {"id": reference}},
    }
    done = await deploy(house, template(connection), principal=publisher)
    assert done["error"]["details"][0]["code"] == "AuthorizationFailed"
    missing = template(widget("w", {"uri": f"[reference('{VAULT}2', '2023-07-01').vaultUri]"}))
    assert (await deploy(house, missing))["error"]["details"][0]["code"] == "ResourceNotFound"
    versionless = template(widget("w", {"uri": f"[reference('{VAULT}').vaultUri]"}))
    assert "needs an apiVersion" in (await deploy(house, versionless))["error"]["details"][0]["message"]


async def test_outputs_that_cannot_be_evaluated(house: House) -> None:
    done = await deploy(
        house, template(widget("w"), outputs={"o": {"type": "string", "value": "[reference('w').none]"}})
    )
    assert done["error"]["code"] == "DeploymentOutputEvaluationFailed"
    assert "property 'none' doesn't exist" in done["error"]["message"]
    done = await deploy(house, template(widget("w"), outputs={"o": {"type": "int", "value": "one"}}))
    assert "is not of the type 'Int'" in done["error"]["message"]


async def test_validate_checks_and_changes_nothing(house: House) -> None:
    what = template(widget("a", {"x": "[reference('b').serial]"}), widget("b"), widget("c", condition=False))
    body = {"properties": {"mode": "incremental", "template": what}}
    shown = await house.deployments.validate(GROUP_ID, "d1", body)
    assert [one["id"] for one in shown["properties"]["validatedResources"]] == [f"{WIDGETS}/a", f"{WIDGETS}/b"]
    assert put_order(house) == []
    assert not house.deployments.exists(GROUP_ID, "d1")


async def test_a_deployment_runs_once_at_a_time(house: House) -> None:
    import asyncio

    both = await asyncio.gather(
        deploy(house, template(widget("a"))), deploy(house, template(widget("a"))), return_exceptions=True
    )
    [refused_one] = [one for one in both if isinstance(one, ArmError)]
    assert (refused_one.code, refused_one.status) == ("DeploymentActive", 409)
    assert (await deploy(house, template(widget("a"))))["provisioningState"] == "Succeeded"


async def test_a_secret_is_no_part_of_a_name(house: House) -> None:
    parameters = {"key": {"type": "securestring"}}
    for resource in (
        widget("[parameters('key')]"),
        widget("a", dependsOn=["[parameters('key')]"]),
        widget("a", scope="[parameters('key')]"),
    ):
        error = await refused(
            house, template(resource, widget("topsecret"), parameters=parameters), {"key": "topsecret"}
        )
        assert "secure parameter" in error.message or "none of them secret" in error.message
        assert "topsecret" not in error.message


async def test_what_a_stopped_server_left_running_has_failed(house: House) -> None:
    await deploy(house, template(widget("a")))
    running = house.deployments.get(GROUP_ID, "d1")
    running["properties"]["provisioningState"] = "Running"
    key = GROUP_ID.extension("Microsoft.Resources", "deployments", "d1").key
    assert running["id"].lower() == key
    await house.deployments._records.save(GROUP_ID.key, running, [])
    await house.deployments.start()
    assert house.deployments.get(GROUP_ID, "d1")["properties"]["provisioningState"] == "Failed"
    assert (await deploy(house, template(widget("a"))))["provisioningState"] == "Succeeded"
