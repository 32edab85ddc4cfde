"""From a request to a plan: everything that can be known of a deployment beforehand is checked here."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from lurewire.arm.deployments.context import Context, Names, Runtime, Value
from lurewire.arm.deployments.definitions import Types
from lurewire.arm.deployments.functions import TEMPLATE_FUNCTIONS, Evaluator
from lurewire.arm.deployments.links import NotFetched, parameters_of
from lurewire.arm.deployments.loops import is_loops, property_loops, unroll
from lurewire.arm.deployments.outputs import declared_outputs
from lurewire.arm.deployments.own import own_functions
from lurewire.arm.deployments.parameters import declared, resolve, secure_defaults
from lurewire.arm.deployments.plan import Directory, Plan, explicit, in_order, leaves
from lurewire.arm.deployments.preview import ELSEWHERE, preview, referred
from lurewire.arm.deployments.secrecy import Redactor
from lurewire.arm.deployments.show import template_hash
from lurewire.arm.deployments.target import Level
from lurewire.arm.deployments.template import check_sections, declare
from lurewire.arm.errors import (
    ArmError,
    InvalidContentLink,
    InvalidTemplate,
    ManagementGroupNotFound,
    ResourceGroupNotFound,
    SubscriptionNotFound,
    VaultReferenceFailed,
    VaultReferenceForbidden,
)
from lurewire.arm.providers import providers
from lurewire.core.errors import Forbidden, WireError
from lurewire.expressions import FunctionError, Syntax, check

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.arm.containers import Account
    from lurewire.arm.deployments.links import Link
    from lurewire.arm.deployments.parameters import Parameter, VaultReference
    from lurewire.arm.deployments.request import Request
    from lurewire.arm.deployments.template import Nested
    from lurewire.arm.store import ResourceStore
    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits
    from lurewire.core.principal import Principal
    from lurewire.core.resources import ResourceId
    from lurewire.expressions import FunctionTable


class TemplateSecrets(Protocol):
    """Who resolves a parameter's key vault reference: the vault room."""

    def template_secret(self, principal: Principal | None, vault: ResourceId, name: str, version: str) -> str:
        """The secret's value; raises `Forbidden` or a `WireError`."""
        ...


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes plans; it changes nothing."""

    store: ResourceStore
    account: Account
    vault: TemplateSecrets
    clock: Clock
    limits: Limits

    def plan(self, request: Request) -> Plan:
        """Check and order a template, and the templates inside it.

        Raises `InvalidTemplate`, the 404 of the scope, and what a key vault reference raises. In a template whose
        names are another's, `NotDeployedYet` leaves too where that one is being deployed.
        """
        template = request.template
        levels = tuple(Level) if request.levels else (request.target.level,)
        check_sections(template, levels, self.limits)
        if request.levels > self.limits["arm.nested_deployments"]:
            raise InvalidTemplate.at("/", f"deployments are nested deeper than {self.limits['arm.nested_deployments']}")
        if request.outer is not None:
            return self._borrowing(request, request.outer)
        context = self._context(request)
        types = Types(template, context.spend)
        parameters = declared(template, types, request.parameters, request.secret)
        values = resolve(
            parameters, context, lambda parameter, wanted: self._secret(request.principal, parameter, wanted)
        )
        secrets = [value.value for value in values.values() if value.secret]
        redactor = Redactor([*secrets, *context.parts, *secure_defaults(parameters, context)])
        # All of it is redacted when it is kept: thousands of secrets in thousands of strings take minutes.
        context.spend(redactor.cost([template, request.parameters]), "/parameters")
        try:
            context.own = own_functions(template.get("functions"), types)
            context.variables = _variables(template.get("variables") or {}, context)
            plan = self._resources(request, context, redactor, types)
            runtime = preview(plan.directory)
            self._dependencies(request, plan, runtime)
        except InvalidTemplate as error:
            raise InvalidTemplate(redactor(error.message), target=error.target) from None
        finally:
            context.runtime = None
        return replace(plan, parameters=parameters, values=values)

    def _borrowing(self, request: Request, outer: Plan) -> Plan:
        declarations = request.template.get("parameters") or {}
        if not isinstance(declarations, dict) or not isinstance(request.parameters, dict):
            raise InvalidTemplate.at("/parameters", "'parameters' must be an object")
        unknown = sorted(set(request.parameters) - set(declarations))
        if unknown:
            raise InvalidTemplate.at(
                "/parameters", f"the template of the nested deployment has no parameter '{unknown[0]}'"
            )
        context = outer.context
        runtime, loops = context.runtime, context.loops
        context.runtime, context.loops = None, loops | request.loops
        try:
            self._scope(request)
            plan = self._resources(request, context, outer.redactor, Types(request.template, context.spend))
            context.runtime = runtime
            self._dependencies(request, plan, None)
        finally:
            context.runtime, context.loops = runtime, loops
        return replace(plan, borrowed=True)

    def _resources(self, request: Request, context: Context, redactor: Redactor, types: Types) -> Plan:
        template = request.template
        _check_expressions(template, context.own or TEMPLATE_FUNCTIONS)
        resources = declare(template, context, request.target, self.limits)
        directory = Directory(resources)
        needs = {index: explicit(resources, directory, index) for index in range(len(resources))}
        outputs = declared_outputs(template.get("outputs") or {}, context, types)
        return Plan(request.target, [], {}, resources, directory, [], needs, outputs, context, redactor)

    def _dependencies(self, request: Request, plan: Plan, runtime: Runtime | None) -> None:
        """Find what each resource waits for besides `dependsOn`, and plan the nested deployments."""
        if runtime is not None:
            plan.context.runtime = runtime
        for index, resource in enumerate(plan.resources):
            if not resource.deployed:
                continue
            if resource.nested is not None:
                needs = self._child(request, plan, index)
            elif runtime is not None:
                needs = referred(leaves(resource.body, resource.where), plan.context)
            if runtime is not None:  # what a borrowed template refers to is in the template around it
                plan.needs[index] |= needs - {index, ELSEWHERE}
        plan.order.extend(in_order(plan.resources, plan.needs))

    def _child(self, request: Request, plan: Plan, index: int) -> set[int]:
        """Plan a nested deployment where everything is there for it; what it waits for."""
        nested, where = plan.resources[index].nested, plan.resources[index].where
        assert nested is not None
        needs = referred(leaves(nested.parameters, f"{where}/properties/parameters"), plan.context)
        try:
            self._documents(request, nested, where)
            if needs and nested.inner:
                return needs
            child = self.child(request, plan, index)
        except NotFetched:
            return needs  # it is planned again when everything is there
        plan.children[index] = child
        if child.borrowed:
            needs |= referred(child.leaves(), plan.context)
        return needs

    @staticmethod
    def _documents(request: Request, nested: Nested, where: str) -> tuple[dict[str, Any], Any]:
        """Template and parameters of a nested deployment; raises `NotFetched` and `InvalidContentLink`."""
        documents, template, parameters = request.documents, nested.template, nested.parameters
        if nested.parameters_link is not None:
            with suppress(NotFetched):  # both are fetched at once
                documents.get(nested.parameters_link, where)
        if nested.link is not None:
            template = documents.get(nested.link, f"{where}/properties/templateLink")
        if nested.parameters_link is not None:
            place = f"{where}/properties/parametersLink"
            parameters = parameters_of(documents.get(nested.parameters_link, place), place)
        return template, parameters

    def child(self, request: Request, plan: Plan, index: int) -> Plan:
        """The plan of the nested deployment at a place of a plan; raises `InvalidTemplate`."""
        try:
            return self.plan(self.child_request(request, plan, index))
        except InvalidContentLink:
            raise
        except ArmError as error:
            nested = plan.resources[index].nested
            assert nested is not None
            message = f"Nested deployment '{nested.name}' at {plan.resources[index].where}: {error.message}"
            raise InvalidTemplate(plan.redactor(message), target=error.target) from None

    def child_request(self, request: Request, plan: Plan, index: int) -> Request:
        """The nested deployment at a place of a plan, as a request; raises `InvalidTemplate` and `NotDeployedYet`."""
        resource = plan.resources[index]
        nested = resource.nested
        assert nested is not None
        where = f"{resource.where}/properties/parameters"
        template, raw_parameters = self._documents(request, nested, resource.where)
        if nested.parameters_link is None:
            parameters = plan.context.watch(raw_parameters, TEMPLATE_FUNCTIONS, where, parts=False)
        else:
            parameters = Value(raw_parameters, secret=False)  # a file of parameters has no expressions
        secret: set[str] = set()
        if parameters.secret and isinstance(nested.parameters, dict):
            for name, raw in nested.parameters.items():
                if plan.context.watch(raw, TEMPLATE_FUNCTIONS, where, parts=False).secret:
                    secret.add(name.lower())
        elif parameters.secret:
            secret |= {name.lower() for name in parameters.value}
        return replace(
            request,
            target=nested.target,
            name=nested.name,
            template=template,
            parameters=parameters.value,
            link=nested.link,
            parameters_link=nested.parameters_link,
            mode="Incremental",
            tags=None,
            api_version=resource.api_version,
            levels=request.levels + 1,
            secret=frozenset(secret),
            outer=None if nested.inner else plan,
            loops=nested.loops,
            groups=request.groups | self._groups(plan),
            parts=plan.context.parts,
            on_error=None,
        )

    def _groups(self, plan: Plan) -> dict[str, dict[str, Any]]:
        return {
            one.id.key: {
                "id": str(one.id),
                "name": one.id.name,
                "type": one.id.type,
                "location": plan.context.watch(one.body.get("location"), TEMPLATE_FUNCTIONS, one.where).value,
                "tags": {},
                "properties": {"provisioningState": "Succeeded"},
            }
            for one in plan.resources
            if one.deployed and one.id.type == "Microsoft.Resources/resourceGroups"
        }

    def _context(self, request: Request) -> Context:
        group, subscription, management_group = self._scope(request)
        location = {} if request.location is None else {"location": request.location}
        return Context(
            tenant_id=self.account.tenant_id,
            subscription=subscription,
            group=group,
            management_group=management_group,
            prefix=request.target.prefix if group is None else group["id"],
            deployment={
                "name": request.name,
                **location,
                "properties": {
                    **({} if request.link is None else {"templateLink": _own_link(request.link)}),
                    "template": {"contentVersion": request.template.get("contentVersion")},
                    "templateHash": template_hash(request.template),
                    "mode": request.mode,
                    "provisioningState": "Accepted",
                },
            },
            environment=self.account.environment(),
            providers=self._providers,
            now=self.clock.now(),
            budget=request.budget,
            parts=request.parts,
            link=request.link,
        )

    def _scope(self, request: Request) -> tuple[dict[str, Any] | None, dict[str, Any] | None, dict[str, Any] | None]:
        """Group, subscription and management group of a deployment; raises the 404 of what is not there."""
        target = request.target
        if target.level is Level.TENANT or target.id is None:
            return None, None, None
        if target.level is Level.MANAGEMENT_GROUP:
            shown = self.store.shown(target.id)
            if shown is None:
                raise ManagementGroupNotFound(target.id.name)
            return None, None, shown
        if target.subscription is None or target.subscription.lower() != self.account.subscription_id.lower():
            raise SubscriptionNotFound(str(target.subscription))
        subscription = {
            "id": f"/subscriptions/{self.account.subscription_id}",
            "subscriptionId": self.account.subscription_id,
            "tenantId": self.account.tenant_id,
            "displayName": self.account.name,
        }
        if target.level is Level.SUBSCRIPTION:
            return None, subscription, None
        group = self.store.shown(target.id) or request.groups.get(target.key)
        if group is None:
            raise ResourceGroupNotFound(target.id.name)
        return group, subscription, None

    def _providers(self, namespace: str, kind: str | None) -> Any:
        for one in providers(self.store.types, self.account.subscription_id, self.account.location):
            if one["namespace"].lower() == namespace.lower():
                types = [row | {"apiVersions": row["apiVersions"]} for row in one["resourceTypes"]]
                if kind is None:
                    return {"namespace": one["namespace"], "resourceTypes": types}
                for row in types:
                    if row["resourceType"].lower() == kind.lower():
                        return row
        raise FunctionError(f"knows no resource provider '{namespace}'{f' with a type {kind!r}' if kind else ''}.")

    def _secret(self, principal: Principal | None, parameter: Parameter, reference: VaultReference) -> str:
        try:
            return self.vault.template_secret(principal, reference.vault, reference.name, reference.version)
        except Forbidden as error:
            message = f"The parameter '{parameter.name}' refers to the vault '{reference.vault}': {error}."
            raise VaultReferenceForbidden(message, target=parameter.where) from None
        except WireError as error:
            message = f"The parameter '{parameter.name}' refers to the vault '{reference.vault}': {error.message}"
            raise VaultReferenceFailed(message, target=parameter.where) from None


def _own_link(link: Link) -> dict[str, Any]:
    """A template's link as `deployment()` gives it: whole, for templates make the links to others of it."""
    return {"uri": link.uri} | ({} if link.version is None else {"contentVersion": link.version})


