"""Template deployments: checked, predicted, run within the request, kept with their operations."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from lurewire.arm.deployments.budget import Budget
from lurewire.arm.deployments.complete import surplus
from lurewire.arm.deployments.contents import linked
from lurewire.arm.deployments.links import Documents, Link, NotFetched, parameters_of
from lurewire.arm.deployments.planner import Planner, TemplateSecrets
from lurewire.arm.deployments.records import Records
from lurewire.arm.deployments.request import Request, read_request
from lurewire.arm.deployments.rollback import on_error
from lurewire.arm.deployments.run import Run
from lurewire.arm.deployments.secrecy import Redactor, without_defaults
from lurewire.arm.deployments.show import (
    moment_text,
    named,
    operations,
    results,
    shown_parameter,
    template_hash,
    warnings,
    warnings_of_stored,
)
from lurewire.arm.deployments.target import Level, Target
from lurewire.arm.deployments.turns import Turns
from lurewire.arm.deployments.whatif import WhatIf, result_format
from lurewire.arm.errors import (
    ArmError,
    DeploymentActive,
    DeploymentForbidden,
    DeploymentNotFound,
    DeploymentNotRunning,
    InvalidTemplate,
)
from lurewire.core.errors import Forbidden
from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lurewire.arm.containers import Account
    from lurewire.arm.deployments.plan import Plan
    from lurewire.arm.deployments.run import Permission
    from lurewire.arm.store import ResourceStore
    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.http import Gatekeeper
    from lurewire.core.limits import Limits
    from lurewire.core.outbound import Outbound
    from lurewire.core.principal import Principal

__all__ = ["TYPE", "Deployments", "TemplateSecrets"]

Bodies = list[dict[str, Any]]

TYPE = "Microsoft.Resources/deployments"


class Deployments:
    """What the deployment routes and the first start of an install call.

    `at` is everywhere the resource group, subscription or management group of a deployment, None for the tenant;
    `outbound` gives the way out for what deployments link to.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        store: ResourceStore,
        gatekeeper: Gatekeeper,
        vault: TemplateSecrets,
        account: Account,
        limits: Limits,
        outbound: Callable[[], Outbound],
    ) -> None:
        self.clock = clock
        self.store = store
        self.planner = Planner(store, account, vault, clock, limits)
        self._records = Records(db, store.box)
        self._gatekeeper = gatekeeper
        self._account = account
        self._outbound = outbound
        self.turns = Turns(limits)
        self._active: dict[str, bool] = {}  # by key: whether it is to be canceled
        self._listings: dict[tuple[str, str], Callable[[ResourceId], Awaitable[Any]]] = {}

    def register_listing(self, kind: str, name: str, answer: Callable[[ResourceId], Awaitable[Any]]) -> None:
        """Let templates call the `list...` function `name` on resources of a type; `answer` raises `WireError`s."""
        self._listings[kind.lower(), name.lower()] = answer

    async def start(self) -> None:
        """Declare what an earlier process left unfinished to have failed."""
        for scope, body, done in self._records.unfinished():
            body["properties"] |= {
                "provisioningState": "Failed",
                "error": {"code": "DeploymentFailed", "message": "The server stopped while the deployment ran."},
            }
            await self._records.save(scope, body, done)

    async def deploy(
        self,
        at: ResourceId | None,
        name: str,
        body: dict[str, Any],
        principal: Principal | None = None,
        correlation_id: str | None = None,
        api_version: str = "",
    ) -> dict[str, Any]:
        """Run the deployment `{"properties": {"mode", "template", "parameters"}}` and return it as a GET shows it.

        Raises `ArmError`s for what is wrong beforehand: then nothing was changed. What fails later is in the returned
        body's `properties.error`. `principal` None is the platform itself, which may do everything.
        """
        request = await self._read(at, name, body, principal, correlation_id or str(uuid.uuid4()), api_version)
        self._check_idle(request)
        return await self.run(request, await self._checked(request))

    async def _deploy_again(self, request: Request, shown: dict[str, Any]) -> dict[str, Any]:
        """Run the deployment that is to stand after a failure; gives the failed one, which tells how that went."""
        wanted, operations = request.on_error, self._records.operations(request.id) or []
        assert wanted is not None
        problem: dict[str, Any] | None = None
        try:
            earlier = self._records.repeatable(request.target.deployment(wanted.name))
            if earlier is None:
                raise DeploymentNotFound(wanted.name)  # deleted meanwhile
            link = None if earlier["link"] is None else Link(**earlier["link"])
            again = replace(
                request,
                name=wanted.name,
                template=earlier["template"],
                parameters=earlier["parameters"],
                link=link,
                parameters_link=None,
                parts=() if link is None else link.secrets,
                mode="Complete",
                budget=self._budget(),
                documents=self._documents(),
                tags=earlier["tags"],
                on_error=None,
            )
            self._check_idle(again)
            done = (await self.run(again, await self._checked(again, begun=True)))["properties"]
            state, problem = done["provisioningState"], done.get("error")
        except ArmError as error:
            state, problem = "Failed", {"code": error.code, "message": error.message, "details": [*error.details]}
        shown["properties"]["onErrorDeployment"] = wanted.shown(state)
        if problem is not None:
            target = str(request.target.deployment(wanted.name))
            shown["properties"]["error"].setdefault("details", []).append({"target": target, **problem})
        await self._records.save(request.target.key, shown, operations)
        return shown

    async def run(self, request: Request, plan: Plan) -> dict[str, Any]:
        """Carry a plan out and keep its deployment; gives it as a GET shows it."""
        self._check_idle(request)
        key = request.id.key
        self._active[key] = False
        try:
            shown = await self._run(request, plan, key)
            if request.on_error is not None and shown["properties"]["provisioningState"] == "Failed":
                shown = await self._deploy_again(request, shown)
            return shown
        finally:
            del self._active[key]

    async def _run(self, request: Request, plan: Plan, key: str) -> dict[str, Any]:
        started, scope = self.clock.now(), request.target.key
        template = await asyncio.to_thread(_kept, request, plan)
        link = None if request.link is None else asdict(request.link)
        sent = {"template": request.template, "parameters": request.parameters, "tags": request.tags, "link": link}
        await self._records.begin(scope, await self._shown(request, plan, "Running"), template)
        is_complete = request.mode == "Complete"
        run = Run(
            request,
            plan,
            self,
            (lambda: surplus(self.store, request, plan)) if is_complete else list,
            lambda: self._active[key],
        )
        outcome = await run.carry_out()
        shown = await self._shown(request, plan, outcome.state)
        shown["properties"] |= results(outcome, self.clock.now() - started)
        if found := warnings_of_stored(outcome, self.store):
            shown["properties"]["diagnostics"] = [*shown["properties"].get("diagnostics", ()), *plan.redactor(found)]
        is_repeatable = outcome.state == "Succeeded" and request.levels == 0 and request.target.level is Level.GROUP
        await self._records.save(scope, shown, operations(request.id, outcome), sent if is_repeatable else None)
        return shown

    async def validate(
        self, at: ResourceId | None, name: str, body: dict[str, Any], principal: Principal | None = None
    ) -> dict[str, Any]:
        """Check a deployment and change nothing; the answer lists the resources. Raises `ArmError`s."""
        request = await self._read(at, name, body, principal, str(uuid.uuid4()))
        plan = await self._checked(request)
        shown = await self._shown(request, plan, "Succeeded")
        shown["properties"]["validatedResources"] = [{"id": str(one)} for one in _planned(plan)]
        return shown

    async def what_if(
        self,
        at: ResourceId | None,
        name: str,
        body: dict[str, Any],
        principal: Principal | None = None,
        api_version: str = "",
    ) -> dict[str, Any]:
        """What a deployment would change, as the `properties` of the answer. Raises `ArmError`s."""
        request = await self._read(at, name, body, principal, str(uuid.uuid4()), api_version)
        full = result_format(body["properties"]) == "FullResourcePayloads"
        plan = await self._checked(request)
        return await WhatIf(self.store, request, self.permission(request), full=full).result(plan)

    def cancel(self, at: ResourceId | None, name: str) -> None:
        """Have a running deployment stop before its next resource; raises `DeploymentNotRunning`."""
        target = Target(at).deployment(name)
        if target.key not in self._active:
            shown = self.get(at, name)
            state = shown["properties"]["provisioningState"]
            raise DeploymentNotRunning(f"The deployment '{name}' cannot be canceled: it is in the state '{state}'.")
        self._active[target.key] = True

    def get(self, at: ResourceId | None, name: str) -> dict[str, Any]:
        """A deployment; raises `DeploymentNotFound`."""
        self._check_scope(at)
        found = self._records.get(Target(at).deployment(name))
        if found is None:
            raise DeploymentNotFound(name)
        return found

    def deployment(self, deployment: ResourceId) -> dict[str, Any] | None:
        """A deployment by its id, None where there is none."""
        return self._records.get(deployment)

    def exists(self, at: ResourceId | None, name: str) -> bool:
        """Whether there is such a deployment."""
        return self._records.get(Target(at).deployment(name)) is not None

    def list(self, at: ResourceId | None) -> Bodies:
        """The deployments at a scope, the latest first; raises the 404 of the scope."""
        self._check_scope(at)
        return self._records.list(Target(at).key)

    def operations(self, at: ResourceId | None, name: str) -> Bodies:
        """What a deployment did, resource by resource; raises `DeploymentNotFound`."""
        self._check_scope(at)
        found = self._records.operations(Target(at).deployment(name))
        if found is None:
            raise DeploymentNotFound(name)
        return found

    def template(self, at: ResourceId | None, name: str) -> dict[str, Any]:
        """The template that was deployed, without the values of secure parameters; raises `DeploymentNotFound`."""
        self._check_scope(at)
        found = self._records.template(Target(at).deployment(name))
        if found is None:
            raise DeploymentNotFound(name)
        return found

    async def delete(self, at: ResourceId | None, name: str) -> bool:
        """Forget a deployment, not what it deployed; False where there was none. Raises `DeploymentActive`."""
        deployment = Target(at).deployment(name)
        if deployment.key in self._active:
            raise DeploymentActive(f"Unable to delete deployment '{name}': it is still active.")
        return await self._records.delete(deployment)

    async def delete_group(self, group: ResourceId) -> None:
        """Forget all deployments of a resource group."""
        await self._records.delete_all(group.key)

    def permission(self, request: Request) -> Permission:
        """The rights of who deploys."""
        return self._permission(request.principal)

    def _permission(self, principal: Principal | None) -> Permission:
        def permit(action: str, scope: str) -> None:
            if principal is not None and not self._gatekeeper.allows(principal, action, scope, data=False):
                raise Forbidden(principal, action, scope)

        return permit

    async def plan(self, request: Request, *, begun: bool = False) -> Plan:
        """The plan of a request, with what it links to; `begun` is one whose deployment runs already.

        Raises what `Planner.plan` does, `InvalidContentLink` and `TooManyPlans`.
        """
        left, who = request.budget.left, "" if request.principal is None else request.principal.object_id
        while True:
            plan = await self.turns.run(lambda: self.planner.plan(request), who, begun=begun)
            if not await request.documents.fetch():
                return plan
            request.budget.left = left  # each level of links takes a plan of its own

    async def _read(
        self,
        at: ResourceId | None,
        name: str,
        body: dict[str, Any],
        principal: Principal | None,
        correlation_id: str,
        api_version: str = "",
    ) -> Request:
        body = linked(body, self.store.shown, self._permission(principal))
        target = Target(at)
        documents = self._documents()
        request = read_request(target, name, body, principal, correlation_id, self._budget(), documents, api_version)
        again = on_error(body["properties"].get("onErrorDeployment"), target, name, self._records)
        request = replace(request, on_error=again)
        while True:
            try:
                return self._with_documents(request)
            except NotFetched:
                await documents.fetch()

    @staticmethod
    def _with_documents(request: Request) -> Request:
        template, parameters = request.template, request.parameters
        if request.link is not None:
            template = request.documents.get(request.link, "templateLink")
        if request.parameters_link is not None:
            parameters = parameters_of(
                request.documents.get(request.parameters_link, "parametersLink"), "parametersLink"
            )
        return replace(request, template=template, parameters=parameters)

    def _documents(self) -> Documents:
        return Documents(self._outbound, self.planner.limits, self.clock)

    def _budget(self) -> Budget:
        return Budget(self.planner.limits["arm.template_work"])

    async def listing(self, name: str, resource_id: ResourceId, value: Any) -> Any:
        """The answer of a `list...` action of a resource; raises `InvalidTemplate` where there is no such action."""
        answer = self._listings.get((resource_id.type.lower(), name.lower()))
        if answer is None:
            message = f"The type '{resource_id.type}' has no action '{name}' here, which a template calls."
            raise InvalidTemplate(message, target=str(resource_id))
        if value is not None:
            raise InvalidTemplate(f"The action '{name}' of '{resource_id.type}' takes no values.")
        if self.store.acts_on(resource_id):  # a part of a resource is nothing of the store's: its room looks for it
            self.store.check_exists(resource_id)
        return await answer(resource_id)

    def _check_idle(self, request: Request) -> None:
        if request.id.key in self._active:
            message = f"Unable to edit or replace deployment '{request.name}': it is still active."
            raise DeploymentActive(message)

    def _check_scope(self, at: ResourceId | None) -> None:
        target = Target(at)
        if at is not None and target.level is not Level.TENANT:
            self.store.check_exists(at)

    async def _checked(self, request: Request, *, begun: bool = False) -> Plan:
        plan, permit = await self.plan(request, begun=begun), self.permission(request)
        wanted = list(plan.writes())
        if request.mode == "Complete":
            wanted += [(f"{one.type}/delete", str(one)) for one in surplus(self.store, request, plan)]
        refused = []
        for action, scope in wanted:
            try:
                permit(action, scope)
            except Forbidden as error:
                refused.append(_refusal(error))
        if refused:
            message = "Deployment failed with errors: " + " ".join(one["message"] for one in refused)
            raise DeploymentForbidden(message, details=refused)
        return plan

    async def _shown(self, request: Request, plan: Plan, state: str) -> dict[str, Any]:
        return await asyncio.to_thread(self._as_shown, request, plan, state)  # to redact much takes seconds

    def _as_shown(self, request: Request, plan: Plan, state: str) -> dict[str, Any]:
        providers: dict[str, dict[str, None]] = {}
        for resource in plan.resources:
            if not resource.existing:
                providers.setdefault(resource.id.namespace, {})["/".join(resource.id.types)] = None
        body: dict[str, Any] = {"id": str(request.id), "name": request.name, "type": TYPE}
        if request.location is not None and request.target.level is not Level.GROUP:
            body["location"] = request.location
        if request.tags:
            body["tags"] = request.tags
        diagnostics = warnings(plan, self.store)
        return body | {
            "properties": {
                **({"diagnostics": diagnostics} if diagnostics else {}),
                "provisioningState": state,
                "correlationId": request.correlation_id,
                "timestamp": moment_text(self.clock.now()),
                "mode": request.mode,
                "templateHash": template_hash(request.template),
                **({} if request.on_error is None else {"onErrorDeployment": request.on_error.shown()}),
                **({} if request.link is None else {"templateLink": request.link.shown}),
                **({} if request.parameters_link is None else {"parametersLink": request.parameters_link.shown}),
                "parameters": {one.name: shown_parameter(plan, one) for one in plan.parameters},
                "providers": [
                    {
                        "namespace": namespace,
                        "resourceTypes": [
                            {"resourceType": one, "locations": [self._account.location]} for one in types
                        ],
                    }
                    for namespace, types in providers.items()
                ],
                "dependencies": [
                    named(plan, index) | {"dependsOn": [named(plan, one) for one in sorted(plan.needs[index])]}
                    for index in plan.order
                    if plan.needs[index]
                ],
            },
        }


def _kept(request: Request, plan: Plan) -> dict[str, Any]:
    """The template without its secrets, those of links too that are written in it."""
    kept: dict[str, Any] = without_defaults(Redactor(plan.context.parts)(plan.redactor(request.template)))
    return kept


def _planned(plan: Plan) -> list[ResourceId]:
    found: list[ResourceId] = []
    for index, one in enumerate(plan.resources):
        if one.deployed:
            found.append(one.id)
            found += _planned(plan.children[index]) if index in plan.children else []
    return found


def _refusal(error: Forbidden) -> dict[str, Any]:
    resource_id = ResourceId.parse(error.scope)
    return {
        "code": "AuthorizationFailed",
        "target": error.scope,
        "message": (
            f"Authorization failed for template resource '{'/'.join(resource_id.names)}' of type "
            f"'{resource_id.type}'. The client '{error.principal.app_id}' with object id "
            f"'{error.principal.object_id}' does not have permission to perform action "
            f"'{error.action}' at scope '{error.scope}'."
        ),
    }
