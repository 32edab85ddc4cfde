"""Streams: which columns a body has, and the flows that lead its rows into tables.

A definition is data, stored in the workspace's file before the first body that needs it is acknowledged. So a frame that
waits in the journal is read, after any crash, by the very definition that accepted it, whatever the rule says by then.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from lurewire import kql
from lurewire.kql import Column, CompiledQuery, KqlType, Table, Tables
from lurewire.workspace.catalog import TIME, StoredColumn, StoredTable
from lurewire.workspace.decoding import RowDecoder
from lurewire.workspace.engine import BATCH
from lurewire.workspace.storage import HIDDEN, STORAGE, WIDENS

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE = "source"
"""The name of the incoming rows in a transform; alone, it is the transform that changes nothing."""

MAX_ROWS = 1 << 25
"""Records of one body: the ordinals of its flows stay apart and fit their column."""
MAX_FLOWS = 63


class StreamColumn(msgspec.Struct, frozen=True):
    """A declared column."""

    name: str
    type: KqlType


class FlowDefinition(msgspec.Struct, frozen=True):
    """Rows of the stream, through `transform` (KQL over `source`), into `table`."""

    table: str
    transform: str = SOURCE


class StreamDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is stored of a stream.

    `field_bytes` is the limit of one text. `past` and `ahead` are ticks: a record whose time is further from its receipt
    gets the time of receipt. Of each, 0 is none.
    """

    columns: tuple[StreamColumn, ...]
    flows: tuple[FlowDefinition, ...]
    field_bytes: int = 0
    past: int = 0
    ahead: int = 0

    @classmethod
    def of(
        cls,
        columns: Sequence[Column],
        flows: Sequence[FlowDefinition],
        *,
        field_bytes: int = 0,
        past: int = 0,
        ahead: int = 0,
    ) -> StreamDefinition:
        """The definition of a stream with these KQL columns."""
        declared = tuple(StreamColumn(c.name, c.type) for c in columns)
        return cls(declared, tuple(flows), field_bytes, past, ahead)

    def document(self) -> bytes:
        """The stored form."""
        return msgspec.json.encode(self)

    @property
    def id(self) -> str:
        """The name that frames call it by: equal definitions have one."""
        return hashlib.blake2b(self.document(), digest_size=16).hexdigest()


class Flow:
    """A flow that is compiled; `past` and `ahead` are the stream's. Raises the KQL room's `KqlError`."""

    def __init__(
        self, columns: Sequence[Column], definition: FlowDefinition, index: int, *, past: int = 0, ahead: int = 0
    ) -> None:
        self.table = definition.table
        self._past = past
        self._ahead = ahead
        self._index = index
        self._rows = f"select * from {BATCH}"  # noqa: S608 - a constant
        self.outputs = tuple(columns)
        self.parameters: frozenset[str] = frozenset()
        """What the statement of `insert` takes by name: `now`, in ticks, where the transform asks for it."""
        if definition.transform.strip() != SOURCE:
            compiled = _compile(definition.transform, self.outputs)
            self._rows, self.outputs, self.parameters = compiled.sql, compiled.columns, compiled.parameters

    def insert(self, target: StoredTable) -> str:
        """The statement that loads the cursor's batch into `target`.

        What the table has no column for is left out; a value whose type does not fit any more is null.
        """
        fields = {c.name: f"o.c{i}" for i, c in enumerate(self.outputs)}
        types = {c.name: c.type for c in self.outputs}
        names, values = [], []
        for column in target.columns:
            if column.constant:
                continue
            value = _fitted(fields.get(column.name), types.get(column.name), column)
            if column.name == TIME:
                value = self._time(value)
            if value is not None:
                names.append(column.sql)
                values.append(value)
        offset = f" + {self._index * MAX_ROWS}" if self._index else ""
        names += HIDDEN
        values += ["o._commit", f"o._ordinal{offset}", "o._received"]
        return f"insert into {target.relation}({', '.join(names)}) select {', '.join(values)} from ({self._rows}) o"  # noqa: S608 - generated names only

    def _time(self, value: str | None) -> str:
        """A record's time: the given one where it is there and not too far from the receipt."""
        if value is None:
            return "o._received"
        if not self._past and not self._ahead:
            return f"coalesce({value}, o._received)"
        near = f"{value} between o._received - {self._past} and o._received + {self._ahead}"
        return f"case when {near} then {value} else o._received end"


class Stream:
    """A stream that is ready: decodes bodies, loads rows.

    Raises the KQL room's `KqlError`, and `ValueError` for more than `MAX_FLOWS` flows.
    """

    def __init__(self, definition: StreamDefinition) -> None:
        if len(definition.flows) > MAX_FLOWS:
            raise ValueError(f"a stream has at most {MAX_FLOWS} flows")
        self.definition = definition
        self.id = definition.id
        columns = [Column(c.name, c.type) for c in definition.columns]
        self.columns = tuple(columns)
        self.decoder = RowDecoder(columns, definition.field_bytes)
        self.flows = tuple(
            Flow(columns, flow, i, past=definition.past, ahead=definition.ahead)
            for i, flow in enumerate(definition.flows)
        )


def _compile(transform: str, columns: tuple[Column, ...]) -> CompiledQuery:
    names = tuple(f"c{i}" for i in range(len(columns)))
    source = Table(SOURCE, columns, BATCH, names, identity=HIDDEN, time_column=None)
    return kql.compile(transform, Tables([source]), profile="transform", keep_identity=True)


def direct_stream(table: StoredTable) -> StreamDefinition:
    """The stream whose rows are a table's rows, unchanged."""
    columns = [Column(c.name, c.type) for c in table.columns if not c.constant]
    return StreamDefinition.of(columns, [FlowDefinition(table.name)])


def misfits(outputs: Sequence[Column], table: StoredTable) -> list[tuple[str, KqlType, KqlType]]:
    """(name, produced type, table's type) of each output that the table's column of that name does not take."""
    found = []
    for output in outputs:
        column = table.column(output.name)
        if column is not None and not column.constant and column.type is not output.type:
            found.append((output.name, output.type, column.type))
    return found


def _fitted(value: str | None, produced: KqlType | None, column: StoredColumn) -> str | None:
    if value is None or produced is None or produced is column.type:
        return value
    return f"{value}::{STORAGE[column.type].sql}" if (produced, column.type) in WIDENS else None
