"""The operations on workflows over HTTP, and the callback URLs of their triggers.

Source: https://learn.microsoft.com/rest/api/logic/workflows
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from starlette.responses import JSONResponse, Response

from lurewire.core.bodies import BodyTooLong, read_body
from lurewire.core.http import Audience, Needs, Public, Route
from lurewire.core.resources import ResourceId
from lurewire.playbooks.content import decode_body, joined_headers
from lurewire.playbooks.errors import InvalidRequestContent, RequestContentTooLarge, TriggerRequestMethodNotValid
from lurewire.playbooks.models import Start
from lurewire.playbooks.paging import listed, page
from lurewire.playbooks.registry import ActionError
from lurewire.playbooks.resource import system_id
from lurewire.playbooks.triggers import METHODS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from lurewire.core.limits import Limits
    from lurewire.core.principal import Principal
    from lurewire.playbooks.service import Playbooks

_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}"
_TYPE = "/providers/Microsoft.Logic/workflows/{workflow}"
_WORKFLOW = f"{_GROUP}{_TYPE}"
_TRIGGER = f"{_WORKFLOW}/triggers/{{trigger}}"
_ACTION = "Microsoft.Logic/workflows"
_KEPT_BACK = frozenset({"authorization", "cookie", "proxy-authorization"})
"""Headers of a caller that its playbook is not shown: they are not meant for it."""
_OF_THE_URL = frozenset({"api-version", "sp", "sv", "sig"})


def operation_routes(playbooks: Playbooks, limits: Limits) -> tuple[Route, ...]:
    """The routes; they stand before the resource store's."""
    h = _Handlers(playbooks, limits)

    def route(method: str, path: str, action: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
        needs = Needs(f"{_ACTION}/{action}", Audience.MANAGEMENT, lambda request: str(workflow_id(request)))
        return Route(method, path, handler, needs)

    in_location = Needs(
        "Microsoft.Logic/locations/workflows/validate/action",
        Audience.MANAGEMENT,
        lambda request: str(workflow_id(request)),
    )
    signed = Public("the URL is signed: it starts a run of one trigger, until the workflow is deleted")
    return (
        route("POST", f"{_WORKFLOW}/enable", "enable/action", h.enable),
        route("POST", f"{_WORKFLOW}/disable", "disable/action", h.disable),
        route("POST", f"{_WORKFLOW}/validate", "validate/action", h.validate),
        Route(
            "POST",
            f"{_GROUP}/providers/Microsoft.Logic/locations/{{location}}/workflows/{{workflow}}/validate",
            h.validate,
            in_location,
        ),
        route("GET", f"{_WORKFLOW}/versions", "versions/read", h.versions),
        route("GET", f"{_WORKFLOW}/versions/{{version}}", "versions/read", h.version),
        route("GET", f"{_WORKFLOW}/triggers", "triggers/read", h.triggers),
        route("GET", _TRIGGER, "triggers/read", h.trigger),
        route("POST", f"{_TRIGGER}/run", "triggers/run/action", h.run),
        route("POST", f"{_TRIGGER}/listCallbackUrl", "triggers/listCallbackUrl/action", h.callback),
        route("POST", f"{_WORKFLOW}/runs/{{run}}/cancel", "runs/cancel/action", h.cancel),
        *(Route(one, "/workflows/{id}/triggers/{trigger}/paths/invoke", h.invoke, signed) for one in METHODS),
    )


def workflow_id(request: Request) -> ResourceId:
    """The workflow that a path is about."""
    part = request.path_params
    scope = f"/subscriptions/{part['subscription']}/resourceGroups/{part['group']}"
    return ResourceId(scope, "Microsoft.Logic", ("workflows",), (part["workflow"],))


class _Handlers:
    def __init__(self, playbooks: Playbooks, limits: Limits) -> None:
        self._playbooks = playbooks
        self._operations = playbooks.operations
        self._limits = limits

    async def enable(self, request: Request) -> Response:
        await self._operations.switch(workflow_id(request), "Enabled", _principal(request))
        return Response(status_code=200)

    async def disable(self, request: Request) -> Response:
        await self._operations.switch(workflow_id(request), "Disabled", _principal(request))
        return Response(status_code=200)

    async def validate(self, request: Request) -> Response:
        body = await self._json(request)
        if not isinstance(body, dict):
            raise InvalidRequestContent("The request content is not valid: it must be a workflow.")
        await self._operations.validate(workflow_id(request), body, _principal(request))
        return Response(status_code=200)

    async def versions(self, request: Request) -> Response:
        top, skip = page(request)
        # In a thread: a version may have a megabyte, and all of a page are deciphered.
        found = await asyncio.to_thread(self._operations.versions, workflow_id(request), top + 1, skip)
        return listed(request, found, top, skip)

    async def version(self, request: Request) -> Response:
        return JSONResponse(self._operations.version(workflow_id(request), request.path_params["version"]))

    async def triggers(self, request: Request) -> Response:
        return JSONResponse({"value": self._operations.triggers(workflow_id(request))})

    async def trigger(self, request: Request) -> Response:
        return JSONResponse(self._operations.trigger(workflow_id(request), request.path_params["trigger"]))

    async def callback(self, request: Request) -> Response:
        return JSONResponse(self._operations.callback(workflow_id(request), request.path_params["trigger"]))

    async def cancel(self, request: Request) -> Response:
        await self._playbooks.cancel(workflow_id(request), request.path_params["run"])
        return Response(status_code=200)

    async def run(self, request: Request) -> Response:
        workflow = workflow_id(request)
        name = self._operations.trigger(workflow, request.path_params["trigger"])["name"]
        return await self._start(workflow, name, await self._json(request), {})

    async def invoke(self, request: Request) -> Response:
        part = request.path_params
        workflow, trigger = self._operations.called(part["id"], part["trigger"], request.query_params)
        if request.method != trigger.method:
            message = f"The trigger '{trigger.name}' is called with {trigger.method}, not with {request.method}."
            raise TriggerRequestMethodNotValid(message)
        body = await self._body(request)
        headers = {
            name: value for name, value in joined_headers(request.headers.items()).items() if name not in _KEPT_BACK
        }
        queries = {name: value for name, value in request.query_params.items() if name not in _OF_THE_URL}
        return await self._start(workflow, trigger.name, body, {"headers": headers, "queries": queries})

    async def _start(self, workflow: ResourceId, trigger: str, body: Any, request: dict[str, Any]) -> Response:
        begin = Start(str(workflow), trigger, body, str(uuid.uuid4()), request=request)
        run = await self._playbooks.begin(begin)
        found = {"x-ms-workflow-id": system_id(workflow), "x-ms-workflow-name": quote(workflow.name)}
        if run is not None:
            row = self._playbooks.history.run(workflow.key, run)
            found |= {
                "x-ms-workflow-run-id": run,
                "x-ms-workflow-version": row.version,
                "x-ms-client-tracking-id": str(row.trigger["clientTrackingId"]),
                "x-ms-tracking-id": str(row.trigger["trackingId"]),
                "x-ms-trigger-history-name": str(row.trigger["originHistoryName"]),
            }
        return Response(status_code=202, headers=found)

    async def _read(self, request: Request) -> bytes:
        try:
            return await read_body(request, self._limits["playbooks.request_bytes"])
        except BodyTooLong as error:
            message = f"The request content has more than {error.limit} bytes."
            raise RequestContentTooLarge(message) from None

    async def _body(self, request: Request) -> Any:
        data = await self._read(request)
        try:
            return decode_body(data, request.headers.get("content-type")) if data else None
        except ActionError as error:
            message = f"The request content is not valid and could not be deserialized: {error.message}"
            raise InvalidRequestContent(message) from None

    async def _json(self, request: Request) -> Any:
        data = await self._read(request)
        try:
            return msgspec.json.decode(data) if data.strip() else None
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            message = f"The request content is not valid and could not be deserialized: {error}."
            raise InvalidRequestContent(message) from None


def _principal(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal
