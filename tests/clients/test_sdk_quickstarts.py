"""The Azure SDKs' own quick-starts, unmodified, with only the settings that `lurewire env` prints.

With LUREWIRE_REAL_AZURE=1 and the variables named in `_real` the same tests run against real Azure.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient
from azure.monitor.ingestion import LogsIngestionClient
from azure.monitor.query import LogsQueryClient, LogsQueryStatus

from lurewire.supervisor import ask_control

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.supervisor import Running

REAL = os.environ.get("LUREWIRE_REAL_AZURE") == "1"


@dataclass
class Place:
    """Where the clients go, and with what."""

    tenant_id: str
    client_id: str
    client_secret: str
    endpoint: str
    workspace_id: str
    rule_id: str
    vault_url: str
    credential: dict[str, Any]
    client: dict[str, Any]
    query: dict[str, Any]
    vault: dict[str, Any]

    def sign_in(self, secret: str | None = None) -> ClientSecretCredential:
        return ClientSecretCredential(
            self.tenant_id, self.client_id, secret or self.client_secret, **self.credential, **self.client
        )


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    if REAL:
        return _real()
    now: Running = request.getfixturevalue("now")
    facts = now.facts
    roles = ["Monitoring Metrics Publisher", "Log Analytics Reader", "Key Vault Secrets Officer"]
    made = ask_control(now.control, "/apps", {"name": "quickstart", "roles": roles, "scope": None})
    return Place(
        tenant_id=facts["tenant_id"],
        client_id=made["client_id"],
        client_secret=made["client_secret"],
        endpoint=now.url,
        workspace_id=facts["workspace_id"],
        rule_id=facts["dcrs"]["trapeye-dcr"],
        vault_url=now.url,
        credential={"authority": now.url, "disable_instance_discovery": True},
        client={"connection_verify": facts["ca"]},
        query={"endpoint": now.url, "audience": "https://api.loganalytics.io"},
        vault={"verify_challenge_resource": False},
    )


def _real() -> Place:
    value = os.environ
    return Place(
        tenant_id=value["AZURE_TENANT_ID"],
        client_id=value["AZURE_CLIENT_ID"],
        client_secret=value["AZURE_CLIENT_SECRET"],
        endpoint=value["LUREWIRE_DCE"],
        workspace_id=value["LUREWIRE_WORKSPACE_ID"],
        rule_id=value["LUREWIRE_DCR_TRAPEYE_DCR"],
        vault_url=value["LUREWIRE_VAULT_URL"],
        credential={},
        client={},
        query={},
        vault={},
    )


def threat(threat_uuid: str) -> dict[str, Any]:
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
    }


async def test_upload_then_query(place: Place, eventually: Callable[..., Any]) -> None:
    credential = place.sign_in()
    known = str(uuid.uuid4())
    with LogsIngestionClient(place.endpoint, credential, **place.client) as client:
        client.upload(rule_id=place.rule_id, stream_name="Custom-TrapEye_Threats_CL", logs=[threat(known)])
    query = f"TrapEye_Threats_CL | where threat_uuid == '{known}' | project TimeGenerated, Product, Vendor, source_ip"
    with LogsQueryClient(credential, **place.query, **place.client) as queries:

        async def arrived() -> bool:
            answer = queries.query_workspace(place.workspace_id, query, timespan=timedelta(days=1))
            assert answer.status == LogsQueryStatus.SUCCESS
            table = answer.tables[0]
            assert table.columns == ["TimeGenerated", "Product", "Vendor", "source_ip"]
            if not table.rows:
                return False
            row = table.rows[0]
            assert isinstance(row["TimeGenerated"], datetime)
            assert (row["Product"], row["Vendor"], row["source_ip"]) == ("TrapEye", "Anantis", "198.51.100.77")
            return True

        await eventually(arrived, 600 if REAL else 20)


def test_wrong_secret(place: Place) -> None:
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        place.sign_in("wrong").get_token("https://monitor.azure.com/.default")


def test_unknown_rule_and_stream(place: Place) -> None:
    with LogsIngestionClient(place.endpoint, place.sign_in(), **place.client) as client:
        with pytest.raises(ResourceNotFoundError, match="dcr-"):
            client.upload(rule_id="dcr-" + "0" * 32, stream_name="Custom-TrapEye_Threats_CL", logs=[{}])
        with pytest.raises(HttpResponseError) as raised:
            client.upload(rule_id=place.rule_id, stream_name="Custom-Nothing_CL", logs=[{}])
        assert raised.value.status_code == 400


def test_query_errors_say_where(place: Place) -> None:
    with LogsQueryClient(place.sign_in(), **place.query, **place.client) as client:
        with pytest.raises(HttpResponseError) as raised:
            client.query_workspace(place.workspace_id, "TrapEye_Threats_CL | where nothing == 1", timespan=None)
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
