"""geo_line_simplify(), geo_polygon_simplify(), geo_simplify_polygons_array(): fewer vertices, never two too close.

Three steps, as S2's builder does it (http://s2geometry.io/devguide/s2builder). Vertices that are at least the tolerance
apart are chosen as sites. Every edge becomes the chain of the sites whose surroundings it passes. Then a chain of such
edges becomes one edge as long as all vertices that it stands for are within the tolerance of it and no other site comes
to lie on its other side, so that nothing crosses that did not cross before.
(https://learn.microsoft.com/kusto/query/geo-line-simplify-function)
"""

from __future__ import annotations

import math
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lurewire.kql.limits import Limit
from lurewire.kql.types import KqlType

from . import geo_shapes as shapes
from . import geo_sphere as sphere
from .geo_base import S2, VERTICES, check, geo, library, within
from .geo_sets import united_lines
from .geo_sphere import EARTH_RADIUS, Vector
from .registry import dynamic, real

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Most vertices in the shapes that one call simplifies.
SIMPLIFIED = Limit("geo vertices to simplify", 5_000, "vertices")
#: The largest tolerance, in radians: S2's largest snap radius.
_MOST = math.radians(70)

_Vectors = npt.NDArray[np.float64]
_Edge = tuple[Vector, Vector]


class _Sites:
    """The sites of a set of vertices, and which vertices each of them stands for."""

    def __init__(self, vertices: Iterable[Vector], tolerance: float) -> None:
        s2 = library(S2)
        self.tolerance = tolerance
        self._size = max(2 * math.sin(tolerance / 2), 1e-15)
        self._grid: dict[tuple[int, int, int], list[Vector]] = {}
        ordered = sorted(dict.fromkeys(vertices), key=lambda found: s2.S2CellId(shapes.s2_vector(found)).id())
        within(SIMPLIFIED, len(ordered))
        self.sites: list[Vector] = []
        for vertex in ordered:
            nearest = self._nearest(vertex)
            if nearest is None or sphere.angle(nearest, vertex) > tolerance:
                self.sites.append(vertex)
                self._grid.setdefault(self._key(vertex), []).append(vertex)
        self.members: dict[Vector, list[Vector]] = {}
        self._site: dict[Vector, Vector] = {}
        for vertex in ordered:
            site = self._nearest(vertex)
            assert site is not None
            self._site[vertex] = site
            self.members.setdefault(site, []).append(vertex)

    def _key(self, vertex: Vector) -> tuple[int, int, int]:
        x, y, z = (math.floor(part / self._size) for part in vertex)
        return x, y, z

    def _nearest(self, vertex: Vector) -> Vector | None:
        """The nearest site; None where none is within the tolerance."""
        x, y, z = self._key(vertex)
        around = product((-1, 0, 1), repeat=3)
        close = (site for a, b, c in around for site in self._grid.get((x + a, y + b, z + c), ()))
        return min(close, key=lambda site: sphere.angle(site, vertex), default=None)

    def chains(self, paths: Sequence[Sequence[Vector]]) -> list[list[Vector]]:
        """Each path as the sites that it passes."""
        edges = [edge for path in paths for edge in pairwise(path)]
        close = [dict.fromkeys((self._site[a], self._site[b])) for a, b in edges]
        for edge, site in shapes.near(edges, [(site, site) for site in self.sites], self._size).tolist():
            found = self.sites[site]
            if sphere.angle(found, sphere.project(found, *edges[edge])) <= self.tolerance:
                close[edge][found] = None
        chains, number = [], 0
        for path in paths:
            chain: list[Vector] = []
            for edge in pairwise(path):
                passed = _passed(edge, list(close[number]))
                chain.extend(passed[1:] if chain and chain[-1] == passed[0] else passed)
                number += 1
            chains.append(chain)
        return chains


def _passed(edge: _Edge, sites: Sequence[Vector]) -> list[Vector]:
    """The sites that are the nearest one to some point of an edge, in its direction."""
    a, b = edge
    ahead = sphere.unit(sphere.tangent(a, b))
    length = sphere.angle(a, b)
    current = max(sites, key=lambda site: sphere.dot(site, a))
    found, at = [current], 0.0
    left = [site for site in sites if site != current]
    while left:
        # Where another site becomes nearer: its scalar product with the moving point grows past the current one's.
        crossings = []
        for site in left:
            difference = sphere.add(site, sphere.scale(current, -1.0))
            turn = math.atan2(-sphere.dot(difference, a), sphere.dot(difference, ahead)) % (2 * math.pi)
            if at < turn <= length:
                crossings.append((turn, site))
        if not crossings:
            return found
        at, current = min(crossings)
        found.append(current)
        left.remove(current)
    return found


