"""The Logs Ingestion API: HTTP shape only.

Source: https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview and contract section B.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from lurewire.core.http import Audience, Needs, RoomRoutes, Route
from lurewire.ingestion.bodies import read_body
from lurewire.ingestion.errors import IngestionError, RuleNotFound, render
from lurewire.ingestion.resources import ENDPOINT_PATH

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.ingestion.service import ActiveRule, Ingestion

_PATH = "/dataCollectionRules/{immutable_id}/streams/{stream}"
_BY_ENDPOINT = f"{ENDPOINT_PATH}/{{endpoint}}{_PATH}"
_ACTION = "Microsoft.Insights/Telemetry/Write"


def ingestion_routes(ingestion: Ingestion) -> RoomRoutes:
    """The routes of the Logs Ingestion API."""
    handlers = _Handlers(ingestion)
    needs = Needs(_ACTION, Audience.MONITOR, handlers.scope, data=True)
    routes = [Route("POST", path, handlers.post, needs) for path in (_PATH, _BY_ENDPOINT)]
    return RoomRoutes("ingestion", routes, render)


class _Handlers:
    def __init__(self, ingestion: Ingestion) -> None:
        self._ingestion = ingestion

    def scope(self, request: Request) -> str:
        return str(self._rule(request).id)

    async def post(self, request: Request) -> Response:
        rule = self._rule(request)
        stream = request.path_params["stream"]
        request_id = request.headers.get("x-ms-client-request-id", "")
        endpoint = request.path_params.get("endpoint", "")
        try:
            self._ingestion.rates.request(rule.immutable_id)
            body, gzip = await read_body(request, self._ingestion.limits["ingestion.body_bytes"])
            principal = request.state.principal
            await self._ingestion.accept(
                rule, stream, body, gzip=gzip, principal=principal, request_id=request_id, endpoint=endpoint
            )
        except IngestionError as error:
            await self._ingestion.refused(rule, stream, request_id, error)
            raise
        return Response(status_code=204)

    def _rule(self, request: Request) -> ActiveRule:
        immutable_id = request.path_params["immutable_id"]
        rule = self._ingestion.rule(immutable_id)
        if rule is None:
            raise RuleNotFound(immutable_id)
        return rule
