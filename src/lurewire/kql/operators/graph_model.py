"""Graphs: what make-graph gives, and the operator itself (https://learn.microsoft.com/kusto/query/make-graph-operator).

A graph lives while a query is bound only: graph operators turn it into joins of its tables of nodes and edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.conversions import to
from lurewire.kql.errors import semantic
from lurewire.kql.functions import AGGREGATES
from lurewire.kql.scope import Rows
from lurewire.kql.types import NUMBERS, KqlType

from .columns import unresolved

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

    from .registry import TabularOperator

#: The operators that may follow a graph.
GRAPH_OPERATORS = ("graph-match", "graph-shortest-paths", "graph-mark-components", "graph-to-table")


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes and edges: relations, the columns of their keys, and their properties.

    A key is the node's id, or with partitions the partition and the id. `ordinal` numbers the edges, `types` are those
    of the keys.
    """

    types: tuple[KqlType, ...]
    nodes: plan.Relation
    keys: tuple[int, ...]
    node_properties: tuple[plan.Output, ...]
    edges: plan.Relation
    sources: tuple[int, ...]
    targets: tuple[int, ...]
    ordinal: int
    edge_properties: tuple[plan.Output, ...]

    @property
    def node_columns(self) -> dict[int, KqlType]:
        """All columns of the nodes, with their types."""
        keys = dict(zip(self.keys, self.types, strict=True))
        return keys | {column.id: column.type for column in self.node_properties}

    @property
    def edge_columns(self) -> dict[int, KqlType]:
        """All columns of the edges, with their types."""
        return _edge_columns(self.sources, self.targets, self.types, self.ordinal, self.edge_properties)


def _edge_columns(
    sources: Sequence[int],
    targets: Sequence[int],
    types: Sequence[KqlType],
    ordinal: int,
    properties: Sequence[plan.Output],
) -> dict[int, KqlType]:
    ends = dict(zip((*sources, *targets), (*types, *types), strict=True))
    return {**ends, ordinal: KqlType.LONG, **{column.id: column.type for column in properties}}


@dataclass(frozen=True, slots=True)
class Use:
    """A relation that is used several times, under column numbers of this use; every use has all columns."""

    relation: plan.Relation
    numbers: Mapping[int, int]
    types: Mapping[int, KqlType]

    def key(self, columns: Iterable[int]) -> tuple[plan.ColumnRef, ...]:
        """Columns of this use, by their numbers in the relation."""
        return tuple(plan.ColumnRef(self.types[number], self.numbers[number]) for number in columns)

    def properties(self, columns: Sequence[plan.Output]) -> tuple[plan.Output, ...]:
        """Named columns of this use."""
        return tuple(plan.Output(column.name, self.numbers[column.id], column.type) for column in columns)

    @property
    def columns(self) -> tuple[tuple[int, KqlType], ...]:
        """All columns of this use."""
        return tuple((number, self.types[old]) for old, number in self.numbers.items())


def use(relation: plan.Relation, types: Mapping[int, KqlType], context: Context) -> Use:
    """The relation once more."""
    own = tuple(context.new_id() for _ in types)
    return Use(plan.Shared(relation, tuple(types), own), dict(zip(types, own, strict=True)), types)


@dataclass(frozen=True, slots=True)
class GraphRows(Rows):
    """A graph on its way through a pipeline; it has no columns, and only graph operators take it."""

    graph: Graph | None = None


def graph_rows(graph: Graph) -> GraphRows:
    """A graph as what an operator gives."""
    return GraphRows(plan.Values((), (), ()), (), graph=graph)


def graph_of(rows: Rows, node: tree.Operator, operator: str) -> Graph:
    """The graph that an operator works on; Problem where it is none."""
    if isinstance(rows, GraphRows) and rows.graph is not None:
        return rows.graph
    raise semantic(f"'{operator}' operator: its input is not a graph, as make-graph gives one", node.at, token=operator)


def check_input(rows: Rows, operator: TabularOperator, at: int) -> None:
    """Raises Problem where an operator that takes no graph follows one."""
    if isinstance(rows, GraphRows) and operator.name not in GRAPH_OPERATORS:
        raise semantic(f"'{operator.name}' operator: its input is a graph; a graph operator must come first", at)


