"""Endpoints with URLs of their own, where the setting asks for them: which rules a call may reach by which of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.monitor.ingestion import LogsIngestionClient

from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.ingestion.cloud import COLUMNS, ENDPOINT, GROUP, MONITOR, RULE, STREAM, TENANT, Cloud, rule_body
else:
    from ingestion.cloud import COLUMNS, ENDPOINT, GROUP, MONITOR, RULE, STREAM, TENANT, Cloud, rule_body

PUBLISHER = "Monitoring Metrics Publisher"
OTHER = ENDPOINT.replace("events-dce", "other-dce")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = Cloud(tmp_path_factory.mktemp("paths"), endpoint_paths=True)
    made.start()
    made.put(OTHER, {"location": "local", "properties": {}})
    yield made
    made.stop()


def url_of(cloud: Cloud, endpoint: str) -> str:
    shown = cloud.put(endpoint, {"location": "local", "properties": {}})["properties"]
    assert shown["logsIngestion"]["endpoint"] == f"{cloud.url()}/dataCollectionEndpoints/{shown['immutableId']}"
    return str(shown["logsIngestion"]["endpoint"])


def direct(cloud: Cloud, name: str, **more: Any) -> tuple[str, str]:
    """A direct rule's immutable id and its own URL."""
    shown = cloud.put(RULE.replace("events-dcr", name), rule_body(**more) | {"kind": "Direct"})["properties"]
    return shown["immutableId"], shown["endpoints"]["logsIngestion"]


def post(cloud: Cloud, url: str, rule: str, token: str) -> requests.Response:
    return requests.post(
        f"{url}/dataCollectionRules/{rule}/streams/{STREAM}?api-version=2023-01-01",
        json=[{"name": "x"}],
        headers={"Authorization": f"Bearer {token}"},
        verify=cloud.ca,
        timeout=30,
    )


def test_a_rule_is_reached_by_its_own_endpoint(cloud: Cloud, rule: str, token: str) -> None:
    assert post(cloud, url_of(cloud, ENDPOINT), rule, token).status_code == 204
    assert post(cloud, url_of(cloud, ENDPOINT).upper().replace("HTTPS", "https"), rule, token).status_code == 204
    for wrong in (
        url_of(cloud, OTHER),
        f"{cloud.url()}/dataCollectionEndpoints/dce-0",
        direct(cloud, "alone-dcr")[1],
        f"{cloud.url()}/dataCollectionEndpoints/{rule}",
    ):
        refused = post(cloud, wrong, rule, token)
        error = refused.json()["error"]
        assert (refused.status_code, error["code"]) == (403, "OperationFailed")
        assert "IsDcrDceBindingValid: False" in error["message"]
        assert wrong.rpartition("/")[2] in error["message"]
    assert post(cloud, cloud.url(), rule, token).status_code == 204, "the URL that was given out before"


def test_a_direct_rule_is_reached_by_its_url_and_by_its_endpoint(cloud: Cloud, rule: str, token: str) -> None:
    both, own = direct(cloud, "both-dcr")
    alone, _ = direct(cloud, "alone-dcr", dataCollectionEndpointId=None)
    assert post(cloud, own, both, token).status_code == 204
    assert post(cloud, url_of(cloud, ENDPOINT), both, token).status_code == 204
    assert post(cloud, url_of(cloud, OTHER), both, token).status_code == 403
    assert post(cloud, url_of(cloud, ENDPOINT), alone, token).status_code == 403
    assert post(cloud, own, rule, token).status_code == 403


def test_an_endpoint_without_public_access_and_one_that_is_gone(cloud: Cloud, rule: str, token: str) -> None:
    assert post(cloud, cloud.url(), rule, token).status_code == 204
    third = ENDPOINT.replace("events-dce", "third-dce")
    url = url_of(cloud, third)
    reached, _ = direct(cloud, "third-dcr", dataCollectionEndpointId=third)
    assert post(cloud, url, reached, token).status_code == 204
    closed = {"networkAcls": {"publicNetworkAccess": "Disabled"}}
    cloud.put(third, {"location": "local", "properties": closed})
    assert "public networks" in post(cloud, url, reached, token).json()["error"]["message"]
    cloud.run(cloud.store.delete(ResourceId.parse(third)))
    assert post(cloud, url, reached, token).status_code == 403


def test_microsofts_client_keeps_the_path(cloud: Cloud, rule: str) -> None:
    app_id, secret = cloud.app("sdk with a path", (PUBLISHER, GROUP))
    credential = ClientSecretCredential(
        TENANT, app_id, secret, authority=cloud.url(), disable_instance_discovery=True, connection_verify=cloud.ca
    )

    def client(endpoint: str) -> LogsIngestionClient:
        scopes = [f"{MONITOR}/.default"]
        return LogsIngestionClient(endpoint, credential, credential_scopes=scopes, connection_verify=cloud.ca)

    client(url_of(cloud, ENDPOINT)).upload(rule, STREAM, [{"name": "by path"}])
    cloud.settle()
    assert cloud.query("Events_CL | where name == 'by path' | count") == [(1,)]
    with pytest.raises(HttpResponseError) as caught:
        client(url_of(cloud, OTHER)).upload(rule, STREAM, [{"name": "by path"}])
    assert caught.value.status_code == 403


def test_urls_go_on_working_without_the_setting(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    cloud.start()
    try:
        cloud.table("Events_CL", COLUMNS)
        rule = cloud.rule("events-dcr", rule_body())
        token = cloud.token("publisher", (PUBLISHER, RULE))
        shown = cloud.put(ENDPOINT, {"location": "local", "properties": {}})["properties"]
        assert shown["logsIngestion"]["endpoint"] == cloud.url()
        for path in ("", f"/dataCollectionEndpoints/{shown['immutableId']}", "/dataCollectionEndpoints/dce-other"):
            assert post(cloud, cloud.url() + path, rule, token).status_code == 204
    finally:
        cloud.stop()
