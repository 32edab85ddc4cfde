"""Values in request bodies: names, times, certificates; what is not supported is refused by name."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from lurewire.graph.errors import GraphBadRequest
from lurewire.graph.objects import SIGN_IN_AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Collection

_ACCEPTED = {"signInAudience": SIGN_IN_AUDIENCE, "accountEnabled": True}
"""Properties that may say what is so anyway."""

_PEM = b"-----BEGIN"


def check_rest(body: dict[str, Any], kind: str, known: Collection[str]) -> None:
    """Raise `GraphBadRequest` for a property beside `known` that says something."""
    for name, value in body.items():
        if name in known or name.startswith("@odata.") or value in (None, [], {}) or _ACCEPTED.get(name, ...) == value:
            continue
        raise GraphBadRequest(f"Property '{name}' of resource '{kind}' is not supported here with that value.")


def display_name(body: dict[str, Any], kind: str, longest: int) -> str:
    """The name that an object is to have."""
    name = body.get("displayName")
    if not isinstance(name, str) or not name.strip():
        raise GraphBadRequest(f"A value is required for property 'displayName' of resource '{kind}'.")
    if len(name) > longest:
        raise GraphBadRequest(f"Property 'displayName' of resource '{kind}' is longer than {longest} characters.")
    return name


def time_of(body: dict[str, Any], name: str) -> datetime | None:
    """A time in UTC, which is what it is in where it says no zone; to the second, as it is shown."""
    text = body.get(name)
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
        return (when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)).replace(microsecond=0)
    except (TypeError, ValueError, OverflowError):
        raise GraphBadRequest(f"Invalid value specified for property '{name}': it must be a time.") from None


def key_credentials(value: object) -> tuple[list[bytes], set[str]]:
    """Certificates to add, in PEM form, and the ids of those that stay."""
    if value is None:
        return [], set()
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise GraphBadRequest("Invalid value specified for property 'keyCredentials': it must be a list of objects.")
    fresh = [_certificate(one) for one in value if one.get("key") is not None]
    return fresh, {str(one.get("keyId", "")).lower() for one in value if one.get("key") is None}


def _certificate(key: dict[str, Any]) -> bytes:
    kind, usage = key.get("type", "AsymmetricX509Cert"), key.get("usage", "Verify")
    if (kind, usage) != ("AsymmetricX509Cert", "Verify"):
        raise GraphBadRequest(f"Key credentials of type '{kind}' with usage '{usage}' are not supported.")
    try:
        raw = base64.b64decode("".join(str(key["key"]).split()), validate=True)  # azure-cli keeps PEM's lines
        pem = raw.lstrip().startswith(_PEM)
        certificate = x509.load_pem_x509_certificate(raw) if pem else x509.load_der_x509_certificate(raw)
    except (binascii.Error, ValueError):
        message = "Key credential is invalid: 'key' must be a certificate in base64."
        raise GraphBadRequest(message) from None
    return certificate.public_bytes(Encoding.PEM)
