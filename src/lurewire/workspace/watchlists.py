"""Microsoft.SecurityInsights/watchlists: named lists of items that queries read with `_GetWatchlist('alias')`.

A watchlist is a resource; its items are rows of the table Watchlist (`watchlist_rows`). An upload is kept with the resource,
packed and hidden, and written into the table once: the row that ends it names the resource's etag, so that one which a crash
cut off is finished at the next start. Sources: contract section F.5, https://learn.microsoft.com/rest/api/securityinsights/watchlists and
https://learn.microsoft.com/azure/sentinel/watchlists-manage (a further upload adds the items that are not there yet).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import msgspec
from isal import isal_zlib

from lurewire.core.limits import Limits
from lurewire.core.resources import Change, ResourceId, ResourceType
from lurewire.kql import datetime_text, ticks_from_datetime
from lurewire.workspace.engine import NotOpen
from lurewire.workspace.errors import BadRequest, Busy, NotStored
from lurewire.workspace.intake import Overloaded
from lurewire.workspace.journal import JournalError
from lurewire.workspace.limits import LIMITS
from lurewire.workspace.pool import QueryTimeout, TooManyQueries
from lurewire.workspace.watchlist_content import BadContent, check_columns, items
from lurewire.workspace.watchlist_properties import check_alias, expiry, read
from lurewire.workspace.watchlist_rows import ITEM_TYPE, LIST_TYPE, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from lurewire.core.clock import Clock
    from lurewire.core.principal import Principal
    from lurewire.workspace.service import Workspace, Workspaces

WATCHLIST_TYPE = "Microsoft.SecurityInsights/Watchlists"

_RETRY_SECONDS = "5"


@dataclass(frozen=True, slots=True)
class Watchlist:
    """A watchlist that is stored, and the workspace that it is in."""

    id: ResourceId
    workspace: Workspace
    properties: Mapping[str, Any]

    @property
    def guid(self) -> str:
        """What its rows call it: another one than that of an earlier watchlist of the same alias."""
        return str(self.properties["watchlistId"])

    @property
    def search_key(self) -> str:
        """The column whose values are the items' `SearchKey`."""
        return str(self.properties["itemsSearchKey"])

    @property
    def columns(self) -> frozenset[str]:
        """The columns that queries find in it."""
        shared = self.workspace.tables.watchlist(self.id.name)
        return frozenset(column.name for column in (shared.columns if shared else ()))


