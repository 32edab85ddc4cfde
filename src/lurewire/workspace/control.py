"""What Azure's resource manager offers for tables beside the verbs of every resource: migrate.

Source: https://learn.microsoft.com/rest/api/loganalytics/tables/migrate
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from lurewire.core.http import Audience, Needs, Route
from lurewire.core.resources import ResourceId
from lurewire.workspace.errors import ResourceNotFound
from lurewire.workspace.resources import TABLE

if TYPE_CHECKING:
    from starlette.requests import Request

    from lurewire.core.resources import Resources

_WORKSPACE = (
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.OperationalInsights/workspaces/{name}"
)


def control_routes(resources: Resources) -> tuple[Route, ...]:
    """The routes, for the front of the resource store to dress."""

    async def migrate(request: Request) -> Response:
        """From the classic kind of custom log to that of rules: every table is of that kind already."""
        if resources.get(_target(request)) is None:
            raise ResourceNotFound(_target(request))
        return Response(status_code=200)

    needs = Needs(f"{TABLE}/write", Audience.MANAGEMENT, lambda request: str(_target(request)))
    return (Route("POST", f"{_WORKSPACE}/tables/{{table}}/migrate", migrate, needs),)


def _target(request: Request) -> ResourceId:
    named = request.path_params
    path = _WORKSPACE.format(**{name: named[name] for name in ("subscription", "group", "name")})
    return ResourceId.parse(path).child("tables", named["table"])
