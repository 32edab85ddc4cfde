"""Where the SDKs' quick-starts go: a Lurewire of their own, or real Azure.

With LUREWIRE_REAL_AZURE=1 they go to Azure. They then need the variables that `lurewire env` prints, with Azure's values:
AZURE_TENANT_ID, AZURE_SUBSCRIPTION_ID, LUREWIRE_RESOURCE_GROUP, LUREWIRE_WORKSPACE, LUREWIRE_WORKSPACE_ID, LUREWIRE_DCE,
LUREWIRE_DCR_TRAPEYE_DCR; and AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and LUREWIRE_VAULT_URL. The app has the roles of `ROLES`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azure.identity import ClientSecretCredential

if TYPE_CHECKING:
    from tests.testbench.started import Started

REAL = os.environ.get("LUREWIRE_REAL_AZURE") == "1"
ROLES = ("Monitoring Metrics Publisher", "Log Analytics Reader", "Key Vault Secrets Officer")
STREAM = "Custom-TrapEye_Threats_CL"
MOST_ROWS = 500_000 if REAL else 1_000
WAIT_SECONDS = 900 if REAL else 20


@dataclass(frozen=True)
class Place:
    """Ids and addresses, and per client the arguments that contract section I names (none for Azure)."""

    tenant_id: str
    client_id: str
    client_secret: str
    endpoint: str
    workspace_id: str
    resource_id: str
    rule_id: str
    vault_url: str
    credential: dict[str, Any] = field(default_factory=dict)
    client: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    vault: dict[str, Any] = field(default_factory=dict)

    def sign_in(self, secret: str | None = None) -> ClientSecretCredential:
        return ClientSecretCredential(
            self.tenant_id, self.client_id, secret or self.client_secret, **self.credential, **self.client
        )


def of_lurewire(started: Started) -> Place:
    facts = started.now.facts
    made = started.app("quickstart", *ROLES)
    return Place(
        tenant_id=facts["tenant_id"],
        client_id=made["client_id"],
        client_secret=made["client_secret"],
        endpoint=started.url,
        workspace_id=facts["workspace_id"],
        resource_id=started.workspace,
        rule_id=facts["dcrs"]["trapeye-dcr"],
        vault_url=started.url,
        credential={"authority": started.url, "disable_instance_discovery": True},
        client={"connection_verify": started.ca},
        query={"endpoint": started.url, "audience": "https://api.loganalytics.io"},
        vault={"verify_challenge_resource": False},
    )


def of_azure() -> Place:
    value = os.environ
    group = f"/subscriptions/{value['AZURE_SUBSCRIPTION_ID']}/resourceGroups/{value['LUREWIRE_RESOURCE_GROUP']}"
    return Place(
        tenant_id=value["AZURE_TENANT_ID"],
        client_id=value["AZURE_CLIENT_ID"],
        client_secret=value["AZURE_CLIENT_SECRET"],
        endpoint=value["LUREWIRE_DCE"],
        workspace_id=value["LUREWIRE_WORKSPACE_ID"],
        resource_id=f"{group}/providers/Microsoft.OperationalInsights/workspaces/{value['LUREWIRE_WORKSPACE']}",
        rule_id=value["LUREWIRE_DCR_TRAPEYE_DCR"],
        vault_url=value["LUREWIRE_VAULT_URL"],
    )
