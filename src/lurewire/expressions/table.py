"""Functions as rows, and the table of a dialect."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lurewire.expressions.errors import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

C_contra = TypeVar("C_contra", contravariant=True)
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Function(Generic[C_contra]):
    """One function: how many arguments it takes (`maximum` None: any number), what it does, and its documentation.

    `call` gets the dialect's context and the evaluated arguments; with `lazy` each argument is a callable without
    arguments, so that only what decides the result is evaluated. `call` raises `FunctionError`.
    """

    name: str
    minimum: int
    maximum: int | None
    call: Callable[[C_contra, list[Any]], Any]
    url: str
    lazy: bool = False


class FunctionTable(Generic[C]):
    """The functions of a dialect, by name without case; a later row takes the place of an earlier one.

    `unsupported` names functions that Azure has and this table has not: they are refused as such.
    """

    def __init__(self, rows: Iterable[Function[C]], unsupported: Iterable[str] = ()) -> None:
        self._rows = {row.name.lower(): row for row in rows}
        self._unsupported = {name.lower() for name in unsupported} - set(self._rows)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._rows

    @property
    def names(self) -> tuple[str, ...]:
        """The names, as documented."""
        return tuple(row.name for row in self._rows.values())

    def find(self, name: str, argument_count: int) -> Function[C]:
        """The function that a call means; raises `ExpressionError` (without a place) where there is none."""
        row = self._rows.get(name.lower())
        if row is None:
            raise ExpressionError("InvalidTemplate", self._missing(name), "", 0, "")
        if argument_count < row.minimum or (row.maximum is not None and argument_count > row.maximum):
            message = (
                f"The template function '{row.name}' expects {_count(row)} but was called with {argument_count}. "
                f"See {row.url}"
            )
            raise ExpressionError("InvalidTemplate", message, "", 0, "")
        return row

    def _missing(self, name: str) -> str:
        if name.lower() in self._unsupported:
            return f"The template function '{name}' exists in Azure, but this Lurewire does not run it."
        near = difflib.get_close_matches(name.lower(), self._rows, n=1)
        hint = f" Did you mean '{self._rows[near[0]].name}'?" if near else ""
        return f"The template function '{name}' is not defined or not valid.{hint}"


def _count(row: Function[Any]) -> str:
    if row.maximum is None:
        return f"at least {row.minimum} arguments"
    if row.minimum == row.maximum:
        return f"{row.minimum} arguments"
    return f"{row.minimum} to {row.maximum} arguments"
