"""All geospatial functions (https://learn.microsoft.com/kusto/query/geospatial-grid-systems), by family."""

from __future__ import annotations

from . import geo_cells, geo_densify, geo_lines, geo_points, geo_polygons, geo_sets, geo_simplify, geo_wkt

FUNCTIONS = (
    *geo_points.FUNCTIONS,
    *geo_cells.FUNCTIONS,
    *geo_lines.FUNCTIONS,
    *geo_polygons.FUNCTIONS,
    *geo_sets.FUNCTIONS,
    *geo_densify.FUNCTIONS,
    *geo_simplify.FUNCTIONS,
    *geo_wkt.FUNCTIONS,
)
