"""The externaldata operator: rows of a declared schema from allowed places, which the caller reads.

Source: https://learn.microsoft.com/kusto/query/externaldata-operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import external, plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.conversions import to
from lurewire.kql.errors import semantic, unsupported
from lurewire.kql.scope import ERROR, Projection, Rows
from lurewire.kql.types import Column, ExternalCatalog, KqlType, Table

from .registry import TabularOperator

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

_PROPERTIES = ("format", "ignoreFirstRecord", "ingestionMapping")


@dataclass(frozen=True, slots=True)
class ExternalData(tree.Operator):
    """`externaldata (schema) [locations] with (properties)`."""

    columns: tuple[Column, ...]
    locations: tuple[tree.Expression, ...]
    properties: dict[str, tree.Expression]


def _parse(parser: Parser, name: Token) -> ExternalData:
    columns = parser.schema()
    parser.expect("[")
    locations = parser.comma_list(parser.expression)
    parser.expect("]")
    properties: dict[str, tree.Expression] = {}
    if parser.accept("with"):
        parser.expect("(")
        while not parser.at_text(")"):
            at = parser.current.at
            key = parser.name()
            known = next((known for known in _PROPERTIES if known.lower() == key.lower()), None)
            if known is None:
                raise unsupported(f"externaldata: the property '{key}'", at, key)
            parser.expect("=")
            word = parser.current
            if known == "format" and word.kind == "name":
                properties[known] = tree.Literal(parser.advance().at, KqlType.STRING, word.text)
            else:
                properties[known] = parser.expression()
            if not parser.accept(","):
                break
        parser.expect(")")
    return ExternalData(name.at, columns, locations, properties)


def _bind(node: ExternalData, rows: Rows, context: Context) -> Rows:
    del rows
    places = [_location(item, context) for item in node.locations]
    if not node.columns or None in places:
        raise semantic("externaldata: columns and locations are expected", node.at)
    locations = tuple(place for place in places if place is not None)
    kind = _format(node, locations, context)
    mapping = _mapping(node, context)
    skip = _constant(node.properties.get("ignoreFirstRecord"), KqlType.BOOL, context)
    relation = f"external_{len(context.external)}"
    found = external.External(relation, node.columns, locations, kind, bool(skip), mapping)
    context.external.append(found)
    context.deterministic = context.row_wise = False
    return _converted(found, node, context)


def _location(node: tree.Expression, context: Context) -> str | None:
    place = ExpressionBinder(context, None, "externaldata").bind(node)
    if place is ERROR:
        return None
    if not isinstance(place, plan.Constant) or not isinstance(place.value, str):
        raise unsupported("externaldata from anything but a literal location", node.at)
    catalog = context.catalog
    if not isinstance(catalog, ExternalCatalog) or not catalog.allows_external(place.value):
        what = f"externaldata from '{external.shown(place.value)}', which is not among the allowed places,"
        raise unsupported(what, node.at, "externaldata")
    return place.value


def _constant(node: tree.Expression | None, kind: KqlType, context: Context) -> object:
    if node is None:
        return None
    value = ExpressionBinder(context, None, "externaldata").bind(node)
    if value is ERROR:
        return None
    if not isinstance(value, plan.Constant) or value.type is not kind:
        raise semantic(f"externaldata: a literal of type {kind} is expected", node.at)
    return value.value


def _format(node: ExternalData, locations: tuple[str, ...], context: Context) -> str:
    given = node.properties.get("format")
    kind = _constant(given, KqlType.STRING, context)
    if not isinstance(kind, str):
        return external.format_of(locations[0])
    if kind.lower() not in external.FORMATS:
        raise unsupported(f"externaldata: the format '{kind}'", node.at if given is None else given.at, kind)
    return kind.lower()


def _mapping(node: ExternalData, context: Context) -> tuple[external.Mapped | None, ...]:
    given = node.properties.get("ingestionMapping")
    text = _constant(given, KqlType.STRING, context)
    if given is None or not isinstance(text, str):
        return ()
    try:
        return external.mapped(text, node.columns)
    except (ValueError, TypeError) as error:
        raise semantic(f"externaldata: the ingestionMapping is not understood: {error}", given.at) from None


def _converted(found: external.External, node: ExternalData, context: Context) -> Rows:
    """The texts as the types of the schema."""
    from lurewire.kql.functions import FUNCTIONS  # noqa: PLC0415 - the registry's rows bind through these modules

    texts = tuple(Column(column.name, KqlType.STRING) for column in found.columns)
    physical = tuple(f"c{position}" for position in range(len(texts)))
    ids = tuple(context.new_id() for _ in texts)
    table = Table("externaldata", texts, found.relation, physical, time_column=None)
    projection, computed = Projection(), []
    for number, column in zip(ids, found.columns, strict=True):
        value: plan.Scalar = plan.ColumnRef(KqlType.STRING, number)
        if column.type is KqlType.DYNAMIC:
            value = plan.Call(KqlType.DYNAMIC, FUNCTIONS["parse_json"], (value,))
        computed.append((context.new_id(), to(value, column.type)))
        projection.declare(column.name, computed[-1][0], column.type, node.at)
    return Rows(plan.Compute(plan.Scan(table, ids), tuple(computed)), tuple(projection.columns))


OPERATORS = (
    TabularOperator("externaldata", ExternalData, _parse, _bind, ("external_data",), row_wise=False, source=True),
)
