"""Template deployments of a resource group: checked, run within the request, kept with their operations."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from lurewire.arm.deployments.context import Context
from lurewire.arm.deployments.plan import Plan, make_plan
from lurewire.arm.deployments.run import Run
from lurewire.arm.deployments.show import moment_text, named, operations, results, shown_parameter, template_hash
from lurewire.arm.errors import (
    DeploymentActive,
    DeploymentForbidden,
    DeploymentNotFound,
    InvalidDeployment,
    ResourceGroupNotFound,
    VaultReferenceFailed,
    VaultReferenceForbidden,
)
from lurewire.arm.tables import deployments
from lurewire.core.errors import Forbidden, WireError

if TYPE_CHECKING:
    from lurewire.arm.containers import Account
    from lurewire.arm.deployments.parameters import Parameter, VaultReference
    from lurewire.arm.store import ResourceStore
    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.http import Gatekeeper
    from lurewire.core.limits import Limits
    from lurewire.core.principal import Principal
    from lurewire.core.resources import ResourceId

Bodies = list[dict[str, Any]]

TYPE = "Microsoft.Resources/deployments"
_KNOWN = {"mode", "template", "parameters", "debugSetting", "expressionEvaluationOptions"}


class TemplateSecrets(Protocol):
    """Who resolves a parameter's key vault reference: the vault room."""

    def template_secret(self, principal: Principal | None, vault: ResourceId, name: str, version: str) -> str:
        """The secret's value; raises `Forbidden` or a `WireError`."""
        ...


@dataclass(frozen=True, slots=True)
class _Request:
    group: ResourceId
    name: str
    body: dict[str, Any]
    principal: Principal | None
    correlation_id: str

    @property
    def id(self) -> ResourceId:
        """The deployment's id."""
        return self.group.extension("Microsoft.Resources", "deployments", self.name)


