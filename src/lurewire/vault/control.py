"""What the management clients of Key Vault ask beside vaults as resources: free names, and vaults that were deleted.

Sources: https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/check-name-availability,
https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/list-deleted and .../purge-deleted. A deleted vault is
recovered by its PUT with `createMode` (`types`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from lurewire.core.http import Audience, Needs, Route
from lurewire.vault.bodies import read_object
from lurewire.vault.errors import BadParameter, SecretNotDeletable, VaultNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from lurewire.vault.service import Vault

_PROVIDER = "/subscriptions/{subscription}/providers/Microsoft.KeyVault"
_DELETED = f"{_PROVIDER}/locations/{{location}}/deletedVaults/{{name}}"
_SECRET = "/{scope:path}/providers/Microsoft.KeyVault/vaults/{vault}/secrets/{name}"  # noqa: S105 - a path
_VAULTS = "Microsoft.KeyVault"


def control_routes(vault: Vault) -> tuple[Route, ...]:
    """Control-plane routes, to be mounted through `arm`."""
    handlers = _Control(vault)

    def needs(action: str, at: Callable[[Request], str] = _subscription) -> Needs:
        return Needs(f"{_VAULTS}/{action}", Audience.MANAGEMENT, at)

    return (
        Route("POST", f"{_PROVIDER}/checkNameAvailability", handlers.check_name, needs("checkNameAvailability/read")),
        Route("GET", f"{_PROVIDER}/deletedVaults", handlers.all_deleted, needs("deletedVaults/read")),
        Route("GET", _DELETED, handlers.deleted, needs("locations/deletedVaults/read")),
        Route("POST", f"{_DELETED}/purge", handlers.purge, needs("locations/deletedVaults/purge/action")),
        Route("DELETE", _SECRET, handlers.refuse, needs("vaults/secrets/delete", _secret)),
    )


class _Control:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def check_name(self, request: Request) -> Response:
        body = await read_object(request, self._vault.limits["vault.request_bytes"])
        if str(body.get("type", "")).lower() != "microsoft.keyvault/vaults" or not isinstance(body.get("name"), str):
            raise BadParameter("The request needs a 'name' and the 'type' Microsoft.KeyVault/vaults.")
        problem = self._vault.name_problem(body["name"])
        if problem is None:
            return JSONResponse({"nameAvailable": True})
        reason, message = problem
        return JSONResponse({"nameAvailable": False, "reason": reason, "message": message})

    async def all_deleted(self, request: Request) -> Response:
        subscription = request.path_params["subscription"].lower()
        every = self._vault.deleted_vaults.all()
        return JSONResponse(
            {"value": [one.shown() for one in every if str(one.id.subscription).lower() == subscription]}
        )

    async def deleted(self, request: Request) -> Response:
        return JSONResponse(self._vault.deleted_vault(**request.path_params).shown())

    async def purge(self, request: Request) -> Response:
        await self._vault.purge_vault(**request.path_params)
        return Response(status_code=200)

    async def refuse(self, request: Request) -> Response:
        if not self._vault.has(_secret(request).rpartition("/secrets/")[0]):
            raise VaultNotFound(f"The vault of the secret '{request.path_params['name'][:127]}' was not found.")
        raise SecretNotDeletable


def _subscription(request: Request) -> str:
    return f"/subscriptions/{request.path_params['subscription']}"


def _secret(request: Request) -> str:
    return _SECRET.replace(":path", "").format(**request.path_params)
