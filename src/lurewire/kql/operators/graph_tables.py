"""The operators graph-to-table and graph-mark-components.

https://learn.microsoft.com/kusto/query/graph-to-table-operator,
https://learn.microsoft.com/kusto/query/graph-mark-components-operator
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.conversions import to
from lurewire.kql.errors import semantic, unsupported
from lurewire.kql.functions import AGGREGATES, FUNCTIONS
from lurewire.kql.functions.graph_components import COMPONENTS
from lurewire.kql.scope import Projection, Rows
from lurewire.kql.types import KqlType

from .graph_model import graph_of, graph_rows, use
from .registry import TabularOperator

if TYPE_CHECKING:
    from lurewire.kql.lexer import Token
    from lurewire.kql.parser import Parser
    from lurewire.kql.scope import Context

    from .graph_model import Graph


#: What hash() takes after a text: its type, and no modulus.
_TEXT_HASH = (plan.Constant(KqlType.STRING, "string"), plan.Constant(KqlType.LONG, None))


@dataclass(frozen=True, slots=True)
class GraphToTable(tree.Operator):
    """`graph-to-table nodes with_node_id=name` or `edges with_source_id=name with_target_id=name`, and `as name`."""

    edges: bool
    ids: tuple[tuple[str, str], ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class GraphToTables(tree.Operator):
    """Both at once, with names for the statements that follow."""

    tables: tuple[GraphToTable, ...]


@dataclass(frozen=True, slots=True)
class MarkComponents(tree.Operator):
    """`graph-mark-components kind=... with_component_id=name`."""

    strong: bool
    name: str


def _parse_to_table(parser: Parser, name: Token) -> GraphToTable | GraphToTables:
    tables = parser.comma_list(lambda: _parse_table(parser, name.at))
    if len(tables) == 1:
        return tables[0]
    if len(tables) > 2 or tables[0].edges == tables[1].edges or any(table.name is None for table in tables):
        raise semantic("'graph-to-table' operator: two tables are nodes and edges, each with a name", name.at)
    return GraphToTables(name.at, tables)


def _parse_table(parser: Parser, at: int) -> GraphToTable:
    what = parser.accept("nodes", "edges") or parser.fail("expected 'nodes' or 'edges'")
    wanted = ("with_node_id",) if what.text == "nodes" else ("with_source_id", "with_target_id")
    ids: dict[str, str] = {}
    name = None
    while parser.at_text(*wanted, "as"):
        option = parser.advance().text
        if option == "as":
            name = parser.name()
        else:
            parser.expect("=")
            ids[option] = parser.name()
    named = tuple((option, ids[option]) for option in wanted if option in ids)
    return GraphToTable(at, what.text == "edges", named, name)


def named_tables(statement: tree.Pipeline) -> tuple[list[tree.Let], bool]:
    """The tables that a statement names for those that follow, and whether it does nothing else."""
    last = statement.operators[-1] if statement.operators else None
    tables = last.tables if isinstance(last, GraphToTables) else (last,) if isinstance(last, GraphToTable) else ()
    found = [
        tree.Let(table.at, table.name, replace(statement, operators=(*statement.operators[:-1], table)))
        for table in tables
        if table.name is not None
    ]
    return found, isinstance(last, GraphToTables)


def _bind_to_table(node: GraphToTable | GraphToTables, rows: Rows, context: Context) -> Rows:
    """The nodes or edges; the ids are the hashes of the nodes' own. Both at once come only where no statement ends."""
    if isinstance(node, GraphToTables):
        raise semantic("'graph-to-table' operator: two tables can only be the end of a statement", node.at)
    graph = graph_of(rows, node, "graph-to-table")
    relation = graph.edges if node.edges else graph.nodes
    keys = {"with_node_id": graph.keys, "with_source_id": graph.sources, "with_target_id": graph.targets}
    projection, computed = Projection(), []
    for option, name in node.ids:
        number = context.new_id()
        key = to(plan.ColumnRef(graph.types[-1], keys[option][-1]), KqlType.STRING)
        computed.append((number, plan.Call(KqlType.LONG, FUNCTIONS["hash_xxhash64"], (key, *_TEXT_HASH))))
        projection.declare(name, number, KqlType.LONG, node.at)
    for column in graph.edge_properties if node.edges else graph.node_properties:
        projection.add(column.name, column.id, column.type)
    made = plan.Compute(relation, tuple(computed)) if computed else relation
    return Rows(made, tuple(projection.columns), node.name)


