"""Result columns as JSON values, a column at a time: a large result costs a third of what value by value costs.

What a value becomes is the KQL room's `json_value`; the types whose values are most of a large result have a way of their own
here that gives the same.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lurewire.kql import KqlType, json_value, ticks_from_datetime

if TYPE_CHECKING:
    from collections.abc import Callable

_SECOND = 10_000_000  # ticks
_UNIX_SECONDS = ticks_from_datetime(datetime(1970, 1, 1, tzinfo=UTC)) // _SECOND
_FIRST = 0
_LAST = ticks_from_datetime(datetime.max.replace(tzinfo=UTC))
_AS_THEY_ARE = frozenset({KqlType.BOOL, KqlType.INT, KqlType.LONG, KqlType.DYNAMIC})


def json_cells(column: pa.Array, kind: KqlType) -> list[Any]:
    """The values of a result's column as the query API writes them."""
    if kind in _AS_THEY_ARE:
        return column.to_pylist()  # type: ignore[no-any-return]
    return _QUICK.get(kind, _each)(column, kind)


def _each(column: pa.Array, kind: KqlType) -> list[Any]:
    return [json_value(kind, value) for value in column.to_pylist()]


def _texts(column: pa.Array, _kind: KqlType) -> list[Any]:
    return (pc.fill_null(column, "") if column.null_count else column).to_pylist()  # type: ignore[no-any-return]


def _reals(column: pa.Array, kind: KqlType) -> list[Any]:
    if pc.all(pc.is_finite(column)).as_py() is False:  # None where there is no value at all
        return _each(column, kind)
    return column.to_pylist()  # type: ignore[no-any-return]


def _datetimes(column: pa.Array, kind: KqlType) -> list[Any]:
    """Text by Arrow, which does not hold the interpreter: 2026-11-22T10:00:00.1234567Z, without zeros at the end."""
    bounds = pc.min_max(column)
    first, last = bounds["min"].as_py(), bounds["max"].as_py()
    if first is None or not _FIRST <= first <= last <= _LAST:  # arithmetic can leave the years 1 to 9999
        return _each(column, kind)
    seconds = pc.divide(column, _SECOND)
    fraction = pc.subtract(column, pc.multiply(seconds, _SECOND))
    day = pc.subtract(seconds, _UNIX_SECONDS).cast(pa.timestamp("s")).cast(pa.string())
    moment = pc.utf8_replace_slice(day, start=10, stop=11, replacement="T")
    digits = pc.utf8_rtrim(pc.utf8_lpad(fraction.cast(pa.string()), width=7, padding="0"), characters="0")
    rest = pc.if_else(pc.equal(fraction, 0), "Z", pc.binary_join_element_wise(".", digits, "Z", ""))
    return [*pc.binary_join_element_wise(moment, rest, "").to_pylist()]


_QUICK: dict[KqlType, Callable[[pa.Array, KqlType], list[Any]]] = {
    KqlType.STRING: _texts,
    KqlType.REAL: _reals,
    KqlType.DATETIME: _datetimes,
}
