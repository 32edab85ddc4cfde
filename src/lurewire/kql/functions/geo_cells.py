"""Cells of S2 (http://s2geometry.io/devguide/s2cell_hierarchy) and H3 (https://h3geo.org/docs/core-library/h3Indexing)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.kql.dialects import sql
from lurewire.kql.types import KqlType

from . import geo_shapes as shapes
from .geo_base import H3, S2, check, coordinates, geo, library, number, place, point
from .geo_points import coordinate
from .registry import text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lurewire.kql.dialects.sql import Node

#: The neighbors of an S2 cell in Microsoft's order (https://learn.microsoft.com/kusto/query/geo-s2cell-neighbors-function),
#: by their places in S2's own.
_NEIGHBORS = (7, 0, 1, 2, 3, 5, 4, 6)
_S2_LEVELS = range(31)
_H3_LEVELS = range(16)
#: Levels between a cell of H3 and its children.
_GENERATIONS = 5
#: Widest ring around a cell of H3.
_RINGS = 142


def _s2_cell(token: str) -> Any:
    check(1 <= len(token) <= 16)
    cell = library(S2).S2CellId.FromToken(token)
    check(cell.is_valid())
    return cell


def _to_s2(longitude: float, latitude: float, level: int) -> str:
    found = place(longitude, latitude)
    check(level in _S2_LEVELS)
    token: str = library(S2).S2CellId(shapes.s2_point(found)).parent(level).ToToken()
    return token


def _s2_center(token: str) -> dict[str, Any]:
    return point(shapes.s2_position(_s2_cell(token).ToPoint()))


def _s2_polygon(token: str) -> dict[str, Any]:
    cell = library(S2).S2Cell(_s2_cell(token))
    ring = [coordinates(shapes.s2_position(cell.GetVertex(corner))) for corner in (0, 1, 2, 3, 0)]
    return {"type": "Polygon", "coordinates": [ring]}


def _s2_neighbors(token: str) -> list[str]:
    """The cells around: seven at a corner of the cube, in S2's order there, and four beside a face of it."""
    cell = _s2_cell(token)
    found = [neighbor.ToToken() for neighbor in cell.GetAllNeighbors(cell.level())]
    ordered = [found[place] for place in _NEIGHBORS] if len(found) == len(_NEIGHBORS) else found
    return list(dict.fromkeys(ordered))


def _h3_cell(token: str) -> int:
    """The resolution of a cell."""
    check(1 <= len(token) <= 16 and token.isascii() and token.isalnum() and library(H3).is_valid_cell(token))
    return int(library(H3).get_resolution(token))


def _to_h3(longitude: float, latitude: float, resolution: int) -> str:
    x, y = place(longitude, latitude)
    check(resolution in _H3_LEVELS)
    return str(library(H3).latlng_to_cell(y, x, resolution))


def _h3_center(token: str) -> dict[str, Any]:
    _h3_cell(token)
    latitude, longitude = library(H3).cell_to_latlng(token)
    return point((longitude, latitude))


def _h3_polygon(token: str) -> dict[str, Any]:
    _h3_cell(token)
    ring = [coordinates((longitude, latitude)) for latitude, longitude in library(H3).cell_to_boundary(token)]
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def _h3_neighbors(token: str) -> list[str]:
    return _h3_rings(token, 1)[1]


def _h3_rings(token: str, distance: int) -> list[list[str]]:
    """The cells around by their distance in steps, in the order in which H3 goes round."""
    _h3_cell(token)
    check(0 <= distance <= _RINGS)
    h3 = library(H3)
    steps = {token: 0}
    last = [token]
    for step in range(1, distance + 1):
        around = {cell for inner in last for cell in h3.grid_disk(inner, 1)} - steps.keys()
        steps.update(dict.fromkeys(around, step))
        last = list(around)
    found: list[list[str]] = [[] for _ in range(distance + 1)]
    for cell in h3.grid_disk(token, distance):
        found[steps[cell]].append(cell)
    return found


def _h3_parent(token: str, resolution: int) -> str:
    level = _h3_cell(token)
    check(0 <= resolution <= min(level, 14))
    return str(library(H3).cell_to_parent(token, resolution))


def _h3_children(token: str, resolution: int) -> list[str]:
    level = _h3_cell(token)
    check(max(level, 1) <= resolution <= min(level + _GENERATIONS, 15))
    return [str(cell) for cell in library(H3).cell_to_children(token, resolution)]


def _level(step: int) -> Callable[[Sequence[Node]], Node]:
    """The resolution above or below the cell's own."""
    return lambda arguments: sql.add(sql.call("kql_geo_h3cell_level", arguments[0].copy()), sql.number(step))


_DYNAMIC, _STRING = KqlType.DYNAMIC, KqlType.STRING
_S2CELL, _H3CELL = (text("s2cell"),), (text("h3cell"),)

FUNCTIONS = (
    geo("geo_point_to_s2cell", _to_s2, (*coordinate(""), number("level")), _STRING, defaults=(11,), needs=(S2,)),
    geo("geo_s2cell_to_central_point", _s2_center, _S2CELL, _DYNAMIC, needs=(S2,)),
    geo("geo_s2cell_to_polygon", _s2_polygon, _S2CELL, _DYNAMIC, needs=(S2,)),
    geo("geo_s2cell_neighbors", _s2_neighbors, _S2CELL, _DYNAMIC, needs=(S2,)),
    geo("geo_point_to_h3cell", _to_h3, (*coordinate(""), number("resolution")), _STRING, defaults=(6,), needs=(H3,)),
    geo("geo_h3cell_to_central_point", _h3_center, _H3CELL, _DYNAMIC, needs=(H3,)),
    geo("geo_h3cell_to_polygon", _h3_polygon, _H3CELL, _DYNAMIC, needs=(H3,)),
    geo("geo_h3cell_neighbors", _h3_neighbors, _H3CELL, _DYNAMIC, needs=(H3,)),
    geo("geo_h3cell_rings", _h3_rings, (*_H3CELL, number("distance")), _DYNAMIC, needs=(H3,)),
    geo("geo_h3cell_level", _h3_cell, _H3CELL, KqlType.INT, needs=(H3,)),
    geo(
        "geo_h3cell_parent", _h3_parent, (*_H3CELL, number("resolution")), _STRING, defaults=(_level(-1),), needs=(H3,)
    ),
    geo(
        "geo_h3cell_children",
        _h3_children,
        (*_H3CELL, number("resolution")),
        _DYNAMIC,
        defaults=(_level(1),),
        needs=(H3,),
    ),
)
