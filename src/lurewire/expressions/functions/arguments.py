"""What every family asks of its arguments, with Azure's wording where one is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.expressions.errors import FunctionError
from lurewire.expressions.values import is_number, kind

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKFLOW_URL = "https://learn.microsoft.com/azure/logic-apps/expression-functions-reference"

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def url(name: str) -> str:
    """Where a function is documented."""
    return f"{WORKFLOW_URL}#{name.lower()}"


def refuse(expected: str, value: Any, index: int | None = None) -> FunctionError:
    """The error for an argument of the wrong type; `index` counts from 0, None where there is one argument."""
    which = "its parameter" if index is None else f"its parameter number {index + 1}"
    return FunctionError(f"expects {which} to be {expected}. The provided value is of type '{kind(value)}'.")


def string(arguments: Sequence[Any], index: int) -> str:
    """Argument `index`, which must be a string."""
    value = arguments[index]
    if not isinstance(value, str):
        raise refuse("a string", value, index)
    return value


def integer(arguments: Sequence[Any], index: int) -> int:
    """Argument `index`, which must be an integer (`2.0` is not)."""
    value = arguments[index]
    if not isinstance(value, int) or isinstance(value, bool):
        raise refuse("an integer", value, index)
    return value


def number(arguments: Sequence[Any], index: int) -> int | float:
    """Argument `index`, which must be an integer or a float."""
    value = arguments[index]
    if not is_number(value):
        raise refuse("a number", value, index)
    return value  # type: ignore[no-any-return]


def boolean(arguments: Sequence[Any], index: int) -> bool:
    """Argument `index`, which must be a Boolean."""
    value = arguments[index]
    if not isinstance(value, bool):
        raise refuse("a Boolean", value, index)
    return value


def array(arguments: Sequence[Any], index: int) -> list[Any]:
    """Argument `index`, which must be an array."""
    value = arguments[index]
    if not isinstance(value, list):
        raise refuse("an array", value, index)
    return value


def mapping(arguments: Sequence[Any], index: int) -> dict[str, Any]:
    """Argument `index`, which must be an object."""
    value = arguments[index]
    if not isinstance(value, dict):
        raise refuse("an object", value, index)
    return value


def count(arguments: Sequence[Any], index: int) -> int:
    """Argument `index`, which must be an integer that is not negative."""
    value = integer(arguments, index)
    if value < 0:
        message = f"expects its parameter number {index + 1} to be a positive integer. The provided value is {value}."
        raise FunctionError(message)
    return value
