"""Every route of every room, asked by every built-in role: who is let through is what the role's definition says.

The routes are those of a whole server, as its app builds them; only their handlers are put out, so that a walk changes
nothing. What a role grants is worked out here, from the definitions that the API shows.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from starlette.requests import Request
from starlette.responses import Response

from lurewire.app.build import Core
from lurewire.core.clock import SystemClock
from lurewire.core.http import Audience, Needs, Public, RoomRoutes, Route, build_app, path_pattern
from lurewire.core.resources import ResourceId
from lurewire.identity import APP_ROLES, DIRECTORY, ROLES, role_assignment
from lurewire.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Receive

    from lurewire.core.principal import Principal

PORT = 8443
RESOURCES = {
    Audience.MANAGEMENT: "https://management.azure.com",
    Audience.MONITOR: "https://monitor.azure.com",
    Audience.LOG_ANALYTICS: "https://api.loganalytics.io",
    Audience.VAULT: "https://vault.azure.net",
    Audience.GRAPH: "https://graph.microsoft.com",
}
WRONG = {Audience.MANAGEMENT: Audience.VAULT, Audience.LOG_ANALYTICS: Audience.VAULT}
"""Whose token is refused; elsewhere it is the management API's. (The query API takes that one as well.)"""

THROUGH = 299
"""What a handler answers that was put out."""

BODIES = dict.fromkeys(("/v2/rest/query", "/v1/rest/mgmt"), b'{"csl": "print 1", "db": "lurewire"}')
"""By path, what the scope is read from where the path does not say it."""

_BAD = ("missing", "malformed", "bad_signature", "wrong_issuer", "wrong_tenant", "expired", "wrong_audience")
_ARM_CODES = {
    **dict.fromkeys(_BAD, "InvalidAuthenticationToken"),
    "missing": "AuthenticationFailed",
    "expired": "ExpiredAuthenticationToken",
    "wrong_audience": "InvalidAuthenticationTokenAudience",
    "wrong_tenant": "InvalidAuthenticationTokenTenant",
}
UNAUTHENTICATED = {
    "ingestion": dict.fromkeys(_BAD, "AuthenticationTokenInvalid") | {"wrong_audience": "InvalidAudience"},
    "workspace": dict.fromkeys(_BAD, "InvalidTokenError"),
    "vault": dict.fromkeys(_BAD, "Unauthorized"),
    "graph": dict.fromkeys(_BAD, "InvalidAuthenticationToken"),
    **dict.fromkeys(BODIES, dict.fromkeys(_BAD, "Unauthorized")),
}
"""Codes of 401 by what is wrong with the token, of paths and rooms that do not answer as Resource Manager does."""

FORBIDDEN = {
    "ingestion": "OperationFailed",
    "workspace": "InsufficientAccessError",
    "vault": "Forbidden",
    "graph": "Authorization_RequestDenied",
    **dict.fromkeys(BODIES, "Forbidden"),
}
"""Likewise the code of 403."""

ROOMS = {
    "arm",
    "collector",
    "graph",
    "identity",
    "incidents",
    "ingestion",
    "ipintel",
    "keys",
    "managed identity",
    "playbooks",
    "roles",
    "samples",
    "tables",
    "testbench",
    "vault",
    "workspace",
}

Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Asked:
    """A route with a path that it answers, the scope that it declares for it, and its room."""

    room: RoomRoutes
    route: Route
    path: str
    scope: str
    alone: ASGIApp

    @property
    def needs(self) -> Needs:
        assert isinstance(self.route.access, Needs)
        return self.route.access

    def __str__(self) -> str:
        return f"{self.room.room}: {self.route.method} {self.path}"


@dataclass(frozen=True)
class Caller:
    """A principal with one role at one scope, and its tokens; the role is as the API shows it."""

    role: dict[str, Any]
    at: str
    tokens: dict[Audience, str]

    def may(self, asked: Asked) -> bool:
        """What the definition says."""
        place, at = asked.scope.lower().rstrip("/"), self.at.lower().rstrip("/")
        inside = asked.scope != DIRECTORY and (at in ("", place) or place.startswith(f"{at}/"))
        [lists] = self.role["properties"]["permissions"]
        names = ("dataActions", "notDataActions") if asked.needs.data else ("actions", "notActions")
        granted, withheld = (any(fits(one, asked.needs.action) for one in lists[name]) for name in names)
        return inside and granted and not withheld


def fits(pattern: str, action: str) -> bool:
    """`/*/` stands for `/` too, as the roles of managed identities have it."""
    action, pattern = action.lower(), pattern.lower()
    return fnmatchcase(action, pattern) or fnmatchcase(action, pattern.replace("/*/", "/"))


