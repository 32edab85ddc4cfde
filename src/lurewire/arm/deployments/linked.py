"""Where the template and the parameters of a nested deployment are from.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/linked-templates
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lurewire.arm.deployments.functions import TEMPLATE_FUNCTIONS
from lurewire.arm.deployments.links import link_to
from lurewire.arm.errors import InvalidTemplate

if TYPE_CHECKING:
    from lurewire.arm.deployments.context import Context
    from lurewire.arm.deployments.links import Link

_FIELDS = {
    "templateLink": frozenset({"uri", "relativePath", "queryString", "contentVersion"}),
    "parametersLink": frozenset({"uri", "contentVersion"}),
}


def linked_parts(
    properties: dict[str, Any], context: Context, where: str
) -> tuple[dict[str, Any], Link | None, Link | None]:
    """The template of a nested deployment, empty where it is linked to; and the links to template and parameters.

    Raises `InvalidTemplate`.
    """
    link = _link(properties, "templateLink", "template", context, where)
    parameters = _link(properties, "parametersLink", "parameters", context, where)
    template = properties.get("template")
    if link is None and not isinstance(template, dict):
        raise InvalidTemplate.at(
            f"{where}/template", "a nested deployment needs a 'template', an object, or a 'templateLink'"
        )
    return ({} if link is not None or not isinstance(template, dict) else template), link, parameters


def _link(properties: dict[str, Any], name: str, inline: str, context: Context, where: str) -> Link | None:
    raw, place = properties.get(name), f"{where}/{name}"
    if raw is None:
        return None
    if properties.get(inline):
        raise InvalidTemplate.at(place, f"a deployment has either '{inline}' or '{name}', not both")
    found = context.watch(raw, TEMPLATE_FUNCTIONS, place)
    fields = found.value if isinstance(found.value, dict) else {}
    other = sorted(set(fields) - _FIELDS[name])
    if other:
        raise InvalidTemplate.at(f"{place}/{other[0][:100]}", f"'{other[0][:100]}' is not supported in a '{name}'")
    if ("uri" in fields) == ("relativePath" in fields):
        raise InvalidTemplate.at(place, f"a '{name}' has the form {{{', '.join(sorted(_FIELDS[name]))}}}")
    link = _relative(fields, context, place) if "relativePath" in fields else link_to(*_three(fields))
    if link is None:
        raise InvalidTemplate.at(place, f"the '{name}' leads to no URI of http or https")
    link = replace(link, hidden=link.hidden or found.secret)
    context.hide(link.secrets)
    return link


def _three(fields: dict[str, Any]) -> tuple[Any, Any, Any]:
    return fields.get("uri"), fields.get("queryString"), fields.get("contentVersion")


def _relative(fields: dict[str, Any], context: Context, where: str) -> Link | None:
    if context.link is None:
        raise InvalidTemplate.at(
            where, "'relativePath' needs a deployment that was itself made from a 'templateLink' with a 'uri'"
        )
    path, version = fields["relativePath"], fields.get("contentVersion")
    if not isinstance(path, str) or not isinstance(version, str | None):
        return None
    found = context.link.beside(path, version)
    if found is None:
        raise InvalidTemplate.at(
            f"{where}/relativePath", "'relativePath' must be a path without a host, relative to the template"
        )
    return found
