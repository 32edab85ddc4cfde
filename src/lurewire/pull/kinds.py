"""What is pulled, kind by kind: where it is listed, what of it only the service writes, how it is called.

Sources: contract sections E.6 (data collection), E.7 (tables), F.2 (rules), F.4 (automation rules), G (workflows) and
https://learn.microsoft.com/rest/api/securityinsights/watchlists
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLES_VERSION = "2022-10-01"
WORKFLOWS_VERSION = "2019-05-01"
CONNECTIONS_VERSION = "2016-06-01"
WATCHLISTS_VERSION = "2023-02-01"


@dataclass(frozen=True, slots=True)
class Kind:
    """Resources of one type that are pulled alike.

    `path` is the list's, under `scope`: the workspace, Sentinel in it, or the subscription; `type` and `prefix` make the
    resource in a template; `drop` are properties that the service alone writes.
    """

    folder: str
    scope: str
    path: str
    version: str
    type: str
    prefix: str
    drop: frozenset[str] = frozenset()
    keep: tuple[str, ...] = ()
    located: bool = False

    def title(self, body: Mapping[str, Any]) -> str:
        """What a person calls the resource."""
        properties = body.get("properties") or {}
        return str(properties.get("functionAlias") or properties.get("displayName") or body.get("name") or "")


_WRITTEN = frozenset({"createdTimeUtc", "lastModifiedTimeUtc", "lastModifiedUtc", "createdBy", "lastModifiedBy"})
_COLLECTION = "/providers/Microsoft.Insights"

FUNCTIONS = Kind(
    "functions",
    "workspace",
    "/savedSearches",
    "2020-08-01",
    "Microsoft.OperationalInsights/workspaces/savedSearches",
    "/",
    frozenset({"etag"}),
)
RULES = Kind(
    "analytic-rules",
    "sentinel",
    "/alertRules",
    "2024-09-01",
    "Microsoft.OperationalInsights/workspaces/providers/alertRules",
    "/Microsoft.SecurityInsights/",
    _WRITTEN,
    ("kind",),
)
AUTOMATION = Kind(
    "automation-rules",
    "sentinel",
    "/automationRules",
    "2024-09-01",
    "Microsoft.OperationalInsights/workspaces/providers/automationRules",
    "/Microsoft.SecurityInsights/",
    _WRITTEN,
)
ENDPOINTS = Kind(
    "dcrs",
    "subscription",
    f"{_COLLECTION}/dataCollectionEndpoints",
    "2023-03-11",
    "Microsoft.Insights/dataCollectionEndpoints",
    "",
    frozenset(
        {
            "immutableId",
            "configurationAccess",
            "logsIngestion",
            "metricsIngestion",
            "provisioningState",
            "privateLinkScopedResources",
            "failoverConfiguration",
            "metadata",
        }
    ),
    ("kind", "tags"),
    located=True,
)
COLLECTION_RULES = Kind(
    "dcrs",
    "subscription",
    f"{_COLLECTION}/dataCollectionRules",
    "2023-03-11",
    "Microsoft.Insights/dataCollectionRules",
    "",
    frozenset({"immutableId", "endpoints", "provisioningState", "metadata", "ingestionQuotas"}),
    ("kind", "tags", "identity"),
    located=True,
)
PLAYBOOKS = Kind(
    "playbooks",
    "subscription",
    "/providers/Microsoft.Logic/workflows",
    WORKFLOWS_VERSION,
    "Microsoft.Logic/workflows",
    "",
    keep=("tags", "identity"),
    located=True,
)
WATCHLISTS = Kind(
    "watchlists",
    "sentinel",
    "/watchlists",
    WATCHLISTS_VERSION,
    "Microsoft.OperationalInsights/workspaces/providers/watchlists",
    "/Microsoft.SecurityInsights/",
)
TABLES = Kind(
    "tables",
    "workspace",
    "/tables",
    TABLES_VERSION,
    "Microsoft.OperationalInsights/workspaces/tables",
    "/",
)

KINDS = (TABLES, ENDPOINTS, COLLECTION_RULES, FUNCTIONS, WATCHLISTS, RULES, PLAYBOOKS, AUTOMATION)
"""In the order in which the folders deploy."""

SAMPLES = "sample-data"


def identity_of(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """A resource's identity without what the directory gave it; None where it has none."""
    given = body.get("identity")
    kind = given.get("type") if isinstance(given, dict) else None
    if not kind or str(kind).lower() == "none":
        return None
    assigned = given.get("userAssignedIdentities") if isinstance(given, dict) else None
    return {"type": kind} | ({"userAssignedIdentities": {one: {} for one in sorted(assigned)}} if assigned else {})