def _variables(variables: dict[str, Any], context: Context) -> Names:
    evaluate = Evaluator(context)

    def source(name: str) -> Callable[[], Value]:
        where = f"/variables/{name}"
        return lambda: context.watch(
            unroll(variables[name], {}, evaluate, where), TEMPLATE_FUNCTIONS, where, parts=False
        )

    def loop(raw: dict[str, Any], where: str) -> Callable[[], Value]:
        def value() -> Value:
            [(_, made)] = property_loops([raw], {}, evaluate, where)
            return context.watch(made, TEMPLATE_FUNCTIONS, where, parts=False)

        return value

    rows = [(name, source(name)) for name in variables if name.lower() != "copy"]
    loops: Any = next((value for name, value in variables.items() if name.lower() == "copy"), [])
    if not isinstance(loops, list) or (loops and not is_loops(loops)):
        raise InvalidTemplate.at("/variables/copy", "'copy' must be an array of loops")
    for index, raw in enumerate(loops):
        if not isinstance(raw, dict) or not isinstance(raw.get("name"), str):
            raise InvalidTemplate.at(f"/variables/copy/{index}", "a loop has the form {name, count, input}")
        rows.append((raw["name"], loop(raw, f"/variables/copy/{index}")))
    names = Names("variable", {name.lower(): row for name, row in rows})
    if len(names.sources) != len(rows):
        raise InvalidTemplate.at("/variables", "two variables differ only in case")
    return names


def _check_expressions(template: dict[str, Any], table: FunctionTable[Context]) -> None:
    sections = {"variables": template.get("variables"), "outputs": template.get("outputs")}
    sections["resources"] = _without_templates(template.get("resources"))
    for section, value in sections.items():
        wrong = next(check(value, table, Syntax.ARM, f"/{section}"), None)
        if wrong is not None:
            raise InvalidTemplate(f"Deployment template validation failed: {wrong}", target=wrong.where)


def _without_templates(section: Any) -> Any:
    """Resources without the templates of nested deployments, which are checked on their own."""
    if isinstance(section, list):
        return [_without_template(one) for one in section]
    return {name: _without_template(one) for name, one in section.items()} if isinstance(section, dict) else section


def _without_template(raw: Any) -> Any:
    if not isinstance(raw, dict):
        return raw
    properties = raw.get("properties")
    if str(raw.get("type", "")).lower() == "microsoft.resources/deployments" and isinstance(properties, dict):
        properties = {name: value for name, value in properties.items() if name != "template"}
        return raw | {"properties": properties}
    return raw | {"resources": _without_templates(raw["resources"])} if raw.get("resources") else raw