def check_result(rows: Rows | None, at: int) -> None:
    """Raises Problem where the result of a query is a graph."""
    if isinstance(rows, GraphRows):
        raise semantic("the result is a graph: make-graph must be followed by a graph operator", at)


@dataclass(frozen=True, slots=True)
class NodeTable:
    """`with table on id`."""

    at: int
    table: tree.Expression
    key: str


@dataclass(frozen=True, slots=True)
class MakeGraph(tree.Operator):
    """`make-graph source --> target with tables partitioned-by column (operators)`."""

    source: str
    target: str
    tables: tuple[NodeTable, ...]
    node_id: str | None
    partition: str | None
    operators: tuple[tree.Operator, ...]


def parse_make_graph(parser: Parser, name: Token) -> MakeGraph:
    """Reads what follows the operator's name."""
    source = parser.name()
    for mark in ("-", "-", ">"):
        parser.expect(mark)
    target = parser.name()
    tables: tuple[NodeTable, ...] = ()
    node_id = None
    if parser.accept("with_node_id"):
        parser.expect("=")
        node_id = parser.name()
    elif parser.accept("with"):
        tables = parser.comma_list(lambda: _node_table(parser))
        if len(tables) > 2:
            raise semantic("'make-graph' operator: takes two tables of nodes at most", tables[2].at)
    partition = None
    operators: tuple[tree.Operator, ...] = ()
    if parser.at_text("partitioned") and parser.peek(2).text == "by":
        for _ in range(3):
            parser.advance()
        partition = parser.name()
        parser.expect("(")
        operators = parser.operators_here()
        parser.expect(")")
    return MakeGraph(name.at, source, target, tables, node_id, partition, operators)


def _node_table(parser: Parser) -> NodeTable:
    at = parser.current.at
    table = parser.postfix()
    parser.expect("on")
    return NodeTable(at, table, parser.name())


def bind_make_graph(node: MakeGraph, rows: Rows, context: Context) -> Rows:
    """The graph, or with partitions what the operators make of the graphs of all partitions."""
    from lurewire.kql.compiler import bind_operators, bind_source  # noqa: PLC0415 - the compiler knows all operators

    context.row_wise = False
    tables = [(table, bind_source(table.table, context)) for table in node.tables]
    parts = [_column(node.partition, rows, node.at)] if node.partition else []
    ends = [_column(name, rows, node.at) for name in (node.source, node.target)]
    named = [[*(_column(node.partition, found, table.at) for _ in parts), _column(table.key, found, table.at)]
             for table, found in tables]  # fmt: skip
    keyed = [[*parts, ends[0]], [*parts, ends[1]], *named]
    types = tuple(_common([key[place] for key in keyed], node.at) for place in range(len(keyed[0])))
    edges = _Edges(rows, keyed[0], keyed[1], types, context)
    properties = _properties([found for _, found in tables], [key[-1].name for key in named], node)
    nodes, keys, columns = _nodes(edges, [found for _, found in tables], named, properties, types, context)
    ids = dict.fromkeys([*(key[-1].name for key in named), *([node.node_id] if node.node_id else [])])
    shown = [plan.Output(name, keys[-1], types[-1]) for name in ids]
    by_name = {column.name: column for column in (*columns, *shown)}
    ordered = [by_name[name] for name in dict.fromkeys([*properties, *ids])]
    graph = Graph(
        types, nodes, keys, tuple(ordered), edges.relation, edges.sources, edges.targets, edges.ordinal, rows.columns
    )
    if node.partition is None:
        return graph_rows(graph)
    made = bind_operators(node.operators, graph_rows(graph), context)
    check_result(made, node.at)
    return made


def _column(name: str | None, rows: Rows, at: int) -> plan.Output:
    found = rows.find(name or "")
    if found is None:
        raise unresolved(name or "", at, rows, "make-graph")
    if found.type is KqlType.DYNAMIC:
        raise semantic(f"'make-graph' operator: the id '{found.name}' must not be dynamic", at, token=found.name)
    return found


