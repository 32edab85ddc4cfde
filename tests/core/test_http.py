from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog.testing
from starlette.responses import JSONResponse, Response

from lurewire.core.errors import Forbidden, Unauthenticated, WireError
from lurewire.core.http import Audience, Gatekeeper, Needs, Public, RoomRoutes, Route, build_app, room_app
from lurewire.core.outbound import Outbound, OutboundResponse
from lurewire.core.principal import Principal

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

ANNA = Principal("oid-anna", "app-anna", "tenant", "app", "anna")


class NoSuchThing(WireError):
    status = 404
    code = "ThingNotFound"


class Doorman:
    """Knows one token, and lets it read below /things/open; writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def authenticate(self, authorization: str | None, audience: Audience) -> Principal:
        self.asked.append(f"authenticate {audience}")
        if authorization is None:
            raise Unauthenticated("missing", "no token")
        if authorization != "Bearer anna":
            raise Unauthenticated("bad_signature", "bad token")
        return ANNA

    def allows(self, principal: Principal, action: str, scope: str, *, data: bool) -> bool:
        self.asked.append(f"allows {action} {scope} data={data}")
        return principal == ANNA and scope.startswith("/things/open")


def on_error(_request: Request, error: Exception) -> Response | None:
    if isinstance(error, WireError):
        return JSONResponse({"code": error.code, "message": error.message}, error.status, error.headers)
    if isinstance(error, Unauthenticated):
        return JSONResponse({"code": "Unauthenticated", "kind": error.kind}, 401)
    if isinstance(error, Forbidden):
        return JSONResponse({"code": "Forbidden", "action": error.action, "scope": error.scope}, 403)
    return None


async def show(request: Request) -> Response:
    return JSONResponse(
        {"path": request.path_params, "who": request.state.principal.name, "body": (await request.body()).decode()}
    )


async def fail(_request: Request) -> Response:
    msg = "the password is hunter2"
    raise RuntimeError(msg)


async def refuse(_request: Request) -> Response:
    msg = "busy"
    raise NoSuchThing(msg, headers={"Retry-After": "7"})


async def hello(request: Request) -> Response:
    assert not hasattr(request.state, "principal")
    return JSONResponse({"hello": "world"})


def scope_of(request: Request) -> str:
    name = request.path_params["name"]
    if name == "nowhere":
        msg = "there is no such thing"
        raise NoSuchThing(msg)
    return f"/things/{name}"


async def slow_scope_of(request: Request) -> str:
    return scope_of(request)


READ = Needs("Things/read", Audience.MANAGEMENT, scope_of)
WRITE = Needs("Things/write", Audience.VAULT, slow_scope_of, data=True)
THINGS = RoomRoutes(
    "things",
    (
        Route("GET", "/Api/Things/{name}", show, READ),
        Route("PUT", "/Api/Things/{name}", show, WRITE),
        Route("GET", "/api/files/{name}/{rest:path}", show, READ),
        Route("GET", "/api/broken/{name}", fail, READ),
        Route("GET", "/api/refused", refuse, Public("test")),
        Route("GET", "/hello", hello, Public("says hello to everybody")),
    ),
    on_error,
)


class Client:
    """Sends requests to an ASGI application through `Outbound`'s own way into a room."""

    def __init__(self, app: ASGIApp) -> None:
        self._outbound = Outbound({"here": "app"}, {"app": app})

    async def __call__(
        self, method: str, path: str, *, token: str | None = "anna", body: bytes | None = None
    ) -> OutboundResponse:
        headers = [("Authorization", f"Bearer {token}")] if token else []
        return await self._outbound.request(method, f"https://here{path}", headers=headers, body=body)


@pytest.fixture
def doorman() -> Doorman:
    return Doorman()


@pytest.fixture
def client(doorman: Doorman) -> Client:
    gatekeeper: Gatekeeper = doorman
    return Client(build_app([THINGS], gatekeeper))


async def test_paths_have_no_case_and_parameters_keep_theirs(client: Client) -> None:
    answer = await client("GET", "/aPI/tHINGS/openMixedCase")
    assert answer.status == 200
    assert b'"name":"openMixedCase"' in answer.body


async def test_a_path_parameter_takes_the_rest(client: Client) -> None:
    answer = await client("GET", "/api/files/open/A/b%20c/D")
    assert b'"rest":"A/b c/D"' in answer.body


@pytest.mark.parametrize(
    "path",
    ["/api/things", "/api/things/", "/api/things/open/", "/api/things/open/x", "/x/api/things/open", "/api.things"],
)
async def test_other_paths_are_not_found_and_not_redirected(client: Client, path: str) -> None:
    assert (await client("GET", path)).status == 404


async def test_405_names_every_method_of_the_path(client: Client, doorman: Doorman) -> None:
    answer = await client("DELETE", "/api/THINGS/open", token=None)
    assert answer.status == 405
    assert answer.header("allow") == "GET, PUT"
    assert b"The method DELETE is not allowed here." in answer.body
    assert doorman.asked == []


async def test_the_principal_is_known_before_the_scope_is_looked_up(client: Client, doorman: Doorman) -> None:
    for token, kind in ((None, b"missing"), ("eve", b"bad_signature")):
        answer = await client("GET", "/api/things/nowhere", token=token)
        assert answer.status == 401
        assert kind in answer.body
    assert doorman.asked == ["authenticate management"] * 2
    answer = await client("GET", "/api/things/nowhere")
    assert answer.status == 404
    assert b"ThingNotFound" in answer.body
    assert not any(asked.startswith("allows") for asked in doorman.asked)


async def test_who_may_not_is_told_which_action_at_which_scope(client: Client, doorman: Doorman) -> None:
    answer = await client("GET", "/api/things/closed")
    assert answer.status == 403
    assert answer.body == b'{"code":"Forbidden","action":"Things/read","scope":"/things/closed"}'
    assert doorman.asked == ["authenticate management", "allows Things/read /things/closed data=False"]


async def test_a_data_action_an_async_scope_and_a_body(client: Client, doorman: Doorman) -> None:
    answer = await client("PUT", "/api/things/open", body=b"new")
    assert answer.status == 200
    assert b'"body":"new"' in answer.body
    assert doorman.asked == ["authenticate vault", "allows Things/write /things/open data=True"]


async def test_a_public_route_asks_nobody(client: Client, doorman: Doorman) -> None:
    assert (await client("GET", "/HELLO", token=None)).status == 200
    assert (await client("GET", "/hello", token="eve")).status == 200
    assert doorman.asked == []


async def test_a_wire_error_carries_its_status_code_and_headers(client: Client) -> None:
    answer = await client("GET", "/api/refused", token=None)
    assert (answer.status, answer.header("retry-after")) == (404, "7")


async def test_an_unexpected_error_is_logged_and_not_told(client: Client) -> None:
    with structlog.testing.capture_logs() as lines:
        answer = await client("GET", "/api/broken/open")
    assert answer.status == 500
    assert b"hunter2" not in answer.body
    assert b'"code":"InternalServerError"' in answer.body
    (line,) = lines
    assert (line["event"], line["room"]) == ("request failed", "things")
    assert "hunter2" in repr(line["exc_info"])


async def test_room_app_serves_one_room_alone(doorman: Doorman) -> None:
    other = RoomRoutes("other", (Route("GET", "/other", hello, Public("test")),), on_error)
    both, alone = Client(build_app([THINGS, other], doorman)), Client(room_app(THINGS, doorman))
    assert (await both("GET", "/other")).status == 200
    assert (await alone("GET", "/other")).status == 404
    assert (await alone("GET", "/api/things/open")).status == 200
