"""Templates for the tests of deployments, and the shortest way to deploy one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from tests.arm.house import House

SUBSCRIPTION = "/subscriptions/6a5b4c3d-0000-4000-8000-000000000002"
GROUP = f"{SUBSCRIPTION}/resourceGroups/lurewire"
GROUP_ID = ResourceId.parse(GROUP)
WIDGETS = f"{GROUP}/providers/Contoso.Test/widgets"
SCHEMAS = "https://schema.management.azure.com/schemas/2019-04-01/"
SCHEMA = f"{SCHEMAS}deploymentTemplate.json#"


def template(*resources: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": list(resources)} | sections


def symbolic(resources: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return template(**sections) | {"languageVersion": "2.0", "resources": resources}


def widget(name: str, properties: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    base = {"type": "Contoso.Test/widgets", "apiVersion": "2024-01-01", "name": name, "properties": properties or {}}
    return base | more


def nested(
    name: str,
    inside: dict[str, Any],
    parameters: dict[str, Any] | None = None,
    *,
    scope: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A nested deployment; `parameters` without their 'value'."""
    properties: dict[str, Any] = {"mode": "Incremental", "template": inside}
    if parameters is not None:
        properties["parameters"] = {key: {"value": value} for key, value in parameters.items()}
    if scope is not None:
        properties["expressionEvaluationOptions"] = {"scope": scope}
    base = {"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": name}
    return base | {"properties": properties} | more


def body(what: dict[str, Any], parameters: dict[str, Any] | None = None, mode: str = "Incremental") -> dict[str, Any]:
    values = {name: {"value": value} for name, value in (parameters or {}).items()}
    return {"properties": {"mode": mode, "template": what, "parameters": values}}


async def deploy(
    house: House, what: dict[str, Any], parameters: dict[str, Any] | None = None, mode: str = "Incremental", **more: Any
) -> Any:
    sent = body(what, parameters, mode)
    return (await house.deployments.deploy(more.pop("at", GROUP_ID), "d1", sent | more.pop("top", {}), **more))[
        "properties"
    ]


def stored(house: House, name: str) -> Any:
    """The properties of a widget, None where there is none."""
    found = house.store.get(ResourceId.parse(f"{WIDGETS}/{name}"))
    return None if found is None else found["properties"]


def outputs(done: dict[str, Any]) -> dict[str, Any]:
    assert done["provisioningState"] == "Succeeded", done
    return {name: one.get("value") for name, one in done["outputs"].items()}