def _common(columns: Sequence[plan.Output], at: int) -> KqlType:
    """The type of the ids."""
    types = {column.type for column in columns}
    if len(types) == 1:
        return types.pop()
    if types <= NUMBERS:
        return next(kind for kind in (KqlType.DECIMAL, KqlType.REAL, KqlType.LONG) if kind in types)
    shown = ", ".join(f"'{column.name}' ({column.type})" for column in columns)
    raise semantic(f"'make-graph' operator: the ids {shown} differ in type", at)


class _Edges:
    """The edges with their keys and numbers."""

    def __init__(
        self,
        rows: Rows,
        source: Sequence[plan.Output],
        target: Sequence[plan.Output],
        types: Sequence[KqlType],
        context: Context,
    ) -> None:
        self.sources = tuple(context.new_id() for _ in types)
        self.targets = tuple(context.new_id() for _ in types)
        self.ordinal = context.new_id()
        columns = [*zip(self.sources, source, types, strict=True), *zip(self.targets, target, types, strict=True)]
        computed = plan.Compute(rows.relation, tuple((number, to(_ref(one), kind)) for number, one, kind in columns))
        self.relation = plan.Number(computed, self.ordinal)
        self._columns = _edge_columns(self.sources, self.targets, types, self.ordinal, rows.columns)

    def ends(self, context: Context) -> list[tuple[plan.Relation, Sequence[plan.Scalar]]]:
        """The keys at both ends of all edges."""
        found: list[tuple[plan.Relation, Sequence[plan.Scalar]]] = []
        for keys in (self.sources, self.targets):
            once = use(self.relation, self._columns, context)
            found.append((once.relation, once.key(keys)))
        return found


def _properties(tables: Sequence[Rows], ids: Sequence[str], node: MakeGraph) -> dict[str, KqlType]:
    """The properties of the nodes, each once: the ids come from the keys."""
    found: dict[str, KqlType] = {}
    for rows in tables:
        for column in rows.columns:
            kind = found.setdefault(column.name, column.type)
            if kind is not column.type and column.name not in ids:
                message = f"'make-graph' operator: the property '{column.name}' has the types {kind} and {column.type}"
                raise semantic(message, node.at, token=column.name)
    return found


def _nodes(
    edges: _Edges,
    tables: Sequence[Rows],
    keyed: Sequence[Sequence[plan.Output]],
    properties: dict[str, KqlType],
    types: tuple[KqlType, ...],
    context: Context,
) -> tuple[plan.Relation, tuple[int, ...], list[plan.Output]]:
    """One node for each key of the tables and of the edges' ends; of several values of a property the largest stays."""
    numbers = {name: context.new_id() for name in properties}
    keys = tuple(context.new_id() for _ in types)
    legs = []
    for rows, key in zip(tables, keyed, strict=True):
        own: dict[int, plan.Scalar] = {numbers[column.name]: _ref(column) for column in rows.columns
                                       if column.type is properties[column.name]}  # fmt: skip
        own.update((number, to(_ref(one), kind)) for number, one, kind in zip(keys, key, types, strict=True))
        legs.append(plan.Leg(rows.relation, own))
    legs.extend(plan.Leg(relation, dict(zip(keys, found, strict=True))) for relation, found in edges.ends(context))
    union = plan.Union((*keys, *numbers.values()), (*types, *properties.values()), tuple(legs))
    grouped = tuple(context.new_id() for _ in types)
    groups = tuple((new, plan.ColumnRef(kind, old)) for new, old, kind in zip(grouped, keys, types, strict=True))
    calls, columns = [], []
    for name, kind in properties.items():
        aggregate = AGGREGATES["take_any" if kind is KqlType.DYNAMIC else "max"]
        number = context.new_id()
        value = plan.ColumnRef(kind, numbers[name])
        calls.append(plan.AggregateCall(aggregate, (value,), None, None, (number,), (kind,)))
        columns.append(plan.Output(name, number, kind))
    return plan.Summarize(union, groups, tuple(calls)), grouped, columns


def _ref(column: plan.Output) -> plan.ColumnRef:
    return plan.ColumnRef(column.type, column.id)
