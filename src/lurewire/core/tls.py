"""HTTPS for a server that only local clients trust: a CA of this folder's own, constrained to local names.

Azure SDK clients send no token over plain HTTP, so there is always a certificate. Whoever steals the CA's key can
vouch, as a TLS server, for the names below and for nothing else (RFC 5280, sections 4.2.1.10 and 4.2.1.12).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lurewire.core.secretbox import write_private

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lurewire.core.clock import Clock

LOCAL_NAMES = ("localhost", "local", "internal", "home.arpa")
"""DNS names that never belong to anybody on the Internet (RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`)."""

LOCAL_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)

_CA_LIFETIME = timedelta(days=3650)
_LEAF_LIFETIME = timedelta(days=397)
_RENEW_BEFORE = timedelta(days=30)


class NotALocalName(ValueError):
    """A certificate was asked for a name that the local CA may not vouch for."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files of a state folder's TLS: `bundle` is the public CAs and ours together, for clients that want one file."""

    ca: Path
    bundle: Path
    certificate: Path
    key: Path


def ensure_certificates(folder: Path, names: Sequence[str], clock: Clock) -> Certificates:
    """Make what is missing, damaged or about to expire; `names` are what the server is reached by, at least one.

    Raises `NotALocalName` for a name outside `LOCAL_NAMES` and `LOCAL_NETWORKS`.
    """
    names = [name.lower() for name in names]
    for name in names:
        if not _is_local(name):
            msg = f"'{name}' is not a local name: the local CA may vouch for {', '.join(LOCAL_NAMES)} and private addresses"
            raise NotALocalName(msg)
    files = Certificates(folder / "ca.pem", folder / "ca-bundle.pem", folder / "server.pem", folder / "server-key.pem")
    ca_key_file = folder / "ca-key.pem"
    now = clock.now()
    if not _pair_good(files.ca, ca_key_file, now):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_ca(files.ca, ca_key_file, now)
    ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
    if not (_pair_good(files.certificate, files.key, now) and _vouches_for(ca, files.certificate, names)):
        _make_leaf(files, ca, ca_key_file, names, now)
    bundle = Path(certifi.where()).read_bytes() + files.ca.read_bytes()
    if not files.bundle.exists() or files.bundle.read_bytes() != bundle:
        write_private(files.bundle, bundle)
    return files


def _is_local(name: str) -> bool:
    address = _address(name)
    if address is None:
        fits = re.fullmatch(r"[a-z0-9*_-]+(\.[a-z0-9_-]+)*", name) is not None
        return fits and any(name == local or name.endswith("." + local) for local in LOCAL_NAMES)
    return any(address in ipaddress.ip_network(network) for network in LOCAL_NETWORKS)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _general_name(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(address)


def _subject(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Lurewire"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _make_ca(ca_file: Path, key_file: Path, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _subject("Lurewire local CA (local names only)")
    permitted: list[x509.GeneralName] = [x509.DNSName(local) for local in LOCAL_NAMES]
    permitted += [x509.IPAddress(ipaddress.ip_network(network)) for network in LOCAL_NETWORKS]
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(key_file, _pem(key))
    write_private(ca_file, certificate.public_bytes(serialization.Encoding.PEM))


def _make_leaf(
    files: Certificates, ca: x509.Certificate, ca_key_file: Path, names: Sequence[str], now: datetime
) -> None:
    ca_key = serialization.load_pem_private_key(ca_key_file.read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_subject("Lurewire server"))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LEAF_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    write_private(files.key, _pem(key))
    write_private(files.certificate, certificate.public_bytes(serialization.Encoding.PEM))


def _pair_good(certificate_file: Path, key_file: Path, now: datetime) -> bool:
    """Whether both files are there, belong together (a kill can come between them) and last for a while."""
    if not certificate_file.exists() or not key_file.exists():
        return False
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    return certificate.not_valid_after_utc - now > _RENEW_BEFORE and key.public_key() == certificate.public_key()


def _vouches_for(ca: x509.Certificate, certificate_file: Path, names: Sequence[str]) -> bool:
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, InvalidSignature):
        return False
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {_general_name(n) for n in names} <= set(alternative)
