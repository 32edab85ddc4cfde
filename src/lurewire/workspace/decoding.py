"""A JSON array of records becomes an Arrow table with one column per declared column, named c0, c1, ...

The common body, whose values all have their columns' types, goes through msgspec's typed decoder and whole-column
conversions (about 100 MB/s on one core). Any other is read value by value. Columns that are not declared are dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from lurewire.kql import Column, KqlType
from lurewire.workspace.coercion import coerce, unescape
from lurewire.workspace.columns import Mistyped, plain_column, typed_column
from lurewire.workspace.losses import Losses, clip, is_empty
from lurewire.workspace.storage import STORAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

_BOM = b"\xef\xbb\xbf"
_MANY_ESCAPES = 2_000
_MANY_BACKSLASHES = 20_000  # each is looked at once one of them begins an escaped character: 8 ms
_MISSING = msgspec.Raw(b"null")
_NOTHING = (b"", b"null")


class BadBody(Exception):
    """The body is no JSON array of objects; says why."""


class RowDecoder:
    """Decodes bodies for a fixed list of columns; safe to use from several threads.

    `field_bytes` is the limit of one text, 0 for none. Where a method is given `losses`, it notes there what was lost.
    """

    def __init__(self, columns: Sequence[Column], field_bytes: int = 0) -> None:
        self._columns = tuple(columns)
        self._field_bytes = field_bytes
        self._names = [f"c{i}" for i in range(len(columns))]
        self._typed = msgspec.json.Decoder(list[self._record(careful=False)])  # type: ignore[misc]
        self._raw = msgspec.json.Decoder(list[self._record(careful=True)])  # type: ignore[misc]
        self._has_dynamic = any(c.type is KqlType.DYNAMIC for c in columns)

    def fast(self, body: bytes, losses: Losses | None = None) -> pa.Table | None:
        """The records, or None where the body needs `careful`: that may take tens of milliseconds, so call it off the loop.

        Raises `BadBody`.
        """
        # One byte is found ten times faster than two, and most bodies have no escape at all.
        escapes = body.count(b"\\u") if b"\\" in body else 0
        if escapes > _MANY_ESCAPES or (escapes and body.count(b"\\") > _MANY_BACKSLASHES):
            return None
        text = self._normalised(body)
        try:
            records = self._typed.decode(text)
            return self._table(self._arrays(records), len(records), len(text), losses)
        except (msgspec.ValidationError, OverflowError, pa.ArrowInvalid, Mistyped):
            return None
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadBody(f"The body is not valid JSON: {error}") from error

    def careful(self, body: bytes, losses: Losses | None = None) -> pa.Table:
        """The records, value by value. Raises `BadBody`."""
        text = self._normalised(body)
        try:
            if self._has_dynamic:  # the texts of objects and arrays become values: without blanks
                text = msgspec.json.format(text, indent=-1)
            records = self._raw.decode(text)
        except msgspec.ValidationError as error:
            raise BadBody(f"The body is not a JSON array of objects: {error}") from error
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadBody(f"The body is not valid JSON: {error}") from error
        arrays = []
        for name, column in zip(self._names, self._columns, strict=True):
            raws = [bytes(getattr(record, name)) for record in records]
            values = [coerce(raw, column.type) for raw in raws]
            arrays.append(plain_column(values, column.type))
            if losses is not None and None in values:
                wrong = sum(v is None and raw not in _NOTHING for v, raw in zip(values, raws, strict=True))
                losses.mistyped |= {column.name: wrong} if wrong else {}
        return self._table(arrays, len(records), len(text), losses)

    def decode(self, body: bytes, losses: Losses | None = None) -> pa.Table:
        """The records, by whichever way. Raises `BadBody`."""
        rows = self.fast(body, losses)
        return self.careful(body, losses) if rows is None else rows

    def _record(self, *, careful: bool) -> type:
        fields: list[tuple[str, Any, Any]] = []
        for name, column in zip(self._names, self._columns, strict=True):
            raw = careful or column.type is KqlType.DYNAMIC
            kind = msgspec.Raw if raw else STORAGE[column.type].json
            fields.append((name, kind, msgspec.field(default=_MISSING if raw else None, name=column.name)))
        return msgspec.defstruct("Record", fields, gc=False)

    def _normalised(self, body: bytes) -> bytes:
        text = body.removeprefix(_BOM)
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise BadBody(f"The body is not UTF-8: {error.reason} at byte {error.start}") from error
        if b"\\" in text and b"\\u" in text:
            text = unescape(text)
        return text

    def _arrays(self, records: list[Any]) -> list[pa.Array]:
        by_column = zip(*map(msgspec.structs.astuple, records), strict=True) if records else [()] * len(self._columns)
        return [typed_column(values, column.type) for values, column in zip(by_column, self._columns, strict=True)]

    def _table(self, arrays: list[pa.Array], count: int, size: int, losses: Losses | None) -> pa.Table:
        if not arrays:  # an Arrow table without columns has no rows
            raise BadBody(f"No column is declared for {count} records.")
        if 0 < self._field_bytes < size:
            arrays = clip(arrays, self._columns, self._field_bytes, losses)
        if losses is not None:
            losses.nothing_known = count > 0 and not losses.mistyped and is_empty(arrays)
        return pa.Table.from_arrays(arrays, names=self._names)
