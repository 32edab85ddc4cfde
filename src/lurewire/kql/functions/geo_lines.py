"""Functions over lines: lengths, nearest points, fractions, centroids, buffers and coverings."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lurewire.kql import plan
from lurewire.kql.errors import unsupported
from lurewire.kql.types import KqlType

from . import geo_shapes as shapes
from . import geo_sphere as sphere
from .geo_base import BUFFERED_EDGES, S2, check, geo, library, number, place, point, within
from .geo_points import coordinate
from .registry import dynamic, flag, real

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lurewire.kql import tree
    from lurewire.kql.binder import ExpressionBinder

    from .geo_sphere import Vector
    from .registry import Function

#: Most S2 cells in a covering (https://learn.microsoft.com/kusto/query/geo-line-to-s2cells-function).
CELLS = 65_536
#: Tolerance of a buffer as a part of its radius: least, and most.
_FRACTIONS = (1e-6, 0.9999)
#: Edges of a line that are buffered at once.
_BATCH = 8


def distinct(text: str) -> Iterable[tuple[Vector, Vector]]:
    """The edges of a line; of several lines, those of their union: an edge that two share counts once."""
    lines = shapes.vectors(text)
    edges = [edge for line in lines for edge in pairwise(line) if edge[0] != edge[1]]
    if len(lines) == 1:
        return edges
    return {frozenset(edge): edge for edge in edges}.values()


def _length(text: str) -> float:
    return math.fsum(sphere.angle(*edge) for edge in distinct(text)) * sphere.EARTH_RADIUS


def _centroid(text: str) -> dict[str, Any]:
    total = reduce(sphere.add, (sphere.edge_centroid(*edge) for edge in distinct(text)), (0.0, 0.0, 0.0))
    check(sphere.norm(total) > 0)
    return point(sphere.position(total))


def _nearest(longitude: float, latitude: float, text: str) -> tuple[float, Vector]:
    origin = sphere.vector(place(longitude, latitude))
    return min((sphere.nearest(origin, line)[:2] for line in shapes.vectors(text)), key=lambda item: item[0])


def _distance(longitude: float, latitude: float, text: str) -> float:
    return _nearest(longitude, latitude, text)[0] * sphere.EARTH_RADIUS


def _closest(longitude: float, latitude: float, text: str) -> dict[str, Any]:
    return point(sphere.position(_nearest(longitude, latitude, text)[1]))


def _single(text: str) -> tuple[Vector, ...]:
    lines = shapes.vectors(text)
    check(len(lines) == 1)
    return lines[0]


def _interpolate(text: str, fraction: float) -> dict[str, Any]:
    line = _single(text)
    check(0 <= fraction <= 1)
    left = fraction * sphere.length(line)
    for a, b in pairwise(line):
        edge = sphere.angle(a, b)
        if left < edge:
            return point(sphere.position(sphere.along(a, b, left)))
        left -= edge
    return point(sphere.position(line[-1]))


def _locate(text: str, longitude: float, latitude: float, spheroid: bool) -> float:
    del spheroid
    line = _single(text)
    _, foot, edge = sphere.nearest(sphere.vector(place(longitude, latitude)), line)
    total = sphere.length(line)
    check(total > 0)
    return min(1.0, (sphere.length(line[: edge + 1]) + sphere.angle(line[edge], foot)) / total)


def _bind_locate(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """A call on the sphere; fractions of geodesics of the spheroid are refused."""
    bound = binder.plain_call(node, row)
    if isinstance(bound, plan.Call) and bound.arguments[3:] not in ((), (plan.Constant(KqlType.BOOL, value=False),)):
        raise unsupported(f"{row.name}() with 'use_spheroid'", node.arguments[3].at, row.name)
    return bound


# Buffers


def error_fraction(radius: float, tolerance: float) -> float:
    """The tolerance of a buffer as a part of its radius; InvalidShapeError where either is not valid."""
    check(radius > 0 and tolerance > 0 and tolerance >= _FRACTIONS[0] * radius * (1 - 1e-12))
    return min(max(tolerance / radius, _FRACTIONS[0]), _FRACTIONS[1])


def buffered(parts: list[Any], radius: float, fraction: float) -> Any:
    """The points within a radius (in meters) of S2Polygons and points, as one S2Polygon."""
    s2 = library(S2)
    options = s2.S2BufferOperationOptions()
    options.set_buffer_radius(s2.S1Angle.Radians(min(radius / sphere.EARTH_RADIUS, math.pi)))
    options.set_error_fraction(fraction)
    result = s2.S2Polygon()
    operation = s2.S2BufferOperation(s2.S2PolygonLayer(result), options)
    for part in parts:
        if isinstance(part, s2.S2Point):
            operation.AddPoint(part)
        else:
            operation.AddPolygon(part)
    check(operation.Build())
    return result


def stroke(a: Vector, b: Vector) -> Any:
    """An edge as a polygon without area, there and back, which is how S2 buffers an edge."""
    s2 = library(S2)
    loop = s2.S2Loop()
    loop.Init([shapes.s2_vector(a), shapes.s2_vector(b)])
    polygon = s2.S2Polygon()
    polygon.InitNested([loop])
    return polygon


def buffered_edges(edges: list[tuple[Vector, Vector]], radius: float, fraction: float) -> list[Any]:
    """The points within a radius of edges, as S2Polygons whose union is meant."""
    within(BUFFERED_EDGES, len(edges))
    batches = [edges[start : start + _BATCH] for start in range(0, len(edges), _BATCH)]
    return [buffered([stroke(a, b) for a, b in batch], radius, fraction) for batch in batches]


def _buffer_line(text: str, radius: float, fraction: float) -> Any:
    edges = list(distinct(text))
    check(edges)
    return shapes.union(buffered_edges(edges, radius, fraction))


def _buffer(text: str, radius: float, tolerance: float) -> dict[str, Any] | None:
    return shapes.polygon_shape(_buffer_line(text, radius, error_fraction(radius, tolerance)))


# Coverings


def covering(region: Any, level: int) -> list[Any]:
    """The cells of a level that a region of S2 may touch; InvalidShapeError where they are too many.

    Cells that touch have touching children, so that their number never falls from level to level: the search stops
    as soon as it is too high.
    """
    coverer = library(S2).S2RegionCoverer()
    found: list[Any] = []
    for step in range(level + 1):
        coverer.set_fixed_level(step)
        found = coverer.GetCovering(region)
        check(len(found) <= CELLS)
    return list(found)


def _cells(text: str, level: int, radius: float) -> list[str]:
    check(0 <= level <= 30 and radius >= 0)
    edges = list(distinct(text))
    check(edges)
    if radius > 0:
        regions = [shapes.union(buffered_edges(edges, radius * 1.001, 0.001))]
    else:
        # An edge of n cells' diagonals touches more than n cells of its level; a diagonal is below 2.5 / 2**level.
        check(math.fsum(sphere.angle(*edge) for edge in edges) * 2**level / 2.5 <= CELLS)
        regions = [_polyline(*edge) for edge in edges]
    found: set[int] = set()
    for region in regions:
        found.update(cell.id() for cell in covering(region, level))
        check(len(found) <= CELLS)
    return tokens(found)


def tokens(cells: Iterable[int]) -> list[str]:
    """The tokens of cell numbers, in the cells' order."""
    s2 = library(S2)
    return [s2.S2CellId(cell).ToToken() for cell in sorted(cells)]


