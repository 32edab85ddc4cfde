"""Operators that choose rows: where, take, count, distinct, sort, top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.constants import evaluated
from lurewire.kql.conversions import to
from lurewire.kql.errors import semantic
from lurewire.kql.scope import Rows
from lurewire.kql.types import INTEGERS, KqlType

from .registry import TabularOperator
from .serialization import with_windows

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context


@dataclass(frozen=True, slots=True)
class Where(tree.Operator):
    """`where predicate`."""

    predicate: tree.Expression


@dataclass(frozen=True, slots=True)
class Take(tree.Operator):
    """`take n`."""

    count: tree.Expression


@dataclass(frozen=True, slots=True)
class Count(tree.Operator):
    """`count [as name]`."""

    name: str


@dataclass(frozen=True, slots=True)
class Distinct(tree.Operator):
    """`distinct columns`, or `distinct *`."""

    columns: tuple[tree.Expression, ...]


@dataclass(frozen=True, slots=True)
class Sort(tree.Operator):
    """`sort by keys`."""

    keys: tuple[tree.Ordered, ...]


@dataclass(frozen=True, slots=True)
class Top(tree.Operator):
    """`top n by key`: one key, unlike sort (https://learn.microsoft.com/kusto/query/top-operator)."""

    count: tree.Expression
    key: tree.Ordered


def _parse_where(parser: Parser, name: Token) -> Where:
    parser.parameters()
    return Where(name.at, parser.expression())


def _bind_where(node: Where, rows: Rows, context: Context) -> Rows:
    binder = ExpressionBinder(context, rows, "where")
    binder.windows = []
    predicate = binder.boolean(node.predicate, "'where' operator: the predicate")
    return Rows(plan.Filter(with_windows(rows.relation, binder), predicate), rows.columns)


def _parse_take(parser: Parser, name: Token) -> Take:
    return Take(name.at, parser.expression())


def row_count(node: tree.Expression, context: Context, operator: str) -> int:
    """A constant number of rows."""
    bound = ExpressionBinder(context, None, operator).bind(node)
    value = evaluated(bound, f"'{operator}' operator: the row count", node.at, context)
    if value is None:
        return 0
    if value.type not in INTEGERS or not isinstance(value.value, int) or value.value < 0:
        raise semantic(f"'{operator}' operator: the row count must be a whole number, not below zero", node.at)
    return value.value


def _bind_take(node: Take, rows: Rows, context: Context) -> Rows:
    count = row_count(node.count, context, "take")
    if not _is_sorted(rows.relation):
        context.deterministic = False
    return Rows(plan.Limit(rows.relation, count), rows.columns)


def _is_sorted(relation: plan.Relation) -> bool:
    while isinstance(relation, plan.Filter | plan.Compute):
        relation = relation.input
    return isinstance(relation, plan.Sort)


def _parse_count(parser: Parser, name: Token) -> Count:
    return Count(name.at, parser.name() if parser.accept("as") else "Count")


def _bind_count(node: Count, rows: Rows, context: Context) -> Rows:
    from lurewire.kql.functions import AGGREGATES  # noqa: PLC0415 - the registry of functions imports the binder

    number = context.new_id()
    call = plan.AggregateCall(AGGREGATES["count"], (), None, None, (number,), (KqlType.LONG,))
    return Rows(plan.Summarize(rows.relation, (), (call,)), (plan.Output(node.name, number, KqlType.LONG),))


def _parse_distinct(parser: Parser, name: Token) -> Distinct:
    parser.parameters()
    return Distinct(name.at, parser.comma_list(parser.named_expression))


def _bind_distinct(node: Distinct, rows: Rows, context: Context) -> Rows:
    if any(isinstance(column, tree.Star) for column in node.columns):
        chosen = list(rows.columns)
        keys = tuple((column.id, plan.ColumnRef(column.type, column.id)) for column in chosen)
        return Rows(plan.Summarize(rows.relation, keys, ()), tuple(chosen))
    from .summarize import bind_keys  # noqa: PLC0415 - summarize stands on this module's sort keys

    projection, groups = bind_keys(node.columns, rows, context, "distinct")
    return Rows(plan.Summarize(rows.relation, tuple(groups), ()), tuple(projection.columns))


def parse_keys(parser: Parser) -> tuple[tree.Ordered, ...]:
    """`by key [asc|desc] [nulls first|last], ...`: descending by default, nulls then last."""
    parser.expect("by")
    return parser.comma_list(lambda: _parse_key(parser))


def _parse_key(parser: Parser) -> tree.Ordered:
    at = parser.current.at
    value = parser.named_expression()
    direction = parser.accept("asc", "desc")
    descending = direction is None or direction.text == "desc"
    nulls_first = not descending
    if parser.accept("nulls"):
        side = parser.accept("first", "last") or parser.fail("expected 'first' or 'last'")
        nulls_first = side.text == "first"
    return tree.Ordered(at, value, descending, nulls_first)


def _parse_sort(parser: Parser, name: Token) -> Sort:
    parser.parameters()
    return Sort(name.at, parse_keys(parser))


def bind_order(keys: tuple[tree.Ordered, ...], rows: Rows, context: Context, operator: str) -> tuple[plan.SortKey, ...]:
    """The ordering expressions."""
    binder = ExpressionBinder(context, rows, operator)
    bound = []
    for key in keys:
        value = binder.bind(key.value)
        if value.type is KqlType.DYNAMIC:
            value = to(value, KqlType.STRING)
        bound.append(plan.SortKey(value, key.descending, key.nulls_first))
    return tuple(bound)


def _bind_sort(node: Sort, rows: Rows, context: Context) -> Rows:
    return Rows(plan.Sort(rows.relation, bind_order(node.keys, rows, context, "sort")), rows.columns)


def _parse_top(parser: Parser, name: Token) -> Top:
    count = parser.expression()
    parser.expect("by")
    key = _parse_key(parser)
    if parser.at_text(","):
        parser.fail("'top' takes one key: sort and take do with several")
    return Top(name.at, count, key)


def _bind_top(node: Top, rows: Rows, context: Context) -> Rows:
    count = row_count(node.count, context, "top")
    ordered = plan.Sort(rows.relation, bind_order((node.key,), rows, context, "top"))
    return Rows(plan.Limit(ordered, count), rows.columns)


OPERATORS = (
    TabularOperator("where", Where, _parse_where, _bind_where, ("filter",)),
    TabularOperator("take", Take, _parse_take, _bind_take, ("limit",), row_wise=False),
    TabularOperator("count", Count, _parse_count, _bind_count, row_wise=False),
    TabularOperator("distinct", Distinct, _parse_distinct, _bind_distinct, row_wise=False),
    TabularOperator("sort", Sort, _parse_sort, _bind_sort, ("order",), row_wise=False),
    TabularOperator("top", Top, _parse_top, _bind_top, row_wise=False),
)
