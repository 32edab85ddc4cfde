"""The test bench and the OpenAPI document over the operator's socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lurewire.app.openapi import document

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.app.build import Core


def bench_routes(core: Core) -> tuple[Route, ...]:
    """The socket's routes; a `ValueError` refuses a command."""

    async def testbench(request: Request) -> Response:
        bench = core.bench
        if bench is None:
            raise ValueError("the test bench is off: start with --set testbench.enabled=true")
        body = await request.json()
        match request.path_params["verb"]:
            case "faults":
                return JSONResponse({"value": [fault.as_json() for fault in bench.faults()]})
            case "add":
                return JSONResponse(bench.add(body).as_json())
            case "remove":
                bench.remove(str(body["id"]))
            case "requests":
                entries = bench.log(room=body.get("room"), after=int(body.get("after", 0)))
                return JSONResponse({"value": [entry.as_json() for entry in entries]})
            case "reset":
                await bench.reset(body.get("tables", []))
            case other:
                raise ValueError(f"the test bench knows no '{other}'")
        return JSONResponse({})

    async def openapi(_request: Request) -> Response:
        return JSONResponse(document(core.routes, core.base_url))

    return (
        Route("/testbench/{verb}", testbench, methods=["POST"]),
        Route("/openapi", openapi, methods=["POST"]),
    )
