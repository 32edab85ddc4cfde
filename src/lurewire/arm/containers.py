"""Tenants, subscriptions, resource groups and resource providers.

Sources: https://learn.microsoft.com/rest/api/resources/subscriptions,
https://learn.microsoft.com/rest/api/resources/resource-groups and
https://learn.microsoft.com/rest/api/resources/providers
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from starlette.responses import JSONResponse, Response

from lurewire.arm.bodies import read_object
from lurewire.arm.errors import InvalidResourceNamespace, ResourceGroupNotFound, SubscriptionNotFound
from lurewire.arm.filters import GROUP_FIELDS, parse_filter
from lurewire.arm.front import patched
from lurewire.arm.metadata import cloud
from lurewire.arm.providers import providers
from lurewire.arm.scopes import group_id
from lurewire.core.errors import Forbidden
from lurewire.core.http import Audience, Gatekeeper, Needs, Public, Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from lurewire.arm.deployments.service import Deployments
    from lurewire.arm.pages import Pages
    from lurewire.arm.scopes import Scopes
    from lurewire.arm.store import ResourceStore
    from lurewire.core.limits import Limits
    from lurewire.core.principal import Principal

_GROUPS = "/subscriptions/{subscription}/resourcegroups"
_GROUP_ACTION = "Microsoft.Resources/subscriptions/resourceGroups"
_OWN_CHECK = "shows each caller what it has a role in: the handler itself asks for the token"


class Access(Gatekeeper, Protocol):
    """The gatekeeper, with what a list of containers needs of it."""

    def sees(self, principal: Principal, scope: str) -> bool:
        """Whether the principal has any role at, above or inside `scope`."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """The one tenant and the one subscription of an install, the location that its resources get, and its address."""

    tenant_id: str
    subscription_id: str
    location: str = "local"
    name: str = "Lurewire"
    url: Callable[[], str] = str

    def environment(self) -> dict[str, Any]:
        """The cloud, as `environment()` in a template gives it."""
        return cloud(self.name, self.url())


def container_routes(
    store: ResourceStore,
    deployments: Deployments,
    account: Account,
    access: Access,
    limits: Limits,
    scopes: Scopes,
    pages: Pages,
) -> tuple[Route, ...]:
    """Routes of everything that resources are in."""
    handlers = _Containers(store, deployments, account, access, limits, pages)
    routes = [
        Route("GET", "/tenants", handlers.tenants, Public(_OWN_CHECK)),
        Route("GET", "/subscriptions", handlers.subscriptions, Public(_OWN_CHECK)),
        Route("GET", "/subscriptions/{subscription}", handlers.subscription, Public(_OWN_CHECK)),
        Route("GET", "/subscriptions/{subscription}/locations", handlers.locations, Public(_OWN_CHECK)),
        Route("GET", _GROUPS, handlers.groups, Public(_OWN_CHECK)),
    ]
    for verb, action, handler in (
        ("GET", "read", handlers.group),
        ("HEAD", "read", handlers.group_exists),
        ("PUT", "write", handlers.put_group),
        ("PATCH", "write", handlers.patch_group),
        ("DELETE", "delete", handlers.delete_group),
    ):
        needs = Needs(f"{_GROUP_ACTION}/{action}", Audience.MANAGEMENT, scopes.group)
        routes.append(Route(verb, f"{_GROUPS}/{{group}}", handler, needs))
    every = "/subscriptions/{subscription}/providers"
    read = Needs("Microsoft.Resources/subscriptions/providers/read", Audience.MANAGEMENT, scopes.subscription)
    routes.append(Route("GET", every, handlers.providers, read))
    routes.append(Route("GET", f"{every}/{{namespace}}", handlers.provider, read))
    for namespace in sorted({kind.type.partition("/")[0] for kind in store.types}):
        for verb, state in (("register", "Registered"), ("unregister", "Unregistered")):
            needs = Needs(f"{namespace}/{verb}/action", Audience.MANAGEMENT, scopes.subscription)
            path = f"{every}/{namespace}/{verb}"
            routes.append(Route("POST", path, handlers.registrar(namespace, state), needs))
    return tuple(routes)


class _Containers:
    def __init__(
        self,
        store: ResourceStore,
        deployments: Deployments,
        account: Account,
        access: Access,
        limits: Limits,
        pages: Pages,
    ) -> None:
        self._pages = pages
        self._store = store
        self._deployments = deployments
        self._account = account
        self._access = access
        self._limits = limits
        self._subscription_scope = f"/subscriptions/{account.subscription_id}"

    async def tenants(self, request: Request) -> Response:
        self._caller(request)
        tenant = self._account.tenant_id
        value = {
            "id": f"/tenants/{tenant}",
            "tenantId": tenant,
            "countryCode": "",
            "displayName": self._account.name,
            "domains": [],
            "tenantCategory": "Home",
            "defaultDomain": "",
            "tenantType": "AAD",
        }
        return JSONResponse({"value": [value]})

    async def subscriptions(self, request: Request) -> Response:
        caller = self._caller(request)
        value = [self._subscription()] if self._access.sees(caller, self._subscription_scope) else []
        return JSONResponse({"value": value, "count": {"type": "Total", "value": len(value)}})

    async def subscription(self, request: Request) -> Response:
        self._seen(request, "Microsoft.Resources/subscriptions/read")
        return JSONResponse(self._subscription())

    async def groups(self, request: Request) -> Response:
        """The groups that the caller may read: who has a role in one only finds that one, as in Azure."""
        read = f"{_GROUP_ACTION}/read"
        caller = self._seen(request, read)
        wanted = parse_filter(request.query_params.get("$filter"), GROUP_FIELDS)
        rows = self._store.list_shown("Microsoft.Resources/resourceGroups", self._subscription_scope)
        rows = [row for row in rows if wanted(row) and self._access.allows(caller, read, row["id"], data=False)]
        return self._pages(request, rows)

    async def locations(self, request: Request) -> Response:
        self._seen(request, "Microsoft.Resources/subscriptions/locations/read")
        name = self._account.location
        own = {
            "id": f"{self._subscription_scope}/locations/{name}",
            "name": name,
            "type": "Region",
            "displayName": name.capitalize(),
            "regionalDisplayName": name.capitalize(),
            "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
        }
        return self._pages(request, [own])

    async def group(self, request: Request) -> Response:
        return JSONResponse(self._group(request))

    async def group_exists(self, request: Request) -> Response:
        return Response(status_code=204 if self._store.shown(group_id(request)) else 404)

    async def put_group(self, request: Request) -> Response:
        body = await read_object(request, self._limits["arm.request_bytes"], self._limits["arm.json_depth"])
        stored = await self._store.change(group_id(request), body, request.state.principal)
        return JSONResponse(stored.body, status_code=201 if stored.created else 200)

    async def patch_group(self, request: Request) -> Response:
        change = await read_object(request, self._limits["arm.request_bytes"], self._limits["arm.json_depth"])
        body = patched("Microsoft.Resources/resourceGroups", self._group(request), change)
        stored = await self._store.change(group_id(request), body, request.state.principal)
        return JSONResponse(stored.body)

    async def delete_group(self, request: Request) -> Response:
        self._group(request)
        await self._store.delete(group_id(request))
        await self._deployments.delete_group(group_id(request))
        return Response(status_code=200)

    async def providers(self, request: Request) -> Response:
        self._check_subscription(request)
        return self._pages(request, self._providers())

    async def provider(self, request: Request) -> Response:
        self._check_subscription(request)
        return JSONResponse(self._provider(request.path_params["namespace"]))

    def registrar(self, namespace: str, state: str) -> Any:
        async def register(request: Request) -> Response:
            self._check_subscription(request)
            await self._store.registrations.put(namespace, state)
            return JSONResponse(self._provider(namespace))

        return register

    def _providers(self) -> list[dict[str, Any]]:
        rows = providers(self._store.types, self._account.subscription_id, self._account.location)
        return [row | {"registrationState": self._store.registrations.state(row["namespace"])} for row in rows]

    def _provider(self, namespace: str) -> dict[str, Any]:
        for one in self._providers():
            if one["namespace"].lower() == namespace.lower():
                return one
        raise InvalidResourceNamespace(f"The resource namespace '{namespace}' is invalid.")

    def _group(self, request: Request) -> dict[str, Any]:
        self._check_subscription(request)
        body = self._store.shown(group_id(request))
        if body is None:
            raise ResourceGroupNotFound(request.path_params["group"])
        return body

    def _subscription(self) -> dict[str, Any]:
        return {
            "id": self._subscription_scope,
            "authorizationSource": "RoleBased",
            "managedByTenants": [],
            "subscriptionId": self._account.subscription_id,
            "tenantId": self._account.tenant_id,
            "displayName": self._account.name,
            "state": "Enabled",
            "subscriptionPolicies": {
                "locationPlacementId": "Public_2014-09-01",
                "quotaId": "PayAsYouGo_2014-09-01",
                "spendingLimit": "Off",
            },
            "tags": {},
        }

    def _caller(self, request: Request) -> Principal:
        return self._access.authenticate(request.headers.get("authorization"), Audience.MANAGEMENT)

    def _seen(self, request: Request, action: str) -> Principal:
        """The caller, who has a role somewhere in the subscription: a role in a group is enough for these."""
        caller = self._caller(request)
        if not self._access.sees(caller, self._subscription_scope):
            raise Forbidden(caller, action, f"/subscriptions/{request.path_params['subscription']}")
        self._check_subscription(request)
        return caller

    def _check_subscription(self, request: Request) -> None:
        asked = request.path_params["subscription"]
        if asked.lower() != self._account.subscription_id.lower():
            raise SubscriptionNotFound(asked)
