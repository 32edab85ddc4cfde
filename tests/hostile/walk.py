"""Every operation of the HTTP surface with a path that means something: of one place, or of another's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.testbench.started import Started

_PARAMETER = re.compile(r"\{(\w+)\}")
_WORKSPACE_BY_ID = re.compile(r"/(v1/)?workspaces/", re.IGNORECASE)
SCOPES = {
    "management": "https://management.azure.com/.default",
    "monitor": "https://monitor.azure.com/.default",
    "log_analytics": "https://api.loganalytics.io/.default",
    "vault": "https://vault.azure.net/.default",
    "graph": "https://graph.microsoft.com/.default",
}


@dataclass(frozen=True)
class Target:
    """The ids that path parameters stand for; `name` is that of whatever is not named here."""

    tenant: str
    subscription: str
    group: str
    workspace: str
    customer_id: str
    rule: str
    name: str

    @property
    def group_id(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"

    @property
    def workspace_id(self) -> str:
        return f"{self.group_id}/providers/Microsoft.OperationalInsights/workspaces/{self.workspace}"

    def value(self, parameter: str, path: str) -> str:
        sentinel = "/providers/microsoft.securityinsights" in path.lower()
        known = {
            "tenant": self.tenant,
            "subscription": self.subscription,
            "group": self.group,
            "workspace": self.customer_id if _WORKSPACE_BY_ID.match(path) else self.workspace,
            "immutable_id": self.rule,
            "stream": "Custom-Leak_CL",
            "scope": (self.workspace_id if sentinel else self.group_id).lstrip("/"),
            "rest": f"Contoso.Test/things/{self.name}",
            "name0": self.workspace if "/operationalinsights/" in path.lower().replace("microsoft.", "") else self.name,
        }
        return known.get(parameter, self.name)

    def fill(self, path: str) -> str:
        return _PARAMETER.sub(lambda found: self.value(found[1], path), path)


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    audience: str | None
    form: bool
    writes: bool

    @property
    def family(self) -> tuple[str, str]:
        """Operations that are likely to run the same code: a method on the types of one namespace."""
        scope, _, rest = self.path.partition("/providers/")
        namespace, _, kind = rest.partition("/")
        register = kind in ("register", "unregister")
        return self.method, namespace if scope == "/{scope}" else kind if register else self.path

    @property
    def label(self) -> str:
        return f"{self.method} {self.path}"


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            security = operation["security"]
            content = operation.get("requestBody", {}).get("content", {})
            audience = next(iter(security[0])) if security else None
            yield Operation(method.upper(), path, audience, "application/json" not in content, bool(content))


def tokens(
    started: Started, name: str, *roles: str, scope: str | None = None, permissions: Sequence[str] = ()
) -> dict[str, str]:
    """A token for each service, of an app with these roles and permissions on Microsoft Graph."""
    credential = started.credential(name, *roles, scope=scope, permissions=permissions)
    return {audience: credential.get_token(uri).token for audience, uri in SCOPES.items()}


def target_of(started: Started, name: str = "lurewire", **other: str) -> Target:
    facts = started.now.facts
    values = {
        "tenant": facts["tenant_id"],
        "subscription": facts["subscription_id"],
        "group": "lurewire",
        "workspace": "lurewire",
        "customer_id": facts["workspace_id"],
        "rule": next(iter(facts["dcrs"].values()), "dcr-" + "0" * 32),
        "name": name,
    }
    return Target(**(values | other))
