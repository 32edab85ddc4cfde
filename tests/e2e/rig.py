"""One running Lurewire, core and sensor in processes of their own, and a plain HTTPS client of all its APIs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from lurewire.demo.attackers import PROXY, Decoys
from lurewire.settings import Settings
from lurewire.supervisor import Supervisor, ask_control

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from lurewire.supervisor import Running

PLENTY = {
    "ipintel.lookups_per_hour": 1_000_000,
    "analytics.alerts_per_run": 1_000_000,
    "workspace.user_queries": 1_000_000,
}
SCOPES = {
    "management": "https://management.azure.com/.default",
    "monitor": "https://monitor.azure.com/.default",
    "query": "https://api.loganalytics.io/.default",
    "vault": "https://vault.azure.net/.default",
}
NIL = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class App:
    client_id: str
    client_secret: str


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json()["error"]
        return found


class Rig:
    """Everything is asked of the running processes; every call gets a token of its own."""

    def __init__(self, folder: Path, supervisor: Supervisor, now: Running, session: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.supervisor = supervisor
        self.now = now
        self.facts = now.facts
        assert now.ssh_port
        assert now.http_port
        self.decoys = Decoys("127.0.0.1", now.ssh_port, now.http_port)
        self.group = f"/subscriptions/{self.facts['subscription_id']}/resourceGroups/{self.facts['resource_group']}"
        self.workspace = f"{self.group}/providers/Microsoft.OperationalInsights/workspaces/{self.facts['workspace']}"
        self.sentinel = f"{self.workspace}/providers/Microsoft.SecurityInsights"
        self.playbook = f"{self.group}/providers/Microsoft.Logic/workflows/{self.facts['playbook']}"
        self._session = session

    async def prepare(self) -> None:
        """Make the apps that the tests act as."""
        self.owner = await self.app("owner", "Owner")
        self.sender = await self.app("sender", "Monitoring Metrics Publisher")
        self.reader = await self.app("reader", "Log Analytics Reader")
        self.analyst = await self.app("sdk", "Monitoring Metrics Publisher", "Log Analytics Reader")

    async def app(self, name: str, *roles: str) -> App:
        """An app registration with roles on the resource group, by the operator's socket."""
        made = await self.ask("/apps", {"name": name, "roles": list(roles), "scope": None})
        return App(made["client_id"], made["client_secret"])

    async def ask(self, path: str, body: dict[str, Any]) -> Any:
        return await asyncio.to_thread(ask_control, self.now.control, path, body)

    # The wire

    async def send(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        data: bytes | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; `path` (or a whole URL) goes out byte for byte."""
        sent = dict(headers or {}) | ({} if token is None else {"Authorization": f"Bearer {token}"})
        url = path if path.startswith("https://") else self.now.url + path
        async with self._session.request(method, URL(url, encoded=True), data=data, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())

    async def ask_token(self, client_id: str, client_secret: str, scope: str, tenant: str = "") -> Answer:
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
            "scope": scope,
        }
        return await self.send("POST", f"/{tenant or self.facts['tenant_id']}/oauth2/v2.0/token", data=form)

    async def token(self, app: App, service: str) -> str:
        answer = await self.ask_token(app.client_id, app.client_secret, SCOPES[service])
        assert answer.status == 200, answer.body
        return str(answer.json()["access_token"])

    async def arm(
        self, method: str, resource_id: str, body: Any = None, *, app: App | None = None, **parameters: str
    ) -> Answer:
        """One request to Azure Resource Manager, as the owner unless `app` is given."""
        query = "&".join(f"{k}={quote(v)}" for k, v in {"api-version": "2024-03-01", **parameters}.items())
        return await self.send(
            method,
            f"{resource_id}?{query}",
            token=await self.token(app or self.owner, "management"),
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )

    async def listed(self, resource_id: str, **parameters: str) -> list[dict[str, Any]]:
        """All members of a list, page by page."""
        found: list[dict[str, Any]] = []
        answer = await self.arm("GET", resource_id, app=None, **parameters)
        while True:
            assert answer.status == 200, answer.body
            found += answer.json()["value"]
            following = answer.json().get("nextLink")
            if not following:
                return found
            answer = await self.send("GET", following, token=await self.token(self.owner, "management"))

    async def kql(self, text: str, *, app: App | None = None) -> Answer:
        return await self.send(
            "POST",
            f"/v1/workspaces/{self.facts['workspace_id']}/query",
            token=await self.token(app or self.reader, "query"),
            data=json.dumps({"query": text}).encode(),
            headers={"Content-Type": "application/json"},
        )

    async def rows(self, text: str) -> list[dict[str, Any]]:
        """The rows of a query, each by column name."""
        answer = await self.kql(text)
        assert answer.status == 200, answer.body
        table = answer.json()["tables"][0]
        names = [column["name"] for column in table["columns"]]
        return [dict(zip(names, row, strict=True)) for row in table["rows"]]

    async def count(self, table: str) -> int:
        return int((await self.rows(f"{table} | count"))[0]["Count"])

    async def upload(
        self,
        body: bytes,
        stream: str = "Custom-TrapEye_Threats_CL",
        *,
        rule: str = "",
        token: str | None = None,
        **headers: str,
    ) -> Answer:
        """One call of the Logs Ingestion API, as the sender; `headers` with underscores for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send(
            "POST",
            f"/dataCollectionRules/{rule or self.facts['dcrs']['trapeye-dcr']}/streams/{quote(stream, safe='')}"
            "?api-version=2023-01-01",
            token=token or await self.token(self.sender, "monitor"),
            data=body,
            headers={"Content-Type": "application/json"} | named,
        )

    # What became of a touch

    async def incidents(self) -> list[dict[str, Any]]:
        return await self.listed(f"{self.sentinel}/incidents", **{"$top": "1000"})

    async def incident(self, source: str) -> dict[str, Any]:
        """The one incident of a source, once its playbook run has ended."""
        found: list[dict[str, Any]] = []

        async def ended() -> bool:
            found[:] = [
                one for one in await self.incidents() if one["properties"]["title"].rpartition(" ")[2] == source
            ]
            runs = [await self.run_of(one) for one in found]
            return bool(runs) and all(run and run["properties"]["status"] not in ("Running", "Waiting") for run in runs)

        await self.until(ended, f"the run for {source} to end")
        assert len(found) == 1, source
        return found[0]

    async def run_of(self, incident: dict[str, Any]) -> dict[str, Any] | None:
        for run in await self.listed(f"{self.playbook}/runs", **{"$top": "250"}):
            if run["properties"]["trigger"]["outputs"]["body"]["object"]["id"].lower() == incident["id"].lower():
                return run
        return None

    async def comments(self, incident: dict[str, Any]) -> list[str]:
        return [one["properties"]["message"] for one in await self.listed(f"{incident['id']}/comments")]

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 60.0) -> None:
        end = time.perf_counter() + seconds
        while not await condition():
            assert time.perf_counter() < end, f"waited {seconds:g} s in vain for {what}"
            await asyncio.sleep(0.05)

    def pids(self) -> tuple[int, int | None]:
        """The process ids; both processes must be alive."""
        assert self.supervisor.healthy()
        running = self.supervisor.running()
        return running.core_pid, running.sensor_pid


@contextlib.asynccontextmanager
async def running_rig(folder: Path, limits: Mapping[str, int] | None = None) -> AsyncIterator[Rig]:
    """Start a Lurewire on free ports, whose decoys believe PROXY headers from the demo's address."""
    settings = Settings(
        {
            "server.port": 0,
            "sensor.ssh_port": 0,
            "sensor.http_port": 0,
            "sensor.proxy_from": [PROXY],
            "limits": PLENTY | dict(limits or {}),
        }
    )
    supervisor = Supervisor(folder, settings, logs=True)
    now = await supervisor.start()
    try:
        context = ssl.create_default_context(cafile=now.facts["ca"])
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            rig = Rig(folder, supervisor, now, session)
            await rig.prepare()
            yield rig
    finally:
        await supervisor.stop()
    assert "graceful shutdown exceeded" not in (folder / "core.log").read_text(), "an idle client held up the stop"
