"""What `run` reads: rows, Arrow tables, pandas and Polars frames, DuckDB relations, as Arrow columns in KQL's storage.

Everything that offers the Arrow stream interface is read through it
(https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html). pandas is read column by column, because a
column of Python objects has no Arrow type of its own. Neither pandas nor Polars is imported here.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from . import ticks
from .types import Column, KqlType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class ArrowStream(Protocol):
    """What a pyarrow Table, a Polars frame or a DuckDB relation has in common."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows as an Arrow C stream."""


class PandasFrame(Protocol):
    """As much of a pandas DataFrame as is read."""

    @property
    def columns(self) -> Any:
        """Its column labels."""

    def __getitem__(self, key: Any, /) -> Any:
        """One of its columns."""


Source = ArrowStream | PandasFrame | Sequence[Mapping[str, Any]]

#: How each type is kept while a query runs.
ARROW: dict[KqlType, Any] = {
    KqlType.BOOL: pa.bool_(),
    KqlType.INT: pa.int32(),
    KqlType.LONG: pa.int64(),
    KqlType.REAL: pa.float64(),
    KqlType.DECIMAL: pa.decimal128(34, 17),
    KqlType.STRING: pa.string(),
    KqlType.DATETIME: pa.int64(),
    KqlType.TIMESPAN: pa.int64(),
    KqlType.GUID: pa.string(),
    KqlType.DYNAMIC: pa.string(),
}

_KINDS: tuple[tuple[Callable[[Any], bool], KqlType], ...] = (
    (pa.types.is_boolean, KqlType.BOOL),
    (pa.types.is_int64, KqlType.LONG),
    (pa.types.is_uint64, KqlType.LONG),
    (pa.types.is_uint32, KqlType.LONG),
    (pa.types.is_integer, KqlType.INT),
    (pa.types.is_floating, KqlType.REAL),
    (pa.types.is_decimal, KqlType.DECIMAL),
    (pa.types.is_timestamp, KqlType.DATETIME),
    (pa.types.is_date, KqlType.DATETIME),
    (pa.types.is_duration, KqlType.TIMESPAN),
    (pa.types.is_time, KqlType.TIMESPAN),
    (pa.types.is_interval, KqlType.TIMESPAN),
    (pa.types.is_string, KqlType.STRING),
    (pa.types.is_large_string, KqlType.STRING),
    (pa.types.is_string_view, KqlType.STRING),
    (pa.types.is_null, KqlType.STRING),
    (pa.types.is_nested, KqlType.DYNAMIC),
)
_PYTHON: tuple[tuple[type, KqlType], ...] = (
    (bool, KqlType.BOOL),
    (int, KqlType.LONG),
    (float, KqlType.REAL),
    (str, KqlType.STRING),
    (dt.date, KqlType.DATETIME),
    (dt.timedelta, KqlType.TIMESPAN),
    (uuid.UUID, KqlType.GUID),
    (decimal.Decimal, KqlType.DECIMAL),
)
_PER_UNIT = {"s": ticks.PER_SECOND, "ms": ticks.PER_MILLISECOND, "us": ticks.PER_MICROSECOND}
_NANOSECONDS_PER_TICK = 100


def arrow_columns(name: str, source: Source) -> list[tuple[Column, Any]]:
    """The columns of a source, each with its Arrow array in KQL's storage.

    Raises ValueError, with the names of table and column, where two columns have one name or a value has no KQL type.
    """
    found: list[tuple[Column, Any]] = []
    for column, values in _parts(source):
        where = f"table '{name}', column '{column}'"
        if not isinstance(column, str):
            raise ValueError(f"{where}: the name of a column is text")  # noqa: TRY004 - one error for what a table holds
        if any(column == other.name for other, _ in found):
            raise ValueError(f"{where}: there are two columns of that name")
        try:
            kind, array = _of_values(values) if isinstance(values, list) else _of_array(values)
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from error
        found.append((Column(column, kind), array))
    return found


def _parts(source: Source) -> Iterable[tuple[Any, Any]]:
    """Each column's name with its values: an Arrow array, or a list of Python values."""
    if hasattr(source, "collect") and hasattr(source, "lazy"):  # a Polars LazyFrame
        source = source.collect()
    if type(source).__module__.split(".")[0] == "pandas":
        return ((name, _of_pandas(source[name])) for name in source.columns)  # type: ignore[index,union-attr]
    if isinstance(source, pa.RecordBatch) or hasattr(source, "__arrow_c_stream__"):
        table = source if isinstance(source, pa.Table) else pa.table(source)
        return zip(table.column_names, table.columns, strict=True)
    if isinstance(source, Sequence) and all(isinstance(row, Mapping) for row in source):
        names = dict.fromkeys(name for row in source for name in row)
        return ((name, [row.get(name) for row in source]) for name in names)
    raise ValueError(
        f"a table is made of rows, an Arrow table, a data frame or a relation, not of {type(source).__name__}"
    )


def _of_pandas(series: Any) -> Any:
    if getattr(series, "ndim", 1) != 1:
        raise ValueError("there are two columns of that name")
    if series.dtype != object:
        return pa.chunked_array([pa.Array.from_pandas(series)])
    missing = series.isna().tolist()
    return [None if absent else value for value, absent in zip(series.tolist(), missing, strict=True)]


