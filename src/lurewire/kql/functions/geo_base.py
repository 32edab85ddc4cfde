"""What the geospatial functions share: their registry rows, the optional libraries, and limits.

The libraries are the extra `geo`: S2 (cells, polygons), H3 (cells), GeographicLib (distances on the spheroid). They are
imported when the first row needs them; a query that needs one that is missing is refused when it is compiled.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import math
from typing import TYPE_CHECKING, Any

from lurewire.kql.dialects import duckdb_convert, sql
from lurewire.kql.errors import UNSUPPORTED, Problem
from lurewire.kql.limits import Limit
from lurewire.kql.types import NUMBERS, KqlType
from lurewire.kql.udf import Udf

from .common import duckdb
from .registry import Function, Param

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lurewire.kql import plan, tree
    from lurewire.kql.binder import ExpressionBinder
    from lurewire.kql.dialects.sql import Node

    from .geo_sphere import Position

#: Most vertices in the shapes of one call.
VERTICES = Limit("geo vertices", 100_000, "vertices")
#: Most points in a shape that a call makes. Microsoft says 10,485,760 for its densify functions.
POINTS = Limit("geo points", 100_000, "points")
#: Most pairs of edges that come near each other, and that cross, when shapes are intersected, united or buffered.
PAIRS = Limit("geo pairs", 1_000_000, "pairs of edges that are near each other")
CROSSINGS = Limit("geo crossings", 20_000, "crossings")
#: Most edges of a line, and most vertices of a polygon, in a buffer.
BUFFERED_EDGES = Limit("geo edges to buffer", 1_000, "edges")
BUFFERED_VERTICES = Limit("geo vertices to buffer", 5_000, "vertices")

S2, H3, GEOGRAPHICLIB = "s2geometry", "h3", "geographiclib.geodesic"


class InvalidShapeError(Exception):
    """A shape or coordinate that is not valid: the function gives null."""


class GeoLimitError(ValueError):
    """A shape beyond a limit of this engine: the query stops."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(f"limit '{limit.name}': more than {limit.value:,} {limit.unit} in one call of a geo_ function")


@functools.cache
def library(name: str) -> Any:
    """A library of the extra `geo`."""
    return importlib.import_module(name)


def within(limit: Limit, count: float) -> None:
    """Raises GeoLimitError where the count is above the limit."""
    if count > limit.value:
        raise GeoLimitError(limit)


def check(condition: object) -> None:
    """Raises InvalidShapeError where the condition does not hold."""
    if not condition:
        raise InvalidShapeError


def place(longitude: float, latitude: float) -> Position:
    """A position of two arguments; InvalidShapeError where they are out of range."""
    check(-180 <= longitude <= 180 and -90 <= latitude <= 90)
    return longitude, latitude


def plain(value: float) -> float:
    """A number as JSON shows it: a whole one without a fraction, and no negative zero."""
    return int(value) if value == int(value) else value


def coordinates(position: Position) -> list[float]:
    """A position in GeoJSON."""
    return [plain(position[0]), plain(position[1])]


def point(position: Position) -> dict[str, Any]:
    """A GeoJSON point."""
    return {"type": "Point", "coordinates": coordinates(position)}


def number(name: str) -> Param:
    """A whole-number parameter that takes any number."""
    return Param(name, NUMBERS | {KqlType.DYNAMIC}, KqlType.LONG)


def _passed(parameter: Param) -> KqlType:
    """The type in which a parameter reaches Python: a shape comes as its JSON text, so that it can be looked up."""
    kind = parameter.convert
    return KqlType.STRING if kind is None or kind is KqlType.DYNAMIC else kind


def _literal(value: bool | float) -> Node:
    if isinstance(value, bool):
        return sql.boolean(value)
    return sql.number(value) if isinstance(value, int) else sql.cast(sql.number(int(value)), sql.DOUBLE)


def geo(
    name: str,
    body: Callable[..., Any],
    params: tuple[Param, ...],
    result: KqlType,
    *,
    defaults: Sequence[float | Callable[[Sequence[Node]], Node]] = (),
    needs: Sequence[str] = (),
) -> Function:
    """A geospatial function, computed in Python.

    Null (for a string result: empty) comes out where an argument is null or not valid; what is left out has its
    default, which may be an expression over the arguments. Numbers that are not finite are not valid.
    """
    empty = "" if result is KqlType.STRING else None

    def guarded(*arguments: Any) -> Any:
        if any(value is None or (isinstance(value, float) and not math.isfinite(value)) for value in arguments):
            return empty
        try:
            return body(*arguments)
        except (InvalidShapeError, RecursionError):  # JSON that nests too deeply is no shape
            return empty

    kinds = tuple(_passed(parameter) for parameter in params)
    udf = Udf(name, kinds, result, guarded, 0)

    def lower(arguments: Sequence[Node], call: plan.Call) -> Node:
        del call
        missing = defaults[len(defaults) - (len(params) - len(arguments)) :] if len(arguments) < len(params) else ()
        filled = [value(arguments) if callable(value) else _literal(value) for value in missing]
        shown = [
            sql.cast(node, duckdb_convert.STORAGE[kind]) if kind is not KqlType.STRING else node
            for node, kind in zip([*arguments, *filled], kinds, strict=True)
        ]
        return sql.call(udf.sql_name, *shown)

    return Function(
        name,
        params,
        result,
        duckdb(lower),
        optional=len(defaults),
        makes_null=result is not KqlType.STRING,
        never_null=result is KqlType.STRING,
        udf=udf,
        bind=functools.partial(_bind, tuple(needs)),
    )


def _bind(needs: tuple[str, ...], binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """A plain call, refused where a library that it needs is not installed."""
    _refuse(needs, row.name, node)
    return binder.plain_call(node, row)


def refuse_missing(row: Function, node: tree.Call) -> None:
    """Raises Problem where a library that a geospatial function needs is not installed."""
    if isinstance(row.bind, functools.partial):
        _refuse(row.bind.args[0], node.name, node)


def _refuse(needs: tuple[str, ...], name: str, node: tree.Call) -> None:
    if any(importlib.util.find_spec(module.partition(".")[0]) is None for module in needs):
        message = f"'{name}' needs the extra 'geo' of Lurewire, which is not installed"
        raise Problem("unsupported", UNSUPPORTED, message, node.at, name)
