"""Schemas from samples over HTTP: operations of our own on a workspace, to be mounted as control-plane routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.responses import JSONResponse, Response

from lurewire.core.bodies import BodyTooLong, read_body
from lurewire.core.errors import Forbidden
from lurewire.core.http import Audience, Needs, Route
from lurewire.core.resources import ResourceId
from lurewire.ingestion.errors import SampleInvalid, SampleTooLarge
from lurewire.ingestion.resources import RULE
from lurewire.ingestion.samples import SampleRequest

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.core.http import Gatekeeper
    from lurewire.ingestion.samples import Samples

_NAMESPACE = "Lurewire.Ingestion/samples"
_PATH = (
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.OperationalInsights/workspaces/{workspace}"
    f"/providers/{_NAMESPACE}"
)
_WRITE_TABLE = "Microsoft.OperationalInsights/workspaces/tables/write"
_WRITE_RULE = f"{RULE}/write"


def sample_routes(samples: Samples, gatekeeper: Gatekeeper) -> tuple[Route, ...]:
    """`infer`, `preview` and `apply`; the last needs the right to write the table and the rule as well."""
    handlers = _Handlers(samples, gatekeeper)

    def needs(name: str) -> Needs:
        return Needs(f"{_NAMESPACE}/{name}/action", Audience.MANAGEMENT, _scope)

    return (
        Route("POST", f"{_PATH}/infer", handlers.infer, needs("infer")),
        Route("POST", f"{_PATH}/preview", handlers.preview, needs("preview")),
        Route("POST", f"{_PATH}/apply", handlers.apply, needs("apply")),
    )


def _scope(request: Request) -> str:
    return str(_workspace(request))


def _workspace(request: Request) -> ResourceId:
    path: str = request.scope["path"]
    return ResourceId.parse(path[: path.lower().rindex("/providers/lurewire.")])


class _Handlers:
    def __init__(self, samples: Samples, gatekeeper: Gatekeeper) -> None:
        self._samples = samples
        self._gatekeeper = gatekeeper

    async def infer(self, request: Request) -> Response:
        return JSONResponse(await self._samples.infer(_workspace(request), await self._asked(request)))

    async def preview(self, request: Request) -> Response:
        return JSONResponse(await self._samples.preview(_workspace(request), await self._asked(request)))

    async def apply(self, request: Request) -> Response:
        asked = await self._asked(request)
        principal = request.state.principal
        targets = self._samples.targets(_workspace(request), asked)
        for target, action in zip(targets, (_WRITE_TABLE, _WRITE_RULE), strict=True):
            if not self._gatekeeper.allows(principal, action, str(target), data=False):
                raise Forbidden(principal, action, str(target))
        return JSONResponse(await self._samples.apply(_workspace(request), asked, principal))

    async def _asked(self, request: Request) -> SampleRequest:
        limit = self._samples.limits["ingestion.sample_bytes"]
        try:
            return msgspec.json.decode(await read_body(request, limit), type=SampleRequest)
        except BodyTooLong:
            raise SampleTooLarge(f"The request is longer than the limit of {limit} bytes.") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SampleInvalid(f"The request is not what is expected: {error}.") from None
