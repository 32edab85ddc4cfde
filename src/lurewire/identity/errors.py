"""Errors of the token service (AADSTS codes), one class each.

Source: https://learn.microsoft.com/entra/identity-platform/reference-error-codes and, for the HTTP statuses, captured
answers to Microsoft's own clients.
"""

from __future__ import annotations

from typing import Any, ClassVar

from lurewire.core.errors import WireError

_LONGEST_FACT = 200


class TokenError(WireError):
    """An error of the token service: `code` is OAuth's error, `aadsts` Entra's number, `text` the message's form."""

    status = 400
    code = "invalid_request"
    aadsts: ClassVar[int]
    text: ClassVar[str]

    def __init__(self, **facts: Any) -> None:
        super().__init__(self.text.format(**{k: str(v)[:_LONGEST_FACT] for k, v in facts.items()}))


class InvalidSecret(TokenError):
    """The secret is none of the app's."""

    status = 401
    code = "invalid_client"
    aadsts = 7000215
    text = (
        "Invalid client secret provided. Send the secret's value, not its id, "
        "of a secret that was added to app '{app_id}'."
    )


class ExpiredSecret(TokenError):
    """The secret was the app's, and is past its expiry."""

    status = 401
    code = "invalid_client"
    aadsts = 7000222
    text = "The provided client secret keys for app '{app_id}' are expired. Create a new secret for the app."


class MissingCredential(TokenError):
    """The request proves nothing."""

    status = 401
    code = "invalid_client"
    aadsts = 7000218
    text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."


class AssertionMalformed(TokenError):
    """The assertion is no signed JSON Web Token, or lacks a claim that it must have."""

    status = 401
    code = "invalid_client"
    aadsts = 50027
    text = "JWT token is invalid or malformed: {reason}."


class AssertionUnsigned(TokenError):
    """No certificate of the app made the signature."""

    status = 401
    code = "invalid_client"
    aadsts = 700027
    text = (
        "The certificate with identifier used to sign the client assertion is not registered on application. "
        "Client app ID: {app_id}. Reason: {reason}."
    )


class AssertionOfAnother(TokenError):
    """Issuer or subject of the assertion is not the client."""

    status = 401
    code = "invalid_client"
    aadsts = 700021
    text = "Client assertion application identifier doesn't match 'client_id' parameter: {app_id}."


class AssertionAudience(TokenError):
    """The assertion is for another token endpoint."""

    status = 401
    code = "invalid_client"
    aadsts = 700023
    text = "Client assertion audience claim does not match Realm issuer: '{audience}'. Send the token endpoint's URL."


class AssertionExpired(TokenError):
    """The assertion's time is over, or has not come."""

    status = 401
    code = "invalid_client"
    aadsts = 700024
    text = "Client assertion is not within its valid time range. Current time: {now}, valid from {start} to {end}."


class CertificateExpired(TokenError):
    """The certificate's time is over, or has not come."""

    status = 401
    code = "invalid_client"
    aadsts = 1000502
    text = "The provided certificate is not within its specified validity period. Client app ID: {app_id}."


class UnknownApp(TokenError):
    """The tenant has no such application."""

    code = "unauthorized_client"
    aadsts = 700016
    text = (
        "Application with identifier '{app_id}' was not found in the directory '{tenant}'. Check the id, and that the "
        "request goes to the tenant in which the application is registered."
    )


class MissingPrincipal(TokenError):
    """The application is registered, but has no service principal that could log in."""

    code = "unauthorized_client"
    aadsts = 7000229
    text = "The client application '{app_id}' is missing service principal in the tenant '{tenant}'."


class Throttled(TokenError):
    """The application asked for more tokens than it may in a minute; the number is not documented."""

    status = 429
    code = "temporarily_unavailable"
    aadsts = 90055
    text = "The request is throttled: application '{app_id}' asked for too many tokens. Keep tokens until they expire."

    def __init__(self, *, retry_after: int, **facts: Any) -> None:
        super().__init__(**facts)
        self.headers = {"Retry-After": str(retry_after)}


class UnknownTenant(TokenError):
    """The path names a tenant that is not here."""

    aadsts = 90002
    text = "Tenant '{tenant}' not found. Check that the tenant id is right and that this is the right cloud."


class UnknownTenantMetadata(UnknownTenant):
    """The same, where metadata was asked for."""

    code = "invalid_tenant"


class InvalidScope(TokenError):
    """The scope is not one resource and `/.default`."""

    code = "invalid_scope"
    aadsts = 1002012
    text = (
        "The provided value for scope '{scope}' is not valid. The client credentials flow takes one scope: "
        "the resource's identifier with /.default after it."
    )


class UnknownResource(TokenError):
    """No service here has the identifier that the scope names."""

    code = "invalid_resource"
    aadsts = 500011
    text = "The resource principal named '{resource}' was not found in the tenant named '{tenant}'."


class MissingParameter(TokenError):
    """The form lacks a parameter."""

    aadsts = 900144
    text = "The request body must contain the following parameter: '{parameter}'."


class UnsupportedGrant(TokenError):
    """A grant type other than client credentials."""

    code = "unsupported_grant_type"
    aadsts = 70003
    text = "The app requested an unsupported grant type '{grant}'. This token service knows 'client_credentials'."


class MalformedRequest(TokenError):
    """The body is no form, too long, or gives a parameter twice."""

    aadsts = 9002313
    text = "Invalid request. Request is malformed or invalid: {reason}."


class UnknownInstance(TokenError):
    """Instance discovery was asked about an authority that is neither Microsoft's nor this one."""

    code = "invalid_instance"
    aadsts = 50049
    text = "Unknown or invalid instance '{host}'."


TOKEN_ERRORS: tuple[type[TokenError], ...] = (
    InvalidSecret,
    ExpiredSecret,
    MissingCredential,
    AssertionMalformed,
    AssertionUnsigned,
    AssertionOfAnother,
    AssertionAudience,
    AssertionExpired,
    CertificateExpired,
    UnknownApp,
    MissingPrincipal,
    Throttled,
    UnknownTenant,
    UnknownTenantMetadata,
    InvalidScope,
    UnknownResource,
    MissingParameter,
    UnsupportedGrant,
    MalformedRequest,
    UnknownInstance,
)
