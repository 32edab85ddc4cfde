"""Ingestion, workspace, identity and arm behind HTTPS on loopback, as the app wires them."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from importlib import resources
from typing import TYPE_CHECKING, Any

import requests
import uvicorn

from lurewire.arm import LIMITS as ARM_LIMITS
from lurewire.arm import Account, ArmErrors, Deployments, ResourceStore, arm_routes, control_plane
from lurewire.core.clock import SystemClock
from lurewire.core.database import Database
from lurewire.core.http import build_app
from lurewire.core.limits import Limits
from lurewire.core.outbound import Outbound
from lurewire.core.resources import ResourceId
from lurewire.core.secretbox import SecretBox
from lurewire.core.tls import ensure_certificates
from lurewire.identity import Identity, role_assignment, token_routes
from lurewire.ingestion import LIMITS as INGESTION_LIMITS
from lurewire.ingestion import Collector, Ingestion, Samples, collector_routes, ingestion_routes, sample_routes
from lurewire.workspace import (
    LIMITS,
    SharedKeys,
    Watchlists,
    Workspace,
    Workspaces,
    control_routes,
    query_routes,
    resource_types,
    shared_key_routes,
    watchlist_routes,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from pathlib import Path

    from lurewire.core.principal import Principal

TENANT = "6a5b4c3d-0000-4000-8000-000000000001"
SUBSCRIPTION = "6a5b4c3d-0000-4000-8000-000000000002"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/lurewire"
WORKSPACE = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/lurewire"
ENDPOINT = f"{GROUP}/providers/Microsoft.Insights/dataCollectionEndpoints/events-dce"
RULE = f"{GROUP}/providers/Microsoft.Insights/dataCollectionRules/events-dcr"
STREAM = "Custom-Events_CL"
MONITOR = "https://monitor.azure.com"
LOGS = "https://api.loganalytics.io"
ARM = "https://management.azure.com"

COLUMNS = {
    "TimeGenerated": "datetime",
    "name": "string",
    "count": "int",
    "total": "long",
    "score": "real",
    "flag": "boolean",
    "at": "datetime",
    "more": "dynamic",
}


def columns(named: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in named.items()]


def table_body(name: str, named: Mapping[str, str]) -> dict[str, Any]:
    return {"properties": {"schema": {"name": name, "columns": columns(named)}}}


def rule_body(transform: str = "source", named: Mapping[str, str] = COLUMNS, **more: Any) -> dict[str, Any]:
    flow = {"streams": [STREAM], "destinations": ["la"], "transformKql": transform, "outputStream": STREAM}
    properties = {
        "dataCollectionEndpointId": ENDPOINT,
        "streamDeclarations": {STREAM: {"columns": columns(named)}},
        "destinations": {"logAnalytics": [{"name": "la", "workspaceResourceId": WORKSPACE}]},
        "dataFlows": [flow],
    }
    return {"location": "local", "properties": properties | more}


class NoVault:
    """No template here has a secret."""

    def template_secret(self, principal: Principal | None, vault: ResourceId, name: str, version: str) -> str:
        raise AssertionError(name)


class Cloud:
    """The rooms on one state folder, served by a thread with an event loop of its own."""

    def __init__(
        self,
        folder: Path,
        overrides: dict[str, int] | None = None,
        *,
        clamp_time: bool = False,
        endpoint_paths: bool = False,
    ) -> None:
        self.folder = folder
        self._clamp_time = clamp_time
        self._endpoint_paths = endpoint_paths
        self.clock = SystemClock()
        self.loop = asyncio.new_event_loop()
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.tls = ensure_certificates(folder / "tls", ["localhost", "127.0.0.1"], self.clock)
        self.ca = str(self.tls.bundle)
        self._server: uvicorn.Server | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._limits = overrides or {}

    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def start(self) -> None:
        self._thread.start()
        while self._failure is None and (self._server is None or not self._server.started):
            time.sleep(0.005)
        assert self._failure is None, self._failure

    def stop(self) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine where the rooms live."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def put(self, resource_id: str, body: dict[str, Any]) -> dict[str, Any]:
        stored = self.run(self.store.put(ResourceId.parse(resource_id), body))
        assert isinstance(stored, dict)
        return stored

    def table(self, name: str, named: Mapping[str, str]) -> dict[str, Any]:
        return self.put(f"{WORKSPACE}/tables/{name}", table_body(name, named))

    def rule(self, name: str, body: dict[str, Any]) -> str:
        """The immutable id of a rule."""
        return str(self.put(RULE.replace("events-dcr", name), body)["properties"]["immutableId"])

    def deploy(self, solution: str) -> dict[str, Any]:
        """The outputs of a solution's template."""
        template = json.loads((resources.files("lurewire") / "solutions" / solution / "tables.json").read_text())
        body = {"properties": {"mode": "Incremental", "template": template, "parameters": {}}}
        done = self.run(self.deployments.deploy(ResourceId.parse(GROUP), solution, body))
        assert done["properties"]["provisioningState"] == "Succeeded", done["properties"].get("error")
        return {name: output["value"] for name, output in done["properties"]["outputs"].items()}

    def principal(self, name: str, *grants: tuple[str, str]) -> Principal:
        """An app with (role, scope) pairs."""

        async def make() -> Principal:
            app = await self.identity.create_app(name)
            principal = self.identity.principal(app.object_id)
            assert principal is not None
            for role, scope in grants:
                await self.store.put(*role_assignment(ResourceId.parse(scope), principal, role))
            return principal

        made: Principal = self.run(make())
        return made

    def app(self, name: str, *grants: tuple[str, str]) -> tuple[str, str]:
        """An app with roles: its id and a secret."""
        principal = self.principal(name, *grants)
        return principal.app_id, self.run(self.identity.add_secret(principal.app_id)).value

    def token(self, name: str, *grants: tuple[str, str], resource: str = MONITOR) -> str:
        return self.identity.token_for(self.principal(name, *grants), resource)

    def workspace(self) -> Workspace:
        found = self.workspaces.by_id(WORKSPACE)
        assert found is not None
        return found

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Rows of a query, once everything acknowledged is visible."""

        async def ask() -> list[tuple[Any, ...]]:
            return (await self.workspace().query(text)).values()

        rows: list[tuple[Any, ...]] = self.run(ask())
        return rows

    def settle(self) -> None:
        """Wait until what was acknowledged so far is visible."""

        async def wait() -> None:
            workspace = self.workspace()
            marker = await workspace.append("Heartbeat", [{"Computer": "settle"}], key=str(time.perf_counter_ns()))
            await workspace.until_loaded(marker)

        self.run(wait())

    def post(self, rule: str, stream: str, token: str | None, body: Any, **headers: str) -> requests.Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        url = f"{self.url()}/dataCollectionRules/{rule}/streams/{stream}?api-version=2023-01-01"
        return requests.post(url, data=data, headers=sent, verify=self.ca, timeout=30)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._open())
            config = uvicorn.Config(
                self._asgi(),
                ssl_certfile=str(self.tls.certificate),
                ssl_keyfile=str(self.tls.key),
                log_config=None,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=1,  # idle clients never answer the end of TLS
            )
            self._server = uvicorn.Server(config)
            self.loop.run_until_complete(self._server.serve(sockets=[self._listener]))
            self.loop.run_until_complete(self.workspaces.stop())
        except BaseException as error:  # noqa: BLE001 - `start` tells it
            self._failure = error
        finally:
            self.db.close()

    async def _open(self) -> None:
        self.db = Database(self.folder / "control.db")
        self.db.open()
        box = SecretBox(self.folder / "secret.key")
        self.identity = Identity(self.db, self.clock, box, TENANT, self.url)
        await self.identity.start()
        self.store = ResourceStore(self.db, self.clock, box, subscription_id=SUBSCRIPTION, identities=self.identity)
        self.account = Account(TENANT, SUBSCRIPTION)
        self.deployments = Deployments(
            self.db,
            self.clock,
            self.store,
            self.identity,
            NoVault(),
            self.account,
            Limits(ARM_LIMITS),
            lambda: Outbound({}, {}),
        )
        self.workspaces = Workspaces(self.folder / "workspaces", self.clock, Limits(LIMITS, self._limits))
        self.ingestion = Ingestion(
            self.workspaces,
            self.store,
            self.clock,
            self.url,
            Limits(INGESTION_LIMITS, self._limits),
            clamp_time=self._clamp_time,
            endpoint_paths=self._endpoint_paths,
        )
        self.keys = SharedKeys(self.db, box)
        self.samples = Samples(self.workspaces, self.store, self.clock, self.ingestion.limits)
        self.collector = Collector(self.ingestion, self.workspaces, self.store, self.keys, self.clock)
        self.watchlists = Watchlists(self.workspaces, self.clock, TENANT, Limits(LIMITS, self._limits))
        self.store.register(
            *self.identity.resource_types,
            *resource_types(self.workspaces, self.clock),
            *self.watchlists.resource_types,
            *self.ingestion.resource_types,
        )
        await self.store.start()
        await self.store.put(ResourceId.parse(GROUP), {"location": "local"})
        await self.store.put(ResourceId.parse(WORKSPACE), {"location": "local", "properties": {}})
        await self.store.put(ResourceId.parse(ENDPOINT), {"location": "local", "properties": {}})

    def _asgi(self) -> Any:
        errors = ArmErrors(TENANT, self.url)
        rooms = [
            ingestion_routes(self.ingestion),
            collector_routes(self.collector),
            control_plane("samples", sample_routes(self.samples, self.identity), errors),
            control_plane("keys", shared_key_routes(self.workspaces, self.keys), errors),
            query_routes(self.workspaces, self.clock, Limits(LIMITS, self._limits), self.identity),
            token_routes(self.identity),
            control_plane("tables", control_routes(self.store), errors),
            control_plane("watchlists", watchlist_routes(self.watchlists), errors),
            arm_routes(self.store, self.deployments, self.account, self.identity, errors, self.url, Limits(ARM_LIMITS)),
        ]
        return build_app(rooms, self.identity)
