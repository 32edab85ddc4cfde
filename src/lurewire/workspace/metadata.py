"""What a workspace holds, as the query API describes it to editors: tables with columns, functions, workspaces.

Source: https://learn.microsoft.com/rest/api/loganalytics/metadata/get and contract section D.4.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lurewire.schemas import CUSTOM_SUFFIX, builtin_names, builtin_schema, with_standard_columns
from lurewire.workspace.catalog import TIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lurewire.core.resources import ResourceId
    from lurewire.kql import Column
    from lurewire.workspace.service import Workspace


async def describe(places: Sequence[tuple[ResourceId, Workspace]]) -> dict[str, Any]:
    """The metadata of some workspaces: Azure's own tables too, of which those without rows say so.

    Categories, solutions and resource types group tables in Azure's portal by a catalogue that is not published: the lists
    are empty. Raises as `Workspace.filled` does.
    """
    filled = [await workspace.filled() for _, workspace in places]
    return await asyncio.to_thread(_describe, places, filled)


def _describe(places: Sequence[tuple[ResourceId, Workspace]], filled: Sequence[frozenset[str]]) -> dict[str, Any]:
    """Azure's own tables have more than ten thousand columns: too many for the event loop."""
    tables: dict[str, dict[str, Any]] = {}
    functions: dict[str, dict[str, Any]] = {}
    workspaces = []
    for (resource_id, workspace), with_rows in zip(places, filled, strict=True):
        shown = {table.name: table.for_kql().columns for table in workspace.tables.stored()}
        builtin = {name: with_standard_columns(builtin_schema(name) or ()) for name in builtin_names() - shown.keys()}
        every = shown | builtin
        for name in sorted(every):
            entry = tables.setdefault(name, _table(name, every[name]))
            entry["hasData"] = entry["hasData"] or name in with_rows
            entry["related"]["workspaces"].append(workspace.customer_id)
        known = {name: workspace.tables.function(name) for name in workspace.tables.function_names()}
        for name, function in known.items():
            if function is None:
                continue
            made = functions.setdefault(name, {"id": f"f/{name}", "name": name, "related": {"workspaces": []}})
            made |= {"parameters": function.parameters, "body": function.body}
            made["related"]["workspaces"].append(workspace.customer_id)
        workspaces.append(
            {
                "id": workspace.customer_id,
                "resourceId": str(resource_id),
                "name": resource_id.name,
                "related": {
                    "tables": [f"t/{name}" for name in sorted(every)],
                    "functions": [f"f/{name}" for name in sorted(known)],
                },
            }
        )
    return {
        "tables": list(tables.values()),
        "functions": list(functions.values()),
        "categories": [],
        "solutions": [],
        "resourceTypes": [],
        "workspaces": workspaces,
    }


def _table(name: str, columns: Iterable[Column]) -> dict[str, Any]:
    return {
        "id": f"t/{name}",
        "name": name,
        "timespanColumn": TIME,
        "columns": [{"name": column.name, "type": str(column.type)} for column in columns],
        "labels": [],
        "hasData": False,
        "tableType": "CustomLog" if name.endswith(CUSTOM_SUFFIX) else "Microsoft",
        "related": {"workspaces": []},
    }
