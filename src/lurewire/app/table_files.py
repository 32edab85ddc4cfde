"""Tables as Parquet files, for the operator's commands: which workspace, and a table to import into."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lurewire.workspace import TABLE, UnknownTable, Workspace, columns_of

if TYPE_CHECKING:
    from lurewire.core.resources import Resources
    from lurewire.workspace import Workspaces


class TableFile(msgspec.Struct):
    """What `lurewire table export` and `import` ask for.

    `workspace` is a name, a GUID or an ARM id, empty for the install's. `create` makes a table that is not there from the
    types that the file names; `force` lets a file be replaced.
    """

    table: str
    file: str
    workspace: str = ""
    create: bool = False
    force: bool = False


class TableFiles:
    """Exports and imports; `own` is the ARM id of the install's workspace. Errors are ValueError, OSError, LookupError."""

    def __init__(self, workspaces: Workspaces, resources: Resources, own: str) -> None:
        self._workspaces = workspaces
        self._resources = resources
        self._own = own

    async def export(self, asked: TableFile) -> int:
        """Write a table's rows into a file; returns how many."""
        workspace, file = self._workspace(asked), Path(asked.file)
        if not asked.force and await asyncio.to_thread(file.exists):
            raise ValueError(f"{file} is there already; --force replaces it")
        return await workspace.export_table(asked.table, file)

    async def import_(self, asked: TableFile) -> int:
        """Store a file's rows in a table; returns how many the file has."""
        workspace = self._workspace(asked)
        file = Path(asked.file)
        if asked.create and workspace.tables.find(asked.table) is None:
            await self._create(workspace, asked.table, file)
        try:
            return await workspace.import_table(asked.table, file)
        except UnknownTable as error:
            raise ValueError(f"{error}: create it, or let --create do so") from None

    async def _create(self, workspace: Workspace, table: str, file: Path) -> None:
        found = await asyncio.to_thread(columns_of, file)
        columns = [{"name": name, "type": kind} for name, kind in found if not name.startswith("_")]
        body = {"properties": {"schema": {"name": table, "columns": columns}}}
        resource_id = self._workspaces.id_of(workspace.customer_id)
        assert resource_id is not None
        await self._resources.put(resource_id.child(TABLE.rpartition("/")[2], table), body)

    def _workspace(self, asked: TableFile) -> Workspace:
        found = self._workspaces.named(asked.workspace or self._own)
        if len(found) != 1:
            count = f"{len(found)} workspaces have" if found else "no workspace has"
            raise ValueError(f"{count} the name or id '{asked.workspace}'")
        return found[0][1]
