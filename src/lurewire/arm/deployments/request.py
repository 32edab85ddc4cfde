"""A deployment as it was asked for, and what of it is not supported.

Source: https://learn.microsoft.com/rest/api/resources/deployments/create-or-update#deploymentproperties
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lurewire.arm.deployments.links import link_to
from lurewire.arm.deployments.target import Level
from lurewire.arm.errors import InvalidDeployment, LocationRequired

if TYPE_CHECKING:
    from lurewire.arm.deployments.budget import Budget
    from lurewire.arm.deployments.links import Documents, Link
    from lurewire.arm.deployments.plan import Plan
    from lurewire.arm.deployments.rollback import OnError
    from lurewire.arm.deployments.target import Target
    from lurewire.core.principal import Principal
    from lurewire.core.resources import ResourceId

_KNOWN = {
    "mode",
    "template",
    "parameters",
    "debugSetting",
    "expressionEvaluationOptions",
    "validationLevel",
    "whatIfSettings",
    "onErrorDeployment",
    "templateLink",
    "parametersLink",
}
_MODES = {"incremental": "Incremental", "complete": "Complete"}


@dataclass(frozen=True, slots=True)
class Request:
    """A deployment: whose, for what, and how.

    `secret` are the parameters (in lower case) that come from secure ones of the template around it. `outer` is the
    plan of that template where its names are the ones that the expressions mean; `loops` are the loops around it.
    `groups` are resource groups, by lower-case id, that deployments around this one have yet to make. `budget` is what
    evaluating all of it may still cost. `parts` are the secure values within parameters of the templates around it.
    `on_error` is what is deployed again if this one fails. `documents` are those that the deployment links to, `link` and
    `parameters_link` where its template and its parameters are from: until they are there, both are empty.
    """

    target: Target
    name: str
    template: dict[str, Any]
    parameters: Any
    principal: Principal | None
    correlation_id: str
    budget: Budget
    documents: Documents
    mode: str = "Incremental"
    location: str | None = None
    tags: dict[str, str] | None = None
    api_version: str = ""
    levels: int = 0
    secret: frozenset[str] = frozenset()
    outer: Plan | None = None
    loops: dict[str, int] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    on_error: OnError | None = None
    link: Link | None = None
    parameters_link: Link | None = None

    @property
    def id(self) -> ResourceId:
        """The deployment's id."""
        return self.target.deployment(self.name)


def read_request(
    target: Target,
    name: str,
    body: dict[str, Any],
    principal: Principal | None,
    correlation_id: str,
    budget: Budget,
    documents: Documents,
    api_version: str = "",
) -> Request:
    """The deployment that a request's body asks for; raises `InvalidDeployment` and `LocationRequired`."""
    properties = body.get("properties")
    if not isinstance(properties, dict):
        raise InvalidDeployment("The request content is not valid: a deployment needs 'properties'.")
    mode = _MODES.get(str(properties.get("mode", "")).lower())
    if mode is None:
        message = (
            f"The deployment mode '{properties.get('mode', '')}' is not supported; 'Incremental' and 'Complete' are."
        )
        raise InvalidDeployment(message)
    if mode == "Complete" and target.level is not Level.GROUP:
        raise InvalidDeployment("The deployment mode 'Complete' is for resource groups; use 'Incremental' here.")
    other = sorted(key for key, value in properties.items() if key not in _KNOWN and value is not None)
    if other:
        raise InvalidDeployment(f"'{other[0]}' is not supported in a deployment.")
    link = _link(properties, "templateLink", "template")
    parameters_link = _link(properties, "parametersLink", "parameters")
    template = {} if link is not None else properties.get("template")
    if not isinstance(template, dict):
        raise InvalidDeployment("A deployment needs a 'template', an object, or a 'templateLink'.")
    location, tags = body.get("location"), body.get("tags")
    if target.level is Level.GROUP:
        location = None
    elif not isinstance(location, str) or not location:
        raise LocationRequired("A deployment at this scope needs a 'location', where it is kept.")
    if tags is not None and not (isinstance(tags, dict) and all(isinstance(value, str) for value in tags.values())):
        raise InvalidDeployment("The 'tags' of a deployment must be an object of strings.")
    return Request(
        target,
        name,
        template,
        properties.get("parameters"),
        principal,
        correlation_id,
        budget,
        documents,
        mode,
        location,
        tags,
        api_version,
        parts=tuple(secret for one in (link, parameters_link) if one is not None for secret in one.secrets),
        link=link,
        parameters_link=parameters_link,
    )


def _link(properties: dict[str, Any], name: str, inline: str) -> Link | None:
    raw = properties.get(name)
    if raw is None:
        return None
    if properties.get(inline):
        raise InvalidDeployment(f"A deployment has either '{inline}' or '{name}', not both.")
    other = sorted(set(raw) - {"uri", "contentVersion", "queryString"}) if isinstance(raw, dict) else []
    if other:
        advice = _ADVICE.get(other[0], "")
        raise InvalidDeployment(f"'{other[0][:100]}' is not supported in the '{name}' of a deployment.{advice}")
    fields = raw if isinstance(raw, dict) else {}
    link = link_to(fields.get("uri"), fields.get("queryString"), fields.get("contentVersion"))
    if link is None:
        raise InvalidDeployment(f"'{name}' has the form {{uri, contentVersion?}}, and the URI is one of http or https.")
    return link


_ADVICE = {
    "id": " Of resources only content templates are deployed so, and then 'id' stands alone.",
    "relativePath": " It is for deployments inside one that has a 'templateLink' itself.",
}
