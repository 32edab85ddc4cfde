"""The items of a watchlist over Azure's resource manager: `watchlists/{alias}/watchlistItems`.

Source: contract section F.5 and https://learn.microsoft.com/rest/api/securityinsights/watchlist-items
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from starlette.responses import JSONResponse, Response

from lurewire.core.bodies import BodyTooLong, read_body
from lurewire.core.http import Audience, Needs, Route
from lurewire.core.resources import ResourceId
from lurewire.workspace.errors import BadRequest, Conflict, NotFound, RequestTooLarge
from lurewire.workspace.watchlist_content import BadContent, check_columns, digest
from lurewire.workspace.watchlist_rows import ETAG
from lurewire.workspace.watchlists import WATCHLIST_TYPE, told, user

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.requests import Request

    from lurewire.core.principal import Principal
    from lurewire.workspace.watchlist_rows import Row
    from lurewire.workspace.watchlists import Watchlist, Watchlists

_WORKSPACE = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.OperationalInsights/workspaces/{workspace}"
_WATCHLIST = f"{_WORKSPACE}/providers/{WATCHLIST_TYPE}/{{alias}}"
_ITEMS = f"{_WATCHLIST}/watchlistItems"
_ITEM = f"{_ITEMS}/{{item}}"
_ITEM_NAME = re.compile(r"[\w-]{1,128}", re.ASCII)


def watchlist_routes(watchlists: Watchlists) -> tuple[Route, ...]:
    """The routes, for the front of the resource store to dress; they come before its own."""
    h = _Handlers(watchlists)

    def route(method: str, path: str, verb: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
        return Route(method, path, handler, Needs(f"{WATCHLIST_TYPE}/{verb}", Audience.MANAGEMENT, _scope))

    return (
        route("GET", _ITEMS, "read", h.list),
        route("GET", _ITEM, "read", h.get),
        route("HEAD", _ITEM, "read", h.exists),
        route("PUT", _ITEM, "write", h.put),
        route("DELETE", _ITEM, "delete", h.delete),
    )


def _scope(request: Request) -> str:
    named = request.path_params
    return _WATCHLIST.format(**{name: named[name] for name in ("subscription", "group", "workspace", "alias")})


def _watchlist_id(request: Request) -> ResourceId:
    return ResourceId.parse(_scope(request))


class _Handlers:
    def __init__(self, watchlists: Watchlists) -> None:
        self._watchlists = watchlists

    async def list(self, request: Request) -> Response:
        watchlist = self._watchlist(request)
        most = self._watchlists.limits["workspace.watchlist_page_items"]
        after = request.query_params.get("$skipToken") or request.query_params.get("$skiptoken") or ""
        with told():
            found = await watchlist.workspace.watchlists.items(watchlist.guid, after=after, most=most + 1)
        link = _next(request, found[most - 1]["WatchlistItemId"]) if len(found) > most else None
        body = await asyncio.to_thread(_page, watchlist, found[:most], link)
        return Response(body, media_type="application/json")

    async def get(self, request: Request) -> Response:
        watchlist = self._watchlist(request)
        return JSONResponse(await self._shown(watchlist, request))

    async def exists(self, request: Request) -> Response:
        there = await self._row(self._watchlist(request), request) is not None
        return Response(status_code=204 if there else 404)

    async def put(self, request: Request) -> Response:
        self._watchlist(request)
        if not _ITEM_NAME.fullmatch(_name(request)):
            rule = "a GUID, or up to 128 letters, digits, '-' and '_'"
            raise BadRequest(f"'{_name(request)[:80]}' cannot be the id of an item: it is {rule}.")
        body = await self._body(request)
        values, mapping = self._read(body)
        async with self._watchlists.lock(_watchlist_id(request)):
            watchlist = self._watchlist(request)  # which may have been deleted while others held the lock
            old = await self._row(watchlist, request)
            if old is not None and str(body.get("etag") or "*").strip('"') not in ("*", old[ETAG].strip('"')):
                raise Conflict(f"The etag of item '{old['WatchlistItemId']}' is not the one that the request is for.")
            by = user(_principal(request))
            (row,) = self._watchlists.new_items(watchlist, [(_name(request), values)], by)
            row["EntityMapping"] = mapping
            with told():
                await self._watchlists.check_room(watchlist, values, int(old is None))
                if old is not None:
                    kept = ("_DTItemId", "WatchlistItemId", "CreatedBy", "CreatedTimeUTC", "TimeToLive")
                    row |= {name: old[name] for name in kept} | {"_DTItemStatus": "Update"}
                await watchlist.workspace.watchlists.add([row])
            if not watchlist.columns.issuperset(values):
                with told(
                    "the item is stored, and queries see its new columns once it is sent again, or at the next start"
                ):
                    await self._watchlists.share(watchlist)
            shown = await self._shown(watchlist, request)
        return JSONResponse(shown, status_code=201 if old is None else 200)

    async def delete(self, request: Request) -> Response:
        async with self._watchlists.lock(_watchlist_id(request)):
            watchlist = self._watchlist(request)
            row = await self._row(watchlist, request)
            if row is None:
                return Response(status_code=204)
            with told():
                by, item = user(_principal(request)), row["WatchlistItemId"]
                await watchlist.workspace.watchlists.remove(watchlist.guid, by, item)
        return Response(status_code=200)

    def _watchlist(self, request: Request) -> Watchlist:
        found = self._watchlists.find(_watchlist_id(request))
        if found is None:
            raise NotFound(f"There is no watchlist '{request.path_params['alias'][:80]}'.")
        return found

    async def _row(self, watchlist: Watchlist, request: Request) -> Row | None:
        with told():
            return await watchlist.workspace.watchlists.item(watchlist.guid, _name(request))

    async def _shown(self, watchlist: Watchlist, request: Request) -> dict[str, Any]:
        row = await self._row(watchlist, request)
        if row is None:
            raise NotFound(f"The watchlist '{watchlist.id.name}' has no item '{_name(request)[:128]}'.")
        return _shown(watchlist, row)

    def _read(self, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The item's values and its entity mapping."""
        properties = body.get("properties")
        values = properties.get("itemsKeyValue") if isinstance(properties, dict) else None
        if not isinstance(properties, dict) or not isinstance(values, dict) or not values:
            raise BadRequest("'properties.itemsKeyValue': an object with a value for each column is required.")
        mapping = properties.get("entityMapping") or {}
        if not isinstance(mapping, dict):
            raise BadRequest("'properties.entityMapping': an object is required.")
        for what, given in (("itemsKeyValue", values), ("entityMapping", mapping)):
            try:
                check_columns(given, self._watchlists.limits)
                digest(given, self._watchlists.limits["workspace.watchlist_item_bytes"])
            except BadContent as error:
                raise BadRequest(f"'properties.{what}': {error}.") from None
        return values, mapping

    async def _body(self, request: Request) -> dict[str, Any]:
        most = self._watchlists.limits["workspace.watchlist_request_bytes"]
        try:
            body = msgspec.json.decode(await read_body(request, most))
            msgspec.json.encode(body)  # what JSON cannot carry, such as half of a surrogate pair
        except BodyTooLong:
            raise RequestTooLarge(f"The body is longer than {most} bytes.") from None
        except (msgspec.DecodeError, UnicodeError, OverflowError, RecursionError) as error:
            raise BadRequest(f"The body is not JSON that can be read: {error}.") from None
        if not isinstance(body, dict):
            raise BadRequest("The body is not a JSON object.")
        return body


