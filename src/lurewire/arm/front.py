"""The REST front of the resource store: one set of routes for every registered type, and one for all others.

Source: https://learn.microsoft.com/rest/api/resources/resources
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from lurewire.arm.bodies import read_object
from lurewire.arm.builtin import RESOURCE_GROUPS, TAGS
from lurewire.arm.errors import InvalidFilter, ResourceNotFound, UnsupportedPatch
from lurewire.arm.scopes import resource_id
from lurewire.core.http import Audience, Needs, Route
from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.arm.pages import Pages
    from lurewire.arm.scopes import Scopes
    from lurewire.arm.store import ResourceStore
    from lurewire.core.limits import Limits

STATUS_OF_CREATION: dict[str, int] = {
    "microsoft.operationalinsights/workspaces/tables": 200,
    "microsoft.operationalinsights/workspaces/savedsearches": 200,
    "microsoft.insights/diagnosticsettings": 200,
}
"""Types whose clients refuse 201 (azure.md, section E.2); all others answer 201 to the PUT that creates."""

STATUS_OF_DELETION: dict[str, int] = {"microsoft.securityinsights/watchlists": 204}
"""Types of which some clients refuse 200 to the DELETE of what is there, and all take this."""

SHOWN_AT_DELETION = frozenset({"microsoft.authorization/roleassignments"})
"""Types whose DELETE answers with what was deleted, which clients read; that of all others has no body."""

ASSOCIATIONS: dict[str, tuple[str, str]] = {
    "microsoft.insights/datacollectionrules": (
        "Microsoft.Insights/dataCollectionRuleAssociations",
        "dataCollectionRuleId",
    ),
}
"""Types whose DELETE takes `deleteAssociations=true`: the type to delete with them, and its property that names them.