def _polyline(a: Vector, b: Vector) -> Any:
    polyline = library(S2).S2Polyline()
    polyline.InitFromS2Points([shapes.s2_vector(a), shapes.s2_vector(b)])
    return polyline


_DYNAMIC, _REAL = KqlType.DYNAMIC, KqlType.REAL
_LINE = dynamic("lineString")

FUNCTIONS = (
    geo("geo_line_length", _length, (_LINE,), _REAL),
    geo("geo_line_centroid", _centroid, (_LINE,), _DYNAMIC),
    geo("geo_distance_point_to_line", _distance, (*coordinate(""), _LINE), _REAL),
    geo("geo_closest_point_on_line", _closest, (*coordinate(""), _LINE), _DYNAMIC),
    geo("geo_line_interpolate_point", _interpolate, (_LINE, real("fraction")), _DYNAMIC),
    replace(
        geo("geo_line_locate_point", _locate, (_LINE, *coordinate(""), flag("use_spheroid")), _REAL, defaults=(False,)),
        bind=_bind_locate,
    ),
    geo(
        "geo_line_buffer", _buffer, (_LINE, real("radius"), real("tolerance")), _DYNAMIC, defaults=(10.0,), needs=(S2,)
    ),
    geo(
        "geo_line_to_s2cells",
        _cells,
        (_LINE, number("level"), real("radius")),
        _DYNAMIC,
        defaults=(11, 0.0),
        needs=(S2,),
    ),
)
