"""The few calls of Azure's public APIs that the demo, the benches and the whole-loop tests watch the loop by."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import aiohttp

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_SCOPES = {
    "management": "https://management.azure.com/.default",
    "query": "https://api.loganalytics.io/.default",
}


class ApiError(Exception):
    """An answer other than success: its status and body."""


@dataclass(frozen=True, slots=True)
class Target:
    """A Lurewire and a credential for it."""

    url: str
    ca: Path
    tenant_id: str
    subscription_id: str
    resource_group: str
    workspace: str
    workspace_id: str
    client_id: str
    client_secret: str


class Api:
    """An HTTPS client of one Lurewire; use it as an async context manager."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(target.ca)))
        )
        self._tokens: dict[str, str] = {}
        self.group = f"/subscriptions/{target.subscription_id}/resourceGroups/{target.resource_group}"
        self.sentinel = (
            f"{self.group}/providers/Microsoft.OperationalInsights/workspaces/{target.workspace}"
            "/providers/Microsoft.SecurityInsights"
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def query(self, text: str) -> list[dict[str, Any]]:
        """The rows of a query, each by column name."""
        url = f"{self._target.url}/v1/workspaces/{self._target.workspace_id}/query"
        answer = await self._call("POST", url, "query", {"query": text})
        table = answer["tables"][0]
        names = [column["name"] for column in table["columns"]]
        return [dict(zip(names, row, strict=True)) for row in table["rows"]]

    async def get(self, resource_id: str, **parameters: str) -> Any:
        """GET of an ARM id."""
        return await self._call("GET", self._target.url + resource_id, "management", None, parameters)

    async def post(self, resource_id: str) -> Any:
        """POST of an ARM action without a body."""
        return await self._call("POST", self._target.url + resource_id, "management", None, {})

    async def incidents(self) -> list[dict[str, Any]]:
        """All incidents, page by page."""
        found: list[dict[str, Any]] = []
        url: str | None = f"{self._target.url}{self.sentinel}/incidents?api-version=2024-03-01&$top=1000"
        while url:
            page = await self._call("GET", url, "management", None)
            found += page["value"]
            url = page.get("nextLink")
        return found

    async def comments(self, incident_id: str) -> list[dict[str, Any]]:
        """The comments of one incident."""
        return list((await self.get(f"{incident_id}/comments"))["value"])

    async def _call(
        self, method: str, url: str, audience: str, body: Any, parameters: dict[str, str] | None = None
    ) -> Any:
        if parameters is not None:
            parameters = {"api-version": "2024-03-01", **parameters}
        headers = {"Authorization": f"Bearer {await self._token(audience)}"}
        async with self._session.request(method, url, json=body, params=parameters, headers=headers) as response:
            if response.status >= 300:
                raise ApiError(f"{method} {url}: {response.status} {await response.text()}")
            return await response.json()

    async def _token(self, audience: str) -> str:
        if audience not in self._tokens:
            form = {
                "grant_type": "client_credentials",
                "client_id": self._target.client_id,
                "client_secret": self._target.client_secret,
                "scope": _SCOPES[audience],
            }
            url = f"{self._target.url}/{self._target.tenant_id}/oauth2/v2.0/token"
            async with self._session.post(url, data=form) as response:
                if response.status != 200:
                    raise ApiError(f"token for {audience}: {response.status} {await response.text()}")
                self._tokens[audience] = (await response.json())["access_token"]
        return self._tokens[audience]
