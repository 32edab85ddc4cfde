"""The playbooks room with the real rooms that it uses, and a real HTTP server for playbooks to call."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from lurewire.arm import LIMITS as ARM_LIMITS
from lurewire.arm import Account, Deployments, ResourceStore
from lurewire.core.clock import ManualClock
from lurewire.core.database import Database
from lurewire.core.http import room_app
from lurewire.core.limits import Limits
from lurewire.core.outbound import Outbound, OutboundResponse
from lurewire.core.outbox import Outbox
from lurewire.core.resources import ResourceId, ResourceType
from lurewire.core.secretbox import SecretBox
from lurewire.identity import Identity, role_assignment
from lurewire.playbooks import Playbooks, RunRow, Start
from lurewire.vault import NewVersion, Vault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from starlette.types import ASGIApp

    from lurewire.core.clock import Clock
    from lurewire.core.principal import Principal
    from lurewire.core.resources import Change
    from lurewire.playbooks import Record

TENANT = "6a5b4c3d-0000-4000-8000-000000000001"
SUBSCRIPTION = "6a5b4c3d-0000-4000-8000-000000000002"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/lurewire"
WORKSPACE = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/lurewire"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/lurewire-vault"
WORKFLOW = f"{GROUP}/providers/Microsoft.Logic/workflows/Test"
CONNECTION = f"{GROUP}/providers/Microsoft.Web/connections/azuresentinel-Test"
MANAGED_API = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Web/locations/local/managedApis/azuresentinel"
INCIDENT = f"{WORKSPACE}/providers/Microsoft.SecurityInsights/Incidents/11111111-2222-4333-8444-555555555555"
SCHEMA = "https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/workflowdefinition.json#"
CONNECTIONS: dict[str, dict[str, Any]] = {
    "sentinel_1": {
        "connectionId": CONNECTION,
        "connectionName": "azuresentinel-Test",
        "id": MANAGED_API,
        "connectionProperties": {"authentication": {"type": "ManagedServiceIdentity"}},
    }
}
HOST = {"connection": {"name": "@parameters('$connections')['sentinel_1']['connectionId']"}}
START = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)


@dataclass
class Web:
    """A real HTTP server: `answers` are given in turn (the last one again and again), `seen` is what was asked."""

    answers: list[tuple[int, Any, dict[str, str]]] = field(default_factory=lambda: [(200, {"ok": True}, {})])
    seen: list[dict[str, Any]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    respond: Callable[[dict[str, Any]], Awaitable[web.Response]] | None = None
    port: int = 0

    async def start(self) -> None:
        app = web.Application(client_max_size=10_000_000)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _handle(self, request: web.Request) -> web.Response:
        seen = {
            "method": request.method,
            "path": request.path_qs,
            "headers": dict(request.headers),
            "body": await request.read(),
        }
        self.seen.append(seen)
        self.asked.set()
        if self.respond is not None:
            return await self.respond(seen)
        status, body, headers = self.answers[min(len(self.seen), len(self.answers)) - 1]
        if isinstance(body, bytes):
            return web.Response(status=status, body=body, headers=headers)
        return web.Response(
            status=status, text=json.dumps(body), headers={"Content-Type": "application/json", **headers}
        )


class SteppingClock(ManualClock):
    """A manual clock that tells who sleeps: until when, and for how many seconds."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.sleeping: list[tuple[float, float]] = []

    async def sleep(self, seconds: float) -> None:
        entry = (self.monotonic() + seconds, seconds)
        self.sleeping.append(entry)
        try:
            await super().sleep(seconds)
        finally:
            self.sleeping.remove(entry)


class Incident:
    """A stand-in for the incidents room, for tests that do not need the real one: keeps what the connector did."""

    def __init__(self) -> None:
        self.comments: dict[str, str] = {}
        self.updates: dict[str, dict[str, Any]] = {}
        self.refuse: Exception | None = None
        self.refusals: list[Exception] = []

    async def get(self, principal: Principal, incident_id: str) -> dict[str, Any]:
        return {"id": incident_id}

    async def get_of_alert(self, principal: Principal, customer_id: str, alert_id: str) -> dict[str, Any]:
        return {"id": f"{customer_id}/{alert_id}"}

    async def add_comment(
        self, principal: Principal, incident_id: str, message: str, *, comment_id: str
    ) -> dict[str, Any]:
        if self.refusals:
            raise self.refusals.pop()
        if self.refuse is not None:
            raise self.refuse
        self.comments.setdefault(comment_id, message)
        return {"name": comment_id, "properties": {"message": message}}

    async def update(self, principal: Principal, incident_id: str, *, key: str, **changes: Any) -> dict[str, Any]:
        self.updates.setdefault(key, {name: value for name, value in changes.items() if value})
        return {"id": incident_id}


async def _as_it_is(change: Change) -> dict[str, Any]:
    return change.body


async def _ignore(*_: Any) -> None:
    """Nothing to do."""


