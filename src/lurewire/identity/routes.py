"""The token service's HTTP shape.

Sources: https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc and
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from starlette.responses import JSONResponse, Response

from lurewire.core.bodies import BodyTooLong, read_body
from lurewire.core.http import Public, RoomRoutes, Route
from lurewire.identity.errors import MalformedRequest, TokenError, UnknownInstance, UnknownTenantMetadata

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.identity.service import Identity

_MICROSOFT_HOSTS = frozenset(
    {
        "login.microsoftonline.com",
        "login.microsoft.com",
        "login.windows.net",
        "sts.windows.net",
        "login.chinacloudapi.cn",
        "login.microsoftonline.de",
        "login.sovcloud-identity.de",
        "login.sovcloud-identity.fr",
        "login.sovcloud-identity.sg",
        "login.partner.microsoftonline.cn",
        "login.microsoftonline.us",
        "login-us.microsoftonline.com",
        "login.usgovcloudapi.net",
    }
)
_HOST = re.compile(r"[A-Za-z0-9.\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_NO_STORE = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}


def token_routes(identity: Identity) -> RoomRoutes:
    """The routes that an Entra client needs; none takes a token, because here they are given out."""
    handlers = _TokenService(identity)
    routes = (
        Route(
            "GET",
            "/{tenant}/v2.0/.well-known/openid-configuration",
            handlers.configuration,
            Public("metadata that a client reads before it has a token"),
        ),
        Route(
            "GET",
            "/{tenant}/discovery/v2.0/keys",
            handlers.keys,
            Public("public keys, by which others check our tokens"),
        ),
        Route(
            "GET",
            "/{tenant}/.well-known/openid-configuration",
            handlers.configuration_v1,
            Public("metadata that a client reads before it has a token"),
        ),
        Route(
            "GET",
            "/{tenant}/discovery/keys",
            handlers.keys,
            Public("public keys, by which others check our tokens"),
        ),
        Route(
            "POST",
            "/{tenant}/oauth2/token",
            handlers.token_v1,
            Public("the client proves itself with the credential in the form"),
        ),
        Route(
            "GET",
            "/common/discovery/instance",
            handlers.instance,
            Public("metadata that a client reads before it has a token"),
        ),
        Route(
            "POST",
            "/{tenant}/oauth2/v2.0/token",
            handlers.token,
            Public("the client proves itself with the credential in the form"),
        ),
    )
    return RoomRoutes("identity", routes, handlers.render)


def origin(request: Request, base_url: str) -> str:
    """The URL by which this client reaches the server: its Host header, where that is one, else `base_url`."""
    host = request.headers.get("host", "")
    return f"{urlsplit(base_url).scheme}://{host}" if _HOST.fullmatch(host) else base_url


class _TokenService:
    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def configuration(self, request: Request) -> Response:
        here = self._tenant_url(request)
        return self._metadata(here, "/v2.0", f"{here}/v2.0", ["openid", "profile", "offline_access"])

    async def configuration_v1(self, request: Request) -> Response:
        issuer = f"https://sts.windows.net/{self._identity.tenant_id}/"
        return self._metadata(self._tenant_url(request), "", issuer, ["openid"])

    def _tenant_url(self, request: Request) -> str:
        return f"{origin(request, self._identity.base_url())}/{self._tenant(request)}"

    def _metadata(self, here: str, version: str, issuer: str, scopes: list[str]) -> Response:
        return JSONResponse(
            {
                "token_endpoint": f"{here}/oauth2{version}/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "jwks_uri": f"{here}/discovery{version}/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code", "token"],
                "scopes_supported": scopes,
                "issuer": issuer,
                "authorization_endpoint": f"{here}/oauth2{version}/authorize",
                "device_authorization_endpoint": f"{here}/oauth2{version}/devicecode",
                "tenant_region_scope": None,
                "cloud_instance_name": urlsplit(here).netloc,
            }
        )

    async def keys(self, request: Request) -> Response:
        self._tenant(request)
        return JSONResponse(self._identity.jwks())

    async def instance(self, request: Request) -> Response:
        asked = urlsplit(request.query_params.get("authorization_endpoint", "")).hostname or ""
        here = origin(request, self._identity.base_url())
        # MSAL drops the port of the authority before it asks.
        own = {urlsplit(here).hostname, urlsplit(self._identity.base_url()).hostname}
        if asked not in _MICROSOFT_HOSTS | own:
            raise UnknownInstance(host=asked)
        return JSONResponse(
            {
                "tenant_discovery_endpoint": f"{here}/{self._identity.tenant_id}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": asked, "preferred_cache": asked, "aliases": [asked]}],
            }
        )

    async def token(self, request: Request) -> Response:
        form = await self._counted_form(request)
        issued = self._identity.client_credentials(request.path_params["tenant"], form, self._endpoint(request))
        body = {
            "token_type": "Bearer",
            "expires_in": issued.expires_in,
            "ext_expires_in": issued.expires_in,
            "access_token": issued.value,
        }
        return JSONResponse(body, headers=_NO_STORE)

    async def token_v1(self, request: Request) -> Response:
        form = await self._counted_form(request)
        issued = self._identity.client_credentials_v1(request.path_params["tenant"], form, self._endpoint(request))
        now = int(self._identity.clock.now().timestamp())
        # Version 1.0 writes numbers as text.
        body = {
            "token_type": "Bearer",
            "expires_in": str(issued.expires_in),
            "ext_expires_in": str(issued.expires_in),
            "expires_on": str(now + issued.expires_in),
            "not_before": str(now),
            "resource": form["resource"],
            "access_token": issued.value,
        }
        return JSONResponse(body, headers=_NO_STORE)

    def render(self, request: Request, error: Exception) -> Response | None:
        if not isinstance(error, TokenError):
            return None
        trace = str(uuid.uuid4())
        correlation = _guid(request.headers.get("client-request-id")) or str(uuid.uuid4())
        timestamp = self._identity.clock.now().strftime("%Y-%m-%d %H:%M:%SZ")
        here = origin(request, self._identity.base_url())
        body: dict[str, Any] = {
            "error": error.code,
            "error_description": (
                f"AADSTS{error.aadsts}: {error.message} "
                f"Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}"
            ),
            "error_codes": [error.aadsts],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"{here}/error?code={error.aadsts}",
        }
        return JSONResponse(body, status_code=error.status, headers=_NO_STORE | error.headers)

    def _endpoint(self, request: Request) -> str:
        return f"{origin(request, self._identity.base_url())}{request.url.path}"

    def _tenant(self, request: Request) -> str:
        tenant: str = request.path_params["tenant"]
        if not self._identity.is_tenant(tenant):
            raise UnknownTenantMetadata(tenant=tenant)
        return self._identity.tenant_id

    async def _counted_form(self, request: Request) -> dict[str, str]:
        form = _form(await self._body(request))
        self._identity.count_token_request(form, request.client.host if request.client else "")
        return form

    async def _body(self, request: Request) -> bytes:
        limit = self._identity.limits["identity.token_request_bytes"]
        try:
            return await read_body(request, limit)
        except BodyTooLong:
            raise MalformedRequest(reason=f"the body is longer than {limit} bytes") from None


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise MalformedRequest(reason="the body is no form in UTF-8") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise MalformedRequest(reason="a parameter is given twice")
    return form


def _guid(text: str | None) -> str | None:
    try:
        return str(uuid.UUID(text)) if text else None
    except ValueError:
        return None