def _name(request: Request) -> str:
    name: str = request.path_params["item"]
    return name


def _principal(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


def _next(request: Request, last: str) -> str:
    url = request.url.replace(path=quote(request.scope["path"], safe="/():@"))  # an alias may have what a URL has not
    return str(url.remove_query_params(["$skiptoken"]).include_query_params(**{"$skipToken": last}))


def _page(watchlist: Watchlist, rows: Iterable[Row], link: str | None) -> bytes:
    """A page of items, which may have megabytes: one item after the other."""
    items = [msgspec.Raw(msgspec.json.encode(_shown(watchlist, row))) for row in rows]
    return msgspec.json.encode({"value": items} | ({} if link is None else {"nextLink": link}))


def _shown(watchlist: Watchlist, row: Row) -> dict[str, Any]:
    """An item as the API shows it."""
    return {
        "id": f"{watchlist.id}/WatchlistItems/{row['WatchlistItemId']}",
        "name": row["WatchlistItemId"],
        "etag": row[ETAG],
        "type": f"{WATCHLIST_TYPE}/WatchlistItems",
        "properties": {
            "watchlistItemType": row["_DTItemType"],
            "watchlistItemId": row["WatchlistItemId"],
            "tenantId": row["AzureTenantId"],
            "isDeleted": False,
            "created": row["CreatedTimeUTC"],
            "updated": row["LastUpdatedTimeUTC"],
            "createdBy": row["CreatedBy"],
            "updatedBy": row["UpdatedBy"],
            "itemsKeyValue": row["WatchlistItem"],
            "entityMapping": row["EntityMapping"],
        },
    }
