"""What the values of a body lost on their way into columns: kept beside the rows, so that somebody can be told.

A value over the limit of a field is cut (https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api);
one that its column's type has no form of is null (contract, section B.3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from lurewire.kql import KqlType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.kql import Column

_TEXTS = (KqlType.STRING, KqlType.DYNAMIC)


@dataclass(slots=True)
class Losses:
    """By column name: how many values became null, and how many were cut, with the longest of these in bytes.

    `nothing_known` says that there are records, and that none of them has a value for any declared column.
    """

    mistyped: dict[str, int] = field(default_factory=dict)
    cut: dict[str, tuple[int, int]] = field(default_factory=dict)
    nothing_known: bool = False

    def __bool__(self) -> bool:
        return bool(self.mistyped or self.cut or self.nothing_known)


def clip(arrays: Sequence[pa.Array], columns: Sequence[Column], limit: int, losses: Losses | None) -> list[pa.Array]:
    """The arrays with every text cut to `limit` bytes of UTF-8, between two characters.

    A dynamic value of which only the start is left is no JSON any more: it becomes the string of that start.
    """
    return [
        _clipped(array, column, limit, losses) if column.type in _TEXTS else array
        for array, column in zip(arrays, columns, strict=True)
    ]


def is_empty(arrays: Sequence[pa.Array]) -> bool:
    """Whether no array holds any value; an empty text is none."""
    return all(
        array.null_count == len(array) or (pa.types.is_string(array.type) and not _longest(array)) for array in arrays
    )


def _longest(array: pa.Array) -> int:
    return pc.max(pc.binary_length(array)).as_py() or 0


def _clipped(array: pa.Array, column: Column, limit: int, losses: Losses | None) -> pa.Array:
    if array.nbytes <= limit:  # of all values together: seldom more, and told without a look at each
        return array
    longest = _longest(array)
    if longest <= limit:
        return array
    over = pc.fill_null(pc.greater(pc.binary_length(array), limit), fill_value=False)
    values = array.filter(over).to_pylist()
    if losses is not None:
        losses.cut[column.name] = len(values), longest
    cut = _start_of_json if column.type is KqlType.DYNAMIC else _start
    return pc.replace_with_mask(array, over, pa.array([cut(value, limit) for value in values], array.type))


def _start(text: str, limit: int) -> str:
    return text.encode()[:limit].decode(errors="ignore")


def _start_of_json(text: str, limit: int) -> str:
    value = msgspec.json.decode(text) if text.startswith('"') else text
    return msgspec.json.encode(_start(value, limit)).decode()
