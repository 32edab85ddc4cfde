"""Connected components of a graph, for graph-mark-components."""

from __future__ import annotations

from typing import Any

from lurewire.kql.limits import LIST_ELEMENTS
from lurewire.kql.types import KqlType

from .common import scripted
from .registry import dynamic, flag, whole


def _components(pairs: list[dict[str, Any]], count: int, strong: bool) -> list[list[Any]]:
    """Each node with the number of its component, from 0 in the order in which edges and then nodes first name them."""
    if count > len(pairs):
        raise ValueError(f"limit '{LIST_ELEMENTS.name}': a graph may have {LIST_ELEMENTS.value:,} nodes and edges here")
    ordered = sorted(pairs, key=lambda pair: (pair["n"] is None, pair["n"] or 0, pair["a"]))
    edges = [(pair["a"], pair["b"]) for pair in ordered]
    nodes = dict.fromkeys(end for edge in edges for end in edge)
    leader = _strong(nodes, edges) if strong else _weak(nodes, edges)
    numbers: dict[str, int] = {}
    return [[node, numbers.setdefault(leader[node], len(numbers))] for node in nodes]


def _weak(nodes: dict[str, None], edges: list[tuple[str, str]]) -> dict[str, str]:
    """The leader of each node's set, where an edge unites the sets of its ends."""
    leader = {node: node for node in nodes}

    def find(node: str) -> str:
        root = node
        while leader[root] != root:
            root = leader[root]
        while leader[node] != root:
            leader[node], node = root, leader[node]
        return root

    for a, b in edges:
        leader[find(b)] = find(a)
    return {node: find(node) for node in nodes}


def _strong(nodes: dict[str, None], edges: list[tuple[str, str]]) -> dict[str, str]:
    """Kosaraju's two passes: nodes in the order in which their searches end, then backwards from the last of them."""
    ahead: dict[str, list[str]] = {node: [] for node in nodes}
    back: dict[str, list[str]] = {node: [] for node in nodes}
    for a, b in edges:
        ahead[a].append(b)
        back[b].append(a)
    done: list[str] = []
    seen: set[str] = set()
    for start in nodes:
        waiting = [] if start in seen else [(start, iter(ahead[start]))]
        seen.add(start)
        while waiting:
            node, following = waiting[-1]
            step = next((other for other in following if other not in seen), None)
            if step is None:
                done.append(node)
                waiting.pop()
            else:
                seen.add(step)
                waiting.append((step, iter(ahead[step])))
    leader: dict[str, str] = {}
    for root in reversed(done):
        stack = [] if root in leader else [root]
        leader.setdefault(root, root)
        while stack:
            for other in back[stack.pop()]:
                if other not in leader:
                    leader[other] = root
                    stack.append(other)
    return leader


#: Only the operator calls it: a query cannot.
COMPONENTS = scripted(
    "graph_components", _components, (dynamic("pairs"), whole("count"), flag("strong")), KqlType.DYNAMIC
)
UDFS = (COMPONENTS.udf,)
