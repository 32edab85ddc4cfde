"""Functions over polygons: areas, containment, distances, centroids, buffers, unions and coverings."""

from __future__ import annotations

import math
from typing import Any

from lurewire.kql.limits import Limit
from lurewire.kql.types import KqlType

from . import geo_shapes as shapes
from . import geo_sphere as sphere
from .geo_base import BUFFERED_VERTICES, H3, POINTS, S2, VERTICES, check, geo, library, number, place, point, within
from .geo_lines import buffered, covering, error_fraction, tokens
from .geo_points import coordinate
from .geo_sphere import EARTH_RADIUS
from .registry import dynamic, real

#: Most H3 cells in a covering (https://learn.microsoft.com/kusto/query/geo-polygon-to-h3cells-function).
_CELLS = 61_680
#: Most cells of H3 in the box around a polygon that is filled with them: all are tried.
_TRIED = Limit("geo cells to try", 4_000_000, "cells")
_TOLERANCE = 10.0


def _area(text: str) -> float:
    return float(shapes.united(text).GetArea()) * EARTH_RADIUS**2


def _perimeter(text: str) -> float:
    return math.fsum(sphere.angle(*edge) for edge in shapes.edges(shapes.united(text))) * EARTH_RADIUS


def _centroid(text: str) -> dict[str, Any]:
    found = shapes.raw(shapes.united(text).GetCentroid())
    check(sphere.norm(found) > 0)
    return point(sphere.position(found))


def _contains(longitude: float, latitude: float, text: str) -> bool:
    found = shapes.s2_point(place(longitude, latitude))
    return any(polygon.Contains(found) for polygon in shapes.polygons(text))


def _distance(longitude: float, latitude: float, text: str) -> float:
    found = shapes.s2_point(place(longitude, latitude))
    return float(min(polygon.GetDistance(found).radians() for polygon in shapes.polygons(text))) * EARTH_RADIUS


def _closest(longitude: float, latitude: float, text: str) -> dict[str, Any]:
    origin = place(longitude, latitude)
    found = shapes.s2_point(origin)
    nearest = min(shapes.polygons(text), key=lambda polygon: float(polygon.GetDistance(found).radians()))
    return point(origin if nearest.Contains(found) else shapes.s2_position(nearest.Project(found)))


def _union(text: str) -> dict[str, Any] | None:
    parts = [part for element in shapes.elements(text) for part in shapes.polygons(element)]
    within(VERTICES, sum(part.num_vertices() for part in parts))
    return shapes.polygon_shape(shapes.union(parts))


# Buffers


def _segments(fraction: float) -> float:
    """How many edges S2 gives to a circle."""
    return math.pi / math.acos((1 - fraction) / (1 + fraction))


def _grown(polygon: Any, radius: float, fraction: float) -> Any:
    """A polygon and all points within a radius of it."""
    count = polygon.num_vertices()
    within(BUFFERED_VERTICES, count)
    within(POINTS, count * _segments(fraction))
    return buffered([polygon.Clone()], radius, fraction)


def _buffer(text: str, radius: float, tolerance: float) -> dict[str, Any] | None:
    fraction = error_fraction(radius, tolerance)
    return shapes.polygon_shape(_grown(shapes.united(text), radius, fraction))


def _buffer_point(longitude: float, latitude: float, radius: float, tolerance: float) -> dict[str, Any] | None:
    center = shapes.s2_point(place(longitude, latitude))
    return shapes.polygon_shape(buffered([center], radius, error_fraction(radius, tolerance)))


# Coverings


def _cells(text: str, level: int, radius: float) -> list[str]:
    check(0 <= level <= 30 and radius >= 0)
    polygon = shapes.united(text)
    if radius > 0:
        polygon = _grown(polygon, radius * 1.001, 0.001)
    return tokens(cell.id() for cell in covering(polygon, level))


