"""A match of a graph pattern as joins: from a node along the pattern's edges, each of a fixed number of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.kql import plan
from lurewire.kql.functions import AGGREGATES, FUNCTIONS
from lurewire.kql.types import KqlType

from .graph_binder import Element, Path
from .graph_model import Use, use

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lurewire.kql.scope import Context

    from .graph_model import Graph
    from .graph_patterns import Direction, EdgePattern, GraphPattern

Key = tuple[plan.ColumnRef, ...]


class Tables:
    """The tables of a graph, as often as a query needs them."""

    def __init__(self, graph: Graph, context: Context, *, degrees: bool) -> None:
        self.graph = graph
        self._context = context
        self._edge_types = graph.edge_columns
        self._both: plan.Relation | None = None
        self._node_types = graph.node_columns
        self._nodes = graph.nodes
        self._degrees: tuple[int, ...] = ()
        if degrees:
            for keys in (graph.targets, graph.sources):
                self._add_degree(keys)

    def _add_degree(self, keys: Sequence[int]) -> None:
        """A column of the nodes that counts the edges with this end."""
        counted = use(self.graph.edges, self._edge_types, self._context)
        grouped = tuple(self._context.new_id() for _ in keys)
        count, degree = self._context.new_id(), self._context.new_id()
        call = plan.AggregateCall(AGGREGATES["count"], (), None, None, (count,), (KqlType.LONG,))
        groups = plan.Summarize(counted.relation, tuple(zip(grouped, counted.key(keys), strict=True)), (call,))
        ends = tuple(plan.ColumnRef(kind, number) for kind, number in zip(self.graph.types, grouped, strict=True))
        nodes = tuple(
            plan.ColumnRef(kind, number) for kind, number in zip(self.graph.types, self.graph.keys, strict=True)
        )
        found = (*zip(grouped, self.graph.types, strict=True), (count, KqlType.LONG))
        joined = plan.Join(
            "leftouter",
            self._nodes,
            groups,
            tuple(zip(nodes, ends, strict=True)),
            tuple(self._node_types.items()),
            found,
        )
        zero = plan.Constant(KqlType.LONG, 0)
        value = plan.Call(KqlType.LONG, FUNCTIONS["coalesce"], (plan.ColumnRef(KqlType.LONG, count), zero))
        self._nodes = plan.Compute(joined, ((degree, value),))
        self._node_types[degree] = KqlType.LONG
        self._degrees = (*self._degrees, degree)

    def node(self) -> tuple[Use, Element]:
        """The nodes once more."""
        once = use(self._nodes, self._node_types, self._context)
        element = Element(
            once.properties(self.graph.node_properties), once.key(self.graph.keys), once.key(self._degrees)
        )
        return once, element

    def edge(self, direction: Direction) -> tuple[Use, Key, Key, plan.ColumnRef, Element]:
        """The edges once more: where they begin and end as the direction sees it, their number, and their properties."""
        ends = self.graph.sources, self.graph.targets
        edges = self._any_direction() if direction == "any" else self.graph.edges
        once = use(edges, self._edge_types, self._context)
        start, end = ends[::-1] if direction == "left" else ends
        number = once.key([self.graph.ordinal])[0]
        return once, once.key(start), once.key(end), number, Element(once.properties(self.graph.edge_properties))

    def _any_direction(self) -> plan.Relation:
        """Every edge in both directions; one from a node to itself only once."""
        if self._both is None:
            one, other = (use(self.graph.edges, self._edge_types, self._context) for _ in range(2))
            swapped = dict(zip(self.graph.sources, self.graph.targets, strict=True))
            swapped.update({target: source for source, target in swapped.items()})
            kept = plan.Filter(other.relation, different(other.key(self.graph.sources), other.key(self.graph.targets)))
            legs = (
                plan.Leg(one.relation, dict(zip(self._edge_types, one.key(list(self._edge_types)), strict=True))),
                plan.Leg(kept, {old: other.key([swapped.get(old, old)])[0] for old in self._edge_types}),
            )
            self._both = plan.Union(tuple(self._edge_types), tuple(self._edge_types.values()), legs)
        return self._both


def different(one: Sequence[plan.Scalar], other: Sequence[plan.Scalar]) -> plan.Scalar:
    """Whether two keys differ."""
    parts = tuple(plan.Compare(KqlType.BOOL, "!=", a, b) for a, b in zip(one, other, strict=True))
    return parts[0] if len(parts) == 1 else plan.Logic(KqlType.BOOL, "or", parts)


def _same(one: Sequence[plan.Scalar], other: Sequence[plan.Scalar]) -> plan.Scalar:
    parts = tuple(plan.Compare(KqlType.BOOL, "==", a, b) for a, b in zip(one, other, strict=True))
    return parts[0] if len(parts) == 1 else plan.Logic(KqlType.BOOL, "and", parts)


class Walk:
    """One match: a relation whose rows are the matches with these numbers of steps, and what its variables stand for."""

    def __init__(
        self, tables: Tables, pattern: GraphPattern, steps: Mapping[str, int], cycles: str, inner: frozenset[str]
    ) -> None:
        self._tables = tables
        self._cycles = cycles
        self._inner = inner
        self.variables: dict[str, Any] = {}
        self._passed: list[Key] = []
        self._numbers: list[plan.ColumnRef] = []
        start, element = tables.node()
        self.relation: plan.Relation = start.relation
        self._columns = list(start.columns)
        self.keys: dict[str, Key] = {pattern.first: element.key}
        self.variables[pattern.first] = element
        self._passed.append(element.key)
        waiting = list(pattern.edges)
        while waiting:
            edge = next(edge for edge in waiting if edge.left in self.keys or edge.right in self.keys)
            waiting.remove(edge)
            self._along(edge, steps.get(edge.name, 1))

    def _along(self, edge: EdgePattern, count: int) -> None:
        """The steps of an edge of the pattern, from the end that is known; kept in the pattern's order."""
        forwards = edge.left in self.keys
        start, end = (edge.left, edge.right) if forwards else (edge.right, edge.left)
        turned: dict[Direction, Direction] = {"left": "right", "right": "left", "any": "any"}
        direction = edge.direction if forwards else turned[edge.direction]
        key = self.keys[start]
        elements: list[Element] = []
        inner: list[Element] = []
        for step in range(count):
            edges, begin, target, number, element = self._tables.edge(direction)
            self._join(edges, key, begin)
            key = target
            elements.append(element)
            if self._cycles == "unique_edges":
                self._keep([plan.Compare(KqlType.BOOL, "!=", number, known) for known in self._numbers])
            self._numbers.append(number)
            if step < count - 1:
                self._visit(key)
                if edge.name in self._inner:
                    inner.append(self._node(key))
        if not forwards:
            elements.reverse()
            inner.reverse()
        self.variables[edge.name] = elements[0] if edge.length is None else Path(tuple(elements), tuple(inner))
        self._arrive(end, key, moved=count > 0)

    def _arrive(self, name: str, key: Key, *, moved: bool) -> None:
        """The node at the end of an edge: the one that the name stands for already, or a new one."""
        known = self.keys.get(name)
        if known is not None:
            self._keep([_same(key, known)])
            if moved and self._cycles == "none":
                self._keep([plan.Constant(KqlType.BOOL, value=False)])
            return
        if moved:
            self._visit(key)
        self.keys[name] = key
        self.variables[name] = self._node(key)

    def _visit(self, key: Key) -> None:
        if self._cycles == "none":
            self._keep([different(key, known) for known in self._passed])
        self._passed.append(key)

    def _node(self, key: Key) -> Element:
        nodes, element = self._tables.node()
        self._join(nodes, key, element.key)
        return element

    def _join(self, other: Use, key: Key, other_key: Key) -> None:
        self.relation = plan.Join(
            "inner",
            self.relation,
            other.relation,
            tuple(zip(key, other_key, strict=True)),
            tuple(self._columns),
            other.columns,
            nulls_match=True,
        )
        self._columns.extend(other.columns)

    def _keep(self, conditions: Sequence[plan.Scalar]) -> None:
        if conditions:
            held = conditions[0] if len(conditions) == 1 else plan.Logic(KqlType.BOOL, "and", tuple(conditions))
            self.relation = plan.Filter(self.relation, held)
