"""Tables, rows and typed expressions of the evaluator."""

from __future__ import annotations

import random
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from lurewire.kql.types import KqlType as K

from .values import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lurewire.kql import tree

Row = tuple[Any, ...]
Item = TypeVar("Item")
#: Which of several answers is given where any may be: whoever asks again with another number learns whether it matters.
CHOICE: ContextVar[int] = ContextVar("CHOICE", default=0)


def in_any_order(items: list[Item]) -> list[Item]:
    """Items whose order no page says: as they are by the first choice; by some others each of a few comes first once."""
    choice = CHOICE.get()
    if not choice or len(items) < 2:
        return items
    if choice % 2:
        first = choice // 2 % len(items)
        return [*items[first::-1], *items[:first:-1]]
    moved = list(items)
    random.Random(choice).shuffle(moved)
    return moved


@dataclass(slots=True)
class Relation:
    """Columns and rows. `ranks` is there where the order means something: equal numbers for rows that tie."""

    names: list[str]
    kinds: list[K]
    rows: list[Row]
    ranks: list[int] | None = None
    label: str = ""

    def with_rows(self, rows: list[Row], ranks: list[int] | None = None) -> Relation:
        return Relation(self.names, self.kinds, rows, ranks, self.label)

    def in_any_order(self) -> Relation:
        """The rows in an order that is as good: those that tie change places, and all where no order means something."""
        if not CHOICE.get():
            return self
        order = in_any_order(list(range(len(self.rows))))
        if self.ranks is None:
            return self.with_rows([self.rows[at] for at in order])
        order.sort(key=self.ranks.__getitem__)
        return self.with_rows([self.rows[at] for at in order], [self.ranks[at] for at in order])

    def place(self, name: str) -> int:
        """Where a column stands; refused if it is not there."""
        if name not in self.names:
            raise Refused(f"the unknown column {name}")
        return self.names.index(name)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A row among its neighbours: the rows of the table, or of the group that is aggregated."""

    values: Row
    rows: Sequence[Row] = ()
    at: int = 0

    def moved(self, at: int) -> Cursor:
        return Cursor(self.rows[at], self.rows, at)


NOWHERE = Cursor(())


@dataclass(frozen=True, slots=True)
class Expr:
    """A typed expression over a row."""

    kind: K
    of: Callable[[Cursor], Any]
    constant: bool = False

    @property
    def value(self) -> Any:
        """A constant's value."""
        if not self.constant:
            raise Refused("an expression where a constant is needed")
        return self.of(NOWHERE)


def constant(kind: K, value: Any) -> Expr:
    shown = "" if value is None and kind is K.STRING else value
    return Expr(kind, lambda _: shown, constant=True)


@dataclass(slots=True)
class Scope:
    """What names stand for: lets, functions, the tables of the database, and the time."""

    tables: Mapping[str, Relation]
    now: int
    scalars: dict[str, Expr] = field(default_factory=dict)
    relations: dict[str, Relation] = field(default_factory=dict)
    functions: dict[str, tuple[tree.Lambda, Scope]] = field(default_factory=dict)

    def inner(self) -> Scope:
        return Scope(self.tables, self.now, dict(self.scalars), dict(self.relations), dict(self.functions))

    def forget(self, name: str) -> None:
        self.scalars.pop(name, None)
        self.relations.pop(name, None)
        self.functions.pop(name, None)