def _h3_cells(text: str, resolution: int, radius: float) -> list[str]:
    check(0 <= resolution <= 15 and radius >= 0)
    h3 = library(H3)
    shapes.polygons(text)
    shape = [[list(ring) for ring in polygon] for polygon in shapes.rings(text)]
    if radius > 0:
        grown = shapes.polygon_shape(_grown(shapes.united(text), radius, 0.001))
        check(grown is not None)
        assert grown is not None
        many = grown["coordinates"] if grown["type"] == "MultiPolygon" else [grown["coordinates"]]
        shape = [[[(x, y) for x, y in ring[:-1]] for ring in polygon] for polygon in many]
    found: dict[str, None] = {}
    for polygon in shape:
        _h3_room(polygon[0], resolution)
        outlines = [[(latitude, longitude) for longitude, latitude in ring] for ring in polygon]
        found.update(dict.fromkeys(h3.polygon_to_cells(h3.LatLngPoly(*outlines), resolution)))
        check(len(found) <= _CELLS)
    return list(found)


def _h3_room(ring: list[tuple[float, float]], resolution: int) -> None:
    """InvalidShapeError where a ring surely has too many cells, GeoLimitError where its box has too many to try."""
    size = float(library(H3).average_hexagon_area(resolution, unit="m^2"))
    east = [longitude for longitude, _ in ring]
    if max(east) - min(east) > 180:
        east = [longitude % 360 for longitude in east]
    north = [latitude for _, latitude in ring]
    height = math.sin(math.radians(max(north))) - math.sin(math.radians(min(north)))
    box = math.radians(max(east) - min(east)) * height * EARTH_RADIUS**2
    loop = library(S2).S2Loop()
    loop.Init([shapes.s2_point(corner) for corner in ring])
    loop.Normalize()
    # The cells of a resolution differ in size by a factor of two.
    check(float(loop.GetArea()) * EARTH_RADIUS**2 / size / 2 <= _CELLS)
    within(_TRIED, box / size)


_DYNAMIC, _REAL = KqlType.DYNAMIC, KqlType.REAL
_POLYGON = dynamic("polygon")

FUNCTIONS = (
    geo("geo_polygon_area", _area, (_POLYGON,), _REAL, needs=(S2,)),
    geo("geo_polygon_perimeter", _perimeter, (_POLYGON,), _REAL, needs=(S2,)),
    geo("geo_polygon_centroid", _centroid, (_POLYGON,), _DYNAMIC, needs=(S2,)),
    geo("geo_point_in_polygon", _contains, (*coordinate(""), _POLYGON), KqlType.BOOL, needs=(S2,)),
    geo("geo_distance_point_to_polygon", _distance, (*coordinate(""), _POLYGON), _REAL, needs=(S2,)),
    geo("geo_closest_point_on_polygon", _closest, (*coordinate(""), _POLYGON), _DYNAMIC, needs=(S2,)),
    geo("geo_union_polygons_array", _union, (dynamic("polygons"),), _DYNAMIC, needs=(S2,)),
    geo(
        "geo_polygon_buffer",
        _buffer,
        (_POLYGON, real("radius"), real("tolerance")),
        _DYNAMIC,
        defaults=(_TOLERANCE,),
        needs=(S2,),
    ),
    geo(
        "geo_point_buffer",
        _buffer_point,
        (*coordinate(""), real("radius"), real("tolerance")),
        _DYNAMIC,
        defaults=(_TOLERANCE,),
        needs=(S2,),
    ),
    geo(
        "geo_polygon_to_s2cells",
        _cells,
        (_POLYGON, number("level"), real("radius")),
        _DYNAMIC,
        defaults=(11, 0.0),
        needs=(S2,),
    ),
    geo(
        "geo_polygon_to_h3cells",
        _h3_cells,
        (_POLYGON, number("resolution"), real("radius")),
        _DYNAMIC,
        defaults=(6, 0.0),
        needs=(S2, H3),
    ),
)
