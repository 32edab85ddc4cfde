"""Vaults that were deleted: kept, listed, recovered, purged; their names; and what templates do with them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.core.errors import WireError
from lurewire.core.resources import ResourceId
from lurewire.vault import NewVersion, VaultNotFound

if TYPE_CHECKING:
    from tests.arm.house import GROUP, SUBSCRIPTION, VAULT, House, Server
else:
    from arm.house import GROUP, SUBSCRIPTION, VAULT, House

PROVIDER = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.KeyVault"
RESOURCE = "https://vault.azure.net"
DAY = 86_400
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


@pytest.fixture
def owner(server: Server) -> str:
    return server.token("vaults' owner", ("Owner", f"/subscriptions/{SUBSCRIPTION}"))


@pytest.fixture
def officer(server: Server) -> str:
    return server.token("vaults' officer", ("Key Vault Secrets Officer", GROUP), resource=RESOURCE)


def named(name: str) -> str:
    return f"{GROUP}/providers/Microsoft.KeyVault/vaults/{name}"


def deleted_path(name: str, location: str = "west") -> str:
    return f"{PROVIDER}/locations/{location}/deletedVaults/{name}"


def make(server: Server, owner: str, name: str, **properties: Any) -> dict[str, Any]:
    body = {"location": "west", "tags": {"team": "blue"}, "properties": properties}
    answer = server.call("PUT", named(name), owner, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def secret(server: Server, method: str, vault: str, token: str, **options: Any) -> Any:
    host = {"Host": f"{vault}.vault.azure.net"}
    return server.call(method, "/secrets/s?api-version=7.4", token, headers=host, **options)


def listed(server: Server, owner: str) -> list[str]:
    return [one["name"] for one in server.call("GET", f"{PROVIDER}/deletedVaults", owner).json()["value"]]


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_deleted_vault_is_kept_and_comes_back_as_it_was(server: Server, owner: str, officer: str) -> None:
    made = make(server, owner, "Back-again", softDeleteRetentionInDays=10, enabledForTemplateDeployment=True)
    assert (made["properties"]["enableSoftDelete"], made["properties"]["softDeleteRetentionInDays"]) == (True, 10)
    assert secret(server, "PUT", "back-again", officer, json={"value": "kept"}).status_code == 200
    assert server.call("DELETE", named("back-again"), owner).status_code == 200
    assert code(secret(server, "GET", "back-again", officer)) == (404, "VaultNotFound")
    assert code(server.call("GET", named("back-again"), owner)) == (404, "ResourceNotFound")
    shown = server.call("GET", deleted_path("BACK-again", "West"), owner).json()
    assert shown["id"] == deleted_path("Back-again")
    assert (shown["name"], shown["type"]) == ("Back-again", "Microsoft.KeyVault/deletedVaults")
    properties = shown["properties"]
    now = server.house.clock.now().isoformat()[:10]
    assert properties.pop("deletionDate")[:10] == now
    assert properties.pop("scheduledPurgeDate") > now
    assert properties == {
        "vaultId": made["id"],
        "location": "west",
        "tags": {"team": "blue"},
        "purgeProtectionEnabled": None,
    }
    assert listed(server, owner) == ["Back-again"]
    body = {"location": "west", "tags": {}, "properties": {"createMode": "recover", "accessPolicies": []}}
    recovered = server.call("PUT", named("back-again"), owner, json=body)
    assert recovered.status_code == 201
    assert recovered.json()["properties"] == made["properties"], "as it was, whatever the request says"
    assert recovered.json()["tags"] == {"team": "blue"}
    assert secret(server, "GET", "back-again", officer).json()["value"] == "kept"
    assert listed(server, owner) == []
    again = server.call("PUT", named("back-again"), owner, json=body)
    assert again.status_code == 200
    assert "createMode" not in again.json()["properties"]


def test_the_name_is_taken_until_the_purge(server: Server, owner: str, officer: str) -> None:
    make(server, owner, "taken")
    secret(server, "PUT", "taken", officer, json={"value": "old"})
    server.call("DELETE", named("taken"), owner)
    other = f"{GROUP}2/providers/Microsoft.KeyVault/vaults/Taken"
    server.call("PUT", f"{GROUP}2", owner, json={"location": "local"})
    for path in (named("taken"), other):
        for properties in ({}, {"createMode": "default"}):
            refused = server.call("PUT", path, owner, json={"location": "west", "properties": properties})
            assert code(refused) == (409, "ConflictError")
            assert "already exists in deleted state" in refused.json()["error"]["message"]
    recover = {"location": "west", "properties": {"createMode": "recover"}}
    for path in (other, named("never-there")):
        assert code(server.call("PUT", path, owner, json=recover)) == (404, "SoftDeletedVaultDoesNotExist")
    name = {"name": "TAKEN", "type": "Microsoft.KeyVault/vaults"}
    free = server.call("POST", f"{PROVIDER}/checkNameAvailability", owner, json=name).json()
    assert (free["nameAvailable"], free["reason"]) == (False, "AlreadyExists")
    for path in (deleted_path("taken", "east"), deleted_path("other")):
        assert code(server.call("POST", f"{path}/purge", owner)) == (404, "DeletedVaultNotFound")
        assert code(server.call("GET", path, owner)) == (404, "DeletedVaultNotFound")
    assert server.call("POST", f"{deleted_path('taken')}/purge", owner).status_code == 200
    assert code(server.call("POST", f"{deleted_path('taken')}/purge", owner)) == (404, "DeletedVaultNotFound")
    assert server.call("POST", f"{PROVIDER}/checkNameAvailability", owner, json=name).json()["nameAvailable"] is True
    make(server, owner, "taken")
    assert code(secret(server, "GET", "taken", officer)) == (404, "SecretNotFound")


def test_protection_and_retention_are_for_good(server: Server, owner: str) -> None:
    make(server, owner, "guarded", enablePurgeProtection=True, softDeleteRetentionInDays=7)
    kept = server.call("PUT", named("guarded"), owner, json={"location": "west", "properties": {}}).json()
    assert kept["properties"]["enablePurgeProtection"] is True
    assert kept["properties"]["softDeleteRetentionInDays"] == 7
    for change in ({"softDeleteRetentionInDays": 8}, {"enablePurgeProtection": False}, {"enableSoftDelete": False}):
        refused = server.call("PATCH", named("guarded"), owner, json={"properties": change})
        assert code(refused) == (400, "BadRequest"), change
    make(server, owner, "later")
    patched = server.call("PATCH", named("later"), owner, json={"properties": {"enablePurgeProtection": True}})
    assert patched.json()["properties"]["enablePurgeProtection"] is True
    server.call("DELETE", named("guarded"), owner)
    shown = server.call("GET", deleted_path("guarded"), owner).json()["properties"]
    assert shown["purgeProtectionEnabled"] is True
    refused = server.call("POST", f"{deleted_path('guarded')}/purge", owner)
    assert code(refused) == (405, "MethodNotAllowed")
    assert refused.json()["error"]["message"] == "Operation 'DeletedVaultPurge' is not allowed."
    assert listed(server, owner) == ["guarded"]


def test_who_may_see_and_purge(server: Server, owner: str) -> None:
    make(server, owner, "rights")
    server.call("DELETE", named("rights"), owner)
    reader = server.token("vaults' reader", ("Reader", f"/subscriptions/{SUBSCRIPTION}"))
    inside = server.token("group's owner", ("Owner", GROUP))
    assert server.call("GET", deleted_path("rights"), reader).status_code == 200
    assert code(server.call("POST", f"{deleted_path('rights')}/purge", reader)) == (403, "AuthorizationFailed")
    for method, path in (("GET", f"{PROVIDER}/deletedVaults"), ("POST", f"{deleted_path('rights')}/purge")):
        assert code(server.call(method, path, inside)) == (403, "AuthorizationFailed")
    everywhere = server.token("tenant's owner", ("Owner", "/"))
    elsewhere = deleted_path("rights").replace(SUBSCRIPTION, SUBSCRIPTION.replace("6a5b", "7b6c"))
    assert code(server.call("POST", f"{elsewhere}/purge", everywhere)) == (404, "DeletedVaultNotFound")


def test_resource_manager_deletes_no_secret(server: Server, owner: str, officer: str) -> None:
    make(server, owner, "in-template")
    put = server.call("PUT", f"{named('in-template')}/secrets/s", owner, json={"properties": {"value": "v"}})
    assert put.status_code == 201
    refused = server.call("DELETE", f"{named('in-template')}/secrets/s", owner)
    assert code(refused) == (405, "MethodNotAllowed")
    assert code(server.call("DELETE", f"{named('no-such')}/secrets/s", owner)) == (404, "VaultNotFound")
    server.call("DELETE", named("in-template"), owner)
    body = {"location": "west", "properties": {"createMode": "recover"}}
    assert server.call("PUT", named("in-template"), owner, json=body).status_code == 201
    assert secret(server, "GET", "in-template", officer).json()["value"] == "v"


def test_resource_manager_shows_the_secrets_that_there_are(server: Server, owner: str, officer: str) -> None:
    make(server, owner, "shows")
    path, recover = f"{named('shows')}/secrets/s", {"location": "west", "properties": {"createMode": "recover"}}
    assert code(server.call("GET", path, owner)) == (404, "ResourceNotFound")
    put = server.call(
        "PUT", path, owner, json={"properties": {"value": "of the template", "contentType": "text/plain"}}
    )
    first = put.json()["properties"]
    data = {"value": "of the data plane", "tags": {"a": "b"}, "attributes": {"exp": 2_000_000_000}}
    set_ = secret(server, "PUT", "shows", officer, json=data).json()
    shown = server.call("GET", path, owner).json()
    properties = shown["properties"]
    assert shown["tags"] == {"a": "b"}
    assert properties["secretUri"] == first["secretUri"]
    assert properties["secretUriWithVersion"].rpartition("/")[2] == set_["id"].rpartition("/")[2]
    assert properties["attributes"]["exp"] == 2_000_000_000
    assert sorted(properties) == ["attributes", "secretUri", "secretUriWithVersion"], "the value least of all"
    patched = server.call("PATCH", path, owner, json={"tags": {"c": "d"}})
    assert (patched.status_code, patched.json()["tags"]) == (200, {"c": "d"})
    assert secret(server, "GET", "shows", officer).json()["value"] == "of the data plane"
    assert secret(server, "DELETE", "shows", officer).status_code == 200
    assert code(server.call("GET", path, owner)) == (404, "ResourceNotFound")
    assert server.call("GET", f"{named('shows')}/secrets", owner).json()["value"] == []
    host = {"Host": "shows.vault.azure.net"}
    assert server.call("POST", "/deletedsecrets/s/recover?api-version=7.4", officer, headers=host).status_code == 200
    assert server.call("GET", path, owner).status_code == 200
    server.call("DELETE", named("shows"), owner)
    assert code(server.call("GET", path, owner)) == (404, "ParentResourceNotFound")
    assert server.call("PUT", named("shows"), owner, json=recover).status_code == 201
    again = server.call("GET", path, owner).json()
    assert (again["tags"], again["location"]) == ({"c": "d"}, "west")
    assert "of the data plane" not in str(again)
    [listed_] = server.call("GET", f"{named('shows')}/secrets", owner).json()["value"]
    assert listed_ == again


async def test_its_time_is_over(house: House) -> None:
    vault = ResourceId.parse(VAULT)
    await house.vault.put(vault, "s", NewVersion(value="v"))
    await house.store.delete(vault)
    house.clock.advance(90 * DAY - 1)
    assert [one.id for one in house.vault.deleted_vaults.all()] == [vault]
    house.db.close()
    again = House(house.folder)
    again.clock.advance((house.clock.now() - again.clock.now()).total_seconds())
    again.db.open()
    assert again.vault.deleted_vaults.get("LUREWIRE-vault") is not None, "kept over a restart"
    again.clock.advance(1)
    assert again.vault.deleted_vaults.all() == []
    assert count(again, "vault_secrets") == 1
    await again.vault.start()
    assert (count(again, "vault_secrets"), count(again, "vault_deleted_vaults")) == (0, 0)
    await again.vault.stop()
    again.db.close()


async def test_every_hour_what_is_past_its_time_is_purged(house: House) -> None:
    vault = ResourceId.parse(VAULT)
    await house.vault.start()
    for name in ("kept", "s"):
        await house.vault.put(vault, name, NewVersion(value="v"))
    await house.vault.delete(vault, "s")
    house.clock.advance(90 * DAY)
    for _ in range(3):
        await house.db.write(lambda _conn: None)  # behind the purge, which the clock has begun
    assert count(house, "vault_secrets") == 1
    await house.store.delete(vault)
    house.clock.advance(90 * DAY)
    for _ in range(3):
        await house.db.write(lambda _conn: None)
    assert count(house, "vault_secrets") == count(house, "vault_deleted_vaults") == 0
    await house.vault.stop()


async def test_a_body_that_arrives_after_the_purge_is_no_secret_of_the_next_vault(house: House) -> None:
    vault = ResourceId.parse(VAULT)
    await house.vault.put(vault, "s", NewVersion(value="v"))
    backup = await house.vault.backup(vault, "s")
    await house.store.delete(vault)
    await house.vault.purge_vault(SUBSCRIPTION, "local", vault.name)
    for late in (house.vault.restore(vault, backup), house.vault.put(vault, "s", NewVersion(value="v"))):
        with pytest.raises(VaultNotFound):
            await late
    assert count(house, "vault_secrets") == 0


async def test_a_new_vault_has_no_secret_of_one_whose_time_was_over(house: House) -> None:
    vault = ResourceId.parse(VAULT)
    await house.vault.put(vault, "s", NewVersion(value="v"))
    await house.store.delete(vault)
    house.clock.advance(90 * DAY)
    await house.store.put(vault, {"location": "local", "properties": {}})
    assert count(house, "vault_secrets") == 0


@pytest.mark.parametrize("first", ["recover", "purge"])
async def test_a_purge_and_a_recovery_at_the_same_moment(house: House, first: str) -> None:
    """One of them is refused: a vault that was recovered has its secrets."""
    vault = ResourceId.parse(VAULT)
    await house.vault.put(vault, "s", NewVersion(value="v"))
    await house.store.delete(vault)
    recovery = house.store.put(vault, {"location": "local", "properties": {"createMode": "recover"}})
    purge = house.vault.purge_vault(SUBSCRIPTION, "local", vault.name)
    both = (recovery, purge) if first == "recover" else (purge, recovery)
    done, refused = await asyncio.gather(*both, return_exceptions=True)
    assert not isinstance(done, BaseException)
    assert isinstance(refused, WireError)
    if first == "recover":
        assert refused.code == "DeletedVaultNotFound"
        assert house.vault.get(vault, "s").value == "v"
    else:
        assert refused.code == "SoftDeletedVaultDoesNotExist"
        assert house.store.get(vault) is None
        assert count(house, "vault_secrets") == 0


async def test_a_deletion_that_was_cut_off_has_not_happened(house: House) -> None:
    """The vault is kept first; where its resource is still there at the next start, so is the vault."""
    vault = ResourceId.parse(VAULT)
    await house.vault.put(vault, "s", NewVersion(value="v"))
    body = house.store.get(vault)
    assert body is not None
    await house.vault.deleted_vaults.put(vault, body)
    house.db.close()
    again = House(house.folder)
    await again.open()
    assert again.vault.deleted_vaults.all() == []
    assert again.vault.get(vault, "s").value == "v"
    again.db.close()


def count(house: House, table: str) -> int:
    found: int = house.db.read(lambda conn: conn.exec_driver_sql(f"select count(*) from {table}").scalar_one())
    return found


def deploy(server: Server, token: str, resources: list[dict[str, Any]]) -> Any:
    template = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": resources}
    body = {"properties": {"mode": "Complete", "template": template}}
    path = f"{GROUP}3/providers/Microsoft.Resources/deployments/d?api-version=2022-09-01"
    answer = server.call("PUT", path, token, json=body)
    assert answer.status_code in (200, 201), answer.text
    return server.call("GET", path, token).json()["properties"]


def test_templates_delete_and_recover(server: Server, owner: str, officer: str) -> None:
    server.call("PUT", f"{GROUP}3", owner, json={"location": "local"})
    vault = {"type": "Microsoft.KeyVault/vaults", "apiVersion": "2023-07-01", "name": "template-v", "location": "west"}
    value = {
        "type": "Microsoft.KeyVault/vaults/secrets",
        "apiVersion": "2023-07-01",
        "name": "template-v/s",
        "dependsOn": ["template-v"],
        "properties": {"value": "deployed"},
    }
    assert deploy(server, owner, [vault | {"properties": {}}, value])["provisioningState"] == "Succeeded"
    token = server.token("group 3's officer", ("Key Vault Secrets Officer", f"{GROUP}3"), resource=RESOURCE)
    assert secret(server, "GET", "template-v", token).json()["value"] == "deployed"
    assert deploy(server, owner, [])["provisioningState"] == "Succeeded"
    assert "template-v" in listed(server, owner)
    failed = deploy(server, owner, [vault | {"properties": {}}])
    assert failed["provisioningState"] == "Failed"
    assert "ConflictError" in str(failed["error"])
    recover = vault | {"properties": {"createMode": "recover"}}
    assert deploy(server, owner, [recover])["provisioningState"] == "Succeeded"
    assert secret(server, "GET", "template-v", token).json()["value"] == "deployed"
    assert server.call("DELETE", f"{GROUP}3", owner).status_code in (200, 202)
    assert "template-v" in listed(server, owner), "the group's end keeps its vaults too"
    unknown = server.call("PUT", named("template-v").replace("lurewire/", "lurewire3/"), owner, json=recover)
    assert code(unknown) == (404, "ResourceGroupNotFound")