class _Chains:
    """Simplifies chains of sites."""

    def __init__(self, sites: _Sites) -> None:
        self._sites = sites
        self._all: _Vectors = np.asarray(sites.sites, np.float64)
        self._number = {site: number for number, site in enumerate(sites.sites)}

    def simplify(self, chain: Sequence[Vector]) -> list[Vector]:
        """The ends of a chain, and of what is between only what is needed."""
        found, start = [chain[0]], 0
        while start < len(chain) - 1:
            end = self._reach(chain, start)
            found.append(chain[end])
            start = end
        return found

    def _reach(self, chain: Sequence[Vector], start: int) -> int:
        """How far along the chain one edge from `start` may go."""
        origin = np.asarray(chain[start])
        turns = np.zeros(len(self._all), np.int64)
        passed = np.empty((0, 3))
        free = np.ones(len(self._all), bool)
        free[[self._number[chain[start]], self._number[chain[start + 1]]]] = False
        end = start + 1
        while end + 1 < len(chain):
            before, after = chain[end], chain[end + 1]
            passed = np.concatenate((passed, np.asarray(self._sites.members[before])))
            free[self._number[after]] = False
            turns += self._inside(origin, np.asarray(before), np.asarray(after))
            if after == chain[start] or sphere.angle(chain[start], after) >= math.pi / 2:
                break
            if np.any(turns[free] != 0) or not self._near(origin, np.asarray(after), passed):
                break
            end += 1
        return end

    def _inside(self, a: _Vectors, b: _Vectors, c: _Vectors) -> npt.NDArray[np.int64]:
        """How often a triangle goes round each site."""
        sides = [self._all @ np.cross(p, q) for p, q in ((a, b), (b, c), (c, a))]
        left = (sides[0] > 0) & (sides[1] > 0) & (sides[2] > 0)
        right = (sides[0] < 0) & (sides[1] < 0) & (sides[2] < 0)
        return left.astype(np.int64) - right.astype(np.int64)

    def _near(self, a: _Vectors, b: _Vectors, points: _Vectors) -> bool:
        """Whether all points are within the tolerance of an edge."""
        across = np.cross(a + b, b - a)
        across /= np.linalg.norm(across)
        beside = (points @ np.cross(across, a) > 0) & (points @ np.cross(b, across) > 0)
        ends = np.minimum(np.linalg.norm(points - a, axis=1), np.linalg.norm(points - b, axis=1))
        away = np.where(beside, np.arcsin(np.minimum(1.0, np.abs(points @ across))), 2 * np.arcsin(ends / 2))
        return bool(np.all(away <= self._sites.tolerance + sphere.SAME))


def _tolerance(meters: float) -> float:
    found = meters / EARTH_RADIUS
    check(0 <= found <= _MOST)
    return found


def _simplify_line(text: str, tolerance: float) -> dict[str, Any] | None:
    limit = _tolerance(tolerance)
    lines = shapes.vectors(text)
    paths = [list(lines[0])] if len(lines) == 1 else united_lines(lines)
    sites = _Sites((vertex for path in paths for vertex in path), limit)
    chains = [chain for chain in sites.chains(paths) if len(chain) > 1]
    joints = _joints(edge for chain in chains for edge in pairwise(chain))
    simplifier = _Chains(sites)
    found = []
    for chain in chains:
        parts = [simplifier.simplify(part) for part in _split(chain, joints)]
        found.append(parts[0] + [vertex for part in parts[1:] for vertex in part[1:]])
    return shapes.line_string([[sphere.position(vertex) for vertex in chain] for chain in found]) if found else None


def _joints(edges: Iterable[_Edge]) -> set[Vector]:
    """The vertices where a chain must not be shortened: not one edge ends and one begins there."""
    leaving: dict[Vector, int] = {}
    ending: dict[Vector, int] = {}
    for a, b in edges:
        leaving[a] = leaving.get(a, 0) + 1
        ending[b] = ending.get(b, 0) + 1
    return {vertex for vertex in leaving.keys() | ending.keys() if leaving.get(vertex) != 1 or ending.get(vertex) != 1}


