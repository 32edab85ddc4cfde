"""A plan carried out: resources one after another, each in the order of its dependencies."""

from __future__ import annotations

import hashlib
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lurewire.arm.deployments.functions import TEMPLATE_FUNCTIONS
from lurewire.arm.deployments.parameters import KINDS
from lurewire.arm.deployments.plan import NotDeployedYet, pointer
from lurewire.arm.errors import InvalidTemplate, ResourceNotFound
from lurewire.core.errors import Forbidden, WireError
from lurewire.core.log import get_logger
from lurewire.core.resources import InvalidResourceId, ResourceId
from lurewire.expressions import FunctionError

if TYPE_CHECKING:
    from datetime import datetime

    from lurewire.arm.deployments.plan import Output, Plan
    from lurewire.arm.deployments.template import Declared
    from lurewire.arm.store import ResourceStore
    from lurewire.core.clock import Clock
    from lurewire.core.principal import Principal

_log = get_logger("arm.deployments")

_LONGEST_CHAIN = 50
"""References that were not seen beforehand, each inside the evaluation of the one before."""


class Permission(Protocol):
    """Whether the principal may do something; the gatekeeper, bound to its principal."""

    def __call__(self, action: str, scope: str) -> None:
        """Raise `Forbidden` where not."""
        ...


@dataclass(frozen=True, slots=True)
class Operation:
    """One resource, put: how it went; `error` is None where it went well."""

    resource: Declared
    started: datetime
    ended: datetime
    status: int
    error: dict[str, Any] | None

    @property
    def id(self) -> str:
        """16 hexadecimal digits that follow from the resource's id."""
        return hashlib.sha256(self.resource.id.key.encode()).hexdigest()[:16].upper()


@dataclass(slots=True)
class Outcome:
    """What became of a deployment; `error` is None where it succeeded."""

    operations: list[Operation] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None


