"""The deployment routes of resource groups, subscriptions, management groups and the tenant.

Sources: https://learn.microsoft.com/rest/api/resources/deployments and
https://learn.microsoft.com/rest/api/resources/deployment-operations
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from lurewire.arm.bodies import read_bytes
from lurewire.arm.deployments.json5 import parse_json5
from lurewire.arm.deployments.service import TYPE
from lurewire.arm.deployments.target import MANAGEMENT_GROUPS
from lurewire.arm.errors import ArmError, DeploymentNotFound, InvalidDeployment
from lurewire.arm.filters import DEPLOYMENT_FIELDS, parse_filter
from lurewire.arm.wire import guid, origin
from lurewire.core.http import Audience, Needs, Route
from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from lurewire.arm.deployments.service import Deployments
    from lurewire.arm.pages import Pages
    from lurewire.arm.scopes import Scopes
    from lurewire.core.limits import Limits

_SCOPES = (
    "/subscriptions/{subscription}/resourcegroups/{group}",
    "/subscriptions/{subscription}",
    f"/providers/{MANAGEMENT_GROUPS}/{{management_group}}",
    "",
)
_NAME = re.compile(r"[-\w._()]{1,64}")


def deployment_routes(
    deployments: Deployments, limits: Limits, base_url: Callable[[], str], scopes: Scopes, pages: Pages
) -> tuple[Route, ...]:
    """Everything that a client does with deployments."""
    handlers = _Handlers(deployments, limits, base_url, pages)
    routes = []
    for scope in _SCOPES:
        every = f"{scope}/providers/{TYPE}"
        one = f"{every}/{{name}}"
        rows = [
            ("GET", every, handlers.list, "read"),
            ("GET", f"{every}/", handlers.list, "read"),  # as azure-cli and azure-mgmt-resource-deployments ask
            ("GET", one, handlers.show, "read"),
            ("HEAD", one, handlers.exists, "read"),
            ("PUT", one, handlers.put, "write"),
            ("DELETE", one, handlers.delete, "delete"),
            ("POST", f"{one}/validate", handlers.validate, "validate/action"),
            ("POST", f"{one}/whatIf", handlers.what_if, "whatIf/action"),
            ("POST", f"{one}/cancel", handlers.cancel, "cancel/action"),
            ("POST", f"{one}/exportTemplate", handlers.export, "exportTemplate/action"),
            ("GET", f"{one}/operationStatuses/{{operation}}", handlers.status, "operationstatuses/read"),
        ]
        # Operations of a resource group's deployments are asked for without the provider.
        for place in (one, f"{scope}/deployments/{{name}}") if "{group}" in scope else (one,):
            rows += [
                ("GET", f"{place}/operations", handlers.operations, "operations/read"),
                ("GET", f"{place}/operations/{{operation}}", handlers.operation, "operations/read"),
            ]
        routes += [
            Route(verb, path, handler, Needs(f"{TYPE}/{action}", Audience.MANAGEMENT, scopes.of(_scope)))
            for verb, path, handler, action in rows
        ]
    return tuple(routes)


class _Handlers:
    def __init__(self, deployments: Deployments, limits: Limits, base_url: Callable[[], str], pages: Pages) -> None:
        self._deployments = deployments
        self._limits = limits
        self._base_url = base_url
        self._pages = pages

    async def list(self, request: Request) -> Response:
        wanted = parse_filter(request.query_params.get("$filter"), DEPLOYMENT_FIELDS, tags=False)
        return self._pages(request, [one for one in self._deployments.list(_at(request)) if wanted(one)])

    async def show(self, request: Request) -> Response:
        return JSONResponse(self._deployments.get(_at(request), request.path_params["name"]))

    async def exists(self, request: Request) -> Response:
        there = self._deployments.exists(_at(request), request.path_params["name"])
        return Response(status_code=204 if there else 404)

    async def put(self, request: Request) -> Response:
        at, name = _at(request), _name(request)
        known = self._deployments.exists(at, name)
        correlation = guid(request.headers.get("x-ms-correlation-request-id"))
        version = request.query_params["api-version"]
        shown = await self._deployments.deploy(
            at, name, await self._body(request), request.state.principal, correlation, version
        )
        # Always the same way: clients that poll find the outcome, a failure with its details too, at the first look.
        operation = shown["properties"]["correlationId"]
        here = origin(request, self._base_url())
        poll = f"{here}{shown['id']}/operationStatuses/{operation}?api-version={version}"
        headers = {"Azure-AsyncOperation": poll}
        return JSONResponse(shown, status_code=200 if known else 201, headers=headers)

    async def delete(self, request: Request) -> Response:
        await self._deployments.delete(_at(request), request.path_params["name"])
        return Response(status_code=204)

    async def validate(self, request: Request) -> Response:
        body = await self._body(request)
        shown = await self._deployments.validate(_at(request), _name(request), body, request.state.principal)
        return JSONResponse(shown)

    async def what_if(self, request: Request) -> Response:
        body, version = await self._body(request), request.query_params["api-version"]
        try:
            properties = await self._deployments.what_if(
                _at(request), _name(request), body, request.state.principal, version
            )
        except InvalidDeployment:
            raise
        except ArmError as error:
            if error.status != _FAILED_PREDICTION:
                raise
            shown = {"code": error.code, "message": error.message, "target": error.target, "details": [*error.details]}
            return JSONResponse({"status": "Failed", "error": shown})
        return JSONResponse({"status": "Succeeded", "properties": properties})

    async def cancel(self, request: Request) -> Response:
        self._deployments.cancel(_at(request), request.path_params["name"])
        return Response(status_code=204)

    async def export(self, request: Request) -> Response:
        return JSONResponse({"template": self._deployments.template(_at(request), request.path_params["name"])})

    async def status(self, request: Request) -> Response:
        properties = self._deployments.get(_at(request), request.path_params["name"])["properties"]
        status = {"status": properties["provisioningState"]}
        if "error" in properties:
            status["error"] = properties["error"]
        return JSONResponse(status)

    async def operations(self, request: Request) -> Response:
        return self._pages(request, self._deployments.operations(_at(request), request.path_params["name"]))

    async def operation(self, request: Request) -> Response:
        asked = request.path_params["operation"].upper()
        for one in self._deployments.operations(_at(request), request.path_params["name"]):
            if one["operationId"] == asked:
                return JSONResponse(one)
        raise DeploymentNotFound(f"{request.path_params['name']}/operations/{asked}")

    async def _body(self, request: Request) -> dict[str, Any]:
        return parse_json5(await read_bytes(request, self._limits["arm.request_bytes"]), self._limits["arm.json_depth"])


_FAILED_PREDICTION = 400
"""What is wrong with a template is the result of a what-if, not a failure to make one."""


def _at(request: Request) -> ResourceId | None:
    """What the deployment is for; None is the tenant."""
    given = request.path_params
    if "group" in given:
        return ResourceId.parse(f"/subscriptions/{given['subscription']}/resourceGroups/{given['group']}")
    if "subscription" in given:
        return ResourceId.parse(f"/subscriptions/{given['subscription']}")
    if "management_group" in given:
        return ResourceId.parse(f"/providers/{MANAGEMENT_GROUPS}/{given['management_group']}")
    return None


def _scope(request: Request) -> str:
    return str(_at(request) or "/")


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    if _NAME.fullmatch(name) is None:
        message = "A deployment's name has 1 to 64 letters, digits, and any of '-', '_', '.', '(' and ')'."
        raise InvalidDeployment(message)
    return name
