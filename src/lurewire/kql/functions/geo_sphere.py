"""Geometry on the unit sphere with plain numbers: points are unit vectors, edges are the shorter great-circle arcs.

Microsoft measures on a sphere whose radius is that of the S2 library
(https://learn.microsoft.com/kusto/query/geo-distance-2points-function, http://s2geometry.io/).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The mean radius of Earth, in meters.
EARTH_RADIUS = 6_371_010.0
#: Points nearer to each other than this (in radians) are one; so are a point and the antipode of another.
SAME = 1e-15

Vector = tuple[float, float, float]
#: Longitude and latitude, in degrees.
Position = tuple[float, float]


def vector(position: Position) -> Vector:
    """The unit vector of a position."""
    theta, phi = math.radians(position[0]), math.radians(position[1])
    return math.cos(phi) * math.cos(theta), math.cos(phi) * math.sin(theta), math.sin(phi)


def position(point: Vector) -> Position:
    """The position of a vector, which need not be of unit length."""
    x, y, z = point
    return math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))


def dot(a: Vector, b: Vector) -> float:
    """The scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vector, b: Vector) -> Vector:
    """The vector product."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def add(a: Vector, b: Vector) -> Vector:
    """The sum."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def scale(a: Vector, by: float) -> Vector:
    """The vector times a number."""
    return a[0] * by, a[1] * by, a[2] * by


def norm(a: Vector) -> float:
    """The length."""
    return math.sqrt(dot(a, a))


def unit(a: Vector) -> Vector:
    """The vector at unit length; a zero vector stays."""
    length = norm(a)
    return scale(a, 1 / length) if length else a


def normal(a: Vector, b: Vector) -> Vector:
    """A vector along a x b; (a + b) x (b - a) is stable where the points are close or nearly antipodal."""
    return cross(add(a, b), add(b, scale(a, -1.0)))


def angle(a: Vector, b: Vector) -> float:
    """The angle between two points, in radians."""
    return math.atan2(norm(normal(a, b)) / 2, dot(a, b))


def antipodal(a: Vector, b: Vector) -> bool:
    """Whether two points are on opposite sides, so that no edge joins them."""
    return angle(a, b) > math.pi - SAME * 10


def turn(origin: Vector, first: Vector, second: Vector) -> float:
    """The clockwise angle at `origin` from the direction `first` to `second` (tangents), in [0, 2 pi)."""
    found = math.atan2(-dot(cross(first, second), origin), dot(first, second))
    return found + 2 * math.pi if found < 0 else abs(found)


def tangent(origin: Vector, to: Vector) -> Vector:
    """The direction at `origin` of the edge to another point."""
    return cross(normal(origin, to), origin)


def north(place: Position) -> Vector:
    """The direction of true north at a position."""
    theta, phi = math.radians(place[0]), math.radians(place[1])
    return -math.sin(phi) * math.cos(theta), -math.sin(phi) * math.sin(theta), math.cos(phi)


def along(a: Vector, b: Vector, distance: float) -> Vector:
    """The point of the edge from a towards b that is `distance` radians from a."""
    direction = unit(tangent(a, b))
    return unit(add(scale(a, math.cos(distance)), scale(direction, math.sin(distance))))


def between(a: Vector, b: Vector, fraction: float) -> Vector:
    """The point of an edge at a fraction of its length."""
    if fraction in (0.0, 1.0):
        return b if fraction else a
    return along(a, b, fraction * angle(a, b))


def project(point: Vector, a: Vector, b: Vector) -> Vector:
    """The point of an edge that is nearest to another point."""
    across = normal(a, b)
    if dot(across, across) > 0:
        inside = dot(cross(across, a), point) > 0 and dot(cross(b, across), point) > 0
        if inside:
            foot = add(point, scale(across, -dot(point, across) / dot(across, across)))
            return unit(foot)
    return a if angle(point, a) <= angle(point, b) else b


def nearest(point: Vector, chain: Sequence[Vector]) -> tuple[float, Vector, int]:
    """The distance in radians from a point to a chain of edges, the nearest point of it, and the number of its edge."""
    best: tuple[float, Vector, int] | None = None
    for number, (a, b) in enumerate(pairwise(chain)):
        foot = project(point, a, b)
        distance = angle(point, foot)
        if best is None or distance < best[0]:
            best = distance, foot, number
    if best is None:
        return angle(point, chain[0]), chain[0], 0
    return best


def length(chain: Sequence[Vector]) -> float:
    """The length of a chain of edges, in radians."""
    return math.fsum(angle(a, b) for a, b in pairwise(chain))


def edge_centroid(a: Vector, b: Vector) -> Vector:
    """The integral of position over an edge."""
    apart, together = add(a, scale(b, -1.0)), add(a, b)
    square = dot(together, together)
    return scale(together, math.sqrt(dot(apart, apart) / square)) if square else (0.0, 0.0, 0.0)
