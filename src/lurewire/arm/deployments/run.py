"""A plan carried out: resources one after another, each in the order of its dependencies."""

from __future__ import annotations

import hashlib
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lurewire.arm.deployments.conformity import Mismatch, check_value, secure_parts
from lurewire.arm.deployments.context import Runtime
from lurewire.arm.deployments.functions import TEMPLATE_FUNCTIONS
from lurewire.arm.deployments.links import NotFetched
from lurewire.arm.deployments.plan import NotDeployedYet
from lurewire.arm.deployments.secrecy import Redactor
from lurewire.arm.errors import InvalidTemplate, ResourceNotFound
from lurewire.arm.hidden import take_out
from lurewire.core.errors import Forbidden, WireError
from lurewire.core.log import get_logger
from lurewire.core.resources import InvalidResourceId, ResourceId
from lurewire.expressions import FunctionError, pointer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from lurewire.arm.deployments.context import Value
    from lurewire.arm.deployments.plan import Output, Plan
    from lurewire.arm.deployments.planner import Planner
    from lurewire.arm.deployments.request import Request
    from lurewire.arm.store import ResourceStore
    from lurewire.core.clock import Clock

_log = get_logger("arm.deployments")

DEPLOYMENTS = "microsoft.resources/deployments"
_LONGEST_CHAIN = 50
"""References that were not seen beforehand, each inside the evaluation of the one before."""


class Asked(NotDeployedYet):
    """An expression lists something of a resource, which its room must be asked for first."""

    def __init__(self, name: str, resource_id: ResourceId, value: Any) -> None:
        super().__init__(None)
        self.name = name
        self.resource_id = resource_id
        self.value = value


class Permission(Protocol):
    """Whether the principal may do something; the gatekeeper, bound to its principal."""

    def __call__(self, action: str, scope: str) -> None:
        """Raise `Forbidden` where not."""
        ...


class Platform(Protocol):
    """What runs deployments: `Deployments`."""

    planner: Planner
    store: ResourceStore
    clock: Clock

    def permission(self, request: Request) -> Permission:
        """The rights of who deploys."""
        ...

    def deployment(self, deployment: ResourceId) -> dict[str, Any] | None:
        """A deployment as a GET shows it, None where there is none."""
        ...

    async def listing(self, name: str, resource_id: ResourceId, value: Any) -> Any:
        """The answer of a `list...` action of a resource; raises `FunctionError` where there is no such action."""
        ...

    async def plan(self, request: Request, *, begun: bool = False) -> Plan:
        """The plan of a request; `begun` is one whose deployment runs already."""
        ...

    async def run(self, request: Request, plan: Plan) -> dict[str, Any]:
        """Carry a plan out and keep its deployment; gives it as a GET shows it."""
        ...


@dataclass(frozen=True, slots=True)
class Operation:
    """One resource, put or deleted: how it went; `error` is None where it went well."""

    target: ResourceId
    api_version: str
    started: datetime
    ended: datetime
    status: int
    error: dict[str, Any] | None
    what: str = "Create"
    symbol: str | None = None

    @property
    def id(self) -> str:
        """16 hexadecimal digits that follow from the resource's id."""
        return hashlib.sha256(self.target.key.encode()).hexdigest()[:16].upper()


@dataclass(slots=True)
class Outcome:
    """What became of a deployment; `error` is None where it succeeded or was canceled."""

    operations: list[Operation] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    canceled: bool = False

    @property
    def state(self) -> str:
        """The provisioning state."""
        if self.canceled:
            return "Canceled"
        return "Succeeded" if self.error is None else "Failed"