def _split(chain: Sequence[Vector], joints: set[Vector]) -> list[Sequence[Vector]]:
    """The parts of a chain between joints."""
    cuts = [place for place in range(1, len(chain) - 1) if chain[place] in joints]
    return [chain[first : last + 1] for first, last in pairwise((0, *cuts, len(chain) - 1))]


def _simplify_polygon(polygon: Any, limit: float) -> dict[str, Any] | None:
    loops = shapes.outlines(polygon)
    sites = _Sites((vertex for loop in loops for vertex in loop), limit)
    chains = [chain for chain in sites.chains([[*loop, loop[0]] for loop in loops]) if len(chain) > 2]
    all_edges = [edge for chain in chains for edge in pairwise(chain)]
    counted: dict[_Edge, int] = {}
    for a, b in all_edges:
        if counted.get((b, a)):
            counted[b, a] -= 1
        else:
            counted[a, b] = counted.get((a, b), 0) + 1
    edges = [edge for edge in dict.fromkeys(all_edges) for _ in range(counted.get(edge, 0))]
    simplifier = _Chains(sites)
    kept = [edge for walk in _walks(edges, _joints(edges)) for edge in pairwise(simplifier.simplify(walk))]
    return shapes.polygon_shape(shapes.polygon_of([loop for loop in _loops(kept) if len(loop) > 2]))


def _loops(edges: Sequence[_Edge]) -> list[list[Vector]]:
    """The loops that edges make, each vertex once in a loop: at a vertex of several, the next edge to the left."""
    leaving: dict[Vector, list[Vector]] = {}
    for a, b in edges:
        leaving.setdefault(a, []).append(b)
    found = []
    for a, b in edges:
        if b not in leaving.get(a, ()):
            continue
        leaving[a].remove(b)
        path = [a, b]
        while len(path) > 1:
            at = path[-1]
            if at in path[:-1]:
                first = path.index(at)
                found.append(path[first:-1])
                path = path[: first + 1]
                continue
            back = sphere.tangent(at, path[-2])
            ahead = min(leaving[at], key=lambda to: sphere.turn(at, back, sphere.tangent(at, to)))
            leaving[at].remove(ahead)
            path.append(ahead)
    return found


def _walks(edges: Sequence[_Edge], joints: set[Vector]) -> list[list[Vector]]:
    """The edges as chains from joint to joint; a loop without a joint begins where its first edge does."""
    following = {a: b for a, b in edges if a not in joints}
    walks = []
    for a, b in edges:
        if a in joints:
            walk = [a, b]
            while walk[-1] in following:
                walk.append(following.pop(walk[-1]))
            walks.append(walk)
    for a, _ in edges:
        if a in following:
            walk = [a]
            while walk[-1] in following:
                walk.append(following.pop(walk[-1]))
            walks.append(walk)
    return walks


def _simplify_one(text: str, tolerance: float) -> dict[str, Any] | None:
    limit = _tolerance(tolerance)
    return _simplify_polygon(shapes.united(text), limit)


def _simplify_array(text: str, tolerance: float) -> dict[str, Any] | None:
    limit = _tolerance(tolerance)
    parts = [part for element in shapes.elements(text) for part in shapes.polygons(element)]
    within(VERTICES, sum(part.num_vertices() for part in parts))
    return _simplify_polygon(shapes.union(parts), limit)


_DEFAULT = (10.0,)
_DYNAMIC, _TOLERANCE = KqlType.DYNAMIC, real("tolerance")

FUNCTIONS = (
    geo(
        "geo_line_simplify",
        _simplify_line,
        (dynamic("lineString"), _TOLERANCE),
        _DYNAMIC,
        defaults=_DEFAULT,
        needs=(S2,),
    ),
    geo(
        "geo_polygon_simplify",
        _simplify_one,
        (dynamic("polygon"), _TOLERANCE),
        _DYNAMIC,
        defaults=_DEFAULT,
        needs=(S2,),
    ),
    geo(
        "geo_simplify_polygons_array",
        _simplify_array,
        (dynamic("polygons"), _TOLERANCE),
        _DYNAMIC,
        defaults=_DEFAULT,
        needs=(S2,),
    ),
)
