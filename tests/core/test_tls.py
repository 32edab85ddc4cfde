from __future__ import annotations

import ipaddress
import socket
import ssl
import stat
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import aiohttp
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lurewire.core.clock import ManualClock, SystemClock
from lurewire.core.tls import Certificates, NotALocalName, ensure_certificates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NAMES = ("localhost", "127.0.0.1", "::1")


def forge(folder: Path, names: Sequence[x509.GeneralName], common_name: str = "x") -> tuple[Path, Path]:
    """What somebody with the stolen CA key would sign."""
    ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    ca_key = serialization.load_pem_private_key((folder / "ca-key.pem").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    pem = serialization.Encoding.PEM
    certificate_file, key_file = folder / "forged.pem", folder / "forged-key.pem"
    certificate_file.write_bytes(builder.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    key_file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    return certificate_file, key_file


def shake_hands(certificate: Path, key: Path, ca: Path, name: str, *, strict: bool = False) -> None:
    """A TLS handshake of Python's own client with a server that has `certificate`; raises what the client raises."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    client_side = ssl.create_default_context(cafile=str(ca))
    if strict:
        client_side.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    client = client_side.wrap_bio(to_client, to_server, server_hostname=name)
    waiting = [client, server]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)


@contextmanager
def serving(files: Certificates, address: str) -> Iterator[int]:
    class Hello(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            pass

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with Server((address, 0), Hello) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def ask(url: str, *, verify: str | bool = True) -> int:
    return requests.get(url, verify=verify, timeout=10).status_code


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return ensure_certificates(tmp_path / "tls", NAMES, SystemClock())


@pytest.mark.parametrize(
    "names",
    [
        [x509.DNSName("example.com")],
        [x509.DNSName("login.microsoftonline.com")],
        [x509.DNSName("localhost.example.com")],
        [x509.DNSName("notlocalhost")],
        [x509.DNSName("localhost"), x509.DNSName("example.com")],
        [x509.IPAddress(ipaddress.ip_address("20.190.128.1"))],
        [x509.IPAddress(ipaddress.ip_address("2603:1030::1"))],
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.IPAddress(ipaddress.ip_address("8.8.8.8"))],
    ],
)
def test_a_stolen_ca_key_is_worth_nothing_for_names_of_others(
    files: Certificates, names: list[x509.GeneralName]
) -> None:
    certificate, key = forge(files.ca.parent, names)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        shake_hands(certificate, key, files.ca, str(names[-1].value))


def test_a_common_name_does_not_get_past_the_constraints(files: Certificates) -> None:
    certificate, key = forge(files.ca.parent, [], "example.com")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"permitted subtree violation|Hostname mismatch"):
        shake_hands(certificate, key, files.ca, "example.com")


def test_the_same_forger_could_vouch_for_a_local_name(files: Certificates) -> None:
    """The check of the checks: what `forge` makes is refused for its names alone."""
    certificate, key = forge(files.ca.parent, [x509.DNSName("box.internal")])
    shake_hands(certificate, key, files.ca, "box.internal")


def test_the_ca_cannot_make_another_ca_nor_sign_code(files: Certificates) -> None:
    ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
    constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.path_length) == (True, 0)
    assert ca.extensions.get_extension_for_class(x509.NameConstraints).critical
    usage = ca.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_server_certificate_is_accepted(files: Certificates, name: str, strict: bool) -> None:
    shake_hands(files.certificate, files.key, files.ca, name, strict=strict)


@pytest.mark.parametrize("name", ["127.0.0.1", "::1", "10.1.2.3", "fd00::5", "Lurewire.Home.Arpa", "a.b.internal"])
def test_one_name_of_any_local_kind_is_enough(tmp_path: Path, name: str) -> None:
    files = ensure_certificates(tmp_path, [name], SystemClock())
    shake_hands(files.certificate, files.key, files.ca, name, strict=True)


@pytest.mark.parametrize(
    ("address", "host"), [("127.0.0.1", "localhost"), ("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")]
)
async def test_real_clients_accept_the_ca_file_alone_and_the_bundle(
    files: Certificates, address: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(files, address) as port:
        url = f"https://{host}:{port}/"
        for trusted in (files.ca, files.bundle):
            assert ask(url, verify=str(trusted)) == 204
            context = ssl.create_default_context(cafile=str(trusted))
            async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as response:
                assert response.status == 204
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files.bundle))
        assert ask(url) == 204
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with pytest.raises(requests.exceptions.SSLError):
            ask(url)


def test_the_bundle_trusts_the_public_too(files: Certificates) -> None:
    context = ssl.create_default_context(cafile=str(files.bundle))
    assert context.cert_store_stats()["x509_ca"] > 50


def test_nothing_is_made_again_without_need(files: Certificates, tmp_path: Path) -> None:
    before = {p.name: p.read_bytes() for p in (tmp_path / "tls").iterdir()}
    assert ensure_certificates(tmp_path / "tls", NAMES[:2], SystemClock()) == files
    assert {p.name: p.read_bytes() for p in (tmp_path / "tls").iterdir()} == before


def test_keys_and_their_folder_are_private(files: Certificates) -> None:
    folder = files.ca.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {p.name for p in folder.glob("*-key.pem") if stat.S_IMODE(p.stat().st_mode) == 0o600} == {
        "ca-key.pem",
        "server-key.pem",
    }


def test_the_server_certificate_is_renewed_in_time_by_the_same_ca(tmp_path: Path) -> None:
    clock = ManualClock(datetime.now(UTC))
    files = ensure_certificates(tmp_path, NAMES, clock)
    ca, first = files.ca.read_bytes(), files.certificate.read_bytes()
    clock.advance(timedelta(days=366).total_seconds())
    ensure_certificates(tmp_path, NAMES, clock)
    assert files.certificate.read_bytes() == first
    clock.advance(timedelta(days=2).total_seconds())
    ensure_certificates(tmp_path, NAMES, clock)
    renewed = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    assert files.certificate.read_bytes() != first
    assert renewed.not_valid_after_utc - clock.now() > timedelta(days=396)
    assert files.ca.read_bytes() == ca


def test_the_ca_is_renewed_before_it_ends(tmp_path: Path) -> None:
    clock = ManualClock(datetime.now(UTC) - timedelta(days=3630))
    files = ensure_certificates(tmp_path, NAMES, clock)
    old = files.ca.read_bytes()
    ensure_certificates(tmp_path, NAMES, SystemClock())
    assert files.ca.read_bytes() != old
    shake_hands(files.certificate, files.key, files.ca, "localhost")
    assert files.bundle.read_bytes().endswith(files.ca.read_bytes())


def test_a_further_name_makes_a_new_certificate(files: Certificates, tmp_path: Path) -> None:
    again = ensure_certificates(tmp_path / "tls", [*NAMES, "decoys.internal"], SystemClock())
    shake_hands(again.certificate, again.key, again.ca, "decoys.internal")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(again.certificate, again.key, again.ca, "other.internal")


@pytest.mark.parametrize("lost", ["ca.pem", "ca-key.pem", "server.pem", "server-key.pem", "ca-bundle.pem"])
def test_a_lost_file_is_made_again(files: Certificates, tmp_path: Path, lost: str) -> None:
    (tmp_path / "tls" / lost).unlink()
    again = ensure_certificates(tmp_path / "tls", NAMES, SystemClock())
    for ca in (again.ca, again.bundle):
        shake_hands(again.certificate, again.key, ca, "localhost")


@pytest.mark.parametrize("mixed", ["ca-key.pem", "server-key.pem", "ca.pem", "server.pem"])
def test_files_that_a_kill_left_mismatched_are_made_again(files: Certificates, tmp_path: Path, mixed: str) -> None:
    ensure_certificates(tmp_path / "other", NAMES, SystemClock())
    (tmp_path / "other" / mixed).replace(tmp_path / "tls" / mixed)
    again = ensure_certificates(tmp_path / "tls", NAMES, SystemClock())
    shake_hands(again.certificate, again.key, again.ca, "localhost")


@pytest.mark.parametrize(
    "name",
    [
        "example.com",
        "localhost.example.com",
        "xlocalhost",
        "8.8.8.8",
        "2001:4860:4860::8888",
        "::ffff:127.0.0.1",
        "",
        ".local",
        "a..internal",
        "ü.internal",
        "a b.internal",
    ],
)
def test_names_that_are_not_local_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotALocalName, match="is not a local name"):
        ensure_certificates(tmp_path / "tls", ["localhost", name], SystemClock())
    assert not (tmp_path / "tls").exists()
