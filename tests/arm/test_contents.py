"""Solutions of Microsoft Sentinel: content templates are stored, and what they hold can be deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lurewire.arm import ArmError
from lurewire.core.errors import Forbidden
from lurewire.core.resources import ResourceId, ResourceType

if TYPE_CHECKING:
    from tests.arm.house import House
    from tests.arm.templates import GROUP, GROUP_ID, SCHEMA, deploy, outputs, stored, template

    from lurewire.core.resources import Change
else:
    from arm.templates import GROUP, GROUP_ID, SCHEMA, deploy, outputs, stored, template

WORKSPACE = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/ws"
CONTENT = f"{WORKSPACE}/providers/Microsoft.SecurityInsights/contentTemplates"


def content(name: str, kind: str, *resources: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """A content template as solutions have it."""
    main = {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0",
        "parameters": {},
        "variables": {},
        "resources": list(resources),
    }
    return {
        "type": "Microsoft.OperationalInsights/workspaces/providers/contentTemplates",
        "apiVersion": "2023-04-01-preview",
        "name": f"[concat(parameters('workspace'), '/Microsoft.SecurityInsights/', '{name}')]",
        "properties": {"contentKind": kind, "version": "1.2.3", "mainTemplate": main | sections},
    }


PLAYBOOK = content(
    "playbook",
    "Playbook",
    {
        "type": "Contoso.Test/widgets",
        "apiVersion": "1",
        "name": "[[parameters('PlaybookName')]",
        "properties": {
            "workspace": "[[variables('workspace')]",
            "installed": "[parameters('workspace')]",
            "message": "[[[keep]",
        },
    },
    parameters={"PlaybookName": {"defaultValue": "Block", "type": "string"}},
    variables={"workspace": "[parameters('workspace')]"},
    outputs={"name": {"type": "string", "value": "[[parameters('PlaybookName')]"}},
)
RULE = content(
    "rule",
    "AnalyticsRule",
    {
        "type": "Microsoft.SecurityInsights/AlertRuleTemplates",
        "apiVersion": "2023-02-01-preview",
        "name": "5f2aa8c9-0000-4000-8000-000000000001",
        "kind": "Scheduled",
        "location": "[parameters('workspace')]",
        "properties": {"displayName": "R", "enabled": False, "status": "Available", "requiredDataConnectors": []},
    },
    {
        "type": "Microsoft.OperationalInsights/savedSearches",
        "apiVersion": "1",
        "name": "hunt",
        "location": "x",
        "properties": {},
    },
    {"type": "Microsoft.OperationalInsights/workspaces/tables", "apiVersion": "1", "name": "T_CL", "properties": {}},
)
SOLUTION = template(PLAYBOOK, RULE, parameters={"workspace": {"type": "string", "defaultValue": "ws"}})


@pytest.fixture
async def installed(house: House) -> House:
    async def prepare(change: Change) -> dict[str, Any]:
        return change.body

    async def nothing(*_: Any) -> None: ...

    for kind in ("", "/savedSearches", "/tables"):
        house.store.register(ResourceType(f"Microsoft.OperationalInsights/workspaces{kind}", prepare, nothing, nothing))
    await house.store.put(ResourceId.parse(WORKSPACE), {})
    outputs(await deploy(house, SOLUTION))
    return house


def link(name: str, **more: Any) -> dict[str, Any]:
    return {"properties": {"mode": "Incremental", "templateLink": {"id": f"{CONTENT}/{name}"}} | more}


async def test_a_solution_stores_and_deploys_nothing(installed: House) -> None:
    assert installed.store.list("Contoso.Test/widgets") == []
    held = installed.store.get(ResourceId.parse(f"{CONTENT}/playbook"))
    assert held is not None
    [resource] = held["properties"]["mainTemplate"]["resources"]
    assert resource["name"] == "[parameters('PlaybookName')]"
    assert resource["properties"]["installed"] == "ws"


async def test_what_a_content_template_holds_is_deployed_by_its_id(installed: House) -> None:
    sent = link("playbook", parameters={"PlaybookName": {"value": "Mine"}})
    predicted = await installed.deployments.what_if(GROUP_ID, "c", sent)
    assert [one["resourceId"].rpartition("/")[2] for one in predicted["changes"] if one["changeType"] == "Create"] == [
        "Mine"
    ]
    done = (await installed.deployments.deploy(GROUP_ID, "c", sent))["properties"]
    assert outputs(done) == {"name": "Mine"}
    assert stored(installed, "Mine")["workspace"] == stored(installed, "Mine")["installed"] == "ws"
    assert stored(installed, "Mine")["message"] == "[keep]"


async def test_templates_of_rules_become_rules(installed: House) -> None:
    done = (await installed.deployments.deploy(GROUP_ID, "c", link("rule")))["properties"]
    assert done["provisioningState"] == "Succeeded", done
    rules = f"{WORKSPACE}/providers/Microsoft.SecurityInsights/alertRules"
    rule = installed.store.get(ResourceId.parse(f"{rules}/5f2aa8c9-0000-4000-8000-000000000001"))
    assert rule is not None
    assert rule["kind"] == "Scheduled"
    assert rule["properties"] | {"provisioningState": "Succeeded"} == {
        "displayName": "R",
        "enabled": False,
        "alertRuleTemplateName": "5f2aa8c9-0000-4000-8000-000000000001",
        "templateVersion": "1.2.3",
        "provisioningState": "Succeeded",
    }
    for child in ("savedSearches/hunt", "tables/T_CL"):
        assert installed.store.get(ResourceId.parse(f"{WORKSPACE}/{child}"))


async def test_links_that_are_refused(installed: House) -> None:
    await installed.store.put(ResourceId.parse(f"{CONTENT}/hollow"), {"properties": {}})
    principal = await installed.principal("deployer", ("Logic App Contributor", GROUP))

    async def code(name: str, sent: dict[str, Any]) -> str:
        with pytest.raises(ArmError) as caught:
            await installed.deployments.deploy(GROUP_ID, name, sent)
        return caught.value.code

    assert await code("d", link("none")) == "ResourceNotFound"
    assert await code("d", link("hollow")) == "InvalidDeployment"
    for target in ("nonsense", WORKSPACE, 3):
        assert (
            await code("d", {"properties": {"mode": "Incremental", "templateLink": {"id": target}}})
            == "InvalidDeployment"
        )
    both = {"id": f"{CONTENT}/playbook", "uri": "https://x.example/t.json"}
    assert await code("d", {"properties": {"mode": "Incremental", "templateLink": both}}) == "InvalidDeployment"
    with pytest.raises(Forbidden):
        await installed.deployments.deploy(GROUP_ID, "d", link("playbook"), principal)
