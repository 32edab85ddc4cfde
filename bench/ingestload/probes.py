"""What runs beside the clients: when a row is visible, five large queries, the server's memory."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from ingestload.data import TABLE, event
from ingestload.wire import Connection

if TYPE_CHECKING:
    from types import TracebackType

    from ingestload.rig import Rig

_EVERY = 0.25
_ASK_AGAIN = 0.02  # more often, and the questions would be a good part of the load
_LARGE = f"{TABLE} | project TimeGenerated, source_ip, threat_uuid | take 500000"
_LARGE_ROWS = 500_000


class Probe:
    """Sends a record at times, and asks for it from its 204 on until a query finds it."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.visible: list[float] = []
        self.failures: list[str] = []
        self.done: list[float] = []  # seconds of each large query beside it
        self.rows = 0

    def run(self, over: threading.Event) -> None:
        try:
            self._run(over)
        except Exception as error:  # noqa: BLE001 - the bench reports it
            self.failures.append(repr(error))

    def _run(self, over: threading.Event) -> None:
        rig, chance = self._rig, random.Random()
        # Half a day ahead of all others, so that the question costs next to nothing: blocks of other times are not read.
        late = datetime.now(UTC) + timedelta(hours=12)
        headers = (
            f"Authorization: Bearer {rig.token('https://monitor.azure.com')}\r\nContent-Type: application/json\r\n"
        )
        reader = rig.token("https://api.loganalytics.io")
        with Connection(rig.port, rig.ca) as sender, Connection(rig.port, rig.ca) as asker:
            while not over.wait(_EVERY):
                marker = str(uuid.uuid4())
                moment = late.isoformat()
                record = event(chance) | {"threat_uuid": marker, "first_interaction": moment}
                status, _, body = sender.post(rig.path, headers, json.dumps([record]).encode())
                if status == 429:
                    continue
                if status != 204:
                    raise RuntimeError(f"{status} {body[:300]!r}")
                self.rows += 1
                acked = time.perf_counter()
                text = f"{TABLE} | where TimeGenerated == datetime({moment}) and threat_uuid == '{marker}' | count"
                while json.loads(rig.query(asker, reader, text))["tables"][0]["rows"] != [[1]]:
                    time.sleep(_ASK_AGAIN)
                self.visible.append(time.perf_counter() - acked)


def queries_until(rig: Rig, over: threading.Event, failures: list[str], done: list[float]) -> None:
    """One large query after the other."""
    try:
        token = rig.token("https://api.loganalytics.io", rig.reader)
        with Connection(rig.port, rig.ca) as connection:
            while not over.is_set():
                started = time.perf_counter()
                body = rig.query(connection, token, _LARGE)
                done.append(time.perf_counter() - started)
                _check_large(body)
    except Exception as error:  # noqa: BLE001 - the bench reports it
        failures.append(repr(error))


def _check_large(body: bytes) -> None:
    if b'"error"' in body[-500:] or body.count(b"[") < _LARGE_ROWS:
        raise RuntimeError(f"a large query came back short: {body[-300:]!r}")


class Watch:
    """The most memory that the server had meanwhile."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.most = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.1):
            self.most = max(self.most, self._rig.resident())
