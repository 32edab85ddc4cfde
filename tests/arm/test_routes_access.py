"""One table of routes: each says which action it takes, and holds to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.core.http import Audience, Needs, Public, Route

if TYPE_CHECKING:
    from tests.arm.house import Server

SUBSCRIPTION = "6a5b4c3d-0000-4000-8000-000000000002"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/lurewire"
RESOURCES = {
    Audience.MANAGEMENT: "https://management.azure.com",
    Audience.VAULT: "https://vault.azure.net",
}
PUBLIC = {
    ("GET", "/{tenant}/v2.0/.well-known/openid-configuration"),
    ("GET", "/{tenant}/discovery/v2.0/keys"),
    ("GET", "/common/discovery/instance"),
    ("POST", "/{tenant}/oauth2/v2.0/token"),
    ("GET", "/{tenant}/.well-known/openid-configuration"),
    ("GET", "/{tenant}/discovery/keys"),
    ("POST", "/{tenant}/oauth2/token"),
    ("GET", "/msi/token"),
    ("GET", "/metadata/identity/oauth2/token"),
    ("GET", "/metadata/endpoints"),
    ("GET", "/tenants"),
    ("GET", "/subscriptions"),
    ("GET", "/subscriptions/{subscription}"),
    ("GET", "/subscriptions/{subscription}/locations"),
    ("GET", "/subscriptions/{subscription}/resourcegroups"),
    ("GET", "/subscriptions/{subscription}/resources"),
}


def example(route: Route) -> str:
    """A path that the route answers."""
    values = {"subscription": SUBSCRIPTION, "group": "lurewire", "scope": GROUP.lstrip("/"), "rest": "No.Such/type/n"}
    return re.sub(r"\{(\w+)(:path)?\}", lambda m: values.get(m[1], "x1"), route.path)


def every_route(server: Server) -> list[Route]:
    return [route for room in server.house.rooms() for route in room.routes]


def test_public_routes_are_these_and_say_why(server: Server) -> None:
    public = {(r.method, r.path): r.access for r in every_route(server) if isinstance(r.access, Public)}
    assert set(public) == PUBLIC
    assert all(isinstance(access, Public) and len(access.reason) > 20 for access in public.values())


def test_actions_have_azures_form(server: Server) -> None:
    for route in every_route(server):
        if isinstance(route.access, Needs):
            assert re.fullmatch(r"(\*|[A-Z]\w+\.\w+(/[\w*]+)*)/(read|write|delete|\w+/action)", route.access.action), (
                route
            )


@pytest.fixture(scope="module")
def tokens(server: Server) -> dict[str, dict[Audience, str]]:
    """Per kind of caller a token for each service: nobody, a reader, and who may do everything."""
    grants: dict[str, list[tuple[str, str]]] = {
        "nobody": [],
        "reader": [("Reader", f"/subscriptions/{SUBSCRIPTION}")],
        "all": [
            ("Owner", "/"),
            ("Key Vault Secrets Officer", f"/subscriptions/{SUBSCRIPTION}"),
        ],
    }
    made = {}
    for name, roles in grants.items():
        principal = server.run(server.house.principal(name, *roles))
        made[name] = {a: server.house.identity.token_for(principal, uri) for a, uri in RESOURCES.items()}
    return made


def test_every_guarded_route_asks_for_token_audience_and_role(
    server: Server, tokens: dict[str, dict[Audience, str]]
) -> None:
    walked = 0
    # Deletions last, innermost first: what is in a vault, and with the last one the group that all stand in.
    routes = sorted(every_route(server), key=lambda r: (r.method == "DELETE", "secrets/" not in r.path, -len(r.path)))
    for route in routes:
        if not isinstance(route.access, Needs):
            continue
        path, audience = example(route), route.access.audience
        other = next(a for a in RESOURCES if a is not audience)

        def ask(token: str | None, **more: Any) -> int:
            return server.call(route.method, path, token, **more).status_code  # noqa: B023 - called in this round

        if not path.endswith("No.Such/type/n"):
            allowed = [(caller, allows(server, caller, route.access)) for caller in ("nobody", "reader", "all")]
            for caller, may in allowed:
                if not may:
                    assert ask(tokens[caller][audience], json={}) == 403, (route.method, path, caller)
            assert allowed[0][1] is False
            assert allowed[2][1] is True
        assert ask(None, json={}) == 401, (route.method, path)
        assert ask("nonsense", json={}) == 401, (route.method, path)
        assert ask(tokens["all"][other], json={}) == 401, (route.method, path)
        assert ask(tokens["all"][audience], json={}) not in (401, 403, 405, 500), (route.method, path)
        walked += 1
    assert walked > 60


def allows(server: Server, caller: str, access: Needs) -> bool:
    """What the role table says; the route must agree."""
    [app] = [a for a in server.house.identity.apps() if a.name == caller]
    principal = server.house.identity.principal(app.object_id)
    assert principal is not None
    return server.house.identity.allows(principal, access.action, GROUP, data=access.data)
