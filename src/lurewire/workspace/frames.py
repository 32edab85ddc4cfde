"""The journal's bytes: segments of frames.

A segment starts with `SEGMENT_HEAD` (magic, seed, first commit). A frame is `FRAME_HEAD` (magic, crc32, commit, time of
receipt, kind, lengths), a header and a body as it came from the wire. The crc32 starts from the segment's random seed, so
that nobody can hide bytes in a body that would pass for a frame when a damaged segment is searched for the next one.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SEGMENT_HEAD = struct.Struct("<4sIQ")
FRAME_HEAD = struct.Struct("<4sIQqHHI")
SEGMENT_MAGIC = b"LWS1"
FRAME_MAGIC = b"LWF1"

_COVERED_FROM = 8  # the crc covers what follows magic and crc


@dataclass(frozen=True, slots=True)
class Frame:
    """One journal frame: `commit` numbers it, `received` is in ticks, `kind` says who reads header and body."""

    commit: int
    received: int
    kind: int
    header: bytes
    body: bytes


class DamagedSegment(Exception):
    """The file does not start as a segment does."""


def segment_head(seed: int, first_commit: int) -> bytes:
    """The first bytes of a segment."""
    return SEGMENT_HEAD.pack(SEGMENT_MAGIC, seed, first_commit)


def frame_parts(seed: int, frame: Frame) -> tuple[bytes, bytes, bytes]:
    """The buffers to write for a frame, in order."""
    head = FRAME_HEAD.pack(FRAME_MAGIC, 0, frame.commit, frame.received, frame.kind, len(frame.header), len(frame.body))
    crc = zlib.crc32(frame.body, zlib.crc32(frame.header, zlib.crc32(head[_COVERED_FROM:], seed)))
    return head[:4] + crc.to_bytes(4, "little") + head[_COVERED_FROM:], frame.header, frame.body


class SegmentReader:
    """Reads a segment's frames; afterwards `end` is where the last whole frame ends, `damaged` what was skipped before it.

    Bytes behind `end` are a torn tail: a write that was never acknowledged. Raises `DamagedSegment`.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) < SEGMENT_HEAD.size or data[:4] != SEGMENT_MAGIC:
            raise DamagedSegment("the segment head is missing")
        _, self._seed, self.first_commit = SEGMENT_HEAD.unpack_from(data)
        self._data = data
        self.end = SEGMENT_HEAD.size
        self.damaged: list[tuple[int, int]] = []

    def frames(self) -> Iterator[Frame]:
        """All whole frames, in order."""
        at = self.end
        while at < len(self._data):
            found = self._frame_at(at)
            if found is None:
                at = self._data.find(FRAME_MAGIC, at + 1)
                if at < 0:
                    return
                continue
            frame, stop = found
            if at != self.end:
                self.damaged.append((self.end, at))
            at = self.end = stop
            yield frame

    def _frame_at(self, at: int) -> tuple[Frame, int] | None:
        data = self._data
        if at + FRAME_HEAD.size > len(data):
            return None
        magic, crc, commit, received, kind, header_size, body_size = FRAME_HEAD.unpack_from(data, at)
        header_at = at + FRAME_HEAD.size
        body_at = header_at + header_size
        stop = body_at + body_size
        if magic != FRAME_MAGIC or stop > len(data):
            return None
        covered = memoryview(data)[at + _COVERED_FROM : stop]
        if zlib.crc32(covered, self._seed) != crc:
            return None
        return Frame(commit, received, kind, data[header_at:body_at], data[body_at:stop]), stop
