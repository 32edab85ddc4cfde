"""A template, taken apart: what may stand in it, its resources with their ids, conditions and dependencies.

Sources: https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax,
https://learn.microsoft.com/azure/azure-resource-manager/templates/resource-declaration and
https://learn.microsoft.com/azure/azure-resource-manager/templates/linked-templates (nested deployments)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lurewire.arm.deployments.budget import RESOURCE
from lurewire.arm.deployments.definitions import LANGUAGE_VERSION
from lurewire.arm.deployments.functions import TEMPLATE_FUNCTIONS, Evaluator
from lurewire.arm.deployments.linked import linked_parts
from lurewire.arm.deployments.loops import UNNAMED, resource_loop, unroll
from lurewire.arm.deployments.naming import WrongSegments, provider_path
from lurewire.arm.deployments.target import Level, Target
from lurewire.arm.errors import InvalidTemplate
from lurewire.core.resources import InvalidResourceId, ResourceId
from lurewire.expressions import pointer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lurewire.arm.deployments.context import Context
    from lurewire.arm.deployments.links import Link
    from lurewire.core.limits import Limits

_SECTIONS = {
    "$schema",
    "contentVersion",
    "languageVersion",
    "definitions",
    "functions",
    "parameters",
    "variables",
    "resources",
    "outputs",
    "metadata",
    "apiProfile",
}
_NOT_SENT = {
    "type",
    "name",
    "apiVersion",
    "dependsOn",
    "condition",
    "scope",
    "resources",
    "comments",
    "metadata",
    "copy",
    "existing",
    "subscriptionId",
    "resourceGroup",
}
_REFUSED_IN_RESOURCE = ("import", "extension", "asserts")
_NESTED_DEPLOYMENT = "microsoft.resources/deployments"
_NESTED_PROPERTIES = {
    "mode",
    "template",
    "templateLink",
    "parameters",
    "parametersLink",
    "expressionEvaluationOptions",
    "debugSetting",
}
_DEPLOYMENT_NAME = re.compile(r"[-\w._()]{1,64}")


@dataclass(frozen=True, slots=True)
class Nested:
    """A deployment inside a template: for what, and in whose names its expressions are evaluated.

    `link` and `parameters_link` are where its template and its parameters are from, where they do not stand there.
    """

    target: Target
    name: str
    inner: bool
    template: dict[str, Any]
    parameters: Any
    loops: dict[str, int]
    link: Link | None
    parameters_link: Link | None


@dataclass(frozen=True, slots=True)
class Declared:
    """A resource of a template: `where` it stands, what becomes its body, and what must be there before it.

    `symbol` is its symbolic name, `loop` the name of its copy loop and `at` its place in it; `serial` is how many
    of the loop are deployed at a time, None for all. `existing` ones are looked at and not deployed. `empty_loops`
    are the template's loops that run no times: who waits for one waits for nothing.
    """

    where: str
    id: ResourceId
    api_version: str
    condition: bool
    body: dict[str, Any]
    depends_on: tuple[str, ...]
    symbol: str | None = None
    loop: str | None = None
    at: int = 0
    serial: int | None = None
    existing: bool = False
    nested: Nested | None = None
    empty_loops: frozenset[str] = frozenset()

    @property
    def full_name(self) -> str:
        """The names of the resource and what it stands in, with slashes."""
        return "/".join(self.id.names)

    @property
    def deployed(self) -> bool:
        """Whether the deployment puts it."""
        return self.condition and not self.existing

    @property
    def names(self) -> tuple[str, ...]:
        """What it may be called, in lower case: its id, and its symbolic name or its names with and without type."""
        if self.symbol is not None:
            symbol = self.symbol.lower()
            return self.id.key, symbol if self.loop is None else f"{symbol}[{self.at}]"
        typed = provider_path(self.id.type, self.id.names).removeprefix("/providers/").lower()
        full = self.full_name.lower()
        return self.id.key, full, typed, f"{self.id.type.lower()}/{full}"


def is_symbolic(template: dict[str, Any]) -> bool:
    """Whether the template is of the language version with symbolic names."""
    return template.get("languageVersion") == LANGUAGE_VERSION


def check_sections(template: dict[str, Any], levels: tuple[Level, ...], limits: Limits) -> None:
    """Refuse what is missing, unknown or too much in a template; raises `InvalidTemplate`."""
    for name in ("$schema", "contentVersion", "resources"):
        if name not in template:
            raise InvalidTemplate.at("/", f"the required property '{name}' is missing")
    known = {level.value.lower() for level in levels}
    if str(template["$schema"]).lower().rstrip("#").rpartition("/")[2] not in known:
        wanted = " or ".join(level.value for level in levels)
        raise InvalidTemplate.at("/$schema", f"the schema is not that of a template for this scope, {wanted}")
    if template.get("languageVersion") not in (None, LANGUAGE_VERSION):
        raise InvalidTemplate.at("/languageVersion", f"'languageVersion' is not supported but for {LANGUAGE_VERSION}")
    other = sorted(set(template) - _SECTIONS)
    if other:
        raise InvalidTemplate.at(f"/{other[0]}", f"'{other[0]}' is not supported in a template")
    for name, kind, limit in (
        ("parameters", dict, "arm.template_parameters"),
        ("variables", dict, "arm.template_variables"),
        ("outputs", dict, "arm.template_outputs"),
        ("resources", dict if is_symbolic(template) else list, "arm.template_resources"),
    ):
        section = template.get(name)
        if section is not None and not isinstance(section, kind):
            what = "an object" if kind is dict else f"an array (symbolic names need languageVersion {LANGUAGE_VERSION})"
            raise InvalidTemplate.at(f"/{name}", f"'{name}' must be {what}")
        if section is not None and len(section) > limits[limit]:
            raise InvalidTemplate.at(
                f"/{name}", f"there are {len(section)} {name}, more than the limit of {limits[limit]}"
            )


def declare(template: dict[str, Any], context: Context, target: Target, limits: Limits) -> list[Declared]:
    """The template's resources in their order, nested ones after the one they stand in; raises `InvalidTemplate`."""
    reader = _Reader(context, target, symbolic=is_symbolic(template))
    found: list[Declared] = []
    for one in reader.section(template["resources"], "/resources", None):
        found.append(one)
        if len(found) > limits["arm.template_resources"]:
            raise InvalidTemplate.at("/resources", f"there are more than {limits['arm.template_resources']} resources")
    by_key: dict[str, Declared] = {}
    for one in found:
        twin = by_key.get(one.id.key)
        if one.deployed and twin is not None:
            raise InvalidTemplate.at(one.where, f"the resource '{one.id}' is defined twice, first at {twin.where}")
        if one.deployed:
            by_key[one.id.key] = one
    return [replace(one, empty_loops=frozenset(reader.empty_loops)) for one in found] if reader.empty_loops else found


