"""Patterns of graph-match and graph-shortest-paths (https://learn.microsoft.com/kusto/query/graph-match-operator)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from lurewire.kql import tree
from lurewire.kql.errors import semantic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lurewire.kql.parser import Parser

Direction = Literal["right", "left", "any"]

#: The functions whose first argument is a variable edge or its inner nodes.
PATH_FUNCTIONS = frozenset({"all", "any", "map"})


@dataclass(frozen=True, slots=True)
class EdgePattern(tree.Node):
    """An edge between two nodes of a pattern, by their names; one of variable length has a least and a most."""

    name: str
    left: str
    right: str
    direction: Direction
    length: tuple[tree.Expression, tree.Expression] | None


@dataclass(frozen=True, slots=True)
class GraphPattern(tree.Node):
    """The named nodes of a pattern, its edges, and its first and last node; what has no name gets one with a blank."""

    nodes: tuple[str, ...]
    edges: tuple[EdgePattern, ...]
    first: str
    last: str
    sequences: int


class _Reader:
    """Reads a pattern."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._nodes: dict[str, None] = {}
        self._edges: list[EdgePattern] = []

    def pattern(self) -> GraphPattern:
        at = self._parser.current.at
        sequences = self._parser.comma_list(self._sequence)
        names = [edge.name for edge in self._edges]
        taken = next((name for number, name in enumerate(names) if name in names[:number] or name in self._nodes), None)
        if taken is not None:
            raise semantic(f"the edge '{taken}' of the pattern has a name that is taken", at, token=taken)
        return GraphPattern(
            at, tuple(self._nodes), tuple(self._edges), sequences[0][0], sequences[-1][1], len(sequences)
        )

    def _sequence(self) -> tuple[str, str]:
        first = last = self._node()
        while self._parser.at_text("-", "<"):
            at = self._parser.current.at
            name, direction, length = self._edge()
            following = self._node()
            self._edges.append(EdgePattern(at, name, last, following, direction, length))
            last = following
        return first, last

    def _node(self) -> str:
        self._parser.expect("(")
        name = f" node {len(self._nodes)}" if self._parser.at_text(")") else self._parser.name()
        self._nodes[name] = None
        self._parser.expect(")")
        return name

    def _edge(self) -> tuple[str, Direction, tuple[tree.Expression, tree.Expression] | None]:
        parser = self._parser
        backwards = parser.accept("<") is not None
        parser.expect("-")
        name, length = f" edge {len(self._edges)}", None
        if parser.accept("["):
            if not parser.at_text("*", "]"):
                name = parser.name()
            if parser.accept("*"):
                low = parser.postfix()
                parser.expect("..")
                length = (low, parser.postfix())
            parser.expect("]")
        parser.expect("-")
        if backwards:
            return name, "left", length
        return name, "right" if parser.accept(">") else "any", length


def parse_pattern(parser: Parser) -> GraphPattern:
    """Sequences of nodes and edges, with commas between; they must hang together."""
    pattern = _Reader(parser).pattern()
    reached, grown = {pattern.first}, True
    while grown:
        found = {end for edge in pattern.edges for end in (edge.left, edge.right) if {edge.left, edge.right} & reached}
        grown = not found <= reached
        reached |= found
    apart = next((name for name in pattern.nodes if name not in reached), None)
    if apart is not None:
        raise semantic("the sequences of the pattern share no node: only connected patterns are supported", pattern.at)
    return pattern


def parts(node: object, closed: frozenset[str] = frozenset()) -> Iterator[tree.Expression]:
    """An expression and all below it, without the calls of the functions `closed`."""
    if isinstance(node, tree.Call) and node.name in closed:
        return
    if isinstance(node, tree.Expression):
        yield node
    if isinstance(node, tree.Node):
        for field in fields(node):
            yield from parts(getattr(node, field.name), closed)
    elif isinstance(node, tuple):
        for item in node:
            yield from parts(item, closed)


def outside(node: object) -> Iterator[tree.Expression]:
    """The same without what stands inside all(), any() and map()."""
    return parts(node, PATH_FUNCTIONS)
