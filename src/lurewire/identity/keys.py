"""A signing key: RSA 2048, with the certificate by which relying parties know it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from datetime import datetime

_CERTIFICATE_LIFETIME = timedelta(days=5 * 365)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the certificate that carries its public half to relying parties.

    `created_at` is in seconds since 1970: it signs from then on, until there is a newer one.
    """

    kid: str
    created_at: float
    private: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def public(self) -> rsa.RSAPublicKey:
        """The key that verifies."""
        return self.private.public_key()

    @property
    def thumbprint(self) -> str:
        """`x5t` (RFC 7517, section 4.8)."""
        return base64url(self.certificate.fingerprint(hashes.SHA1()))  # noqa: S303 - the RFC names SHA-1

    def jwk(self, issuer: str) -> dict[str, Any]:
        """The public key as JSON Web Key (RFC 7517)."""
        numbers = self.public.public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.thumbprint,
            "n": base64url(numbers.n.to_bytes(256, "big")),
            "e": base64url(numbers.e.to_bytes(3, "big")),
            "x5c": [base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode("ascii")],
            "issuer": issuer,
        }


def make_key(start: datetime) -> SigningKey:
    """A new key that signs from `start` on; takes the CPU for about 0.1 s."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Lurewire token signing")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - timedelta(days=1))
        .not_valid_after(start + _CERTIFICATE_LIFETIME)
        .sign(private, hashes.SHA256())
    )
    return SigningKey(_kid(private.public_key()), start.timestamp(), private, certificate)


def _kid(public: rsa.RSAPublicKey) -> str:
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64url(hashlib.sha256(der).digest()[:20])


def to_pem(key: SigningKey) -> bytes:
    """Private key and certificate, not encrypted."""
    private = key.private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + key.certificate.public_bytes(serialization.Encoding.PEM)


def from_pem(pem: bytes, created_at: float) -> SigningKey:
    """What `to_pem` wrote."""
    private = serialization.load_pem_private_key(pem, None)
    assert isinstance(private, rsa.RSAPrivateKey)
    certificate = x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERTIFICATE") :])
    return SigningKey(_kid(private.public_key()), created_at, private, certificate)


def base64url(data: bytes) -> str:
    """Base64 in the alphabet of URLs, without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