class Run:
    """One run of a plan, in the name of a principal (None: the platform itself).

    `surplus` gives the resources to delete, once all of the plan's are there. `canceled` is asked between two resources.
    """

    def __init__(
        self,
        request: Request,
        plan: Plan,
        platform: Platform,
        surplus: Callable[[], Sequence[ResourceId]] = list,
        canceled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._request = request
        self._plan = plan
        self._platform = platform
        self._surplus = surplus
        self._canceled = canceled
        self._permit = platform.permission(request)
        self._state: dict[int, str] = {}  # running, done, failed
        self._outcome = Outcome()
        self._listed: dict[tuple[str, str], Any] = {}

    async def carry_out(self) -> Outcome:
        """Put every resource, then evaluate the outputs; errors are in the outcome."""
        if not self._plan.borrowed:
            self._plan.context.runtime = Runtime(self._reference, self._references, self._listing)
        for index in self._plan.order:
            if self._stopped():
                return self._outcome
            await self._ensure(index, 0)
        if not self._failed():
            for resource_id in self._surplus():
                if self._stopped():
                    return self._outcome
                await self._delete(resource_id)
        failed = self._failed()
        if failed:
            self._outcome.error = {
                "code": "DeploymentFailed",
                "message": (
                    "At least one resource deployment operation failed. Please list deployment operations for details. "
                    "Please see https://aka.ms/arm-deployment-operations for usage details."
                ),
                "details": [{"target": str(one.target), **(one.error or {})} for one in failed],
            }
        else:
            await self._evaluate_outputs()
        return self._outcome

    def _stopped(self) -> bool:
        self._outcome.canceled = self._canceled()
        return self._outcome.canceled

    def _failed(self) -> list[Operation]:
        return [operation for operation in self._outcome.operations if operation.error is not None]

    async def _ensure(self, index: int, chain: int) -> None:
        resource = self._plan.resources[index]
        if index in self._state or not resource.condition:
            return
        if resource.existing:
            self._state[index] = "done"
            return
        if any(self._state.get(before) == "failed" for before in self._plan.needs[index]):
            self._state[index] = "failed"  # not tried, so it has no operation
            return
        self._state[index] = "running"
        started = self._platform.clock.now()
        hidden: list[Any] = []
        try:
            if resource.nested is not None:
                status, shown = await self._nested(index, chain)
            else:
                # As in Azure, a deployment registers the providers that it uses.
                await self._platform.store.registrations.ensure(resource.id.namespace)
                body, secrets = await self._body(index, chain)
                hidden = [value for _, value in take_out(body, secrets)[1]] if secrets else []
                stored = await self._platform.store.change(resource.id, body, self._request.principal, hidden=secrets)
                status, shown = 201 if stored.created else 200, None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this resource's failure
            status, shown = self._failure(resource.id, error)
            shown = Redactor(hidden)(shown)
        self._state[index] = "done" if shown is None else "failed"
        self._outcome.operations.append(
            Operation(
                resource.id,
                resource.api_version,
                started,
                self._platform.clock.now(),
                status,
                shown,
                symbol=resource.symbol,
            )
        )

    async def _delete(self, resource_id: ResourceId) -> None:
        started = self._platform.clock.now()
        try:
            self._permit(f"{resource_id.type}/delete", str(resource_id))  # it may be new since the check beforehand
            await self._platform.store.delete(resource_id)
            status, shown = 200, None
        except Exception as error:  # noqa: BLE001 - as above
            status, shown = self._failure(resource_id, error)
        now = self._platform.clock.now()
        self._outcome.operations.append(Operation(resource_id, "", started, now, status, shown, "Delete"))

    async def _nested(self, index: int, chain: int) -> tuple[int, dict[str, Any] | None]:
        planner = self._platform.planner
        while True:
            try:
                request = planner.child_request(self._request, self._plan, index)
                child = await self._platform.plan(request, begun=True)
                if child.borrowed:
                    for value, where in child.leaves():
                        child.context.watch(value, TEMPLATE_FUNCTIONS, where)
                break
            except NotDeployedYet as signal:
                await self._wait_for(signal, index, chain)
            except NotFetched:
                await self._request.documents.fetch()
        self._plan.children[index] = child
        for action, scope in child.writes():
            self._permit(action, scope)
        known = self._platform.deployment(request.id) is not None
        shown = await self._platform.run(request, child)
        properties = shown["properties"]
        if properties["provisioningState"] == "Succeeded":
            return 200 if known else 201, None
        canceled = {"code": "DeploymentCanceled", "message": "The nested deployment was canceled."}
        return 409, properties.get("error", canceled)

    async def _body(self, index: int, chain: int) -> tuple[dict[str, Any], list[str]]:
        resource, context = self._plan.resources[index], self._plan.context
        while True:
            try:
                evaluated = context.watch(resource.body, TEMPLATE_FUNCTIONS, resource.where)
                places = self._secret_places(resource.body, resource.where) if evaluated.secret else []
            except NotDeployedYet as signal:
                await self._wait_for(signal, index, chain)
            else:
                return evaluated.value, places

    async def _wait_for(self, signal: NotDeployedYet, index: int, chain: int) -> None:
        """Put what a reference behind another one means: the check beforehand saw only the first."""
        if isinstance(signal, Asked):
            await self._ask(signal)
            return
        where, wanted = self._plan.resources[index].where, signal.index
        if wanted is None or self._state.get(wanted) == "running" or chain >= _LONGEST_CHAIN:
            message = "circular dependency detected: its properties refer to a resource that waits for it"
            raise InvalidTemplate(f"{message}, at {where}.", target=where) from None
        await self._ensure(wanted, chain + 1)
        if self._state.get(wanted) != "done":
            message = f"it refers to '{self._plan.resources[wanted].id}', which was not deployed"
            raise InvalidTemplate(f"{message}, at {where}.", target=where) from None

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
                [shown] = context.watch({name: None}, TEMPLATE_FUNCTIONS, where).value
                found += self._secret_places(child, f"{where}/{pointer(name)}", f"{place}/{pointer(shown)}")
        return found

    def _reference(self, text: str, api_version: str | None, full: bool) -> Any:
        index = self._plan.directory.find(text)
        if index is not None:
            return self._referred(index, api_version, full)
        return self._shown(self._elsewhere(text, api_version), api_version, full)

    def _references(self, text: str, full: bool) -> list[Any]:
        places = self._plan.directory.of_loop(text)
        if not places:
            raise FunctionError(f"refers to '{text}', which is no copy loop of the template.")
        return [self._referred(index, None, full) for index in places if self._plan.resources[index].condition]

    def _referred(self, index: int, api_version: str | None, full: bool) -> Any:
        target = self._plan.resources[index]
        if not target.condition:
            raise FunctionError(f"refers to '{target.id}', whose condition is false.")
        if target.existing:
            self._permit(f"{target.id.type}/read", str(target.id))
        elif self._state.get(index) != "done":
            raise NotDeployedYet(index)
        return self._shown(target.id, api_version or target.api_version, full)

    def _shown(self, resource_id: ResourceId, api_version: str | None, full: bool) -> Any:
        is_deployment = resource_id.type.lower() == DEPLOYMENTS
        find = self._platform.deployment if is_deployment else self._platform.store.shown
        body = find(resource_id)
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
        resource_id = _resource_id(text)
        self._permit(f"{resource_id.type}/read", str(resource_id))
        return resource_id

    def _listing(self, name: str, text: str, _api_version: str, value: Any) -> Any:
        index = self._plan.directory.find(text)
        if index is not None:
            if not self._plan.resources[index].existing and self._state.get(index) != "done":
                raise NotDeployedYet(index)
            resource_id = self._plan.resources[index].id
        else:
            resource_id = _resource_id(text)
        key = name.lower(), resource_id.key
        if key not in self._listed:
            self._permit(f"{resource_id.type}/{name}/action", str(resource_id))
            raise Asked(name, resource_id, value)
        return self._listed[key]

    async def _ask(self, signal: Asked) -> None:
        answer = await self._platform.listing(signal.name, signal.resource_id, signal.value)
        self._listed[signal.name.lower(), signal.resource_id.key] = answer

    async def _output(self, output: Output) -> Value:
        while True:
            try:
                where = f"{output.where}/value"
                return self._plan.context.watch(output.value, TEMPLATE_FUNCTIONS, where, parts=False)
            except Asked as signal:
                await self._ask(signal)

    async def _evaluate_outputs(self) -> None:
        for output in self._plan.outputs:
            try:
                value = await self._output(output)
                check_value(value.value, output.type, self._plan.context.budget.spend)
                shown = self._shown_output(output, value.value, secret=value.secret)
            except (WireError, Forbidden, NotDeployedYet, FunctionError) as error:
                self._fail_output(
                    output, f"Unable to evaluate template outputs: '{output.name}'. {self._message(error)}"
                )
                return
            except Mismatch as wrong:
                place = f" at '{self._plan.redactor(wrong.path)}'" if wrong.path and not output.kind.secure else ""
                self._fail_output(output, f"The value of the output '{output.name}'{place} {wrong.problem}.")
                return
            self._outcome.outputs[output.name] = shown

    def _fail_output(self, output: Output, message: str) -> None:
        self._outcome.error = {
            "code": "DeploymentOutputEvaluationFailed",
            "message": message,
            "target": output.where,
        }

    def _shown_output(self, output: Output, value: Any, *, secret: bool) -> dict[str, Any]:
        if output.kind.secure or secret:
            return {"type": output.kind.shown}
        parts = Redactor(secure_parts(value, output.type, self._plan.context.budget.spend))
        return {"type": output.kind.shown, "value": parts(self._plan.redactor(value))}

    def _failure(self, target: ResourceId, error: Exception) -> tuple[int, dict[str, Any]]:
        if isinstance(error, WireError):
            details = [self._plan.redactor(one) for one in getattr(error, "details", ())]
            shown = {"code": error.code, "message": self._message(error)} | ({"details": details} if details else {})
            return error.status, shown
        if isinstance(error, Forbidden):
            return 403, {"code": "AuthorizationFailed", "message": self._message(error)}
        trace = self._plan.redactor("".join(traceback.format_exception(error)))
        _log.error("resource of a deployment failed", id=str(target), trace=trace)
        return 500, {"code": "InternalServerError", "message": "The server failed; its log says why."}

    def _message(self, error: Exception) -> str:
        text = error.message if isinstance(error, WireError) else str(error)
        shown: str = Redactor(self._listed.values())(self._plan.redactor(text))
        return shown


def _resource_id(text: str) -> ResourceId:
    try:
        return ResourceId.parse(text)
    except InvalidResourceId as error:
        raise FunctionError(f"was invoked with a parameter that is no resource id: {error}.") from None
