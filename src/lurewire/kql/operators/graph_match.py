"""The operators graph-match and graph-shortest-paths: patterns become joins, one for each number of steps.

https://learn.microsoft.com/kusto/query/graph-match-operator,
https://learn.microsoft.com/kusto/query/graph-shortest-paths-operator
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.errors import Consequence, over_limit, semantic, unsupported
from lurewire.kql.functions import AGGREGATES
from lurewire.kql.limits import Limit
from lurewire.kql.naming import result_name
from lurewire.kql.scope import ERROR, Projection, Rows
from lurewire.kql.types import INTEGERS, KqlType

from .graph_binder import MatchBinder, Path
from .graph_model import MakeGraph, bind_make_graph, graph_of, parse_make_graph
from .graph_patterns import GraphPattern, outside, parse_pattern, parts
from .graph_walk import Tables, Walk
from .registry import TabularOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

#: Most steps of one match, and most combinations of the lengths of its variable edges: each is a chain of joins.
STEPS = Limit("graph steps", 24, "steps")
LENGTHS = Limit("graph lengths", 64, "combinations of lengths")

_CYCLES = ("all", "none", "unique_edges")
_OUTPUTS = ("any", "all")


@dataclass(frozen=True, slots=True)
class GraphMatch(tree.Operator):
    """`graph-match cycles=... pattern where constraints project columns`."""

    option: str
    pattern: GraphPattern
    where: tree.Expression | None
    columns: tuple[tree.Expression, ...]


@dataclass(frozen=True, slots=True)
class ShortestPaths(GraphMatch):
    """`graph-shortest-paths output=... pattern where constraints project columns`."""


def _option(parser: Parser, name: str, values: Sequence[str], default: str) -> str:
    if not (parser.at_text(name) and parser.peek().text == "="):
        return default
    parser.advance()
    parser.advance()
    return (parser.accept(*values) or parser.fail(f"expected one of {', '.join(values)}")).text


def _columns(parser: Parser) -> tuple[tree.Expression, ...]:
    parser.expect("project")
    return parser.comma_list(parser.named_expression)


def _parse_match(parser: Parser, name: Token) -> GraphMatch:
    option = _option(parser, "cycles", _CYCLES, "unique_edges")
    pattern = parse_pattern(parser)
    where = parser.expression() if parser.accept("where") else None
    return GraphMatch(name.at, option, pattern, where, _columns(parser))


def _parse_paths(parser: Parser, name: Token) -> ShortestPaths:
    option = _option(parser, "output", _OUTPUTS, "any")
    pattern = parse_pattern(parser)
    if pattern.sequences > 1 or all(edge.length is None for edge in pattern.edges):
        message = "'graph-shortest-paths' operator: the pattern must be one sequence with an edge of variable length"
        raise semantic(message, pattern.at)
    parser.expect("where")
    return ShortestPaths(name.at, option, pattern, parser.expression(), _columns(parser))


@dataclass(frozen=True, slots=True)
class _Leg:
    """The matches of one combination of lengths: the result columns, the ends, and the number of steps."""

    relation: plan.Relation
    values: tuple[plan.Scalar, ...]
    ends: tuple[plan.Scalar, ...]
    steps: int


class _Matcher:
    """Binds a pattern with its constraints and columns."""

    def __init__(self, node: GraphMatch, rows: Rows, context: Context, operator: str, cycles: str) -> None:
        self._node = node
        self._context = context
        self._operator = operator
        self._cycles = cycles
        asked = [*parts(node.where), *parts(node.columns)]
        calls = [part for part in asked if isinstance(part, tree.Call)]
        degrees = any(call.name in ("node_degree_in", "node_degree_out") for call in calls)
        inner = [call.arguments[0] for call in calls if call.name == "inner_nodes" and call.arguments]
        self._inner = frozenset(argument.name for argument in inner if isinstance(argument, tree.Name))
        self._tables = Tables(graph_of(rows, node, operator), context, degrees=degrees)
        context.row_wise = False

    def legs(self) -> list[_Leg]:
        """The matches for each combination of lengths; Problem where they are too many."""
        ranges = {edge.name: self._range(edge.length) for edge in self._node.pattern.edges if edge.length is not None}
        fixed = len(self._node.pattern.edges) - len(ranges)
        lengths = 1
        for found in ranges.values():
            lengths *= len(found)
        if lengths > LENGTHS.value or fixed + sum(found[-1] for found in ranges.values()) > STEPS.value:
            message = (
                f"'{self._operator}' operator: a pattern may have {STEPS.value} {STEPS.unit} and {LENGTHS.value} "
                f"{LENGTHS.unit} at most"
            )
            raise over_limit(message, self._node.pattern.at)
        return [
            self._leg(dict(zip(ranges, combination, strict=True)), fixed + sum(combination))
            for combination in product(*ranges.values())
        ]

    def _range(self, length: tuple[tree.Expression, tree.Expression]) -> range:
        binder = ExpressionBinder(self._context, None, self._operator)
        values = []
        for bound in length:
            value = binder.bind(bound)
            if not isinstance(value, plan.Constant) or value.type not in INTEGERS or not isinstance(value.value, int):
                raise semantic("the lengths of an edge must be whole numbers", bound.at)
            values.append(value.value)
        low, high = values
        if not 0 <= low <= high:
            raise semantic(f"the lengths {low}..{high} of an edge are not in order", length[0].at)
        if high > STEPS.value:
            raise over_limit(
                f"'{self._operator}' operator: an edge may have {STEPS.value} {STEPS.unit} at most", length[1].at
            )
        return range(low, high + 1)

    def _leg(self, steps: Mapping[str, int], count: int) -> _Leg:
        node = self._node
        walk = Walk(self._tables, node.pattern, steps, self._cycles, self._inner)
        relation = walk.relation
        before = len(self._context.problems)
        if node.where is not None:
            conjuncts = (
                node.where.operands
                if isinstance(node.where, tree.Logic) and node.where.operator == "and"
                else (node.where,)
            )
            for conjunct in conjuncts:
                for condition in self._constraint(conjunct, walk):
                    relation = plan.Filter(relation, condition)
        binder = MatchBinder(self._context, walk.variables, self._operator)
        values = tuple(
            binder.bind(column.value if isinstance(column, tree.Named) else column) for column in node.columns
        )
        if ERROR in values or len(self._context.problems) > before:
            raise Consequence(node.at)
        ends = (*walk.keys[node.pattern.first], *walk.keys[node.pattern.last])
        return _Leg(relation, values, ends, count)

    def _constraint(self, conjunct: tree.Expression, walk: Walk) -> list[plan.Scalar]:
        """A constraint; one on properties of a variable edge holds for each edge of it."""
        named = (part.target for part in outside(conjunct) if isinstance(part, tree.Member))
        paths = {target.name for target in named if isinstance(target, tree.Name)}
        paths = {name for name in paths if isinstance(walk.variables.get(name), Path)}
        if len(paths) > 1:
            raise unsupported("a constraint on the properties of several variable edges", conjunct.at)
        elements = [{name: element} for name in paths for element in walk.variables[name].edges] if paths else [{}]
        return [
            MatchBinder(self._context, walk.variables, self._operator, steps=steps).boolean(conjunct, "the constraint")
            for steps in elements
        ]

    def outputs(self, leg: _Leg) -> list[plan.Output]:
        """The result columns, by their names in the query or automatic ones."""
        projection = Projection()
        for column, value in zip(self._node.columns, leg.values, strict=True):
            number = self._context.new_id()
            if isinstance(column, tree.Named):
                projection.declare(column.names[0], number, value.type, column.at)
            else:
                projection.add(result_name(column) or projection.unnamed(), number, value.type)
        return projection.columns


def _bind_match(node: GraphMatch, rows: Rows, context: Context) -> Rows:
    matcher = _Matcher(node, rows, context, "graph-match", node.option)
    legs = matcher.legs()
    columns = matcher.outputs(legs[0])
    return Rows(_united(legs, columns, (), None), tuple(columns))


def _united(
    legs: Sequence[_Leg], columns: Sequence[plan.Output], ends: Sequence[plan.Output], steps: plan.Output | None
) -> plan.Relation:
    made = []
    for leg in legs:
        values = {column.id: value for column, value in zip(columns, leg.values, strict=True)}
        values.update({column.id: value for column, value in zip(ends, leg.ends, strict=bool(ends))})
        if steps is not None:
            values[steps.id] = plan.Constant(KqlType.LONG, leg.steps)
        made.append(plan.Leg(leg.relation, values))
    every = [*columns, *ends, *([] if steps is None else [steps])]
    return plan.Union(tuple(column.id for column in every), tuple(column.type for column in every), tuple(made))


def _bind_paths(node: ShortestPaths, rows: Rows, context: Context) -> Rows:
    """Of all paths between two nodes those with the fewest edges, or one of them."""
    matcher = _Matcher(node, rows, context, "graph-shortest-paths", "unique_edges")
    legs = matcher.legs()
    columns = matcher.outputs(legs[0])
    ends = [plan.Output("", context.new_id(), value.type) for value in legs[0].ends]
    rank = plan.Output("", context.new_id(), KqlType.LONG)
    paths = _united(legs, columns, ends, rank)
    if node.option == "any":
        context.deterministic = False
        number = plan.Output("", context.new_id(), KqlType.LONG)
        ordered = plan.Sort(paths, (plan.SortKey(_ref(rank), descending=False, nulls_first=True),))
        paths, rank = plan.Number(ordered, number.id), number
    every = [*columns, *ends, rank]

    def use() -> tuple[plan.Relation, list[plan.Output]]:
        own = [plan.Output(column.name, context.new_id(), column.type) for column in every]
        return plan.Shared(paths, tuple(column.id for column in every), tuple(column.id for column in own)), own

    counted, (*_, counted_rank) = (found := use())
    groups = found[1][len(columns) : -1]
    keys = tuple(plan.Output("", context.new_id(), column.type) for column in groups)
    least = plan.Output("", context.new_id(), KqlType.LONG)
    call = plan.AggregateCall(AGGREGATES["min"], (_ref(counted_rank),), None, None, (least.id,), (KqlType.LONG,))
    grouped = tuple((key.id, _ref(column)) for key, column in zip(keys, groups, strict=True))
    shortest = plan.Summarize(counted, grouped, (call,))
    relation, own = use()
    pairs = zip(own[len(columns) :], (*keys, least), strict=True)
    joined = plan.Join(
        "inner",
        relation,
        shortest,
        tuple((_ref(one), _ref(other)) for one, other in pairs),
        tuple((column.id, column.type) for column in own),
        tuple((column.id, column.type) for column in (*keys, least)),
        nulls_match=True,
    )
    return Rows(joined, tuple(own[: len(columns)]))


def _ref(column: plan.Output) -> plan.ColumnRef:
    return plan.ColumnRef(column.type, column.id)


OPERATORS = (
    TabularOperator("make-graph", MakeGraph, parse_make_graph, bind_make_graph, row_wise=False),
    TabularOperator("graph-match", GraphMatch, _parse_match, _bind_match, row_wise=False, selects=True),
    TabularOperator("graph-shortest-paths", ShortestPaths, _parse_paths, _bind_paths, row_wise=False, selects=True),
)
