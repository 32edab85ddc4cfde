"""geo_from_wkt(): well-known text as GeoJSON (https://learn.microsoft.com/kusto/query/geo-from-wkt-function)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lurewire.kql.types import KqlType

from .geo_base import POINTS, VERTICES, check, coordinates, geo, place, within
from .registry import text

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKEN = re.compile(r"\s*([A-Za-z]+|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[(),])")
#: Deepest nesting of geometry collections.
_DEPTH = 16


class _Reader:
    """The tokens of a text, from left to right; InvalidShapeError where they are none of well-known text."""

    def __init__(self, wkt: str) -> None:
        self._tokens: list[str] = []
        at, end = 0, len(wkt.rstrip())
        while at < end:
            found = _TOKEN.match(wkt, at)
            check(found)
            assert found is not None
            self._tokens.append(found[1])
            at = found.end()
        within(POINTS, len(self._tokens) / 3)
        self._next = 0

    def take(self) -> str:
        """The next token."""
        check(self._next < len(self._tokens))
        self._next += 1
        return self._tokens[self._next - 1]

    def at(self, mark: str) -> bool:
        """Whether the next token is this one."""
        return self._next < len(self._tokens) and self._tokens[self._next] == mark

    def done(self) -> bool:
        """Whether nothing is left."""
        return self._next == len(self._tokens)

    def expect(self, mark: str) -> None:
        """Takes a token that must be this one."""
        check(self.take() == mark)

    def items(self, item: Callable[[], Any], least: int = 1) -> list[Any]:
        """Items in parentheses, with commas between."""
        self.expect("(")
        found = [item()]
        while self.at(","):
            self.take()
            found.append(item())
        self.expect(")")
        within(VERTICES, len(found))
        check(len(found) >= least)
        return found

    def number(self) -> float:
        """A number."""
        found = self.take()
        check(not found[0].isalpha() and found not in "(),")
        return float(found)

    def position(self) -> list[float]:
        """A longitude and a latitude."""
        return coordinates(place(self.number(), self.number()))

    def maybe_wrapped(self) -> list[float]:
        """A position of a multipoint, which may stand in parentheses."""
        return self.items(self.position)[0] if self.at("(") else self.position()

    def line(self) -> list[Any]:
        """Two positions or more."""
        return self.items(self.position, 2)

    def ring(self) -> list[Any]:
        """Four positions or more, the last like the first."""
        found = self.items(self.position, 4)
        check(found[0] == found[-1])
        return found

    def polygon(self) -> list[Any]:
        """Rings."""
        return self.items(self.ring)

    def geometry(self, depth: int = 0) -> dict[str, Any]:
        """A geometry with its name."""
        kind = self.take().upper()
        if kind == "GEOMETRYCOLLECTION":
            check(depth < _DEPTH)
            return {"type": "GeometryCollection", "geometries": self.items(lambda: self.geometry(depth + 1))}
        check(kind in _GEOMETRIES)
        name, read = _GEOMETRIES[kind]
        return {"type": name, "coordinates": read(self)}


_GEOMETRIES: dict[str, tuple[str, Callable[[_Reader], Any]]] = {
    "POINT": ("Point", lambda reader: _only(reader.items(reader.position))),
    "LINESTRING": ("LineString", _Reader.line),
    "POLYGON": ("Polygon", _Reader.polygon),
    "MULTIPOINT": ("MultiPoint", lambda reader: reader.items(reader.maybe_wrapped)),
    "MULTILINESTRING": ("MultiLineString", lambda reader: reader.items(reader.line)),
    "MULTIPOLYGON": ("MultiPolygon", lambda reader: reader.items(reader.polygon)),
}


def _only(found: list[Any]) -> Any:
    check(len(found) == 1)
    return found[0]


def _from_wkt(wkt: str) -> dict[str, Any]:
    reader = _Reader(wkt)
    found = reader.geometry()
    check(reader.done())
    return found


FUNCTIONS = (geo("geo_from_wkt", _from_wkt, (text("wkt"),), KqlType.DYNAMIC),)
