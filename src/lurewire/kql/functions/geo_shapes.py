"""GeoJSON lines and polygons: reading, checking, and what they are in S2.

The constraints are those of Microsoft's pages, such as https://learn.microsoft.com/kusto/query/geo-polygon-area-function:
coordinates in range, edges shorter than 180 degrees, closed rings whose vertices are distinct, edges that neither cross
nor overlap, holes inside their shell. Of the two sides of a ring the smaller one is meant, whatever its direction.
"""

from __future__ import annotations

import functools
import json
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import geo_sphere as sphere
from .geo_base import CROSSINGS, PAIRS, POINTS, S2, VERTICES, check, coordinates, library, point, within
from .geo_sphere import Position, Vector

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The positions of a line, or of a ring without its last one, which repeats the first.
Chain = tuple[Position, ...]
#: A shell and its holes.
Rings = tuple[Chain, ...]

EMPTY = {"type": "GeometryCollection", "geometries": []}

#: Above this product of the numbers of edges, two shapes are not compared at all.
_ALL_PAIRS = 400_000_000
_BLOCK = 4_000_000
#: A determinant of three unit vectors nearer to zero may have the wrong sign.
_UNCERTAIN = 1e-14


def shape(text: str) -> tuple[str, Any]:
    """The type and the coordinates of a GeoJSON text."""
    value = json.loads(text)
    check(isinstance(value, dict) and isinstance(value.get("type"), str))
    return value["type"], value.get("coordinates")


def elements(text: str) -> list[str]:
    """The elements of a JSON array, each as text."""
    value = json.loads(text)
    check(isinstance(value, list) and value)
    within(VERTICES, len(value))
    return [json.dumps(item) for item in value]


def _list(value: Any, least: int) -> list[Any]:
    check(isinstance(value, list))
    within(VERTICES, len(value))
    check(len(value) >= least)
    found: list[Any] = value
    return found


def _position(value: Any) -> Position:
    check(isinstance(value, list) and len(value) in (2, 3))
    check(all(isinstance(part, int | float) and not isinstance(part, bool) for part in value))
    longitude, latitude = float(value[0]), float(value[1])
    check(math.isfinite(longitude) and -180 <= longitude <= 180 and -90 <= latitude <= 90)
    return longitude, latitude


def _chain(value: Any) -> Chain:
    found = tuple(_position(item) for item in _list(value, 2))
    check(not any(sphere.antipodal(sphere.vector(a), sphere.vector(b)) for a, b in pairwise(found)))
    return found


@functools.lru_cache(maxsize=64)
def lines(text: str) -> tuple[Chain, ...]:
    """The lines of a LineString or MultiLineString; InvalidShapeError where it is neither or not valid."""
    kind, value = shape(text)
    check(kind in ("LineString", "MultiLineString"))
    found = tuple(_chain(item) for item in ([value] if kind == "LineString" else _list(value, 1)))
    within(VERTICES, sum(map(len, found)))
    return found


@functools.lru_cache(maxsize=64)
def vectors(text: str) -> tuple[tuple[Vector, ...], ...]:
    """The lines of a LineString or MultiLineString as unit vectors."""
    return tuple(tuple(sphere.vector(place) for place in line) for line in lines(text))


@functools.lru_cache(maxsize=64)
def rings(text: str) -> tuple[Rings, ...]:
    """The polygons of a Polygon or MultiPolygon, closed and with coordinates in range; nothing more is checked."""
    kind, value = shape(text)
    check(kind in ("Polygon", "MultiPolygon"))
    found = tuple(
        tuple(_ring(ring) for ring in _list(polygon, 1))
        for polygon in ([value] if kind == "Polygon" else _list(value, 1))
    )
    within(VERTICES, sum(len(ring) for polygon in found for ring in polygon))
    return found


def _ring(value: Any) -> Chain:
    found = tuple(_position(item) for item in _list(value, 4))
    check(found[0] == found[-1])
    return found[:-1]


