"""The quick-starts of azure-monitor-ingestion, azure-monitor-query and azure-keyvault-secrets, unmodified (`places`)."""

from __future__ import annotations

import asyncio
import io
import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import azure.identity.aio
import azure.keyvault.secrets.aio
import azure.monitor.ingestion.aio
import azure.monitor.query.aio
import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.keyvault.secrets import SecretClient
from azure.monitor.ingestion import LogsIngestionClient, LogsUploadError
from azure.monitor.query import (
    LogsBatchQuery,
    LogsQueryClient,
    LogsQueryError,
    LogsQueryPartialResult,
    LogsQueryResult,
    LogsQueryStatus,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from tests.clients.places import MOST_ROWS, REAL, STREAM, WAIT_SECONDS, Place, of_azure, of_lurewire
    from tests.testbench.started import Started
else:
    from clients.places import MOST_ROWS, REAL, STREAM, WAIT_SECONDS, of_azure, of_lurewire
    from testbench.started import Started

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if REAL:
        yield of_azure()
        return
    started = Started(tmp_path_factory.mktemp("quickstart"), limits={"workspace.query_rows": MOST_ROWS}).start()
    yield of_lurewire(started)
    started.stop()


@pytest.fixture(scope="module")
def queries(place: Place) -> Iterator[LogsQueryClient]:
    with LogsQueryClient(place.sign_in(), **place.query, **place.client) as client:
        yield client


@pytest.fixture(scope="module")
def uploads(place: Place) -> Iterator[LogsIngestionClient]:
    with LogsIngestionClient(place.endpoint, place.sign_in(), **place.client) as client:
        yield client


def threat(threat_uuid: str, **more: Any) -> MutableMapping[str, Any]:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f321Z")
    return {
        "@meta": {"product": "TrapEye", "vendor": "Anantis"},
        "event": "new_threat",
        "event_type": "new_threat",
        "entity_uuid": str(uuid.uuid4()),
        "first_interaction": at,
        "last_interaction": at,
        "reverse_lookup": "",
        "source_asn": "",
        "source_country": "",
        "source_ip": "198.51.100.77",
        "threat_uuid": threat_uuid,
    } | more


def of_threat(threat_uuid: str) -> str:
    return (
        f"TrapEye_Threats_CL | where threat_uuid == '{threat_uuid}' | project TimeGenerated, Product, Vendor, source_ip"
    )


def wait_for(queries: LogsQueryClient, place: Place, threat_uuid: str, rows: int = 1) -> Any:
    """The table, once it has so many rows."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        answer = queries.query_workspace(place.workspace_id, of_threat(threat_uuid), timespan=DAY)
        assert isinstance(answer, LogsQueryResult)
        if len(answer.tables[0].rows) >= rows:
            return answer.tables[0]
        assert time.monotonic() < deadline, "the rows did not arrive"
        time.sleep(5 if REAL else 0.05)


def test_upload_then_query(place: Place, uploads: LogsIngestionClient, queries: LogsQueryClient) -> None:
    known = str(uuid.uuid4())
    uploads.upload(rule_id=place.rule_id, stream_name=STREAM, logs=[threat(known)])
    table = wait_for(queries, place, known)
    assert table.columns == ["TimeGenerated", "Product", "Vendor", "source_ip"]
    row = table.rows[0]
    assert isinstance(row["TimeGenerated"], datetime)
    assert (row["Product"], row["Vendor"], row["source_ip"]) == ("TrapEye", "Anantis", "198.51.100.77")


def test_uploads_of_several_chunks_and_of_a_file(
    place: Place, uploads: LogsIngestionClient, queries: LogsQueryClient
) -> None:
    known = str(uuid.uuid4())
    rows = [threat(known, reverse_lookup="x" * 60_000) for _ in range(40)]
    uploads.upload(rule_id=place.rule_id, stream_name=STREAM, logs=rows)
    file = io.BytesIO(json.dumps([threat(known)]).encode())
    uploads.upload(rule_id=place.rule_id, stream_name=STREAM, logs=file)
    assert len(wait_for(queries, place, known, 41).rows) == 41


def test_on_error_is_told_which_logs_failed(place: Place, uploads: LogsIngestionClient) -> None:
    failed: list[LogsUploadError] = []
    logs = [threat("x", reverse_lookup="x" * 60_000) for _ in range(20)]
    uploads.upload(rule_id=place.rule_id, stream_name="Custom-Nothing_CL", logs=logs, on_error=failed.append)
    assert len(failed) == 2, "one for each chunk, and the upload goes on"
    assert sum(len(one.failed_logs) for one in failed) == 20
    assert all(isinstance(one.error, HttpResponseError) for one in failed)
    with pytest.raises(HttpResponseError) as raised:
        uploads.upload(rule_id=place.rule_id, stream_name="Custom-Nothing_CL", logs=logs)
    assert raised.value.status_code == 400


def test_unknown_rule(place: Place, uploads: LogsIngestionClient) -> None:
    with pytest.raises(ResourceNotFoundError, match="dcr-"):
        uploads.upload(rule_id="dcr-" + "0" * 32, stream_name=STREAM, logs=[{}])


def test_wrong_secret(place: Place) -> None:
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        place.sign_in("wrong").get_token("https://monitor.azure.com/.default")


async def test_the_async_clients(place: Place) -> None:
    known = str(uuid.uuid4())
    credential = azure.identity.aio.ClientSecretCredential(
        place.tenant_id, place.client_id, place.client_secret, **place.credential, **place.client
    )
    async with (
        credential,
        azure.monitor.ingestion.aio.LogsIngestionClient(place.endpoint, credential, **place.client) as uploads,
        azure.monitor.query.aio.LogsQueryClient(credential, **place.query, **place.client) as queries,
        azure.keyvault.secrets.aio.SecretClient(place.vault_url, credential, **place.vault, **place.client) as vault,
    ):
        await uploads.upload(rule_id=place.rule_id, stream_name=STREAM, logs=[threat(known)])
        failed: list[LogsUploadError] = []

        async def note(error: LogsUploadError) -> None:
            failed.append(error)

        await uploads.upload(rule_id=place.rule_id, stream_name="Custom-Nothing_CL", logs=[{}], on_error=note)
        assert [one.failed_logs for one in failed] == [[{}]]
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            answer = await queries.query_workspace(place.workspace_id, of_threat(known), timespan=DAY)
            assert isinstance(answer, LogsQueryResult)
            if answer.tables[0].rows:
                break
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        name = f"quickstart-{uuid.uuid4().hex[:8]}"
        assert (await vault.set_secret(name, "one")).value == "one"
        assert (await vault.get_secret(name)).value == "one"


def test_every_type_arrives_as_the_sdk_gives_it(place: Place, queries: LogsQueryClient) -> None:
    query = """print b = true, i = int(1), l = 2, r = 0.5, d = decimal(1.25), t = datetime(2026-01-01T00:00:00.1234567Z),
        s = 'text', span = time(1.02:03:04), g = guid(6a5b4c3d-0000-4000-8000-000000000001), y = dynamic({"a": 1}), n = int(null)"""
    answer = queries.query_workspace(place.workspace_id, query, timespan=None)
    assert isinstance(answer, LogsQueryResult)
    [table] = answer.tables
    kinds = ["bool", "int", "long", "real", "decimal", "datetime", "string", "timespan", "guid", "dynamic", "int"]
    assert table.columns_types == kinds
    row = list(table.rows[0])
    assert row == [
        True, 1, 2, 0.5, "1.25", datetime(2026, 1, 1, 0, 0, 0, 123456, UTC), "text", "1.02:03:04",
        "6a5b4c3d-0000-4000-8000-000000000001", '{"a":1}', None,
    ]  # fmt: skip


def test_timespans_of_every_form(place: Place, queries: LogsQueryClient) -> None:
    now = datetime.now(UTC)
    for timespan in (DAY, (now - DAY, now), (now - DAY, DAY), None):
        answer = queries.query_workspace(place.workspace_id, "TrapEye_Threats_CL | count", timespan=timespan)
        assert answer.status == LogsQueryStatus.SUCCESS, timespan


def test_statistics_and_visualization(place: Place, queries: LogsQueryClient) -> None:
    answer = queries.query_workspace(
        place.workspace_id,
        "range x from 1 to 3 step 1 | render columnchart with (title='three')",
        timespan=None,
        server_timeout=60,
        include_statistics=True,
        include_visualization=True,
    )
    assert isinstance(answer, LogsQueryResult)
    assert answer.statistics
    assert answer.statistics["query"]["executionTime"] >= 0
    assert answer.visualization
    assert (answer.visualization["visualization"], answer.visualization["title"]) == ("columnchart", "three")


def test_a_result_that_is_too_large_is_partial(place: Place, queries: LogsQueryClient) -> None:
    query = f"range x from 1 to {MOST_ROWS + 1} step 1"
    answer = queries.query_workspace(place.workspace_id, query, timespan=None)
    assert isinstance(answer, LogsQueryPartialResult)
    assert len(answer.partial_data[0].rows) == MOST_ROWS
    assert answer.partial_error
    assert answer.partial_error.code == "PartialError"


def test_a_batch(place: Place, queries: LogsQueryClient) -> None:
    answers = queries.query_batch(
        [
            LogsBatchQuery(workspace_id=place.workspace_id, query="print x = 1", timespan=DAY),
            LogsBatchQuery(workspace_id=place.workspace_id, query="print nonsense(", timespan=None),
            LogsBatchQuery(
                workspace_id=place.workspace_id, query="print x = 3", timespan=None, include_statistics=True
            ),
            LogsBatchQuery(
                workspace_id=place.workspace_id, query=f"range x from 0 to {MOST_ROWS} step 1", timespan=None
            ),
        ]
    )
    first, wrong, third, large = answers
    assert isinstance(first, LogsQueryResult)
    assert first.tables[0].rows[0]["x"] == 1
    assert isinstance(wrong, LogsQueryError)
    assert wrong.code == "BadArgumentError"
    assert isinstance(third, LogsQueryResult)
    assert third.statistics
    assert isinstance(large, LogsQueryPartialResult)


def test_queries_of_a_resource(place: Place, queries: LogsQueryClient) -> None:
    answer = queries.query_resource(place.resource_id, "TrapEye_Threats_CL | count", timespan=DAY)
    assert isinstance(answer, LogsQueryResult)
    assert answer.tables[0].columns == ["Count"]


def test_query_errors_say_where(place: Place, queries: LogsQueryClient) -> None:
    with pytest.raises(HttpResponseError) as raised:
        queries.query_workspace(place.workspace_id, "TrapEye_Threats_CL | where nothing == 1", timespan=None)
    assert raised.value.status_code == 400
    assert "Failed to resolve" in str(raised.value)
    assert "'nothing'" in str(raised.value)


def test_vault_quickstart(place: Place) -> None:
    name = f"quickstart-{uuid.uuid4().hex[:8]}"
    with SecretClient(place.vault_url, place.sign_in(), **place.vault, **place.client) as client:
        assert client.set_secret(name, "one").value == "one"
        client.set_secret(name, "two")
        read = client.get_secret(name)
        assert (read.name, read.value) == (name, "two")
        with pytest.raises(ResourceNotFoundError, match="SecretNotFound"):
            client.get_secret("no-such-secret")


def test_vault_quickstart_of_a_secrets_life(place: Place) -> None:
    """What the README of azure-keyvault-secrets shows, one after the other."""
    name = f"quickstart-{uuid.uuid4().hex[:8]}"
    with SecretClient(place.vault_url, place.sign_in(), **place.vault, **place.client) as client:
        client.set_secret(name, "one")
        client.set_secret(name, "two", tags={"by": "lurewire"})
        changed = client.update_secret_properties(name, content_type="text/plain", tags={"foo": "updated tag"})
        assert (changed.content_type, changed.tags) == ("text/plain", {"foo": "updated tag"})
        assert name in [one.name for one in client.list_properties_of_secrets()]
        pages = client.list_properties_of_secret_versions(name, max_page_size=1).by_page()
        assert [len(list(page)) for page in pages if page][:2] == [1, 1]
        backup = client.backup_secret(name)
        deletion = client.begin_delete_secret(name)
        assert deletion.result().recovery_id
        deletion.wait()
        assert name in [one.name for one in client.list_deleted_secrets()]
        recovery = client.begin_recover_deleted_secret(name)
        recovery.wait()
        assert client.get_secret(name).value == "two"
        client.begin_delete_secret(name).wait()
        client.purge_deleted_secret(name)
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                restored = client.restore_secret_backup(backup)
                break
            except HttpResponseError:  # Azure purges in its own time
                assert time.monotonic() < deadline
        assert (restored.name, restored.tags) == (name, {"foo": "updated tag"})


async def test_vault_quickstart_asynchronous(place: Place) -> None:
    name = f"quickstart-{uuid.uuid4().hex[:8]}"
    async with (
        azure.identity.aio.ClientSecretCredential(
            place.tenant_id, place.client_id, place.client_secret, **place.credential, **place.client
        ) as credential,
        azure.keyvault.secrets.aio.SecretClient(place.vault_url, credential, **place.vault, **place.client) as vault,
    ):
        await vault.set_secret(name, "one")
        assert name in [one.name async for one in vault.list_properties_of_secrets()]
        deleted = await vault.delete_secret(name)
        assert deleted.scheduled_purge_date
        assert (await vault.recover_deleted_secret(name)).name == name
        await vault.delete_secret(name)
        await vault.purge_deleted_secret(name)
