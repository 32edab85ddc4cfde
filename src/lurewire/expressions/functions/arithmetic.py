"""Math functions. Integers are 64 bit: a result beyond them is an error, as is an infinite one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lurewire.expressions.errors import FunctionError
from lurewire.expressions.functions.arguments import INT64_MAX, INT64_MIN, array, number, url
from lurewire.expressions.table import Function

if TYPE_CHECKING:
    from collections.abc import Callable

_Number = int | float


def _bounded(value: _Number) -> _Number:
    if isinstance(value, int):
        if not INT64_MIN <= value <= INT64_MAX:
            raise FunctionError("has a result that does not fit in a 64-bit integer.")
    elif not math.isfinite(value):
        raise FunctionError("has a result that is not a finite number.")
    return value


def _binary(name: str, operation: Callable[[_Number, _Number], _Number]) -> Function[object]:
    def call(_: object, arguments: list[Any]) -> _Number:
        left, right = number(arguments, 0), number(arguments, 1)
        try:
            return _bounded(operation(left, right))
        except OverflowError:
            raise FunctionError("has a result that is not a finite number.") from None

    return Function(name, 2, 2, call, url(name))


def _divide(left: _Number, right: _Number) -> _Number:
    _refuse_zero(right)
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    return left / right


def _remainder(left: _Number, right: _Number) -> _Number:
    _refuse_zero(right)
    if isinstance(left, int) and isinstance(right, int):
        remainder = abs(left) % abs(right)
        return remainder if left >= 0 else -remainder
    return math.fmod(left, right)


def _refuse_zero(divisor: _Number) -> None:
    if divisor == 0:
        raise FunctionError("was asked to divide by zero.")


def _extreme(name: str, choose: Callable[[list[_Number]], _Number]) -> Function[object]:
    def call(_: object, arguments: list[Any]) -> _Number:
        items = array(arguments, 0) if len(arguments) == 1 and isinstance(arguments[0], list) else arguments
        if not items:
            raise FunctionError("was invoked with an empty array.")
        return choose([number(items, index) for index in range(len(items))])

    return Function(name, 1, None, call, url(name))


MATH: tuple[Function[object], ...] = (
    _binary("add", lambda left, right: left + right),
    _binary("sub", lambda left, right: left - right),
    _binary("mul", lambda left, right: left * right),
    _binary("div", _divide),
    _binary("mod", _remainder),
    _extreme("min", min),
    _extreme("max", max),
)
