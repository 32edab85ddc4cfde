"""Access tokens: app-only, in the form that Azure's resource servers get (version 1.0).

Source: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt

from lurewire.core.errors import Unauthenticated
from lurewire.core.http import Audience
from lurewire.core.principal import Principal
from lurewire.identity.models import IssuedToken

if TYPE_CHECKING:
    from collections.abc import Callable

    from jwt.types import Options

    from lurewire.core.clock import Clock
    from lurewire.identity.audiences import Audiences
    from lurewire.identity.directory import Directory
    from lurewire.identity.keyring import Keyring

_CACHE_SIZE = 10_000
_STRINGS = ("aud", "iss", "tid", "oid", "appid")
_NUMBERS = ("exp", "nbf")


# Time is the injected clock's, and the rest has answers of its own: PyJWT checks the signature alone.
SIGNATURE_ONLY: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
}


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    audience: str
    not_before: float
    expires: float


class Tokens:
    """Issues and verifies tokens; a token that was verified once is known by its hash until it expires."""

    def __init__(
        self,
        keys: Keyring,
        directory: Directory,
        clock: Clock,
        audiences: Callable[[], Audiences],
        roles: Callable[[Principal], list[str]],
        *,
        tenant_id: str,
        lifetime: int,
        skew: int,
    ) -> None:
        self._keys = keys
        self._directory = directory
        self._clock = clock
        self._audiences = audiences
        self._roles = roles
        self._tenant_id = tenant_id
        self._issuer = f"https://sts.windows.net/{tenant_id}/"
        self._lifetime = lifetime
        self._skew = skew
        self._verified: dict[bytes, _Verified] = {}
        self._issued: dict[tuple[str, str], tuple[float, str]] = {}

    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517)."""
        return {"keys": [key.jwk(self._issuer) for key in self._keys.accepted()]}

    def forget(self) -> None:
        """Believe no token unseen that was believed before, and hand out none again: keys were revoked."""
        self._verified.clear()
        self._issued.clear()

    def issue(self, principal: Principal, resource: str, proved_by: str = "1") -> IssuedToken:
        """A token of `principal` for `resource`, which becomes `aud` as it is.

        `proved_by` is `appidacr`: "1" for a secret, "2" for a certificate.
        """
        now = int(self._clock.now().timestamp())
        key = self._keys.signing
        claims: dict[str, Any] = {
            "aud": resource,
            "iss": self._issuer,
            "iat": now,
            "nbf": now,
            "exp": now + self._lifetime,
            "aio": secrets.token_urlsafe(24),
            "appid": principal.app_id,
            "appidacr": proved_by if principal.kind == "app" else "2",
            "idp": self._issuer,
            "idtyp": "app",
            "oid": principal.object_id,
            "sub": principal.object_id,
            "tid": self._tenant_id,
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
        }
        if principal.kind == "managed_identity":
            claims["xms_mirid"] = self._directory.resource_of(principal)
        if self._audiences().accepts(Audience.GRAPH, resource):
            claims["roles"] = self._roles(principal)
        token = jwt.encode(claims, key.private, "RS256", {"kid": key.kid, "x5t": key.thumbprint})
        return IssuedToken(self._lifetime, token)

    def reusable(self, principal: Principal, resource: str) -> str:
        """A token as `issue` makes it, the same one until 5 minutes before it expires."""
        now = self._clock.now().timestamp()
        held = self._issued.get((principal.object_id, resource))
        if held is not None and now < held[0] - 300:
            return held[1]
        issued = self.issue(principal, resource)
        if len(self._issued) >= _CACHE_SIZE:
            self._issued.clear()
        self._issued[principal.object_id, resource] = (now + issued.expires_in, issued.value)
        return issued.value

    def verify(self, authorization: str | None, audience: Audience) -> Principal:
        """The principal of an `Authorization` header; raises `Unauthenticated`, never anything else."""
        if not authorization:
            raise Unauthenticated("missing", "The 'Authorization' header is missing.")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or not token.isascii():
            raise Unauthenticated("malformed", "The 'Authorization' header holds no bearer token.")
        digest = hashlib.sha256(token.encode("ascii")).digest()
        verified = self._verified.get(digest)
        if verified is None:
            verified = self._decode(token.strip())
            self._remember(digest, verified)
        now = self._clock.now().timestamp()
        if now >= verified.expires + self._skew:
            self._verified.pop(digest, None)
            raise Unauthenticated("expired", "The access token expired.")
        if now < verified.not_before - self._skew:
            raise Unauthenticated("expired", "The access token is not valid yet.")
        if not self._audiences().accepts(audience, verified.audience):
            message = f"The access token was obtained for the wrong audience or resource '{verified.audience}'."
            raise Unauthenticated("wrong_audience", message)
        return verified.principal

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        if len(self._verified) >= _CACHE_SIZE:
            now = self._clock.now().timestamp()
            self._verified = {k: v for k, v in self._verified.items() if v.expires + self._skew > now}
            if len(self._verified) >= _CACHE_SIZE:
                self._verified.clear()
        self._verified[digest] = verified

    def _decode(self, token: str) -> _Verified:
        claims = self._signed_claims(token)
        typed = all(isinstance(claims.get(name), str) for name in _STRINGS) and all(
            isinstance(claims.get(name), int | float) for name in _NUMBERS
        )
        if not typed:
            raise Unauthenticated("malformed", "The access token lacks a claim that every access token has.")
        if claims["iss"] != self._issuer:
            raise Unauthenticated("wrong_issuer", f"The access token is from the wrong issuer '{claims['iss']}'.")
        if claims["tid"] != self._tenant_id:
            raise Unauthenticated("wrong_tenant", f"The access token is from the wrong tenant '{claims['tid']}'.")
        known = self._directory.principal(claims["oid"])
        principal = known or Principal(
            claims["oid"],
            claims["appid"],
            claims["tid"],
            "managed_identity" if "xms_mirid" in claims else "app",
            claims["appid"],
        )
        return _Verified(principal, claims["aud"], float(claims["nbf"]), float(claims["exp"]))

    def _signed_claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise Unauthenticated("malformed", "The access token is no JSON Web Token.") from None
        key = self._keys.find(str(header.get("kid")))
        if header.get("alg") != "RS256" or key is None:
            raise Unauthenticated("bad_signature", "The access token is not signed with a key of this tenant.")
        try:
            return jwt.decode(token, key.public, algorithms=["RS256"], options=SIGNATURE_ONLY)
        except jwt.InvalidSignatureError:
            raise Unauthenticated("bad_signature", "The access token's signature is not valid.") from None
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise Unauthenticated("malformed", "The access token's claims cannot be read.") from None
