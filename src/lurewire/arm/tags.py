"""The tags of a resource, a resource group or the subscription, by themselves; and the names that are in use.

Source: https://learn.microsoft.com/rest/api/resources/tags
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from lurewire.arm.bodies import read_object
from lurewire.arm.builtin import TAGS
from lurewire.arm.errors import InvalidRequestContent, ResourceNotFound
from lurewire.core.http import Audience, Needs, Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from lurewire.arm.pages import Pages
    from lurewire.arm.scopes import Scopes
    from lurewire.arm.store import ResourceStore
    from lurewire.core.limits import Limits
    from lurewire.core.resources import ResourceId

Tags = dict[str, str]

_PATH = f"/{{scope:path}}/providers/{TAGS}/default"
_OPERATIONS: dict[str, Callable[[Tags, Tags], Tags]] = {
    "merge": lambda old, new: {name: value for name, value in old.items() if name.lower() not in _lower(new)} | new,
    "replace": lambda _old, new: new,
    "delete": lambda old, new: {name: value for name, value in old.items() if not _has(new, name, value)},
}


def _lower(tags: Tags) -> set[str]:
    return {name.lower() for name in tags}


def _has(tags: Tags, name: str, value: str) -> bool:
    return any(name.lower() == other.lower() and value == text for other, text in tags.items())


def tag_routes(store: ResourceStore, limits: Limits, scopes: Scopes, pages: Pages) -> tuple[Route, ...]:
    """Routes of tags, to be mounted before those of resources."""
    handlers = _Handlers(store, limits, scopes, pages)

    def needs(action: str) -> Needs:
        return Needs(
            f"{TAGS}/{action}", Audience.MANAGEMENT, scopes.of(lambda request: f"/{request.path_params['scope']}")
        )

    names = Needs("Microsoft.Resources/subscriptions/tagNames/read", Audience.MANAGEMENT, scopes.subscription)
    return (
        Route("GET", _PATH, handlers.show, needs("read")),
        Route("PUT", _PATH, handlers.put, needs("write")),
        Route("PATCH", _PATH, handlers.patch, needs("write")),
        Route("DELETE", _PATH, handlers.delete, needs("delete")),
        Route("GET", "/subscriptions/{subscription}/tagNames", handlers.names, names),
    )


class _Handlers:
    def __init__(self, store: ResourceStore, limits: Limits, scopes: Scopes, pages: Pages) -> None:
        self._store = store
        self._limits = limits
        self._scopes = scopes
        self._pages = pages

    async def show(self, request: Request) -> Response:
        scope = self._scope(request)
        return self._answer(scope, self._tags(scope))

    async def put(self, request: Request) -> Response:
        scope = self._scope(request)
        return await self._store_tags(request, scope, _tags_of(await self._body(request)))

    async def patch(self, request: Request) -> Response:
        scope, body = self._scope(request), await self._body(request)
        operation = _OPERATIONS.get(str(body.get("operation", "")).lower())
        if operation is None:
            raise InvalidRequestContent("The 'operation' on tags must be Merge, Replace or Delete.")
        return await self._store_tags(request, scope, operation(self._tags(scope), _tags_of(body)))

    async def delete(self, request: Request) -> Response:
        await self._store_tags(request, self._scope(request), {})
        return Response(status_code=200)

    async def names(self, request: Request) -> Response:
        scope = f"/subscriptions/{self._store.subscription_id}"
        counts: dict[str, dict[str, int]] = {}
        for body in self._store.everything(scope):
            for name, value in (body.get("tags") or {}).items():
                values = counts.setdefault(name, {})
                values[value] = values.get(value, 0) + 1
        rows = [
            {
                "id": f"{scope}/tagNames/{name}",
                "tagName": name,
                "count": {"type": "Total", "value": sum(values.values())},
                "values": [
                    {
                        "id": f"{scope}/tagNames/{name}/tagValues/{value}",
                        "tagValue": value,
                        "count": {"type": "Total", "value": count},
                    }
                    for value, count in sorted(values.items())
                ],
            }
            for name, values in sorted(counts.items())
        ]
        return self._pages(request, rows)

    def _scope(self, request: Request) -> ResourceId:
        return self._scopes.resource_id(f"/{request.path_params['scope']}")

    def _tags(self, scope: ResourceId) -> Tags:
        self._store.check_exists(scope)
        body = self._store.shown(self._holder(scope))
        tags: Tags = (body or {}).get("tags") or {}
        return tags

    def _holder(self, scope: ResourceId) -> ResourceId:
        """What is stored with the tags of `scope`; a subscription is no resource, so its tags are one."""
        is_subscription = scope.type.lower() == "microsoft.resources/subscriptions"
        return scope.extension("Microsoft.Resources", "tags", "default") if is_subscription else scope

    async def _store_tags(self, request: Request, scope: ResourceId, tags: Tags) -> Response:
        self._store.check_exists(scope)
        holder = self._holder(scope)
        body = self._store.get(holder)
        if body is None and holder == scope:
            raise ResourceNotFound(scope)
        await self._store.change(holder, (body or {}) | {"tags": tags}, request.state.principal)
        return self._answer(scope, tags)

    def _answer(self, scope: ResourceId, tags: Tags) -> Response:
        own = {"id": f"{scope}/providers/{TAGS}/default", "name": "default", "type": TAGS}
        return JSONResponse(own | {"properties": {"tags": tags}})

    async def _body(self, request: Request) -> dict[str, Any]:
        return await read_object(request, self._limits["arm.request_bytes"], self._limits["arm.json_depth"])


def _tags_of(body: dict[str, Any]) -> Tags:
    properties = body.get("properties")
    tags = properties.get("tags") if isinstance(properties, dict) else None
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise InvalidRequestContent("The request content was invalid: 'properties.tags' must be an object of strings.")
    return tags
