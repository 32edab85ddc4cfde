"""Content templates of Microsoft Sentinel's solutions, unpacked: what they hold, as a template to deploy.

A solution's template stores content templates; each holds, as `mainTemplate`, what the portal deploys when somebody
makes a rule or a playbook from it. The same is deployed here from a `templateLink` that is the content template's id.
What in it is a template itself becomes what the portal makes of it: a rule template a rule; a saved search or a table of
no workspace one of the workspace. Source: https://learn.microsoft.com/rest/api/securityinsights/content-templates
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.arm.errors import InvalidDeployment, ResourceNotFound
from lurewire.core.resources import InvalidResourceId, ResourceId

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.arm.deployments.run import Permission

_TYPE = "microsoft.securityinsights/contenttemplates"
_RULE_TEMPLATES = "microsoft.securityinsights/alertruletemplates"
_TABLES = "microsoft.operationalinsights/workspaces/tables"
_SEARCHES = "microsoft.operationalinsights/savedsearches"
_OF_TEMPLATES = frozenset(
    {
        "requiredDataConnectors",
        "status",
        "version",
        "lastUpdatedDateUTC",
        "createdDateUTC",
        "alertRulesCreatedByTemplateCount",
    }
)
"""Properties of rule templates that rules have not."""


def linked(
    body: dict[str, Any], find: Callable[[ResourceId], dict[str, Any] | None], permit: Permission
) -> dict[str, Any]:
    """A deployment whose `templateLink` is the id of a content template, with the template itself; others as they are.

    Raises `Forbidden`, `ResourceNotFound` and `InvalidDeployment`.
    """
    properties = body.get("properties")
    link = properties.get("templateLink") if isinstance(properties, dict) else None
    if not isinstance(properties, dict) or not isinstance(link, dict) or set(link) != {"id"}:
        return body
    try:
        template_id = ResourceId.parse(str(link["id"]))
    except InvalidResourceId as error:
        raise InvalidDeployment(f"'templateLink.id' must be the id of a content template: {error}.") from None
    if template_id.type.lower() != _TYPE:
        raise InvalidDeployment(
            f"'templateLink.id' names a resource of the type '{template_id.type}'; content templates are deployed so."
        )
    permit(f"{template_id.type}/read", str(template_id))
    stored = find(template_id)
    if stored is None:
        raise ResourceNotFound(template_id)
    rest = {name: value for name, value in properties.items() if name != "templateLink"}
    return body | {"properties": rest | {"template": unpacked(template_id, stored)}}


def unpacked(template_id: ResourceId, stored: dict[str, Any]) -> dict[str, Any]:
    """The template that a content template holds; raises `InvalidDeployment` where it holds none."""
    properties = stored.get("properties") or {}
    main, workspace = properties.get("mainTemplate"), template_id.parent
    if not isinstance(main, dict) or not isinstance(main.get("resources"), list) or workspace is None:
        raise InvalidDeployment(f"The content template '{template_id.name}' has no 'mainTemplate' with resources.")
    version = properties.get("version")
    return main | {"resources": [_resource(one, workspace, version) for one in main["resources"]]}


def _resource(raw: Any, workspace: ResourceId, version: Any) -> Any:
    kind = str(raw.get("type", "")).lower() if isinstance(raw, dict) else ""
    if kind == _RULE_TEMPLATES:
        properties = raw.get("properties") or {}
        kept = {name: value for name, value in properties.items() if name not in _OF_TEMPLATES}
        kept["alertRuleTemplateName"] = raw.get("name")
        if version is not None:
            kept["templateVersion"] = version
        rule = {name: value for name, value in raw.items() if name not in ("location", "dependsOn")}
        return rule | {"type": "Microsoft.SecurityInsights/alertRules", "scope": str(workspace), "properties": kept}
    if kind == _SEARCHES:
        search = {name: value for name, value in raw.items() if name != "location"}
        name = f"{workspace.name}/{raw.get('name')}"
        return search | {"type": "Microsoft.OperationalInsights/workspaces/savedSearches", "name": name}
    if kind == _TABLES and "/" not in str(raw.get("name", "/")):
        return raw | {"name": f"{workspace.name}/{raw['name']}"}
    return raw
