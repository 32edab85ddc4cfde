"""The token service, with Microsoft's own client where one would be used."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential

from lurewire.identity import TOKEN_ERRORS

if TYPE_CHECKING:
    from tests.arm.house import Server

TENANT = "6a5b4c3d-0000-4000-8000-000000000001"
SCOPE = "https://monitor.azure.com/.default"


def credential(server: Server, app: str, secret: str, tenant: str = TENANT) -> ClientSecretCredential:
    return ClientSecretCredential(
        tenant,
        app,
        secret,
        authority=server.house.url(),
        disable_instance_discovery=True,
        connection_verify=server.ca,
        retry_total=0,
    )


def post(server: Server, data: Any, tenant: str = TENANT, **headers: str) -> requests.Response:
    url = f"{server.house.url()}/{tenant}/oauth2/v2.0/token"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return requests.post(url, data=data, headers=kind | headers, verify=server.ca, timeout=10)


def form(app: str, secret: str, **changes: str) -> dict[str, str]:
    whole = {"client_id": app, "client_secret": secret, "grant_type": "client_credentials", "scope": SCOPE}
    return {name: value for name, value in (whole | changes).items() if value}


def test_azure_identity_logs_in_and_others_can_verify_the_token(server: Server) -> None:
    app, secret = server.app("client")
    token = credential(server, app, secret).get_token(SCOPE).token
    house = f"{server.house.url()}/{TENANT}"
    metadata = requests.get(f"{house}/v2.0/.well-known/openid-configuration", verify=server.ca, timeout=10).json()
    keys = requests.get(metadata["jwks_uri"], verify=server.ca, timeout=10).json()
    header = jwt.get_unverified_header(token)
    [key] = [k for k in jwt.PyJWKSet.from_dict(keys).keys if k.key_id == header["kid"]]
    claims = jwt.decode(token, key.key, algorithms=["RS256"], audience="https://monitor.azure.com")
    registration = server.house.identity.app(app)
    assert registration is not None
    assert claims["appid"] == app
    assert claims["oid"] == claims["sub"] == registration.object_id != app
    assert claims["iss"] == f"https://sts.windows.net/{TENANT}/"
    assert (claims["tid"], claims["idtyp"], claims["ver"]) == (TENANT, "app", "1.0")
    assert metadata["token_endpoint"] == f"{house}/oauth2/v2.0/token"


def test_continuous_access_claims_of_key_vault_clients_are_taken(server: Server) -> None:
    app, secret = server.app("cae client")
    assert credential(server, app, secret).get_token("https://vault.azure.net/.default", enable_cae=True).token


def test_one_default_suffix_comes_off_the_scope(server: Server) -> None:
    app, secret = server.app("cli")
    answer = post(server, form(app, secret, scope="https://management.core.windows.net//.default"))
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert claims["aud"] == "https://management.core.windows.net/"
    assert answer.headers["Cache-Control"].startswith("no-store")
    assert answer.json()["expires_in"] == 3599


def test_wrong_and_expired_and_removed_secrets(server: Server) -> None:
    house = server.house
    app, secret = server.app("rotating")
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        credential(server, app, "not the secret").get_token(SCOPE)
    short = server.run(house.identity.add_secret(app, timedelta(minutes=1), "short"))
    assert post(server, form(app, short.value)).status_code == 200
    server.loop.call_soon_threadsafe(house.clock.advance, 61)
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000222"):
        credential(server, app, short.value).get_token(SCOPE)
    assert post(server, form(app, secret)).status_code == 200
    registration = house.identity.app(app)
    assert registration is not None
    [first] = [s for s in registration.secrets if s.name == ""]
    assert server.run(house.identity.remove_secret(app, first.key_id))
    assert post(server, form(app, secret)).json()["error_codes"] == [7000215]


def test_an_unknown_tenant_fails_before_a_token_is_asked_for(server: Server) -> None:
    app, secret = server.app("lost")
    with pytest.raises(ClientAuthenticationError):
        credential(server, app, secret, "11111111-1111-4111-8111-111111111111").get_token(SCOPE)
    url = f"{server.house.url()}/11111111-1111-4111-8111-111111111111/v2.0/.well-known/openid-configuration"
    answer = requests.get(url, verify=server.ca, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_tenant")


@pytest.mark.parametrize(
    ("changes", "tenant", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, TENANT, 401, "invalid_client", 7000215),
        ({"client_secret": ""}, TENANT, 401, "invalid_client", 7000218),
        ({"client_id": "b1b1b1b1-0000-4000-8000-000000000000"}, TENANT, 400, "unauthorized_client", 700016),
        ({"client_id": "' or 1=1 --"}, TENANT, 400, "unauthorized_client", 700016),
        ({}, "contoso", 400, "invalid_request", 90002),
        ({"scope": "https://monitor.azure.com"}, TENANT, 400, "invalid_scope", 1002012),
        ({"scope": f"{SCOPE} {SCOPE}"}, TENANT, 400, "invalid_scope", 1002012),
        ({"scope": "https://contoso.example/.default"}, TENANT, 400, "invalid_resource", 500011),
        ({"scope": ""}, TENANT, 400, "invalid_request", 900144),
        ({"grant_type": ""}, TENANT, 400, "invalid_request", 900144),
        ({"grant_type": "password"}, TENANT, 400, "unsupported_grant_type", 70003),
    ],
)
def test_each_wrong_request_has_its_error(
    server: Server, changes: dict[str, str], tenant: str, status: int, error: str, number: int
) -> None:
    app, secret = server.app("careless")
    correlation = "0f0e0d0c-0b0a-4908-8706-050403020100"
    answer = post(server, form(app, secret, **changes), tenant, **{"client-request-id": correlation})
    body = answer.json()
    assert (answer.status_code, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert f"Correlation ID: {correlation} Timestamp: {body['timestamp']}" in body["error_description"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", body["timestamp"])
    assert body["correlation_id"] == correlation
    assert body["error_uri"].endswith(f"/error?code={number}")
    assert secret not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"grant_type=client_credentials&client_id=a&client_id=b",
        b"grant_type=client_credentials&client_secret=%ff\xff",
        b"x=" + b"y" * 70_000,
        b"&".join(b"p%d=1" % i for i in range(200)),
    ],
    ids=["twice", "not utf-8", "too long", "too many"],
)
def test_malformed_bodies(server: Server, body: bytes) -> None:
    answer = post(server, body)
    assert (answer.status_code, answer.json()["error_codes"]) == (400, [9002313])


def test_instance_discovery_knows_microsoft_and_itself(server: Server) -> None:
    def ask(endpoint: str) -> requests.Response:
        url = f"{server.house.url()}/common/discovery/instance"
        query = {"api-version": "1.1", "authorization_endpoint": endpoint}
        return requests.get(url, params=query, verify=server.ca, timeout=10)

    for host in ("login.microsoftonline.com", "127.0.0.1"):
        [row] = ask(f"https://{host}/common/oauth2/authorize").json()["metadata"]
        assert row["aliases"] == [host]
    unknown = ask("https://evil.example/x/oauth2/v2.0/authorize")
    assert (unknown.status_code, unknown.json()["error"]) == (400, "invalid_instance")


def test_nothing_secret_is_readable_in_the_state_folder(server: Server) -> None:
    app, secret = server.app("careful")
    key = server.house.identity.jwks()["keys"][0]
    assert "d" not in key
    registration = server.house.identity.app(app)
    assert registration is not None
    assert secret not in repr(registration)
    assert secret not in repr(server.run(server.house.identity.add_secret(app)))
    stored = b"".join(path.read_bytes() for path in server.house.folder.glob("control.db*"))
    assert app.encode() in stored
    assert secret.encode() not in stored
    assert b"PRIVATE KEY" not in stored


def test_a_token_for_graph_names_the_permissions(server: Server) -> None:
    app, secret = server.app("permitted")
    registration = server.house.identity.app(app)
    assert registration is not None
    server.run(server.house.identity.app_roles.grant(registration.object_id, ["Application.Read.All"]))
    made = credential(server, app, secret)
    for resource, roles in (
        ("https://graph.microsoft.com", ["Application.Read.All"]),
        ("https://vault.azure.net", None),
    ):
        claims = jwt.decode(made.get_token(f"{resource}/.default").token, options={"verify_signature": False})
        assert claims.get("roles") == roles


def test_an_app_without_a_service_principal_cannot_log_in(server: Server) -> None:
    registration = server.run(server.house.identity.create_app("half", with_principal=False))
    secret = server.run(server.house.identity.add_secret(registration.app_id)).value
    answer = post(server, form(registration.app_id, secret))
    assert (answer.status_code, answer.json()["error_codes"]) == (400, [7000229])
    assert server.house.identity.principal(registration.object_id) is None


def test_the_error_table_is_complete_and_without_doubles() -> None:
    assert len({(error.aadsts, error.code) for error in TOKEN_ERRORS}) == len(TOKEN_ERRORS)
    assert all(error.__doc__ for error in TOKEN_ERRORS)
