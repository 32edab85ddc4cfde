"""Intersections of lines and polygons, whether they intersect, and the union of lines.

Where edges cross is decided by S2's exact predicates: a vertex lies on an edge only where it is one of its ends.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lurewire.kql.types import KqlType

from . import geo_shapes as shapes
from . import geo_sphere as sphere
from .geo_base import S2, VERTICES, check, geo, library, within
from .geo_sphere import Position, Vector
from .registry import dynamic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Edge = tuple[Vector, Vector]


def _edges(lines: Iterable[Sequence[Vector]]) -> list[Edge]:
    """The edges of lines, without those that have no length."""
    return [edge for line in lines for edge in pairwise(line) if edge[0] != edge[1]]


def _crossings(first: Sequence[Edge], second: Sequence[Edge]) -> list[tuple[int, int, Vector]]:
    """Where edges cross in their inner points: the numbers of both edges, and the point."""
    s2 = library(S2)
    ends = [tuple(shapes.s2_vector(end) for end in edge) for edge in first]
    others = [tuple(shapes.s2_vector(end) for end in edge) for edge in second]
    found = []
    for one, other in shapes.crossings(first, second).tolist():
        four = (*ends[one], *others[other])
        if s2.CrossingSign(*four) > 0:
            found.append((one, other, shapes.raw(s2.GetIntersection(*four))))
    return found


def _vertices(edges: Iterable[Edge]) -> dict[Vector, None]:
    return dict.fromkeys(end for edge in edges for end in edge)


def _positions(points: Iterable[Vector]) -> list[Position]:
    return [sphere.position(found) for found in points]


def _joined(edges: Iterable[Edge]) -> list[list[Position]]:
    """Edges as lines: each goes on as long as the next edge begins where the last one ends."""
    lines: list[list[Vector]] = []
    for a, b in edges:
        if lines and lines[-1][-1] == a:
            lines[-1].append(b)
        else:
            lines.append([a, b])
    return [_positions(line) for line in lines]


# Lines with lines


def _lines_intersect(text: str, other: str) -> bool:
    first, second = _edges(shapes.vectors(text)), _edges(shapes.vectors(other))
    return not _vertices(first).keys().isdisjoint(_vertices(second)) or bool(_crossings(first, second))


def _intersect_lines(text: str, other: str) -> dict[str, Any]:
    """The edges that both lines have, the points where they cross, and the vertices they share elsewhere."""
    first, second = _edges(shapes.vectors(text)), _edges(shapes.vectors(other))
    known = {frozenset(edge) for edge in second}
    shared = list({frozenset(edge): edge for edge in first if frozenset(edge) in known}.values())
    points = dict.fromkeys(found for _, _, found in _crossings(first, second))
    touched = _vertices(first).keys() & _vertices(second).keys() - _vertices(shared).keys()
    points.update((vertex, None) for vertex in _vertices(first) if vertex in touched)
    return shapes.collection(_positions(points), _joined(shared))


def united_lines(lines: Sequence[Sequence[Vector]]) -> list[list[Vector]]:
    """All edges of lines, cut where they cross, each once; put together to lines between junctions and ends."""
    edges = list({frozenset(edge): edge for edge in _edges(lines)}.values())
    check(edges)
    cuts: dict[int, list[Vector]] = {}
    for one, other, found in _crossings(edges, edges):
        if one < other:
            cuts.setdefault(one, []).append(found)
            cuts.setdefault(other, []).append(found)
    return _paths([part for number, edge in enumerate(edges) for part in pairwise(_cut(edge, cuts.get(number, ())))])


def _union_lines(text: str) -> dict[str, Any]:
    lines = [line for element in shapes.elements(text) for line in shapes.vectors(element)]
    within(VERTICES, sum(map(len, lines)))
    return shapes.line_string([_positions(path) for path in united_lines(lines)])


def _cut(edge: Edge, points: Iterable[Vector]) -> list[Vector]:
    """The ends of an edge and points of it, in order, each once."""
    inner = sorted(points, key=lambda found: sphere.angle(edge[0], found))
    return list(dict.fromkeys((edge[0], *inner, edge[1])))


def _paths(edges: Sequence[Edge]) -> list[list[Vector]]:
    """Lines that use every edge once and as it is directed: through a vertex where one edge ends and one begins."""
    leaving: dict[Vector, list[int]] = {}
    ending: dict[Vector, int] = {}
    for number, (a, b) in enumerate(edges):
        leaving.setdefault(a, []).append(number)
        ending[b] = ending.get(b, 0) + 1
    through = {vertex for vertex, found in leaving.items() if len(found) == 1 and ending.get(vertex) == 1}
    heads = [number for number, (a, _) in enumerate(edges) if a not in through]
    used: set[int] = set()
    paths = []
    for head in (*heads, *range(len(edges))):
        if head in used:
            continue
        used.add(head)
        path = list(edges[head])
        while path[-1] in through and (following := leaving[path[-1]][0]) not in used:
            used.add(following)
            path.append(edges[following][1])
        paths.append(path)
    return paths


# Lines with polygons


def _line_meets_polygon(text: str, other: str) -> bool:
    """A polygon holds a vertex of its own or not, as S2 says: each point belongs to one of the polygons that tile Earth."""
    polygon = shapes.united(other)
    edges = _edges(shapes.vectors(text))
    if any(polygon.Contains(shapes.s2_vector(vertex)) for vertex in _vertices(edges)):
        return True
    return bool(_crossings(edges, shapes.edges(polygon)))


def _intersect_line_with_polygon(text: str, other: str) -> dict[str, Any]:
    """The parts of the line inside the polygon or along its edges, and where it only touches a vertex."""
    polygon = shapes.united(other)
    sides = shapes.edges(polygon)
    lines = shapes.vectors(text)
    edges = _edges(lines)
    cuts: dict[int, list[Vector]] = {}
    for one, _, found in _crossings(edges, sides):
        cuts.setdefault(one, []).append(found)
    border = {frozenset(side) for side in sides}
    parts = [
        part
        for number, edge in enumerate(edges)
        for part in pairwise(_cut(edge, cuts.get(number, ())))
        if frozenset(part) in border or polygon.Contains(shapes.s2_vector(sphere.between(*part, 0.5)))
    ]
    corners = _vertices(sides).keys() - _vertices(parts).keys()
    touched = [vertex for vertex in _vertices(edges) if vertex in corners]
    return shapes.collection(_positions(touched), _joined(parts))


# Polygons with polygons


def _polygons_intersect(text: str, other: str) -> bool:
    first, second = shapes.united(text), shapes.united(other)
    sides, others = shapes.edges(first), shapes.edges(second)
    shapes.crossings(sides, others)
    return bool(first.Intersects(second)) or not _vertices(sides).keys().isdisjoint(_vertices(others))


def _intersect_polygons(text: str, other: str) -> dict[str, Any]:
    """The common area, and the edges and vertices at which the polygons only touch."""
    s2 = library(S2)
    first, second = shapes.united(text), shapes.united(other)
    sides, others = shapes.edges(first), shapes.edges(second)
    shapes.crossings(sides, others)
    area = s2.S2Polygon()
    indexes = [s2.MutableS2ShapeIndex(), s2.MutableS2ShapeIndex()]
    for index, polygon in zip(indexes, (first, second), strict=True):
        index.Add(polygon.Clone())
    check(s2.S2BooleanOperation(s2.S2BooleanOperation.OpType_INTERSECTION, s2.S2PolygonLayer(area)).Build(*indexes))
    border = shapes.edges(area)
    opposite = {(b, a) for a, b in others}
    touching = [side for side in sides if side in opposite]
    corners = _vertices(others).keys() - _vertices(border).keys() - _vertices(touching).keys()
    touched = [vertex for vertex in _vertices(sides) if vertex in corners]
    return shapes.collection(_positions(touched), _joined(touching), area)


_DYNAMIC, _BOOL = KqlType.DYNAMIC, KqlType.BOOL
_LINES = (dynamic("lineString1"), dynamic("lineString2"))
_BOTH = (dynamic("lineString"), dynamic("polygon"))
_POLYGONS = (dynamic("polygon1"), dynamic("polygon2"))

FUNCTIONS = (
    geo("geo_intersects_2lines", _lines_intersect, _LINES, _BOOL, needs=(S2,)),
    geo("geo_intersects_line_with_polygon", _line_meets_polygon, _BOTH, _BOOL, needs=(S2,)),
    geo("geo_intersects_2polygons", _polygons_intersect, _POLYGONS, _BOOL, needs=(S2,)),
    geo("geo_intersection_2lines", _intersect_lines, _LINES, _DYNAMIC, needs=(S2,)),
    geo("geo_intersection_line_with_polygon", _intersect_line_with_polygon, _BOTH, _DYNAMIC, needs=(S2,)),
    geo("geo_intersection_2polygons", _intersect_polygons, _POLYGONS, _DYNAMIC, needs=(S2,)),
    geo("geo_union_lines_array", _union_lines, (dynamic("lineStrings"),), _DYNAMIC, needs=(S2,)),
)
