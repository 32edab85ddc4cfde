"""externaldata: what a query reads from outside, as the compiler leaves it to the caller, and how its formats are read.

The SQL reads a relation that the caller makes of the bytes; it reaches no file and no network itself. Every column comes as
text and is converted by the query. Sources: https://learn.microsoft.com/kusto/query/externaldata-operator,
https://learn.microsoft.com/azure/data-explorer/ingestion-supported-formats and .../kusto/management/mappings.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import re
import zipfile
import zlib
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import parquet

from .errors import EXECUTION, Diagnostic, KqlError
from .limits import EXTERNAL_BYTES
from .ticks import PER_MICROSECOND, datetime_text, ticks_from_datetime, timespan_text
from .types import KqlType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .types import Column

#: The formats with a character between values.
SEPARATORS = {"csv": ",", "tsv": "\t", "psv": "|", "scsv": ";", "sohsv": "\x01"}
FORMATS = (*SEPARATORS, "txt", "raw", "json", "multijson", "parquet")
_PACKED = (".gz", ".zip")
_STEP = re.compile(r"\.([^.\[\]]+)|\[['\"]([^'\"]*)['\"]\]|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Mapped:
    """Where a column's value stands in a record: the steps of a path, a place, or one value for all records."""

    path: tuple[str | int, ...] | None = None
    ordinal: int | None = None
    constant: str | None = None


@dataclass(frozen=True, slots=True)
class External:
    """Data from outside: the relation's name in SQL, its columns (all VARCHAR there: c0, c1, ...) and how to read it."""

    relation: str
    columns: tuple[Column, ...]
    locations: tuple[str, ...]
    format: str
    skip_first: bool = False
    mapping: tuple[Mapped | None, ...] = ()


def shown(location: str) -> str:
    """A location without what may be a secret: its query and what follows a semicolon."""
    return re.split(r"[?;]", location, maxsplit=1)[0][:200]


def format_of(location: str) -> str:
    """The format that the ending of a location's name says; csv where it says none."""
    name = shown(location).lower()
    for ending in _PACKED:
        name = name.removesuffix(ending)
    ending = name.rsplit("/", 1)[-1].rpartition(".")[2]
    return ending if ending in FORMATS else "csv"


def mapped(text: str, columns: Sequence[Column]) -> tuple[Mapped | None, ...]:
    """An ingestion mapping (JSON) in the order of the columns; None for those that it leaves out. Raises ValueError."""
    entries = json.loads(text)
    found: dict[str, Mapped] = {}
    for entry in entries if isinstance(entries, list) else [entries]:
        given = {str(key).lower(): value for key, value in entry.items()} if isinstance(entry, dict) else {}
        properties = given.get("properties")
        inner = {str(k).lower(): v for k, v in properties.items()} if isinstance(properties, dict) else given
        name = given.get("column") or given.get("name")
        if not isinstance(name, str):
            raise ValueError("an entry of a mapping must name its column")  # noqa: TRY004 - the text is wrong, not a type of ours
        constant = inner.get("constvalue", inner.get("constantvalue"))
        ordinal, path = inner.get("ordinal"), inner.get("path", inner.get("field"))
        found[name] = Mapped(
            None if path is None else _steps(str(path)),
            None if ordinal is None else int(ordinal),
            None if constant is None else str(constant),
        )
    return tuple(found.get(column.name) for column in columns)


def _steps(path: str) -> tuple[str | int, ...]:
    if not path.startswith("$"):
        return (path,)
    steps: list[str | int] = []
    at = 1
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            raise ValueError(f"the path '{path[:80]}' of a mapping is not understood")
        steps.append(int(step[3]) if step[3] is not None else step[1] or step[2])
        at = step.end()
    return tuple(steps)


def read(external: External, fetch: Callable[[str], bytes]) -> pa.Table:
    """The relation of external data; `fetch` gives the bytes of a location or raises OSError.

    Raises KqlError, naming the location, where it cannot be had or read, or is larger than the limit.
    """
    rows: list[tuple[str | None, ...]] = []
    room = EXTERNAL_BYTES.value
    for location in external.locations:
        try:
            for body in _unpacked(location, fetch(location), room):
                room = _less(room, len(body))
                rows.extend(islice(_records(external, body), external.skip_first, None))
        except (OSError, ValueError, csv.Error, zlib.error, zipfile.BadZipFile, pa.ArrowException) as error:
            message = f"externaldata: '{shown(location)}' cannot be read: {str(error)[:300]}"
            raise KqlError([Diagnostic("execution", EXECUTION, message, 1, 1)]) from error
        except RecursionError:
            message = f"externaldata: '{shown(location)}' cannot be read: it nests too deeply"
            raise KqlError([Diagnostic("execution", EXECUTION, message, 1, 1)]) from None
    values = list(zip(*rows, strict=True)) if rows else [()] * len(external.columns)
    arrays = [
        pa.array([_filled(column, value) for value in column_values], pa.string())
        for column, column_values in zip(external.columns, values, strict=True)
    ]
    return pa.table(arrays, names=[f"c{position}" for position in range(len(arrays))])


