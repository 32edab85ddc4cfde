"""The server that is measured, as `lurewire up` runs it, and the processes that send to it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingestload.data import STREAM, TABLE
from ingestload.wire import Connection
from lurewire.settings import Settings
from lurewire.supervisor import Supervisor, ask_control

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingestload.data import Bodies
    from lurewire.supervisor import Running

HERE = Path(__file__).parent
SETTINGS = Settings(
    {
        "server.port": 0,
        "sensor.enabled": False,
        "solutions": ["trapeye"],
        "log.level": "warning",
        "limits": {
            "ingestion.bytes_per_minute": 1 << 50,
            "ingestion.requests_per_minute": 1 << 40,
            "workspace.user_queries": 1 << 40,
        },
    }
)
CLIENTS = 4
MB = 1_000_000
_START_SECONDS = 0.1


@dataclass
class Sent:
    """What the clients say of a run; `times` are (when due, seconds) of accepted calls, on the machine's clock."""

    started: float
    cpu: float  # of the server, at the start
    calls: int = 0
    size: int = 0
    rows: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    times: list[tuple[float, float]] = field(default_factory=list)


class Rig:
    """One running server with a client's credential; call `start` first and `stop` at the end."""

    def __init__(self, folder: Path, bodies: Bodies) -> None:
        self._folder = folder
        self._bodies = bodies
        self._supervisor = Supervisor(folder, SETTINGS, logs=True)
        self.rows = 0
        self.now: Running

    async def start(self) -> None:
        self.now = await self._supervisor.start()
        facts = self.now.facts
        self.port = int(self.now.url.rsplit(":", 1)[1])
        self.app = await self._new_app("bench", "Monitoring Metrics Publisher", "Log Analytics Reader")
        self.reader = await self._new_app("reader", "Log Analytics Reader")
        self.ca = str(facts["ca"])
        self.rule = facts["dcrs"]["trapeye-dcr"]
        self.path = f"/dataCollectionRules/{self.rule}/streams/{STREAM}?api-version=2023-01-01"

    async def _new_app(self, name: str, *roles: str) -> dict[str, str]:
        body = {"name": name, "roles": list(roles), "scope": None}
        made: dict[str, str] = await asyncio.to_thread(ask_control, self.now.control, "/apps", body)
        return made

    async def stop(self) -> None:
        await self._supervisor.stop()

    def token(self, resource: str, app: dict[str, str] | None = None) -> str:
        who = app or self.app
        with Connection(self.port, self.ca) as connection:
            form = (
                f"grant_type=client_credentials&client_id={who['client_id']}&scope={resource}/.default"
                f"&client_secret={who['client_secret']}"
            )
            path = f"/{self.now.facts['tenant_id']}/oauth2/v2.0/token"
            _, _, body = connection.post(path, "Content-Type: application/x-www-form-urlencoded\r\n", form.encode())
        return str(json.loads(body)["access_token"])

    def query(self, connection: Connection, token: str, text: str) -> bytes:
        path = f"/v1/workspaces/{self.now.facts['workspace_id']}/query"
        headers = f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        status, _, body = connection.post(path, headers, json.dumps({"query": text}).encode())
        if status != 200:
            raise RuntimeError(f"query: {status} {body[:300]!r}")
        return body

    def count(self) -> int:
        with Connection(self.port, self.ca) as connection:
            token = self.token("https://api.loganalytics.io")
            return int(json.loads(self.query(connection, token, f"{TABLE} | count"))["tables"][0]["rows"][0][0])

    def send(
        self, calls: int, *, connections: int, rate: float | None = None, patient: bool = True, sdk: bool = False
    ) -> Sent:
        """`calls` bodies from `CLIENTS` processes; returns when all are answered. `rate` is calls a second of all."""
        job: dict[str, Any] = {
            "port": self.port,
            "ca": self.ca,
            "path": self.path,
            "token": self.token("https://monitor.azure.com"),
            "bodies": [str(file) for file in (self._bodies.lines if sdk else self._bodies.packed)],
            "connections": connections,
            "rate": None if rate is None else rate / CLIENTS,
            "patient": patient,
            "url": self.now.url,
            "tenant": self.now.facts["tenant_id"],
            "rule": self.rule,
            "stream": STREAM,
            **self.app,
        }
        shares = [calls // CLIENTS + (number < calls % CLIENTS) for number in range(CLIENTS)]
        firsts = [number * len(self._bodies.sizes) // CLIENTS for number in range(CLIENTS)]
        processes = [
            # Calls at a fixed rate are due in turn, not four at once.
            _client("sdk" if sdk else "client", job | {"calls": share, "first": first, "delay": turn / (rate or 1.0)})
            for turn, (share, first) in enumerate(zip(shares, firsts, strict=True))
        ]
        sent = Sent(_begin(processes), self.cpu())
        for process, share, first in zip(processes, shares, firsts, strict=True):
            answer = json.loads(process.communicate()[0] or "{}")
            if process.returncode or answer.get("failures"):
                raise RuntimeError(f"a client failed: {answer.get('failures')}")
            which = Counter({int(body): times for body, times in answer.get("accepted", {}).items()})
            if sdk:
                which = Counter((first + number) % len(self._bodies.sizes) for number in range(share))
            sent.calls += which.total()
            sent.size += sum(self._bodies.sizes[body] * times for body, times in which.items())
            sent.rows += sum(self._bodies.rows[body] * times for body, times in which.items())
            sent.statuses.update({int(status): times for status, times in answer.get("statuses", {}).items()})
            sent.times += [(due, took) for due, took in answer.get("times", [])]
        self.rows += sent.rows
        return sent

    def settle(self, seconds: float = 120.0) -> float:
        """Wait until all that was accepted is visible in a query; returns when it was. Exactly those rows must be there."""
        until = time.time() + seconds
        with Connection(self.port, self.ca) as connection:
            token = self.token("https://api.loganalytics.io")
            while True:
                found = json.loads(self.query(connection, token, f"{TABLE} | count"))["tables"][0]["rows"][0][0]
                if found == self.rows:
                    return time.time()
                if found > self.rows or time.time() > until:
                    raise RuntimeError(f"{self.rows} rows were accepted, {found} are visible")
                time.sleep(0.02)

    def cpu(self) -> float:
        """CPU seconds of the server so far."""
        fields = Path(f"/proc/{self.now.core_pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self) -> int:
        """Bytes of memory that the server has now."""
        fields = Path(f"/proc/{self.now.core_pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def _client(module: str, job: dict[str, Any]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", f"ingestload.{module}"],
        cwd=HERE.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    return process


def _begin(processes: Sequence[subprocess.Popen[str]]) -> float:
    """Have all processes start at one moment, which is soon."""
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"a client failed: {process.stdout.read()}")
    start = time.time() + _START_SECONDS
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{start}\n")
        process.stdin.flush()
    return start


def bulk_load(folder: Path, bodies: Bodies, times: int) -> dict[str, float]:
    """DuckDB's own bulk load of all bodies, so many times, in a process of its own: seconds and CPU seconds a megabyte."""
    file = folder / "bulk.duckdb"
    file.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "ingestload.bulk",
        str(file),
        str(os.cpu_count() or 1),
        str(bodies.all_lines),
        str(times),
    ]
    done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True)
    file.unlink()
    found: dict[str, float] = json.loads(done.stdout)
    if found["rows"] != times * sum(bodies.rows):
        raise RuntimeError(f"the bulk load made {found['rows']} rows of {times * sum(bodies.rows)}")
    megabytes = times * sum(bodies.sizes) / MB
    return {"seconds": found["seconds"] / megabytes, "cpu": found["cpu"] / megabytes}
