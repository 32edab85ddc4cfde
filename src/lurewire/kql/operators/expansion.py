"""The mv-expand and mv-apply operators: rows of the elements of dynamic values.

Source: https://learn.microsoft.com/kusto/query/mv-expand-operator and .../mv-apply-operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.conversions import to
from lurewire.kql.errors import Consequence, semantic
from lurewire.kql.naming import result_name
from lurewire.kql.scope import ERROR, Projection, Rows
from lurewire.kql.types import KqlType

from .registry import TabularOperator

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

#: Rows from one row where the old spelling gives no limit.
_LEGACY_LIMIT = 128


@dataclass(frozen=True, slots=True)
class Item(tree.Node):
    """One value to take apart, with the type of its elements."""

    value: tree.Expression
    type: KqlType | None


@dataclass(frozen=True, slots=True)
class Expand(tree.Operator):
    """`mv-expand kind=... with_itemindex=... values limit n`."""

    items: tuple[Item, ...]
    pairs: bool
    index: str | None
    limit: int | None


@dataclass(frozen=True, slots=True)
class Apply(tree.Operator):
    """`mv-apply with_itemindex=... values limit n on (operators)`."""

    items: tuple[Item, ...]
    index: str | None
    limit: int | None
    operators: tuple[tree.Operator, ...]


def _parse_items(parser: Parser) -> tuple[tuple[Item, ...], bool, str | None, int | None]:
    pairs, index = False, None
    while parser.at_text("kind", "bagexpansion", "with_itemindex") and parser.peek().text == "=":
        word = parser.advance().text
        parser.advance()
        if word == "with_itemindex":
            index = parser.name()
        else:
            pairs = (parser.accept("bag", "array") or parser.fail("expected 'bag' or 'array'")).text == "array"
    if parser.at_text("hint"):
        parser.parameters()
    items = parser.comma_list(lambda: _parse_item(parser))
    limit = None
    if parser.accept("limit"):
        if parser.current.kind != "long":
            parser.fail("expected a number of rows")
        limit = int(parser.advance().text, 0)
    return items, pairs, index, limit


def _parse_item(parser: Parser) -> Item:
    at = parser.current.at
    value = parser.named_expression()
    kind = None
    if parser.accept("to"):
        parser.expect("typeof")
        parser.expect("(")
        kind = parser.type_name()
        parser.expect(")")
    return Item(at, value, kind)


def _parse_expand(parser: Parser, name: Token) -> Expand:
    items, pairs, index, limit = _parse_items(parser)
    if limit is None and name.text == "mvexpand":
        limit = _LEGACY_LIMIT
    return Expand(name.at, items, pairs, index, limit)


def _parse_apply(parser: Parser, name: Token) -> Apply:
    items, pairs, index, limit = _parse_items(parser)
    if pairs:
        raise semantic("'mv-apply' operator: it has no kind=array", name.at)
    parser.expect("on")
    parser.expect("(")
    parser.enter(name.at)
    inner = parser.operators_here()
    parser.depth -= 1
    parser.expect(")")
    return Apply(name.at, items, index, limit, inner)


@dataclass(slots=True)
class _Expanded:
    """Expansions, what their columns become, and under which names."""

    expansions: list[plan.Expansion]
    converted: list[tuple[int, plan.Scalar]]
    outputs: list[plan.Output]
    #: Input columns that an expansion takes the place of.
    replaced: set[str]


def _expanded(items: tuple[Item, ...], rows: Rows, context: Context, operator: str) -> _Expanded:
    binder = ExpressionBinder(context, rows, operator)
    found = _Expanded([], [], [], set())
    for item in items:
        expression = item.value.value if isinstance(item.value, tree.Named) else item.value
        value = binder.bind(expression)
        if value is ERROR:
            raise Consequence(item.at)
        if value.type is not KqlType.DYNAMIC:
            message = f"'{operator}' operator: the expanded value must be dynamic, not {value.type}"
            raise semantic(message, item.at)
        name = item.value.names[0] if isinstance(item.value, tree.Named) else result_name(expression)
        if name is None:
            taken = {column.name for column in (*rows.columns, *found.outputs)}
            name = next(free for position in range(1, len(taken) + 2) if (free := f"Column{position}") not in taken)
        if any(output.name == name for output in found.outputs):
            raise semantic(f"'{operator}' operator: '{name}' is expanded twice", item.at, token=name)
        number = context.new_id()
        found.expansions.append(plan.Expansion(value, number))
        kind = item.type or KqlType.DYNAMIC
        if kind is not KqlType.DYNAMIC:
            element = plan.ColumnRef(KqlType.DYNAMIC, number)
            number = context.new_id()
            found.converted.append((number, to(element, kind)))
        found.outputs.append(plan.Output(name, number, kind))
        if rows.find(name) is not None:
            found.replaced.add(name)
    return found


def _columns(rows: Rows, expanded: _Expanded, index: plan.Output | None, at: int) -> tuple[plan.Output, ...]:
    """Expanded columns in the place of those that they replace, new ones after them, the index last."""
    projection = Projection(rows.columns)
    for output in expanded.outputs:
        projection.declare(output.name, output.id, output.type, at, replace=True)
    if index is not None:
        projection.declare(index.name, index.id, index.type, at, replace=True)
    return tuple(projection.columns)


def _computed(relation: plan.Relation, expanded: _Expanded) -> plan.Relation:
    return plan.Compute(relation, tuple(expanded.converted)) if expanded.converted else relation


def _bind_expand(node: Expand, rows: Rows, context: Context) -> Rows:
    expanded = _expanded(node.items, rows, context, "mv-expand")
    index = plan.Output(node.index or "", context.new_id(), KqlType.LONG)
    relation = plan.Expand(rows.relation, tuple(expanded.expansions), node.pairs, index.id, node.limit)
    columns = _columns(rows, expanded, index if node.index is not None else None, node.at)
    return Rows(_computed(relation, expanded), columns)


def _bind_apply(node: Apply, rows: Rows, context: Context) -> Rows:
    from lurewire.kql.compiler import bind_operators  # noqa: PLC0415 - the compiler knows all operators

    expanded = _expanded(node.items, rows, context, "mv-apply")
    index = plan.Output(node.index or "", context.new_id(), KqlType.LONG)
    elements = plan.Elements(tuple(expanded.expansions), index.id, node.limit)
    columns = _columns(rows, expanded, index if node.index is not None else None, node.at)
    inner = bind_operators(node.operators, Rows(_computed(elements, expanded), columns), context)
    outer = {column.id for column in rows.columns}
    made = tuple(column.id for column in inner.columns if column.id not in outer)
    relation = plan.Apply(rows.relation, inner.relation, elements, made)
    # What the subquery makes takes the place of a column of its name.
    named = {column.name: column for column in rows.columns if column.name not in expanded.replaced}
    named.update((column.name, column) for column in inner.columns)
    return Rows(relation, tuple(named.values()))


OPERATORS = (
    TabularOperator("mv-expand", Expand, _parse_expand, _bind_expand, ("mvexpand",)),
    TabularOperator("mv-apply", Apply, _parse_apply, _bind_apply, ("mvapply",), row_wise=False),
)
