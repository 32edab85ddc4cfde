"""Sources of rows that stand in the query itself: print and datatable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.conversions import to
from lurewire.kql.errors import semantic, unsupported
from lurewire.kql.scope import ERROR, Projection, Rows
from lurewire.kql.types import NUMBERS, Column, KqlType

from .columns import parts_of, take_parts
from .registry import TabularOperator

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.literals import Value
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context


@dataclass(frozen=True, slots=True)
class Print(tree.Operator):
    """`print name = expression, ...`."""

    columns: tuple[tree.Expression, ...]


@dataclass(frozen=True, slots=True)
class Datatable(tree.Operator):
    """`datatable (schema) [values]`."""

    columns: tuple[Column, ...]
    values: tuple[tree.Expression, ...]


def _parse_print(parser: Parser, name: Token) -> Print:
    return Print(name.at, parser.comma_list(parser.named_expression))


def _bind_print(node: Print, rows: Rows, context: Context) -> Rows:
    del rows
    source = Rows(plan.Values((), (), ((),)), ())
    binder = ExpressionBinder(context, source, "print")
    projection, made = Projection(), []
    for position, item in enumerate(node.columns):
        names = item.names if isinstance(item, tree.Named) else ()
        expression = item.value if isinstance(item, tree.Named) else item
        value = binder.bind(expression)
        parts = parts_of(expression)
        if parts and value is not ERROR:
            made.extend(take_parts(value, parts, names, projection, context, item.at, replace=False))
            continue
        if len(names) > 1:
            raise unsupported("assigning to several names at once", item.at)
        number = context.new_id()
        if value is not ERROR:
            made.append((number, value))
        if isinstance(item, tree.Named):
            projection.declare(item.names[0], number, value.type, item.at)
        else:
            projection.add(f"print_{position}", number, value.type)
    return Rows(plan.Compute(source.relation, tuple(made)), tuple(projection.columns))


def _parse_datatable(parser: Parser, name: Token) -> Datatable:
    parser.parameters()
    columns = parser.schema()
    parser.expect("[")
    parser.accept(",")  # Microsoft's parser takes a comma before the first value and after the last.
    values: list[tree.Expression] = []
    while not parser.at_text("]"):
        values.append(parser.expression())
        if not parser.accept(","):
            break
    parser.expect("]")
    return Datatable(name.at, columns, tuple(values))


def _bind_datatable(node: Datatable, rows: Rows, context: Context) -> Rows:
    del rows
    width = len(node.columns)
    projection = Projection()
    ids = tuple(context.new_id() for _ in node.columns)
    for number, column in zip(ids, node.columns, strict=True):
        projection.declare(column.name, number, column.type, node.at)
    if width == 0 or len(node.values) % width:
        raise semantic(f"datatable: {len(node.values)} values do not fill rows of {width} columns", node.at)
    binder = ExpressionBinder(context, None, "datatable")
    cells = [_cell(binder, value, node.columns[index % width]) for index, value in enumerate(node.values)]
    table = tuple(tuple(cells[start : start + width]) for start in range(0, len(cells), width))
    types = tuple(column.type for column in node.columns)
    return Rows(plan.Values(ids, types, table), tuple(projection.columns))


def _cell(binder: ExpressionBinder, node: tree.Expression, column: Column) -> Value:
    """A literal as its column's type; null where it cannot become one, empty for a string."""
    value = binder.bind(node)
    if value is ERROR:
        return None
    if not isinstance(value, plan.Constant):
        raise unsupported("datatable: a value that is not a literal", node.at)
    kind = column.type
    if value.type is not kind:
        value = _converted(value, kind, node.at)
    if value.value is None and kind is KqlType.STRING:
        return ""
    return value.value


def _converted(value: plan.Constant, kind: KqlType, at: int) -> plan.Constant:
    from lurewire.kql.encode import constant_as  # noqa: PLC0415 - encode stands on types only

    if value.value is None:
        return plan.Constant(kind, None)
    converted = to(value, kind) if {value.type, kind} <= NUMBERS else value
    if isinstance(converted, plan.Constant) and converted.type is kind:
        return converted
    try:
        return plan.Constant(kind, constant_as(value.type, value.value, kind))
    except ValueError:
        raise semantic(f"datatable: a {value.type} cannot stand in a column of type {kind}", at) from None


OPERATORS = (
    TabularOperator("print", Print, _parse_print, _bind_print, source=True),
    TabularOperator("datatable", Datatable, _parse_datatable, _bind_datatable, source=True),
)
