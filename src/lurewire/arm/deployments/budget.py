"""How much work one deployment's expressions may make: a small template can ask for more than any machine has.

The limit is `arm.template_work`; what things cost is our own: Azure says how large a template and what it expands to
may be (4 MB), not what evaluating it may cost.
https://learn.microsoft.com/azure/azure-resource-manager/templates/best-practices#template-limits
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lurewire.expressions import FunctionError

LARGEST_VALUE = 4 * 1024 * 1024
"""Characters and elements of one value: what a template as a whole may have."""

_DEEPEST_VALUE = 100
CALL, EVALUATION, NODE, RESOURCE = 128, 128, 512, 16_384
"""What a function call, an evaluated string, an unrolled part of a loop and a resource cost; a character costs 1."""

_ELEMENT = 32


@dataclass(slots=True)
class Budget:
    """What is left of a deployment's work, its nested deployments' too."""

    left: int

    def spend(self, units: int) -> None:
        """Raise `FunctionError` where nothing is left."""
        self.left -= units
        if self.left < 0:
            raise FunctionError("makes the deployment more work to evaluate than is allowed.")

    def spend_on(self, value: Any) -> None:
        """Pay for a value that a function gave; raises `FunctionError`, also where it is too large."""
        if isinstance(value, str):
            self.spend(size_of(value))
        elif isinstance(value, list | dict):
            self.spend(_ELEMENT * size_of(value))


def size_of(value: Any, *, plain: bool = False) -> int:
    """Characters and elements of a value; raises `FunctionError` where it is too large or nested too deep.

    With `plain` it must be one that JSON has, and no lambda expression.
    """
    size, level, depth = 0, [value], 0
    while level:
        below: list[Any] = []
        for one in level:
            if isinstance(one, str | list):
                size += len(one)
            elif isinstance(one, dict):
                size += len(one) + sum(map(len, one))
            elif plain and not isinstance(one, int | float | None):
                raise FunctionError("gives a lambda expression where a value is expected.")
            if size > LARGEST_VALUE:
                raise FunctionError(f"gives a value of more than {LARGEST_VALUE} characters and elements.")
            if isinstance(one, list):
                below += one
            elif isinstance(one, dict):
                below += one.values()
        level, depth = below, depth + 1
        if depth > _DEEPEST_VALUE + 1:
            raise FunctionError(f"gives a value that is nested more than {_DEEPEST_VALUE} deep.")
    return size
