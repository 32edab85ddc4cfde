"""kill -9 while a watchlist is uploaded: at the next start it is whole, and each of its items is there once, also when it is sent again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.ingestion.cloud import Cloud
    from tests.workspace.watchlist_child import ALIAS, BODY, CHUNK, ITEMS, MOMENTS, RESOURCE
else:
    from ingestion.cloud import Cloud
    from workspace.watchlist_child import ALIAS, BODY, CHUNK, ITEMS, MOMENTS, RESOURCE

CHILD = Path(__file__).with_name("watchlist_child.py")


@pytest.mark.parametrize("moment", MOMENTS)
def test_every_item_once(tmp_path: Path, moment: str) -> None:
    died = subprocess.run(
        [sys.executable, str(CHILD), str(tmp_path), moment], capture_output=True, timeout=60, check=False
    )
    assert died.returncode == -9, died.stderr.decode()
    for start in ("first", "second"):
        cloud = Cloud(tmp_path)
        cloud.start()
        try:
            found = cloud.query(f"_GetWatchlist('{ALIAS}') | summarize count(), dcount(ip, 4)")
            assert found == [(ITEMS, ITEMS)], start
            written = cloud.query("Watchlist | summarize Rows = count() by _DTItemType | order by _DTItemType asc")
            assert written == [("watchlist", 1), ("watchlist-item", ITEMS)], start
            if start == "second":
                cloud.put(RESOURCE, BODY)
                assert cloud.query("Watchlist | where _DTItemType == 'watchlist-item' | count") == [(ITEMS,)]
        finally:
            cloud.stop()
    assert CHUNK < ITEMS