class World:
    """A server in this process."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.subscription = f"/subscriptions/{core.names.subscription_id}"
        [rule, *_] = core.store.list("Microsoft.Insights/dataCollectionRules")
        workspace = core.store.get(core.names.workspace)
        assert workspace is not None
        self._values = {
            "subscription": core.names.subscription_id,
            "group": "lurewire",
            "management_group": core.tenant_id,
            "scope": str(core.names.group).lstrip("/"),
            "resource": f"{core.names.subscription_id}/resourceGroups/lurewire",
            "rest": "No.Such/type/n",
            "tenant": core.tenant_id,
            "immutable_id": rule["properties"]["immutableId"],
        }
        self._customer_id = workspace["properties"]["customerId"]
        self.routes = [self._asked(room, route) for room in core.routes for route in room.routes]

    def path(self, route: Route) -> str:
        """A path that the route answers, of things that are there where their scope must be found."""
        template = re.sub(r"(/Microsoft\.OperationalInsights/workspaces)/\{\w+\}", r"\1/lurewire", route.path)
        values = self._values | {"workspace": self._customer_id}
        return re.sub(r"\{(\w+)(:path)?\}", lambda match: values.get(match[1], "x1"), template)

    def _asked(self, room: RoomRoutes, route: Route) -> Asked:
        async def through(_request: Request) -> Response:
            return Response(status_code=THROUGH)

        out = RoomRoutes(room.room, [replace(route, handler=through)], room.on_error)
        return Asked(room, route, self.path(route), "", build_app([out], self.core.identity))

    async def resolve(self) -> None:
        """Ask every route for the scope that it declares for its path."""
        self.routes = [replace(one, scope=await self._scope(one)) for one in self.routes]

    async def _scope(self, one: Asked) -> str:
        if isinstance(one.route.access, Public):
            return ""
        match = path_pattern(one.route.path).fullmatch(one.path)
        assert match, one
        scoped = http_scope(one.route.method, one.path) | {"path_params": match.groupdict()}
        request = Request(scoped, body_of(one.path))
        found = one.route.access.scope(request)
        scope: str = await found if inspect.isawaitable(found) else found
        return scope

    async def caller(self, name: str, role: dict[str, Any], at: str) -> Caller:
        principal = await self.principal(name)
        place = ResourceId.parse(at) if at != "/" else None
        await self.core.store.put(*role_assignment(place, principal, role["properties"]["roleName"]))
        return Caller(role, at, self.tokens(principal))

    async def principal(self, name: str) -> Principal:
        app = await self.core.identity.create_app(name)
        principal = self.core.identity.principal(app.object_id)
        assert principal is not None
        return principal

    def tokens(self, principal: Principal) -> dict[Audience, str]:
        return {audience: self.core.identity.token_for(principal, uri) for audience, uri in RESOURCES.items()}


def http_scope(method: str, path: str, token: str | None = None) -> dict[str, Any]:
    headers = [(b"host", f"localhost:{PORT}".encode())]
    if token is not None:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "https",
        "query_string": b"api-version=2022-04-01",
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "server": ("localhost", PORT),
        "http_version": "1.1",
    }


def body_of(path: str) -> Receive:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODIES.get(path, b""), "more_body": False}

    return receive


async def ask(app: ASGIApp, asked: Asked, token: str | None) -> Answer:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await app(http_scope(asked.route.method, asked.path, token), body_of(asked.path), send)
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])


def code(answer: Answer) -> str:
    """The error's code, in the shape that all services have in common."""
    error = json.loads(answer[2])["error"]
    assert set(error) >= {"code", "message"}
    return str(error["code"])


@pytest.fixture(scope="module")
def loop() -> Iterable[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, loop: asyncio.AbstractEventLoop) -> Iterable[World]:
    core = Core(tmp_path_factory.mktemp("state"), Settings({"testbench.enabled": True}), SystemClock())
    core.open()
    loop.run_until_complete(core.start(PORT))
    made = World(core)
    loop.run_until_complete(made.resolve())
    yield made
    loop.run_until_complete(core.stop())


@pytest.fixture(scope="module")
def definitions(world: World, loop: asyncio.AbstractEventLoop) -> list[dict[str, Any]]:
    """The built-in roles, as the API shows them."""
    where = ("GET", "/providers/Microsoft.Authorization/roleDefinitions")
    [listed] = [one for one in world.routes if (one.route.method, one.route.path) == where]

    async def fetch() -> Answer:
        principal = await world.principal("definitions")
        await world.core.store.put(*role_assignment(None, principal, "Reader"))
        return await ask(world.core.asgi, listed, world.tokens(principal)[Audience.MANAGEMENT])

    status, _, body = loop.run_until_complete(fetch())
    assert status == 200
    found: list[dict[str, Any]] = json.loads(body)["value"]
    return found


def test_every_route_says_what_it_needs_or_why_nothing(world: World) -> None:
    assert {one.room.room for one in world.routes} >= ROOMS
    assert len(world.routes) > 300
    for one in world.routes:
        access = one.route.access
        if isinstance(access, Public):
            assert len(access.reason) > 20, one
        else:
            assert isinstance(access, Needs), one
            known = re.fullmatch(
                r"(\*|[A-Z]\w+\.\w+(/[\w*]+)*)/(read|write|delete|\w+/action|Write)|microsoft\.directory(/\w+)+",
                access.action,
            )
            assert known, one


