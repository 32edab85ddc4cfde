"""What a connector is: operations of an API that run here, in process, in the name of the workflow's identity."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from lurewire.core.principal import Principal


@dataclass(frozen=True, slots=True)
class ConnectorCall:
    """One call of an operation, evaluated: `parameters` are the path's, `key` is the same when it is repeated.

    `principal` is the workflow's identity; None where the connector goes by the connection's own `values`.
    """

    principal: Principal | None
    key: str
    method: str
    path: str
    parameters: Mapping[str, str]
    queries: Mapping[str, Any]
    headers: Mapping[str, Any]
    body: Any
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def actor(self) -> Principal:
        """The workflow's identity, of a connector that acts in its name."""
        assert self.principal is not None
        return self.principal


@dataclass(frozen=True, slots=True)
class ConnectorReply:
    """What the API answered; `body` is JSON."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json; charset=utf-8"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: `path` holds parameters as `{name}`; `effect` False: it changes nothing and calls nobody."""

    method: str
    path: str
    name: str
    call: Callable[[ConnectorCall], Awaitable[ConnectorReply]]
    effect: bool = True

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The path's parameters, or None where this is another operation."""
        if method.upper() != self.method:
            return None
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        found = re.fullmatch(pattern, path, re.IGNORECASE)
        return None if found is None else found.groupdict()


@dataclass(frozen=True, slots=True)
class Connector:
    """An API by the name in its `managedApis/<name>` id.

    `by_connection`: it authenticates with the parameter values of the connection, not as the workflow's identity.
    """

    api: str
    operations: tuple[Operation, ...]
    by_connection: bool = False

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation that a method and a path mean, with the path's parameters."""
        for operation in self.operations:
            parameters = operation.match(method, path)
            if parameters is not None:
                return operation, parameters
        return None


class BadCall(Exception):
    """The operation refuses its parameters; the message names the parameter."""
