"""The evaluator's own table of scalar functions: name, types of the parameters, type of the result, and the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lurewire.kql.types import KqlType as K

if TYPE_CHECKING:
    from collections.abc import Callable

#: One letter for each type that a parameter is converted to; "n" is any number, "a" is taken as it is.
LETTERS = {
    "b": K.BOOL, "i": K.INT, "l": K.LONG, "r": K.REAL, "s": K.STRING, "t": K.DATETIME, "p": K.TIMESPAN, "g": K.GUID,
    "d": K.DYNAMIC,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Function:
    """A scalar function. `parameters` are letters; after `?` they may be left out, and `*` repeats the last one.

    Null comes out where a null goes in, unless `nulls` says that the work sees them.
    """

    name: str
    parameters: str
    result: K | int
    work: Callable[..., Any]
    nulls: bool = False
    typed: bool = False


FUNCTIONS: dict[str, Function] = {}


def function(
    names: str, parameters: str, result: K | int, work: Callable[..., Any], *, nulls: bool = False, typed: bool = False
) -> None:
    """Adds a function under all its names. `result` may be the place of the argument whose type it has; with `typed` the
    work gets (value, type) pairs."""
    for name in names.split():
        assert name not in FUNCTIONS
        FUNCTIONS[name] = Function(name, parameters, result, work, nulls, typed)
