"""Puts a watchlist and dies at a moment: the arguments are a folder and one of `MOMENTS`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from ingestion.cloud import WORKSPACE, Cloud  # type: ignore[import-not-found]
from lurewire.workspace import watchlist_rows
from lurewire.workspace.watchlist_rows import WatchlistRows
from lurewire.workspace.watchlists import Watchlists

MOMENTS = ("stored", "part", "items", "ended")
"""The resource is stored and nothing else; some of its items are; all are; the row that says so is too."""

ALIAS = "crashed"
ITEMS = 1000
CHUNK = 300
RESOURCE = f"{WORKSPACE}/providers/Microsoft.SecurityInsights/watchlists/{ALIAS}"
BODY = {
    "properties": {
        "displayName": "Crash",
        "provider": "Test",
        "itemsSearchKey": "ip",
        "rawContent": "ip\n" + "\n".join(f"10.0.{i // 256}.{i % 256}" for i in range(ITEMS)),
    }
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(moment: str) -> None:
    watchlist_rows._CHUNK_ROWS = CHUNK
    real_append, real_add, calls = WatchlistRows._append, WatchlistRows.add, [0]

    async def add(self: Any, rows: Any) -> None:
        calls[0] += 1
        if moment == "items" and calls[0] == 2:
            die()
        await real_add(self, rows)
        if moment == "ended" and calls[0] == 2:
            die()

    async def append(self: Any, rows: Any) -> int:
        if moment == "part":
            taken = [row for row, _ in zip(rows, range(CHUNK), strict=False)]
            commit: int = await real_append(self, taken)
            die()
            return commit
        return await real_append(self, rows)

    async def write(self: Any, watchlist: Any, body: Any) -> None:
        die()

    WatchlistRows.add = add  # type: ignore[method-assign]
    WatchlistRows._append = append  # type: ignore[method-assign]
    if moment == "stored":
        Watchlists._write = write  # type: ignore[method-assign]


def main(folder: str, moment: str) -> None:
    cloud = Cloud(Path(folder))
    cloud.start()
    arm(moment)
    cloud.put(RESOURCE, BODY)


if __name__ == "__main__":
    main(*sys.argv[1:])
