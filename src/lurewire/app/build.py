"""The rooms, built and wired: the only module that knows all of them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lurewire import (
    analytics,
    arm,
    graph,
    identity,
    incidents,
    ingestion,
    ipintel,
    playbooks,
    sensor,
    testbench,
    vault,
    workspace,
)
from lurewire.app.bootstrap import LOCATION, PLAYBOOK, WORKSPACE, Bootstrap, Names
from lurewire.app.facts import Facts
from lurewire.app.lookups import fetcher, place_of
from lurewire.app.table_files import TableFiles
from lurewire.core.database import Database
from lurewire.core.http import build_app, room_app
from lurewire.core.limits import Limits
from lurewire.core.log import get_logger
from lurewire.core.outbound import Outbound
from lurewire.core.outbox import Outbox
from lurewire.core.resources import ResourceId
from lurewire.core.secretbox import SecretBox
from lurewire.ipintel import DataFolder
from lurewire.kql import json_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp

    from lurewire.core.clock import Clock
    from lurewire.core.http import RoomRoutes, Route
    from lurewire.core.principal import Principal
    from lurewire.core.tls import Certificates
    from lurewire.settings import Settings
    from lurewire.workspace import QueryResult


_log = get_logger("app")


class UnknownLimit(Exception):
    """The setting `limits` names a limit that no room declares."""


class Core:
    """All rooms of one state folder. `start` and `stop` once each; `asgi` serves them between."""

    asgi: ASGIApp
    rooms: Sequence[RoomRoutes]

    def __init__(self, folder: Path, settings: Settings, clock: Clock) -> None:
        self._folder = folder
        self._settings = settings
        self._clock = clock
        self._stack = AsyncExitStack()
        self._db = Database(folder / "control.db")
        self._facts = Facts(self._db)
        self._rooms: dict[str, ASGIApp] = {}
        self._limits = _Limits(settings["limits"])
        #: The test bench, where the setting switches it on.
        self.bench: testbench.Bench | None = None
        if settings["testbench.enabled"]:
            self.bench = testbench.Bench(clock, self._limits(testbench), self._clear_table)
        #: Every operation of every room, in the order in which they answer.
        self.routes: Sequence[RoomRoutes] = ()
        self.base_url = ""
        self.tenant_id = ""

    def open(self) -> None:
        """Open the control database: what `preferred_port` and `start` need first."""
        self._db.open()
        self._stack.callback(self._db.close)

    def preferred_port(self) -> int:
        """The port to bind: the setting's, or where that is 0 the one of the last run."""
        wanted: int = self._settings["server.port"]
        return wanted or int(self._facts.get("port") or 0)

    async def start(self, port: int) -> None:
        """Build and start every room; at the first start, set up what the settings name."""
        last = self._facts.get("port")
        if last not in (None, str(port)):
            _log.warning("URLs of endpoints and vaults that were handed out name the old port", old=last, new=port)
        await self._facts.put("port", str(port))
        self.base_url = f"https://localhost:{port}"
        self.tenant_id = await self._facts.guid("tenant_id")
        subscription_id = await self._facts.guid("subscription_id")
        self.names = Names(subscription_id)
        await self._build(subscription_id)
        await self._start_rooms()
        bootstrap = Bootstrap(self._facts, self.store, self.deployments, self.vault, self.ipintel)
        await bootstrap.run(self.names, self._settings["solutions"])
        await self.outbox.start()
        self._stack.push_async_callback(self.outbox.stop)
        await self.playbooks.start()
        self._stack.push_async_callback(self.playbooks.stop)
        await self.analytics.start()
        self._stack.push_async_callback(self.analytics.stop)

    async def stop(self) -> None:
        """Stop in the reverse order of the start."""
        await self._stack.aclose()

    async def _build(self, subscription_id: str) -> None:
        db, clock, limits = self._db, self._clock, self._limits
        box = SecretBox(self._folder / "secret.key")
        self.outbox = Outbox(db, clock)
        days = self._settings["identity.rotate_keys_days"]
        self.identity = identity.Identity(
            db,
            clock,
            box,
            self.tenant_id,
            self._url,
            names=self._settings["server.names"],
            limits=limits(identity),
            rotate_after=timedelta(days=days) if days else None,
        )
        self.store = arm.ResourceStore(
            db,
            clock,
            box,
            subscription_id=subscription_id,
            identities=self.identity,
            register_first=self._settings["arm.register_first"],
            limits=limits(arm),
        )
        self.diagnostics = arm.Diagnostics(self.store, self.identity, limits(arm))
        self.vault = vault.Vault(
            db,
            clock,
            box,
            self.identity,
            tenant_id=self.tenant_id,
            base_url=self._url,
            default_vault=self.names.vault,
            names=self._settings["server.names"],
            limits=limits(vault),
        )
        self.account = arm.Account(self.tenant_id, subscription_id, url=self._url)
        self.deployments = arm.Deployments(
            db, clock, self.store, self.identity, self.vault, self.account, limits(arm), lambda: self.outbound
        )
        places = workspace.Places(
            self._folder / "external",
            tuple(self._settings["workspace.external"]),
            fetcher(lambda: self.outbound, asyncio.get_running_loop()),
        )
        self.workspaces = workspace.Workspaces(
            self._folder / "workspaces",
            clock,
            limits(workspace),
            geo=lambda address: place_of(self.ipintel.data, address),
            places=places,
        )
        self.watchlists = workspace.Watchlists(self.workspaces, clock, self.tenant_id, limits(workspace))
        self.ingestion = ingestion.Ingestion(
            self.workspaces,
            self.store,
            clock,
            self._url,
            limits(ingestion),
            clamp_time=self._settings["ingestion.clamp_time"],
            tables=self._settings["ingestion.tables"],
            gatekeeper=self.identity,
            endpoint_paths=self._settings["ingestion.endpoint_paths"],
        )
        self.table_files = TableFiles(self.workspaces, self.store, str(self.names.workspace))
        self.samples = ingestion.Samples(self.workspaces, self.store, clock, limits(ingestion))
        self.shared_keys = workspace.SharedKeys(db, box)
        self.collector = ingestion.Collector(self.ingestion, self.workspaces, self.store, self.shared_keys, clock)
        data = self._settings["ipintel.data"]
        self.ipintel = ipintel.IpIntel(db, clock, DataFolder(Path(data)) if data else None, limits(ipintel))
        self._stack.callback(self.ipintel.close)
        self.incidents = incidents.Incidents(
            db,
            self.outbox,
            clock,
            self.workspaces,
            gatekeeper=self.identity,
            resources=self.store,
            portal=self.base_url,
            limits=limits(incidents),
        )
        routes = {f"localhost:{self._facts.get('port')}": "ingestion"} | self._settings["outbound.routes"]
        self.outbound = Outbound(routes, self._rooms, allow_private=self._settings["outbound.allow_private"])
        self._stack.push_async_callback(self.outbound.close)
        self.playbooks = playbooks.Playbooks(
            db=db,
            outbox=self.outbox,
            clock=clock,
            box=box,
            outbound=self.outbound,
            resources=self.store,
            incidents=self.incidents,
            identities=self.identity,
            token_for=self.identity.token_for,
            read_secret=self._read_secret,
            base_url=self.base_url,
            collector=self.collector,
            limits=limits(playbooks),
        )
        self.analytics = analytics.Analytics(
            db,
            self.outbox,
            clock,
            self.workspaces,
            fire_late=self._settings["analytics.fire_late"],
            limits=limits(analytics),
        )

    async def _start_rooms(self) -> None:
        await self.identity.start()
        self._stack.push_async_callback(self.identity.stop)
        self.store.register(
            *self.identity.resource_types,
            *self.vault.resource_types,
            *workspace.resource_types(self.workspaces, self._clock),
            *self.watchlists.resource_types,
            *self.ingestion.resource_types,
            *self.analytics.resource_types,
            self.incidents.automation_rules,
            *self.playbooks.resource_types,
            *self.diagnostics.resource_types,
        )
        for name in ("listKeys", "sharedKeys"):
            self.deployments.register_listing("Microsoft.OperationalInsights/workspaces", name, self._workspace_keys)
        callback = self.playbooks.operations.callback_of_trigger
        self.deployments.register_listing("Microsoft.Logic/workflows/triggers", "listCallbackUrl", callback)
        self._stack.push_async_callback(self.workspaces.stop)
        await self.store.start()
        await self.vault.start()
        self._stack.push_async_callback(self.vault.stop)
        await self.identity.management_groups.ensure_root(self.store)
        await self.deployments.start()
        await self.incidents.start()
        self._stack.push_async_callback(self.incidents.stop)
        self.workspaces.start_upkeep()
        rooms = self.routes = self._routes()
        self._rooms.update({room.room: room_app(room, self.identity) for room in rooms})
        self.asgi = self._bench_before(rooms) if self.bench is not None else build_app(rooms, self.identity)

    def _routes(self) -> Sequence[RoomRoutes]:
        errors = arm.ArmErrors(self.tenant_id, self._url)
        return (
            ingestion.ingestion_routes(self.ingestion),
            ingestion.collector_routes(self.collector),
            workspace.query_routes(self.workspaces, self._clock, self._limits(workspace), self.identity),
            identity.token_routes(self.identity),
            identity.local_routes(self.identity, self._machine_identity),
            graph.graph_routes(self.identity, self._limits(graph)),
            vault.vault_routes(self.vault),
            ipintel.routes(self.ipintel),
            arm.control_plane("incidents", incidents.incident_routes(self.incidents).routes, errors),
            arm.control_plane("playbooks", self.playbooks.routes.routes, errors),
            arm.control_plane("samples", ingestion.sample_routes(self.samples, self.identity), errors),
            arm.control_plane("vaults", vault.control_routes(self.vault), errors),
            arm.control_plane("keys", workspace.shared_key_routes(self.workspaces, self.shared_keys), errors),
            arm.control_plane("roles", self._role_routes(), errors),
            arm.control_plane("tables", workspace.control_routes(self.store), errors),
            arm.control_plane("watchlists", workspace.watchlist_routes(self.watchlists), errors),
            # Last: its paths fit every resource.
            arm.arm_routes(
                self.store, self.deployments, self.account, self.identity, errors, self._url, self._limits(arm)
            ),
        )

    def _bench_before(self, rooms: Sequence[RoomRoutes]) -> ASGIApp:
        bench = self.bench
        assert bench is not None
        bench.watch(rooms)
        errors = arm.ArmErrors(self.tenant_id, self._url)
        own = testbench.testbench_routes(bench, f"/subscriptions/{self.names.subscription_id}", errors)
        _log.warning("the test bench is on: faults can be injected, and requests are kept for reading")
        self.routes = (own, *rooms)
        return testbench.Middleware(build_app(self.routes, self.identity), bench)

    async def _clear_table(self, name: str) -> None:
        """Delete the rows of a table of the install's workspace, for the test bench."""
        found = self.workspaces.by_id(self.names.workspace)
        assert found is not None
        try:
            await found.clear_table(name)
        except workspace.UnknownTable as error:
            raise testbench.TableNotFound(str(error)) from None

    async def _workspace_keys(self, workspace_id: ResourceId) -> dict[str, str]:
        """What `listKeys` of a workspace gives a template."""
        found = self.workspaces.by_id(workspace_id)
        assert found is not None
        primary, secondary = await self.shared_keys.of(found.customer_id)
        return {"primarySharedKey": primary, "secondarySharedKey": secondary}

    def _role_routes(self) -> Sequence[Route]:
        groups = identity.group_routes(self.store, self.identity, self.account.subscription_id)
        return (*groups, *identity.role_routes(self.store, self.identity))

    def _machine_identity(self) -> Principal | None:
        """The identity of the instance metadata service: the one that the setting names."""
        name = self._settings["identity.imds"]
        return self.identity.managed_identity(self._identity_id(name)) if name else None

    def _identity_id(self, name: str) -> ResourceId:
        if name.startswith("/"):
            return ResourceId.parse(name)
        namespace, kind = identity.USER_ASSIGNED.split("/")
        return self.names.group.extension(namespace, kind, name)

    def _url(self) -> str:
        return self.base_url

    async def _read_secret(self, principal: Principal, uri: str) -> str:
        return self.vault.read(principal, uri)

    # What the supervisor and the operator's socket ask for.

    def facts(self, certificates: Certificates) -> dict[str, Any]:
        """What `lurewire env` prints, as JSON."""
        body = self.store.get(self.names.workspace)
        assert body is not None
        rules = self.store.list("Microsoft.Insights/dataCollectionRules")
        return {
            "tenant_id": self.tenant_id,
            "subscription_id": self.names.subscription_id,
            "resource_group": self.names.group.name,
            "workspace": WORKSPACE,
            "workspace_id": body["properties"]["customerId"],
            "dcrs": {rule["name"]: rule["properties"]["immutableId"] for rule in rules},
            "playbook": PLAYBOOK,
            "ca": str(certificates.ca),
            "bundle": str(certificates.bundle),
        }

    async def sensor_connector(self, certificates: Certificates) -> dict[str, Any] | None:
        """The sensor's connector: a fresh secret at each start, so that none is kept on disk."""
        rule = self.store.get(self.names.sensor_rule)
        if rule is None:
            return None
        app = await self._app("lurewire-sensor", ["Monitoring Metrics Publisher"], self.names.sensor_rule)
        return {
            "endpoint_url": f"{self.base_url}/dataCollectionRules/{rule['properties']['immutableId']}/streams/",
            "threats_table": "TrapEye_Threats_CL",
            "interactions_table": "TrapEye_Interactions_CL",
            "tenant_id": self.tenant_id,
            "client_id": app["client_id"],
            "client_secret": app["client_secret"],
            "authority_host": self.base_url,
            "ca_file": str(certificates.ca),
            "disable_instance_discovery": True,
        }

    async def create_app(
        self, name: str, roles: Sequence[str], scope: str | None, permissions: Sequence[str] = ()
    ) -> dict[str, str]:
        """Register an app with a secret, roles and Microsoft Graph permissions.

        The secret is in the answer and nowhere else. The scope `/` is the tenant, None the resource group.
        """
        return await self._app(name, roles, self._scope(scope), permissions)

    async def _app(
        self, name: str, roles: Sequence[str], scope: ResourceId | None, permissions: Sequence[str] = ()
    ) -> dict[str, str]:
        self._check_grant(roles, scope)
        for permission in permissions:
            identity.app_role(permission)
        known = self._facts.get(f"app.{name}")
        if known is None or self.identity.app(known) is None:
            known = (await self.identity.create_app(name)).app_id
            await self._facts.put(f"app.{name}", known)
        app = await self.identity.create_principal(known)  # which somebody may have deleted over Graph
        principal = self.identity.principal(app.object_id)
        assert principal is not None
        await self._grant(principal, roles, scope)
        await self.identity.app_roles.grant(principal.object_id, permissions)
        for old in app.secrets:
            if old.expires_at < self._clock.now():
                await self.identity.remove_secret(known, old.key_id)
        secret = await self.identity.add_secret(known)
        return {"client_id": known, "client_secret": secret.value}

    async def create_identity(self, name: str, roles: Sequence[str], scope: str | None) -> dict[str, str]:
        """A user-assigned identity with roles, and a header by which a local process gets its tokens."""
        at = self._scope(scope)
        self._check_grant(roles, at)
        resource_id = self._identity_id(name)
        if self.store.get(resource_id) is None:
            await self.store.put(resource_id, {"location": LOCATION})
        principal = await self.identity.managed_identity_for(resource_id)
        await self._grant(principal, roles, at)
        return {
            "id": str(resource_id),
            "client_id": principal.app_id,
            "endpoint": f"{self.base_url}/msi/token",
            "header": await self.identity.managed.add_header(principal),
        }

    def _scope(self, text: str | None) -> ResourceId | None:
        """Where roles are to hold; None is the tenant."""
        if text is None:
            return self.names.group
        return ResourceId.parse(text) if text.strip("/") else None

    def _check_grant(self, roles: Sequence[str], scope: ResourceId | None) -> None:
        identity.check_roles(roles)
        if scope is not None and scope.resource_group is not None and self.store.get(scope) is None:
            raise ValueError(f"there is no resource {scope}")

    async def _grant(self, principal: Principal, roles: Sequence[str], scope: ResourceId | None) -> None:
        for role in roles:
            await self.store.put(*identity.role_assignment(scope, principal, role))

    async def add_app_secret(self, name: str, days: int) -> dict[str, str]:
        """One more secret for an app; it is in the answer and nowhere else. Raises `ValueError` for an unknown name."""
        app_id = self._known_app(name)
        made = await self.identity.add_secret(app_id, timedelta(days=days))
        return {"client_id": app_id, "client_secret": made.value}

    async def add_app_certificate(self, name: str, pem: bytes) -> dict[str, str]:
        """A certificate by which an app may prove itself. Raises `ValueError`."""
        app_id = self._known_app(name)
        added = await self.identity.certificates.add(app_id, pem)
        return {"client_id": app_id, "thumbprint": added.thumbprint}

    async def rotate_keys(self, *, revoke: bool) -> str:
        """Sign tokens with a new key; `revoke` ends every token that an older one signed. Gives the new key's id."""
        return await self.identity.rotate_keys(revoke=revoke)

    def _known_app(self, name: str) -> str:
        known = self._facts.get(f"app.{name}")
        if known is None or self.identity.app(known) is None:
            raise ValueError(f"there is no app '{name}': lurewire app create makes it")
        return known

    async def create_lookup_key(self, name: str) -> str:
        """A key for the IP lookup."""
        return await self.ipintel.create_key(name)

    async def revoke_lookup_key(self, name: str) -> bool:
        """Take a key of the IP lookup out of force; False where there is none of that name."""
        return await self.ipintel.revoke_key(name)

    async def preview_sample(self, asked: ingestion.SampleRequest) -> dict[str, Any]:
        """The schema of a sample for the install's workspace, and what its transform makes of it."""
        return await self.samples.preview(self.names.workspace, asked)

    async def apply_sample(self, asked: ingestion.SampleRequest) -> dict[str, Any]:
        """Table, stream and flow for a sample, in the install's workspace."""
        return await self.samples.apply(self.names.workspace, asked)

    async def operator_query(self, text: str) -> dict[str, Any]:
        """Run a query on the install's workspace.

        Gives `tables`, one for each result of the query, with columns, rows in the query API's encoding and the chart that it
        asks for; and `partial`, why rows are missing.
        """
        found = self.workspaces.by_id(self.names.workspace)
        assert found is not None
        result = await found.query(text)
        tables = await asyncio.to_thread(lambda: [_table(one) for one in (result, *result.further)])
        return {"tables": tables, "partial": result.partial}


def _table(result: QueryResult) -> dict[str, Any]:
    render = result.render
    return {
        "columns": [{"name": column.name, "type": str(column.type)} for column in result.columns],
        "rows": [
            [json_value(column.type, value) for value, column in zip(row, result.columns, strict=True)]
            for row in result.values()
        ],
        "render": None
        if render is None
        else {"visualization": render.visualization, "properties": dict(render.properties)},
    }


class _Limits:
    """Each room's limits, with the values that the setting `limits` gives."""

    def __init__(self, values: dict[str, int]) -> None:
        self._values = values
        rooms = (
            analytics,
            arm,
            graph,
            identity,
            incidents,
            ingestion,
            ipintel,
            playbooks,
            sensor,
            testbench,
            vault,
            workspace,
        )
        declared = {limit.name for room in rooms for limit in room.LIMITS}
        unknown = sorted(self._values.keys() - declared)
        if unknown:
            raise UnknownLimit(f"limits: no room declares '{unknown[0]}'; the manual's table of limits lists them")

    def __call__(self, room: Any) -> Limits:
        return Limits(room.LIMITS, self._values)
