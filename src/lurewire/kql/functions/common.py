"""What the function families share: short lowerings for functions that are one call in DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.kql.dialects import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lurewire.kql import plan
    from lurewire.kql.dialects.sql import Node


def duckdb(lower: Callable[[Sequence[Node], plan.Call], Node]) -> Mapping[str, Callable[..., Node]]:
    """A lowering for DuckDB."""
    return {"duckdb": lower}


def named(name: str) -> Mapping[str, Callable[..., Node]]:
    """A function that is one call in DuckDB, with the same arguments."""
    return {"duckdb": lambda arguments, _: sql.call(name, *arguments)}


def literal_argument(call: plan.Call, position: int) -> object:
    """The value of an argument that the registry row requires to be a literal."""
    from lurewire.kql.plan import Constant  # noqa: PLC0415 - plan imports this package's registry for its types

    argument = call.arguments[position]
    assert isinstance(argument, Constant)
    return argument.value
