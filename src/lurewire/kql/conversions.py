"""Implicit conversions: which types meet in an operator, a list or a branch, and what they become."""

from __future__ import annotations

from . import plan
from .errors import INCOMPARABLE, Problem, semantic, unsupported
from .scope import ERROR
from .types import INTEGERS, NUMBERS, KqlType

#: How wide a numeric type is (https://learn.microsoft.com/kusto/query/numerical-operators#type-rules-for-arithmetic-operations).
_WIDTH = {KqlType.INT: 0, KqlType.LONG: 1, KqlType.REAL: 2, KqlType.DECIMAL: 3}

#: Operators that ask only whether values are equal.
EQUALITY = frozenset({"==", "!=", "in"})


def to(value: plan.Scalar, kind: KqlType) -> plan.Scalar:
    """The value as `kind`; numeric constants are converted at once, so that plans stay small."""
    if value.type is kind:
        return value
    if isinstance(value, plan.Constant):
        if value.value is None and kind is not KqlType.STRING:
            return plan.Constant(kind, None)
        if value.type in INTEGERS and isinstance(value.value, int):
            if kind is KqlType.LONG:
                return plan.Constant(kind, value.value)
            if kind is KqlType.INT and -(2**31) <= value.value < 2**31:
                return plan.Constant(kind, value.value)
            if kind is KqlType.REAL and abs(value.value) < 2**53:
                return plan.Constant(kind, float(value.value))
    return plan.Convert(kind, value)


def widest(*kinds: KqlType) -> KqlType:
    """The widest of numeric types."""
    return max(kinds, key=_WIDTH.__getitem__)


def common_type(kinds: list[KqlType], at: int, what: str) -> KqlType:
    """The one type of several arguments, or the widest of numbers."""
    distinct = set(kinds)
    if len(distinct) == 1:
        return kinds[0]
    if distinct <= NUMBERS:
        return widest(*kinds)
    names = ", ".join(dict.fromkeys(kinds))
    raise semantic(f"{what}: all values must have one type, not {names}", at)


def branch_type(kinds: list[KqlType]) -> KqlType:
    """The type of a conditional's branches: that of all but the dynamic ones, or dynamic where those differ."""
    typed = set(kinds) - {KqlType.DYNAMIC}
    if len(typed) == 1:
        return typed.pop()
    return widest(*typed) if typed and typed <= NUMBERS else KqlType.DYNAMIC


def comparable(left: plan.Scalar, right: plan.Scalar, operator: str, at: int) -> tuple[plan.Scalar, plan.Scalar]:
    """Both sides of a comparison as one type.

    For equality a constant beside a value takes the value's type where one of the two is a string, as in `EventID == "4625"`
    and `ResultType == 0`; a text that is no such value becomes null.
    """
    if operator in EQUALITY and KqlType.STRING in (left.type, right.type) and ERROR not in (left, right):
        for constant, other in ((left, right), (right, left)):
            fixed = isinstance(other, plan.Constant) and constant.type is not KqlType.STRING
            if KqlType.DYNAMIC in (constant.type, other.type):
                # Beside a dynamic value a text is compared with its text: `Roles != "[]"`.
                break
            if isinstance(constant, plan.Constant) and constant.type is not other.type and not fixed:
                taken = to(constant, other.type)
                return (taken, right) if constant is left else (left, taken)
    kind = _comparison_type(left, right, operator, at)
    return (left, right) if kind is None else (to(left, kind), to(right, kind))


