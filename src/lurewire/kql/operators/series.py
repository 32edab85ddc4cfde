"""The range operator: a column of values at equal steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.conversions import to, widest
from lurewire.kql.errors import semantic
from lurewire.kql.scope import ERROR, Rows
from lurewire.kql.types import NUMBERS, KqlType

from .registry import TabularOperator

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context


@dataclass(frozen=True, slots=True)
class Range(tree.Operator):
    """`range name from start to stop step step`."""

    name: str
    start: tree.Expression
    stop: tree.Expression
    step: tree.Expression


def _parse(parser: Parser, name: Token) -> Range:
    column = parser.name()
    parser.expect("from")
    start = parser.expression()
    parser.expect("to")
    stop = parser.expression()
    parser.expect("step")
    return Range(name.at, column, start, stop, parser.expression())


def _bind(node: Range, rows: Rows, context: Context) -> Rows:
    del rows
    binder = ExpressionBinder(context, None, "range")
    start, stop, step = (binder.bind(part) for part in (node.start, node.stop, node.step))
    number = context.new_id()
    if ERROR in (start, stop, step):
        return Rows(plan.Values((number,), (KqlType.LONG,), ()), (plan.Output(node.name, number, KqlType.LONG),))
    kinds = start.type, stop.type, step.type
    if set(kinds) <= NUMBERS - {KqlType.DECIMAL}:
        kind = widest(KqlType.LONG, *kinds)
        start, stop, step = to(start, kind), to(stop, kind), to(step, kind)
    elif kinds in ((KqlType.DATETIME, KqlType.DATETIME, KqlType.TIMESPAN), (KqlType.TIMESPAN,) * 3):
        kind = start.type
    else:
        raise semantic(f"'range' operator: no steps from {kinds[0]} to {kinds[1]} by {kinds[2]}", node.at)
    relation = plan.Range(number, kind, start, stop, step)
    return Rows(relation, (plan.Output(node.name, number, kind),))


OPERATORS = (TabularOperator("range", Range, _parse, _bind, source=True),)
