"""Every credential of azure-identity that a server can serve, each used by a client, as its documentation shows it."""

from __future__ import annotations

import asyncio
import base64
import os
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import azure.identity.aio
import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    CredentialUnavailableError,
    DefaultAzureCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from azure.monitor.query import LogsQueryClient, LogsQueryResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from lurewire.cli.env import lines
from lurewire.supervisor import read_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def certificate(started: Started, place: Place, key: rsa.RSAPrivateKey) -> x509.Certificate:
    """A self-signed certificate of `key`, added to the app."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "quickstart")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    now = x509.load_pem_x509_certificate(Path(started.ca).read_bytes())
    builder = builder.not_valid_before(now.not_valid_before_utc).not_valid_after(now.not_valid_after_utc)
    signed = builder.sign(key, hashes.SHA256())
    pem = signed.public_bytes(serialization.Encoding.PEM).decode()
    started.ask("/apps/certificates", {"name": "quickstart", "pem": pem})
    return signed


@pytest.fixture(scope="module")
def pem(key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> bytes:
    """Key and certificate in one file's bytes."""
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def assertion(place: Place, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> Callable[[], str]:
    """What a client that signs for itself sends: made anew at each call."""

    def make() -> str:
        now = int(time.time())
        claims = {
            "aud": f"{place.endpoint}/{place.tenant_id}/oauth2/v2.0/token",
            "iss": place.client_id,
            "sub": place.client_id,
            "jti": str(uuid.uuid4()),
            "nbf": now,
            "exp": now + 300,
        }
        thumbprint = base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).decode().rstrip("=")
        return jwt.encode(claims, key, "PS256", {"x5t#S256": thumbprint})

    return make


@OWN
def test_a_certificate(place: Place, pem: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = place.credential | place.client
    use(place, CertificateCredential(place.tenant_id, place.client_id, certificate_data=pem, **more))
    chained = CertificateCredential(
        place.tenant_id, place.client_id, certificate_data=pem, send_certificate_chain=True, **more
    )
    use(place, chained)
    file = tmp_path / "client.pem"
    file.write_bytes(pem)
    monkeypatch.setenv("AZURE_TENANT_ID", place.tenant_id)
    monkeypatch.setenv("AZURE_CLIENT_ID", place.client_id)
    monkeypatch.delenv("AZURE_CLIENT_SECRET", raising=False)
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", str(file))
    use(place, EnvironmentCredential(**more))
    monkeypatch.setenv("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "true")
    use(place, EnvironmentCredential(**more))


@OWN
def test_a_certificate_with_its_key_in_a_pkcs12_file(
    place: Place, key: rsa.RSAPrivateKey, certificate: x509.Certificate, tmp_path: Path
) -> None:
    file = tmp_path / "client.pfx"
    locked = serialization.BestAvailableEncryption(b"pass")
    file.write_bytes(pkcs12.serialize_key_and_certificates(b"quickstart", key, certificate, None, locked))
    more = place.credential | place.client
    use(place, CertificateCredential(place.tenant_id, place.client_id, str(file), password="pass", **more))


@OWN
def test_assertions_that_the_client_signs(place: Place, assertion: Callable[[], str]) -> None:
    more = place.credential | place.client
    use(place, ClientAssertionCredential(place.tenant_id, place.client_id, assertion, **more))


@OWN
def test_a_workload_reads_its_assertion_from_a_file(
    place: Place, assertion: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(assertion())
    more = place.credential | place.client
    use(
        place,
        WorkloadIdentityCredential(
            tenant_id=place.tenant_id, client_id=place.client_id, token_file_path=str(file), **more
        ),
    )
    for name in [name for name in os.environ if name.startswith(("AZURE_", "IDENTITY_", "MSI_"))]:
        monkeypatch.delenv(name)
    values = {"TENANT_ID": place.tenant_id, "CLIENT_ID": place.client_id, "FEDERATED_TOKEN_FILE": str(file)}
    values |= {"AUTHORITY_HOST": place.endpoint, "TOKEN_CREDENTIALS": "workloadidentitycredential"}
    for name, value in values.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    use(place, DefaultAzureCredential(**more))
    file.write_text("a.b.c")
    stale = WorkloadIdentityCredential(
        tenant_id=place.tenant_id, client_id=place.client_id, token_file_path=str(file), **more
    )
    with pytest.raises(ClientAuthenticationError, match="AADSTS50027"):
        stale.get_token("https://monitor.azure.com/.default")


@OWN
def test_managed_identities(started: Started, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    made = started.ask("/identities", {"name": "machine", "roles": [READER], "scope": None})
    resource_id = f"{started.group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/machine"
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", place.endpoint)
    token = ManagedIdentityCredential(**place.client).get_token("https://monitor.azure.com/.default").token
    object_id = jwt.decode(token, options={"verify_signature": False})["oid"]
    ways: tuple[dict[str, Any], ...] = (
        {},
        {"client_id": made["client_id"]},
        {"identity_config": {"resource_id": resource_id}},
        {"identity_config": {"mi_res_id": resource_id}},
        {"identity_config": {"object_id": object_id}},
    )
    stranger: dict[str, Any] = {"client_id": "6a5b4c3d-0000-4000-8000-00000000ffff"}
    for way in ways:
        use(place, ManagedIdentityCredential(**way, **place.client))
    use(place, DefaultAzureCredential(managed_identity_client_id=made["client_id"], **place.client))
    with pytest.raises(CredentialUnavailableError):
        ManagedIdentityCredential(**stranger, **place.client).get_token("https://monitor.azure.com/.default")
    monkeypatch.delenv("AZURE_POD_IDENTITY_AUTHORITY_HOST")
    monkeypatch.setenv("IDENTITY_ENDPOINT", made["endpoint"])
    monkeypatch.setenv("IDENTITY_HEADER", made["header"])
    for way in ways:
        use(place, ManagedIdentityCredential(**way, **place.client))
    use(place, DefaultAzureCredential(**place.client))
    with pytest.raises(ClientAuthenticationError):
        ManagedIdentityCredential(**stranger, **place.client).get_token("https://monitor.azure.com/.default")
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


@OWN
async def test_the_async_credentials_of_machines(
    started: Started, place: Place, pem: bytes, assertion: Callable[[], str], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(assertion())
    more = place.credential | place.client
    aio, who = azure.identity.aio, {"tenant_id": place.tenant_id, "client_id": place.client_id}
    for credential in (
        aio.CertificateCredential(certificate_data=pem, **who, **more),
        aio.ClientAssertionCredential(func=assertion, **who, **more),
        aio.WorkloadIdentityCredential(token_file_path=str(file), **who, **more),
    ):
        async with credential:
            assert (await credential.get_token("https://vault.azure.net/.default")).token


def test_what_proves_nothing_is_refused(place: Place) -> None:
    more = place.credential | place.client
    assertion = ClientAssertionCredential(place.tenant_id, place.client_id, lambda: "a.b.c", **more)
    with pytest.raises(ClientAuthenticationError, match="AADSTS"):
        assertion.get_token("https://monitor.azure.com/.default")
    stranger = ClientSecretCredential(place.tenant_id, "6a5b4c3d-0000-4000-8000-00000000ffff", "x", **more)
    with pytest.raises(ClientAuthenticationError, match="AADSTS700016"):
        stranger.get_token("https://monitor.azure.com/.default")
