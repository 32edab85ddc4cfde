"""Apps that prove themselves by a certificate, with Microsoft's own client; and version 1.0 of the token service."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from datetime import datetime

    from tests.arm.house import Server

TENANT = "6a5b4c3d-0000-4000-8000-000000000001"
SCOPE = "https://monitor.azure.com/.default"
RESOURCE = "https://monitor.azure.com"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def pem(now: datetime, days: int = 30, key: Any = None) -> tuple[bytes, rsa.RSAPrivateKey]:
    """A certificate and its key in one PEM, as clients want them; the certificate is good from an hour ago."""
    made = key or rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(made.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days, minutes=-30))
        .sign(made, hashes.SHA256())
    )
    private = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM), made


def token(server: Server, data: dict[str, str], path: str = "oauth2/v2.0/token") -> requests.Response:
    return requests.post(f"{server.house.url()}/{TENANT}/{path}", data=data, verify=server.ca, timeout=10)


def credential(server: Server, app: str, data: bytes) -> CertificateCredential:
    return CertificateCredential(
        TENANT,
        app,
        certificate_data=data,
        authority=server.house.url(),
        disable_instance_discovery=True,
        connection_verify=server.ca,
        retry_total=0,
    )


def test_azure_identity_logs_in_with_a_certificate(server: Server) -> None:
    app, _ = server.app("with certificate")
    data, _ = pem(server.house.clock.now())
    with pytest.raises(ClientAuthenticationError, match="AADSTS700027"):
        credential(server, app, data).get_token(SCOPE)
    added = server.run(server.house.identity.certificates.add(app, data))
    claims = jwt.decode(credential(server, app, data).get_token(SCOPE).token, options={"verify_signature": False})
    assert (claims["appid"], claims["appidacr"], claims["aud"]) == (app, "2", RESOURCE)
    assert server.house.identity.certificates.all(app) == [added]
    assert server.run(server.house.identity.certificates.remove(app, added.key_id))
    with pytest.raises(ClientAuthenticationError, match="AADSTS700027"):
        credential(server, app, data).get_token(SCOPE)


def test_what_is_no_certificate_is_refused(server: Server) -> None:
    app, _ = server.app("careless")
    now = server.house.clock.now()
    for wrong in (b"", b"rubbish", pem(now, key=ec.generate_private_key(ec.SECP256R1()))[0]):
        with pytest.raises(ValueError, match=r"\w"):
            server.run(server.house.identity.certificates.add(app, wrong))
    data, _ = pem(now)
    server.run(server.house.identity.certificates.add(app, data))
    with pytest.raises(ValueError, match="already"):
        server.run(server.house.identity.certificates.add(app, data))


@pytest.mark.parametrize(
    ("claims", "header", "number"),
    [
        ({}, {}, None),
        ({"aud": "https://login.example.org/oauth2/v2.0/token"}, {}, 700023),
        ({"aud": None}, {}, 700023),
        ({"aud": ["https://login.example.org", 7, {}]}, {}, 700023),
        ({"aud": {}}, {}, 700023),
        ({"sub": str(uuid.uuid4())}, {}, 700021),
        ({"iss": 7}, {}, 700021),
        ({"exp": 1_000}, {}, 700024),
        ({"nbf": 32_000_000_000}, {}, 700024),
        ({"exp": "tomorrow"}, {}, 50027),
        ({"exp": 1e300}, {}, None),
        ({}, {"x5t": "AAAA"}, 700027),
        ({}, {"x5t": None}, 50027),
        ({}, {"x5t": 7}, 700027),
    ],
)
def test_each_wrong_assertion_has_its_error(
    server: Server, claims: dict[str, Any], header: dict[str, Any], number: int | None
) -> None:
    app, _ = server.app("assertive")
    now = server.house.clock.now()
    data, key = pem(now)
    thumbprint = server.run(server.house.identity.certificates.add(app, data)).thumbprint
    sent_header = {"x5t": jwt.utils.base64url_encode(bytes.fromhex(thumbprint)).decode()} | header
    at = int(now.timestamp())
    endpoint = f"{server.house.url()}/{TENANT}/oauth2/v2.0/token"
    sent = {"aud": endpoint, "iss": app, "sub": app, "jti": str(uuid.uuid4()), "nbf": at, "exp": at + 600} | claims
    # PyJWT itself refuses to write some of these.
    assertion = jwt.api_jws.encode(
        json.dumps(sent).encode(), key, "RS256", {k: v for k, v in sent_header.items() if v is not None}
    )
    form = {"grant_type": "client_credentials", "client_id": app, "scope": SCOPE, "client_assertion": assertion}
    answer = token(server, form | {"client_assertion_type": ASSERTION})
    assert answer.json().get("error_codes") == (None if number is None else [number])
    assert token(server, form).json()["error_codes"] == [900144]
    other = jwt.encode(sent, rsa.generate_private_key(65537, 2048), "RS256", sent_header) if number is None else "x.y"
    again = token(server, form | {"client_assertion_type": ASSERTION, "client_assertion": other}).json()
    assert again["error_codes"] == ([700027] if number is None else [50027])


def test_a_certificate_past_its_time_proves_nothing(server: Server) -> None:
    app, _ = server.app("late")
    data, _ = pem(server.house.clock.now(), days=0)
    server.run(server.house.identity.certificates.add(app, data))
    with pytest.raises(ClientAuthenticationError, match="AADSTS1000502"):
        credential(server, app, data).get_token(SCOPE)


def test_version_one_gives_tokens_for_a_resource(server: Server) -> None:
    app, secret = server.app("logstash")
    house = f"{server.house.url()}/{TENANT}"
    metadata = requests.get(f"{house}/.well-known/openid-configuration", verify=server.ca, timeout=10).json()
    assert metadata["issuer"] == f"https://sts.windows.net/{TENANT}/"
    keys = requests.get(metadata["jwks_uri"], verify=server.ca, timeout=10).json()["keys"]
    form = {"grant_type": "client_credentials", "client_id": app, "client_secret": secret, "resource": RESOURCE}
    answer = requests.post(metadata["token_endpoint"], data=form, verify=server.ca, timeout=10).json()
    claims = jwt.decode(answer["access_token"], jwt.PyJWK(keys[0]).key, algorithms=["RS256"], audience=RESOURCE)
    assert (claims["appid"], claims["appidacr"], claims["ver"]) == (app, "1", "1.0")
    assert int(answer["expires_on"]) - int(answer["not_before"]) == int(answer["expires_in"]) == 3599
    assert answer["resource"] == RESOURCE
    for changes, number in (({"resource": ""}, 900144), ({"resource": "https://contoso.example"}, 500011)):
        assert token(server, form | changes, "oauth2/token").json()["error_codes"] == [number]
