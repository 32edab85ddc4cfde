"""Tables as Parquet files: out of a workspace, and into one through its journal.

A datetime is a timestamp of nanoseconds in UTC, which holds all seven digits; a column with a value outside its years
(1677 to 2262) is ticks of 100 ns since the year 1 instead. dynamic is its JSON text, guid the logical type UUID. The KQL
type of each column is in the file's field metadata. Source: https://parquet.apache.org/docs/file-format/types/logicaltypes/
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lurewire.kql import KqlType, datetime_text
from lurewire.workspace.storage import STORAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import IO

    from lurewire.workspace.catalog import StoredColumn, StoredTable

CHUNK_ROWS = 1_000
"""Rows of one write into the journal, fewer where they are large: a file's chunks are the same in every run.

A chunk is encoded and decoded on the event loop: this many hold it for some 20 ms.
"""
_CHUNK_BYTES = 1 << 20

_KIND = b"kql.type"
_FORM = b"kql.form"
_TICKS = b"ticks"
_EPOCH = 621_355_968_000_000_000  # ticks from the year 1 to 1970
_LAST_TICK = 3_155_378_975_999_999_999  # of the year 9999
_NANOSECONDS = ((-(2**63)) // 100 + 1 + _EPOCH, (2**63 - 1) // 100 + _EPOCH)
_STAMP = pa.timestamp("ns", tz="UTC")
_BATCH_ROWS = 2_048
_GROUP_ROWS = 524_288
_GROUP_BYTES = 64 << 20  # in memory, whichever comes first
_READ_BYTES = 1 << 20  # of a column's pages at a time, however long a file's row groups are


class Unfit(ValueError):
    """A file that cannot be read into the table; says why."""


def write(cursor: Any, table: StoredTable, file: IO[bytes]) -> int:
    """Write all rows of a table, in the order of their receipt; returns how many. Raises OSError."""
    cursor.execute("begin transaction read only")  # ended by the cursor's
    columns = [column for column in table.columns if not column.constant]
    forms = [_form(cursor, table, column) for column in columns]
    schema = pa.schema(
        [pa.field(column.name, form.arrow, metadata=form.metadata) for column, form in zip(columns, forms, strict=True)]
    )
    statement = f"select {', '.join(column.sql for column in columns)} from {table.relation}"  # noqa: S608 - generated names
    rows = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        waiting: list[Any] = []
        many = size = 0
        for batch in cursor.sql(statement).to_arrow_reader(_BATCH_ROWS):
            arrays = [form.out(array) for form, array in zip(forms, batch.columns, strict=True)]
            waiting.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
            rows += batch.num_rows
            many += batch.num_rows
            size += batch.nbytes
            if many >= _GROUP_ROWS or size >= _GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting.clear()
                many = size = 0
        writer.write_table(pa.Table.from_batches(waiting, schema))
    return rows


def read(file: Path, table: StoredTable) -> Iterator[list[dict[str, Any]]]:
    """The file's rows in chunks of at most `CHUNK_ROWS`, as `Workspace.append` takes them. Raises `Unfit` and OSError.

    Columns that every table has by itself, such as `Type`, are skipped; any other must be a column of the table.
    """
    try:
        opened = pq.ParquetFile(file, buffer_size=_READ_BYTES)
    except pa.ArrowInvalid as error:
        raise Unfit(f"{file} is no Parquet file: {error}") from None
    with opened:
        readers = list(_readers(opened.schema_arrow, table))
        names = [name for name, _ in readers]
        for batch in opened.iter_batches(batch_size=CHUNK_ROWS, columns=names):
            few = max(1, min(CHUNK_ROWS, _CHUNK_BYTES * batch.num_rows // max(1, batch.nbytes)))
            for first in range(0, batch.num_rows, few):
                part = batch.slice(first, few)
                columns = [read_values(part.column(name)) for name, read_values in readers]
                yield [
                    {name: value for name, value in zip(names, row, strict=True) if value is not None}
                    for row in zip(*columns, strict=True)
                ]


def columns_of(file: Path) -> list[tuple[str, str]]:
    """(name, KQL type) of the columns of a file that `write` made, for a table that is to be created. Raises `Unfit`."""
    try:
        schema = pq.read_schema(file)
    except pa.ArrowInvalid as error:
        raise Unfit(f"{file} is no Parquet file: {error}") from None
    found = []
    for field in schema:
        kind = (field.metadata or {}).get(_KIND)
        if kind is None:
            raise Unfit(f"column '{field.name}' of {file} does not say its KQL type: create the table first")
        found.append((field.name, kind.decode()))
    return found


def digest(file: Path) -> str:
    """The hash by which a file is known again."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class _Form:
    """How a column is written: its type in the file, and what makes that of the stored values."""

    arrow: Any
    metadata: dict[bytes, bytes]
    out: Callable[[Any], Any]


