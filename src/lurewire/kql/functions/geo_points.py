"""Functions over single coordinates: distances, directions, circles, and geohashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.kql.types import KqlType

from . import geo_sphere as sphere
from .geo_base import GEOGRAPHICLIB, check, coordinates, geo, library, number, place, point
from .registry import Param, flag, real, text

if TYPE_CHECKING:
    from .geo_sphere import Position

_ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"
_DIGITS = {letter: digit for digit, letter in enumerate(_ALPHABET)}
_LONGEST = 18
#: The neighbors of a geohash as steps east and north, in Microsoft's order
#: (https://learn.microsoft.com/kusto/query/geo-geohash-neighbors-function).
_NEIGHBORS = ((-1, -1), (-1, 1), (1, -1), (0, 1), (-1, 0), (1, 1), (1, 0), (0, -1))


def coordinate(name: str) -> tuple[Param, Param]:
    """The parameters of a coordinate: longitude and latitude."""
    return real(f"{name}longitude"), real(f"{name}latitude")


def _distance(longitude: float, latitude: float, longitude2: float, latitude2: float, spheroid: bool) -> float:
    first, second = place(longitude, latitude), place(longitude2, latitude2)
    if spheroid:
        solved = library(GEOGRAPHICLIB).Geodesic.WGS84.Inverse(first[1], first[0], second[1], second[0])
        return float(solved["s12"])
    return sphere.angle(sphere.vector(first), sphere.vector(second)) * sphere.EARTH_RADIUS


def _apart(first: sphere.Vector, second: sphere.Vector) -> None:
    check(sphere.angle(first, second) > sphere.SAME and not sphere.antipodal(first, second))


def _azimuth(longitude: float, latitude: float, longitude2: float, latitude2: float) -> float:
    start = place(longitude, latitude)
    origin, to = sphere.vector(start), sphere.vector(place(longitude2, latitude2))
    _apart(origin, to)
    return sphere.turn(origin, sphere.north(start), sphere.tangent(origin, to))


def _angle(x1: float, y1: float, x2: float, y2: float, x3: float, y3: float) -> float:
    first, middle, last = (sphere.vector(place(*found)) for found in ((x1, y1), (x2, y2), (x3, y3)))
    _apart(first, middle)
    _apart(middle, last)
    return sphere.turn(middle, sphere.tangent(middle, first), sphere.tangent(middle, last))


def _in_circle(longitude: float, latitude: float, longitude2: float, latitude2: float, radius: float) -> bool:
    check(radius > 0)
    return _distance(longitude, latitude, longitude2, latitude2, spheroid=False) <= radius


# Geohashes: the bits of longitude and latitude in turn, five to a letter (https://en.wikipedia.org/wiki/Geohash)


def _bits(length: int) -> tuple[int, int]:
    """The numbers of bits of longitude and latitude in a geohash."""
    return (5 * length + 1) // 2, 5 * length // 2


def _encode(east: int, north: int, length: int) -> str:
    """The geohash of a column and row of its grid."""
    letters = []
    wide, high = _bits(length)
    for step in range(length):
        digit = 0
        for bit in range(5 * step, 5 * step + 5):
            side, left = (north, high - bit // 2 - 1) if bit % 2 else (east, wide - bit // 2 - 1)
            digit = digit * 2 + (side >> left & 1)
        letters.append(_ALPHABET[digit])
    return "".join(letters)


def _decode(geohash: str) -> tuple[int, int, int]:
    """The column and row of a geohash in its grid, and its length."""
    check(1 <= len(geohash) <= _LONGEST and all(letter in _DIGITS for letter in geohash))
    sides = [0, 0]
    for bit in range(5 * len(geohash)):
        sides[bit % 2] = sides[bit % 2] * 2 + (_DIGITS[geohash[bit // 5]] >> (4 - bit % 5) & 1)
    return sides[0], sides[1], len(geohash)


def _column(value: float, span: int, bits: int) -> int:
    """The cell of a coordinate between -span and span, the last one closed; exact, as a float times a power of two is."""
    numerator, denominator = value.as_integer_ratio()
    return min(((numerator + span * denominator) << bits) // (2 * span * denominator), (1 << bits) - 1)


def _to_geohash(longitude: float, latitude: float, accuracy: int) -> str:
    x, y = place(longitude, latitude)
    check(1 <= accuracy <= _LONGEST)
    wide, high = _bits(accuracy)
    return _encode(_column(x, 180, wide), _column(y, 90, high), accuracy)


def _corner(east: int, north: int, length: int, half: int = 0) -> Position:
    """The lower left corner of a cell; with `half` its centre."""
    wide, high = _bits(length)
    return 180 * (2 * east + half) / (1 << wide) - 180, 90 * (2 * north + half) / (1 << high) - 90


def _geohash_center(geohash: str) -> dict[str, Any]:
    return point(_corner(*_decode(geohash), half=1))


def _geohash_polygon(geohash: str) -> dict[str, Any]:
    east, north, length = _decode(geohash)
    (left, low), (right, top) = _corner(east, north, length), _corner(east + 1, north + 1, length)
    ring = [(left, low), (right, low), (right, top), (left, top), (left, low)]
    return {"type": "Polygon", "coordinates": [[coordinates(corner) for corner in ring]]}


def _geohash_neighbors(geohash: str) -> list[str]:
    """The cells around; there are none beyond a pole, and longitude goes round."""
    east, north, length = _decode(geohash)
    wide, high = _bits(length)
    return [
        _encode((east + right) % (1 << wide), north + up, length)
        for right, up in _NEIGHBORS
        if 0 <= north + up < 1 << high
    ]


_DYNAMIC, _REAL = KqlType.DYNAMIC, KqlType.REAL
_GEOHASH = (text("geohash"),)

FUNCTIONS = (
    geo(
        "geo_distance_2points",
        _distance,
        (*coordinate("p1_"), *coordinate("p2_"), flag("use_spheroid")),
        _REAL,
        defaults=(False,),
        needs=(GEOGRAPHICLIB,),
    ),
    geo("geo_azimuth", _azimuth, (*coordinate("p1_"), *coordinate("p2_")), _REAL),
    geo("geo_angle", _angle, (*coordinate("p1_"), *coordinate("p2_"), *coordinate("p3_")), _REAL),
    geo(
        "geo_point_in_circle",
        _in_circle,
        (*coordinate("p_"), *coordinate("pc_"), real("c_radius")),
        KqlType.BOOL,
    ),
    geo("geo_point_to_geohash", _to_geohash, (*coordinate(""), number("accuracy")), KqlType.STRING, defaults=(5,)),
    geo("geo_geohash_to_central_point", _geohash_center, _GEOHASH, _DYNAMIC),
    geo("geo_geohash_to_polygon", _geohash_polygon, _GEOHASH, _DYNAMIC),
    geo("geo_geohash_neighbors", _geohash_neighbors, _GEOHASH, _DYNAMIC),
)
