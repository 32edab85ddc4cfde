"""Expressions over a match of a graph pattern: properties of its nodes and edges, and the graph functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.kql import plan, tree
from lurewire.kql.binder import ExpressionBinder
from lurewire.kql.conversions import to
from lurewire.kql.errors import UNRESOLVED, nearest, semantic
from lurewire.kql.functions import FUNCTIONS
from lurewire.kql.scope import ERROR, Rows
from lurewire.kql.types import KqlType

from .graph_patterns import PATH_FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lurewire.kql.scope import Context

_EMPTY = plan.Constant(KqlType.DYNAMIC, "[]")
_DEGREES = {"node_degree_in": 0, "node_degree_out": 1}


@dataclass(frozen=True, slots=True)
class Element:
    """A node or an edge of a match: its properties; of a node also its key, and its degrees where they are wanted."""

    properties: tuple[plan.Output, ...]
    key: tuple[plan.ColumnRef, ...] = ()
    degrees: tuple[plan.ColumnRef, ...] = ()

    def find(self, name: str) -> plan.Output | None:
        """The property of that exact name."""
        return next((column for column in self.properties if column.name == name), None)


@dataclass(frozen=True, slots=True)
class Path:
    """An edge of variable length in a match of one length: its edges, and the nodes between them."""

    edges: tuple[Element, ...]
    inner: tuple[Element, ...]


class MatchBinder(ExpressionBinder):
    """Binds over the variables of a pattern; `scope` is the element that a condition inside all(), any(), map() is about.

    `steps` says which edge of a variable edge its name stands for, where a constraint is asked of each edge.
    """

    def __init__(
        self,
        context: Context,
        variables: Mapping[str, Element | Path],
        operator: str,
        scope: Element | None = None,
        steps: Mapping[str, Element] | None = None,
    ) -> None:
        columns = () if scope is None else scope.properties
        super().__init__(context, Rows(plan.Values((), (), ()), columns), operator)
        self._variables = variables
        self._scope = scope
        self._steps = steps or {}

    def _within(self, scope: Element) -> MatchBinder:
        return MatchBinder(self.context, self._variables, self.operator, scope, self._steps)

    def name(self, node: tree.Name) -> plan.Scalar:
        """A property of the element in scope, a node or edge as a bag of its properties, or the value of a let."""
        found = self._variables.get(node.name)
        if found is None or (self._scope is not None and self._scope.find(node.name) is not None):
            return super().name(node)
        found = self._steps.get(node.name, found)
        return _bag(found) if isinstance(found, Element) else _array([_bag(element) for element in found.edges])

    def member(self, node: tree.Member) -> plan.Scalar:
        """`variable.property`; of a variable edge an array, or in a constraint the property of each edge."""
        target = node.target
        if not isinstance(target, tree.Name) or target.name not in self._variables:
            return super().member(node)
        if self._scope is not None and self._scope.find(target.name) is not None:
            return super().member(node)
        found = self._steps.get(target.name, self._variables[target.name])
        if isinstance(found, Path):
            return _array([self._property(element, node) for element in found.edges])
        return self._property(found, node)

    def _property(self, element: Element, node: tree.Member) -> plan.Scalar:
        column = element.find(node.name)
        if column is None:
            message = f"'{self.operator}' operator: Failed to resolve the property '{node.name}'"
            hint = nearest(node.name, [known.name for known in element.properties])
            raise semantic(message, node.at, UNRESOLVED, node.name, hint)
        return plan.ColumnRef(column.type, column.id)

    def call(self, node: tree.Call) -> plan.Scalar:
        """A graph function, or any other."""
        if node.name in PATH_FUNCTIONS:
            return self._over_path(node)
        own = _ELEMENT_FUNCTIONS.get(node.name)
        if own is not None:
            return own(self._element(node), node)
        if node.name == "inner_nodes":
            raise semantic("inner_nodes() can only be the first argument of all(), any() and map()", node.at)
        return super().call(node)

    def _over_path(self, node: tree.Call) -> plan.Scalar:
        if len(node.arguments) != 2:
            raise semantic(f"{node.name}(): expects 2 arguments, not {len(node.arguments)}", node.at, token=node.name)
        elements = self._elements(node)
        if node.name == "map":
            values = [self._within(element).bind(node.arguments[1]) for element in elements]
            return ERROR if ERROR in values else _array(values)
        what = f"{node.name}(): the condition"
        conditions = [self._within(element).boolean(node.arguments[1], what) for element in elements]
        if ERROR in conditions:
            return ERROR
        if len(conditions) > 1:
            return plan.Logic(KqlType.BOOL, "and" if node.name == "all" else "or", tuple(conditions))
        return conditions[0] if conditions else plan.Constant(KqlType.BOOL, node.name == "all")

    def _elements(self, node: tree.Call) -> Sequence[Element]:
        first = node.arguments[0]
        inner = isinstance(first, tree.Call) and first.name == "inner_nodes" and len(first.arguments) == 1
        edge = first.arguments[0] if inner and isinstance(first, tree.Call) else first
        found = self._variables.get(edge.name) if isinstance(edge, tree.Name) else None
        if not isinstance(found, Path):
            raise semantic(f"{node.name}(): its first argument must be an edge of variable length", first.at)
        return found.inner if inner else found.edges

    def _element(self, node: tree.Call) -> Element:
        """The node or edge that a function is about: its argument, or what is in scope."""
        if not node.arguments and self._scope is not None:
            return self._scope
        argument = node.arguments[0] if len(node.arguments) == 1 else None
        found = self._variables.get(argument.name) if isinstance(argument, tree.Name) else None
        if isinstance(found, Path) and isinstance(argument, tree.Name):
            found = self._steps.get(argument.name)
        if not isinstance(found, Element):
            raise semantic(f"{node.name}(): its argument must be a node or an edge of the pattern", node.at)
        return found


def _array(values: Sequence[plan.Scalar]) -> plan.Scalar:
    return plan.Call(KqlType.DYNAMIC, FUNCTIONS["pack_array"], tuple(values)) if values else _EMPTY


def _bag(element: Element) -> plan.Scalar:
    pairs: list[plan.Scalar] = []
    for column in element.properties:
        pairs += [plan.Constant(KqlType.STRING, column.name), plan.ColumnRef(column.type, column.id)]
    return plan.Call(KqlType.DYNAMIC, FUNCTIONS["bag_pack"], tuple(pairs))


def _labels(element: Element, node: tree.Call) -> plan.Scalar:
    """https://learn.microsoft.com/kusto/query/labels-graph-function: a graph of make-graph has none."""
    del element, node
    return _EMPTY


def _node_id(element: Element, node: tree.Call) -> plan.Scalar:
    """https://learn.microsoft.com/kusto/query/node-id."""
    if not element.key:
        raise semantic(f"{node.name}(): its argument must be a node", node.at, token=node.name)
    return to(element.key[-1], KqlType.STRING)


def _degree(element: Element, node: tree.Call) -> plan.Scalar:
    """https://learn.microsoft.com/kusto/query/node-degree-in."""
    if not element.degrees:
        raise semantic(f"{node.name}(): its argument must be a node", node.at, token=node.name)
    return element.degrees[_DEGREES[node.name]]


_ELEMENT_FUNCTIONS: dict[str, Callable[[Element, tree.Call], plan.Scalar]] = {
    "labels": _labels,
    "node_id": _node_id,
    **dict.fromkeys(_DEGREES, _degree),
}