def _parse_components(parser: Parser, name: Token) -> MarkComponents:
    strong, component = False, "ComponentId"
    while parser.at_text("kind", "with_component_id") and parser.peek().text == "=":
        option = parser.advance().text
        parser.expect("=")
        if option == "kind":
            kind = parser.accept("weak", "strong") or parser.fail("expected 'weak' or 'strong'")
            strong = kind.text == "strong"
        else:
            component = parser.name()
    return MarkComponents(name.at, strong, component)


def _bind_components(node: MarkComponents, rows: Rows, context: Context) -> Rows:
    """The graph, each node with the number of its component."""
    graph = graph_of(rows, node, "graph-mark-components")
    if len(graph.types) > 1:
        raise unsupported("'graph-mark-components' in the partitions of a graph", node.at, "graph-mark-components")
    found, text, number = _components(graph, node, context)
    own = context.new_id()
    named = use(graph.nodes, graph.node_columns, context)
    nodes = plan.Compute(named.relation, ((own, to(named.key(graph.keys)[0], KqlType.STRING)),))
    joined = plan.Join(
        "inner",
        nodes,
        found,
        ((plan.ColumnRef(KqlType.STRING, own), plan.ColumnRef(KqlType.STRING, text)),),
        (*named.columns, (own, KqlType.STRING)),
        ((text, KqlType.STRING), (number, KqlType.LONG)),
    )
    projection = Projection(named.properties(graph.node_properties))
    projection.add(node.name, number, KqlType.LONG)
    keys = tuple(column.id for column in named.key(graph.keys))
    return graph_rows(replace(graph, nodes=joined, keys=keys, node_properties=tuple(projection.columns)))


def _components(graph: Graph, node: MarkComponents, context: Context) -> tuple[plan.Relation, int, int]:
    """The components: a relation with the nodes' ids as text and the numbers of their components."""
    ends = (context.new_id(), context.new_id(), context.new_id())
    types = (KqlType.LONG, KqlType.STRING, KqlType.STRING)
    edges, nodes = use(graph.edges, graph.edge_columns, context), use(graph.nodes, graph.node_columns, context)
    ordinal, *both = edges.key((graph.ordinal, *graph.sources, *graph.targets))
    itself = to(nodes.key(graph.keys)[0], KqlType.STRING)
    linked: list[plan.Scalar] = [ordinal, *(to(end, KqlType.STRING) for end in both)]
    legs = (
        plan.Leg(edges.relation, dict(zip(ends, linked, strict=True))),
        plan.Leg(nodes.relation, dict.fromkeys(ends[1:], itself)),
    )
    union = plan.Union(ends, types, legs)
    names = ("n", "a", "b")
    slots: list[plan.Scalar] = []
    for name, number, kind in zip(names, ends, types, strict=True):
        slots += [plan.Constant(KqlType.STRING, name), plan.ColumnRef(kind, number)]
    bag, pairs, count = context.new_id(), context.new_id(), context.new_id()
    packed = plan.Compute(union, ((bag, plan.Call(KqlType.DYNAMIC, FUNCTIONS["bag_pack"], tuple(slots))),))
    value = plan.ColumnRef(KqlType.DYNAMIC, bag)
    calls = (
        plan.AggregateCall(AGGREGATES["make_list"], (value,), None, None, (pairs,), (KqlType.DYNAMIC,)),
        plan.AggregateCall(AGGREGATES["count"], (), None, None, (count,), (KqlType.LONG,)),
    )
    collected = plan.Summarize(packed, (), calls)
    arguments = (
        plan.ColumnRef(KqlType.DYNAMIC, pairs),
        plan.ColumnRef(KqlType.LONG, count),
        plan.Constant(KqlType.BOOL, node.strong),
    )
    marked, element = context.new_id(), context.new_id()
    computed = plan.Compute(collected, ((marked, plan.Call(KqlType.DYNAMIC, COMPONENTS, arguments)),))
    column = plan.Expansion(plan.ColumnRef(KqlType.DYNAMIC, marked), element)
    expanded = plan.Expand(computed, (column,), pairs=False, index=context.new_id(), limit=None)
    text, number = context.new_id(), context.new_id()
    pair = plan.ColumnRef(KqlType.DYNAMIC, element)
    parts = tuple(
        (new, to(plan.Path(KqlType.DYNAMIC, pair, (place,)), kind))
        for place, (new, kind) in enumerate(((text, KqlType.STRING), (number, KqlType.LONG)))
    )
    return plan.Compute(expanded, parts), text, number


OPERATORS = (
    TabularOperator(
        "graph-to-table",
        GraphToTable,
        _parse_to_table,
        _bind_to_table,
        forms=(GraphToTables,),
        row_wise=False,
        selects=True,
    ),
    TabularOperator("graph-mark-components", MarkComponents, _parse_components, _bind_components, row_wise=False),
)
