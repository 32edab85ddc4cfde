"""Certificates of app registrations, and the assertions that a client signs with their keys.

Source: https://learn.microsoft.com/entra/identity-platform/certificate-credentials and RFC 7523.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jwt
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from lurewire.identity.errors import (
    AssertionAudience,
    AssertionExpired,
    AssertionMalformed,
    AssertionOfAnother,
    AssertionUnsigned,
    CertificateExpired,
)
from lurewire.identity.keys import base64url
from lurewire.identity.models import AppCertificate
from lurewire.identity.tables import certificates
from lurewire.identity.tokens import SIGNATURE_ONLY

if TYPE_CHECKING:
    from collections.abc import Collection

    from lurewire.core.clock import Clock
    from lurewire.core.database import Database

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_ALGORITHMS = ("RS256", "PS256")
_THUMBPRINTS = {"x5t#S256": certificates.c.thumbprint_sha256, "x5t": certificates.c.thumbprint}


class Certificates:
    """The certificates of all app registrations."""

    def __init__(self, db: Database, clock: Clock, skew: int) -> None:
        self._db = db
        self._clock = clock
        self._skew = skew

    async def add(self, app_id: str, pem: bytes) -> AppCertificate:
        """Register a certificate (PEM; a private key beside it is not looked at). Raises `ValueError` for what is none."""
        certificate = x509.load_pem_x509_certificate(pem)
        if not isinstance(certificate.public_key(), rsa.RSAPublicKey):
            msg = "the certificate's key is no RSA key"
            raise ValueError(msg)  # noqa: TRY004 - the value is wrong, its type is right
        row = {
            "key_id": str(uuid.uuid4()),
            "app_id": app_id.lower(),
            "pem": certificate.public_bytes(Encoding.PEM),
            "thumbprint": base64url(certificate.fingerprint(hashes.SHA1())),  # noqa: S303 - the protocol names SHA-1
            "thumbprint_sha256": base64url(certificate.fingerprint(hashes.SHA256())),
            "created_at": self._clock.now().timestamp(),
        }
        try:
            await self._db.write(lambda conn: conn.execute(sa.insert(certificates).values(row)))
        except sa.exc.IntegrityError:
            msg = "the app has this certificate already"
            raise ValueError(msg) from None
        return _shown(row)

    async def remove(self, app_id: str, key_id: str) -> bool:
        """Remove a certificate; False where the app has none with this id."""
        mine = (certificates.c.app_id == app_id.lower(), certificates.c.key_id == key_id.lower())
        gone = sa.delete(certificates).where(*mine)
        return await self._db.write(lambda conn: conn.execute(gone).rowcount) > 0

    def all(self, app_id: str) -> list[AppCertificate]:
        """An app's certificates, oldest first."""
        mine = (
            sa.select(certificates).where(certificates.c.app_id == app_id.lower()).order_by(certificates.c.created_at)
        )
        return self._db.read(lambda conn: [_shown(row) for row in conn.execute(mine).mappings()])

    def check(self, app_id: str, assertion: str, audiences: Collection[str]) -> None:
        """That a registered key signed the assertion, for us, for this client, now. Raises `TokenError`s."""
        try:
            header = jwt.get_unverified_header(assertion)
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise AssertionMalformed(reason="it is no JSON Web Token") from None
        certificate = self._signer(app_id, header)
        try:
            claims = jwt.decode(assertion, certificate.public_key(), algorithms=_ALGORITHMS, options=SIGNATURE_ONLY)  # type: ignore[arg-type]
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
            raise AssertionUnsigned(app_id=app_id, reason="the key did not make the signature") from None
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise AssertionMalformed(reason="its claims cannot be read") from None
        self._check_claims(app_id, claims, audiences)
        now = self._clock.now()
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise CertificateExpired(app_id=app_id)

    def _signer(self, app_id: str, header: dict[str, Any]) -> x509.Certificate:
        for name, column in _THUMBPRINTS.items():
            if header.get(name) is None:
                continue
            held = sa.select(certificates.c.pem).where(
                certificates.c.app_id == app_id.lower(), column == str(header[name]).rstrip("=")
            )
            pem = self._db.read(lambda conn, held=held: conn.execute(held).scalar())  # type: ignore[misc]
            if pem is None:
                raise AssertionUnsigned(app_id=app_id, reason="the key was not found by its thumbprint")
            return x509.load_pem_x509_certificate(pem)
        raise AssertionMalformed(reason="its header has no thumbprint (x5t or x5t#S256)")

    def _check_claims(self, app_id: str, claims: dict[str, Any], audiences: Collection[str]) -> None:
        who = claims.get("iss"), claims.get("sub")
        if not all(isinstance(one, str) and one.lower() == app_id.lower() for one in who):
            raise AssertionOfAnother(app_id=app_id)
        given = claims.get("aud")
        named = given if isinstance(given, list) else [given]  # RFC 7519, section 4.1.3
        if not any(isinstance(one, str) and one in audiences for one in named):
            raise AssertionAudience(audience=given)
        end, start = claims.get("exp"), claims.get("nbf", claims.get("iat", 0))
        if not isinstance(end, int | float) or not isinstance(start, int | float):
            raise AssertionMalformed(reason="its times are no numbers")
        now = self._clock.now().timestamp()
        if not start - self._skew <= now < end + self._skew:
            raise AssertionExpired(now=_time(now), start=_time(start), end=_time(end))


def _shown(row: Any) -> AppCertificate:
    certificate = x509.load_pem_x509_certificate(row["pem"])
    return AppCertificate(
        row["key_id"],
        certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303 - Entra shows SHA-1
        certificate.subject.rfc4514_string(),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def _time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return "out of range"