def test_no_route_hides_another_that_needs_something_else(world: World, loop: asyncio.AbstractEventLoop) -> None:
    """Of all routes that a request fits the first answers: it must need what the others need."""
    routes = world.routes
    patterns = [path_pattern(one.route.path) for one in routes]
    for at, one in enumerate(routes):
        first = next(
            i
            for i in range(len(routes))
            if routes[i].route.method == one.route.method and patterns[i].fullmatch(one.path)
        )
        if first != at:
            answers = routes[first]
            same = _action(answers) == _action(one) or one.path.endswith("/providers/No.Such/type/n")
            assert same, f"{one} is answered by {answers}"


def _action(one: Asked) -> str | None:
    return one.route.access.action if isinstance(one.route.access, Needs) else None


def test_every_role_on_every_route(
    world: World, loop: asyncio.AbstractEventLoop, definitions: list[dict[str, Any]]
) -> None:
    """At the tenant, at the subscription, and at a group in which nothing is that the routes are asked for."""
    assert {one["properties"]["roleName"] for one in definitions} == {role.name for role in ROLES}
    elsewhere = f"{world.subscription}/resourceGroups/elsewhere"
    guarded = [one for one in world.routes if isinstance(one.route.access, Needs)]

    async def walk() -> dict[bool, int]:
        await world.core.store.put(ResourceId.parse(elsewhere), {"location": "local"})
        seen = {True: 0, False: 0}
        for definition in definitions:
            for at in ("/", world.subscription, elsewhere):
                caller = await world.caller(definition["properties"]["roleName"], definition, at)
                for one in guarded:
                    may = caller.may(one)
                    answer = await ask(one.alone, one, caller.tokens[one.needs.audience])
                    _check(one, answer, may=may)
                    seen[may] += 1
        return seen

    seen = loop.run_until_complete(walk())
    assert min(seen.values()) > 1000, "both happened, often"


def _check(one: Asked, answer: Answer, *, may: bool) -> None:
    if may:
        assert answer[0] == THROUGH, (str(one), answer)
        return
    expected = FORBIDDEN.get(one.path) or FORBIDDEN.get(one.room.room, "AuthorizationFailed")
    assert (answer[0], code(answer)) == (403, expected), str(one)


def test_every_graph_permission_on_every_route(world: World, loop: asyncio.AbstractEventLoop) -> None:
    """They open the directory's routes, each its own, and nothing else."""

    async def walk() -> None:
        for role in APP_ROLES:
            principal = await world.principal(role.value)
            await world.core.identity.app_roles.grant(principal.object_id, [role.value])
            tokens = world.tokens(principal)
            for one in world.routes:
                if isinstance(one.route.access, Needs):
                    answer = await ask(one.alone, one, tokens[one.needs.audience])
                    _check(one, answer, may=one.scope == DIRECTORY and one.needs.action in role.actions)

    loop.run_until_complete(walk())


def test_tokens_that_are_no_good(world: World, loop: asyncio.AbstractEventLoop) -> None:
    async def walk() -> None:
        principal = await world.principal("everybody")
        tokens = world.tokens(principal)
        bad = {audience: bad_tokens(world, tokens, audience) for audience in RESOURCES}
        for one in world.routes:
            if not isinstance(one.route.access, Needs):
                continue
            for kind, token in bad[one.needs.audience].items():
                answer = await ask(one.alone, one, token)
                codes = UNAUTHENTICATED.get(one.path) or UNAUTHENTICATED.get(one.room.room, _ARM_CODES)
                expected = codes[kind]
                assert (answer[0], code(answer)) == (401, expected), (str(one), kind)
                assert answer[1]["www-authenticate"].startswith("Bearer"), str(one)

    loop.run_until_complete(walk())


def bad_tokens(world: World, tokens: dict[Audience, str], audience: Audience) -> dict[str, str | None]:
    """One token of each kind that must not be believed, for a service."""
    key = world.core.identity._token_service()._keys.signing
    claims = jwt.decode(tokens[audience], options={"verify_signature": False})

    def signed(**changes: Any) -> str:
        return jwt.encode(claims | changes, key.private, "RS256", {"kid": key.kid})

    other = "99999999-0000-4000-8000-000000000000"
    return {
        "missing": None,
        "malformed": "nonsense",
        "wrong_audience": tokens[WRONG.get(audience, Audience.MANAGEMENT)],
        "expired": signed(nbf=claims["nbf"] - 9999, exp=claims["nbf"] - 999),
        "bad_signature": f"{tokens[audience][:-9]}AAAAAAAAA",
        "wrong_issuer": signed(iss=f"https://sts.windows.net/{other}/", tid=other),
        "wrong_tenant": signed(tid=other),
    }