def _of_array(array: Any) -> tuple[KqlType, Any]:
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _of_array(array.cast(kind.value_type))
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            return _of_values([None if v is None else uuid.UUID(bytes=v) for v in _storage(array).to_pylist()])
        if kind.extension_name == "arrow.json":
            return KqlType.DYNAMIC, _storage(array).cast(pa.string())
        return _of_array(_storage(array))
    found = next((found for test, found in _KINDS if test(kind)), None)
    if found is None:
        raise ValueError(f"the Arrow type {kind} has no KQL type")
    return found, _STORED[found](array)


def _storage(array: Any) -> Any:
    return pa.chunked_array([chunk.storage for chunk in array.chunks], type=array.type.storage_type)


def _ticks(array: Any) -> Any:
    """Whole ticks of a date, a time, a timestamp or a duration; nanoseconds below a tick are cut off downwards."""
    kind = array.type
    if pa.types.is_interval(kind):
        return pa.chunked_array([[_interval(value) for value in array.to_pylist()]], pa.int64())
    if pa.types.is_date(kind):
        array = array.cast(pa.timestamp("s" if pa.types.is_date32(kind) else "ms"))
        kind = array.type
    whole = array.cast(pa.int32()).cast(pa.int64()) if pa.types.is_time32(kind) else array.cast(pa.int64())
    if kind.unit in _PER_UNIT:
        return pc.multiply_checked(whole, _PER_UNIT[kind.unit])
    low = pc.if_else(pc.less(whole, 0), pc.subtract_checked(whole, _NANOSECONDS_PER_TICK - 1), whole)
    return pc.divide(low, _NANOSECONDS_PER_TICK)


def _interval(value: Any) -> int | None:
    """Ticks of months, days and nanoseconds."""
    if value is None:
        return None
    months, days, nanoseconds = value
    if months:
        raise ValueError("an interval of months has no fixed length")
    return int(days * ticks.PER_DAY + nanoseconds // _NANOSECONDS_PER_TICK)


def _datetimes(array: Any) -> Any:
    counted = pc.add_checked(_ticks(array), ticks.UNIX_EPOCH)
    ends = pc.min_max(counted).as_py()
    if ends["min"] is not None and not 0 <= ends["min"] <= ends["max"] <= ticks.MAX_DATETIME:
        raise ValueError("a datetime is outside of the years 1 to 9999")
    return counted


def _documents(array: Any) -> Any:
    return pa.chunked_array([[_stored(KqlType.DYNAMIC, value) for value in array.to_pylist()]], pa.string())


_STORED: dict[KqlType, Callable[[Any], Any]] = {
    KqlType.BOOL: lambda array: array,
    KqlType.INT: lambda array: array.cast(pa.int32()),
    KqlType.LONG: lambda array: array.cast(pa.int64()),
    KqlType.REAL: lambda array: array.cast(pa.float64()),
    KqlType.DECIMAL: lambda array: array.cast(ARROW[KqlType.DECIMAL]),
    KqlType.STRING: lambda array: pc.fill_null(array.cast(pa.string()), ""),
    KqlType.DATETIME: _datetimes,
    KqlType.TIMESPAN: _ticks,
    KqlType.DYNAMIC: _documents,
}


def _of_values(values: Sequence[Any]) -> tuple[KqlType, Any]:
    found = {
        next((kind for python, kind in _PYTHON if isinstance(value, python)), KqlType.DYNAMIC)
        for value in values
        if value is not None
    }
    if found == {KqlType.LONG, KqlType.REAL}:
        found = {KqlType.REAL}
    kind = found.pop() if len(found) == 1 else KqlType.STRING if not found else KqlType.DYNAMIC
    return kind, pa.array([_stored(kind, value) for value in values], ARROW[kind])


def _stored(kind: KqlType, value: Any) -> Any:
    if value is None:
        return "" if kind is KqlType.STRING else None
    if kind is KqlType.DYNAMIC:
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    if kind is KqlType.DATETIME:
        return ticks.ticks_from_datetime(_moment(value))
    if kind is KqlType.TIMESPAN:
        return value // dt.timedelta(microseconds=1) * ticks.PER_MICROSECOND
    if kind is KqlType.GUID:
        return str(value)
    return value


def _moment(value: dt.date) -> dt.datetime:
    """A datetime; one without a zone, and a date, is in UTC."""
    moment = value if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time())
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)


def _plain(value: Any) -> Any:
    """A value inside a dynamic one, as JSON has it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value).replace("inf", "Infinity").replace("nan", "NaN")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, dt.date):
        return ticks.datetime_text(ticks.ticks_from_datetime(_moment(value)))
    if isinstance(value, dt.timedelta):
        return ticks.timespan_text(value // dt.timedelta(microseconds=1) * ticks.PER_MICROSECOND)
    if isinstance(value, uuid.UUID | decimal.Decimal):
        return str(value)
    if hasattr(value, "tolist"):  # numpy
        return _plain(value.tolist())
    raise ValueError(f"a value of type {type(value).__name__} has no place in a dynamic value")
