"""A template, taken apart: what may stand in it, its resources with their ids, conditions and dependencies.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lurewire.arm.deployments.functions import TEMPLATE_FUNCTIONS
from lurewire.arm.deployments.naming import WrongSegments, provider_path
from lurewire.arm.errors import InvalidTemplate
from lurewire.core.resources import InvalidResourceId, ResourceId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lurewire.arm.deployments.context import Context
    from lurewire.core.limits import Limits

_SECTIONS = {"$schema", "contentVersion", "parameters", "variables", "resources", "outputs", "metadata", "apiProfile"}
_NOT_SENT = {"type", "name", "apiVersion", "dependsOn", "condition", "scope", "resources", "comments", "metadata"}
_REFUSED_IN_RESOURCE = ("copy", "subscriptionId", "resourceGroup", "existing", "import", "asserts")
_NESTED_DEPLOYMENT = "microsoft.resources/deployments"


@dataclass(frozen=True, slots=True)
class Declared:
    """A resource of a template: `where` it stands, what becomes its body, and what must be there before it."""

    where: str
    id: ResourceId
    api_version: str
    condition: bool
    body: dict[str, Any]
    depends_on: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """The names of the resource and what it stands in, with slashes."""
        return "/".join(self.id.names)

    def is_called(self, text: str) -> bool:
        """Whether `text` names this resource: by its id, its type and name, or its name."""
        lowered = text.lower().strip("/")
        if text.startswith("/"):
            return lowered == self.id.key.strip("/")
        typed = provider_path(self.id.type, self.id.names).removeprefix("/providers/").lower()
        return lowered in (self.full_name.lower(), typed, f"{self.id.type}/{self.full_name}".lower())


def invalid(where: str, problem: str) -> InvalidTemplate:
    """The error of a template, at a JSON pointer."""
    return InvalidTemplate(f"Deployment template validation failed: {problem}, at {where}.", target=where)


def check_sections(template: dict[str, Any], limits: Limits) -> None:
    """Refuse what is missing, unknown or too much in a template; raises `InvalidTemplate`."""
    for name in ("$schema", "contentVersion", "resources"):
        if name not in template:
            raise invalid("/", f"the required property '{name}' is missing")
    if str(template["$schema"]).lower().rstrip("#").rpartition("/")[2] != "deploymenttemplate.json":
        raise invalid("/$schema", "the schema is not that of a resource group's template, deploymentTemplate.json")
    other = sorted(set(template) - _SECTIONS)
    if other:
        raise invalid(f"/{other[0]}", f"'{other[0]}' is not supported in a template")
    for name, kind, limit in (
        ("parameters", dict, "arm.template_parameters"),
        ("variables", dict, "arm.template_variables"),
        ("outputs", dict, "arm.template_outputs"),
        ("resources", list, "arm.template_resources"),
    ):
        section = template.get(name)
        if section is not None and not isinstance(section, kind):
            what = "an object" if kind is dict else "an array (symbolic names are not supported)"
            raise invalid(f"/{name}", f"'{name}' must be {what}")
        if section is not None and len(section) > limits[limit]:
            raise invalid(f"/{name}", f"there are {len(section)} {name}, more than the limit of {limits[limit]}")
    if "copy" in (template.get("variables") or {}):
        raise invalid("/variables/copy", "'copy' loops are not supported")


def declare(template: dict[str, Any], context: Context, group: ResourceId, limits: Limits) -> list[Declared]:
    """The template's resources in their order, nested ones after the one they stand in; raises `InvalidTemplate`."""
    found: list[Declared] = []
    for index, raw in enumerate(template["resources"]):
        for one in _declare(raw, f"/resources/{index}", context, group, None):
            found.append(one)
            if len(found) > limits["arm.template_resources"]:
                raise invalid("/resources", f"there are more than {limits['arm.template_resources']} resources")
    by_key: dict[str, Declared] = {}
    for one in found:
        twin = by_key.get(one.id.key)
        if one.condition and twin is not None:
            raise invalid(one.where, f"the resource '{one.id}' is defined twice, first at {twin.where}")
        if one.condition:
            by_key[one.id.key] = one
    return found


