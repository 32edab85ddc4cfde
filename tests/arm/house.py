"""Identity, arm and vault together behind HTTPS on loopback, as the app wires them; shared by their tests."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import requests
import uvicorn

from lurewire.arm import LIMITS as ARM_LIMITS
from lurewire.arm import (
    Account,
    ArmError,
    ArmErrors,
    Deployments,
    Diagnostics,
    ResourceStore,
    arm_routes,
    control_plane,
)
from lurewire.core.clock import ManualClock
from lurewire.core.database import Database
from lurewire.core.http import RoomRoutes, Route, build_app
from lurewire.core.limits import Limits
from lurewire.core.outbound import Outbound
from lurewire.core.resources import Change, ResourceId, ResourceType
from lurewire.core.secretbox import SecretBox
from lurewire.core.tls import ensure_certificates
from lurewire.identity import Identity, group_routes, local_routes, role_assignment, role_routes, token_routes
from lurewire.vault import Vault, control_routes, vault_routes

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from starlette.types import ASGIApp

    from lurewire.core.principal import Principal

TENANT = "6a5b4c3d-0000-4000-8000-000000000001"
SUBSCRIPTION = "6a5b4c3d-0000-4000-8000-000000000002"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/lurewire"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/lurewire-vault"
WIDGETS = f"{GROUP}/providers/Contoso.Test/widgets"
ARM = "https://management.azure.com/"


class InvalidWidget(ArmError):
    """A widget of another shape."""

    status = 400
    code = "InvalidWidget"


class Widgets:
    """A room's resource type: refuses what it is told to, notes what it is told."""

    def __init__(self) -> None:
        self.applied: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        self.type = ResourceType(
            "Contoso.Test/widgets",
            self._prepare,
            self._applied,
            self._deleted,
            hidden=("/properties/key", "/properties/inputs/*[type=securestring]/value"),
        )
        self.parts = ResourceType("Contoso.Test/widgets/parts", self._prepare, self._applied, self._deleted)

    async def _prepare(self, change: Change) -> dict[str, Any]:
        properties = change.body.get("properties") or {}
        if not isinstance(properties, dict):
            message = "The properties of a widget are an object."
            raise InvalidWidget(message)
        if "explode" in properties:
            message = f"the widget explodes: {properties['explode']}"
            raise RuntimeError(message)
        return change.body | {"properties": properties | {"provisioningState": "Succeeded", "serial": change.id.name}}

    async def _applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        self.applied[resource_id.key] = body

    async def _deleted(self, resource_id: ResourceId) -> None:
        self.deleted.append(resource_id.key)


class House:
    """The three rooms on one state folder; what the app does at first start is done by `open`."""

    def __init__(self, folder: Path, limits: dict[str, int] | None = None) -> None:
        self.folder = folder
        self.limits = Limits(ARM_LIMITS, limits or {})
        self.port = 0
        self.clock = ManualClock(datetime.now(UTC))
        self.db = Database(folder / "control.db")
        box = SecretBox(folder / "secret.key")
        self.identity = Identity(self.db, self.clock, box, TENANT, self.url)
        self.store = ResourceStore(self.db, self.clock, box, subscription_id=SUBSCRIPTION, identities=self.identity)
        self.vault = Vault(
            self.db,
            self.clock,
            box,
            self.identity,
            tenant_id=TENANT,
            base_url=self.url,
            default_vault="lurewire-vault",
        )
        self.account = Account(TENANT, SUBSCRIPTION)
        #: The way out, for what templates link to.
        self.outbound = Outbound({}, {})
        self.deployments = Deployments(
            self.db,
            self.clock,
            self.store,
            self.identity,
            self.vault,
            self.account,
            self.limits,
            lambda: self.outbound,
        )
        self.diagnostics = Diagnostics(self.store, self.identity)
        self.widgets = Widgets()
        #: The identity of the instance metadata endpoint.
        self.machine: Principal | None = None

    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def open(self) -> None:
        self.db.open()
        await self.identity.start()
        self.store.register(*self.identity.resource_types, *self.vault.resource_types)
        self.store.register(self.widgets.type, self.widgets.parts, *self.diagnostics.resource_types)
        await self.store.start()
        await self.identity.management_groups.ensure_root(self.store)
        await self.deployments.start()
        await self.store.put(ResourceId.parse(GROUP), {"location": "local"})
        await self.store.put(ResourceId.parse(VAULT), {"location": "local", "properties": {}})

    def rooms(self) -> list[RoomRoutes]:
        errors = ArmErrors(TENANT, self.url)
        return [
            token_routes(self.identity),
            local_routes(self.identity, lambda: self.machine),
            vault_routes(self.vault),
            control_plane("vaults", control_routes(self.vault), errors),
            control_plane("roles", self._role_routes(), errors),
            arm_routes(self.store, self.deployments, self.account, self.identity, errors, self.url, self.limits),
        ]

    def _role_routes(self) -> list[Route]:
        groups = group_routes(self.store, self.identity, SUBSCRIPTION)
        return [*groups, *role_routes(self.store, self.identity)]

    def asgi(self) -> ASGIApp:
        return build_app(self.rooms(), self.identity)

    async def principal(self, name: str, *grants: tuple[str, str]) -> Principal:
        """An app with (role, scope) pairs; the scope `/` is the tenant."""
        app = await self.identity.create_app(name)
        principal = self.identity.principal(app.object_id)
        assert principal is not None
        for role, scope in grants:
            await self.store.put(*role_assignment(ResourceId.parse(scope) if scope != "/" else None, principal, role))
        return principal


class Server:
    """A house served over TLS by a thread with an event loop of its own."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        # asyncio switches Nagle's algorithm off only where the socket says that it is TCP.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        self._listener = listener
        house.port = listener.getsockname()[1]
        names = ["localhost", "127.0.0.1", "lurewire-vault.vault.localhost"]
        self.tls = ensure_certificates(house.folder / "tls", names, house.clock)
        self.ca = str(self.tls.bundle)
        self._server: uvicorn.Server | None = None
        self._session = requests.Session()

    def start(self) -> None:
        self._thread.start()
        while self._server is None or not self._server.started:
            time.sleep(0.005)

    def stop(self) -> None:
        assert self._server is not None
        self._session.close()
        self._server.should_exit = True
        self._thread.join()
        self.house.db.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine where the house lives."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def app(self, name: str, *grants: tuple[str, str]) -> tuple[str, str]:
        """A registered app with roles: its id and a secret."""
        principal = self.run(self.house.principal(name, *grants))
        secret = self.run(self.house.identity.add_secret(principal.app_id))
        return principal.app_id, secret.value

    def token(self, name: str, *grants: tuple[str, str], resource: str = ARM) -> str:
        """A token of a new app with roles."""
        principal = self.run(self.house.principal(name, *grants))
        return self.house.identity.token_for(principal, resource)

    def call(self, method: str, path: str, token: str | None = None, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})
        bare = options.pop("bare", False)
        query = "" if bare or "api-version" in path else "?api-version=2022-04-01"
        return self._session.request(
            method, f"{self.house.url()}{path}{query}", headers=headers, verify=self.ca, timeout=30, **options
        )

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.house.open())
        config = uvicorn.Config(
            self.house.asgi(),
            ssl_certfile=str(self.tls.certificate),
            ssl_keyfile=str(self.tls.key),
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=1,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self.loop.run_until_complete(self._server.serve(sockets=[self._listener]))
