"""A SELECT of DuckDB in the making, and what tells whether its columns may stand in several places."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from lurewire.kql import plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .sql import Node

#: Nodes that may stand in several places of a SELECT at no cost.
_SIMPLE = (exp.Column, exp.Literal, exp.Boolean, exp.Null, exp.Placeholder)


@dataclass(slots=True)
class Select:
    """One SELECT in the making; `columns` says what each column is in terms of its source."""

    source: Node | None
    columns: dict[int, Node]
    where: list[Node] = field(default_factory=list)
    group: list[Node] | None = None
    order: list[tuple[Node, bool, bool]] = field(default_factory=list)
    limit: int | None = None
    identity: dict[str, Node] = field(default_factory=dict)
    depth: int = 1
    joins: list[Node] = field(default_factory=list)
    #: One row is kept for each value of these.
    distinct_on: list[Node] = field(default_factory=list)


def read_by(values: Iterable[plan.Scalar]) -> set[int]:
    """The columns that values read."""
    found: set[int] = set()
    for value in values:
        plan.column_ids(value, found)
    return found


def all_simple(select: Select, ids: Iterable[int]) -> bool:
    """Whether columns cost nothing to name again; those of an outer SELECT never do."""
    known = (select.columns[number] for number in ids if number in select.columns)
    return all(isinstance(node, _SIMPLE) or is_constant(node) for node in known)


def is_constant(node: Node) -> bool:
    """Whether GROUP BY and ORDER BY would take the node for a position, or for nothing."""
    while isinstance(node, exp.Paren | exp.Cast | exp.Neg):
        node = node.this
    return isinstance(node, exp.Literal | exp.Boolean | exp.Null | exp.Placeholder)
