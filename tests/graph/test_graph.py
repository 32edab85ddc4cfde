"""Microsoft Graph's applications and service principals over HTTPS."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from starlette.requests import Request

from lurewire.core.limits import Limits
from lurewire.core.resources import ResourceId
from lurewire.graph import LIMITS, graph_routes
from lurewire.identity import APP_ROLES, USER_ASSIGNED

if TYPE_CHECKING:
    import requests
    from tests.arm.house import Server

TENANT = "6a5b4c3d-0000-4000-8000-000000000001"
GROUP = "/subscriptions/6a5b4c3d-0000-4000-8000-000000000002/resourceGroups/lurewire"
GRAPH = "https://graph.microsoft.com"
APPS, PRINCIPALS = "/v1.0/applications", "/v1.0/servicePrincipals"
BY_IDS = "/v1.0/directoryObjects/getByIds"


def permitted(server: Server, name: str, *permissions: str, resource: str = GRAPH) -> str:
    """A token of a new app with permissions."""
    principal = server.run(server.house.principal(name))
    server.run(server.house.identity.app_roles.grant(principal.object_id, permissions))
    return server.house.identity.token_for(principal, resource)


@pytest.fixture(scope="module")
def admin(server: Server) -> str:
    return permitted(server, "graph admin", "Application.ReadWrite.All")


class Client:
    """Calls of one caller."""

    def __init__(self, server: Server, token: str | None) -> None:
        self._server, self._token = server, token

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        more = {"json": body} if body is not None else {}
        return self._server.call(method, path, self._token, bare=True, **more, **options)

    def made(self, name: str, **more: Any) -> dict[str, Any]:
        answer = self("POST", APPS, {"displayName": name} | more)
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def names(self, path: str, **query: str) -> list[str]:
        answer = self("GET", path, params={f"${name}": value for name, value in query.items()})
        assert answer.status_code == 200, answer.text
        return [one["displayName"] for one in answer.json()["value"]]


@pytest.fixture(scope="module")
def graph(server: Server, admin: str) -> Client:
    return Client(server, admin)


def code(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def log_in(server: Server, app_id: str, secret: str) -> str:
    made = ClientSecretCredential(
        TENANT,
        app_id,
        secret,
        authority=server.house.url(),
        disable_instance_discovery=True,
        connection_verify=server.ca,
        retry_total=0,
    )
    return made.get_token(f"{GRAPH}/.default").token


def test_an_application_from_its_making_to_its_end(server: Server, graph: Client) -> None:
    app = graph.made("first app", signInAudience="AzureADMyOrg")
    assert uuid.UUID(app["id"]) != uuid.UUID(app["appId"])
    assert (app["passwordCredentials"], app["keyCredentials"]) == ([], [])
    assert app["@odata.context"].endswith("/v1.0/$metadata#applications/$entity")
    secret = graph("POST", f"{APPS}/{app['id']}/addPassword", {"passwordCredential": {"displayName": "key"}}).json()
    assert (secret["displayName"], secret["hint"]) == ("key", secret["secretText"][:3])
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000229"):
        log_in(server, app["appId"], secret["secretText"])
    principal = graph("POST", PRINCIPALS, {"appId": app["appId"], "accountEnabled": True})
    assert principal.status_code == 201
    assert principal.json()["servicePrincipalNames"] == [app["appId"]]
    assert log_in(server, app["appId"], secret["secretText"])
    by_app_id = graph("GET", f"{APPS}(appId='{app['appId']}')").json()
    [listed] = by_app_id["passwordCredentials"]
    assert (listed["keyId"], listed["secretText"]) == (secret["keyId"], None)
    assert graph("PATCH", f"{APPS}/{app['id']}", {"displayName": "second name"}).status_code == 204
    assert graph("GET", f"{PRINCIPALS}(appId='{app['appId']}')").json()["displayName"] == "second name"
    removed = {"keyId": secret["keyId"]}
    assert graph("POST", f"{APPS}/{app['id']}/removePassword", removed).status_code == 204
    assert code(graph("POST", f"{APPS}/{app['id']}/removePassword", removed)) == (400, "Request_BadRequest")
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        log_in(server, app["appId"], secret["secretText"])
    assert graph("DELETE", f"{APPS}/{app['id']}").status_code == 204
    assert code(graph("GET", f"{APPS}/{app['id']}")) == (404, "Request_ResourceNotFound")
    assert code(graph("GET", f"{PRINCIPALS}/{principal.json()['id']}")) == (404, "Request_ResourceNotFound")
    stored = b"".join(path.read_bytes() for path in server.house.folder.glob("control.db*"))
    assert secret["secretText"].encode() not in stored


def test_a_principal_has_passwords_of_its_own_and_another_life_is_another_principal(
    server: Server, graph: Client
) -> None:
    app = graph.made("two lives")
    first = graph("POST", PRINCIPALS, {"appId": app["appId"]}).json()
    twice = graph("POST", PRINCIPALS, {"appId": app["appId"]})
    assert code(twice) == (409, "Request_MultipleObjectsWithSameKeyValue")
    own = graph("POST", f"{PRINCIPALS}/{first['id']}/addPassword", {}).json()
    shared = graph("POST", f"{APPS}/{app['id']}/addPassword", {}).json()
    for owner, key in ((f"{PRINCIPALS}/{first['id']}", own), (f"{APPS}/{app['id']}", shared)):
        assert [one["keyId"] for one in graph("GET", owner).json()["passwordCredentials"]] == [key["keyId"]]
        assert log_in(server, app["appId"], key["secretText"])
    wrong = graph("POST", f"{APPS}/{app['id']}/removePassword", {"keyId": own["keyId"]})
    assert code(wrong) == (400, "Request_BadRequest")
    assert graph("DELETE", f"{PRINCIPALS}/{first['id']}").status_code == 204
    second = graph("POST", PRINCIPALS, {"appId": app["appId"]}).json()
    assert second["id"] != first["id"]
    assert second["passwordCredentials"] == []
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        log_in(server, app["appId"], own["secretText"])
    assert log_in(server, app["appId"], shared["secretText"])


def test_a_password_ends_when_it_was_said_to(server: Server, graph: Client) -> None:
    app = graph.made("timed")
    now = server.house.clock.now()
    add = f"{APPS}/{app['id']}/addPassword"

    def asked(**given: Any) -> requests.Response:
        return graph("POST", add, {"passwordCredential": given})

    end = (now + timedelta(days=9)).strftime("%Y-%m-%dT%H:%M:%S.0000000Z")
    start = (now - timedelta(seconds=3)).isoformat()
    assert asked(startDateTime=start, endDateTime=end).json()["endDateTime"][:19] == end[:19]
    years = asked().json()["endDateTime"]
    assert datetime.fromisoformat(years) - now == pytest.approx(timedelta(days=730), abs=timedelta(seconds=5))
    for wrong in (
        {"endDateTime": (now - timedelta(days=1)).isoformat()},
        {"endDateTime": "soon"},
        {"endDateTime": 7},
        {"startDateTime": (now + timedelta(days=1)).isoformat()},
        {"startDateTime": "9999-12-31T23:59:59Z"},
        {"endDateTime": "9999-12-31T23:59:59-12:00"},
        {"displayName": "x" * 257},
        {"displayName": 7},
    ):
        assert code(asked(**wrong)) == (400, "Request_BadRequest"), wrong
    assert code(graph("POST", add, {"passwordCredential": 7})) == (400, "Request_BadRequest")
    assert asked(endDateTime="9999-12-31T23:59:59.999999Z").json()["endDateTime"] == "9999-12-31T23:59:59Z"
    assert graph("GET", f"{APPS}/{app['id']}").status_code == 200, "what was stored can be read"


def certificate(name: str) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    return base64.b64encode(made.public_bytes(Encoding.DER)).decode()


def test_key_credentials_are_replaced_as_a_whole(graph: Client) -> None:
    given = {"type": "AsymmetricX509Cert", "usage": "Verify"}
    twice = [given | {"key": certificate("twice")}] * 2
    assert code(graph("POST", APPS, {"displayName": "half", "keyCredentials": twice})) == (400, "Request_BadRequest")
    assert "half" not in graph.names(APPS, filter="displayName eq 'half'"), "what was refused is not there"
    app = graph.made("certified", keyCredentials=[given | {"key": certificate("one")}])
    path = f"{APPS}/{app['id']}"
    [one] = app["keyCredentials"]
    assert (one["displayName"], one["key"]) == ("CN=one", None)
    two = given | {"key": certificate("two")}
    assert graph("PATCH", path, {"keyCredentials": [one, two]}).status_code == 204
    assert {k["displayName"] for k in graph("GET", path).json()["keyCredentials"]} == {"CN=one", "CN=two"}
    assert code(graph("PATCH", path, {"keyCredentials": [given | {"key": "!"}]})) == (400, "Request_BadRequest")
    assert code(graph("PATCH", path, {"keyCredentials": [two | {"usage": "Sign"}]})) == (400, "Request_BadRequest")
    assert code(graph("PATCH", path, {"keyCredentials": [7]})) == (400, "Request_BadRequest")
    assert len(graph("GET", path).json()["keyCredentials"]) == 2
    assert graph("PATCH", path, {"keyCredentials": []}).status_code == 204
    assert graph("GET", path).json()["keyCredentials"] == []


def test_filters_pages_and_selections(graph: Client) -> None:
    made = [graph.made(f"Page's {number}") for number in range(7)]
    starts = "startswith(displayName,'page''s')"
    whole = graph.names(APPS, filter=starts, top="999")
    assert sorted(whole) == [f"Page's {number}" for number in range(7)]
    seen, path = [], f"{APPS}?$filter={starts}&$select=id,displayName&$count=true"
    for size in (3, 3, 1):
        page = graph("GET", path).json()
        assert page["@odata.count"] == 7
        assert len(page["value"]) == size
        assert all(set(one) == {"id", "displayName"} for one in page["value"])
        seen += [one["displayName"] for one in page["value"]]
        link = page.get("@odata.nextLink", "")
        path = f"{urlsplit(link).path}?{urlsplit(link).query}"
    assert link == ""
    assert seen == whole
    one = made[3]
    assert graph.names(APPS, filter="displayName eq 'PAGE''S 3'") == ["Page's 3"]
    assert graph.names(APPS, filter=f"appId eq '{one['appId']}'") == ["Page's 3"]
    assert graph.names(APPS, filter=f"id in ('{one['id']}', '{made[0]['id']}')", top="9") == graph.names(
        APPS, filter=f"appId in ('{one['appId']}','{made[0]['appId']}')"
    )
    assert graph.names(APPS, filter=f"{starts} and displayName eq 'page''s 3'") == ["Page's 3"]
    assert graph.names(APPS, filter="identifierUris/any(s:s eq 'api://x')") == []
    graph("POST", PRINCIPALS, {"appId": one["appId"]})
    by_name = f"servicePrincipalNames/any(c:c eq '{one['appId']}')"
    assert graph.names(PRINCIPALS, filter=by_name) == ["Page's 3"]
    assert graph.names(PRINCIPALS, filter=f"{by_name} and servicePrincipalType eq 'ManagedIdentity'") == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("$filter=notes eq 'x'", "Request_UnsupportedQuery"),
        ("$filter=startswith(appId,'x')", "Request_UnsupportedQuery"),
        ("$filter=displayName/any(x:x eq 'y')", "Request_UnsupportedQuery"),
        ("$filter=identifierUris/any(x:y eq 'z')", "BadRequest"),
        ("$filter=displayName eq 'x' or displayName eq 'y'", "BadRequest"),
        ("$filter=displayName eq 'x", "BadRequest"),
        ("$filter=not (displayName eq 'x')", "BadRequest"),
        ("$orderby=displayName", "Request_UnsupportedQuery"),
        ("$search=x", "Request_UnsupportedQuery"),
        ("$top=0", "BadRequest"),
        ("$top=1000", "BadRequest"),
        ("$top=-1", "BadRequest"),
        ("$top=1e3", "BadRequest"),
        ("$select=nothing", "BadRequest"),
        ("$skiptoken=%ff", "BadRequest"),
    ],
)
def test_what_a_list_refuses(graph: Client, query: str, expected: str) -> None:
    assert code(graph("GET", f"{APPS}?{query}")) == (400, expected)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"displayName": ""},
        {"displayName": 7},
        {"displayName": "x" * 257},
        {"displayName": "x", "signInAudience": "AzureADMultipleOrgs"},
        {"displayName": "x", "identifierUris": ["api://x"]},
        {"displayName": "x", "nonsense": 1},
    ],
)
def test_wrong_applications(graph: Client, body: dict[str, Any]) -> None:
    assert code(graph("POST", APPS, body)) == (400, "Request_BadRequest")


def test_wrong_bodies_and_unknown_objects(graph: Client) -> None:
    for wrong in (b"[]", b"{", b"\xff", b"[" * 100_000, b'"x"'):
        assert code(graph("POST", APPS, data=wrong)) == (400, "BadRequest")
    unknown = str(uuid.uuid4())
    assert code(graph("POST", PRINCIPALS, {"appId": unknown})) == (400, "Request_BadRequest")
    assert code(graph("POST", PRINCIPALS, {})) == (400, "Request_BadRequest")
    for kind in (APPS, PRINCIPALS):
        for one in (f"{kind}/{unknown}", f"{kind}/no guid", f"{kind}(appId='{unknown}')"):
            for method in ("GET", "PATCH", "DELETE"):
                assert code(graph(method, one, {})) == (404, "Request_ResourceNotFound")
            for action in ("addPassword", "removePassword"):
                assert code(graph("POST", f"{one}/{action}", {})) == (404, "Request_ResourceNotFound")
    missing = graph("GET", "/v1.0/users?$filter=x")
    assert code(missing) == (400, "BadRequest")
    assert "'users'" in missing.json()["error"]["message"]


def test_managed_identities_are_principals_that_go_with_their_resource(server: Server, graph: Client) -> None:
    target = ResourceId.parse(f"{GROUP}/providers/{USER_ASSIGNED}/worker")
    server.run(server.house.store.put(target, {"location": "local"}))
    managed = server.house.identity.managed_identity(target)
    assert managed is not None
    path = f"{PRINCIPALS}/{managed.object_id}"
    shown = graph("GET", path).json()
    assert (shown["servicePrincipalType"], shown["displayName"]) == ("ManagedIdentity", "worker")
    assert shown["alternativeNames"] == ["isExplicit=True", str(target)]
    assert graph("GET", f"{PRINCIPALS}(appId='{managed.app_id}')").json() == shown
    for method in ("PATCH", "DELETE"):
        assert code(graph(method, path, {})) == (400, "Request_BadRequest")
    assert code(graph("POST", f"{path}/addPassword", {})) == (400, "Request_BadRequest")
    app = graph.made("beside")
    ids = [managed.object_id, app["id"], str(uuid.uuid4()), managed.object_id]

    def found(*types: str) -> list[str]:
        body = {"ids": ids} | ({"types": types} if types else {})
        return [one["@odata.type"] for one in graph("POST", BY_IDS, body).json()["value"]]

    assert found() == ["#microsoft.graph.servicePrincipal", "#microsoft.graph.application"]
    assert found("user", "servicePrincipal") == ["#microsoft.graph.servicePrincipal"]
    assert found("group") == []
    bodies: tuple[dict[str, Any], ...] = (
        {},
        {"ids": []},
        {"ids": [7]},
        {"ids": ids, "types": ["robot"]},
        {"ids": ["x"] * 1001},
    )
    for wrong in bodies:
        assert code(graph("POST", BY_IDS, wrong)) == (400, "Request_BadRequest")


def test_who_may_what(server: Server, admin: str) -> None:
    """Permissions decide, and nothing else: an owner of the whole tenant sees nothing of the directory."""
    readers = [permitted(server, "r", name) for name in ("Application.Read.All", "Directory.Read.All")]
    owner = server.token("owner", ("Owner", "/"), resource=GRAPH)
    app = Client(server, admin).made("guarded")
    one = f"{APPS}/{app['id']}"
    changes = (
        ("POST", APPS),
        ("POST", PRINCIPALS),
        ("PATCH", one),
        ("POST", f"{one}/addPassword"),
        ("POST", f"{one}/removePassword"),
        ("DELETE", one),
    )
    for reader in readers:
        assert Client(server, reader)("GET", one).status_code == 200
        for method, path in changes:
            refused = Client(server, reader)(method, path, {})
            assert code(refused) == (403, "Authorization_RequestDenied"), (method, path)
    for method, path in (("GET", APPS), ("GET", one), ("POST", BY_IDS), *changes):
        assert code(Client(server, owner)(method, path, {})) == (403, "Authorization_RequestDenied")
    assert Client(server, admin)("GET", one).status_code == 200


def test_a_permission_ends_with_its_principal(server: Server, graph: Client) -> None:
    app = graph.made("short-lived")
    principal = graph("POST", PRINCIPALS, {"appId": app["appId"]}).json()
    server.run(server.house.identity.app_roles.grant(principal["id"], ["Application.Read.All"]))
    found = server.house.identity.principal(principal["id"])
    assert found is not None
    token = server.house.identity.token_for(found, GRAPH)
    assert Client(server, token)("GET", APPS).status_code == 200
    assert graph("DELETE", f"{PRINCIPALS}/{principal['id']}").status_code == 204
    assert code(Client(server, token)("GET", APPS)) == (403, "Authorization_RequestDenied")


def test_wrong_tokens_have_graphs_shape(server: Server, admin: str) -> None:
    elsewhere = permitted(server, "elsewhere", "Application.ReadWrite.All", resource="https://vault.azure.net")
    for token in (None, "nonsense", elsewhere, admin[:-9] + "AAAAAAAAA"):
        ids = str(uuid.uuid4())
        answer = Client(server, token)("GET", APPS, headers={"client-request-id": ids})
        assert code(answer) == (401, "InvalidAuthenticationToken")
        inner = answer.json()["error"]["innerError"]
        assert inner["client-request-id"] == answer.headers["client-request-id"] == ids
        assert inner["request-id"] == answer.headers["request-id"]
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm=""')
    local = permitted(server, "local", "Application.Read.All", resource=server.house.url())
    assert Client(server, local)("GET", APPS).status_code == 200, "azure-cli's token names this server"


def test_the_table_of_permissions_has_graphs_ids() -> None:
    assert {role.value: role.id for role in APP_ROLES} == {
        "Application.Read.All": "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",
        "Application.ReadWrite.All": "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9",
        "Directory.Read.All": "7ab1d382-f21e-4acd-a863-ba3e13f7da61",
    }
    assert all(role.url.startswith("https://learn.microsoft.com/graph/") and role.description for role in APP_ROLES)


def test_a_long_list_does_not_hold_the_server_up(server: Server, graph: Client) -> None:
    """Each object is read by itself: between two of them others are served."""
    made = [graph.made(f"many-{number}")["id"] for number in range(60)]
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    async def counted(ids: list[str]) -> int:
        nonlocal ticks
        room = graph_routes(server.house.identity, Limits(LIMITS))
        [route] = [one for one in room.routes if one.path == BY_IDS]
        body = json.dumps({"ids": ids}).encode()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        request = Request(
            {"type": "http", "method": "POST", "path": BY_IDS, "headers": [], "query_string": b""}, receive
        )
        other = asyncio.create_task(tick())
        await asyncio.sleep(0)
        ticks = 0
        answer = await route.handler(request)
        other.cancel()
        assert len(json.loads(bytes(answer.body))["value"]) == len(ids)
        return ticks

    assert server.run(counted(made)) >= len(made)
