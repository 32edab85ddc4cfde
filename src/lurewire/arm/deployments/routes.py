"""The deployment routes of a resource group.

Sources: https://learn.microsoft.com/rest/api/resources/deployments and
https://learn.microsoft.com/rest/api/resources/deployment-operations
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import pyjson5
from starlette.responses import JSONResponse, Response

from lurewire.arm.bodies import check_object, read_bytes
from lurewire.arm.containers import group_id, group_scope
from lurewire.arm.deployments.service import TYPE
from lurewire.arm.errors import DeploymentNotFound, InvalidDeployment, InvalidRequestContent
from lurewire.arm.wire import guid, origin
from lurewire.core.http import Audience, Needs, Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from lurewire.arm.deployments.service import Deployments
    from lurewire.core.limits import Limits

_GROUP = "/subscriptions/{subscription}/resourcegroups/{group}"
_ALL = f"{_GROUP}/providers/{TYPE}"
_ONE = f"{_ALL}/{{name}}"
_OPERATIONS = f"{_GROUP}/deployments/{{name}}/operations"
_NAME = re.compile(r"[-\w._()]{1,64}")


def deployment_routes(deployments: Deployments, limits: Limits, base_url: Callable[[], str]) -> tuple[Route, ...]:
    """Everything that a client does with deployments."""
    handlers = _Handlers(deployments, limits, base_url)
    rows = (
        ("GET", _ALL, handlers.list, "read"),
        ("GET", f"{_ALL}/", handlers.list, "read"),  # as azure-cli and azure-mgmt-resource-deployments ask
        ("GET", _ONE, handlers.show, "read"),
        ("HEAD", _ONE, handlers.exists, "read"),
        ("PUT", _ONE, handlers.put, "write"),
        ("DELETE", _ONE, handlers.delete, "delete"),
        ("POST", f"{_ONE}/validate", handlers.validate, "validate/action"),
        ("GET", f"{_ONE}/operationStatuses/{{operation}}", handlers.status, "operationstatuses/read"),
        ("GET", _OPERATIONS, handlers.operations, "operations/read"),
        ("GET", f"{_OPERATIONS}/{{operation}}", handlers.operation, "operations/read"),
    )
    return tuple(
        Route(verb, path, handler, Needs(f"{TYPE}/{action}", Audience.MANAGEMENT, group_scope))
        for verb, path, handler, action in rows
    )


def parse_json5(body: bytes, depth: int) -> dict[str, Any]:
    """A deployment as azure-cli sends it: a key without quotes, and the template's file as it is, comments and all.

    Raises `InvalidRequestContent`.
    """
    try:
        value = pyjson5.decode(body.decode("utf-8-sig"), maxdepth=depth)
    except (pyjson5.Json5Exception, UnicodeDecodeError) as error:
        raise InvalidRequestContent(
            f"The request content was invalid and could not be deserialized: '{error}'."
        ) from None
    checked = check_object(value, depth)
    _refuse_infinite(checked)
    return checked


def _refuse_infinite(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequestContent("The request content was invalid: JSON has no infinite numbers and no NaN.")
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_infinite(child)


class _Handlers:
    def __init__(self, deployments: Deployments, limits: Limits, base_url: Callable[[], str]) -> None:
        self._deployments = deployments
        self._limits = limits
        self._base_url = base_url

    async def list(self, request: Request) -> Response:
        return JSONResponse({"value": self._deployments.list(group_id(request))})

    async def show(self, request: Request) -> Response:
        return JSONResponse(self._deployments.get(group_id(request), request.path_params["name"]))

    async def exists(self, request: Request) -> Response:
        there = self._deployments.exists(group_id(request), request.path_params["name"])
        return Response(status_code=204 if there else 404)

    async def put(self, request: Request) -> Response:
        group, name = group_id(request), _name(request)
        known = self._deployments.exists(group, name)
        correlation = guid(request.headers.get("x-ms-correlation-request-id"))
        shown = await self._deployments.deploy(
            group, name, await self._body(request), request.state.principal, correlation
        )
        # Always the same way: clients that poll find the outcome, a failure with its details too, at the first look.
        operation = shown["properties"]["correlationId"]
        here = origin(request, self._base_url())
        version = request.query_params["api-version"]
        poll = f"{here}{shown['id']}/operationStatuses/{operation}?api-version={version}"
        headers = {"Azure-AsyncOperation": poll}
        return JSONResponse(shown, status_code=200 if known else 201, headers=headers)

    async def delete(self, request: Request) -> Response:
        await self._deployments.delete(group_id(request), request.path_params["name"])
        return Response(status_code=204)

    async def validate(self, request: Request) -> Response:
        body = await self._body(request)
        shown = self._deployments.validate(group_id(request), _name(request), body, request.state.principal)
        return JSONResponse(shown)

    async def status(self, request: Request) -> Response:
        properties = self._deployments.get(group_id(request), request.path_params["name"])["properties"]
        status = {"status": properties["provisioningState"]}
        if "error" in properties:
            status["error"] = properties["error"]
        return JSONResponse(status)

    async def operations(self, request: Request) -> Response:
        return JSONResponse({"value": self._deployments.operations(group_id(request), request.path_params["name"])})

    async def operation(self, request: Request) -> Response:
        asked = request.path_params["operation"].upper()
        for one in self._deployments.operations(group_id(request), request.path_params["name"]):
            if one["operationId"] == asked:
                return JSONResponse(one)
        raise DeploymentNotFound(f"{request.path_params['name']}/operations/{asked}")

    async def _body(self, request: Request) -> dict[str, Any]:
        return parse_json5(await read_bytes(request, self._limits["arm.request_bytes"]), self._limits["arm.json_depth"])


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    if _NAME.fullmatch(name) is None:
        message = "A deployment's name has 1 to 64 letters, digits, and any of '-', '_', '.', '(' and ')'."
        raise InvalidDeployment(message)
    return name
