"""Managed identities of local processes, with Microsoft's own client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential, ManagedIdentityCredential

from lurewire.core.http import room_app
from lurewire.core.outbound import Outbound, OutboundRefused
from lurewire.core.resources import ResourceId
from lurewire.identity import USER_ASSIGNED, local_routes

if TYPE_CHECKING:
    from tests.arm.house import Server

    from lurewire.core.principal import Principal

GROUP = "/subscriptions/6a5b4c3d-0000-4000-8000-000000000002/resourceGroups/lurewire"
SCOPE = "https://monitor.azure.com/.default"


def user_assigned(server: Server, name: str) -> tuple[ResourceId, Principal]:
    """A user-assigned identity, made by an ARM client."""
    token = server.token(f"{name}'s owner", ("Owner", GROUP))
    path = f"{GROUP}/providers/{USER_ASSIGNED}/{name}"
    made = server.call("PUT", path, token, json={"location": "local"})
    assert made.status_code in (200, 201), made.text
    resource_id = ResourceId.parse(path)
    principal = server.house.identity.managed_identity(resource_id)
    assert principal is not None
    found = made.json()["properties"]
    assert (found["principalId"], found["clientId"]) == (principal.object_id, principal.app_id)
    return resource_id, principal


def claims(token: str) -> dict[str, str]:
    found: dict[str, str] = jwt.decode(token, options={"verify_signature": False})
    return found


def test_app_service_endpoint(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    resource_id, principal = user_assigned(server, "worker")
    header = server.run(server.house.identity.managed.add_header(principal))
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.house.url()}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", header)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.ca)
    for credential in (
        ManagedIdentityCredential(),
        ManagedIdentityCredential(client_id=principal.app_id),
        ManagedIdentityCredential(identity_config={"mi_res_id": str(resource_id)}),
        DefaultAzureCredential(),
    ):
        found = claims(credential.get_token(SCOPE).token)
        assert (found["oid"], found["aud"]) == (principal.object_id, "https://monitor.azure.com")
        assert found["xms_mirid"] == str(resource_id)
    with pytest.raises(ClientAuthenticationError, match="No User Assigned"):
        ManagedIdentityCredential(client_id="b1b1b1b1-0000-4000-8000-000000000000").get_token(SCOPE)
    monkeypatch.setenv("IDENTITY_HEADER", "guessed")
    with pytest.raises(ClientAuthenticationError):
        ManagedIdentityCredential().get_token(SCOPE)
    monkeypatch.setenv("IDENTITY_HEADER", header)
    token = server.token("remover", ("Owner", GROUP))
    assert server.call("DELETE", str(resource_id), token).status_code in (200, 204)
    with pytest.raises(ClientAuthenticationError):
        ManagedIdentityCredential().get_token(SCOPE)


def test_instance_metadata_endpoint(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _, principal = user_assigned(server, "machine")
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.house.url())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.ca)
    with pytest.raises(CredentialUnavailableError):
        ManagedIdentityCredential().get_token(SCOPE)
    server.house.machine = principal
    try:
        assert claims(ManagedIdentityCredential().get_token(SCOPE).token)["oid"] == principal.object_id
        url = f"{server.house.url()}/metadata/identity/oauth2/token?api-version=2018-02-01"
        for query, headers, code in (
            ("&resource=https://monitor.azure.com", {}, "invalid_request"),
            ("", {"Metadata": "true"}, "invalid_request"),
            ("&resource=https://contoso.example", {"Metadata": "true"}, "invalid_resource"),
            ("&resource=https://monitor.azure.com&client_id=x", {"Metadata": "true"}, "invalid_request"),
        ):
            answer = requests.get(url + query, headers=headers, verify=server.ca, timeout=10)
            assert (answer.status_code, answer.json()["error"]) == (400, code)
        forwarded = {"Metadata": "true", "X-Forwarded-For": "203.0.113.7"}
        answer = requests.get(f"{url}&resource={SCOPE}", headers=forwarded, verify=server.ca, timeout=10)
        assert answer.status_code == 403
    finally:
        server.house.machine = None


def test_the_identity_of_a_resource_over_both_endpoints(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system-assigned one: it is there because its resource asked for one."""
    owner = server.token("widget's owner", ("Owner", GROUP))
    path = f"{GROUP}/providers/Contoso.Test/widgets/robot"
    body = {"location": "local", "identity": {"type": "SystemAssigned"}, "properties": {}}
    made = server.call("PUT", path, owner, json=body).json()["identity"]
    principal = server.house.identity.managed_identity(ResourceId.parse(path))
    assert principal is not None
    assert principal.object_id == made["principalId"]
    ways: tuple[dict[str, Any], ...] = (
        {},
        {"client_id": principal.app_id},
        {"identity_config": {"object_id": principal.object_id}},
    )
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.ca)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.house.url())
    server.house.machine = principal
    try:
        found = [claims(ManagedIdentityCredential(**way).get_token(SCOPE).token) for way in ways]
    finally:
        server.house.machine = None
    monkeypatch.delenv("AZURE_POD_IDENTITY_AUTHORITY_HOST")
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.house.url()}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", server.run(server.house.identity.managed.add_header(principal)))
    found += [claims(ManagedIdentityCredential(**way).get_token(SCOPE).token) for way in ways]
    assert {(one["oid"], one["xms_mirid"]) for one in found} == {(principal.object_id, path)}


def test_playbooks_reach_neither_endpoint(server: Server) -> None:
    _, principal = user_assigned(server, "victim")
    header = server.run(server.house.identity.managed.add_header(principal))
    house = server.house

    async def ask() -> None:
        routes = local_routes(house.identity, lambda: principal)
        rooms = {routes.room: room_app(routes, house.identity)}
        outbound = Outbound({"inside.example": routes.room}, rooms, allow_private=False)
        try:
            headers = [("Metadata", "true"), ("X-IDENTITY-HEADER", header)]
            for path in ("/msi/token", "/metadata/identity/oauth2/token"):
                url = f"https://inside.example{path}?resource=https://monitor.azure.com"
                answer = await outbound.request("GET", url, headers=headers, body=None, timeout=5)
                assert answer.status == 403
                with pytest.raises(OutboundRefused):
                    await outbound.request("GET", house.url() + path, headers=headers, body=None, timeout=5)
        finally:
            await outbound.close()

    server.run(ask())