class Watchlists:
    """The watchlists of all workspaces."""

    def __init__(self, workspaces: Workspaces, clock: Clock, tenant_id: str, limits: Limits | None = None) -> None:
        self._workspaces = workspaces
        self._clock = clock
        self._tenant_id = tenant_id
        self.limits = limits or Limits(LIMITS)
        self._known: dict[str, Watchlist] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.resource_types = (
            ResourceType(
                WATCHLIST_TYPE, self._prepare, self._applied, self._deleted, hidden=("/properties/rawContent",)
            ),
            ResourceType(f"{WATCHLIST_TYPE}/WatchlistItems", _refuse_item, _nothing, _nothing),
        )
        """Watchlists, and their items, which templates cannot deploy."""

    def find(self, resource_id: ResourceId) -> Watchlist | None:
        """The watchlist of an id, or None."""
        return self._known.get(resource_id.key)

    def lock(self, resource_id: ResourceId) -> asyncio.Lock:
        """Held by whoever changes the items of the watchlist of an id: it may be another one before that, or gone."""
        return self._locks.setdefault(resource_id.key, asyncio.Lock())

    def now(self) -> str:
        """The present time as rows and answers have it."""
        return datetime_text(ticks_from_datetime(self._clock.now()))

    def new_items(self, watchlist: Watchlist, named: Iterable[tuple[str, dict[str, Any]]], by: Row) -> Iterator[Row]:
        """The rows that make items, of their ids and values."""
        now = self.now()
        common = self._row(watchlist, ITEM_TYPE, "", "Create") | {
            "EntityMapping": {},
            "CreatedBy": by,
            "UpdatedBy": by,
            "CreatedTimeUTC": now,
            "TimeToLive": expiry(watchlist.properties.get("defaultDuration"), self._clock.now()),
        }
        for item, values in named:
            key = _text_of(values.get(watchlist.search_key))
            yield common | {"_DTItemId": item, "WatchlistItemId": item, "WatchlistItem": values, "SearchKey": key}

    def _row(self, watchlist: Watchlist, kind: str, item: str, status: str) -> Row:
        now, p = self.now(), watchlist.properties
        return {
            "_DTItemId": item,
            "_DTItemType": kind,
            "_DTItemStatus": status,
            "_DTTimestamp": now,
            "LastUpdatedTimeUTC": now,
            "AzureTenantId": self._tenant_id,
            "CorrelationId": str(uuid.uuid4()),
            "DefaultDuration": p.get("defaultDuration", ""),
            "Notes": p.get("description", ""),
            "Provider": p["provider"],
            "Source": p.get("source", ""),
            "Tags": msgspec.json.encode(p["labels"]).decode(),
            "WatchlistAlias": watchlist.id.name,
            "WatchlistId": watchlist.guid,
            "WatchlistName": p["displayName"],
        }

    # The resource type

    async def _prepare(self, change: Change) -> dict[str, Any]:
        workspace = self._workspace(change.id)
        check_alias(change.id.name, self.limits)
        given = read(change.body, change.id.name, self.limits)
        old = (change.existing or {}).get("properties", {})
        if old and given["itemsSearchKey"] != old["itemsSearchKey"]:
            was = f"it is '{old['itemsSearchKey'][:80]}', and the items that are there have it as their key"
            raise BadRequest(f"'properties.itemsSearchKey' cannot be changed: {was}.")
        guid = old.get("watchlistId") or str(uuid.uuid4())
        text = given.pop("rawContent", None)
        if text is not None and text == old.get("rawContent"):  # the stored one, packed: nothing is uploaded again
            if "etag" not in change.body:  # a preview compares what is stored with itself; a PATCH has the etag
                given["rawContent"] = text
        elif text is not None:
            with told():
                workspace.check_room(len(text))
                given["rawContent"] = await asyncio.to_thread(_pack, text)
                digests, columns = await self._contents(given)
                made = Watchlist(change.id, workspace, {"watchlistId": guid})
                await self.check_room(made, columns, len(digests), digests)
        now, by = self.now(), user(change.principal)
        properties = given | {
            "watchlistId": guid,
            "watchlistAlias": change.id.name,
            "watchlistType": LIST_TYPE,
            "created": old.get("created", now),
            "createdBy": old.get("createdBy", by),
            "updated": now,
            "updatedBy": by,
            "isDeleted": False,
            "tenantId": self._tenant_id,
            "uploadStatus": "Complete",
            "provisioningState": "Succeeded",
        }
        return {"properties": properties}

    def _items(self, properties: Mapping[str, Any], seen: set[bytes]) -> Iterator[dict[str, str]]:
        """To be begun and taken on a thread, as all of `items` is."""
        how = (properties["contentType"], properties["numberOfLinesToSkip"], properties["itemsSearchKey"])
        yield from items(_unpack(properties["rawContent"]), *how, self.limits, seen)

    async def _contents(self, properties: Mapping[str, Any]) -> tuple[set[bytes], frozenset[str]]:
        """The digests of an upload's items, and its columns; one item at a time is in memory. Raises `BadRequest`."""

        def work() -> tuple[set[bytes], frozenset[str]]:
            seen, columns = set[bytes](), frozenset[str]()
            for item in self._items(properties, seen):
                columns = columns or frozenset(item)
            return seen, columns

        try:
            return await asyncio.to_thread(work)
        except BadContent as error:
            raise BadRequest(f"'properties.rawContent': {error}.") from None

    async def check_room(
        self, watchlist: Watchlist, columns: Iterable[str], more: int, digests: AbstractSet[bytes] = frozenset()
    ) -> None:
        """Raises `BadRequest` where there is no room for these columns beside those there are, or for `more` items.

        Of an upload the `digests` are given: those of its items that are there already are no more.
        """
        try:
            check_columns({*columns, *watchlist.columns}, self.limits)
        except BadContent as error:
            raise BadRequest(f"'properties': {error}.") from None
        most, rows = self.limits["workspace.watchlist_items"], watchlist.workspace.watchlists
        if not more or await rows.bound() + more <= most:
            return
        there = await rows.count()
        if digests:
            more -= len(await rows.present(watchlist.guid, digests))
        if more and there + more > most:
            raise BadRequest(f"The workspace has {there} watchlist items; with {more} more they are over {most}.")

    async def _applied(self, resource_id: ResourceId, body: dict[str, Any]) -> None:
        shown = {name: value for name, value in body["properties"].items() if name != "rawContent"}
        workspace = self._workspace(resource_id)
        watchlist = self._known[resource_id.key] = Watchlist(resource_id, workspace, shown)
        async with self.lock(resource_id):
            with told("the watchlist is stored, and its items are whole once it is sent again, or at the next start"):
                await workspace.until_loaded(workspace.acknowledged)
                if not await workspace.watchlists.has(watchlist.guid, body["etag"]):
                    await self._write(watchlist, body)
                await self.share(watchlist)

    async def share(self, watchlist: Watchlist) -> None:
        """Have queries read the watchlist, with the columns that its items have by now."""
        await watchlist.workspace.watchlists.share(watchlist.id.name, watchlist.guid, watchlist.search_key)

    async def _write(self, watchlist: Watchlist, body: dict[str, Any]) -> None:
        """Add the items of an upload that are not there yet, then the row that says so."""
        p, rows = body["properties"], watchlist.workspace.watchlists
        if "rawContent" in p:
            digests, _ = await self._contents(p)
            found = self._items(p, await rows.present(watchlist.guid, digests))
            new = ((str(uuid.uuid4()), values) for values in found)
            await rows.add(self.new_items(watchlist, new, p["updatedBy"]))
        status = "Create" if p["created"] == p["updated"] else "Update"
        end = self._row(watchlist, LIST_TYPE, watchlist.guid, status) | {
            "CorrelationId": body["etag"],
            "CreatedBy": p["createdBy"],
            "UpdatedBy": p["updatedBy"],
            "CreatedTimeUTC": p["created"],
        }
        await rows.add([end])

    async def _deleted(self, resource_id: ResourceId) -> None:
        watchlist = self._known.get(resource_id.key)
        if watchlist is None:
            return
        rows = watchlist.workspace.watchlists
        async with self.lock(resource_id):
            with told("the watchlist is there, and not all of its items are"):
                await rows.remove(watchlist.guid, {})
                end = self._row(watchlist, LIST_TYPE, watchlist.guid, "Delete")
                await rows.add([end | {"CreatedTimeUTC": watchlist.properties["created"]}])
                await rows.forget(resource_id.name, watchlist.guid)
            self._known.pop(resource_id.key, None)

    def _workspace(self, resource_id: ResourceId) -> Workspace:
        found = self._workspaces.by_id(resource_id.scope)
        if found is None:
            raise BadRequest(f"'{resource_id.scope}' is not a workspace that is open here.")
        return found


