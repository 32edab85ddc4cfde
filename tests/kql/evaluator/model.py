"""Tables, rows and typed expressions of the evaluator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lurewire.kql.types import KqlType as K

from .values import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lurewire.kql import tree

Row = tuple[Any, ...]


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
