"""The API of a connection: a managed one of Azure's catalogue, or a custom one; and why a call of it is not made here.

Source: https://learn.microsoft.com/azure/templates/microsoft.web/connections#apireference
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lurewire.playbooks.connectors.model import Connector

_CUSTOM, _MANAGED = "/customapis/", "/managedapis/"
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Api:
    """An API by the tail of its id: `managedApis/azuresentinel`, `customApis/FortinetConnector`."""

    name: str
    custom: bool

    @classmethod
    def of(cls, api_id: str) -> Api:
        """The API that an id names."""
        custom = _CUSTOM in f"/{api_id.lower()}"
        name = api_id.rstrip("/").rpartition("/")[2]
        return cls(name if custom else name.lower(), custom)

    @property
    def shown(self) -> str:
        """The API as a message names it."""
        return f"the {'custom ' if self.custom else ''}connector '{self.name[:80]}'"

    def connector(self, connectors: Mapping[str, Connector]) -> Connector | None:
        """What runs it here: never anything for a custom API, whatever its name."""
        return None if self.custom else connectors.get(self.name)

    def not_run(self, connectors: Mapping[str, Connector]) -> str | None:
        """Why no operation of it runs here, None where some do."""
        if self.connector(connectors) is not None:
            return None
        return f"Lurewire does not run {self.shown}; it runs {', '.join(connectors)}."


def is_api(api_id: str) -> bool:
    """Whether the id is one of an API."""
    return any(part in f"/{api_id.lower()}" for part in (_CUSTOM, _MANAGED))


def operation_not_run(api: Api, method: str, path: str) -> str:
    """Why an operation of a connector that runs here does not."""
    return f"Lurewire does not run the operation {f'{method.upper()} {path[:_SHOWN]}'.strip()} of {api.shown}."