@functools.lru_cache(maxsize=64)
def polygons(text: str) -> tuple[Any, ...]:
    """The polygons of a Polygon or MultiPolygon, each an S2Polygon; InvalidShapeError where one is not valid."""
    return tuple(_polygon(polygon) for polygon in rings(text))


def polygon_of(parts: Sequence[Sequence[Vector]]) -> Any:
    """The S2Polygon of loops; InvalidShapeError where it is not valid."""
    s2 = library(S2)
    found = []
    for part in parts:
        loop = s2.S2Loop()
        loop.Init([s2_vector(vertex) for vertex in part])
        check(loop.IsValid())
        loop.Normalize()
        found.append(loop)
    polygon = s2.S2Polygon()
    polygon.InitNested(found)
    check(polygon.IsValid())
    return polygon


def _polygon(parts: Rings) -> Any:
    polygon = polygon_of([[sphere.vector(place) for place in ring] for ring in parts])
    depths = sorted(polygon.loop(number).depth() for number in range(polygon.num_loops()))
    check(depths == [0] + [1] * (len(parts) - 1))
    return polygon


@functools.lru_cache(maxsize=64)
def united(text: str) -> Any:
    """A Polygon or MultiPolygon as one S2Polygon, the union of its parts."""
    return union(polygons(text))


def union(parts: Sequence[Any]) -> Any:
    """The union of S2Polygons: always of the two with the fewest vertices, as S2 does."""
    s2 = library(S2)
    waiting = [(polygon.num_vertices(), order, polygon) for order, polygon in enumerate(parts)]
    waiting.sort(key=lambda item: item[:2])
    order = len(waiting)
    while len(waiting) > 1:
        (size, _, first), (other, _, second) = waiting[:2]
        crossings(edges(first), edges(second))
        merged = s2.S2Polygon()
        merged.InitToUnion(first, second)
        del waiting[:2]
        size += other
        spot = next((index for index, item in enumerate(waiting) if item[0] > size), len(waiting))
        waiting.insert(spot, (size, order, merged))
        order += 1
    return waiting[0][2]


def s2_point(place: Position) -> Any:
    """A position in S2."""
    s2 = library(S2)
    return s2.S2LatLng.FromDegrees(place[1], place[0]).ToPoint()


def s2_vector(point: Vector) -> Any:
    """A unit vector in S2."""
    return library(S2).S2Point_FromRaw(*point)


def s2_position(vertex: Any) -> Position:
    """The position of a point of S2."""
    found = library(S2).S2LatLng(vertex)
    return found.lng().degrees(), found.lat().degrees()


def raw(vertex: Any) -> Vector:
    """The unit vector of a point of S2."""
    return vertex.x(), vertex.y(), vertex.z()


def loops(polygon: Any) -> list[tuple[int, list[Any]]]:
    """The loops of an S2Polygon: depth and vertices."""
    found = [polygon.loop(number) for number in range(polygon.num_loops())]
    return [(loop.depth(), [loop.vertex(place) for place in range(loop.num_vertices())]) for loop in found]


def outlines(polygon: Any) -> list[list[Vector]]:
    """The loops of an S2Polygon as vectors, the interior to the left."""
    return [[raw(vertex) for vertex in (found[::-1] if depth % 2 else found)] for depth, found in loops(polygon)]


def edges(polygon: Any) -> list[tuple[Vector, Vector]]:
    """The edges of an S2Polygon, the interior to the left."""
    return [edge for loop in outlines(polygon) for edge in zip(loop, loop[1:] + loop[:1], strict=True)]


