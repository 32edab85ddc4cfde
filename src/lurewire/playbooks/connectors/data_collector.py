"""The Azure Log Analytics Data Collector connector (`azureloganalyticsdatacollector`).

It sends with the workspace's id and key that the connection holds, not in the workflow's name.
Source: https://learn.microsoft.com/connectors/azureloganalyticsdatacollector/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from lurewire.playbooks.connectors.model import BadCall, Connector, ConnectorCall, ConnectorReply, Operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class DataCollector(Protocol):
    """The HTTP Data Collector API, as the connector uses it."""

    async def send(
        self, customer_id: str, key: str, log_type: str, body: bytes, *, time_field: str, resource_id: str, once: str
    ) -> None:
        """Store records, once for each `once`; raises the `WireError`s of the API, also for a key that is not good."""
        ...


def data_collector(collector: DataCollector) -> Connector:
    """The connector, sending to `collector`."""
    operations = (Operation("POST", "/api/logs", "Send Data", _send(collector)),)
    return Connector("azureloganalyticsdatacollector", operations, by_connection=True)


def _send(collector: DataCollector) -> Callable[[ConnectorCall], Awaitable[ConnectorReply]]:
    async def call(request: ConnectorCall) -> ConnectorReply:
        headers = {str(name).lower(): value for name, value in request.headers.items()}
        await collector.send(
            _value(request, "username"),
            _value(request, "password"),
            str(headers.get("log-type") or ""),
            _body(request.body),
            time_field=str(headers.get("time-generated-field") or ""),
            resource_id=str(headers.get("x-ms-azureresourceid") or ""),
            once=request.key,
        )
        return ConnectorReply(200, None)

    return call


def _value(request: ConnectorCall, name: str) -> str:
    value = request.values.get(name)
    if not isinstance(value, str) or not value:
        raise BadCall(
            f"The connection has no parameter value '{name}': the workspace's id is 'username', its key 'password'."
        )
    return value


def _body(body: Any) -> bytes:
    if body is None:
        raise BadCall("The parameter 'body' is missing: the JSON to send.")
    return body.encode(errors="replace") if isinstance(body, str) else msgspec.json.encode(body)
