"""The schema of a table and of the stream that fills it, from a sample of events.

Sources: https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table (names, types, reserved columns),
https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-rule-structure (types of a stream).
A whole number is long: int would make null of the first one that is larger than the sample's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from lurewire.kql import Column, KqlType, ticks_from_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TIME = "TimeGenerated"
MOST_COLUMNS = 500
RESERVED = frozenset(("_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"))
TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}_CL")

_TABLE_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,44}")
_LONGEST_COLUMN = 45
_STREAM_COLUMN = re.compile(r'[^"\\]{1,128}')
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s?(Z|[+-]\d\d:?\d\d)?)?")
_TIME_NAMES = ("timestamp", "time", "eventtime", "event_time", "@timestamp", "datetime", "created", "createdat", "date")
_DEEPEST = 100
_LONG = range(-(2**63), 2**63)
_SECONDS = range(10**8, 10**10)
_MILLISECONDS = range(10**11, 10**13)

_STREAM_TYPES = {KqlType.BOOL: "boolean"}
_TABLE_TYPES = _STREAM_TYPES | {KqlType.DATETIME: "dateTime"}


class SampleError(ValueError):
    """The sample is none: says what it is instead, and where."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """What a sample says: the stream's columns, the table's, and the transform that leads from one to the other.

    `renamed` has the table's name of each column whose own the table cannot have; `notes` are what a person should see.
    """

    stream: tuple[Column, ...]
    table: tuple[Column, ...]
    transform: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def stream_columns(self) -> list[dict[str, str]]:
        """The columns as a data collection rule declares them."""
        return [{"name": c.name, "type": _STREAM_TYPES.get(c.type, str(c.type))} for c in self.stream]

    @property
    def table_columns(self) -> list[dict[str, str]]:
        """The columns as a workspace's table declares them."""
        return [{"name": c.name, "type": _TABLE_TYPES.get(c.type, str(c.type))} for c in self.table]