def near(
    first: Sequence[tuple[Vector, Vector]], second: Sequence[tuple[Vector, Vector]], margin: float = 0.0
) -> npt.NDArray[np.int64]:
    """The pairs of edges whose boxes in space, widened by a margin, overlap, as rows of two numbers.

    Raises GeoLimitError where they are too many.
    """
    found: list[npt.NDArray[np.int64]] = [np.empty((0, 2), np.int64)]
    if not first or not second:
        return found[0]
    within(PAIRS, PAIRS.value * len(first) * len(second) / _ALL_PAIRS)
    low, high = _boxes(first)
    low, high = low - margin, high + margin
    other_low, other_high = _boxes(second)
    count, step = 0, max(1, _BLOCK // len(second))
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        overlap = np.ones((len(low[part]), len(second)), bool)
        for axis in range(3):
            overlap &= low[part, None, axis] <= other_high[None, :, axis]
            overlap &= high[part, None, axis] >= other_low[None, :, axis]
        pairs = np.argwhere(overlap)
        count += len(pairs)
        within(PAIRS, count)
        pairs[:, 0] += start
        found.append(pairs)
    return np.concatenate(found)


def crossings(first: Sequence[tuple[Vector, Vector]], second: Sequence[tuple[Vector, Vector]]) -> npt.NDArray[np.int64]:
    """The pairs of edges that cross in their inner points, or may do so as far as rounded numbers tell.

    Raises GeoLimitError where they are too many.
    """
    pairs = near(first, second)
    if not len(pairs):
        return pairs
    (a, b), (c, d) = (
        np.asarray(part, np.float64)[pairs[:, side]].swapaxes(0, 1) for side, part in enumerate((first, second))
    )
    line, other = np.cross(a, b), np.cross(c, d)
    sides = [(line * c).sum(axis=1), (line * d).sum(axis=1), (other * a).sum(axis=1), (other * b).sum(axis=1)]
    signs = [np.where(np.abs(side) < _UNCERTAIN, 0, np.sign(side)) for side in sides]
    apart = (signs[0] * signs[1] > 0) | (signs[2] * signs[3] > 0)
    joined = (a == c).all(axis=1) | (a == d).all(axis=1) | (b == c).all(axis=1) | (b == d).all(axis=1)
    found: npt.NDArray[np.int64] = pairs[~apart & ~joined]
    within(CROSSINGS, len(found))
    return found


def _boxes(parts: Sequence[tuple[Vector, Vector]]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The boxes of edges, widened by how far the arc rises above its chord."""
    ends = np.asarray(parts, np.float64)
    half = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) / 2
    rise = (1 - np.sqrt(np.maximum(0.0, 1 - half * half)) + 1e-12)[:, None]
    return ends.min(axis=1) - rise, ends.max(axis=1) + rise


# Writing


def line_string(parts: Sequence[Sequence[Position]]) -> dict[str, Any]:
    """A GeoJSON LineString, or a MultiLineString of several."""
    found = [[coordinates(place) for place in part] for part in parts]
    return _one_or_many("LineString", found)


def polygon_shape(polygon: Any) -> dict[str, Any] | None:
    """An S2Polygon in GeoJSON: shells counterclockwise, holes clockwise; None where it is empty or the whole sphere."""
    found: list[list[list[list[float]]]] = []
    shells: dict[int, list[list[list[float]]]] = {}
    within(POINTS, polygon.num_vertices())
    for depth, vertices in loops(polygon):
        if len(vertices) < 3:
            return None
        ring = [coordinates(s2_position(vertex)) for vertex in (vertices[::-1] if depth % 2 else vertices)]
        ring.append(ring[0])
        if depth % 2:
            shells[depth - 1].append(ring)
        else:
            shells[depth] = [ring]
            found.append(shells[depth])
    return _one_or_many("Polygon", found) if found else None


def collection(points: Sequence[Position], chains: Sequence[Sequence[Position]], polygon: Any = None) -> dict[str, Any]:
    """What an intersection gives: its points, lines and polygons, as one shape where it is only one."""
    found: list[dict[str, Any]] = []
    if points:
        places = [coordinates(place) for place in points]
        found.append(point(points[0]) if len(points) == 1 else {"type": "MultiPoint", "coordinates": places})
    if chains:
        found.append(line_string(chains))
    area = None if polygon is None else polygon_shape(polygon)
    if area is not None:
        found.append(area)
    return found[0] if len(found) == 1 else {"type": "GeometryCollection", "geometries": found}


def _one_or_many(kind: str, found: list[Any]) -> dict[str, Any]:
    if len(found) == 1:
        return {"type": kind, "coordinates": found[0]}
    return {"type": f"Multi{kind}", "coordinates": found}