def _declare(
    raw: Any, where: str, context: Context, group: ResourceId, parent: tuple[str, str] | None
) -> Iterator[Declared]:
    if not isinstance(raw, dict):
        raise invalid(where, "a resource must be an object")
    for name in _REFUSED_IN_RESOURCE:
        if name in raw:
            raise invalid(f"{where}/{name}", f"'{name}' is not supported in a resource")
    api_version = raw.get("apiVersion")
    if not isinstance(raw.get("type"), str) or not isinstance(raw.get("name"), str):
        raise invalid(where, "a resource needs a 'type' and a 'name'")
    if not isinstance(api_version, str) or not api_version:
        raise invalid(where, "a resource needs an 'apiVersion'")
    kind = _text(raw, "type", where, context).strip("/")
    name = _text(raw, "name", where, context).strip("/")
    if parent is not None:
        kind, name = f"{parent[0]}/{kind}", f"{parent[1]}/{name}"
    if kind.lower() == _NESTED_DEPLOYMENT:
        raise invalid(where, "nested deployments (Microsoft.Resources/deployments) are not supported")
    refuse_property_copies(raw.get("properties"), f"{where}/properties")
    yield Declared(
        where,
        _id(kind, name, raw, where, context, group),
        _text(raw, "apiVersion", where, context),
        _condition(raw, where, context),
        {key: value for key, value in raw.items() if key not in _NOT_SENT},
        _depends_on(raw, where, context),
    )
    children = raw.get("resources") or []
    if not isinstance(children, list):
        raise invalid(f"{where}/resources", "'resources' must be an array (symbolic names are not supported)")
    for index, child in enumerate(children):
        yield from _declare(child, f"{where}/resources/{index}", context, group, (kind, name))


def _text(raw: dict[str, Any], key: str, where: str, context: Context) -> str:
    found = context.watch(raw[key], TEMPLATE_FUNCTIONS, f"{where}/{key}")
    if not isinstance(found.value, str) or not found.value:
        raise invalid(f"{where}/{key}", f"'{key}' must be a string that is not empty")
    if found.secret:
        raise invalid(f"{where}/{key}", f"'{key}' is shown to everybody: no secure parameter may be in it")
    return found.value


def _id(kind: str, name: str, raw: dict[str, Any], where: str, context: Context, group: ResourceId) -> ResourceId:
    scope = str(group)
    if raw.get("scope") is not None:
        scope = _text(raw, "scope", where, context)
        if not scope.startswith("/"):
            scope = f"{group}/providers/{scope}"
    try:
        return ResourceId.parse(scope.rstrip("/") + provider_path(kind, name.split("/")))
    except WrongSegments as error:
        raise invalid(f"{where}/name", f"{error}") from None
    except InvalidResourceId as error:
        raise invalid(f"{where}/scope", f"{error}") from None


def _condition(raw: dict[str, Any], where: str, context: Context) -> bool:
    if "condition" not in raw:
        return True
    value = context.watch(raw["condition"], TEMPLATE_FUNCTIONS, f"{where}/condition").value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise invalid(f"{where}/condition", "'condition' must be true or false")
    return value


def _depends_on(raw: dict[str, Any], where: str, context: Context) -> tuple[str, ...]:
    found = context.watch(raw.get("dependsOn") or [], TEMPLATE_FUNCTIONS, f"{where}/dependsOn")
    value = found.value
    if found.secret or not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise invalid(f"{where}/dependsOn", "'dependsOn' must be an array of names and ids, none of them secret")
    return tuple(value)


def refuse_property_copies(value: Any, where: str, depth: int = 0) -> None:
    """Refuse property loops: an array `copy` of objects with a count; raises `InvalidTemplate`."""
    if isinstance(value, dict):
        loops = value.get("copy")
        if isinstance(loops, list) and any(isinstance(loop, dict) and "count" in loop for loop in loops):
            raise invalid(f"{where}/copy", "'copy' loops are not supported")
        for name, child in value.items():
            refuse_property_copies(child, f"{where}/{name}", depth + 1)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            refuse_property_copies(child, f"{where}/{index}", depth + 1)
