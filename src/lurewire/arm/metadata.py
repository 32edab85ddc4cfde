"""Cloud metadata: the one document from which azure-cli and msticpy learn all other addresses of a cloud.

Source: https://learn.microsoft.com/azure-stack/user/azure-stack-version-profiles-azurecli2 and azure.md, section E.9,
as captured from `az cloud register --endpoint-resource-manager`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from lurewire.arm.wire import origin
from lurewire.core.http import Public, Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

_LIST_VERSION = "2019-05-01"
"""The api-version whose answer is a list of clouds; in all others it is one cloud."""

_PORT = re.compile(r":\d+$")


def metadata_routes(name: str, base_url: Callable[[], str]) -> tuple[Route, ...]:
    """The route of the metadata of the cloud `name`, whose services are all at one address."""

    async def endpoints(request: Request) -> Response:
        found = cloud(name, origin(request, base_url()))
        return JSONResponse([found] if request.query_params["api-version"] == _LIST_VERSION else found)

    reason = "metadata that a client reads before it knows where to ask for a token"
    return (Route("GET", "/metadata/endpoints", endpoints, Public(reason)),)


def cloud(name: str, url: str) -> dict[str, Any]:
    """The cloud `name` with the services that are here; of others, such as storage, no address is given.

    Microsoft Graph has one: azure-cli wants it for every command on roles, also where it has nothing to ask there.
    """
    port = _PORT.search(url)
    return {
        "name": name,
        "portal": url,
        "authentication": {
            "loginEndpoint": url,
            "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "resourceManager": url,
        "logAnalyticsResourceId": url,
        "microsoftGraphResourceId": url,
        "suffixes": {"keyVaultDns": f"vault.localhost{port[0] if port else ''}"},
    }
