"""The life of a secret over HTTPS, with Microsoft's own client: updated, listed, deleted, recovered, purged, backed up."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from tests.arm.house import SUBSCRIPTION, TENANT, VAULT, Server
else:
    from arm.house import SUBSCRIPTION, TENANT, VAULT

RESOURCE = "https://vault.azure.net"
QUERY = "api-version=7.4"
DAY = 86_400


@pytest.fixture(scope="module")
def secrets(server: Server) -> SecretClient:
    return client(server, *server.app("bin officer", ("Key Vault Secrets Officer", VAULT)))


@pytest.fixture
def officer(server: Server) -> str:
    """A token of now: a test may have moved the clock."""
    return server.token("raw officer", ("Key Vault Secrets Officer", VAULT), resource=RESOURCE)


def client(server: Server, app: str, secret: str, **options: Any) -> SecretClient:
    credential = ClientSecretCredential(
        TENANT, app, secret, authority=server.house.url(), disable_instance_discovery=True, connection_verify=server.ca
    )
    url = f"https://localhost:{server.house.port}"
    options = {"verify_challenge_resource": False, "connection_verify": server.ca, "retry_total": 0} | options
    return SecretClient(url, credential, **options)


def test_the_clients_of_every_version_delete_and_recover(server: Server, secrets: SecretClient) -> None:
    app, secret = server.app("older officer", ("Key Vault Secrets Officer", VAULT))
    for one in (secrets, client(server, app, secret, api_version="7.0")):
        one.set_secret("Life", "one", tags={"a": "b"})
        made = one.set_secret("life", "two", content_type="text/plain")
        deletion = one.begin_delete_secret("LIFE")
        deletion.wait()
        gone = deletion.result()
        assert (gone.name, gone.properties.version, gone.properties.tags) == ("life", made.properties.version, {})
        assert gone.recovery_id == f"https://localhost:{server.house.port}/deletedsecrets/life"
        assert gone.deleted_date is not None
        assert gone.scheduled_purge_date is not None
        assert (gone.scheduled_purge_date - gone.deleted_date).days == 90
        for wanted in ("", made.properties.version):
            with pytest.raises(ResourceNotFoundError, match="SecretNotFound"):
                one.get_secret("life", wanted)
        with pytest.raises(ResourceNotFoundError):
            one.begin_delete_secret("life")
        with pytest.raises(ResourceExistsError, match="deleted but recoverable") as taken:
            one.set_secret("life", "three")
        assert taken.value.error is not None
        assert taken.value.error.innererror == {"code": "ObjectIsDeletedButRecoverable"}
        assert [each.name for each in one.list_deleted_secrets()] == ["life"]
        recovery = one.begin_recover_deleted_secret("life")
        recovery.wait()
        assert recovery.result().version == made.properties.version
        assert one.get_secret("life").value == "two"
        assert [each.value for each in _all_versions(one, "life")] == ["one", "two"]
        assert list(one.list_deleted_secrets()) == []
        one.begin_delete_secret("life").wait()
        one.purge_deleted_secret("life")
        for undo in (one.begin_recover_deleted_secret, one.purge_deleted_secret, one.get_deleted_secret):
            with pytest.raises(ResourceNotFoundError, match="Deleted Secret not found: life"):
                undo("life")


def _all_versions(secrets: SecretClient, name: str) -> list[Any]:
    return [secrets.get_secret(name, one.version or "") for one in secrets.list_properties_of_secret_versions(name)]


def test_properties_are_updated_and_the_value_stays(server: Server, secrets: SecretClient) -> None:
    first = secrets.set_secret("updated", "one", tags={"a": "b"}, content_type="text/plain")
    secrets.set_secret("updated", "two")
    server.loop.call_soon_threadsafe(server.house.clock.advance, 60)
    until = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    changed = secrets.update_secret_properties("updated", first.properties.version, expires_on=until, tags={"c": "d"})
    assert (changed.version, changed.expires_on, changed.tags) == (first.properties.version, until, {"c": "d"})
    assert (changed.content_type, changed.enabled) == ("text/plain", True)
    assert changed.updated_on is not None
    assert changed.created_on is not None
    assert (changed.updated_on - changed.created_on).total_seconds() == 60
    again = secrets.get_secret("updated", first.properties.version)
    assert (again.value, again.properties.expires_on, again.properties.updated_on) == ("one", until, changed.updated_on)
    secrets.update_secret_properties("updated", enabled=False, content_type="application/json")
    with pytest.raises(HttpResponseError, match="disabled secret"):
        secrets.get_secret("updated")
    on = secrets.update_secret_properties("updated", enabled=True)
    assert on.content_type == "application/json"
    assert secrets.get_secret("updated").value == "two"
    with pytest.raises(ResourceNotFoundError):
        secrets.update_secret_properties("updated", "0" * 32, enabled=True)
    with pytest.raises(ResourceNotFoundError):
        secrets.update_secret_properties("no-such", enabled=True)


def test_lists_come_in_pages_without_values(secrets: SecretClient) -> None:
    names = [f"page-{number:02}" for number in range(27)]
    for name in names:
        secrets.set_secret(name, f"value of {name}", tags={"n": name})
    for size in (None, 25, 4, 27 // 3):
        listed = [one for one in secrets.list_properties_of_secrets(max_page_size=size) if one.name in names]
        assert [one.name for one in listed] == names
        assert {one.version for one in listed} == {None}
    pages = [list(page) for page in secrets.list_properties_of_secrets(max_page_size=10).by_page()]
    assert max(len(page) for page in pages) == 10
    for number in range(11):
        secrets.set_secret("page-00", str(number))
    versions = list(secrets.list_properties_of_secret_versions("page-00", max_page_size=5))
    assert len({one.version for one in versions}) == 12
    assert [secrets.get_secret("page-00", one.version or "").value for one in versions[1:3]] == ["0", "1"]
    for name in names:
        secrets.begin_delete_secret(name)
    deleted = [one for one in secrets.list_deleted_secrets(max_page_size=6) if one.name in names]
    assert [one.name for one in deleted] == names
    assert all(one.recovery_id and one.properties.tags == {"n": one.name} for one in deleted[1:])
    assert not {one.name for one in secrets.list_properties_of_secrets()} & set(names)
    with pytest.raises(ResourceNotFoundError):
        list(secrets.list_properties_of_secret_versions("page-00"))


def test_backups_are_restored_whole_and_only_where_the_name_is_free(server: Server, secrets: SecretClient) -> None:
    secrets.set_secret("kept", "one", tags={"a": "b"}, not_before=datetime(2030, 1, 1, tzinfo=UTC))
    secrets.set_secret("kept", "two", enabled=False)
    before = [(one.version, one.tags, one.enabled, one.created_on, one.not_before) for one in versions_of(secrets)]
    backup = secrets.backup_secret("kept")
    assert b"one" not in backup
    with pytest.raises(ResourceExistsError, match="exists"):
        secrets.restore_secret_backup(backup)
    secrets.begin_delete_secret("kept").wait()
    with pytest.raises(ResourceExistsError, match="recoverable"):
        secrets.restore_secret_backup(backup)
    secrets.purge_deleted_secret("kept")
    assert secrets.restore_secret_backup(backup).name == "kept"
    assert [(o.version, o.tags, o.enabled, o.created_on, o.not_before) for o in versions_of(secrets)] == before
    assert secrets.get_secret("kept", before[0][0] or "").value == "one"
    for wrong in (b"", b"no backup", backup[:-9], base64.b64decode(base64.b64encode(backup))[::-1]):
        with pytest.raises(HttpResponseError, match="BadParameter"):
            secrets.restore_secret_backup(wrong)
    with pytest.raises(ResourceNotFoundError):
        secrets.backup_secret("no-such")


def versions_of(secrets: SecretClient) -> list[Any]:
    return list(secrets.list_properties_of_secret_versions("kept"))


def test_a_secret_is_purged_when_its_time_is_over(server: Server, officer: str) -> None:
    house = server.house
    put(server, officer, "timed", "old")
    ask(server, "DELETE", "secrets/timed", officer)
    move(server, 90 * DAY - 60)
    token = server.token("officer later", ("Key Vault Secrets Officer", VAULT), resource=RESOURCE)
    assert ask(server, "GET", "deletedsecrets/timed", token).status_code == 200
    move(server, 60)
    assert ask(server, "GET", "deletedsecrets/timed", token).status_code == 404
    assert ask(server, "POST", "deletedsecrets/timed/recover", token).status_code == 404
    assert "timed" not in ask(server, "GET", "deletedsecrets", token).text
    put(server, token, "timed", "new")
    listed = ask(server, "GET", "secrets/timed/versions", token).json()["value"]
    assert len(listed) == 1, "the old version is gone for good"
    ask(server, "DELETE", "secrets/timed", token)
    server.run(house.vault.start())
    move(server, 91 * DAY)
    for _ in range(100):
        if house.db.read(lambda conn: conn.exec_driver_sql(_COUNT).scalar_one()) == 0:
            break
        server.run(house.vault.bin.purge_due())
    assert house.db.read(lambda conn: conn.exec_driver_sql(_COUNT).scalar_one()) == 0
    server.run(house.vault.stop())


_COUNT = "select count(*) from vault_secrets where name_key = 'timed'"


def move(server: Server, seconds: float) -> None:
    async def advance() -> None:
        server.house.clock.advance(seconds)

    server.run(advance())


def test_what_a_vault_protects_is_not_purged(server: Server, officer: str) -> None:
    vault = f"{VAULT.removesuffix('lurewire-vault')}guarded"
    owner = server.token("guarding", ("Owner", f"/subscriptions/{SUBSCRIPTION}"))
    properties = {"enablePurgeProtection": True, "softDeleteRetentionInDays": 7}
    made = server.call("PUT", vault, owner, json={"location": "local", "properties": properties})
    assert made.status_code == 201, made.text
    token = server.token("guarded officer", ("Key Vault Secrets Officer", vault), resource=RESOURCE)
    host = {"Host": "guarded.vault.azure.net"}
    shown = put(server, token, "safe", "v", headers=host).json()["attributes"]
    assert (shown["recoveryLevel"], shown["recoverableDays"]) == ("CustomizedRecoverable", 7)
    gone = ask(server, "DELETE", "secrets/safe", token, headers=host).json()
    assert gone["scheduledPurgeDate"] - gone["deletedDate"] == 7 * DAY
    assert "value" not in gone
    refused = ask(server, "DELETE", "deletedsecrets/safe", token, headers=host)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "Forbidden")
    assert "purge protection is enabled" in refused.json()["error"]["message"]
    assert ask(server, "POST", "deletedsecrets/safe/recover", token, headers=host).status_code == 200


def test_each_operation_needs_its_own_right(server: Server, officer: str) -> None:
    put(server, officer, "rights", "v")
    user = server.token("secrets user", ("Key Vault Secrets User", VAULT), resource=RESOURCE)
    assert ask(server, "GET", "secrets", user).status_code == 200, "it may see which secrets there are"
    assert ask(server, "GET", "secrets/rights/versions", user).status_code == 200
    operations = (
        ("PATCH", "secrets/rights", "update/action"),
        ("POST", "secrets/rights/backup", "backup/action"),
        ("POST", "secrets/restore", "restore/action"),
        ("DELETE", "secrets/rights", "delete"),
        ("POST", "deletedsecrets/rights/recover", "recover/action"),
        ("DELETE", "deletedsecrets/rights", "purge/action"),
    )
    for method, path, action in operations:
        answer = ask(server, method, path, user, json={})
        assert answer.status_code == 403, path
        assert f"'Microsoft.KeyVault/vaults/secrets/{action}'" in answer.json()["error"]["message"]
    known = ResourceId.parse(f"{VAULT}/secrets/rights")
    server.run(server.house.store.put(known, {"properties": {"value": "v"}}))
    one = server.token("one's user", ("Key Vault Secrets User", f"{VAULT}/secrets/rights"), resource=RESOURCE)
    assert ask(server, "GET", "secrets", one).status_code == 403
    assert ask(server, "GET", "secrets/rights/versions", one).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "secrets?maxresults=0",
        "secrets?maxresults=26",
        "secrets?maxresults=-1",
        "secrets?maxresults=two",
        "secrets?maxresults=%D9%A3",
        "secrets?maxresults=" + "9" * 5000,
        "secrets?%24skiptoken=%C3%A9",
        "secrets?%24skiptoken=a",
        "secrets?%24skiptoken=_w",
        "secrets/rights/versions?%24skiptoken=eHg",
        "deletedsecrets?maxresults=26",
        "secrets/a_b/versions",
        "deletedsecrets/a_b",
    ],
)
def test_what_does_not_fit_is_refused(server: Server, officer: str, path: str) -> None:
    answer = server.call("GET", f"/{path}{'&' if '?' in path else '?'}{QUERY}", officer)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")


@pytest.mark.parametrize("body", [{"value": 3}, {}, {"value": "é"}, {"value": "x" * 300_000}])
def test_backups_that_are_none(server: Server, officer: str, body: Any) -> None:
    answer = ask(server, "POST", "secrets/restore", officer, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")


def put(server: Server, token: str, name: str, value: str, **options: Any) -> Any:
    answer = ask(server, "PUT", f"secrets/{name}", token, json={"value": value}, **options)
    assert answer.status_code == 200, answer.text
    return answer


def ask(server: Server, method: str, path: str, token: str, **options: Any) -> Any:
    return server.call(method, f"/{path}?{QUERY}", token, **options)
