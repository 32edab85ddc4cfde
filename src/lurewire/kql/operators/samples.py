"""Operators that pick rows or values, or describe the input: sample, sample-distinct, top-hitters, getschema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.functions.surroundings import RAND
from lurewire.kql.naming import result_name
from lurewire.kql.scope import Rows
from lurewire.kql.types import KqlType

from .registry import TabularOperator
from .rows import row_count
from .summarize import Summarize, bind_keys, bind_summarize

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context


@dataclass(frozen=True, slots=True)
class Sample(tree.Operator):
    """`sample n`."""

    count: tree.Expression


@dataclass(frozen=True, slots=True)
class SampleDistinct(tree.Operator):
    """`sample-distinct n of column`."""

    count: tree.Expression
    value: tree.Expression


@dataclass(frozen=True, slots=True)
class TopHitters(tree.Operator):
    """`top-hitters n of value by weight`."""

    count: tree.Expression
    value: tree.Expression
    weight: tree.Expression | None


@dataclass(frozen=True, slots=True)
class GetSchema(tree.Operator):
    """`getschema`."""


def _parse_sample(parser: Parser, name: Token) -> Sample:
    return Sample(name.at, parser.expression())


def _bind_sample(node: Sample, rows: Rows, context: Context) -> Rows:
    """Rows by chance, in no order."""
    count = row_count(node.count, context, "sample")
    context.deterministic = False
    chance = plan.SortKey(plan.Call(KqlType.REAL, RAND, ()), descending=False, nulls_first=False)
    return Rows(plan.Limit(plan.Sort(rows.relation, (chance,)), count), rows.columns)


def _parse_distinct(parser: Parser, name: Token) -> SampleDistinct:
    count = parser.expression()
    parser.expect("of")
    return SampleDistinct(name.at, count, parser.named_expression())


def _bind_distinct(node: SampleDistinct, rows: Rows, context: Context) -> Rows:
    count = row_count(node.count, context, "sample-distinct")
    projection, groups = bind_keys([node.value], rows, context, "sample-distinct")
    context.deterministic = False
    return Rows(plan.Limit(plan.Summarize(rows.relation, tuple(groups), ()), count), tuple(projection.columns))


def _parse_hitters(parser: Parser, name: Token) -> TopHitters:
    count = parser.expression()
    parser.expect("of")
    value = parser.named_expression()
    return TopHitters(name.at, count, value, parser.named_expression() if parser.accept("by") else None)


def _bind_hitters(node: TopHitters, rows: Rows, context: Context) -> Rows:
    """Counted exactly; the documentation only promises an approximation."""
    count = row_count(node.count, context, "top-hitters")
    if node.weight is None:
        label = f"approximate_count_{result_name(node.value) or ''}"
        total: tree.Expression = tree.Named(node.at, (label,), tree.Call(node.at, "count", ()))
    else:
        weight = node.weight.value if isinstance(node.weight, tree.Named) else node.weight
        label = f"approximate_sum_{result_name(node.weight) or ''}"
        if isinstance(node.weight, tree.Named):
            label = node.weight.names[0]
        total = tree.Named(node.at, (label,), tree.Call(node.at, "sum", (weight,)))
    grouped = bind_summarize(Summarize(node.at, (total,), (node.value,)), rows, context)
    if len(grouped.columns) != 2:
        return grouped
    last = grouped.columns[1]
    key = plan.SortKey(plan.ColumnRef(last.type, last.id), descending=True, nulls_first=False)
    return Rows(plan.Limit(plan.Sort(grouped.relation, (key,)), count), grouped.columns)


#: .NET names of the types, as getschema gives them.
_DOTNET = {
    KqlType.BOOL: "System.SByte",
    KqlType.INT: "System.Int32",
    KqlType.LONG: "System.Int64",
    KqlType.REAL: "System.Double",
    KqlType.DECIMAL: "System.Data.SqlTypes.SqlDecimal",
    KqlType.STRING: "System.String",
    KqlType.DATETIME: "System.DateTime",
    KqlType.TIMESPAN: "System.TimeSpan",
    KqlType.GUID: "System.Guid",
    KqlType.DYNAMIC: "System.Object",
}


def _parse_schema(parser: Parser, name: Token) -> GetSchema:
    del parser
    return GetSchema(name.at)


def _bind_schema(node: GetSchema, rows: Rows, context: Context) -> Rows:
    del node
    names = ("ColumnName", "ColumnOrdinal", "DataType", "ColumnType")
    kinds = (KqlType.STRING, KqlType.LONG, KqlType.STRING, KqlType.STRING)
    ids = tuple(context.new_id() for _ in names)
    cells = tuple(
        (column.name, position, _DOTNET[column.type], str(column.type)) for position, column in enumerate(rows.columns)
    )
    outputs = tuple(plan.Output(*parts) for parts in zip(names, ids, kinds, strict=True))
    return Rows(plan.Values(ids, kinds, cells), outputs)


OPERATORS = (
    TabularOperator("sample", Sample, _parse_sample, _bind_sample, row_wise=False),
    TabularOperator("sample-distinct", SampleDistinct, _parse_distinct, _bind_distinct, row_wise=False),
    TabularOperator("top-hitters", TopHitters, _parse_hitters, _bind_hitters, row_wise=False),
    TabularOperator("getschema", GetSchema, _parse_schema, _bind_schema, row_wise=False),
)
