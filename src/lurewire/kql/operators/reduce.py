"""The reduce operator: groups of similar texts.

Source: https://learn.microsoft.com/kusto/query/reduce-operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.constants import evaluated
from lurewire.kql.conversions import to
from lurewire.kql.errors import Consequence, semantic
from lurewire.kql.functions import AGGREGATES, FUNCTIONS
from lurewire.kql.functions.reduction import ASSIGNED, REDUCED
from lurewire.kql.limits import LIST_ELEMENTS
from lurewire.kql.scope import ERROR, Projection, Rows
from lurewire.kql.types import NUMBERS, KqlType

from .registry import TabularOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.kql.functions.registry import Function
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

_LONG, _STRING, _DYNAMIC = KqlType.LONG, KqlType.STRING, KqlType.DYNAMIC
_THRESHOLD = 0.1


@dataclass(frozen=True, slots=True)
class Reduce(tree.Operator):
    """`reduce kind=source by value with threshold=..., characters=...`."""

    keeps_rows: bool
    value: tree.Expression
    threshold: tree.Expression | None
    characters: tree.Expression | None


def _parse(parser: Parser, name: Token) -> Reduce:
    keeps_rows = False
    if parser.accept("kind"):
        parser.expect("=")
        parser.expect("source")
        keeps_rows = True
    parser.expect("by")
    value = parser.named_expression()
    said: dict[str, tree.Expression] = {}
    if parser.accept("with"):
        parser.comma_list(lambda: _parse_property(parser, said))
    return Reduce(name.at, keeps_rows, value, said.get("threshold"), said.get("characters"))


def _parse_property(parser: Parser, said: dict[str, tree.Expression]) -> None:
    token = parser.accept("threshold", "characters") or parser.fail("expected 'threshold' or 'characters'")
    parser.expect("=")
    if token.text in said:
        raise semantic(f"'reduce' operator: '{token.text}' is said twice", token.at, token=token.text)
    said[token.text] = parser.expression()


def _bind(node: Reduce, rows: Rows, context: Context) -> Rows:
    value = ExpressionBinder(context, rows, "reduce").bind(
        node.value.value if isinstance(node.value, tree.Named) else node.value
    )
    settings = (_threshold(node, context), _characters(node, context))
    if value is ERROR:
        raise Consequence(node.at)
    if value.type not in (_STRING, _DYNAMIC):
        raise semantic(f"'reduce' operator: the value must be a string, not {value.type}", node.value.at)
    key = context.new_id()
    relation = plan.Compute(rows.relation, ((key, to(value, _STRING)),))
    if node.keeps_rows:
        return _with_pattern(node, rows, relation, key, settings, context)
    kinds = (_STRING, _LONG, _STRING)
    reduced, ids = _expanded(relation, key, REDUCED, settings, kinds, context)
    outputs = (
        plan.Output(name, number, kind)
        for name, number, kind in zip(("Pattern", "Count", "Representative"), ids, kinds, strict=True)
    )
    order = (
        plan.SortKey(plan.ColumnRef(_LONG, ids[1]), descending=True, nulls_first=False),
        plan.SortKey(plan.ColumnRef(_STRING, ids[0]), descending=False, nulls_first=True),
    )
    return Rows(plan.Sort(reduced, order), tuple(outputs))


def _with_pattern(
    node: Reduce, rows: Rows, relation: plan.Relation, key: int, settings: Sequence[plan.Scalar], context: Context
) -> Rows:
    """The rows with the pattern of each."""
    held = (*(column.id for column in rows.columns), key)
    left, right = (plan.Shared(relation, held, tuple(context.new_id() for _ in held)) for _ in range(2))
    patterns, (value, pattern) = _expanded(right, right.ids[-1], ASSIGNED, settings, (_STRING, _STRING), context)
    columns = [
        plan.Output(column.name, number, column.type) for column, number in zip(rows.columns, left.ids, strict=False)
    ]
    joined = plan.Join(
        "inner",
        left,
        patterns,
        ((plan.ColumnRef(_STRING, left.ids[-1]), plan.ColumnRef(_STRING, value)),),
        (*((column.id, column.type) for column in columns), (left.ids[-1], _STRING)),
        ((value, _STRING), (pattern, _STRING)),
    )
    projection = Projection(columns)
    projection.declare("Pattern", pattern, _STRING, node.at)
    return Rows(joined, tuple(projection.columns))


def _expanded(
    relation: plan.Relation,
    key: int,
    function: Function,
    settings: Sequence[plan.Scalar],
    kinds: Sequence[KqlType],
    context: Context,
) -> tuple[plan.Relation, tuple[int, ...]]:
    """What a function makes of all values and their counts: a row for each of its elements, an array of these types."""
    count, pair, listed, made, element, index = (context.new_id() for _ in range(6))
    number = plan.AggregateCall(AGGREGATES["count"], (), None, None, (count,), (_LONG,))
    value = plan.ColumnRef(_STRING, key)
    relation = plan.Summarize(relation, ((key, value),), (number,))
    packed = plan.Call(_DYNAMIC, FUNCTIONS["pack_array"], (value, plan.ColumnRef(_LONG, count)))
    relation = plan.Compute(relation, ((pair, packed),))
    # One more than the function takes, so that it sees where there are too many.
    most = LIST_ELEMENTS.value + 1
    pairs = (plan.ColumnRef(_DYNAMIC, pair),)
    # make_list() would take the pairs apart.
    collected = plan.AggregateCall(AGGREGATES["make_list_with_nulls"], pairs, None, most, (listed,), (_DYNAMIC,))
    relation = plan.Summarize(relation, (), (collected,))
    call = plan.Call(_DYNAMIC, function, (plan.ColumnRef(_DYNAMIC, listed), *settings))
    relation = plan.Compute(relation, ((made, call),))
    relation = plan.Expand(relation, (plan.Expansion(plan.ColumnRef(_DYNAMIC, made), element),), False, index, None)
    ids = tuple(context.new_id() for _ in kinds)
    parts = (
        to(plan.Path(_DYNAMIC, plan.ColumnRef(_DYNAMIC, element), (place,)), kind) for place, kind in enumerate(kinds)
    )
    return plan.Compute(relation, tuple(zip(ids, parts, strict=True))), ids


def _threshold(node: Reduce, context: Context) -> plan.Scalar:
    value = _setting(node.threshold, "the threshold", context)
    if value is None:
        return plan.Constant(KqlType.REAL, _THRESHOLD)
    if value.type not in NUMBERS or value.value is None or not 0 <= float(str(value.value)) <= 1:
        raise semantic("'reduce' operator: the threshold must be a number from 0 to 1", node.at)
    return plan.Constant(KqlType.REAL, float(str(value.value)))


def _characters(node: Reduce, context: Context) -> plan.Scalar:
    value = _setting(node.characters, "characters", context)
    if value is None:
        return plan.Constant(_STRING, "")
    if value.type is not _STRING:
        raise semantic(f"'reduce' operator: characters must be a string, not {value.type}", node.at)
    return value


def _setting(node: tree.Expression | None, what: str, context: Context) -> plan.Constant | None:
    if node is None:
        return None
    value = evaluated(
        ExpressionBinder(context, None, "reduce").bind(node), f"'reduce' operator: {what}", node.at, context
    )
    if value is None:
        raise Consequence(node.at)
    return value


OPERATORS = (TabularOperator("reduce", Reduce, _parse, _bind, row_wise=False),)
