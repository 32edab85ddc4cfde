"""`lurewire up`: the core process and, apart from it, the sensor process.

Whatever parses attackers' bytes runs in a process of its own, which is handed the credential of its connector and
nothing else. Children get their configuration as one JSON line on standard input and stop when it closes: a supervisor
that is killed leaves nobody behind. They answer with one JSON line on standard output when they are ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import http.client
import json
import os
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lurewire.core.errors import StateFolderError
from lurewire.core.log import get_logger
from lurewire.core.secretbox import write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lurewire.settings import Settings

READY_SECONDS = 60.0
_CONTROL_SECONDS = 660.0
_STOP_SECONDS = 15.0
_BACKOFF = (0.1, 0.5, 1.0, 2.0, 5.0)
_STEADY_SECONDS = 30.0

_log = get_logger("supervisor")


class ChildFailedError(Exception):
    """A process did not get ready; its log says why."""


class ControlError(Exception):
    """A command over the operator's socket failed, or nobody answers there."""


@dataclass(frozen=True, slots=True)
class Running:
    """What `up` runs: as written to `runtime.json` of the state folder, for `env`, `query` and people."""

    url: str
    control: str
    ssh_port: int | None
    http_port: int | None
    core_pid: int
    sensor_pid: int | None
    facts: Mapping[str, Any]


class FolderLock:
    """One process a folder. Raises `StateFolderError` where another one holds it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._file = (folder / "lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            msg = f"{folder} is in use by another Lurewire (process {holder}): stop that one, or take another --folder"
            raise StateFolderError(msg) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let the next process have the folder."""
        self._file.truncate(0)
        self._file.close()


class _Child:
    """One child process, started again when it dies, until `stop`."""

    def __init__(
        self, name: str, arguments: Sequence[str], config: Callable[[], dict[str, Any]], log: Path | None
    ) -> None:
        self.name = name
        self.ready: dict[str, Any] = {}
        self._arguments = arguments
        self._config = config
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stopping = False
        self._up = False
        self.on_ready: Callable[[], None] = lambda: None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._up and self._process is not None and self._process.returncode is None

    async def launch(self) -> None:
        """Start the process ahead of `start`: it loads its modules and waits for its configuration."""
        self._up = False
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(self._log.open("ab")) if self._log else None
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C of the terminal reaches the supervisor alone
            )

    async def start(self) -> None:
        await self._configure()
        self._watch = asyncio.create_task(self._keep_alive(), name=f"watch-{self.name}")

    async def stop(self) -> None:
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                _log.error("process did not stop, killing it", process=self.name, pid=process.pid)
                process.kill()
                await process.wait()
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch

    async def _configure(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(self._config()).encode() + b"\n")
        await process.stdin.drain()
        try:
            line = await asyncio.wait_for(process.stdout.readline(), READY_SECONDS)
        except TimeoutError:
            line = b""
        if not line:
            process.kill() if process.returncode is None else None
            await process.wait()
            where = f"; see {self._log}" if self._log else ""
            msg = f"the {self.name} process did not start (exit code {process.returncode}){where}"
            raise ChildFailedError(msg)
        answer = json.loads(line)
        if "error" in answer:
            await process.wait()
            raise ChildFailedError(str(answer["error"]))
        self.ready = answer
        self._up = True
        self.on_ready()

    async def _keep_alive(self) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            assert self._process is not None
            started = loop.time()
            code = await self._process.wait()
            if self._stopping:
                return
            failures = 0 if loop.time() - started > _STEADY_SECONDS else failures + 1
            delay = _BACKOFF[min(failures, len(_BACKOFF) - 1)]
            _log.error("process died, starting it again", process=self.name, exit_code=code, in_seconds=delay)
            while not self._stopping:
                await asyncio.sleep(delay)
                try:
                    await self.launch()
                    await self._configure()
                except ChildFailedError as error:
                    failures += 1
                    delay = _BACKOFF[min(failures, len(_BACKOFF) - 1)]
                    _log.error("process did not start", process=self.name, error=str(error), in_seconds=delay)
                else:
                    break


