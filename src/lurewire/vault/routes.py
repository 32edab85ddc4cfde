"""Key Vault's data plane for secrets.

Sources: https://learn.microsoft.com/rest/api/keyvault/secrets and, for the data action that each operation needs,
https://learn.microsoft.com/azure/key-vault/general/rbac-guide
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from lurewire.core.errors import Forbidden, Unauthenticated, UnauthenticatedKind, WireError
from lurewire.core.http import Audience, Needs, RoomRoutes, Route
from lurewire.vault.bodies import read_object
from lurewire.vault.checks import changes, check_name, new_version
from lurewire.vault.errors import BadParameter
from lurewire.vault.pages import asked_page, body_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.core.resources import ResourceId
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
    one = _Secrets(vault)

    def needs(action: str, *, all_secrets: bool = False) -> Needs:
        scope = one.vault_scope if all_secrets else one.scope
        return Needs(f"Microsoft.KeyVault/vaults/secrets/{action}", Audience.VAULT, scope, data=True)

    get, update, see = needs("getSecret/action"), needs("update/action"), needs("readMetadata/action")
    see_all = needs("readMetadata/action", all_secrets=True)
    routes = (
        Route("GET", "/secrets", one.list, see_all),
        Route("POST", "/secrets/restore", one.restore, needs("restore/action", all_secrets=True)),
        Route("GET", "/secrets/{name}/versions", one.versions, see),
        Route("POST", "/secrets/{name}/backup", one.backup, needs("backup/action")),
        Route("GET", "/secrets/{name}", one.get, get),
        Route("GET", "/secrets/{name}/", one.get, get),
        Route("GET", "/secrets/{name}/{version}", one.get, get),
        Route("PUT", "/secrets/{name}", one.put, needs("setSecret/action")),
        Route("PATCH", "/secrets/{name}", one.update, update),
        Route("PATCH", "/secrets/{name}/", one.update, update),
        Route("PATCH", "/secrets/{name}/{version}", one.update, update),
        Route("DELETE", "/secrets/{name}", one.delete, needs("delete")),
        Route("GET", "/deletedsecrets", one.list_deleted, see_all),
        Route("GET", "/deletedsecrets/{name}", one.get_deleted, see),
        Route("POST", "/deletedsecrets/{name}/recover", one.recover, needs("recover/action")),
        Route("DELETE", "/deletedsecrets/{name}", one.purge, needs("purge/action")),
    )
    return RoomRoutes("vault", routes, one.render)


class _Secrets:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def vault_scope(self, request: Request) -> str:
        return str(self._vault.vault_of(_netloc(request)))

    def scope(self, request: Request) -> str:
        return f"{self.vault_scope(request)}/secrets/{request.path_params['name']}"

    async def get(self, request: Request) -> Response:
        vault, name = self._asked(request), request.path_params["name"]
        found = self._vault.get(vault, name, request.path_params.get("version", ""))
        return JSONResponse(found.bundle(_url(request), self._vault.recovery(vault)))

    async def put(self, request: Request) -> Response:
        vault = self._asked(request)
        new = new_version(await self._body(request), self._vault.limits)
        made = await self._vault.put(vault, request.path_params["name"], new)
        return JSONResponse(made.bundle(_url(request), self._vault.recovery(vault)))

    async def update(self, request: Request) -> Response:
        vault, name = self._asked(request), _name(request)
        wanted = changes(await self._body(request), self._vault.limits)
        version = request.path_params.get("version", "")
        changed = await self._vault.secrets.update(vault, name, version, wanted)
        return JSONResponse(changed.properties(_url(request), self._vault.recovery(vault)))

    async def list(self, request: Request) -> Response:
        vault = self._asked(request)
        page = asked_page(request, self._vault.limits["vault.page_items"])
        found = self._vault.secrets.current(vault, page)
        recovery, url = self._vault.recovery(vault), _url(request)
        items = [one.properties(url, recovery, versioned=False) for one in found]
        return JSONResponse(body_of(request, page, items, found[-1].name.lower() if found else ""))

    async def versions(self, request: Request) -> Response:
        vault = self._asked(request)
        page = asked_page(request, self._vault.limits["vault.page_items"], numbered=True)
        found = self._vault.secrets.versions(vault, _name(request), page)
        items = [one.properties(_url(request), self._vault.recovery(vault)) for one in found]
        return JSONResponse(body_of(request, page, items, str(found[-1].seq) if found else ""))

    async def backup(self, request: Request) -> Response:
        return JSONResponse({"value": await self._vault.backup(self._asked(request), request.path_params["name"])})

    async def restore(self, request: Request) -> Response:
        vault = self._asked(request)
        body = await read_object(request, self._vault.limits["vault.restore_bytes"])
        restored = await self._vault.restore(vault, body.get("value"))
        return JSONResponse(restored.properties(_url(request), self._vault.recovery(vault)))

    async def delete(self, request: Request) -> Response:
        vault = self._asked(request)
        deleted = await self._vault.delete(vault, request.path_params["name"])
        return JSONResponse(deleted.bundle(_url(request), self._vault.recovery(vault)))

    async def list_deleted(self, request: Request) -> Response:
        vault = self._asked(request)
        page = asked_page(request, self._vault.limits["vault.page_items"])
        found = self._vault.bin.list(vault, page)
        recovery, url = self._vault.recovery(vault), _url(request)
        items = [one.bundle(url, recovery, versioned=False) for one in found]
        return JSONResponse(body_of(request, page, items, found[-1].secret.name.lower() if found else ""))

    async def get_deleted(self, request: Request) -> Response:
        vault = self._asked(request)
        found = self._vault.bin.get(vault, _name(request))
        return JSONResponse(found.bundle(_url(request), self._vault.recovery(vault)))

    async def recover(self, request: Request) -> Response:
        vault, name = self._asked(request), _name(request)
        await self._vault.bin.recover(vault, name)
        recovered = self._vault.secrets.find(vault, name)
        return JSONResponse(recovered.properties(_url(request), self._vault.recovery(vault)))

    async def purge(self, request: Request) -> Response:
        await self._vault.purge(self._asked(request), request.path_params["name"])
        return Response(status_code=204)

    def _asked(self, request: Request) -> ResourceId:
        """The vault that is asked; raises `VaultNotFound` and `BadParameter`."""
        if not request.query_params.get("api-version"):
            raise BadParameter("api-version must be specified.")
        return self._vault.vault_of(_netloc(request))

    async def _body(self, request: Request) -> dict[str, Any]:
        return await read_object(request, self._vault.limits["vault.request_bytes"])

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


def _url(request: Request) -> str:
    return f"https://{_netloc(request)}"


def _name(request: Request) -> str:
    return check_name(request.path_params["name"])


def _error(
    status: int, code: str, message: str, *, inner: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    body: dict[str, Any] = {"code": code, "message": message}
    if inner is not None:
        body["innererror"] = {"code": inner}
    return JSONResponse({"error": body}, status_code=status, headers=headers)