class Rig:
    """One state folder; `open` what is closed, and it goes on where it was."""

    def __init__(
        self,
        folder: Path,
        *,
        routes: dict[str, str] | None = None,
        rooms: dict[str, ASGIApp] | None = None,
        allow_private: bool = True,
        real_incidents: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.folder = folder
        self.manual = SteppingClock(START)
        self.clock: Clock = clock or self.manual
        self.incident = Incident()
        self.rooms: dict[str, ASGIApp] = rooms or {}
        self._routes = routes or {}
        self._allow_private = allow_private
        self._real_incidents = real_incidents

    async def open(self) -> None:
        if self._real_incidents:
            # Only here: a crash test's child starts in half the time without them. Before the tables are made.
            from lurewire.incidents import Incidents as IncidentsRoom
            from lurewire.ingestion import Collector, Ingestion
            from lurewire.workspace import SharedKeys, Workspaces
            from lurewire.workspace import resource_types as workspace_types
        clock = self.clock
        self.db = Database(self.folder / "control.db")
        self.db.open()
        box = SecretBox(self.folder / "secret.key")
        self.outbox = Outbox(self.db, clock)
        self.identity = Identity(self.db, clock, box, TENANT, lambda: "https://localhost:8443")
        self.store = ResourceStore(self.db, clock, box, subscription_id=SUBSCRIPTION, identities=self.identity)
        self.vault = Vault(
            self.db,
            clock,
            box,
            self.identity,
            tenant_id=TENANT,
            base_url=lambda: "https://localhost:8443",
            default_vault="lurewire-vault",
        )
        account = Account(TENANT, SUBSCRIPTION)
        limits = Limits(ARM_LIMITS)
        self.deployments = Deployments(
            self.db, clock, self.store, self.identity, self.vault, account, limits, lambda: self.outbound
        )
        self.outbound = Outbound(self._routes, self.rooms, allow_private=self._allow_private)
        if self._real_incidents:
            self.workspaces = Workspaces(self.folder / "workspaces", clock)
            self.keys = SharedKeys(self.db, box)
            ingestion = Ingestion(self.workspaces, self.store, clock, lambda: "https://localhost:8443")
            self.collector = Collector(ingestion, self.workspaces, self.store, self.keys, clock)
            self.incidents = IncidentsRoom(
                self.db,
                self.outbox,
                clock,
                self.workspaces,
                gatekeeper=self.identity,
                resources=self.store,
                portal="https://localhost:8443",
            )
        self.playbooks = Playbooks(
            db=self.db,
            outbox=self.outbox,
            clock=clock,
            box=box,
            outbound=self.outbound,
            resources=self.store,
            incidents=self.incidents if self._real_incidents else self.incident,
            identities=self.identity,
            token_for=self.identity.token_for,
            read_secret=self._read_secret,
            base_url="https://localhost:8443",
            collector=self.collector if self._real_incidents else None,
        )
        await self.identity.start()
        self.store.register(*self.identity.resource_types, *self.vault.resource_types, *self.playbooks.resource_types)
        callback = self.playbooks.operations.callback_of_trigger
        self.deployments.register_listing("Microsoft.Logic/workflows/triggers", "listCallbackUrl", callback)
        for name in (
            "Microsoft.OperationalInsights/workspaces",
            "Microsoft.Insights/dataCollectionRules",
            "Microsoft.Insights/dataCollectionEndpoints",
        ):
            self.store.register(ResourceType(name, _as_it_is, _ignore, _ignore))
        if self._real_incidents:
            self.store.register(*workspace_types(self.workspaces, clock), self.incidents.automation_rules)
        await self.store.start()
        await self.deployments.start()
        for resource_id in (GROUP, WORKSPACE, VAULT):
            if self.store.get(ResourceId.parse(resource_id)) is None:
                await self.store.put(ResourceId.parse(resource_id), {"location": "local", "properties": {}})
        if self.store.get(ResourceId.parse(CONNECTION)) is None:
            api = {"properties": {"api": {"id": MANAGED_API}, "parameterValueType": "Alternative"}}
            await self.store.put(ResourceId.parse(CONNECTION), {"location": "local", **api})
        if self._real_incidents:
            await self.incidents.start()
        await self.outbox.start()
        await self.playbooks.start()

    async def close(self) -> None:
        await self.outbox.stop()
        await self.playbooks.stop()
        if self._real_incidents:
            await self.incidents.stop()
            await self.workspaces.stop()
        await self.outbound.close()
        self.db.close()

    async def _read_secret(self, principal: Principal, uri: str) -> str:
        return self.vault.read(principal, uri)

    async def set_secret(self, name: str, value: str) -> str:
        await self.vault.put(ResourceId.parse(VAULT), name, NewVersion(value=value))
        return f"@Microsoft.KeyVault(SecretUri=https://lurewire-vault.vault.azure.net/secrets/{name}/)"

    async def grant(self, role: str, scope: str, workflow: str = WORKFLOW) -> None:
        principal = await self.identity.managed_identity_for(ResourceId.parse(workflow))
        await self.store.put(*role_assignment(ResourceId.parse(scope), principal, role))

    async def put(self, body: dict[str, Any], workflow: str = WORKFLOW) -> dict[str, Any]:
        return await self.store.put(ResourceId.parse(workflow), body)

    async def begin(self, body: Any = None, key: str = "key-1", workflow: str = WORKFLOW) -> str:
        run = await self.playbooks.begin(Start(workflow, "incident", body, key, INCIDENT))
        assert run is not None
        return run

    async def next_sleep(self, wanted: float | None = None) -> float:
        """Wait until something sleeps for less than an hour more (or for `wanted` seconds); then that sleep is over."""
        async with asyncio.timeout(20):
            while True:
                now = self.manual.monotonic()
                left = [until - now for until, seconds in self.manual.sleeping if seconds < 3600]
                found = [seconds for seconds in left if wanted is None or abs(seconds - wanted) < 1e-6]
                if found:
                    self.manual.advance(min(found))
                    await asyncio.sleep(0)
                    return min(found)
                await asyncio.sleep(0.002)

    async def run(self, actions: dict[str, Any], body: Any = None, **more: Any) -> Done:
        """Put a workflow with these actions, run it once, and wait."""
        key = more.pop("key", "key-1")
        await self.put(workflow(actions, **more))
        return await self.finish(await self.begin(body, key))

    async def finish(self, run: str) -> Done:
        async with asyncio.timeout(20):
            row = await self.playbooks.wait(run)
        return Done(row, self.playbooks)


class Client:
    """Calls the room's routes alone, in process."""

    def __init__(self, rig: Rig) -> None:
        rooms = {"playbooks": room_app(rig.playbooks.routes, rig.identity)}
        self._out = Outbound({"arm.test": "playbooks", "localhost:8443": "playbooks"}, rooms)
        self._rig = rig
        self.token = ""

    async def login(self, name: str, role: str | None) -> None:
        app = await self._rig.identity.create_app(name)
        principal = self._rig.identity.principal(app.object_id)
        assert principal is not None
        if role is not None:
            await self._rig.store.put(*role_assignment(ResourceId.parse(GROUP), principal, role))
        self.token = self._rig.identity.token_for(principal, "https://management.azure.com/")

    async def send(
        self, method: str, path: str, body: bytes | None = None, *, token: bool = True, **headers: str
    ) -> OutboundResponse:
        sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
        if token:
            sent.append(("Authorization", f"Bearer {self.token}"))
        url = path if path.startswith("https://") else f"https://arm.test{path}"
        return await self._out.request(method, url, headers=sent, body=body)

    async def get(self, path: str, *, token: bool = True) -> OutboundResponse:
        return await self.send("GET", path, token=token)

    async def json(self, path: str, method: str = "GET") -> Any:
        answer = await self.send(method, path)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)


