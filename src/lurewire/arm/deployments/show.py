"""What a client sees of a deployment and its operations.

Source: https://learn.microsoft.com/rest/api/resources/deployments/get
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from lurewire.arm.deployments.parameters import Parameter
    from lurewire.arm.deployments.plan import Plan
    from lurewire.arm.deployments.run import Operation, Outcome
    from lurewire.arm.store import ResourceStore
    from lurewire.core.resources import ResourceId

Bodies = list[dict[str, Any]]

_STATUS_NAMES = {200: "OK", 201: "Created", 400: "BadRequest", 403: "Forbidden", 404: "NotFound", 409: "Conflict"}


def shown_parameter(plan: Plan, parameter: Parameter) -> dict[str, Any]:
    """A parameter as it is shown: a secure one without its value."""
    value = plan.values[parameter.name]
    if parameter.reference is not None and parameter.given is not None:
        return {"type": parameter.kind.shown, "reference": parameter.given["reference"]}
    if value.secret:
        return {"type": parameter.kind.shown}
    return {"type": parameter.kind.shown, "value": plan.redactor(value.value)}


def named(plan: Plan, index: int) -> dict[str, Any]:
    """A resource of a plan by id, type and name."""
    resource = plan.resources[index]
    return {"id": str(resource.id), "resourceType": resource.id.type, "resourceName": resource.full_name}


def _warning(code: str, message: str, target: str) -> dict[str, Any]:
    return {"level": "Warning", "code": code, "message": message, "target": target}


def warnings(plan: Plan, store: ResourceStore) -> Bodies:
    """What the deployer should know of a plan: a row for each resource type that nothing here acts on."""
    inert: dict[str, str] = {}
    for resource in plan.resources:
        if resource.deployed and resource.nested is None and not store.acts_on(resource.id):
            inert.setdefault(resource.id.type, str(resource.id))
    return [
        _warning(
            "ResourceTypeInert", f"Resources of the type '{kind}' are stored, and nothing here acts on them.", target
        )
        for kind, target in inert.items()
    ]


def warnings_of(resource_id: ResourceId, body: dict[str, Any], store: ResourceStore) -> Bodies:
    """What the deployer should know of one resource: a row for each part of it that will not work here."""
    return [_warning(code, message, str(resource_id)) for code, message in store.warnings(resource_id, body)]


def warnings_of_stored(outcome: Outcome, store: ResourceStore) -> Bodies:
    """The same of all that a deployment put."""
    put = [one.target for one in outcome.operations if one.error is None and one.what == "Create"]
    bodies = [(one, store.get(one)) for one in put]
    return [row for one, body in bodies if body is not None for row in warnings_of(one, body, store)]


def results(outcome: Outcome, duration: timedelta) -> dict[str, Any]:
    """What a finished deployment shows beside its plan."""
    put = [one for one in outcome.operations if one.error is None and one.what == "Create"]
    results: dict[str, Any] = {
        "duration": f"PT{duration.total_seconds():.7f}S",
        "outputs": outcome.outputs,
        "outputResources": [{"id": str(one.target)} for one in put],
    }
    return results if outcome.error is None else results | {"error": outcome.error}


def operations(deployment: ResourceId, outcome: Outcome) -> Bodies:
    """The operations of a finished deployment."""
    return [_operation(deployment, one) for one in outcome.operations]


def _operation(deployment: ResourceId, operation: Operation) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "provisioningOperation": operation.what,
        "provisioningState": "Succeeded" if operation.error is None else "Failed",
        "timestamp": moment_text(operation.ended),
        "duration": f"PT{(operation.ended - operation.started).total_seconds():.7f}S",
        "statusCode": _STATUS_NAMES.get(operation.status, "InternalServerError"),
        "targetResource": {
            "id": str(operation.target),
            "resourceType": operation.target.type,
            "resourceName": "/".join(operation.target.names),
            **({"apiVersion": operation.api_version} if operation.api_version else {}),
            **({"symbolicName": operation.symbol} if operation.symbol else {}),
        },
    }
    if operation.error is not None:
        properties["statusMessage"] = {"status": "Failed", "error": operation.error}
    return {"id": f"{deployment}/operations/{operation.id}", "operationId": operation.id, "properties": properties}


def template_hash(template: dict[str, Any]) -> str:
    """A number that two equal templates have in common."""
    canonical = msgspec.json.encode(template, order="deterministic")
    return str(int.from_bytes(hashlib.sha256(canonical).digest()[:8], "big"))


def moment_text(moment: datetime) -> str:
    """A time as Azure writes it."""
    return moment.isoformat().replace("+00:00", "Z")
