"""Every credential of azure-identity that a server can serve, each used by a client, as its documentation shows it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import azure.identity.aio
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
)
from azure.monitor.query import LogsQueryClient, LogsQueryResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from lurewire.cli.env import lines
from lurewire.supervisor import read_runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.clients.places import REAL, Place, of_azure, of_lurewire
    from tests.testbench.started import Started
else:
    from clients.places import REAL, of_azure, of_lurewire
    from testbench.started import Started

READER = "Log Analytics Reader"
OWN = pytest.mark.skipif(REAL, reason="sets up an app or identity of its own: only in a Lurewire")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started | None]:
    if REAL:
        yield None
        return
    running = Started(tmp_path_factory.mktemp("credentials"), identity__imds="machine").start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def place(started: Started | None) -> Place:
    return of_azure() if started is None else of_lurewire(started)


@pytest.fixture
def shell(started: Started | None, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `lurewire env` and `lurewire app create` print, in this process's environment."""
    if started is None:
        return
    for name in [name for name in os.environ if name.startswith(("AZURE_", "IDENTITY_", "MSI_"))]:
        monkeypatch.delenv(name)
    for line in lines(read_runtime(started.folder)).splitlines():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            monkeypatch.setenv(name, value.strip("'"))
    monkeypatch.setenv("AZURE_CLIENT_ID", place.client_id)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", place.client_secret)


def use(place: Place, credential: Any) -> None:
    with LogsQueryClient(credential, **place.query, **place.client) as client:
        answer = client.query_workspace(place.workspace_id, "print x = 1", timespan=None)
    assert isinstance(answer, LogsQueryResult)
    assert answer.tables[0].rows[0]["x"] == 1


def test_a_client_secret(place: Place) -> None:
    use(place, place.sign_in())


def test_the_environment(place: Place, shell: None) -> None:
    discovery = {} if REAL else {"disable_instance_discovery": True}
    use(place, EnvironmentCredential(**discovery))
    use(place, DefaultAzureCredential(**discovery))


@OWN
def test_an_app_and_its_newer_secret(started: Started, place: Place) -> None:
    newer = started.ask("/apps/secrets", {"name": "quickstart", "days": 1})
    use(place, place.sign_in(newer["client_secret"]))
    use(place, place.sign_in())


def key_and_certificate(started: Started) -> bytes:
    """A self-signed certificate, added to an app of its own, with its key: PEM."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "quickstart")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    now = x509.load_pem_x509_certificate(Path(started.ca).read_bytes())
    certificate = builder.not_valid_before(now.not_valid_before_utc).not_valid_after(now.not_valid_after_utc)
    signed = certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    started.ask("/apps/certificates", {"name": "quickstart", "pem": signed.decode()})
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + signed


@OWN
def test_a_certificate(started: Started, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = key_and_certificate(started)
    more = place.credential | place.client
    use(place, CertificateCredential(place.tenant_id, place.client_id, certificate_data=pem, **more))
    file = tmp_path / "client.pem"
    file.write_bytes(pem)
    monkeypatch.setenv("AZURE_TENANT_ID", place.tenant_id)
    monkeypatch.setenv("AZURE_CLIENT_ID", place.client_id)
    monkeypatch.delenv("AZURE_CLIENT_SECRET", raising=False)
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", str(file))
    use(place, EnvironmentCredential(**more))


@OWN
def test_managed_identities(started: Started, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    made = started.ask("/identities", {"name": "machine", "roles": [READER], "scope": None})
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", place.endpoint)
    use(place, ManagedIdentityCredential(**place.client))
    monkeypatch.delenv("AZURE_POD_IDENTITY_AUTHORITY_HOST")
    monkeypatch.setenv("IDENTITY_ENDPOINT", made["endpoint"])
    monkeypatch.setenv("IDENTITY_HEADER", made["header"])
    use(place, ManagedIdentityCredential(**place.client))
    use(place, ManagedIdentityCredential(client_id=made["client_id"], **place.client))
    use(place, DefaultAzureCredential(**place.client))
    monkeypatch.setenv("AZURE_CLIENT_ID", made["client_id"])
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "managedidentitycredential")
    use(place, DefaultAzureCredential(**place.client))


async def test_the_async_credentials(place: Place) -> None:
    more = place.credential | place.client
    async with azure.identity.aio.ClientSecretCredential(
        place.tenant_id, place.client_id, place.client_secret, **more
    ) as credential:
        tokens = await asyncio.gather(
            *(
                credential.get_token(f"{resource}/.default")
                for resource in ("https://monitor.azure.com", "https://api.loganalytics.io", "https://vault.azure.net")
            )
        )
    assert len({one.token for one in tokens}) == 3


def test_what_proves_nothing_is_refused(place: Place) -> None:
    more = place.credential | place.client
    assertion = ClientAssertionCredential(place.tenant_id, place.client_id, lambda: "a.b.c", **more)
    with pytest.raises(ClientAuthenticationError, match="AADSTS"):
        assertion.get_token("https://monitor.azure.com/.default")
    stranger = ClientSecretCredential(place.tenant_id, "6a5b4c3d-0000-4000-8000-00000000ffff", "x", **more)
    with pytest.raises(ClientAuthenticationError, match="AADSTS700016"):
        stranger.get_token("https://monitor.azure.com/.default")
