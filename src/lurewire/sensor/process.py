"""The sensor process: decoys, their store, and the connector that carries events away.

It parses attackers' bytes and therefore holds nothing that others rely on: no signing key, no vault key, no lock of
the core's databases. Its state is one SQLite file, `sensor.db`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lurewire.core.clock import Clock, SystemClock
from lurewire.core.database import Database
from lurewire.core.errors import StateFolderError
from lurewire.core.log import configure, get_logger
from lurewire.sensor.config import SensorConfig
from lurewire.sensor.connectors.sentinel import SentinelConnector
from lurewire.sensor.decoys import DECOYS
from lurewire.sensor.events import NEW_THREAT, Origin
from lurewire.sensor.listener import Listener
from lurewire.sensor.reverse_dns import ReverseLookups
from lurewire.sensor.store import Store
from lurewire.sensor.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

STANDARD_INPUT = "-"

_log = get_logger("sensor")


async def run(
    config: SensorConfig, clock: Clock, stop: asyncio.Event, ready: Callable[[Mapping[str, int]], None]
) -> None:
    """Run decoys and connector until `stop` is set; `ready` is told the port of each decoy by its name.

    Raises `StateFolderError` where another sensor uses the folder, `OSError` where a port cannot be bound.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_unhandled)
    limits = config.room_limits
    with _folder_lock(Path(config.folder)):
        async with contextlib.AsyncExitStack() as stack:
            db = Database(config.database_path, metadata)
            db.open()
            stack.callback(db.close)
            connector = None
            if config.connector is not None:
                connector = SentinelConnector(config.connector, db, clock, limits)
                stack.push_async_callback(connector.stop)
            lookups = None
            if config.reverse_dns and connector is not None:
                lookups = ReverseLookups(db, limits, lambda: connector.ring(NEW_THREAT))
                stack.push_async_callback(lookups.stop)
            store = Store(
                db,
                clock,
                Origin(config.product, config.vendor, _entity_uuid(config)),
                limits,
                stored=connector.ring if connector is not None else None,
                opened=lookups.request if lookups is not None else None,
            )
            if connector is not None:
                connector.start()
            if lookups is not None:
                lookups.start()
            pruning = loop.create_task(store.prune_forever())
            stack.callback(pruning.cancel)
            ports: dict[str, int] = {}
            for name, decoy in DECOYS.items():
                listener = Listener(decoy(config), store, limits, config.trusted_networks)
                stack.push_async_callback(listener.stop)
                ports[name] = await listener.start(config.host, getattr(config, f"{name}_port"))
            _log.info("decoys are listening", host=config.host, **ports)
            ready(ports)
            await stop.wait()
            _log.info("sensor stops")


def main(config_path: str = STANDARD_INPUT) -> int:
    """Run the sensor as a process, until SIGTERM, SIGINT or the end of its standard input; returns its exit code.

    `config_path` names a JSON file (`SensorConfig.to_dict`), or is `-`: then one line of JSON comes on standard input, and
    its end stops the process, which so never outlives the one that started it. One line of JSON goes to standard
    output: `{"ssh": <port>, "http": <port>}` once the decoys listen, or `{"error": <why>}`.
    """
    try:
        text = sys.stdin.readline() if config_path == STANDARD_INPUT else Path(config_path).read_text("utf-8")
        config = SensorConfig.from_dict(json.loads(text))
        configure(config.log_level)
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(_until_told(config, watch_input=config_path == STANDARD_INPUT))
    except (OSError, ValueError, StateFolderError) as error:  # ConfigError and JSONDecodeError are ValueErrors
        _say({"error": f"sensor: {error}"})
        return 1
    return 0


async def _until_told(config: SensorConfig, *, watch_input: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def read_input() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin)
            stop.set()

    if watch_input:
        loop.add_reader(sys.stdin, read_input)
    await run(config, SystemClock(), stop, _say)


def _say(line: Mapping[str, int | str]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - it does not exist on every platform
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _log_unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    _log.error("unhandled", what=str(context.get("message")), exc_info=context.get("exception"))


@contextlib.contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "sensor.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateFolderError(f"another sensor process uses {folder}") from None
        yield


def _entity_uuid(config: SensorConfig) -> str:
    """The configured UUID, or the one that this folder was given at its first start."""
    if config.entity_uuid:
        return config.entity_uuid
    file = Path(config.folder) / "entity_uuid"
    if not file.exists():
        new = file.with_suffix(".new")
        new.write_text(f"{uuid.uuid4()}\n", "ascii")
        new.replace(file)
    return file.read_text("ascii").strip()
