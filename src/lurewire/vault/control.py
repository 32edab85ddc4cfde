"""What the management clients of Key Vault ask beside vaults as resources: free names, and vaults that were deleted.

A deleted vault is gone at once here, with its secrets: there is none to list, to recover or to purge. Sources:
https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/check-name-availability and
https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/list-deleted
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from lurewire.core.http import Audience, Needs, Route
from lurewire.vault.bodies import read_object
from lurewire.vault.errors import BadParameter, DeletedVaultNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from lurewire.vault.service import Vault

_PROVIDER = "/subscriptions/{subscription}/providers/Microsoft.KeyVault"
_DELETED = f"{_PROVIDER}/locations/{{location}}/deletedVaults/{{name}}"
_VAULTS = "Microsoft.KeyVault"


def control_routes(vault: Vault) -> tuple[Route, ...]:
    """Control-plane routes, to be mounted through `arm`."""

    async def check_name(request: Request) -> Response:
        body = await read_object(request, vault.limits["vault.request_bytes"])
        if str(body.get("type", "")).lower() != "microsoft.keyvault/vaults" or not isinstance(body.get("name"), str):
            raise BadParameter("The request needs a 'name' and the 'type' Microsoft.KeyVault/vaults.")
        problem = vault.name_problem(body["name"])
        if problem is None:
            return JSONResponse({"nameAvailable": True})
        reason, message = problem
        return JSONResponse({"nameAvailable": False, "reason": reason, "message": message})

    async def deleted(_request: Request) -> Response:
        return JSONResponse({"value": []})

    async def missing(request: Request) -> Response:
        raise DeletedVaultNotFound(
            f"The vault '{request.path_params['name'][:50]}' is not deleted: deletion is final here."
        )

    def scope(request: Request) -> str:
        return f"/subscriptions/{request.path_params['subscription']}"

    def needs(action: str, at: Callable[[Request], str] = scope) -> Needs:
        return Needs(f"{_VAULTS}/{action}", Audience.MANAGEMENT, at)

    return (
        Route("POST", f"{_PROVIDER}/checkNameAvailability", check_name, needs("checkNameAvailability/read")),
        Route("GET", f"{_PROVIDER}/deletedVaults", deleted, needs("deletedVaults/read")),
        Route("GET", _DELETED, missing, needs("locations/deletedVaults/read")),
        Route("POST", f"{_DELETED}/purge", missing, needs("locations/deletedVaults/purge/action")),
    )
