"""Microsoft.OperationalInsights/workspaces/savedSearches: kept queries, and with an alias the functions that queries call.

Source: https://learn.microsoft.com/azure/templates/microsoft.operationalinsights/workspaces/savedsearches and
https://learn.microsoft.com/azure/azure-monitor/logs/functions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lurewire.core.resources import Change, ResourceId, ResourceType
from lurewire.kql import KqlError, check_function, of_saved_search
from lurewire.workspace.catalog import SchemaConflict
from lurewire.workspace.errors import InvalidParameter

if TYPE_CHECKING:
    from lurewire.kql import SavedFunction
    from lurewire.workspace.service import Workspaces

SAVED_SEARCH = "Microsoft.OperationalInsights/workspaces/savedSearches"

_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_WRITTEN = {
    name.lower(): name
    for name in ("category", "displayName", "query", "functionAlias", "functionParameters", "version", "tags")
}
_REQUIRED = ("category", "displayName", "query")
_VERSION = 2


def saved_searches(workspaces: Workspaces) -> ResourceType:
    """The resource type of saved searches."""
    kind = _SavedSearchType(workspaces)
    return ResourceType(SAVED_SEARCH, kind.prepare, kind.applied, kind.deleted)


class _SavedSearchType:
    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def prepare(self, change: Change) -> dict[str, Any]:
        given = change.body.get("properties")
        if not isinstance(given, dict):
            raise InvalidParameter("properties is an object")
        # Published templates write FunctionAlias as well as functionAlias.
        properties: dict[str, Any] = {
            _WRITTEN.get(str(name).lower(), str(name)): value for name, value in given.items()
        }
        properties.pop("etag", None)
        for name in _REQUIRED:
            if not isinstance(properties.get(name), str) or not properties[name].strip():
                raise InvalidParameter(f"properties.{name} is required: a text")
        function = _function(properties)
        workspace = self._workspaces.by_id(change.id.parent or change.id)
        if function is not None:
            self._check(function, change.id, workspace)
        return change.body | {"properties": properties | {"version": properties.get("version", _VERSION)}}

    @staticmethod
    def _check(function: SavedFunction, resource_id: ResourceId, workspace: Any) -> None:
        if not _ALIAS.fullmatch(function.name):
            rule = "letters, digits and '_', 128 at most, and does not start with a digit"
            raise InvalidParameter(f"properties.functionAlias '{function.name[:80]}': a function's name has {rule}")
        try:
            check_function(function)
            if workspace is not None:
                workspace.tables.check_function(resource_id.key, function)
        except KqlError as error:
            raise InvalidParameter(f"properties.query: {error.errors[0].message}") from None
        except SchemaConflict as error:
            raise InvalidParameter(f"properties.functionAlias: {error}") from None

    async def applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        workspace = self._workspaces.by_id(resource_id.parent or resource_id)
        if workspace is None:
            raise LookupError(f"the workspace of {resource_id} is not open")
        workspace.tables.save_function(resource_id.key, _function(body["properties"]))

    async def deleted(self, resource_id: ResourceId) -> None:
        workspace = self._workspaces.by_id(resource_id.parent or resource_id)
        if workspace is not None:
            workspace.tables.save_function(resource_id.key, None)


def _function(properties: dict[str, Any]) -> SavedFunction | None:
    try:
        return of_saved_search(properties)
    except ValueError as error:
        raise InvalidParameter(f"properties: {error}") from None