class _Reader:
    """Reads the resources of one template."""

    def __init__(self, context: Context, target: Target, *, symbolic: bool) -> None:
        self._context = context
        self._target = target
        self._symbolic = symbolic
        self.empty_loops: set[str] = set()

    def section(self, section: Any, where: str, parent: tuple[str, str] | None) -> Iterator[Declared]:
        if not isinstance(section, dict if self._symbolic else list):
            raise InvalidTemplate.at(where, f"'resources' must be an {'object' if self._symbolic else 'array'}")
        rows = section.items() if isinstance(section, dict) else enumerate(section)
        for key, raw in rows:
            yield from self._resource(raw, f"{where}/{pointer(str(key))}", parent, str(key) if self._symbolic else None)

    def _resource(self, raw: Any, where: str, parent: tuple[str, str] | None, symbol: str | None) -> Iterator[Declared]:
        if not isinstance(raw, dict):
            raise InvalidTemplate.at(where, "a resource must be an object")
        for name in _REFUSED_IN_RESOURCE:
            if name in raw:
                raise InvalidTemplate.at(f"{where}/{name}", f"'{name}' is not supported in a resource")
        if "copy" not in raw:
            yield from self._one(raw, where, parent, symbol, {})
            return
        if parent is not None:
            raise InvalidTemplate.at(
                f"{where}/copy", "a resource inside another one cannot be copied: declare it beside that"
            )
        loop = resource_loop(raw["copy"], self._evaluate, f"{where}/copy")
        if not loop.count:
            self.empty_loops.add((symbol or loop.name).lower())
        for at in range(loop.count):
            for one in self._one(raw, where, None, symbol, {UNNAMED: at, loop.name.lower(): at}):
                of_loop = replace(one, loop=symbol or loop.name, at=at, serial=loop.batch)
                yield of_loop if one.where == where else one

    def _one(
        self,
        raw: dict[str, Any],
        where: str,
        parent: tuple[str, str] | None,
        symbol: str | None,
        loops: dict[str, int],
    ) -> Iterator[Declared]:
        outside = self._context.loops
        self._context.loops = outside | loops
        try:
            self._context.spend(RESOURCE, where)
            kind, name = self._named(raw, where, parent)
            is_nested = kind.lower() == _NESTED_DEPLOYMENT
            nested = self._nested(raw, name, where, self._context.loops) if is_nested else None
            if nested is None:
                for key in ("subscriptionId", "resourceGroup"):
                    if key in raw:
                        raise InvalidTemplate.at(f"{where}/{key}", f"'{key}' is for nested deployments; use 'scope'")
            declared = Declared(
                where,
                self._id(kind, name, raw, where) if nested is None else nested.target.deployment(name),
                self._text(raw, "apiVersion", where),
                self._condition(raw, where),
                {} if nested is not None else self._body(raw, where),
                self._depends_on(raw, where),
                symbol=symbol,
                existing=self._existing(raw, where),
                nested=nested,
            )
            children = (
                list(self.section(raw["resources"], f"{where}/resources", (kind, name))) if raw.get("resources") else []
            )
        finally:
            self._context.loops = outside
        yield declared
        yield from children

    def _body(self, raw: dict[str, Any], where: str) -> dict[str, Any]:
        sent = {key: value for key, value in raw.items() if key not in _NOT_SENT}
        body: dict[str, Any] = unroll(sent, self._context.loops, self._evaluate, where)
        return body

    def _named(self, raw: dict[str, Any], where: str, parent: tuple[str, str] | None) -> tuple[str, str]:
        if not isinstance(raw.get("type"), str) or not isinstance(raw.get("name"), str):
            raise InvalidTemplate.at(where, "a resource needs a 'type' and a 'name'")
        if not isinstance(raw.get("apiVersion"), str) or not raw["apiVersion"]:
            raise InvalidTemplate.at(where, "a resource needs an 'apiVersion'")
        kind, name = self._text(raw, "type", where).strip("/"), self._text(raw, "name", where).strip("/")
        return (kind, name) if parent is None else (f"{parent[0]}/{kind}", f"{parent[1]}/{name}")

    def _id(self, kind: str, name: str, raw: dict[str, Any], where: str) -> ResourceId:
        try:
            if raw.get("scope") is None:
                return self._target.resource(kind, name)
            scope = self._text(raw, "scope", where)
            if not scope.startswith("/"):
                scope = f"{self._target.prefix}/providers/{scope}"
            return ResourceId.parse(scope.rstrip("/") + provider_path(kind, name.split("/")))
        except WrongSegments as error:
            raise InvalidTemplate.at(f"{where}/name", f"{error}") from None
        except InvalidResourceId as error:
            raise InvalidTemplate.at(f"{where}/scope", f"{error}") from None

    def _nested(self, raw: dict[str, Any], name: str, where: str, loops: dict[str, int]) -> Nested:
        if _DEPLOYMENT_NAME.fullmatch(name) is None:
            raise InvalidTemplate.at(
                f"{where}/name", "a deployment's name has 1 to 64 letters, digits, and any of '-_.()'"
            )
        properties = raw.get("properties")
        if not isinstance(properties, dict):
            raise InvalidTemplate.at(f"{where}/properties", "a nested deployment needs 'properties'")
        other = sorted(key for key, value in properties.items() if key not in _NESTED_PROPERTIES and value is not None)
        if other:
            raise InvalidTemplate.at(
                f"{where}/properties/{other[0]}", f"'{other[0]}' is not supported in a nested deployment"
            )
        mode = self._evaluate(properties.get("mode", "Incremental"), f"{where}/properties/mode")
        if str(mode).lower() != "incremental":
            raise InvalidTemplate.at(f"{where}/properties/mode", "a nested deployment has the mode 'Incremental'")
        template, link, parameters_link = linked_parts(properties, self._context, f"{where}/properties")
        parameters = unroll(properties.get("parameters") or {}, loops, self._evaluate, f"{where}/properties/parameters")
        inner = link is not None or self._is_inner(properties, f"{where}/properties/expressionEvaluationOptions")
        target = self._nested_target(raw, where)
        return Nested(target, name, inner, template, parameters, dict(loops), link, parameters_link)

    def _is_inner(self, properties: dict[str, Any], where: str) -> bool:
        default = "inner" if self._symbolic else "outer"
        options = properties.get("expressionEvaluationOptions") or {}
        if not isinstance(options, dict):
            raise InvalidTemplate.at(where, "'expressionEvaluationOptions' must be an object")
        scope = str(self._evaluate(options.get("scope", default), f"{where}/scope")).lower()
        scope = default if scope == "notspecified" else scope
        if scope not in ("inner", "outer") or (self._symbolic and scope == "outer"):
            allowed = "inner" if self._symbolic else "inner or outer"
            raise InvalidTemplate.at(f"{where}/scope", f"the scope '{scope}' is not {allowed}")
        return scope == "inner"

    def _nested_target(self, raw: dict[str, Any], where: str) -> Target:
        try:
            if raw.get("scope") is not None:
                scope = self._text(raw, "scope", where)
                return Target.parse(scope if scope.startswith("/") else f"/providers/{scope}")
            subscription = self._target.subscription
            if raw.get("subscriptionId") is not None:
                subscription = self._text(raw, "subscriptionId", where)
            if raw.get("resourceGroup") is not None:
                if subscription is None:
                    raise InvalidTemplate.at(
                        f"{where}/resourceGroup", "'resourceGroup' needs a 'subscriptionId' at this scope"
                    )
                group = self._text(raw, "resourceGroup", where)
                return Target.parse(f"/subscriptions/{subscription}/resourceGroups/{group}")
            if raw.get("subscriptionId") is not None:
                return Target.parse(f"/subscriptions/{subscription}")
        except InvalidResourceId as error:
            raise InvalidTemplate.at(f"{where}/scope", f"{error}") from None
        return self._target

    def _existing(self, raw: dict[str, Any], where: str) -> bool:
        existing = raw.get("existing", False)
        if not isinstance(existing, bool) or (existing and not self._symbolic):
            raise InvalidTemplate.at(
                f"{where}/existing", f"'existing' is true or false, and needs languageVersion {LANGUAGE_VERSION}"
            )
        return existing

    def _text(self, raw: dict[str, Any], key: str, where: str) -> str:
        found = self._context.watch(raw[key], TEMPLATE_FUNCTIONS, f"{where}/{key}")
        if not isinstance(found.value, str) or not found.value:
            raise InvalidTemplate.at(f"{where}/{key}", f"'{key}' must be a string that is not empty")
        if found.secret:
            raise InvalidTemplate.at(
                f"{where}/{key}", f"'{key}' is shown to everybody: no secure parameter may be in it"
            )
        return found.value

    def _condition(self, raw: dict[str, Any], where: str) -> bool:
        if "condition" not in raw:
            return True
        value = self._evaluate(raw["condition"], f"{where}/condition")
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise InvalidTemplate.at(f"{where}/condition", "'condition' must be true or false")
        return value

    def _depends_on(self, raw: dict[str, Any], where: str) -> tuple[str, ...]:
        found = self._context.watch(raw.get("dependsOn") or [], TEMPLATE_FUNCTIONS, f"{where}/dependsOn")
        value = found.value
        if found.secret or not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise InvalidTemplate.at(
                f"{where}/dependsOn", "'dependsOn' must be an array of names and ids, none of them secret"
            )
        return tuple(value)

    @property
    def _evaluate(self) -> Evaluator:
        return Evaluator(self._context)