Source: https://learn.microsoft.com/rest/api/monitor/data-collection-rules/delete
"""

PATCHED: dict[str, frozenset[str]] = {
    "microsoft.keyvault/vaults": frozenset({"properties"}),
    "microsoft.operationalinsights/workspaces": frozenset({"properties"}),
    "microsoft.operationalinsights/workspaces/tables": frozenset({"properties"}),
}
"""What a PATCH may change beside tags and identity: properties are merged into those that are stored."""

OF_ONE_RESOURCE = frozenset({"microsoft.insights/diagnosticsettings"})
"""Types whose lists are of one resource, without what is on those inside it."""

_ALWAYS_PATCHED = frozenset({"tags", "identity"})
_IGNORED_IN_PATCH = frozenset({"id", "name", "type", "location"})
"""What clients repeat of the resource; it must be what is stored."""

_PROVIDERS = "/providers/"
_VERBS = (("GET", "read"), ("HEAD", "read"), ("PUT", "write"), ("PATCH", "write"), ("DELETE", "delete"))


def resource_routes(store: ResourceStore, limits: Limits, scopes: Scopes, pages: Pages) -> tuple[Route, ...]:
    """The routes of all types that are registered now, then those of types that nobody registered."""
    handlers = _Front(store, limits, pages)
    by_verb = {
        "GET": handlers.show,
        "HEAD": handlers.exists,
        "PUT": handlers.put,
        "PATCH": handlers.patch,
        "DELETE": handlers.delete,
    }
    target, place = scopes.of(_target), scopes.of(_place)
    routes: list[Route] = []
    for kind in store.types:
        if kind.type in (RESOURCE_GROUPS, TAGS):
            continue  # they have paths of their own
        one, many = _paths(kind.type)
        routes += [
            Route(verb, one, by_verb[verb], Needs(f"{kind.type}/{action}", Audience.MANAGEMENT, target))
            for verb, action in _VERBS
        ]
        routes.append(
            Route("GET", many, handlers.list_of(kind.type), Needs(f"{kind.type}/read", Audience.MANAGEMENT, place))
        )
    # Nobody can name the action of a type that is not known: it takes a role that allows it for every type.
    routes += [
        Route(
            verb,
            "/{scope:path}/providers/{rest:path}",
            by_verb[verb],
            Needs(f"*/{action}", Audience.MANAGEMENT, target),
        )
        for verb, action in _VERBS
    ]
    return tuple(routes)


def _paths(resource_type: str) -> tuple[str, str]:
    namespace, *kinds = resource_type.split("/")
    many = f"/{{scope:path}}/providers/{namespace}"
    for depth, kind in enumerate(kinds[:-1]):
        many += f"/{kind}/{{name{depth}}}"
    many += f"/{kinds[-1]}"
    return f"{many}/{{name}}", many


def _path(request: Request) -> str:
    # Not `request.url`, which is parsed again from the decoded path: an encoded `?` would end it.
    path: str = request.scope["path"]
    return path.replace("//", "/")


def _target(request: Request) -> str:
    return str(resource_id(_path(request)))


def _place(request: Request) -> str:
    """What a list is of: its path without the type, and without the namespace where that is all that is left."""
    place = _path(request).rstrip("/").rpartition("/")[0]
    at = place.lower().rfind(_PROVIDERS)
    if "/" not in place[at + len(_PROVIDERS) :]:
        place = place[:at]
    return str(resource_id(place))


class _Front:
    def __init__(self, store: ResourceStore, limits: Limits, pages: Pages) -> None:
        self._store = store
        self._limits = limits
        self._pages = pages

    async def show(self, request: Request) -> Response:
        return JSONResponse(self._shown(resource_id(_path(request))))

    async def exists(self, request: Request) -> Response:
        there = self._store.shown(resource_id(_path(request))) is not None
        return Response(status_code=204 if there else 404)

    async def put(self, request: Request) -> Response:
        target = resource_id(_path(request))
        await self._store.registrations.check(target.namespace)
        stored = await self._store.change(
            target,
            await self._body(request),
            request.state.principal,
            if_match=request.headers.get("if-match"),
            if_none_match=request.headers.get("if-none-match"),
        )
        status = STATUS_OF_CREATION.get(target.type.lower(), 201) if stored.created else 200
        return JSONResponse(self._shown(target), status_code=status)

    async def patch(self, request: Request) -> Response:
        target = resource_id(_path(request))
        change = await self._body(request)
        existing = self._store.get(target)
        if existing is None:
            self._store.check_parent(target)
            raise ResourceNotFound(target)
        await self._store.change(
            target,
            patched(target.type, existing, change),
            request.state.principal,
            if_match=request.headers.get("if-match"),
            assigns="identity" in change,
        )
        return JSONResponse(self._shown(target))

    async def delete(self, request: Request) -> Response:
        target = resource_id(_path(request))
        shown = self._store.shown(target) if target.type.lower() in SHOWN_AT_DELETION else None
        there = await self._store.delete(target, if_match=request.headers.get("if-match"))
        if request.query_params.get("deleteAssociations", "").lower() == "true":
            await self._delete_associations(target)  # also those that an earlier call, cut off, has left
        if not there:
            return Response(status_code=204)
        if shown is not None:
            return JSONResponse(shown)
        return Response(status_code=STATUS_OF_DELETION.get(target.type.lower(), 200))

    async def _delete_associations(self, target: ResourceId) -> None:
        if (known := ASSOCIATIONS.get(target.type.lower())) is None:
            return
        kind, named_by = known
        for body in self._store.list(kind):
            if str(body["properties"].get(named_by)).lower() == target.key:
                await self._store.delete(ResourceId.parse(body["id"]))

    def list_of(self, resource_type: str) -> Any:
        async def answer(request: Request) -> Response:
            place = _place(request)
            wanted = str(request.query_params.get("$filter") or "")
            if wanted and wanted.lower() != "atscope()":
                raise InvalidFilter(f"This list knows no '$filter' but 'atScope()', and not '{wanted[:200]}'.")
            self._store.check_exists(resource_id(place))
            rows = self._store.list_shown(resource_type, place)
            if wanted or resource_type.lower() in OF_ONE_RESOURCE:
                rows = [row for row in rows if ResourceId.parse(row["id"]).scope.lower() == place.lower()]
            return self._pages(request, rows)

        return answer

    def _shown(self, target: ResourceId) -> dict[str, Any]:
        body = self._store.shown(target)
        if body is None:
            self._store.check_parent(target)
            raise ResourceNotFound(target)
        return body

    async def _body(self, request: Request) -> dict[str, Any]:
        return await read_object(request, self._limits["arm.request_bytes"], self._limits["arm.json_depth"])


def patched(resource_type: str, existing: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The stored body with a PATCH applied; raises `UnsupportedPatch`.

    Tags and identity are replaced, properties merged (RFC 7396), where the type has some that can be changed so.
    """
    allowed = _ALWAYS_PATCHED | PATCHED.get(resource_type.lower(), frozenset())
    repeated = {name for name in _IGNORED_IN_PATCH if name in change and change[name] == existing.get(name)}
    change = {name: value for name, value in change.items() if name not in repeated and value is not None}
    other = sorted(set(change) - allowed)
    if other:
        known = "', '".join(sorted(allowed))
        raise UnsupportedPatch(f"Only '{known}' can be patched here, not '{other[0]}'; PUT the whole resource.")
    body = existing | {name: value for name, value in change.items() if name != "properties"}
    if "properties" in change:
        body["properties"] = _merged(existing.get("properties"), change["properties"])
    return body


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(new, dict):
        return new
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in new.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result