def _pack(text: str) -> str:
    """An upload as it is stored: the event loop encrypts it, and JSON carries it."""
    return base64.b64encode(isal_zlib.compress(text.encode("utf-8", "surrogatepass"))).decode()


def _unpack(packed: str) -> str:
    return isal_zlib.decompress(base64.b64decode(packed)).decode("utf-8", "surrogatepass")


def user(principal: Principal | None) -> Row:
    """Who did something, as the API writes it."""
    if principal is None:
        return {"objectId": None, "email": None, "name": "Lurewire"}
    return {"objectId": principal.object_id, "email": None, "name": principal.name}


def _text_of(value: Any) -> str:
    """A value as a search key."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


@contextlib.contextmanager
def told(state: str = "nothing is changed") -> Iterator[None]:
    """What keeps a workspace from it, as the API's errors; `state` is what holds then."""
    try:
        yield
    except (Overloaded, QueryTimeout, TooManyQueries) as error:
        raise Busy(f"{error}; {state}.", headers={"Retry-After": _RETRY_SECONDS}) from None
    except (JournalError, NotOpen) as error:
        raise NotStored(f"{error}; {state}.") from None


async def _refuse_item(change: Change) -> dict[str, Any]:
    what = (
        "an item of a watchlist cannot be deployed by a template: write it into the watchlist's rawContent, or PUT it"
    )
    raise BadRequest(f"'{change.id}': {what}.")


async def _nothing(*_: Any) -> None:
    """Nothing is ever stored of what is refused."""