class Run:
    """One run of a plan, in the name of a principal (None: the platform itself)."""

    def __init__(
        self, plan: Plan, store: ResourceStore, clock: Clock, principal: Principal | None, permit: Permission
    ) -> None:
        self._plan = plan
        self._store = store
        self._clock = clock
        self._principal = principal
        self._permit = permit
        self._state: dict[int, str] = {}  # running, done, failed
        self._outcome = Outcome()

    async def carry_out(self) -> Outcome:
        """Put every resource, then evaluate the outputs; errors are in the outcome."""
        self._plan.context.reference = self._reference
        for index in self._plan.order:
            await self._ensure(index, 0)
        failed = [operation for operation in self._outcome.operations if operation.error is not None]
        if failed:
            self._outcome.error = {
                "code": "DeploymentFailed",
                "message": (
                    "At least one resource deployment operation failed. Please list deployment operations for details. "
                    "Please see https://aka.ms/arm-deployment-operations for usage details."
                ),
                "details": [{"target": str(one.resource.id), **(one.error or {})} for one in failed],
            }
        else:
            self._evaluate_outputs()
        return self._outcome

    async def _ensure(self, index: int, chain: int) -> None:
        resource = self._plan.resources[index]
        if index in self._state or not resource.condition:
            return
        if any(self._state.get(before) == "failed" for before in self._plan.needs[index]):
            self._state[index] = "failed"  # not tried, so it has no operation
            return
        self._state[index] = "running"
        started = self._clock.now()
        try:
            body, secrets = await self._body(index, chain)
            stored = await self._store.change(resource.id, body, self._principal, hidden=secrets)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this resource's failure
            self._state[index] = "failed"
            status, shown = self._failure(resource, error)
            self._outcome.operations.append(Operation(resource, started, self._clock.now(), status, shown))
        else:
            self._state[index] = "done"
            status = 201 if stored.created else 200
            self._outcome.operations.append(Operation(resource, started, self._clock.now(), status, None))

    async def _body(self, index: int, chain: int) -> tuple[dict[str, Any], list[str]]:
        resource, context = self._plan.resources[index], self._plan.context
        while True:
            try:
                evaluated = context.watch(resource.body, TEMPLATE_FUNCTIONS, resource.where)
                return evaluated.value, self._secret_places(resource.body, resource.where) if evaluated.secret else []
            except NotDeployedYet as signal:
                # A reference behind another one: the check beforehand saw only the first.
                wanted = signal.index
                if wanted is None or self._state.get(wanted) == "running" or chain >= _LONGEST_CHAIN:
                    message = "circular dependency detected: its properties refer to a resource that waits for it"
                    raise InvalidTemplate(f"{message}, at {resource.where}.", target=resource.where) from None
                await self._ensure(wanted, chain + 1)
                if self._state.get(wanted) != "done":
                    message = f"it refers to '{self._plan.resources[wanted].id}', which was not deployed"
                    raise InvalidTemplate(f"{message}, at {resource.where}.", target=resource.where) from None

    def _secret_places(self, value: Any, where: str, place: str = "") -> list[str]:
        """Pointers, within the evaluated body, to the strings that a secure parameter is in: they become hidden."""
        context = self._plan.context
        if isinstance(value, str):
            return [place] if context.watch(value, TEMPLATE_FUNCTIONS, where).secret else []
        found = []
        if isinstance(value, list):
            for index, child in enumerate(value):
                found += self._secret_places(child, f"{where}/{index}", f"{place}/{index}")
        elif isinstance(value, dict):
            for name, child in value.items():
                shown = context.watch(name, TEMPLATE_FUNCTIONS, where).value
                found += self._secret_places(child, f"{where}/{pointer(name)}", f"{place}/{pointer(shown)}")
        return found

    def _reference(self, text: str, api_version: str | None, full: bool) -> Any:
        index = self._plan.find(text)
        if index is not None:
            target = self._plan.resources[index]
            if not target.condition:
                raise FunctionError(f"refers to '{target.id}', whose condition is false.")
            if self._state.get(index) != "done":
                raise NotDeployedYet(index)
            resource_id, api_version = target.id, api_version or target.api_version
        else:
            resource_id = self._elsewhere(text, api_version)
            self._permit(f"{resource_id.type}/read", str(resource_id))
        body = self._store.shown(resource_id)
        if body is None:
            raise ResourceNotFound(resource_id)
        if not full:
            return body.get("properties") or {}
        return body | {
            "apiVersion": api_version,
            "resourceId": str(resource_id).lstrip("/"),
            "subscriptionId": resource_id.subscription,
            "resourceGroupName": resource_id.resource_group,
        }

    def _elsewhere(self, text: str, api_version: str | None) -> ResourceId:
        if not text.startswith("/"):
            raise FunctionError(f"refers to '{text}', which is not defined in the template.")
        if api_version is None:
            raise FunctionError(f"needs an apiVersion for '{text}', which is not deployed by this template.")
        try:
            return ResourceId.parse(text)
        except InvalidResourceId as error:
            raise FunctionError(f"was invoked with a parameter that is no resource id: {error}.") from None

    def _evaluate_outputs(self) -> None:
        context = self._plan.context
        for output in self._plan.outputs:
            try:
                value = context.watch(output.value, TEMPLATE_FUNCTIONS, f"{output.where}/value")
            except (WireError, Forbidden, NotDeployedYet) as error:
                message = f"Unable to evaluate template outputs: '{output.name}'. {self._message(error)}"
                self._outcome.error = {
                    "code": "DeploymentOutputEvaluationFailed",
                    "message": message,
                    "target": output.where,
                }
                return
            kind = KINDS[output.type]
            if not kind.fits(value.value):
                self._outcome.error = {
                    "code": "DeploymentOutputEvaluationFailed",
                    "message": f"The value of the output '{output.name}' is not of the type '{kind.shown}'.",
                    "target": output.where,
                }
                return
            self._outcome.outputs[output.name] = self._shown_output(output, value.value, secret=value.secret)

    def _shown_output(self, output: Output, value: Any, *, secret: bool) -> dict[str, Any]:
        kind = KINDS[output.type]
        if kind.secure or secret:
            return {"type": kind.shown}
        return {"type": kind.shown, "value": self._plan.redactor(value)}

    def _failure(self, resource: Declared, error: Exception) -> tuple[int, dict[str, Any]]:
        if isinstance(error, WireError):
            details = [self._plan.redactor(one) for one in getattr(error, "details", ())]
            shown = {"code": error.code, "message": self._message(error)} | ({"details": details} if details else {})
            return error.status, shown
        if isinstance(error, Forbidden):
            return 403, {"code": "AuthorizationFailed", "message": self._message(error)}
        trace = self._plan.redactor("".join(traceback.format_exception(error)))
        _log.error("resource of a deployment failed", id=str(resource.id), trace=trace)
        return 500, {"code": "InternalServerError", "message": "The server failed; its log says why."}

    def _message(self, error: Exception) -> str:
        text = error.message if isinstance(error, WireError) else str(error)
        shown: str = self._plan.redactor(text)
        return shown
