"""Azure Resource Manager and the query API as `pull` reads them: pages, retries, refusals by name.

Retries and token handling are azure-core's: 429 and 5xx are tried again when the service says, or with growing pauses.
Source: https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from azure.core import PipelineClient
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RequestIdPolicy, RetryPolicy, UserAgentPolicy
from azure.core.rest import HttpRequest

from lurewire import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azure.core.credentials import TokenCredential
    from azure.core.rest import HttpResponse

ARM_URL = "https://management.azure.com"
QUERY_URL = "https://api.loganalytics.io"
_ARM_SCOPE = "https://management.azure.com/.default"
_QUERY_SCOPE = "https://api.loganalytics.io/.default"
_SUBSCRIPTIONS = "2022-12-01"
_QUERY_SECONDS = 180
_MOST_PAGES = 10_000
_LONGEST = 400


class Unreadable(Exception):
    """The source did not give something; `status` is 0 where it did not answer at all."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class SignInFailed(Exception):
    """No token for the source; the message is the credential's."""


class Source:
    """One ARM and one query endpoint, with the credential for both. Use it as a context manager, or `close` it."""

    def __init__(
        self, credential: TokenCredential, arm: str = ARM_URL, query: str = QUERY_URL, **transport: Any
    ) -> None:
        """`transport` goes to azure-core's HTTP transport (`connection_verify`)."""
        self._credential = credential
        self._arm = _client(credential, arm, _ARM_SCOPE, transport)
        self._query = _client(credential, query, _QUERY_SCOPE, transport)
        self._origin = urlsplit(arm)[:2]
        self._arm_url = arm.rstrip("/")
        self._query_url = query.rstrip("/")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._arm.close()
        self._query.close()

    def tenant(self, subscription: str) -> str:
        """The tenant's id: as the subscription says, or for who may not see that, as the token does; empty: not known."""
        try:
            return str(self.get(f"/subscriptions/{subscription}", _SUBSCRIPTIONS).get("tenantId") or "")
        except Unreadable:
            claims = self._credential.get_token(_ARM_SCOPE).token.split(".")[1:2]
        try:
            return str(json.loads(base64.urlsafe_b64decode(f"{claims[0]}==")).get("tid") or "")
        except (LookupError, ValueError, AttributeError):
            return ""

    def get(self, path: str, version: str) -> dict[str, Any]:
        """One resource. Raises `Unreadable` and `SignInFailed`."""
        body = _send(self._arm, HttpRequest("GET", self._url(path), params={"api-version": version}))
        if not isinstance(body, dict):
            raise Unreadable(200, "the answer is no JSON object")
        return body

    def pages(self, path: str, version: str) -> Iterator[dict[str, Any]]:
        """The items of a list, over all its pages. Raises `Unreadable` and `SignInFailed`."""
        request = HttpRequest("GET", self._url(path), params={"api-version": version})
        for _ in range(_MOST_PAGES):
            body = _send(self._arm, request)
            items = body.get("value") if isinstance(body, dict) else None
            if not isinstance(items, list):
                raise Unreadable(200, "the answer is no list of resources")
            yield from (item for item in items if isinstance(item, dict))
            following = body.get("nextLink")
            if not following:
                return
            # The token goes along: never to another host.
            if urlsplit(str(following))[:2] != self._origin:
                raise Unreadable(200, f"the next page is on another host: {str(following)[:_LONGEST]}")
            request = HttpRequest("GET", str(following))
        raise Unreadable(200, f"the list has more than {_MOST_PAGES} pages")

    def _url(self, path: str) -> str:
        """The URL of an id, which may be one that the source gave: it cannot make another host of it."""
        if not path.startswith("/"):
            raise Unreadable(0, f"'{path[:_LONGEST]}' is no id of a resource")
        return self._arm_url + path

    def query(self, workspace_id: str, text: str) -> tuple[list[tuple[str, str]], list[list[Any]]]:
        """Columns (name, type) and rows of a query, in the query API's encoding. Raises `Unreadable` and `SignInFailed`."""
        url = f"{self._query_url}/v1/workspaces/{workspace_id}/query"
        headers = {"Prefer": f"wait={_QUERY_SECONDS}"}
        body = _send(self._query, HttpRequest("POST", url, json={"query": text}, headers=headers))
        try:
            table = body["tables"][0]
            return [(str(c["name"]), str(c["type"])) for c in table["columns"]], [list(row) for row in table["rows"]]
        except (LookupError, TypeError):
            raise Unreadable(200, "the answer is no table") from None


def _client(credential: TokenCredential, url: str, scope: str, transport: dict[str, Any]) -> PipelineClient[Any, Any]:
    if urlsplit(url).scheme != "https":
        raise Unreadable(0, f"{url} is no https URL: a token goes nowhere else")
    policies = [
        RequestIdPolicy(),
        UserAgentPolicy(f"lurewire-pull/{__version__}"),
        RetryPolicy(),
        BearerTokenCredentialPolicy(credential, scope),
    ]
    return PipelineClient(url, policies=policies, read_timeout=_QUERY_SECONDS + 20, **transport)


def _send(client: PipelineClient[Any, Any], request: HttpRequest) -> Any:
    try:
        response: HttpResponse = client.send_request(request)
    except ClientAuthenticationError as error:
        raise SignInFailed(str(error.message)) from None
    except AzureError as error:
        raise Unreadable(0, f"no answer: {str(error.message)[:_LONGEST]}") from None
    if response.status_code != 200:
        raise Unreadable(response.status_code, _reason(response))
    try:
        return response.json()
    except (ValueError, RecursionError):
        raise Unreadable(200, "the answer is no JSON") from None


def _reason(response: HttpResponse) -> str:
    """The error's code and message, or the beginning of what came instead."""
    try:
        error = response.json()["error"]
        while isinstance(error.get("innererror"), dict) and error["innererror"].get("message"):
            error = error["innererror"]
        reason = f"{error['code']}: {error['message']}"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        reason = response.text()
    return f"{response.status_code} {reason[:_LONGEST]}"
