"""Key Vault's data plane for secrets, as far as it is built: get and set.

Source: https://learn.microsoft.com/rest/api/keyvault/secrets
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from lurewire.core.errors import Forbidden, Unauthenticated, UnauthenticatedKind, WireError
from lurewire.core.http import Audience, Needs, RoomRoutes, Route
from lurewire.vault.bodies import read_object
from lurewire.vault.checks import new_version
from lurewire.vault.errors import BadParameter
from lurewire.vault.service import GET_SECRET, SET_SECRET

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.vault.service import Vault

_UNAUTHENTICATED: dict[UnauthenticatedKind, str] = {
    "missing": "AKV10000: Request is missing a Bearer or PoP token.",
    "malformed": "Error validating token: it cannot be read.",
    "bad_signature": "Error validating token: its signature cannot be verified.",
    "expired": "Error validating token: it expired, or is not valid yet.",
    "wrong_audience": "AKV10022: Invalid audience.",
    "wrong_issuer": "AKV10032: Invalid issuer.",
    "wrong_tenant": "AKV10032: Invalid issuer: the token is from another tenant.",
}


def vault_routes(vault: Vault) -> RoomRoutes:
    """The data plane of all vaults; which one is meant, the Host header says."""
    handlers = _Secrets(vault)
    get = Needs(GET_SECRET, Audience.VAULT, handlers.scope, data=True)
    put = Needs(SET_SECRET, Audience.VAULT, handlers.scope, data=True)
    routes = (
        Route("GET", "/secrets/{name}", handlers.get, get),
        Route("GET", "/secrets/{name}/", handlers.get, get),
        Route("GET", "/secrets/{name}/{version}", handlers.get, get),
        Route("PUT", "/secrets/{name}", handlers.put, put),
    )
    return RoomRoutes("vault", routes, handlers.render)


class _Secrets:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def scope(self, request: Request) -> str:
        return f"{self._vault.vault_of(_netloc(request))}/secrets/{request.path_params['name']}"

    async def get(self, request: Request) -> Response:
        _check_version(request)
        name, version = request.path_params["name"], request.path_params.get("version", "")
        found = self._vault.get(self._vault.vault_of(_netloc(request)), name, version)
        return JSONResponse(found.bundle(f"https://{_netloc(request)}"))

    async def put(self, request: Request) -> Response:
        _check_version(request)
        body = await read_object(request, self._vault.limits["vault.request_bytes"])
        new = new_version(body, self._vault.limits)
        made = await self._vault.put(self._vault.vault_of(_netloc(request)), request.path_params["name"], new)
        return JSONResponse(made.bundle(f"https://{_netloc(request)}"))

    def render(self, request: Request, error: Exception) -> Response | None:
        if isinstance(error, Unauthenticated):
            # The SDKs' first request carries neither token nor body, just to be told this.
            challenge = (
                f'Bearer authorization="{self._vault.base_url()}/{self._vault.tenant_id}", '
                f'resource="{self._vault.hosts.resource(_netloc(request))}"'
            )
            message = _UNAUTHENTICATED[error.kind]
            return _error(401, "Unauthorized", message, headers={"WWW-Authenticate": challenge})
        if isinstance(error, Forbidden):
            message = (
                "Caller is not authorized to perform action on resource. If role assignments were changed recently, "
                f"please observe propagation time. Caller: appid={error.principal.app_id};"
                f"oid={error.principal.object_id}. Action: '{error.action}'. Resource: '{error.scope}'. "
                "Assignment: (not found)."
            )
            return _error(403, "Forbidden", message, inner="ForbiddenByRbac")
        if isinstance(error, WireError):
            inner = getattr(error, "inner", None)
            return _error(error.status, error.code, error.message, inner=inner, headers=error.headers)
        return None


def _netloc(request: Request) -> str:
    return request.headers.get("host", "")


def _check_version(request: Request) -> None:
    if not request.query_params.get("api-version"):
        raise BadParameter("api-version must be specified.")


def _error(
    status: int, code: str, message: str, *, inner: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    body: dict[str, Any] = {"code": code, "message": message}
    if inner is not None:
        body["innererror"] = {"code": inner}
    return JSONResponse({"error": body}, status_code=status, headers=headers)
