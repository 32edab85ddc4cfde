"""The journal: what was acknowledged is here, synced to disk, until the engine has it.

One thread writes and syncs everything that waits in one go: a natural group commit, without a timer. A frame's number is
its commit: it rises for ever, across segments and restarts, and becomes the hidden `_commit` of the frame's rows.
"""

from __future__ import annotations

import os
import queue
import secrets
import threading
from typing import TYPE_CHECKING

from lurewire.core.log import get_logger
from lurewire.workspace.frames import (
    SEGMENT_HEAD,
    DamagedSegment,
    Frame,
    SegmentReader,
    frame_parts,
    segment_head,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_log = get_logger("workspace.journal")

_SUFFIX = ".journal"
_DAMAGED = ".damaged"
_MAX_BUFFERS = 1023  # of one writev; Linux takes 1,024
_MAX_GROUP_BYTES = 32 << 20


class JournalError(Exception):
    """The journal could not be written (disk full, device failed): nothing of the entry is stored.

    Where the message says that the journal takes nothing until the next start, the next start alone knows.
    """


class Entry:
    """What waits to be written; `commit` is set when it is. `payload` is the owner's, untouched."""

    __slots__ = ("body", "commit", "header", "kind", "payload", "received")

    def __init__(self, kind: int, received: int, header: bytes, body: bytes, payload: object = None) -> None:
        self.kind = kind
        self.received = received
        self.header = header
        self.body = body
        self.payload = payload
        self.commit = -1


class Journal:
    """Append-only segments in `folder`.

    `on_synced` gets each group of entries, in commit order, once it is on disk; `on_failed` gets the group whose write
    failed. Both are called on the journal's thread.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int,
        on_synced: Callable[[Sequence[Entry]], None],
        on_failed: Callable[[Sequence[Entry], JournalError], None],
    ) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._on_synced = on_synced
        self._on_failed = on_failed
        self._queue: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._segments: list[tuple[int, Path]] = []
        self._segments_lock = threading.Lock()
        self._file = -1
        self._seed = 0
        self._size = 0
        self._next = 1
        self._broken: str | None = None
        self._failing = False

    def open(self, loaded: int) -> list[Frame]:
        """Cut the torn tail, delete what is loaded, start the writer.

        Returns the frames that are not loaded yet, without their bodies.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        waiting: list[Frame] = []
        last = loaded
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            frames = self._recover(path)
            waiting += [Frame(f.commit, f.received, f.kind, f.header, b"") for f in frames if f.commit > loaded]
            last = max([last, *(f.commit for f in frames)])
            if frames and frames[-1].commit > loaded:
                self._segments.append((frames[0].commit, path))
            else:
                path.unlink(missing_ok=True)
        self._next = last + 1
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._thread.start()
        return waiting

    def append(self, entry: Entry) -> None:
        """Hand an entry to the writer; it becomes durable in the order of the calls."""
        self._queue.put(entry)

    def replay(self, after: int, through: int) -> Iterator[Frame]:
        """The frames on disk with `after < commit <= through`, in order."""
        with self._segments_lock:
            segments = [path for first, path in self._segments if first <= through]
        for path in segments:
            for frame in SegmentReader(path.read_bytes()).frames():
                if after < frame.commit <= through:
                    yield frame

    def release(self, through: int) -> None:
        """Delete the closed segments that hold nothing behind commit `through`: the engine has them, durably."""
        with self._segments_lock:
            nexts = [first for first, _ in self._segments[1:]]
            if self._file < 0:  # nothing was written since the start: the last one is closed too
                nexts.append(self._next)
            closed = [path for (_, path), after in zip(self._segments, nexts, strict=False) if after - 1 <= through]
            del self._segments[: len(closed)]
        for path in closed:
            path.unlink(missing_ok=True)

    def flush(self) -> None:
        """Write what waits and stop writing."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def close(self, loaded: int) -> None:
        """Close; segments of which everything is loaded are deleted."""
        self.flush()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if loaded == self._next - 1:
            for _, path in self._segments:
                path.unlink(missing_ok=True)
        self._segments.clear()

    def _recover(self, path: Path) -> list[Frame]:
        data = path.read_bytes()
        try:
            reader = SegmentReader(data)
        except DamagedSegment:
            if len(data) <= SEGMENT_HEAD.size:  # the crash came while the file was made
                path.unlink()
            else:
                path.rename(path.with_suffix(_DAMAGED))
                _log.error("journal segment has no head: its frames are lost", file=path.name, bytes=len(data))
            return []
        frames = list(reader.frames())
        if reader.damaged:
            self._report(path, reader, frames)
        if reader.end < len(data):
            _log.info("journal tail cut: a write was never finished", file=path.name, bytes=len(data) - reader.end)
            with path.open("r+b") as file:
                file.truncate(reader.end)
                os.fsync(file.fileno())
        return frames

    def _report(self, path: Path, reader: SegmentReader, frames: Sequence[Frame]) -> None:
        """Name what cannot be read, and keep the file: what is whole in it is loaded, and its segment then deleted."""
        kept = path.with_suffix(_DAMAGED)
        kept.unlink(missing_ok=True)
        try:
            os.link(path, kept)
        except OSError as error:
            _log.warning("the damaged segment cannot be kept", file=path.name, error=str(error))
        for start, stop in reader.damaged:
            _log.error("journal segment is damaged: frames are lost", file=kept.name, start=start, stop=stop)
        present = {frame.commit for frame in frames}
        missing = [n for n in range(reader.first_commit, max(present) + 1) if n not in present]
        _log.error("commits of a damaged journal segment are missing", file=kept.name, commits=missing)

    def _write_all(self) -> None:
        while True:
            entry = self._queue.get()
            group: list[Entry] = []
            size = 0
            while entry is not None:
                group.append(entry)
                size += len(entry.body)
                if size >= _MAX_GROUP_BYTES or self._queue.empty():
                    break
                entry = self._queue.get()
            if group:
                self._write_group(group)
            if entry is None:
                return

    def _write_group(self, group: list[Entry]) -> None:
        """Write a group, or refuse it; nothing ends the thread, so that nobody waits for ever."""
        if self._broken is not None:
            self._refuse(group, self._broken)
            return
        try:
            written = self._write(group)
        except Exception as error:  # noqa: BLE001 - no error may leave a part of a frame behind, or somebody waiting
            self._undo()
            self._refuse(group, f"the journal cannot be written: {error}")
            self._failed(error)
            return
        self._size += written
        self._next += len(group)
        told = self._tell(self._on_synced, group)
        if told is not None:
            # It is on disk, and nobody may hear so: sent again it would be stored twice, until the next start knows its key.
            self._broken = f"the journal takes nothing until the next start: {told}"
            self._refuse(group, self._broken)
        if self._failing:
            self._failing = False
            _log.info("journal writes succeed again")

    def _refuse(self, group: list[Entry], message: str) -> None:
        """With an error of the group's own: one for all would keep the frames of everybody who raised it, and their bodies."""
        self._tell(self._on_failed, group, JournalError(message))

    def _failed(self, error: Exception) -> None:
        """Say once that writes fail, however many are refused until there is room again."""
        if not self._failing:
            expected = isinstance(error, OSError)
            _log.error(
                "journal write failed: nothing is taken until one succeeds",
                error=str(error),
                exc_info=None if expected else error,
            )
        self._failing = True

    @staticmethod
    def _tell(listener: Callable[..., None], *arguments: object) -> Exception | None:
        """Call who is told of a group; what that raises."""
        try:
            listener(*arguments)
        except Exception as error:  # noqa: BLE001 - a listener's fault must not end the thread that all others wait for
            _log.error("what was written to the journal could not be told", exc_info=error)
            return error
        return None

    def _write(self, group: list[Entry]) -> int:
        """Write and sync a group; returns its bytes."""
        if self._file < 0 or self._size >= self._segment_bytes:
            self._roll()
        buffers: list[bytes] = []
        for number, entry in enumerate(group, self._next):
            entry.commit = number
            frame = Frame(number, entry.received, entry.kind, entry.header, entry.body)
            buffers += frame_parts(self._seed, frame)
        written = _write_buffers(self._file, buffers)
        os.fdatasync(self._file)
        return written

    def _roll(self) -> None:
        if self._file >= 0:
            full, self._file = self._file, -1  # closed even where close() fails: the number may be another file's then
            os.close(full)
        path = self._folder / f"{self._next:020d}{_SUFFIX}"
        self._seed = secrets.randbits(32)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self._size = _write_buffers(file, [segment_head(self._seed, self._next)])
            os.fdatasync(file)
            _sync_folder(self._folder)
        except Exception:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self._file = file
        with self._segments_lock:
            self._segments.append((self._next, path))

    def _undo(self) -> None:
        """Take back a write that failed half-way, so that its commit numbers can be given again."""
        if self._file < 0:
            return
        try:
            os.ftruncate(self._file, self._size)
            os.fdatasync(self._file)
        except Exception as error:  # noqa: BLE001 - whatever it is, what is behind `_size` is not known
            self._broken = f"the journal failed and takes nothing until the next start: {error}"
            _log.error("journal is unusable until the next start", error=str(error))


def _write_buffers(file: int, buffers: list[bytes]) -> int:
    total = 0
    views = [memoryview(buffer) for buffer in buffers if buffer]
    at = 0
    while at < len(views):
        written = os.writev(file, views[at : at + _MAX_BUFFERS])
        total += written
        while at < len(views) and written >= len(views[at]):
            written -= len(views[at])
            at += 1
        if written:
            views[at] = views[at][written:]
    return total


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
