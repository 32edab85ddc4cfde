"""The query API without its HTTP: whose rows, with which rights, within which limits.

Source: https://learn.microsoft.com/azure/azure-monitor/logs/api/cross-workspace-queries and .../logs/manage-access.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lurewire.core.errors import Forbidden
from lurewire.core.resources import InvalidResourceId, ResourceId
from lurewire.workspace.admission import Admission
from lurewire.workspace.errors import BadArgument, GatewayTimeout, QueryApiError, Throttled, WorkspaceNotFound
from lurewire.workspace.metadata import describe
from lurewire.workspace.pool import QueryTimeout, TooManyQueries
from lurewire.workspace.query import QueryLimits
from lurewire.workspace.service import meant
from lurewire.workspace.timespans import BadTimespan, parse_timespan
from lurewire.workspace.views import ResourceView, WorkspacesView
from lurewire.workspace.watchlist_rows import WATCHLIST

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from lurewire.core.clock import Clock
    from lurewire.core.http import Gatekeeper
    from lurewire.core.limits import Limits
    from lurewire.core.principal import Principal
    from lurewire.workspace.catalog import Tables
    from lurewire.workspace.held import Hold
    from lurewire.workspace.models import Prefer, QueryRequest
    from lurewire.workspace.query import QueryResult
    from lurewire.workspace.service import Workspace, Workspaces
    from lurewire.workspace.views import Origin

QUERY_ACTION = "Microsoft.OperationalInsights/workspaces/query/read"
"""What a query of a workspace needs there; the routes and every further workspace ask for it."""

_TABLE_ACTIONS = "Microsoft.OperationalInsights/workspaces/query"
_RESOURCE_TABLE_ACTIONS = "Microsoft.Insights/logs"

_RETRY_SECONDS = 5
_NAMES_WORKSPACE = re.compile(r"\bworkspace\s*\(")

Place = tuple["ResourceId", "Workspace"]


@dataclass(frozen=True, slots=True)
class Answered:
    """A result, the workspaces with the tables that it came from, and the memory that it holds until it is sent."""

    result: QueryResult
    sources: list[dict[str, Any]]
    hold: Hold


def drop(query: asyncio.Future[Answered]) -> None:
    """Give back what the answer of a query that has ended holds: nobody reads it."""
    if query.done() and not query.cancelled() and query.exception() is None:
        query.result().hold.release()


class QueryApi:
    """Runs the queries of the API; belongs to the event loop."""

    def __init__(self, workspaces: Workspaces, clock: Clock, limits: Limits, gatekeeper: Gatekeeper) -> None:
        self._workspaces = workspaces
        self._clock = clock
        self._limits = limits
        self._gatekeeper = gatekeeper
        self.admission = Admission(clock, limits)

    def find(self, name: str) -> Place:
        """The workspace of a GUID, an ARM id or a name. Raises `WorkspaceNotFound`, and `BadArgument` for one of several."""
        return _the_one(self._workspaces.named(name), name)

    def hide(self, principal: Principal, name: str, known: Sequence[Place] | None = None) -> None:
        """Raise `Forbidden` where the principal may not query all that a name without one workspace could mean.

        So what is not there is refused as what is: who may not query a workspace does not learn whether there is one.
        `known` are the workspaces that there are, where the caller is on another thread.
        """
        every = self._workspaces.all() if known is None else known
        scopes = [str(resource_id) for resource_id, _ in meant(every, name)]
        for scope in scopes or [_scope_of(name, every)]:
            if not self._gatekeeper.allows(principal, QUERY_ACTION, scope, data=False):
                raise Forbidden(principal, QUERY_ACTION, scope)

    def check(self, principal: Principal, place: Place) -> None:
        """Raises `Forbidden` where the principal may not query a workspace."""
        if not self._gatekeeper.allows(principal, QUERY_ACTION, str(place[0]), data=False):
            raise Forbidden(principal, QUERY_ACTION, str(place[0]))

    def further(self, principal: Principal, home: Place, names: Sequence[str] | None) -> list[Place]:
        """The workspaces that a query names beside its own. Raises as `find` and `check` do, and for too many."""
        most = self._limits["workspace.query_workspaces"]
        distinct = dict.fromkeys(names or ())
        if len(distinct) > most:
            raise _too_many(most)
        places = [home]
        for name in distinct:
            try:
                place = self.find(name)
            except QueryApiError as error:
                self.hide(principal, name)
                if not isinstance(error, WorkspaceNotFound):
                    raise
                raise BadArgument.of("workspaces", error.message) from None
            if place not in places:
                self.check(principal, place)
                places.append(place)
        if len(places) > most:
            raise _too_many(most)
        return places[1:]

    def _reach(self, principal: Principal, places: list[Place]) -> Callable[[str], Origin | None]:
        """What workspace('...') in a query over `places` means; a further workspace that it names joins them.

        It is called on the worker that compiles, so it knows the workspaces that there are now. It raises as `further` does.
        """
        known = self._workspaces.all()
        most = self._limits["workspace.query_workspaces"]

        def reach(name: str) -> Origin | None:
            try:
                place = _the_one(meant(known, name), name)
            except QueryApiError as error:
                self.hide(principal, name, known)
                if isinstance(error, WorkspaceNotFound):
                    return None
                raise
            if all(workspace is not place[1] for _, workspace in places):
                self.check(principal, place)
                if len(places) >= most:
                    raise _too_many(most)
                places.append(place)
            return place[1].origin(foreign=place[1] is not places[0][1])

        return reach

    async def metadata(self, principal: Principal, home: Place, names: Sequence[str] | None) -> dict[str, Any]:
        """What a workspace holds, with those that the request names beside it. Raises as `further` does, and `Throttled`."""
        places = [home, *self.further(principal, home, names)]
        with _told():
            return await describe(places)

    async def of_workspace(self, principal: Principal, home: Place, asked: QueryRequest, prefer: Prefer) -> Answered:
        """Query a workspace, and those that the request names beside it; the caller has checked the right to `home`."""
        places = [home, *self.further(principal, home, asked.workspaces)]
        view = None
        if len(places) > 1 or _may_reach(asked.query, home[1].tables):
            origins = [place.origin(foreign=i > 0) for i, (_, place) in enumerate(places)]
            view = WorkspacesView(origins, self._reach(principal, places), self._limits["workspace.copied_bytes"])
        return await self._run(principal, places, asked, prefer, view, None)

    async def of_resource(
        self, principal: Principal, under: ResourceId, asked: QueryRequest, prefer: Prefer
    ) -> Answered:
        """Query the rows about a resource and what is in it, in whichever workspaces let its readers see them."""
        if asked.workspaces:
            raise BadArgument.of("workspaces", "a query of a resource names no workspaces")
        places = [place for place in self._workspaces.all() if place[1].policy.resource_access]
        if not places:
            raise WorkspaceNotFound(str(under))
        origins = [place.origin(foreign=i > 0) for i, (_, place) in enumerate(places)]
        view = ResourceView(origins, under, self._limits["workspace.copied_bytes"])
        return await self._run(principal, places, asked, prefer, view, under)

    async def _run(
        self,
        principal: Principal,
        places: Sequence[Place],
        asked: QueryRequest,
        prefer: Prefer,
        view: ResourceView | None,
        under: ResourceId | None,
    ) -> Answered:
        timespan = self._timespan(asked.timespan)
        home = places[0][1]

        def check(tables: frozenset[str]) -> None:
            for resource_id, names in _read(places, view, tables):
                self._check_tables(principal, resource_id, under, names)

        rows, size = self._limits["workspace.query_rows"], self._limits["workspace.query_bytes"]
        with _told():
            async with self.admission.turn(principal.object_id) as hold:
                limits = QueryLimits(rows, size, self._seconds(prefer), check, hold.ready)
                result = await home.query(asked.query, timespan=timespan, limits=limits, view=view)
                hold.settle(result.bytes)
                read = _read(places, view, result.tables)
        return Answered(result, [{"resourceId": str(one), "tables": names} for one, names in read], hold)

    def _check_tables(
        self, principal: Principal, workspace: ResourceId, under: ResourceId | None, tables: Sequence[str]
    ) -> None:
        """Raises `Forbidden` for a table that the principal's roles leave out, in the workspace or of the resource `under`.

        Source: https://learn.microsoft.com/azure/azure-monitor/logs/manage-access#set-table-level-read-access
        """
        scope, prefix = (workspace, _TABLE_ACTIONS) if under is None else (under, _RESOURCE_TABLE_ACTIONS)
        for table in tables:
            action = f"{prefix}/{table}/read"
            if not self._gatekeeper.allows(principal, action, str(scope), data=False):
                raise Forbidden(principal, action, str(scope))

    def _timespan(self, text: str | None) -> tuple[datetime, datetime] | None:
        if not text:
            return None
        try:
            return parse_timespan(text, self._clock.now())
        except BadTimespan as error:
            raise BadArgument.of("timespan", str(error)) from None

    def _seconds(self, prefer: Prefer) -> float:
        seconds = self._limits["workspace.query_default_seconds"] if prefer.wait is None else prefer.wait
        return float(min(max(1, seconds), self._limits["workspace.query_max_seconds"]))


def _scope_of(name: str, known: Sequence[Place]) -> str:
    """Where the right to query a workspace is asked for that is not there: at its id, else at the whole subscription."""
    with contextlib.suppress(InvalidResourceId):
        return str(ResourceId.parse(name))
    return f"/subscriptions/{known[0][0].subscription}" if known else "/"


def _the_one(found: Sequence[Place], name: str) -> Place:
    """Raises `WorkspaceNotFound`, and `BadArgument` for one of several."""
    if len(found) > 1:
        raise BadArgument.of("workspaces", f"'{name[:80]}' is the name of {len(found)} workspaces: give the id")
    if not found:
        raise WorkspaceNotFound(name)
    return found[0]


def _too_many(most: int) -> BadArgument:
    return BadArgument.of("workspaces", f"a query reads at most {most} workspaces")


def _may_reach(query: str, tables: Tables) -> bool:
    """Whether workspace('...') may stand in a query, or in a saved function that it may call."""
    functions = (tables.function(name) for name in tables.function_names())
    texts = (query, *(function.body for function in functions if function is not None))
    return any(_NAMES_WORKSPACE.search(text) for text in texts)


def _read(
    places: Sequence[Place], view: ResourceView | None, tables: frozenset[str]
) -> list[tuple[ResourceId, list[str]]]:
    """The workspaces of which a query reads something, each with the names of its tables."""
    home_id, home = places[0]
    seen = [] if view is None else list(view.sources(tables))
    # All tables, or the watchlists, which are the first workspace's alone.
    direct = tables if view is None else tables - view.named()
    named = [*seen, *((home.tables, name) for name in direct)]
    read = []
    for resource_id, workspace in places:
        own = {name for catalog, name in named if catalog is workspace.tables}
        names = {WATCHLIST if workspace.tables.is_watchlist(name) else name for name in own}
        if names or (view is None and resource_id is home_id):
            read.append((resource_id, sorted(names)))
    return read


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """The query workers' refusals as the API's errors."""
    try:
        yield
    except TooManyQueries as error:
        raise Throttled(str(error), retry_after=_RETRY_SECONDS) from None
    except QueryTimeout as error:
        inner = {"code": "GatewayTimeout", "message": str(error)}
        raise GatewayTimeout("The query exceeded its time limit", inner) from None