class Deployments:
    """What the deployment routes and the first start of an install call."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        store: ResourceStore,
        gatekeeper: Gatekeeper,
        vault: TemplateSecrets,
        account: Account,
        limits: Limits,
    ) -> None:
        self._db = db
        self._clock = clock
        self._store = store
        self._gatekeeper = gatekeeper
        self._vault = vault
        self._account = account
        self._limits = limits
        self._active: set[str] = set()

    async def start(self) -> None:
        """Declare what an earlier process left unfinished to have failed."""
        running = sa.select(deployments).where(deployments.c.state == "Running")
        for row in self._db.read(lambda conn: conn.execute(running).all()):
            body = msgspec.json.decode(row.body)
            body["properties"] |= {
                "provisioningState": "Failed",
                "error": {"code": "DeploymentFailed", "message": "The server stopped while the deployment ran."},
            }
            await self._save(row.key, row.group_key, body, msgspec.json.decode(row.operations))

    async def deploy(
        self,
        group: ResourceId,
        name: str,
        body: dict[str, Any],
        principal: Principal | None = None,
        correlation_id: str | None = None,
    ) -> dict[str, Any]:
        """Run the deployment `{"properties": {"mode", "template", "parameters"}}` and return it as a GET shows it.

        Raises `ArmError`s for what is wrong beforehand: then nothing was changed. What fails later is in the returned
        body's `properties.error`. `principal` None is the platform itself, which may do everything.
        """
        request = _Request(group, name, body, principal, correlation_id or str(uuid.uuid4()))
        key = request.id.key
        if key in self._active:
            raise DeploymentActive(f"Unable to edit or replace deployment '{name}': it is still active.")
        self._active.add(key)
        try:
            return await self._deploy(request)
        finally:
            self._active.discard(key)

    async def _deploy(self, request: _Request) -> dict[str, Any]:
        group, principal = request.group, request.principal
        plan = self._plan(request)
        started = self._clock.now()
        shown = self._shown(request, plan, "Running")
        await self._save(request.id.key, group.key, shown, [])
        outcome = await Run(plan, self._store, self._clock, principal, self._permission(principal)).carry_out()
        state = "Succeeded" if outcome.error is None else "Failed"
        shown = self._shown(request, plan, state)
        shown["properties"] |= results(outcome, self._clock.now() - started)
        await self._save(request.id.key, group.key, shown, operations(request.id, outcome))
        return shown

    def validate(
        self, group: ResourceId, name: str, body: dict[str, Any], principal: Principal | None = None
    ) -> dict[str, Any]:
        """Check a deployment and change nothing; the answer lists the resources. Raises `ArmError`s."""
        request = _Request(group, name, body, principal, str(uuid.uuid4()))
        plan = self._plan(request)
        shown = self._shown(request, plan, "Succeeded")
        deployed = [{"id": str(one.id)} for one in plan.resources if one.condition]
        shown["properties"]["validatedResources"] = deployed
        return shown

    def get(self, group: ResourceId, name: str) -> dict[str, Any]:
        """A deployment; raises `DeploymentNotFound`."""
        body: dict[str, Any] = msgspec.json.decode(self._row(group, name).body)
        return body

    def exists(self, group: ResourceId, name: str) -> bool:
        """Whether there is such a deployment."""
        return self._state(group.extension("Microsoft.Resources", "deployments", name)) is not None

    def list(self, group: ResourceId) -> Bodies:
        """The deployments of a resource group; raises `ResourceGroupNotFound`."""
        self._group(group)
        query = sa.select(deployments.c.body).where(deployments.c.group_key == group.key)
        return [msgspec.json.decode(body) for body in self._db.read(lambda conn: conn.execute(query).scalars().all())]

    def operations(self, group: ResourceId, name: str) -> Bodies:
        """What a deployment did, resource by resource; raises `DeploymentNotFound`."""
        found: Bodies = msgspec.json.decode(self._row(group, name).operations)
        return found

    async def delete(self, group: ResourceId, name: str) -> bool:
        """Forget a deployment, not what it deployed; False where there was none."""
        key = group.extension("Microsoft.Resources", "deployments", name).key
        gone = sa.delete(deployments).where(deployments.c.key == key)
        return await self._db.write(lambda conn: conn.execute(gone).rowcount) > 0

    async def delete_group(self, group: ResourceId) -> None:
        """Forget all deployments of a resource group."""
        gone = sa.delete(deployments).where(deployments.c.group_key == group.key)
        await self._db.write(lambda conn: conn.execute(gone))

    def _plan(self, request: _Request) -> Plan:
        properties = request.body.get("properties")
        if not isinstance(properties, dict):
            raise InvalidDeployment("The request content is not valid: a deployment needs 'properties'.")
        mode = str(properties.get("mode", ""))
        if mode.lower() != "incremental":
            raise InvalidDeployment(f"The deployment mode '{mode}' is not supported; 'Incremental' is.")
        other = sorted(name for name, value in properties.items() if name not in _KNOWN and value is not None)
        if other:
            raise InvalidDeployment(f"'{other[0]}' is not supported in a deployment.")
        template = properties.get("template")
        if not isinstance(template, dict):
            raise InvalidDeployment("A deployment needs a 'template', an object.")
        context = self._context(request, template)
        plan = make_plan(
            template,
            properties.get("parameters"),
            context,
            request.group,
            self._limits,
            lambda parameter, reference: self._secret(request.principal, parameter, reference),
        )
        self._check_rights(request, plan)
        return plan

    def _context(self, request: _Request, template: dict[str, Any]) -> Context:
        subscription = self._account.subscription_id
        return Context(
            tenant_id=self._account.tenant_id,
            subscription={
                "id": f"/subscriptions/{subscription}",
                "subscriptionId": subscription,
                "tenantId": self._account.tenant_id,
                "displayName": self._account.name,
            },
            group=self._group(request.group),
            deployment={
                "name": request.name,
                "properties": {
                    "template": {"contentVersion": template.get("contentVersion")},
                    "templateHash": template_hash(template),
                    "mode": "Incremental",
                    "provisioningState": "Accepted",
                },
            },
            now=self._clock.now(),
        )

    def _check_rights(self, request: _Request, plan: Plan) -> None:
        permit = self._permission(request.principal)
        refused = []
        for resource in plan.resources:
            if not resource.condition:
                continue
            try:
                permit(f"{resource.id.type}/write", str(resource.id))
            except Forbidden as error:
                refused.append(
                    {
                        "code": "AuthorizationFailed",
                        "target": str(resource.id),
                        "message": (
                            f"Authorization failed for template resource '{resource.full_name}' of type "
                            f"'{resource.id.type}'. The client '{error.principal.app_id}' with object id "
                            f"'{error.principal.object_id}' does not have permission to perform action "
                            f"'{error.action}' at scope '{error.scope}'."
                        ),
                    }
                )
        if refused:
            message = "Deployment failed with errors: " + " ".join(one["message"] for one in refused)
            raise DeploymentForbidden(message, details=refused)

    def _permission(self, principal: Principal | None) -> Any:
        def permit(action: str, scope: str) -> None:
            if principal is not None and not self._gatekeeper.allows(principal, action, scope, data=False):
                raise Forbidden(principal, action, scope)

        return permit

    def _secret(self, principal: Principal | None, parameter: Parameter, reference: VaultReference) -> str:
        try:
            return self._vault.template_secret(principal, reference.vault, reference.name, reference.version)
        except Forbidden as error:
            message = f"The parameter '{parameter.name}' refers to the vault '{reference.vault}': {error}."
            raise VaultReferenceForbidden(message, target=parameter.where) from None
        except WireError as error:
            message = f"The parameter '{parameter.name}' refers to the vault '{reference.vault}': {error.message}"
            raise VaultReferenceFailed(message, target=parameter.where) from None

    def _group(self, group: ResourceId) -> dict[str, Any]:
        self._store.check_parent(group)
        body = self._store.shown(group)
        if body is None:
            raise ResourceGroupNotFound(group.name)
        return body

    def _shown(self, request: _Request, plan: Plan, state: str) -> dict[str, Any]:
        template = request.body["properties"]["template"]
        providers: dict[str, dict[str, None]] = {}
        for resource in plan.resources:
            providers.setdefault(resource.id.namespace, {})["/".join(resource.id.types)] = None
        return {
            "id": str(request.id),
            "name": request.name,
            "type": TYPE,
            "properties": {
                "provisioningState": state,
                "correlationId": request.correlation_id,
                "timestamp": moment_text(self._clock.now()),
                "mode": "Incremental",
                "templateHash": template_hash(template),
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

    def _state(self, deployment: ResourceId) -> str | None:
        query = sa.select(deployments.c.state).where(deployments.c.key == deployment.key)
        return self._db.read(lambda conn: conn.execute(query).scalar())

    def _row(self, group: ResourceId, name: str) -> Any:
        self._group(group)
        key = group.extension("Microsoft.Resources", "deployments", name).key
        row = self._db.read(lambda conn: conn.execute(sa.select(deployments).where(deployments.c.key == key)).first())
        if row is None:
            raise DeploymentNotFound(name)
        return row

    async def _save(self, key: str, group_key: str, body: dict[str, Any], operations: Bodies) -> None:
        values = {
            "key": key,
            "group_key": group_key,
            "state": body["properties"]["provisioningState"],
            "body": msgspec.json.encode(body),
            "operations": msgspec.json.encode(operations),
        }
        upsert = insert(deployments).values(values)
        upsert = upsert.on_conflict_do_update(index_elements=["key"], set_=values)
        await self._db.write(lambda conn: conn.execute(upsert))
