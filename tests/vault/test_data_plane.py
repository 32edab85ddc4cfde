"""Secrets over HTTPS, with Microsoft's own client where one would be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

if TYPE_CHECKING:
    import requests
    from tests.arm.house import Server

TENANT = "6a5b4c3d-0000-4000-8000-000000000001"
GROUP = "/subscriptions/6a5b4c3d-0000-4000-8000-000000000002/resourceGroups/lurewire"
VAULTS = f"{GROUP}/providers/Microsoft.KeyVault/vaults"
VAULT = f"{VAULTS}/lurewire-vault"
RESOURCE = "https://vault.azure.net"


def client(server: Server, app: str, secret: str, host: str = "localhost") -> SecretClient:
    credential = ClientSecretCredential(
        TENANT,
        app,
        secret,
        authority=server.house.url(),
        disable_instance_discovery=True,
        connection_verify=server.ca,
    )
    url = f"https://{host}:{server.house.port}"
    return SecretClient(url, credential, verify_challenge_resource=False, connection_verify=server.ca, retry_total=0)


def put(server: Server, name: str, token: str | None, body: Any = None, **options: Any) -> requests.Response:
    return server.call("PUT", f"/secrets/{name}?api-version=7.4", token, json=body or {"value": "v"}, **options)


def get(server: Server, path: str, token: str | None, **options: Any) -> requests.Response:
    return server.call("GET", f"/secrets/{path}?api-version=7.4", token, **options)


@pytest.fixture(scope="module")
def officer(server: Server) -> str:
    return server.token("officer", ("Key Vault Secrets Officer", VAULT), resource=RESOURCE)


def test_the_sdk_sets_and_gets_versions(server: Server) -> None:
    app, secret = server.app("officer app", ("Key Vault Secrets Officer", VAULT))
    for host in ("localhost", "127.0.0.1"):
        secrets = client(server, app, secret, host)
        first = secrets.set_secret("API-Key", f"one of {host}", content_type="text/plain", tags={"a": "b"})
        second = secrets.set_secret("api-key", f"two of {host}")
        assert secrets.get_secret("API-KEY").value == f"two of {host}"
        old = secrets.get_secret("api-key", first.properties.version)
        assert (old.value, old.properties.content_type, old.properties.tags) == (
            f"one of {host}",
            "text/plain",
            {"a": "b"},
        )
        assert old.properties.vault_url == f"https://{host}:{server.house.port}"
        assert second.properties.version != first.properties.version
        assert second.properties.enabled
        assert second.properties.created_on


def test_what_the_sdk_raises(server: Server) -> None:
    app, secret = server.app("user app", ("Key Vault Secrets User", VAULT))
    secrets = client(server, app, secret)
    with pytest.raises(ResourceNotFoundError) as missing:
        secrets.get_secret("missing")
    assert missing.value.error is not None
    assert missing.value.error.code == "SecretNotFound"
    with pytest.raises(HttpResponseError) as forbidden:
        secrets.set_secret("mine", "v")
    assert forbidden.value.status_code == 403
    assert forbidden.value.error is not None
    assert forbidden.value.error.innererror == {"code": "ForbiddenByRbac"}
    nobody, nobodys = server.app("nobody")
    with pytest.raises(HttpResponseError, match="Forbidden"):
        client(server, nobody, nobodys).get_secret("missing")
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        client(server, app, "wrong").get_secret("missing")


def test_the_challenge_comes_before_anything_else_is_looked_at(server: Server) -> None:
    house = server.house
    for answer in (
        server.call("PUT", "/secrets/s?api-version=7.4", headers={"Content-Length": "0"}),
        put(server, "not a name!", None, {"wrong": 1}),
        server.call("GET", "/secrets/s", bare=True),
        get(server, "s", "a.b.c"),
        get(server, "s", server.token("arm only", resource="https://management.azure.com/")),
    ):
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "Unauthorized"
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge == f'Bearer authorization="{house.url()}/{TENANT}", resource="https://vault.azure.net"'
    nested = get(server, "s", None, headers={"Host": f"lurewire-vault.vault.localhost:{house.port}"})
    assert nested.headers["WWW-Authenticate"].endswith(f'resource="https://vault.localhost:{house.port}"')
    token = server.token("nested", ("Key Vault Secrets User", VAULT), resource=f"https://vault.localhost:{house.port}")
    assert get(server, "s", token).status_code == 404


def test_one_port_serves_every_vault_by_host_name(server: Server, officer: str) -> None:
    server.run(server.house.store.put(vault_id("second-vault"), {"location": "local", "properties": {}}))
    assert put(server, "shared", officer, {"value": "first"}).status_code == 200
    host = {"Host": f"Second-Vault.vault.localhost:{server.house.port}"}
    assert put(server, "shared", officer, headers=host).status_code == 403
    other = server.token("other officer", ("Key Vault Secrets Officer", f"{VAULTS}/second-vault"), resource=RESOURCE)
    made = put(server, "shared", other, {"value": "second"}, headers=host)
    assert made.json()["id"].startswith(f"https://Second-Vault.vault.localhost:{server.house.port}/secrets/shared/")
    assert get(server, "shared", other, headers={"Host": "second-vault.vault.azure.net"}).json()["value"] == "second"
    assert get(server, "shared", other).status_code == 403
    default = {"Host": "lurewire-vault.vault.azure.net"}
    assert get(server, "shared", officer, headers=default).json()["value"] == "first"
    for unknown in ("third.vault.localhost", "evil.example", "a.b.vault.azure.net", ".vault.azure.net", "x:y:z"):
        answer = get(server, "shared", officer, headers={"Host": unknown})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "VaultNotFound"), unknown


def test_a_role_on_one_secret_opens_that_one(server: Server, officer: str) -> None:
    put(server, "mine", officer, {"value": "m"})
    put(server, "mine-not", officer, {"value": "n"})
    server.run(
        server.house.store.put(vault_id("lurewire-vault").child("secrets", "mine"), {"properties": {"value": "m"}})
    )
    token = server.token("one secret", ("Key Vault Secrets User", f"{VAULT}/secrets/mine"), resource=RESOURCE)
    assert get(server, "MINE", token).json()["value"] == "m"
    assert get(server, "mine-not", token).status_code == 403


def test_disabled_and_dated_secrets(server: Server, officer: str) -> None:
    off = put(server, "dated", officer, {"value": "v", "attributes": {"enabled": False, "nbf": 1, "exp": 2}})
    assert off.status_code == 200
    refused = get(server, "dated", officer)
    assert refused.status_code == 403
    assert refused.json()["error"]["innererror"] == {"code": "SecretDisabled"}
    put(server, "dated", officer, {"value": "v", "attributes": {"nbf": 4_000_000_000, "exp": 1}})
    shown = get(server, "dated", officer).json()
    assert (shown["attributes"]["nbf"], shown["attributes"]["exp"]) == (4_000_000_000, 1)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"value": 3},
        {"value": "x" * (25 * 1024 + 1)},
        {"value": "é" * (13 * 1024)},
        {"value": "v", "contentType": 3},
        {"value": "v", "tags": {"a": 1}},
        {"value": "v", "tags": {str(i): "" for i in range(16)}},
        {"value": "v", "tags": {"a": "b" * 257}},
        {"value": "v", "tags": []},
        {"value": "v", "attributes": {"enabled": "yes"}},
        {"value": "v", "attributes": {"exp": -1}},
        {"value": "v", "attributes": {"nbf": "soon"}},
        {"value": "v", "attributes": 3},
    ],
    ids=lambda body: repr(body)[:40],
)
def test_bodies_that_do_not_fit(server: Server, officer: str, body: Any) -> None:
    answer = server.call("PUT", "/secrets/careless?api-version=7.4", officer, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")
    assert get(server, "careless", officer).status_code == 404


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"value": "\\ud800"}', b"\xff", b'{"value":' * 3000])
def test_bodies_that_are_no_object(server: Server, officer: str, body: bytes) -> None:
    answer = server.call("PUT", "/secrets/careless?api-version=7.4", officer, data=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")


def test_wrong_names_versions_and_sizes(server: Server, officer: str) -> None:
    for name in ("under_score", "a.b", "x" * 128, "%C3%A9", "a%20b"):
        answer = put(server, name, officer)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter"), name
    assert server.call("GET", "/secrets/s", officer, bare=True).json()["error"]["code"] == "BadParameter"
    put(server, "known", officer)
    assert get(server, "known/0123456789abcdef0123456789abcdef", officer).status_code == 404
    long = server.call("PUT", "/secrets/long?api-version=7.4", officer, data=b" " * (256 * 1024 + 1))
    assert (long.status_code, long.json()["error"]["code"]) == (413, "RequestTooLarge")


def vault_id(name: str) -> Any:
    from lurewire.core.resources import ResourceId

    return ResourceId.parse(f"{VAULTS}/{name}")
