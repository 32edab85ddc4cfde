"""Geospatial functions: what fixtures cannot show, such as missing libraries, limits and shapes made at random."""

from __future__ import annotations

import importlib.util
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lurewire.kql import KqlError, run

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec


def value(expression: str, **tables: Any) -> Any:
    """The value of an expression."""
    return run(f"print x = {expression}", tables or None).rows[0][0]


def literal(shape: Any) -> str:
    return f"dynamic({json.dumps(shape)})"


def message(query: str) -> tuple[str, str]:
    with pytest.raises(KqlError) as caught:
        run(query)
    return caught.value.errors[0].kind, caught.value.errors[0].message


def star(points: list[tuple[float, float]]) -> dict[str, Any]:
    """A polygon around (30, 50): each point is a distance in degrees and, from the last one on, a turn."""
    step = 2 * math.pi / len(points)
    ring = [
        [30 + far * math.cos(step * (place + turn)), 50 + far * math.sin(step * (place + turn))]
        for place, (far, turn) in enumerate(points)
    ]
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


STARS = st.lists(st.tuples(st.floats(0.2, 1.0), st.floats(0.0, 0.9)), min_size=4, max_size=24).map(star)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("print geo_polygon_area(dynamic(null))", "geo_polygon_area"),
        ("print geo_point_to_h3cell(1, 2)", "geo_point_to_h3cell"),
        ("print geo_distance_2points(1, 2, 3, 4)", "geo_distance_2points"),
        ("let t = datatable(s: dynamic)[]; print a = 1.0, b = 1.0 | evaluate geo_polygon_lookup(t, s, a, b)", "geo_polygon_lookup"),
    ],
)  # fmt: skip
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, query: str, named: str) -> None:
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in ("s2geometry", "h3", "geographiclib") else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    assert message(query) == ("unsupported", f"'{named}' needs the extra 'geo' of Lurewire, which is not installed")
    assert run("print geo_point_to_geohash(10.40744, 57.64911)").rows == [("u4pru",)]


def test_json_that_nests_too_deeply_is_no_shape() -> None:
    deep = '{"type":"Polygon","coordinates":' + "[" * 5000 + "]" * 5000 + "}"
    rows = run(
        "t | project x = geo_polygon_area(parse_json(s)), y = geo_line_length(todynamic(s))", {"t": [{"s": deep}]}
    ).rows
    assert rows == [(None, None)]


def test_limits_stop_the_query() -> None:
    comb = [
        point for tooth in range(200) for point in ([tooth, 0], [tooth + 0.4, 0], [tooth + 0.4, 60], [tooth + 0.9, 60])
    ]
    scaled = [[x / 200, y / 100] for x, y in comb] + [[1, 0.7], [0, 0.7]]
    one = {"type": "Polygon", "coordinates": [[*scaled, scaled[0]]]}
    turned = [[y, x] for x, y in scaled]
    other = {"type": "Polygon", "coordinates": [[*turned, turned[0]]]}
    for query in (
        f"print geo_intersection_2polygons({literal(one)}, {literal(other)})",
        f"print geo_union_polygons_array(pack_array({literal(one)}, {literal(other)}))",
    ):
        kind, text = message(query)
        assert kind == "execution"
        assert "limit 'geo crossings'" in text
    sliver = {"type": "Polygon", "coordinates": [[[0, 0], [60, 60], [0.0001, 0], [0, 0]]]}
    assert "limit 'geo cells to try'" in message(f"print geo_polygon_to_h3cells({literal(sliver)}, 8)")[1]


@settings(max_examples=40, deadline=None)
@given(STARS, st.sampled_from([0, 100, 3000, 20000]))
def test_simplified_polygons_are_valid_and_near(shape: dict[str, Any], tolerance: int) -> None:
    area = value(f"geo_polygon_area({literal(shape)})")
    found = value(f"geo_polygon_simplify({literal(shape)}, {tolerance})")
    if area is None or found is None:
        return
    simple = json.loads(found)
    perimeter = value(f"geo_polygon_perimeter({literal(shape)})")
    change = abs(value(f"geo_polygon_area({literal(simple)})") - area)
    assert change <= max(1.0, 2 * tolerance * perimeter)
    corners = [corner for ring in simple["coordinates"] for corner in ring[:-1]] if simple["type"] == "Polygon" else []
    pairs = [(a, b) for place, a in enumerate(corners) for b in corners[:place]]
    rows = [{"a": a[0], "b": a[1], "c": b[0], "d": b[1]} for a, b in pairs]
    if rows:
        nearest = run("t | summarize min(geo_distance_2points(a, b, c, d))", {"t": rows}).rows[0][0]
        assert nearest > tolerance * 0.999 or tolerance == 0


@settings(max_examples=40, deadline=None)
@given(STARS, STARS)
def test_areas_of_unions_and_intersections_agree(one: dict[str, Any], other: dict[str, Any]) -> None:
    a, b = literal(one), literal(other)
    first, second, union, common = run(
        f"print geo_polygon_area({a}), geo_polygon_area({b}), geo_polygon_area(geo_union_polygons_array(pack_array({a}, {b}))), "
        f"shape = tostring(geo_intersection_2polygons({a}, {b}))"
    ).rows[0]
    if first is None or second is None:
        return
    shape = json.loads(common)
    parts = shape["geometries"] if shape["type"] == "GeometryCollection" else [shape]
    area = sum(value(f"geo_polygon_area({literal(part)})") for part in parts if part["type"].endswith("Polygon"))
    assert math.isclose(union + area, first + second, rel_tol=1e-7)


@given(st.floats(-180, 180), st.floats(-90, 90), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_a_place_is_in_the_cell_of_its_geohash(longitude: float, latitude: float, accuracy: int) -> None:
    geohash, cell = run(
        f"print h = geo_point_to_geohash({longitude!r}, {latitude!r}, {accuracy}) | extend tostring(geo_geohash_to_polygon(h))"
    ).rows[0]
    (left, low), _, (right, top), *_ = json.loads(cell)["coordinates"][0]
    assert len(geohash) == accuracy
    assert left <= longitude <= right
    assert low <= latitude <= top