def _form(cursor: Any, table: StoredTable, column: StoredColumn) -> _Form:
    metadata = {_KIND: str(column.type).encode()}
    if column.type is not KqlType.DATETIME:
        out = _uuids if column.type is KqlType.GUID else _as_it_is
        return _Form(STORAGE[column.type].arrow, metadata, out)
    statement = f"select min({column.sql}), max({column.sql}) from {table.relation}"  # noqa: S608 - generated names
    ((least, most),) = cursor.execute(statement).fetchall()
    if least is not None and not (_NANOSECONDS[0] <= least and most <= _NANOSECONDS[1]):
        return _Form(pa.int64(), metadata | {_FORM: _TICKS}, _as_it_is)
    return _Form(_STAMP, metadata, lambda array: pc.multiply(pc.subtract(array, _EPOCH), 100).cast(_STAMP))


def _as_it_is(array: Any) -> Any:
    return array


def _uuids(array: Any) -> Any:
    """The engine gives the text of a GUID."""
    values = [None if value is None else uuid.UUID(value).bytes for value in array.to_pylist()]
    return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(values, pa.binary(16)))


def _readers(schema: pa.Schema, table: StoredTable) -> Iterator[tuple[str, Callable[[Any], list[Any]]]]:
    for field in schema:
        column = table.column(field.name)
        if column is not None and column.constant:
            continue
        if column is None:
            raise Unfit(f"table '{table.name}' has no column '{field.name}'")
        if schema.names.count(field.name) > 1:
            raise Unfit(f"column '{field.name}' is there twice")
        metadata = field.metadata or {}
        written = metadata.get(_KIND, str(column.type).encode()).decode()
        reader = _reader(column.type, field.type, metadata) if written == column.type else None
        if reader is None:
            kind = written if _KIND in metadata else field.type
            raise Unfit(f"column '{field.name}' of type {kind} does not fit the table's column of type {column.type}")
        yield field.name, reader


def _reader(kind: KqlType, arrow: Any, metadata: Mapping[bytes, bytes]) -> Callable[[Any], list[Any]] | None:
    """What makes JSON values of a file's column; None where its type does not fit."""
    match kind:
        case KqlType.DATETIME if pa.types.is_timestamp(arrow):
            return lambda array: [_moment(value) for value in _ticks(array)]
        case KqlType.DATETIME if pa.types.is_int64(arrow) and metadata.get(_FORM) == _TICKS:
            return lambda array: [_moment(value) for value in array.to_pylist()]
        case KqlType.DYNAMIC if _is_text(arrow) and _KIND in metadata:
            return lambda array: [_json(value) for value in array.to_pylist()]
        case KqlType.STRING | KqlType.DYNAMIC if _is_text(arrow):
            return lambda array: array.to_pylist()
        case KqlType.GUID if isinstance(arrow, pa.UuidType) or arrow == pa.binary(16):
            return lambda array: [_guid(value) for value in array.to_pylist()]
        case KqlType.GUID if _is_text(arrow):
            return lambda array: array.to_pylist()
        case KqlType.REAL if pa.types.is_floating(arrow):
            return lambda array: [_real(value) for value in array.to_pylist()]
        case KqlType.BOOL if pa.types.is_boolean(arrow):
            return lambda array: array.to_pylist()
        case KqlType.INT | KqlType.LONG if pa.types.is_integer(arrow) and _holds(kind, arrow):
            return lambda array: array.to_pylist()
    return None


def _is_text(arrow: Any) -> bool:
    return bool(pa.types.is_string(arrow) or pa.types.is_large_string(arrow))


def _holds(kind: KqlType, arrow: Any) -> bool:
    return bool(arrow.bit_width + pa.types.is_unsigned_integer(arrow) <= (32 if kind is KqlType.INT else 64))


def _ticks(array: Any) -> list[int | None]:
    """A timestamp without a time zone is taken as UTC; what is finer than a tick is cut."""
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[array.type.unit]
    values: list[int | None] = array.cast(pa.int64()).to_pylist()
    ticks = [None if value is None else value * 10_000_000 // per_second + _EPOCH for value in values]
    wrong = next((tick for tick in ticks if tick is not None and not 0 <= tick <= _LAST_TICK), None)
    if wrong is not None:
        raise Unfit(f"a timestamp is not of the years 1 to 9999: {wrong - _EPOCH} ticks of 100 ns since 1970")
    return ticks


def _moment(ticks: int | None) -> str | None:
    return None if ticks is None else datetime_text(ticks)


def _json(text: str | None) -> msgspec.Raw | None:
    if text is None:
        return None
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise Unfit(f"a dynamic value is no JSON: '{text[:80]}'") from None
    return msgspec.Raw(text.encode())


def _guid(value: Any) -> str | None:
    if value is None:
        return None
    return str(value if isinstance(value, uuid.UUID) else uuid.UUID(bytes=value))


def _real(value: float | None) -> float | str | None:
    """JSON has no number for these."""
    if value is None or value - value == 0:
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124 - NaN
