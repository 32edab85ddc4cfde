"""The first start: what a person would set up in the portal, through the same services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.core.log import get_logger
from lurewire.core.resources import ResourceId
from lurewire.solutions import load
from lurewire.vault import NewVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.app.facts import Facts
    from lurewire.arm import Deployments, ResourceStore
    from lurewire.ipintel import IpIntel
    from lurewire.vault import Vault

GROUP = "lurewire"
WORKSPACE = "lurewire"
VAULT = "lurewire-vault"
LOCATION = "local"
LOOKUP_SECRET = "ipinsights-api-key"  # noqa: S105 - the secret's name, which the vendor's page fixes
SENSOR_RULE = "trapeye-dcr"
PLAYBOOK = "IPInsights-Enrich-Incident"

PARAMETERS: dict[str, dict[str, Any]] = {
    # One rule looks at the threats table, or each touch would open two incidents: Lurewire's own.
    "trapeye-rule": {"enabled": False},
    "ipinsights-playbook": {
        "PlaybookName": PLAYBOOK,
        "WorkspaceName": WORKSPACE,
        "KeyVaultName": VAULT,
        "DataCollectionEndpointName": "trapeye-dce",
        "DataCollectionRuleName": "ipinsights-dcr",
    },
}
"""What the templates of the solutions are deployed with, where that is not their defaults."""

_log = get_logger("bootstrap")


class SolutionFailed(Exception):
    """A solution's template did not deploy; the message is the deployment's error."""


class Names:
    """The ids of what an install has."""

    def __init__(self, subscription_id: str) -> None:
        self.subscription_id = subscription_id
        self.group = ResourceId.parse(f"/subscriptions/{subscription_id}/resourceGroups/{GROUP}")
        self.workspace = self.group.extension("Microsoft.OperationalInsights", "workspaces", WORKSPACE)
        self.vault_id = self.group.extension("Microsoft.KeyVault", "vaults", VAULT)
        self.vault = VAULT
        self.playbook = self.group.extension("Microsoft.Logic", "workflows", PLAYBOOK)

        self.sensor_rule = self.group.extension("Microsoft.Insights", "dataCollectionRules", SENSOR_RULE)


class Bootstrap:
    """Sets up what is missing. Each step is done once, and noted; what a person changed later stays as it is."""

    def __init__(
        self, facts: Facts, store: ResourceStore, deployments: Deployments, vault: Vault, lookup: IpIntel
    ) -> None:
        self._facts = facts
        self._store = store
        self._deployments = deployments
        self._vault = vault
        self._lookup = lookup

    async def run(self, names: Names, solutions: Sequence[str]) -> None:
        """Make group, workspace and vault, put a lookup key into the vault, deploy the solutions.

        Raises `SolutionFailed` and `UnknownSolution`.
        """
        await self._put(names.group, {"location": LOCATION})
        await self._put(names.workspace, {"location": LOCATION, "properties": {}})
        await self._put(names.vault_id, {"location": LOCATION, "properties": {}})
        if self._facts.get("lookup_key") is None:
            await self._lookup.revoke_key(PLAYBOOK)  # a start that was killed may have left one
            key = await self._lookup.create_key(PLAYBOOK)
            await self._vault.put(names.vault_id, LOOKUP_SECRET, NewVersion(value=key))
            await self._facts.put("lookup_key", "made")
        for solution in solutions:
            for template, content in load(solution):
                await self._deploy(names, f"{solution}-{template}", content)

    async def _put(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        if self._store.get(resource_id) is None:
            await self._store.put(resource_id, body)

    async def _deploy(self, names: Names, name: str, template: dict[str, Any]) -> None:
        if self._facts.get(f"deployed.{name}") is not None:
            return
        values = PARAMETERS.get(name, {})
        if "API_KEY" in template.get("parameters", {}):
            values = values | {"API_KEY": f"@Microsoft.KeyVault(SecretUri={self._secret_uri(names)})"}
        parameters = {parameter: {"value": value} for parameter, value in values.items()}
        body = {"properties": {"mode": "Incremental", "template": template, "parameters": parameters}}
        deployment = await self._deployments.deploy(names.group, name, body)
        error = deployment["properties"].get("error")
        if error:
            raise SolutionFailed(f"solution template {name}: {error}")
        await self._facts.put(f"deployed.{name}", "done")
        _log.info("deployed", template=name)

    def _secret_uri(self, names: Names) -> str:
        vault = self._store.get(names.vault_id)
        assert vault is not None
        return f"{vault['properties']['vaultUri'].rstrip('/')}/secrets/{LOOKUP_SECRET}/"
