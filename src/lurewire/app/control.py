"""The operator's socket: local commands (`lurewire query`, `app create`) without a credential on disk.

It is a Unix socket in a folder that only its owner can enter: whoever can open it could read the state folder anyway.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lurewire.app.bench import bench_routes
from lurewire.app.lag import measure_lag
from lurewire.app.table_files import TableFile
from lurewire.core.errors import WireError
from lurewire.ingestion import SampleRequest
from lurewire.ipintel import KeyExistsError
from lurewire.kql import KqlError
from lurewire.workspace import QueryTimeout, TooManyQueries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from lurewire.app.build import Core

_REFUSALS = (KqlError, WireError, QueryTimeout, TooManyQueries, KeyExistsError, ValueError, LookupError, OSError)
"""What a command can be refused for; the error's text is for the person who gave it."""

_MAX_SOCKET_PATH = 100
"""`sockaddr_un` holds 104 bytes on macOS and 108 on Linux."""


def control_socket(folder: Path) -> socket.socket:
    """A listening Unix socket for the state folder `folder`, in it where the path is short enough."""
    path = folder / "control.sock"
    if len(os.fsencode(path)) > _MAX_SOCKET_PATH:
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        private = Path(tempfile.gettempdir()) / f"lurewire-{os.getuid()}-{digest}"
        private.mkdir(mode=0o700, exist_ok=True)
        if private.stat().st_uid != os.getuid() or private.stat().st_mode & 0o077:
            msg = f"{private} belongs to somebody else or is open to others: remove it"
            raise PermissionError(msg)
        path = private / "control.sock"
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(old)
    listener.setblocking(False)
    return listener


def _outbox_routes(core: Core) -> list[Route]:
    async def dead(_request: Request) -> Response:
        return JSONResponse({"value": [dataclasses.asdict(message) for message in core.outbox.dead()]})

    async def revive(request: Request) -> Response:
        body = await request.json()
        return JSONResponse({"revived": await core.outbox.revive(body.get("topic"))})

    return [Route("/outbox/dead", dead, methods=["POST"]), Route("/outbox/revive", revive, methods=["POST"])]


async def _loop_lag(request: Request) -> Response:
    body = await request.json()
    return JSONResponse({"late": await measure_lag(float(body["seconds"]))})


def control_app(core: Core) -> Starlette:
    """What the socket serves; every answer is JSON, `{"error": text}` where a command is refused (400) or fails (500)."""

    async def query(request: Request) -> Response:
        body = await request.json()
        return JSONResponse(await core.operator_query(str(body["query"])))

    async def create_app(request: Request) -> Response:
        body = await request.json()
        roles, permissions = ([str(one) for one in body.get(name, ())] for name in ("roles", "permissions"))
        created = await core.create_app(str(body["name"]), roles, body.get("scope"), permissions)
        return JSONResponse(created)

    async def create_identity(request: Request) -> Response:
        body = await request.json()
        made = await core.create_identity(str(body["name"]), [str(role) for role in body["roles"]], body.get("scope"))
        return JSONResponse(made)

    async def add_secret(request: Request) -> Response:
        body = await request.json()
        return JSONResponse(await core.add_app_secret(str(body["name"]), int(body["days"])))

    async def add_certificate(request: Request) -> Response:
        body = await request.json()
        return JSONResponse(await core.add_app_certificate(str(body["name"]), str(body["pem"]).encode()))

    async def create_key(request: Request) -> Response:
        body = await request.json()
        return JSONResponse({"key": await core.create_lookup_key(str(body["name"]))})

    async def revoke_key(request: Request) -> Response:
        body = await request.json()
        return JSONResponse({"revoked": await core.revoke_lookup_key(str(body["name"]))})

    def refused(_request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status_code=400)

    def failed(_request: Request, _error: Exception) -> Response:
        return JSONResponse({"error": "the core process failed; its log says why"}, status_code=500)

    handlers: Any = {**dict.fromkeys(_REFUSALS, refused), Exception: failed}
    return Starlette(
        routes=[
            Route("/query", query, methods=["POST"]),
            Route("/apps", create_app, methods=["POST"]),
            Route("/identities", create_identity, methods=["POST"]),
            Route("/apps/secrets", add_secret, methods=["POST"]),
            Route("/apps/certificates", add_certificate, methods=["POST"]),
            Route("/identities/rotate-keys", _key_rotation(core), methods=["POST"]),
            *_sample_routes(core),
            *_table_routes(core),
            Route("/keys", create_key, methods=["POST"]),
            Route("/keys/revoke", revoke_key, methods=["POST"]),
            *bench_routes(core),
            *_outbox_routes(core),
            Route("/loop-lag", _loop_lag, methods=["POST"]),
        ],
        exception_handlers=handlers,
    )


def _sample_routes(core: Core) -> tuple[Route, ...]:
    async def preview(request: Request) -> Response:
        return JSONResponse(await core.preview_sample(msgspec.convert(await request.json(), SampleRequest)))

    async def apply(request: Request) -> Response:
        return JSONResponse(await core.apply_sample(msgspec.convert(await request.json(), SampleRequest)))

    return (Route("/samples/preview", preview, methods=["POST"]), Route("/samples/apply", apply, methods=["POST"]))


def _table_routes(core: Core) -> tuple[Route, ...]:
    async def export(request: Request) -> Response:
        asked = msgspec.convert(await request.json(), TableFile)
        return JSONResponse({"rows": await core.table_files.export(asked)})

    async def import_(request: Request) -> Response:
        asked = msgspec.convert(await request.json(), TableFile)
        return JSONResponse({"rows": await core.table_files.import_(asked)})

    return (Route("/tables/export", export, methods=["POST"]), Route("/tables/import", import_, methods=["POST"]))


def _key_rotation(core: Core) -> Callable[[Request], Awaitable[Response]]:
    async def rotate_keys(request: Request) -> Response:
        body = await request.json()
        return JSONResponse({"kid": await core.rotate_keys(revoke=body["revoke"] is True)})

    return rotate_keys