@dataclass
class Done:
    """A run that ended."""

    row: RunRow
    playbooks: Playbooks

    def __getitem__(self, name: str) -> Record:
        return self.playbooks.history.action(self.row.name, name)

    def repetition(self, name: str, *iteration: int) -> Record:
        text = "-".join(f"{index:06d}" for index in iteration)
        return self.playbooks.history.action(self.row.name, name, text)

    def statuses(self) -> dict[str, str]:
        rows = self.playbooks.history.actions(self.row.name, 1000)
        return {record.name: record.status.value for record, _ in rows}


def workflow(
    actions: dict[str, Any],
    *,
    parameters: dict[str, Any] | None = None,
    values: dict[str, Any] | None = None,
    trigger: dict[str, Any] | None = None,
    outputs: dict[str, Any] | None = None,
    identity: bool = True,
    state: str = "Enabled",
) -> dict[str, Any]:
    """The body of a workflow resource with an incident trigger."""
    webhook = {
        "type": "ApiConnectionWebhook",
        "inputs": {"body": {"callback_url": "@{listCallbackUrl()}"}, "host": HOST, "path": "/incident-creation"},
        **(trigger or {}),
    }
    return {
        "location": "local",
        **({"identity": {"type": "SystemAssigned"}} if identity else {}),
        "properties": {
            "state": state,
            "definition": {
                "$schema": SCHEMA,
                "contentVersion": "1.0.0.0",
                "parameters": {"$connections": {"type": "Object", "defaultValue": {}}, **(parameters or {})},
                "triggers": {"Microsoft_Sentinel_incident": webhook},
                "actions": actions,
                "outputs": outputs or {},
            },
            "parameters": {
                "$connections": {"value": CONNECTIONS},
                **{name: {"value": value} for name, value in (values or {}).items()},
            },
        },
    }


def compose(value: Any, after: dict[str, list[str]] | None = None) -> dict[str, Any]:
    return {"type": "Compose", "inputs": value, "runAfter": after or {}}


def failing(after: dict[str, list[str]] | None = None) -> dict[str, Any]:
    return compose("@int('x')", after)


def http(uri: str, after: dict[str, list[str]] | None = None, **inputs: Any) -> dict[str, Any]:
    return {"type": "Http", "inputs": {"method": "GET", "uri": uri, **inputs}, "runAfter": after or {}}


def connection(method: str, path: str, body: Any, after: dict[str, list[str]] | None = None) -> dict[str, Any]:
    inputs = {"host": HOST, "method": method, "path": path, "body": body}
    return {"type": "ApiConnection", "inputs": inputs, "runAfter": after or {}}


OK = ["Succeeded"]
