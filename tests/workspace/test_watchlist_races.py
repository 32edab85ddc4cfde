"""Several callers of one watchlist at once: none sees half of what another does, and nothing is written for what is gone."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ingestion.cloud import ARM, GROUP, WORKSPACE, Cloud
else:
    from ingestion.cloud import ARM, GROUP, WORKSPACE, Cloud

LISTS = f"{WORKSPACE}/providers/Microsoft.SecurityInsights/watchlists"
PROPERTIES = {"displayName": "Raced", "provider": "Custom", "itemsSearchKey": "ip"}
ITEM = {"properties": {"itemsKeyValue": {"ip": "9.9.9.9"}}}


class Racers:
    """Requests on threads of their own."""

    def __init__(self, cloud: Cloud, token: str) -> None:
        self.cloud = cloud
        self._headers = {"Authorization": f"Bearer {token}"}
        self.threads = ThreadPoolExecutor(8)

    def now(self, method: str, path: str, body: Any = None) -> requests.Response:
        url = f"{self.cloud.url()}{LISTS}/{path}?api-version=2023-02-01"
        return requests.request(method, url, json=body, headers=self._headers, verify=self.cloud.ca, timeout=60)

    def start(self, method: str, path: str, body: Any = None) -> Any:
        return self.threads.submit(self.now, method, path, body)

    def put(self, alias: str, etag: str | None = None, **more: Any) -> tuple[str, str, dict[str, Any]]:
        body: dict[str, Any] = {"properties": PROPERTIES | more}
        return "PUT", alias, body if etag is None else body | {"etag": etag}

    def items(self, alias: str) -> int:
        ((count,),) = self.cloud.query(f"_GetWatchlist('{alias}') | count")
        return int(count)


@pytest.fixture(scope="module")
def racers(cloud: Cloud) -> Iterator[Racers]:
    made = Racers(cloud, cloud.token("racer", ("Owner", GROUP), resource=ARM))
    yield made
    made.threads.shutdown()


def csv(count: int) -> str:
    return "ip\n" + "\n".join(f"10.0.{i // 256}.{i % 256}" for i in range(count))


async def waiting(lock: asyncio.Lock, count: int) -> None:
    """Until so many wait for a lock."""
    async with asyncio.timeout(20):
        while len(lock._waiters or ()) < count:
            await asyncio.sleep(0.005)


def test_an_item_of_a_watchlist_that_goes_meanwhile_is_not_there(racers: Racers) -> None:
    assert racers.now(*racers.put("gone", rawContent=csv(3))).status_code == 201
    cloud = racers.cloud
    lock = cloud.watchlists.lock(ResourceId.parse(f"{LISTS}/gone"))
    cloud.run(lock.acquire())
    deletion = racers.start("DELETE", "gone")
    cloud.run(waiting(lock, 1))
    writes = [racers.start("PUT", f"gone/watchlistItems/{name}", ITEM) for name in "ab"]
    cloud.run(waiting(lock, 3))
    removal = racers.start("DELETE", "gone/watchlistItems/a")
    cloud.run(waiting(lock, 4))
    cloud.loop.call_soon_threadsafe(lock.release)
    assert deletion.result().status_code == 204
    assert [one.result().status_code for one in (*writes, removal)] == [404, 404, 404]
    left = cloud.query("Watchlist | where WatchlistAlias == 'gone' and SearchKey == '9.9.9.9' | count")
    assert left == [(0,)]


def test_a_watchlist_that_is_deleted_while_it_is_uploaded(racers: Racers) -> None:
    """The one that comes first is whole before the other begins."""
    upload = racers.start(*racers.put("short", rawContent=csv(3_000)))
    deletion = racers.start("DELETE", "short")
    assert upload.result().status_code == 201
    assert deletion.result().status_code == 204
    if racers.now("GET", "short").status_code == 200:
        assert racers.items("short") == 3_000
        assert racers.now("DELETE", "short").status_code == 204
    statuses = racers.cloud.query(
        "Watchlist | where WatchlistAlias == 'short' | summarize arg_max(_DTTimestamp, _DTItemStatus) by _DTItemId"
        " | summarize count() by _DTItemStatus"
    )
    assert statuses == [("Delete", 3_001)]


def test_of_two_changes_of_one_version_one_is_made(racers: Racers) -> None:
    etag = racers.now(*racers.put("twice", rawContent=csv(2))).json()["etag"]
    both = [racers.start(*racers.put("twice", etag, rawContent=f"ip\nonly {name}\n")) for name in "ab"]
    assert sorted(one.result().status_code for one in both) == [200, 409]
    assert racers.items("twice") == 3


def test_items_that_come_while_others_are_uploaded(racers: Racers) -> None:
    assert racers.now(*racers.put("mixed")).status_code == 201
    upload = racers.start(*racers.put("mixed", rawContent=csv(3_000)))
    singles = [racers.start("PUT", f"mixed/watchlistItems/{name}", ITEM) for name in "abcd"]
    again = racers.start(*racers.put("mixed", rawContent=csv(3_000)))
    assert [one.result().status_code for one in (upload, again)] == [200, 200]
    assert [one.result().status_code for one in singles] == [201] * 4
    assert racers.items("mixed") == 3_004
