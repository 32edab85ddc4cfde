"""What is deployed again when a deployment fails.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/rollback-on-error: an earlier deployment of
the same resource group that succeeded, and was no nested one, runs again with its template and its parameters, in the
mode Complete whatever its own was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lurewire.arm.deployments.target import Level
from lurewire.arm.errors import DeploymentNotFound, InvalidDeployment

if TYPE_CHECKING:
    from lurewire.arm.deployments.records import Records
    from lurewire.arm.deployments.target import Target

_LAST, _SPECIFIC = "LastSuccessful", "SpecificDeployment"
_TYPES = {one.lower(): one for one in (_LAST, _SPECIFIC)}


@dataclass(frozen=True, slots=True)
class OnError:
    """What to deploy again: how it was chosen, and the deployment's name."""

    type: str
    name: str

    def shown(self, state: str | None = None) -> dict[str, str]:
        """As the deployment shows it; `state` is that of the one which is deployed again."""
        row = {"type": self.type, "deploymentName": self.name}
        return row if state is None else row | {"provisioningState": state}


def on_error(raw: Any, target: Target, name: str, records: Records) -> OnError | None:
    """What the `onErrorDeployment` of a deployment `name` asks for, None where it asks for nothing.

    Raises `InvalidDeployment` and `DeploymentNotFound`.
    """
    if raw is None:
        return None
    kind = _TYPES.get(str(raw.get("type", "")).lower()) if isinstance(raw, dict) else None
    if kind is None or set(raw) - {"type", "deploymentName"}:
        raise InvalidDeployment(
            "'onErrorDeployment' has the form {type, deploymentName?}, where the type is LastSuccessful or "
            "SpecificDeployment."
        )
    if target.level is not Level.GROUP:
        raise InvalidDeployment("'onErrorDeployment' is for deployments of resource groups.")
    wanted = raw.get("deploymentName")
    if (kind == _SPECIFIC) != isinstance(wanted, str):
        raise InvalidDeployment("'onErrorDeployment.deploymentName' belongs to the type SpecificDeployment.")
    return OnError(kind, _last(target, name, records) if wanted is None else _specific(target, name, wanted, records))


def _specific(target: Target, name: str, wanted: str, records: Records) -> str:
    deployment = target.deployment(wanted)
    body = records.get(deployment)
    if body is None:
        raise DeploymentNotFound(wanted)
    if deployment.key == target.deployment(name).key:
        raise InvalidDeployment(
            f"'onErrorDeployment' names the deployment '{wanted}' itself: its name must be another."
        )
    state = body["properties"]["provisioningState"]
    if state != "Succeeded":
        raise InvalidDeployment(
            f"'onErrorDeployment' names the deployment '{wanted}', which is in the state '{state}': it must have "
            "succeeded."
        )
    if not records.is_repeatable(deployment):
        raise InvalidDeployment(f"'onErrorDeployment' names the deployment '{wanted}', which was a nested one.")
    return str(body["name"])


def _last(target: Target, name: str, records: Records) -> str:
    own = target.deployment(name).key
    for body in records.list(target.key):
        deployment = target.deployment(body["name"])
        succeeded = body["properties"]["provisioningState"] == "Succeeded"
        if succeeded and deployment.key != own and records.is_repeatable(deployment):
            return str(body["name"])
    raise InvalidDeployment("'onErrorDeployment' asks for the last deployment that succeeded, and there is none.")
