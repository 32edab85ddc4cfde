"""What is read out of resource bodies, which are others' and may lack anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def queries(body: dict[str, Any]) -> list[str]:
    """The KQL of a resource, and the names of streams, whose tables are used."""
    properties = body.get("properties") or {}
    flows = [flow for flow in properties.get("dataFlows") or () if isinstance(flow, dict)]
    texts = [properties.get("query"), *(f.get("transformKql") for f in flows), *(f.get("outputStream") for f in flows)]
    streams = [str(stream) for flow in flows for stream in flow.get("streams") or ()]
    return [text for text in texts if isinstance(text, str)] + streams


def workspaces(body: dict[str, Any]) -> frozenset[str]:
    """The ids (lower case) of the workspaces that a data collection rule sends to."""
    destinations = (body.get("properties") or {}).get("destinations")
    listed = destinations.get("logAnalytics") if isinstance(destinations, dict) else None
    return frozenset(str(one.get("workspaceResourceId", "")).lower() for one in listed or () if isinstance(one, dict))


def without_workspace_ids(properties: dict[str, Any]) -> dict[str, Any]:
    """The properties of a data collection rule without the workspaces' customer ids, which the service adds."""
    destinations = properties.get("destinations")
    listed = destinations.get("logAnalytics") if isinstance(destinations, dict) else None
    if not isinstance(destinations, dict) or not isinstance(listed, list):
        return properties
    plain = [{k: v for k, v in one.items() if k != "workspaceId"} for one in listed if isinstance(one, dict)]
    return properties | {"destinations": destinations | {"logAnalytics": plain}}


def logic_apps(automation: Iterable[dict[str, Any]]) -> frozenset[str]:
    """The ids (lower case) of the playbooks that automation rules run."""
    actions = [
        a for body in automation for a in (body.get("properties") or {}).get("actions") or () if isinstance(a, dict)
    ]
    configured = [action.get("actionConfiguration") or {} for action in actions]
    return frozenset(str(one.get("logicAppResourceId", "")).lower() for one in configured if isinstance(one, dict))