class Supervisor:
    """Both processes on one state folder; `logs` sends their log lines to files there instead of standard error."""

    def __init__(self, folder: Path, settings: Settings, *, logs: bool = False) -> None:
        self._folder = folder.resolve()
        self._settings = settings
        self._lock: FolderLock | None = None
        core_log, sensor_log = (self._folder / "core.log", self._folder / "sensor.log") if logs else (None, None)
        self._core = _Child("core", ("lurewire.app",), self._core_config, core_log)
        self._sensor = _Child("sensor", ("lurewire.sensor",), self._sensor_config, sensor_log)
        self._core.on_ready = self._sensor.on_ready = self._publish
        self._port: int = settings["server.port"]

    async def start(self) -> Running:
        """Start both; returns when the API answers and the decoys listen.

        Raises `StateFolderError` (folder in use) and `ChildFailedError`.
        """
        self._lock = FolderLock(self._folder)
        try:
            await self._core.launch()
            if self._settings["sensor.enabled"]:
                await self._sensor.launch()
            await self._core.start()
            self._port = int(self._core.ready["port"])
            if self._settings["sensor.enabled"]:
                await self._sensor.start()
        except BaseException:
            await self.stop()
            raise
        return self.running()

    async def stop(self) -> None:
        """Stop the decoys, then the core; what they hold is on disk."""
        await self._sensor.stop()
        await self._core.stop()
        (self._folder / "runtime.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def healthy(self) -> bool:
        """Whether every process that should run does."""
        wanted = [self._core, self._sensor] if self._settings["sensor.enabled"] else [self._core]
        return all(child.alive for child in wanted)

    def running(self) -> Running:
        """What runs now, or ran until it died."""
        decoys = self._sensor.ready
        return Running(
            url=self._core.ready["url"],
            control=self._core.ready["control"],
            ssh_port=decoys.get("ssh"),
            http_port=decoys.get("http"),
            core_pid=self._core.pid,
            sensor_pid=self._sensor.pid if decoys else None,
            facts=self._core.ready["facts"],
        )

    def _publish(self) -> None:
        running = self.running()
        body = {name: getattr(running, name) for name in Running.__slots__}
        write_private(self._folder / "runtime.json", json.dumps(body, indent=1).encode())

    def _core_config(self) -> dict[str, Any]:
        settings = self._settings.as_dict() | {"server.port": self._port}
        return {"folder": str(self._folder), "settings": settings}

    def _sensor_config(self) -> dict[str, Any]:
        settings, ready = self._settings, self._sensor.ready
        return {
            "folder": str(self._folder / "sensor"),
            "entity_uuid": self._core.ready["entity_uuid"],
            "host": settings["sensor.host"],
            "ssh_port": ready.get("ssh") or settings["sensor.ssh_port"],
            "http_port": ready.get("http") or settings["sensor.http_port"],
            "proxy_from": settings["sensor.proxy_from"],
            "product": settings["sensor.product"],
            "vendor": settings["sensor.vendor"],
            "reverse_dns": settings["sensor.reverse_dns"],
            "login_after_failures": settings["sensor.login_after_failures"],
            "log_level": settings["log.level"],
            "limits": settings["limits"],
            "connector": self._core.ready["connector"],
        }


def read_runtime(folder: Path) -> Running:
    """What runs on `folder`; raises `StateFolderError` where nothing does."""
    file = folder / "runtime.json"
    if not file.exists():
        msg = f"no Lurewire runs on {folder}: start one with `lurewire up --folder {folder}`"
        raise StateFolderError(msg)
    return Running(**json.loads(file.read_bytes()))


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_CONTROL_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask_control(control: str, path: str, body: dict[str, Any]) -> Any:
    """POST to an operator's socket (`Running.control`); raises `ControlError`. Blocks."""
    connection = _UnixConnection(control)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
    except OSError as error:
        msg = f"nobody answers on {control} ({error}): is it still running?"
        raise ControlError(msg) from error
    finally:
        connection.close()
    if "error" in answer:
        raise ControlError(answer["error"])
    return answer
