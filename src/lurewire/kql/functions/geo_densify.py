"""geo_line_densify() and geo_polygon_densify(): planar edges as chains of geodesics.

An edge of the plane (longitude and latitude as x and y) is halved until each part is near enough to the geodesic
between its ends. The distance of the two is estimated at two places of the edge, where it is within 16% of the largest:
that is how S2's edge tessellator does it (http://s2geometry.io/, S2EdgeTessellator).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lurewire.kql.types import KqlType

from . import geo_shapes as shapes
from . import geo_sphere as sphere
from .geo_base import POINTS, check, coordinates, geo, within
from .registry import dynamic, flag, real

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .geo_sphere import Position, Vector

#: Where the distance is estimated, and how much the largest one may exceed the estimate.
_PROBES = (0.31215691082248312, 1 - 0.31215691082248312)
_SCALE = 0.83829992569888509


def _inside(start: Position, end: Position, fraction: float) -> Position:
    return start[0] + (end[0] - start[0]) * fraction, start[1] + (end[1] - start[1]) * fraction


def _far(start: Position, end: Position, tolerance: float) -> bool:
    """Whether a planar edge is farther than the tolerance (radians) from the geodesic between its ends."""
    a, b = sphere.vector(start), sphere.vector(end)
    if sphere.dot(a, b) < -1e-14:
        return True
    return any(_apart(a, b, start, end, fraction) > tolerance for fraction in _PROBES)


def _apart(a: Vector, b: Vector, start: Position, end: Position, fraction: float) -> float:
    middle = sphere.between(a, b, fraction) if a != b else a
    return sphere.angle(middle, sphere.vector(_inside(start, end, fraction)))


def _edge(start: Position, end: Position, tolerance: float, found: list[Position]) -> None:
    """Adds the points of an edge after its first."""
    waiting = [(start, end)]
    while waiting:
        start, end = waiting.pop()
        if _far(start, end, tolerance):
            middle = _inside(start, end, 0.5)
            waiting.extend(((middle, end), (start, middle)))
        else:
            found.append(end)
        within(POINTS, len(found) + len(waiting))


def _chain(chain: Sequence[Position], tolerance: float, crossing: bool, room: list[int]) -> list[Position]:
    found = [chain[0]]
    for start, last in pairwise(chain):
        end = last
        if crossing and abs(end[0] - start[0]) > 180:
            end = (end[0] + math.copysign(360, start[0] - end[0]), end[1])
        added: list[Position] = []
        _edge(start, end, tolerance, added)
        found.extend((_wrapped(x), y) for x, y in added[:-1])
        found.append(last)
    room[0] += len(found)
    within(POINTS, room[0])
    return found


def _wrapped(longitude: float) -> float:
    """A longitude in its range."""
    return longitude - math.copysign(360, longitude) if abs(longitude) > 180 else longitude


def _radians(tolerance: float) -> float:
    check(0.1 <= tolerance <= 10_000)
    return tolerance / sphere.EARTH_RADIUS * _SCALE


def _line(text: str, tolerance: float, crossing: bool) -> dict[str, Any]:
    limit, room = _radians(tolerance), [0]
    return shapes.line_string([_chain(line, limit, crossing, room) for line in shapes.lines(text)])


def _polygon(text: str, tolerance: float, crossing: bool) -> dict[str, Any]:
    limit, room = _radians(tolerance), [0]
    polygons = shapes.rings(text)
    found = [
        [[coordinates(place) for place in _chain((*ring, ring[0]), limit, crossing, room)] for ring in polygon]
        for polygon in polygons
    ]
    if len(found) == 1:
        return {"type": "Polygon", "coordinates": found[0]}
    return {"type": "MultiPolygon", "coordinates": found}


_OPTIONS = (real("tolerance"), flag("preserve_crossing"))

FUNCTIONS = (
    geo("geo_line_densify", _line, (dynamic("lineString"), *_OPTIONS), KqlType.DYNAMIC, defaults=(10.0, False)),
    geo("geo_polygon_densify", _polygon, (dynamic("polygon"), *_OPTIONS), KqlType.DYNAMIC, defaults=(10.0, False)),
)
