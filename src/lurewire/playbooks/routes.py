"""The room over HTTP: run history, and the operations on workflows.

Source: https://learn.microsoft.com/rest/api/logic/workflow-runs
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from lurewire.core.errors import Forbidden, Unauthenticated, WireError
from lurewire.core.http import Audience, Needs, Public, RoomRoutes, Route
from lurewire.playbooks.errors import WorkflowRunActionNotFound
from lurewire.playbooks.filters import parse_filter
from lurewire.playbooks.journal import encode
from lurewire.playbooks.models import ABSENT
from lurewire.playbooks.operation_routes import operation_routes, workflow_id
from lurewire.playbooks.paging import listed, page
from lurewire.playbooks.wire import ActionJson, Links, run_json

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.core.limits import Limits
    from lurewire.playbooks.history import History
    from lurewire.playbooks.service import Playbooks

_WORKFLOW = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Logic/workflows/{workflow}"
_RUN = f"{_WORKFLOW}/runs/{{run}}"
_ACTION = f"{_RUN}/actions/{{action}}"
_REPETITION = f"{_ACTION}/repetitions/{{repetition}}"


def routes(history: History, links: Links, playbooks: Playbooks, limits: Limits) -> RoomRoutes:
    """The room's routes; they stand before the resource store's."""
    handlers = _Handlers(history, links)
    signed = Public("the link is signed: it opens one action's inputs or outputs for some hours")
    return RoomRoutes(
        "playbooks",
        (
            Route("GET", f"{_WORKFLOW}/runs", handlers.runs, _needs("Microsoft.Logic/workflows/runs/read")),
            Route("GET", _RUN, handlers.run, _needs("Microsoft.Logic/workflows/runs/read")),
            Route("GET", f"{_RUN}/actions", handlers.actions, _needs("Microsoft.Logic/workflows/runs/actions/read")),
            Route("GET", _ACTION, handlers.action, _needs("Microsoft.Logic/workflows/runs/actions/read")),
            Route(
                "GET",
                f"{_ACTION}/repetitions",
                handlers.repetitions,
                _needs("Microsoft.Logic/workflows/runs/actions/repetitions/read"),
            ),
            Route(
                "GET",
                _REPETITION,
                handlers.repetition,
                _needs("Microsoft.Logic/workflows/runs/actions/repetitions/read"),
            ),
            Route("GET", f"{_ACTION}/contents/{{part}}", handlers.contents, signed),
            Route("GET", f"{_REPETITION}/contents/{{part}}", handlers.contents, signed),
            *operation_routes(playbooks, limits),
        ),
        on_error,
    )


def _needs(action: str) -> Needs:
    return Needs(action, Audience.MANAGEMENT, lambda request: str(workflow_id(request)))


class _Handlers:
    def __init__(self, history: History, links: Links) -> None:
        self._history = history
        self._links = links

    async def runs(self, request: Request) -> Response:
        workflow = workflow_id(request)
        top, skip = page(request)
        conditions = parse_filter(request.query_params.get("$filter"))
        rows = self._history.runs(workflow.key, top + 1, skip, conditions)
        return listed(request, [run_json(str(workflow), row) for row in rows], top, skip)

    async def run(self, request: Request) -> Response:
        workflow = workflow_id(request)
        return JSONResponse(run_json(str(workflow), self._history.run(workflow.key, request.path_params["run"])))

    async def actions(self, request: Request) -> Response:
        top, skip = page(request)
        form = self._form(request)
        found = self._history.actions(request.path_params["run"], top + 1, skip)
        return listed(request, [form.action(record, times) for record, times in found], top, skip)

    async def action(self, request: Request) -> Response:
        form = self._form(request)
        run, name = request.path_params["run"], request.path_params["action"]
        return JSONResponse(form.action(*self._history.repeated(run, name)))

    async def repetitions(self, request: Request) -> Response:
        top, skip = page(request)
        form = self._form(request)
        found = self._history.repetitions(request.path_params["run"], request.path_params["action"], top + 1, skip)
        return listed(request, [form.repetition(record) for record in found], top, skip)

    async def repetition(self, request: Request) -> Response:
        part = request.path_params
        form = self._form(request)
        return JSONResponse(form.repetition(self._history.action(part["run"], part["action"], part["repetition"])))

    async def contents(self, request: Request) -> Response:
        self._links.check(str(request.scope["path"]), request.query_params.get("sig"))
        part = request.path_params
        record = self._history.action(part["run"], part["action"], part.get("repetition", ""))
        contents = {"actioninputs": record.inputs, "actionoutputs": record.outputs}
        value = contents.get(part["part"].lower(), ABSENT)
        if value is ABSENT:
            message = f"The action '{part['action']}' has no content '{part['part']}'."
            raise WorkflowRunActionNotFound(message)
        return Response(encode(value), media_type="application/json")

    def _form(self, request: Request) -> ActionJson:
        workflow = workflow_id(request)
        row = self._history.run(workflow.key, request.path_params["run"])
        tracking = str(row.trigger["clientTrackingId"])
        return ActionJson(f"{workflow}/runs/{row.name}", tracking, self._links, str(request.base_url))


def on_error(_request: Request, error: Exception) -> Response | None:
    """The room's errors in Azure Resource Manager's shape."""
    if isinstance(error, WireError):
        return _error(error.status, error.code, error.message, error.headers)
    if isinstance(error, Unauthenticated):
        return _error(401, "AuthenticationFailed", error.message, {"WWW-Authenticate": "Bearer"})
    if isinstance(error, Forbidden):
        message = (
            f"The client '{error.principal.app_id}' with object id '{error.principal.object_id}' does not have "
            f"authorization to perform action '{error.action}' over scope '{error.scope}' or the scope is invalid. "
            "If access was recently granted, please refresh your credentials."
        )
        return _error(403, "AuthorizationFailed", message, {})
    return None


def _error(status: int, code: str, message: str, headers: dict[str, str]) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status, headers=headers)
