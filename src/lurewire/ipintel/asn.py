"""Address ranges and their autonomous systems, as one memory-mapped file that opens at once.

Layout, all integers in the byte order of the machine that wrote it: a header of six uint32 (mark, format, IPv4 ranges,
IPv6 ranges, systems, bytes of names), then columns: IPv6 first and last address (each uint64 high, uint64 low),
IPv4 first, last, system (uint32), IPv6 system (uint32), number of each system (uint32), end of each system's name in
the names (uint32), the names in UTF-8.
"""

from __future__ import annotations

import bisect
import csv
import mmap
import os
import struct
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lurewire.ipintel.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lurewire.ipintel.addresses import Address

FORMAT = 1
_MARK = 0x4C57_4153  # its bytes differ where the byte order does
_HEADER = struct.Struct("=6I")
_LOW = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class AutonomousSystem:
    """An AS number and the name of the organisation that holds it."""

    number: int
    name: str


@dataclass(slots=True)
class _Systems:
    """The distinct (number, name) pairs, in order of first appearance."""

    index: dict[tuple[int, str], int] = field(default_factory=dict)

    def add(self, number: int, name: str) -> int:
        return self.index.setdefault((number, name), len(self.index))


def build(ipv4_csv: Path, ipv6_csv: Path, target: Path) -> None:
    """Write the index of two CSV files with the columns first, last (integers), AS number, organisation.

    Where a range runs into the next, the next one holds. Raises `DataError` for a row of another shape, for ranges out of
    order, and for a range inside another.
    """
    systems = _Systems()
    v4 = _read(ipv4_csv, 32, systems)
    v6 = _read(ipv6_csv, 128, systems)
    names = [name.encode() for _, name in systems.index]
    ends = array("I")
    at = 0
    for name in names:
        at += len(name)
        ends.append(at)
    with target.open("wb") as file:
        file.write(_HEADER.pack(_MARK, FORMAT, len(v4), len(v6), len(names), at))
        for column in (0, 1):
            array("Q", [row[column] >> 64 for row in v6]).tofile(file)
            array("Q", [row[column] & _LOW for row in v6]).tofile(file)
        for column in (0, 1, 2):
            array("I", [row[column] for row in v4]).tofile(file)
        array("I", [row[2] for row in v6]).tofile(file)
        array("I", [number for number, _ in systems.index]).tofile(file)
        ends.tofile(file)
        file.write(b"".join(names))


def _read(path: Path, bits: int, systems: _Systems) -> list[tuple[int, int, int]]:
    rows: list[tuple[int, int, int]] = []
    with path.open(encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.reader(file), 1):
            try:
                first, last, number, name = _fields(row, bits)
            except ValueError:
                raise DataError(f"{path.name}, line {line}: not a row of first, last, number, organisation") from None
            before, end, system = rows[-1] if rows else (-1, -1, 0)
            if not before < first <= last or last < end:
                raise DataError(f"{path.name}, line {line}: the ranges are not in ascending order")
            if first <= end:
                # Published data has such rows: of two that overlap, the one that begins later is the narrower.
                rows[-1] = (before, first - 1, system)
            rows.append((first, last, systems.add(number, name)))
    return rows


def _fields(row: list[str], bits: int) -> tuple[int, int, int, str]:
    first, last, number, name = row
    numbers = int(first), int(last), int(number)
    if min(numbers) < 0 or numbers[1] >> bits or numbers[2] >> 32:
        raise ValueError
    return *numbers, name


class AsnIndex:
    """Finds the autonomous system of an address in a file that `build` wrote; `close` releases it.

    Raises `DataError` where the file is not whole, or of another format or byte order.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
            mark, version, v4, v6, systems, name_bytes = _HEADER.unpack(head.ljust(_HEADER.size, b"\0"))
            size = _HEADER.size + 36 * v6 + 12 * v4 + 8 * systems + name_bytes
            whole = (mark, version, os.fstat(file.fileno()).st_size) == (_MARK, FORMAT, size)
            if whole:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if not whole:
            raise DataError(
                f"{path} is not a whole AS index of format {FORMAT}; delete its folder and fetch the data again"
            )
        view = memoryview(self._map)
        at = _HEADER.size

        def column(count: int, code: Literal["I", "Q"] = "I") -> memoryview:
            nonlocal at
            start, at = at, at + count * struct.calcsize(code)
            return view[start:at].cast(code)

        self._first_high, self._first_low = column(v6, "Q"), column(v6, "Q")
        self._last_high, self._last_low = column(v6, "Q"), column(v6, "Q")
        self._first, self._last, self._system = column(v4), column(v4), column(v4)
        self._system6 = column(v6)
        self._numbers, self._name_ends = column(systems), column(systems)
        self._names = view[at:]
        self._rows6: Sequence[int] = range(v6)

    def __len__(self) -> int:
        """The number of IPv4 ranges."""
        return len(self._first)

    def ipv4_range(self, index: int) -> tuple[int, int]:
        """The first and last address of an IPv4 range."""
        return self._first[index], self._last[index]

    def find(self, address: Address) -> AutonomousSystem | None:
        """The system that announces `address`, as far as the data knows."""
        value = int(address)
        if address.version == 4:
            at = bisect.bisect_right(self._first, value) - 1
            return self._named(self._system[at]) if at >= 0 and value <= self._last[at] else None
        at = bisect.bisect_right(self._rows6, value, key=self._first6) - 1
        if at < 0 or value > (self._last_high[at] << 64 | self._last_low[at]):
            return None
        return self._named(self._system6[at])

    def close(self) -> None:
        """Release the file; the index is of no more use."""
        for column in [name for name, value in vars(self).items() if isinstance(value, memoryview)]:
            getattr(self, column).release()
        self._map.close()

    def _first6(self, row: int) -> int:
        return self._first_high[row] << 64 | self._first_low[row]

    def _named(self, system: int) -> AutonomousSystem:
        start = self._name_ends[system - 1] if system else 0
        return AutonomousSystem(self._numbers[system], bytes(self._names[start : self._name_ends[system]]).decode())
