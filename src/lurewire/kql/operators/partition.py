"""The partition operator: a subquery for the rows of each value of a column.

Source: https://learn.microsoft.com/kusto/query/partition-operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.errors import Consequence, semantic
from lurewire.kql.scope import Rows

from .columns import unresolved
from .evaluate import Evaluate
from .invocation import Invoke
from .joins import Join, Lookup
from .make_series import MakeSeries
from .registry import TabularOperator
from .several import Facet, Fork
from .unions import Union

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

_STRATEGIES = ("legacy", "native", "shuffle")
#: Most values of the column with the legacy strategy.
_LEGACY_PARTITIONS = 64
#: Operators that read other rows than the partition's: the native and shuffle strategies do not take them.
_OTHER_ROWS = {Join: "join", Lookup: "lookup", Union: "union", Evaluate: "evaluate", Invoke: "invoke"}


@dataclass(frozen=True, slots=True)
class Partition(tree.Operator):
    """`partition hint.strategy=... by column (operators)`, or with a source in braces."""

    strategy: str
    column: str
    column_at: int
    operators: tuple[tree.Operator, ...]
    source: tree.Pipeline | None


def _parse(parser: Parser, name: Token) -> Partition:
    hints = parser.parameters()
    strategy = _strategy(hints.get("hint.strategy"), name)
    parser.expect("by")
    at, column = parser.current.at, parser.name()
    parser.enter(at)
    operators: tuple[tree.Operator, ...] = ()
    source = None
    if parser.accept("{"):
        source = parser.pipeline()
        parser.expect("}")
    else:
        parser.expect("(")
        operators = parser.operators_here()
        parser.expect(")")
    parser.depth -= 1
    return Partition(name.at, strategy, column, at, operators, source)


def _strategy(hint: tree.Expression | None, name: Token) -> str:
    if hint is None:
        return "legacy"
    strategy = hint.name if isinstance(hint, tree.Name) else ""
    if strategy not in _STRATEGIES:
        raise semantic(f"'partition' operator: the strategy must be one of {', '.join(_STRATEGIES)}", name.at)
    return strategy


def _check(node: Partition) -> None:
    for operator in node.operators:
        if isinstance(operator, Fork | Facet):
            raise semantic("'partition' operator: its subquery must give one result", operator.at)
        other = _OTHER_ROWS.get(type(operator))
        if other is not None and node.strategy != "legacy":
            message = f"'partition' operator: '{other}' needs hint.strategy=legacy, not {node.strategy}"
            raise semantic(message, operator.at, token=other)
        if isinstance(operator, MakeSeries) and (operator.start is None or operator.stop is None):
            raise semantic("'partition' operator: make-series needs 'from' and 'to' here", operator.at)
    if node.source is not None and node.strategy != "legacy":
        raise semantic(
            f"'partition' operator: a source of its own needs hint.strategy=legacy, not {node.strategy}", node.at
        )


def _bind(node: Partition, rows: Rows, context: Context) -> Rows:
    from lurewire.kql.compiler import bind_pipeline  # noqa: PLC0415 - the compiler knows all operators

    _check(node)
    column = rows.find(node.column)
    if column is None:
        raise unresolved(node.column, node.column_at, rows, "partition")
    held = tuple(one.id for one in rows.columns)

    def use() -> plan.Shared:
        return plan.Shared(rows.relation, held, tuple(context.new_id() for _ in held))

    keys = use()
    value = keys.ids[held.index(column.id)]

    def subtable() -> Rows:
        own = use()
        outputs = tuple(
            plan.Output(one.name, number, one.type) for one, number in zip(rows.columns, own.ids, strict=True)
        )
        return Rows(plan.Subtable(own, own.ids[held.index(column.id)], value), outputs)

    names = context.names.copy()
    pipeline = node.source
    if pipeline is None:
        pipeline = tree.Pipeline(node.at, tree.Given(node.at, subtable), node.operators)
    else:
        names.forget(node.column)
        names.scalars[node.column] = plan.ColumnRef(column.type, value)
    with context.among(names):
        inner = bind_pipeline(pipeline, context)
    if inner is None:
        raise Consequence(node.at)
    most = _LEGACY_PARTITIONS if node.strategy == "legacy" else None
    made = tuple(one.id for one in inner.columns)
    return Rows(plan.Partition(keys, value, inner.relation, made, most), inner.columns)


OPERATORS = (TabularOperator("partition", Partition, _parse, _bind, row_wise=False),)
