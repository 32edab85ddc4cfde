"""The core process: configuration as one JSON line on standard input, readiness as one on standard output."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lurewire.app.bootstrap import VAULT, SolutionFailed
from lurewire.app.build import Core, UnknownLimit
from lurewire.app.control import control_app, control_socket
from lurewire.core.clock import SystemClock
from lurewire.core.errors import StateFolderError
from lurewire.core.log import configure, get_logger
from lurewire.core.tls import NotALocalName, ensure_certificates
from lurewire.settings import Settings
from lurewire.solutions import UnknownSolution
from lurewire.testbench import CuttableProtocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

KEEP_ALIVE_SECONDS = 75
"""Idle connections of SDK clients stay open for longer than their batches are apart."""

_COLLECT_EVERY = 50_000
_SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter from the event loop: Python's own 5 ms add up where several compute."""

_log = get_logger("core")


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A client with an idle connection in its pool does not answer the end of TLS: nothing is owed to it, and to
        # wait for it would make every stop a slow one.
        for connection in list(self.server_state.connections):
            assert isinstance(connection, HttpToolsProtocol)
            idle = connection.cycle is None or connection.cycle.response_complete
            if idle and not connection.transport.get_write_buffer_size():
                connection.transport.abort()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Signals are the process's, not one server's: there are two servers here.
        yield


def main() -> None:
    """Run until standard input closes or SIGTERM comes; exit code 1 where the start failed."""
    config = json.loads(sys.stdin.buffer.readline())
    sys.setswitchinterval(_SWITCH_SECONDS)
    configure(config["settings"]["log.level"])
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 - there is none for some platforms

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        asyncio.run(_serve(Path(config["folder"]), Settings(config["settings"])))
    except (StateFolderError, NotALocalName, SolutionFailed, UnknownLimit, UnknownSolution, OSError) as error:
        _say({"error": str(error)})
        sys.exit(1)


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def _serve(folder: Path, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    clock = SystemClock()
    core = Core(folder, settings, clock)
    core.open()
    sockets = _bind(settings["server.host"], core.preferred_port())
    port: int = sockets[0].getsockname()[1]
    names = ["localhost", "127.0.0.1", "::1", f"{VAULT}.vault.localhost", *settings["server.names"]]
    certificates = ensure_certificates(folder / "tls", names, clock)
    try:
        await core.start(port)
        _settle_memory()
        control = control_socket(folder)
        https = _server(
            core.asgi,
            ssl_certfile=str(certificates.certificate),
            ssl_keyfile=str(certificates.key),
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            http=CuttableProtocol if core.bench is not None else "httptools",
        )
        local = _server(control_app(core))
        servers = [
            asyncio.create_task(https.serve(sockets=sockets)),
            asyncio.create_task(local.serve(sockets=[control])),
        ]
        await asyncio.gather(https.listening.wait(), local.listening.wait())
        _say(
            {
                "port": port,
                "url": core.base_url,
                "control": control.getsockname(),
                "entity_uuid": core.tenant_id,
                "connector": await core.sensor_connector(certificates),
                "facts": core.facts(certificates),
            }
        )
        _watch_stdin(loop, stop)
        await stop.wait()
        https.should_exit = local.should_exit = True
        await asyncio.gather(*servers)
    finally:
        gc.unfreeze()  # at the end all is collected: DuckDB's binding reports what is not
        await core.stop()


def _settle_memory() -> None:
    """What the start has made stays: the collector need not look at it again.

    A megabyte of records is 2,600 tuples for a moment. At the collector's own pace that means several collections for each
    body, some over all that the process holds: a sixth of the event loop's CPU at full load, and pauses of it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, 20, 50)


def _server(
    app: ASGIApp, *, http: type[HttpToolsProtocol] | Literal["httptools"] = "httptools", **options: Any
) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            http=http,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
            **options,
        )
    )


def _bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on `host`; loopback gets its IPv6 twin on the same port, where the machine has one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sockets = [_listen(family, host, port)]
    if host == "127.0.0.1":
        with contextlib.suppress(OSError):
            sockets.append(_listen(socket.AF_INET6, "::1", sockets[0].getsockname()[1]))
    return sockets


def _listen(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        msg = f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}. Set server.port to another one."
        raise OSError(error.errno, msg) from error
    listener.setblocking(False)
    return listener


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    def readable() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            stop.set()

    loop.add_reader(sys.stdin.fileno(), readable)