def _comparison_type(left: plan.Scalar, right: plan.Scalar, operator: str, at: int) -> KqlType | None:
    kinds = left.type, right.type
    if ERROR in (left, right):
        return None
    equality = operator in EQUALITY
    if kinds[0] is kinds[1]:
        if equality or kinds[0] not in (KqlType.STRING, KqlType.DYNAMIC, KqlType.GUID):
            return kinds[0]
        if kinds[0] is KqlType.DYNAMIC:
            raise unsupported(f"'{operator}' between two dynamic values", at, operator)
        raise _incomparable(*kinds, at)
    if set(kinds) <= NUMBERS:
        return widest(*kinds)
    if KqlType.DYNAMIC in kinds:
        beside = right if kinds[0] is KqlType.DYNAMIC else left
        if beside.type is KqlType.STRING and not equality:
            raise _incomparable(*kinds, at)
        # A dynamic number may have a fraction that long would cut off.
        return KqlType.REAL if beside.type in INTEGERS and not _beyond_reals(beside) else beside.type
    if KqlType.BOOL in kinds and (set(kinds) & NUMBERS):
        return kinds[1] if kinds[0] is KqlType.BOOL else kinds[0]
    if equality and set(kinds) == {KqlType.GUID, KqlType.STRING}:
        return KqlType.GUID
    raise _incomparable(*kinds, at)


def _beyond_reals(value: plan.Scalar) -> bool:
    """Whether it is a constant whole number that a real need not tell from its neighbours."""
    return isinstance(value, plan.Constant) and isinstance(value.value, int) and abs(value.value) >= 2**53


def _incomparable(left: KqlType, right: KqlType, at: int) -> Problem:
    return semantic(f"Cannot compare values of types {left} and {right}. Try adding explicit casts", at, INCOMPARABLE)


_DATETIME, _TIMESPAN, _REAL, _LONG = KqlType.DATETIME, KqlType.TIMESPAN, KqlType.REAL, KqlType.LONG

#: Arithmetic beside plain numbers: (operator, left, right) to the result. Number stands for long or real.
_TIME_RULES: dict[tuple[str, KqlType, KqlType], KqlType] = {
    ("+", _TIMESPAN, _TIMESPAN): _TIMESPAN,
    ("+", _DATETIME, _TIMESPAN): _DATETIME,
    ("+", _TIMESPAN, _DATETIME): _DATETIME,
    ("-", _TIMESPAN, _TIMESPAN): _TIMESPAN,
    ("-", _DATETIME, _DATETIME): _TIMESPAN,
    ("-", _DATETIME, _TIMESPAN): _DATETIME,
    ("/", _TIMESPAN, _TIMESPAN): _REAL,
    ("/", _DATETIME, _TIMESPAN): _REAL,
    ("/", _DATETIME, _DATETIME): _REAL,
    ("%", _TIMESPAN, _TIMESPAN): _TIMESPAN,
    ("%", _DATETIME, _TIMESPAN): _TIMESPAN,
    ("*", _TIMESPAN, _LONG): _TIMESPAN,
    ("*", _TIMESPAN, _REAL): _TIMESPAN,
    ("*", _LONG, _TIMESPAN): _TIMESPAN,
    ("*", _REAL, _TIMESPAN): _TIMESPAN,
    ("/", _TIMESPAN, _LONG): _TIMESPAN,
    ("/", _TIMESPAN, _REAL): _TIMESPAN,
}


def arithmetic(operator: str, left: plan.Scalar, right: plan.Scalar, at: int) -> plan.Scalar:
    """`left operator right` with both sides converted as the types ask."""
    if ERROR in (left, right):
        return ERROR
    left, right = _undynamic(left, right), _undynamic(right, left)
    kinds = left.type, right.type
    if set(kinds) <= NUMBERS:
        kind = widest(_LONG, *kinds)
        return plan.Arithmetic(kind, operator, to(left, kind), to(right, kind))
    sides = [to(side, _LONG) if side.type is KqlType.INT else side for side in (left, right)]
    result = _TIME_RULES.get((operator, sides[0].type, sides[1].type))
    if result is None:
        raise semantic(f"'{operator}' cannot be applied to {left.type} and {right.type}", at, token=operator)
    return plan.Arithmetic(result, operator, sides[0], sides[1])


def _undynamic(value: plan.Scalar, other: plan.Scalar) -> plan.Scalar:
    """A dynamic operand takes the type of the other side; beside another dynamic it counts as a number."""
    if value.type is not KqlType.DYNAMIC:
        return value
    if other.type in (KqlType.INT, KqlType.DYNAMIC):
        return to(value, _LONG if other.type is KqlType.INT else _REAL)
    return to(value, other.type)
