"""Arithmetic of decimals beyond + and -, and the decimals of versions.

Sources: https://learn.microsoft.com/kusto/query/scalar-data-types/decimal and .../parse-version-function. Products, quotients
and remainders are computed with 34 digits, as the type has, and rounded to the 17 behind the point that are kept.
"""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING

from lurewire.kql.dialects import sql
from lurewire.kql.types import KqlType
from lurewire.kql.udf import Udf

from .common import duckdb
from .registry import Function, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lurewire.kql import plan
    from lurewire.kql.dialects.sql import Node

#: Digits of the type, and those behind the point.
_DIGITS, _FRACTION = 34, 17
_UNIT = decimal.Decimal(1).scaleb(-_FRACTION)
#: Enough for any intermediate value, so that only the result is rounded.
_WIDE = decimal.Context(prec=4 * _DIGITS, rounding=decimal.ROUND_HALF_EVEN)
_TYPE = decimal.Context(prec=_DIGITS, rounding=decimal.ROUND_HALF_EVEN)

_PARTS, _PART_DIGITS = 4, 8
_VERSION = rf"\d{{1,{_PART_DIGITS}}}(?:\.\d{{1,{_PART_DIGITS}}}){{0,{_PARTS - 1}}}"


def _times(left: decimal.Decimal, right: decimal.Decimal) -> decimal.Decimal:
    return _TYPE.multiply(left, right)


def _by(left: decimal.Decimal, right: decimal.Decimal) -> decimal.Decimal:
    return _TYPE.divide(left, right)


def _modulo(left: decimal.Decimal, right: decimal.Decimal) -> decimal.Decimal:
    """Never negative, as of whole numbers."""
    rest = _WIDE.remainder(left, right)
    return _WIDE.add(rest, abs(right)) if rest < 0 else rest


def _udf(name: str, compute: Callable[[decimal.Decimal, decimal.Decimal], decimal.Decimal], *, divides: bool) -> Udf:
    def body(left: str, right: str) -> str | None:
        divisor = decimal.Decimal(right)
        if divides and not divisor:
            return None
        return f"{_WIDE.quantize(compute(decimal.Decimal(left), divisor), _UNIT):f}"

    return Udf(name, (KqlType.STRING, KqlType.STRING), KqlType.STRING, body, 2)


#: `* / %` over the texts of decimals; by zero it is null. The dialect calls them by these names.
UDFS = (
    _udf("decimal_times", _times, divides=False),
    _udf("decimal_by", _by, divides=True),
    _udf("decimal_modulo", _modulo, divides=True),
)


def _parse_version(arguments: Sequence[Node], call: plan.Call) -> Node:
    """The parts as digits of one number, eight each. They are up to 32, so that this is a whole DECIMAL of its own width."""
    del call
    (version,) = arguments
    absent = sql.call("list_value", *(sql.text("0") for _ in range(_PARTS)))
    parts = sql.call("list_concat", sql.call("string_split", version, sql.text(".")), absent)
    first = sql.call("list_slice", parts, sql.number(1), sql.number(_PARTS))
    padded = sql.call("lpad", sql.variable("w"), sql.number(_PART_DIGITS), sql.text("0"))
    digits = sql.call("array_to_string", sql.call("list_transform", first, sql.lambda_("w", padded)), sql.text(""))
    valid = sql.call("regexp_full_match", version, sql.text(_VERSION))
    return sql.case([(valid, sql.try_cast(digits, sql.whole_decimal_type()))])


FUNCTIONS = (Function("parse_version", (text("version"),), KqlType.DECIMAL, duckdb(_parse_version), makes_null=True),)