class Sample(NamedTuple):
    """A sample, decoded: `value` is what the text is, `lines` says that it is the list of newline-delimited records."""

    value: Any
    lines: bool

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records. Raises `SampleError`."""
        return records_of(self.value)


def read_sample(text: bytes) -> Sample:
    """A sample's text: an object, an array of objects, or newline-delimited JSON. Raises `SampleError`."""
    content = text.removeprefix(b"\xef\xbb\xbf").strip()
    if not content:
        raise SampleError("the sample is empty")
    try:
        return _decoded(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SampleError(f"the sample is no JSON: {error}") from None


def sample_of(value: Any, *, lines: bool = False) -> Sample:
    """A sample that is decoded already. Raises `SampleError` where it is nested too deep."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(_DEEPEST):
        level = [
            child
            for one in level
            for child in (one.values() if isinstance(one, dict) else one)
            if isinstance(child, dict | list)
        ]
        if not level:
            return Sample(value, lines)
    raise SampleError(f"the sample is nested more than {_DEEPEST} deep")


def records_of(values: Any) -> list[dict[str, Any]]:
    """The records of a sample that is decoded already. Raises `SampleError`."""
    records = values if isinstance(values, list) else [values]
    for place, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise SampleError(f"record {place} of the sample is no JSON object")
    if not any(records):
        raise SampleError("the sample has no property")
    return records


def _decoded(content: bytes) -> Sample:
    try:
        return sample_of(msgspec.json.decode(content))
    except msgspec.DecodeError:
        lines = [line for line in content.splitlines() if line.strip()]
        if len(lines) == 1 or not all(line.lstrip().startswith(b"{") for line in lines):
            raise
        return sample_of([msgspec.json.decode(line) for line in lines], lines=True)


def infer(records: Sequence[Mapping[str, Any]], *, time: str = "") -> Inferred:
    """The schema that all records fit; `time` names the property that is the event's time.

    Raises `SampleError`, also for a `time` that no record has.
    """
    notes: list[str] = []
    stream = _stream(records, notes)
    if not stream:
        raise SampleError("no property of the sample has a name that a stream's column can have")
    if time and time not in (column.name for column in stream):
        raise SampleError(f"no record of the sample has the property '{time[:80]}'")
    renamed = _renamed(stream, notes)
    moment = _moment(stream, records, time, notes)
    table = [Column(renamed.get(c.name, c.name), c.type) for c in stream if c.name != TIME]
    steps = ["source"]
    if renamed:
        steps.append("project-rename " + ", ".join(f"{new} = {quoted(old)}" for old, new in renamed.items()))
    if moment is not None:
        name, expression = moment
        steps.append(f"extend {TIME} = {expression.format(quoted(renamed.get(name, name)))}")
    return Inferred(tuple(stream), (Column(TIME, KqlType.DATETIME), *table), " | ".join(steps), renamed, tuple(notes))


def quoted(name: str) -> str:
    """A column's name as KQL takes it."""
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return name if _IDENTIFIER.fullmatch(name) else f"['{escaped}']"


def _stream(records: Iterable[Mapping[str, Any]], notes: list[str]) -> list[Column]:
    kinds: dict[str, KqlType | None] = {}
    mixed: set[str] = set()
    for record in records:
        for name, value in record.items():
            kind, before = _kind(value), kinds.get(name)
            kinds[name] = _wider(before, kind)
            if before is not None and kind is not None and kinds[name] not in (before, kind):
                mixed.add(name)
    columns = []
    for name, kind in kinds.items():
        if not _STREAM_COLUMN.fullmatch(name) or not name.isprintable():
            notes.append(f"'{name[:80]}' is left out: no column of a stream can have that name")
            continue
        if kind is None:
            notes.append(f"'{name}' is null in every record: string is a guess")
        if name in mixed:
            notes.append(f"'{name}' has values of different types: it is {kind}")
        columns.append(Column(name, kind or KqlType.STRING))
    if len(columns) >= MOST_COLUMNS:
        notes.append(
            f"only the first {MOST_COLUMNS - 1} of {len(columns)} properties are taken: a table has no more columns"
        )
        return columns[: MOST_COLUMNS - 1]
    return columns


def _kind(value: Any) -> KqlType | None:
    """The type of one value, None for null."""
    if value is None:
        return None
    if isinstance(value, bool):
        return KqlType.BOOL
    if isinstance(value, int):
        return KqlType.LONG if value in _LONG else KqlType.REAL
    if isinstance(value, float):
        return KqlType.REAL
    if isinstance(value, str):
        return KqlType.DATETIME if _MOMENT.fullmatch(value) and ticks_from_text(value) is not None else KqlType.STRING
    return KqlType.DYNAMIC


def _wider(one: KqlType | None, other: KqlType | None) -> KqlType | None:
    """The type that takes the values of both."""
    if one is None or other is None or one is other:
        return one or other
    pair = {one, other}
    if KqlType.DYNAMIC in pair:
        return KqlType.DYNAMIC
    return KqlType.REAL if pair == {KqlType.LONG, KqlType.REAL} else KqlType.STRING


def _renamed(stream: Sequence[Column], notes: list[str]) -> dict[str, str]:
    """The table's names of the columns whose own it cannot have."""
    taken = {column.name for column in stream if _fits(column.name)} | {TIME}
    renamed = {}
    for column in stream:
        if _fits(column.name):
            continue
        name = fitting_name(column.name)
        number = 2
        while name in taken:
            suffix = f"_{number}"
            name = fitting_name(column.name)[: _LONGEST_COLUMN - len(suffix)] + suffix
            number += 1
        taken.add(name)
        renamed[column.name] = name
        why = "is reserved" if column.name in RESERVED else "is no name of a table's column"
        notes.append(f"'{column.name}' {why}: the table has it as '{name}'")
    return renamed


def _fits(name: str) -> bool:
    return _TABLE_COLUMN.fullmatch(name) is not None and name not in RESERVED


def fitting_name(name: str) -> str:
    """The name of a table's column that is nearest to `name`: a letter, then letters, digits and `_`, 45 in all."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name).lstrip("_0123456789").rstrip("_")[:_LONGEST_COLUMN] or "column"
    return f"{plain}_" if plain in RESERVED else plain


def _moment(
    stream: Sequence[Column], records: Sequence[Mapping[str, Any]], wanted: str, notes: list[str]
) -> tuple[str, str] | None:
    """What TimeGenerated is made of: a column and the expression over it; None where the stream has it as it should be."""
    by_name = {column.name: column for column in stream}
    own = by_name.get(TIME)
    if own is not None and own.type is KqlType.DATETIME and wanted in ("", TIME):
        return None
    name = wanted or (TIME if own is not None else _likely_time(stream))
    if name is not None:
        expression = _as_time(by_name[name].type, [record.get(name) for record in records])
        if expression is not None:
            notes.append(f"{TIME} is made of '{name}'")
            return name, expression
        if wanted:
            raise SampleError(
                f"the property '{wanted[:80]}' is no time: neither an ISO 8601 text nor seconds since 1970"
            )
    notes.append(f"no property is taken for the event's time: {TIME} is the time of ingestion")
    return TIME, "now()"


def _likely_time(stream: Sequence[Column]) -> str | None:
    moments = [column.name for column in stream if column.type is KqlType.DATETIME]
    known = sorted((n for n in moments if n.lower() in _TIME_NAMES), key=lambda n: _TIME_NAMES.index(n.lower()))
    return known[0] if known else moments[0] if len(moments) == 1 else None


def _as_time(kind: KqlType, values: Iterable[Any]) -> str | None:
    # Transformations know no unixtime_*_todatetime().
    if kind is KqlType.DATETIME:
        return "{}"
    numbers = [value for value in values if value is not None]
    if kind not in (KqlType.LONG, KqlType.REAL) or not numbers:
        return None
    if all(int(number) in _SECONDS for number in numbers):
        return "datetime(1970-01-01) + {} * 1s"
    if all(int(number) in _MILLISECONDS for number in numbers):
        return "datetime(1970-01-01) + {} * 1ms"
    return None
