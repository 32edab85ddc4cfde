"""A query's result, and the forms that it converts to."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from . import ticks
from .sources import ARROW
from .types import Column, KqlType

if TYPE_CHECKING:
    from collections.abc import Callable

    from .compiler import CompiledQuery
    from .render import Rendering

Unit = Literal["s", "ms", "us", "ns"]
#: Ticks in a unit of time, or units in a tick where the unit is the shorter one.
_PER_UNIT: dict[str, int] = {
    "s": ticks.PER_SECOND,
    "ms": ticks.PER_MILLISECOND,
    "us": ticks.PER_MICROSECOND,
}
_NANOSECONDS_PER_TICK = 100


@dataclass(frozen=True, slots=True)
class Result:
    """What a query gave.

    `columns` are names and KQL types, in order; names are case-sensitive and differ. `rows` are tuples of the engine's
    values: datetime and timespan in ticks of 100 ns, dynamic as JSON text, guid as UUID. `render` is the chart that the query
    asks for. The methods give the same values as other libraries have them.
    """

    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    render: Rendering | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as dicts of Python values: aware datetimes and timedeltas (cut to microseconds), parsed dynamic values.

        A datetime that Python cannot hold, which arithmetic beyond the years 1 to 9999 gives, is None.
        """
        names = [column.name for column in self.columns]
        makers = [_OBJECTS.get(column.type) for column in self.columns]
        return [
            {
                name: value if value is None or make is None else make(value)
                for name, make, value in zip(names, makers, row, strict=True)
            }
            for row in self.rows
        ]

    def to_arrow(self, unit: Unit = "us") -> Any:
        """A `pyarrow.Table`: datetimes as timestamps in UTC, timespans as durations, guids and dynamic values as text.

        Times are cut downwards to `unit`; "ns" keeps all of a tick. ValueError where a time is outside of what the unit
        can hold, which for nanoseconds is the years 1678 to 2261.
        """
        arrays = []
        for place, column in enumerate(self.columns):
            values = [row[place] for row in self.rows]
            arrays.append(_array(column, values, unit))
        return pa.table(arrays, names=[column.name for column in self.columns])

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`, with pandas' nullable types, so that a long with a null stays a whole number."""
        import pandas as pd  # noqa: PLC0415 - optional

        kinds = {
            pa.bool_(): pd.BooleanDtype(),
            pa.int32(): pd.Int32Dtype(),
            pa.int64(): pd.Int64Dtype(),
            pa.float64(): pd.Float64Dtype(),
            pa.string(): pd.StringDtype(),
        }
        return self.to_arrow().to_pandas(types_mapper=kinds.get)

    def to_polars(self) -> Any:
        """A `polars.DataFrame`."""
        import polars as pl  # noqa: PLC0415 - optional

        return pl.from_arrow(self.to_arrow())


@dataclass(frozen=True, slots=True)
class RunResult(Result):
    """A result with the compiled query that gave it, and those of the query's other tabular statements."""

    compiled: CompiledQuery = field(kw_only=True)
    further: tuple[RunResult, ...] = field(default=(), kw_only=True)


def _array(column: Column, values: list[Any], unit: Unit) -> Any:
    if column.type is KqlType.GUID:
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    if column.type is KqlType.DATETIME:
        values = [None if value is None else value - ticks.UNIX_EPOCH for value in values]
        return _times(column, values, pa.timestamp(unit, "UTC"), unit)
    if column.type is KqlType.TIMESPAN:
        return _times(column, values, pa.duration(unit), unit)
    return pa.array(values, ARROW[column.type])


def _times(column: Column, values: list[int | None], kind: Any, unit: Unit) -> Any:
    if unit == "ns":
        whole = [None if value is None else value * _NANOSECONDS_PER_TICK for value in values]
    else:
        whole = [None if value is None else value // _PER_UNIT[unit] for value in values]
    try:
        return pa.array(whole, pa.int64()).cast(kind)
    except (OverflowError, pa.ArrowInvalid) as error:
        raise ValueError(f"column '{column.name}': a {column.type} does not fit in whole {unit}") from error


def _datetime(value: int) -> dt.datetime | None:
    return ticks.datetime_from_ticks(value) if 0 <= value <= ticks.MAX_DATETIME else None


_OBJECTS: dict[KqlType, Callable[[Any], Any]] = {
    KqlType.DATETIME: _datetime,
    KqlType.TIMESPAN: lambda value: dt.timedelta(microseconds=value // ticks.PER_MICROSECOND),
    KqlType.DYNAMIC: json.loads,
}
