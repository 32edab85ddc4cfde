"""Plug-ins that look coordinates up in lines and polygons: geo_line_lookup, geo_polygon_lookup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.conversions import to
from lurewire.kql.errors import semantic
from lurewire.kql.functions import FUNCTIONS
from lurewire.kql.functions.geo_base import refuse_missing
from lurewire.kql.scope import Projection, Rows
from lurewire.kql.types import NUMBERS, KqlType

from .plugins_columns import column_of, constant
from .plugins_lookup import with_unmatched
from .serialization import numbered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.kql.scope import Context

    from .plugins_columns import Schema

_OPTIONS = ("radius", "return_unmatched", "lookup_area_radius", "return_lookup_key")


def geo_line_lookup(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/geo-line-lookup-plugin."""
    return _lookup(node, schema, rows, context, "geo_distance_point_to_line")


def geo_polygon_lookup(node: tree.Call, schema: Schema | None, rows: Rows, context: Context) -> Rows:
    """https://learn.microsoft.com/kusto/query/geo-polygon-lookup-plugin."""
    return _lookup(node, schema, rows, context, "geo_distance_point_to_polygon", "geo_point_in_polygon")


def _lookup(
    node: tree.Call, schema: Schema | None, rows: Rows, context: Context, distance: str, inside: str | None = None
) -> Rows:
    """Each row with each row of the table whose shape is within the radius; without a radius, whose shape holds it."""
    from lurewire.kql.compiler import bind_source  # noqa: PLC0415 - the compiler knows all operators

    options = _options(node, context)
    if len(node.arguments) < 4 or schema is not None or (inside is None and "radius" not in options):
        needed = "a table, its column, a longitude and a latitude" + (" and a radius" if inside is None else "")
        raise semantic(f"{node.name}(): takes {needed}, and no schema", node.at, token=node.name)
    table, key, *place = node.arguments[:4]
    right = bind_source(table, context)
    shape = column_of(key, right, node.name)
    if shape.type is not KqlType.DYNAMIC:
        raise semantic(f"{node.name}(): the column '{shape.name}' must be of type dynamic, not {shape.type}", key.at)
    relation, ordinal = numbered(rows.relation, context)
    same = plan.Constant(KqlType.BOOL, value=True)
    left_columns = (*((column.id, column.type) for column in rows.columns), (ordinal, KqlType.LONG))
    right_columns = tuple((column.id, column.type) for column in right.columns)
    joined = plan.Join("inner", relation, right.relation, ((same, same),), left_columns, right_columns)
    arguments = (*_coordinates(place, rows, node.name), plan.ColumnRef(KqlType.DYNAMIC, shape.id))
    name = distance if inside is None or "radius" in options else inside
    row = FUNCTIONS[name]
    refuse_missing(row, node)
    test: plan.Scalar = plan.Call(KqlType.REAL if name == distance else KqlType.BOOL, row, arguments)
    if name == distance:
        test = plan.Compare(KqlType.BOOL, "<=", test, to(options["radius"], KqlType.REAL))
    matched: plan.Relation = plan.Filter(joined, test)
    kept = options.get("return_lookup_key")
    added = [column for column in right.columns if column is not shape or (kept is not None and kept.value is True)]
    projection = Projection(rows.columns)
    for column in added:
        projection.add(column.name, column.id, column.type)
    unmatched = options.get("return_unmatched")
    if unmatched is None or unmatched.value is not True:
        return Rows(matched, tuple(projection.columns))
    return with_unmatched(rows, relation, ordinal, matched, added, projection, context)


def _options(node: tree.Call, context: Context) -> dict[str, plan.Constant]:
    """The arguments after the first four, by name or by place."""
    found: dict[str, plan.Constant] = {}
    for place, argument in enumerate(node.arguments[4:]):
        if isinstance(argument, tree.Named):
            name, value = argument.names[0], argument.value
        else:
            name, value = _OPTIONS[min(place, len(_OPTIONS) - 1)], argument
        if name not in _OPTIONS or name in found:
            raise semantic(f"{node.name}(): there is no such argument, or it is given twice", argument.at, token=name)
        constant_value = constant(value, context, node.name)
        wanted = KqlType.BOOL if name.startswith("return") else KqlType.REAL
        if constant_value.type is not wanted and (wanted is KqlType.BOOL or constant_value.type not in NUMBERS):
            raise semantic(f"{node.name}(): '{name}' must be of type {wanted}, not {constant_value.type}", argument.at)
        found[name] = constant_value
    return found


def _coordinates(nodes: Sequence[tree.Expression], rows: Rows, plugin: str) -> list[plan.Scalar]:
    """Longitude and latitude as reals."""
    found: list[plan.Scalar] = []
    for node in nodes:
        column = column_of(node, rows, plugin)
        if column.type not in NUMBERS:
            raise semantic(f"{plugin}(): the column '{column.name}' must be of type real, not {column.type}", node.at)
        found.append(to(plan.ColumnRef(column.type, column.id), KqlType.REAL))
    return found
