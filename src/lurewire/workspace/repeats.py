"""Keys of what was accepted, so that a repeat changes nothing: 24 bytes a key, found in microseconds.

The newest keys are a dict, older ones sorted arrays of one time bucket each, dropped whole when their time is over.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_SEAL = 50_000
_MERGE_BELOW = 250_000
_LOW = (1 << 64) - 1


class Span(IntEnum):
    """How long a key is kept: a client's request 24 hours (contract, repeat detection), a room's own row longer.

    A room's message may come again when a process starts after a long pause: 90 days.
    """

    REQUEST = 1
    ROOM = 90

    @property
    def ticks(self) -> int:
        """The span in ticks of 100 ns."""
        return self.value * 24 * 3600 * 10_000_000


class Key(NamedTuple):
    """128 bits of a hash over everything that makes two writes the same one."""

    high: int
    low: int
    span: Span


def make_key(span: Span, *parts: str | bytes) -> Key:
    """The key of a write; parts are kept apart by their lengths."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    value = int.from_bytes(digest.digest(), "little")
    return Key(value >> 64, value & _LOW, span)


class Repeats:
    """The keys of one span and the commits that they were stored with. Not safe across threads."""

    def __init__(self, span: Span) -> None:
        self._span = span.ticks
        self._bucket = max(1, self._span // 24)
        self._now = 0
        self._current: dict[tuple[int, int], int] = {}
        self._sealed: list[tuple[int, NDArray[np.uint64], NDArray[np.int64]]] = []

    def add(self, high: int, low: int, commit: int, received: int) -> None:
        """Remember a key; forgets what is over by `received` (ticks)."""
        bucket = received // self._bucket
        if bucket > self._now:
            self._seal()
            self._now = bucket
            oldest = (received - self._span) // self._bucket
            self._sealed = [sealed for sealed in self._sealed if sealed[0] >= oldest]
        self._current[(high, low)] = commit
        if len(self._current) >= _SEAL:
            self._seal()

    def add_all(self, rows: Iterable[tuple[int, int, int, int]]) -> None:
        """`add` for rows of (high, low, commit, received), in order of time."""
        for row in rows:
            self.add(*row)

    def find(self, high: int, low: int) -> int | None:
        """The commit of a key, or None."""
        commit = self._current.get((high, low))
        if commit is not None:
            return commit
        wanted = np.uint64(high)
        for _, keys, commits in reversed(self._sealed):
            at = int(np.searchsorted(keys[0], wanted))
            while at < keys.shape[1] and keys[0, at] == wanted:
                if int(keys[1, at]) == low:
                    return int(commits[at])
                at += 1
        return None

    def _seal(self) -> None:
        if not self._current:
            return
        keys = np.array(list(self._current), dtype=np.uint64).T
        commits = np.fromiter(self._current.values(), dtype=np.int64, count=len(self._current))
        if self._sealed and self._sealed[-1][0] == self._now and len(self._sealed[-1][2]) < _MERGE_BELOW:
            _, old_keys, old_commits = self._sealed.pop()
            keys = np.concatenate([old_keys, keys], axis=1)
            commits = np.concatenate([old_commits, commits])
        order = np.argsort(keys[0], kind="stable")
        self._sealed.append((self._now, np.ascontiguousarray(keys[:, order]), commits[order]))
        self._current.clear()
