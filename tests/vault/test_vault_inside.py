"""Vaults as resources, and secrets for callers inside the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lurewire.core.errors import Forbidden, WireError
from lurewire.core.limits import Limits
from lurewire.core.resources import ResourceId
from lurewire.vault import (
    LIMITS,
    BadParameter,
    NewVersion,
    SecretDisabled,
    SecretIsDeleted,
    SecretNotFound,
    VaultNotFound,
)

if TYPE_CHECKING:
    from tests.arm.house import House

GROUP = "/subscriptions/6a5b4c3d-0000-4000-8000-000000000002/resourceGroups/lurewire"
VAULT = ResourceId.parse(f"{GROUP}/providers/Microsoft.KeyVault/vaults/lurewire-vault")
URI = "https://lurewire-vault.vault.azure.net/secrets/ipinsights-api-key/"


async def test_a_reference_is_read_with_the_role_of_who_asks(house: House) -> None:
    robot = await house.principal("robot", ("Key Vault Secrets User", str(VAULT)))
    owner = await house.principal("owner", ("Owner", GROUP))
    first = await house.vault.put(VAULT, "ipinsights-api-key", NewVersion(value="one"))
    await house.vault.put(VAULT, "ipinsights-api-key", NewVersion(value="two"))
    for uri in (
        URI,
        URI.rstrip("/"),
        f"{house.url()}/secrets/ipinsights-api-key",
        URI.upper().replace("HTTPS", "https"),
    ):
        assert house.vault.read(robot, uri) == "two"
    assert house.vault.read(robot, f"{URI}{first.version}") == "one"
    with pytest.raises(Forbidden):
        house.vault.read(owner, URI)
    with pytest.raises(SecretNotFound):
        house.vault.read(robot, URI.replace("api-key", "none"))
    with pytest.raises(SecretNotFound):
        house.vault.read(robot, f"{URI}0123")
    await house.vault.put(VAULT, "ipinsights-api-key", NewVersion(value="three", enabled=False))
    with pytest.raises(SecretDisabled):
        house.vault.read(robot, URI)
    for uri in ("https://evil.example/secrets/x", "https://other.vault.azure.net/secrets/x"):
        with pytest.raises(VaultNotFound):
            house.vault.read(robot, uri)
    for uri in (
        "",
        "http://localhost/secrets/x",
        "https://localhost/keys/x",
        "https://localhost/secrets/a/b/c",
        "https://[x/secrets/y",
    ):
        with pytest.raises(BadParameter):
            house.vault.read(robot, uri)


async def test_a_secret_from_a_template_is_a_version_like_any_other_and_is_not_shown(house: House) -> None:
    target = VAULT.child("secrets", "from-template")
    body = await house.store.put(
        target, {"properties": {"value": "first value", "contentType": "text/plain"}, "tags": {"a": "b"}}
    )
    found = house.vault.get(VAULT, "from-template")
    assert (found.value, found.content_type, found.tags) == ("first value", "text/plain", {"a": "b"})
    assert body["properties"]["secretUriWithVersion"].endswith(f"/secrets/from-template/{found.version}")
    shown = house.store.shown(target)
    assert shown is not None
    assert "value" not in shown["properties"]
    await house.vault.put(VAULT, "from-template", NewVersion(value="newer value"))
    house.db.close()
    again = type(house)(house.folder)
    await again.open()
    assert again.vault.get(VAULT, "from-template").value == "newer value"
    stored = b"".join(file.read_bytes() for file in house.folder.glob("control.db*"))
    assert b"from-template" in stored
    assert b"first value" not in stored
    assert b"newer value" not in stored
    assert "newer value" not in repr(again.vault.get(VAULT, "from-template"))
    again.db.close()


async def test_a_secret_from_a_template_does_not_come_back_after_its_purge(house: House) -> None:
    """Stored resources are applied at every start."""
    target = VAULT.child("secrets", "from-template")
    await house.store.put(target, {"properties": {"value": "first"}})
    await house.vault.delete(VAULT, "from-template")
    with pytest.raises(SecretIsDeleted):
        await house.store.put(target, {"properties": {"value": "second"}})
    await house.vault.purge(VAULT, "from-template")
    house.db.close()
    again = type(house)(house.folder)
    await again.open()
    with pytest.raises(SecretNotFound):
        again.vault.get(VAULT, "from-template")
    await again.store.put(target, {"properties": {"value": "third"}})
    assert again.vault.get(VAULT, "from-template").value == "third"
    again.db.close()


async def test_a_backup_has_a_limited_number_of_versions(house: House) -> None:
    house.vault.limits = Limits(LIMITS, {"vault.backup_versions": 2})
    for value in ("one", "two"):
        await house.vault.put(VAULT, "s", NewVersion(value=value))
    backup = await house.vault.backup(VAULT, "s")
    await house.vault.put(VAULT, "s", NewVersion(value="three"))
    with pytest.raises(BadParameter, match="more than 2 versions"):
        await house.vault.backup(VAULT, "s")
    other = await house.store.put(vault("other"), {"properties": {}})
    restored = await house.vault.restore(ResourceId.parse(other["id"]), backup)
    assert restored.value == "two", "into any vault of the install"


async def test_a_backup_that_could_not_be_restored_is_not_made(house: House) -> None:
    house.vault.limits = Limits(LIMITS, {"vault.restore_bytes": 100_000})
    await house.vault.put(VAULT, "s", NewVersion(value="x" * 25_000))
    assert len(await house.vault.backup(VAULT, "s")) < 100_000
    for _ in range(2):
        await house.vault.put(VAULT, "s", NewVersion(value="x" * 25_000))
    with pytest.raises(BadParameter, match="longer than the 100000 bytes"):
        await house.vault.backup(VAULT, "s")


async def test_what_a_vault_shows(house: House) -> None:
    properties = (house.store.get(VAULT) or {})["properties"]
    assert properties["vaultUri"] == f"{house.url()}/"
    assert properties["enableRbacAuthorization"] is True
    house.port = 8443
    other = await house.store.put(vault("Other"), {"properties": {}})
    assert other["properties"]["vaultUri"] == "https://other.vault.localhost:8443/"


@pytest.mark.parametrize(
    ("name", "properties", "code"),
    [
        ("v", {}, "BadRequest"),
        ("1vault", {}, "BadRequest"),
        ("a--b", {}, "BadRequest"),
        ("v" * 25, {}, "BadRequest"),
        ("good", {"tenantId": "6a5b4c3d-0000-4000-8000-00000000000f"}, "BadRequest"),
        ("good", {"accessPolicies": [{"objectId": "x"}]}, "BadRequest"),
        ("good", {"enableRbacAuthorization": False}, "BadRequest"),
        ("good", None, "BadRequest"),
        ("good", {"enableSoftDelete": False}, "BadRequest"),
        ("good", {"enablePurgeProtection": False}, "BadRequest"),
        ("good", {"enablePurgeProtection": "yes"}, "BadRequest"),
        ("good", {"softDeleteRetentionInDays": 6}, "BadRequest"),
        ("good", {"softDeleteRetentionInDays": 91}, "BadRequest"),
        ("good", {"softDeleteRetentionInDays": True}, "BadRequest"),
        ("good", {"softDeleteRetentionInDays": "30"}, "BadRequest"),
        ("good", {"createMode": "undo"}, "BadRequest"),
    ],
)
async def test_vaults_that_are_refused(house: House, name: str, properties: Any, code: str) -> None:
    with pytest.raises(WireError) as caught:
        await house.store.put(vault(name), {"properties": properties})
    assert (caught.value.code, caught.value.status) == (code, 400)


async def test_a_vaults_name_is_taken_once(house: House) -> None:
    await house.store.put(ResourceId.parse(GROUP + "2"), {"location": "local"})
    twin = ResourceId.parse(f"{GROUP}2/providers/Microsoft.KeyVault/vaults/Lurewire-Vault")
    with pytest.raises(WireError) as caught:
        await house.store.put(twin, {"properties": {}})
    assert (caught.value.code, caught.value.status) == ("VaultAlreadyExists", 409)


async def test_template_secrets_that_are_refused(house: House) -> None:
    for name, properties in (("a_b", {"value": "v"}), ("s", {}), ("s", {"value": 3}), ("s", None)):
        with pytest.raises(WireError):
            await house.store.put(VAULT.child("secrets", name), {"properties": properties})


def vault(name: str) -> ResourceId:
    return ResourceId.parse(f"{GROUP}/providers/Microsoft.KeyVault/vaults/{name}")
