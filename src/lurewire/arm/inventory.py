"""Lists of resources of all types, and what is not done with several at once.

Sources: https://learn.microsoft.com/rest/api/resources/resources/list and
https://learn.microsoft.com/rest/api/resources/resources/move-resources
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.arm.errors import InvalidQuery, MoveNotSupported
from lurewire.arm.filters import RESOURCE_FIELDS, parse_filter
from lurewire.arm.scopes import group_id
from lurewire.arm.tracked import EXPANSIONS, is_tracked, listed
from lurewire.core.errors import Forbidden
from lurewire.core.http import Audience, Needs, Public, Route
from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from lurewire.arm.containers import Access
    from lurewire.arm.pages import Pages
    from lurewire.arm.scopes import Scopes
    from lurewire.arm.store import ResourceStore

_SUBSCRIPTION = "/subscriptions/{subscription}"
_GROUP = f"{_SUBSCRIPTION}/resourcegroups/{{group}}"
_GROUPS = "Microsoft.Resources/subscriptions/resourceGroups"
_READ = "Microsoft.Resources/subscriptions/resources/read"
_OWN_CHECK = "shows each caller what it may read: the handler itself asks for the token"


def inventory_routes(store: ResourceStore, access: Access, scopes: Scopes, pages: Pages) -> tuple[Route, ...]:
    """`resources` of the subscription and of a group; moves, which are refused by name."""
    handlers = _Inventory(store, access, pages)

    def needs(action: str) -> Needs:
        return Needs(f"{_GROUPS}/{action}", Audience.MANAGEMENT, scopes.group)

    return (
        Route("GET", f"{_SUBSCRIPTION}/resources", handlers.of_subscription, Public(_OWN_CHECK)),
        Route("GET", f"{_GROUP}/resources", handlers.of_group, needs("resources/read")),
        Route("POST", f"{_GROUP}/moveResources", handlers.move, needs("moveResources/action")),
        Route("POST", f"{_GROUP}/validateMoveResources", handlers.move, needs("validateMoveResources/action")),
    )


class _Inventory:
    def __init__(self, store: ResourceStore, access: Access, pages: Pages) -> None:
        self._store = store
        self._access = access
        self._pages = pages

    async def of_subscription(self, request: Request) -> Response:
        """The resources that the caller may read, of all that are there."""
        place = ResourceId.parse(f"/subscriptions/{request.path_params['subscription']}")
        caller = self._access.authenticate(request.headers.get("authorization"), Audience.MANAGEMENT)
        if not self._access.sees(caller, f"/subscriptions/{self._store.subscription_id}"):
            raise Forbidden(caller, _READ, str(place))
        if self._access.allows(caller, _READ, str(place), data=False):
            return self._list(request, place)

        def readable(body: dict[str, Any]) -> bool:
            return self._access.allows(caller, f"{body['type']}/read", body["id"], data=False)

        return self._list(request, place, readable)

    async def of_group(self, request: Request) -> Response:
        return self._list(request, group_id(request))

    async def move(self, request: Request) -> Response:
        self._store.check_exists(group_id(request))
        raise MoveNotSupported("Resources are not moved here: deploy their template to the other group.")

    def _list(
        self, request: Request, place: ResourceId, readable: Callable[[dict[str, Any]], bool] = lambda _body: True
    ) -> Response:
        self._store.check_exists(place)
        wanted = parse_filter(request.query_params.get("$filter"), RESOURCE_FIELDS)
        expansions = [one.strip() for one in request.query_params.get("$expand", "").split(",") if one.strip()]
        known = {name.lower(): name for name in EXPANSIONS}
        for one in expansions:
            if one.lower() not in known:
                raise InvalidQuery(f"'$expand' knows {', '.join(EXPANSIONS)}, and not '{one[:100]}'.")
        names = [known[one.lower()] for one in expansions]
        rows = [
            listed(body, names)
            for body in self._store.everything(str(place))
            if is_tracked(ResourceId.parse(body["id"])) and wanted(body) and readable(body)
        ]
        return self._pages(request, rows)