def _less(room: int, used: int) -> int:
    if used > room:
        raise ValueError(f"there is more than {EXTERNAL_BYTES.value} bytes of external data")
    return room - used


def _filled(column: Column, value: str | None) -> str | None:
    return "" if value is None and column.type is KqlType.STRING else value


def _unpacked(location: str, body: bytes, most: int) -> Iterator[bytes]:
    """The files in a compressed one, none read beyond the limit."""
    name = shown(location).lower()
    if name.endswith(".gz"):
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as packed:
            yield packed.read(most + 1)
    elif name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            for item in archive.infolist():
                if not item.is_dir():
                    with archive.open(item) as packed_item:
                        yield packed_item.read(most + 1)
    else:
        yield body


def _records(external: External, body: bytes) -> Iterator[tuple[str | None, ...]]:
    if external.format in SEPARATORS:
        # The limit of the module is for all of its users; it bounds one value, and the file is bounded as a whole.
        csv.field_size_limit(EXTERNAL_BYTES.value)
        text = io.StringIO(_text(body), newline="")
        for fields in csv.reader(text, delimiter=SEPARATORS[external.format]):
            if fields:
                yield _of_fields(external, fields)
    elif external.format in ("txt", "raw"):
        lines = [_text(body)] if external.format == "raw" else _text(body).splitlines()
        for line in lines:
            yield _of_fields(external, [line])
    elif external.format == "parquet":
        yield from _of_parquet(external, body)
    else:
        for value in _json_lines(_text(body)) if external.format == "json" else _json_values(_text(body)):
            yield _of_object(external, value)


def _text(body: bytes) -> str:
    return body.decode("utf-8-sig", errors="replace")


def _of_fields(external: External, fields: Sequence[str]) -> tuple[str | None, ...]:
    row: list[str | None] = []
    for position, place in enumerate(_places(external)):
        if place is not None and place.constant is not None:
            row.append(place.constant)
            continue
        ordinal = position if not external.mapping else -1 if place is None or place.ordinal is None else place.ordinal
        row.append(fields[ordinal] if 0 <= ordinal < len(fields) else None)
    return tuple(row)


def _places(external: External) -> tuple[Mapped | None, ...]:
    return external.mapping or (None,) * len(external.columns)


def _json_lines(text: str) -> Iterator[Any]:
    return (json.loads(line) for line in text.splitlines() if line.strip())


def _json_values(text: str) -> Iterator[Any]:
    """The values of a text one after the other; those of an array are records of their own."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at] in " \t\r\n,":
            at += 1
            continue
        value, at = decoder.raw_decode(text, at)
        yield from value if isinstance(value, list) else (value,)


def _of_object(external: External, value: Any) -> tuple[str | None, ...]:
    row: list[str | None] = []
    for column, place in zip(external.columns, _places(external), strict=True):
        if external.mapping and place is None:
            row.append(None)
        elif place is not None and place.constant is not None:
            row.append(place.constant)
        else:
            steps = (column.name,) if place is None or place.path is None else place.path
            row.append(_shown(column, _at(value, steps)))
    return tuple(row)


def _at(value: Any, steps: Sequence[str | int]) -> Any:
    for step in steps:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _of_parquet(external: External, body: bytes) -> Iterator[tuple[str | None, ...]]:
    source = parquet.ParquetFile(pa.BufferReader(body))
    groups = range(source.metadata.num_row_groups)
    _less(EXTERNAL_BYTES.value, sum(source.metadata.row_group(group).total_byte_size for group in groups))
    for batch in source.iter_batches():
        for value in batch.to_pylist():
            yield _of_object(external, value)


def _shown(column: Column, value: Any) -> str | None:
    """A value as the text that the query converts."""
    if value is None:
        return None
    if isinstance(value, dt.date):
        moment = value if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time())
        value = datetime_text(ticks_from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)))
    elif isinstance(value, dt.timedelta):
        value = timespan_text(value // dt.timedelta(microseconds=1) * PER_MICROSECOND)
    elif isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, str) and column.type is not KqlType.DYNAMIC:
        return value
    if isinstance(value, bool | int | float | str | list | dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return str(value)
