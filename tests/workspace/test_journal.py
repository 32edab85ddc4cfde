from __future__ import annotations

import errno
import io
import os
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from lurewire.core.log import configure
from lurewire.workspace.frames import DamagedSegment, Frame, SegmentReader, frame_parts, segment_head
from lurewire.workspace.journal import Entry, Journal, JournalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class Log:
    """Opens journals on one folder and waits for what they say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.synced: list[Entry] = []
        self.failed: list[tuple[Entry, JournalError]] = []
        self._change = threading.Condition()

    def open(self, loaded: int = 0, segment_bytes: int = 1 << 20) -> tuple[Journal, list[Frame]]:
        journal = Journal(self.folder, segment_bytes=segment_bytes, on_synced=self._synced, on_failed=self._failed)
        return journal, journal.open(loaded)

    def write(self, journal: Journal, *bodies: bytes) -> list[int]:
        """The commits of new entries, once they are synced."""
        entries = [Entry(1, 7, b"header", body) for body in bodies]
        for entry in entries:
            journal.append(entry)
        self.until(lambda: entries[-1] in self.synced)
        return [entry.commit for entry in entries]

    def until(self, condition: Callable[[], bool]) -> None:
        with self._change:
            assert self._change.wait_for(condition, timeout=10)

    def _synced(self, entries: Sequence[Entry]) -> None:
        with self._change:
            self.synced += entries
            self._change.notify()

    def _failed(self, entries: Sequence[Entry], error: JournalError) -> None:
        with self._change:
            self.failed += [(entry, error) for entry in entries]
            self._change.notify()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "journal")


def bodies(journal: Journal, after: int = 0, through: int = 1 << 60) -> list[tuple[int, bytes]]:
    return [(frame.commit, frame.body) for frame in journal.replay(after, through)]


def test_frames_are_numbered_for_ever_and_come_back(log: Log) -> None:
    journal, waiting = log.open()
    assert waiting == []
    assert log.write(journal, b"a", b"b") == [1, 2]
    journal.close(0)
    journal, waiting = log.open()
    assert [(f.commit, f.received, f.kind, f.header, f.body) for f in waiting] == [
        (1, 7, 1, b"header", b""),
        (2, 7, 1, b"header", b""),
    ]
    assert log.write(journal, b"c") == [3]
    assert bodies(journal) == [(1, b"a"), (2, b"b"), (3, b"c")]
    assert bodies(journal, 1, 2) == [(2, b"b")]
    journal.close(3)
    assert list(log.folder.iterdir()) == []
    journal, waiting = log.open(loaded=3)
    assert waiting == []
    assert log.write(journal, b"d") == [4]
    journal.close(4)


def test_loaded_segments_are_deleted(log: Log) -> None:
    journal, _ = log.open(segment_bytes=1)
    for body in (b"a", b"b", b"c"):
        log.write(journal, body)
    assert len(list(log.folder.iterdir())) == 3
    journal.release(1)
    assert len(list(log.folder.iterdir())) == 2
    assert bodies(journal) == [(2, b"b"), (3, b"c")]
    journal.release(3)
    assert bodies(journal) == [(3, b"c")], "the open segment stays"
    journal.close(2)
    journal, waiting = log.open(loaded=2)
    assert [f.commit for f in waiting] == [3]
    journal.release(3)
    assert list(log.folder.iterdir()) == []
    assert log.write(journal, b"d") == [4]
    journal.close(4)


def segment(folder: Path) -> Path:
    (path,) = folder.glob("*.journal")
    return path


@pytest.mark.parametrize("cut", [1, 20, 40])
def test_torn_tail_is_cut(log: Log, cut: int) -> None:
    journal, _ = log.open()
    log.write(journal, b"kept")
    size = segment(log.folder).stat().st_size
    log.write(journal, b"torn " * 20)
    journal.close(0)
    path = segment(log.folder)
    os.truncate(path, path.stat().st_size - cut)
    journal, waiting = log.open()
    assert [f.commit for f in waiting] == [1]
    assert path.stat().st_size == size
    assert log.write(journal, b"next") == [2]
    assert bodies(journal) == [(1, b"kept"), (2, b"next")]
    journal.close(0)


@pytest.mark.parametrize("tail", [b"LWF1", b"\x00" * 4096, b"LWF1" * 100, os.urandom(300)])
def test_bytes_behind_the_last_frame_are_cut(log: Log, tail: bytes) -> None:
    journal, _ = log.open()
    log.write(journal, b"kept")
    journal.close(0)
    with segment(log.folder).open("ab") as file:
        file.write(tail)
    journal, waiting = log.open()
    assert [f.commit for f in waiting] == [1]
    journal.close(0)


def test_damage_in_the_middle_costs_only_what_is_damaged_and_is_named(
    log: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    journal, _ = log.open()
    log.write(journal, b"first", b"second" * 10, b"third")
    journal.close(0)
    path = segment(log.folder)
    data = bytearray(path.read_bytes())
    data[data.index(b"second") + 3] ^= 0xFF
    path.write_bytes(data)
    journal, waiting = log.open()
    assert [f.commit for f in waiting] == [1, 3]
    assert bodies(journal) == [(1, b"first"), (3, b"third")]
    said = capfd.readouterr()
    assert "frames are lost" in said.out + said.err
    assert re.search(r"commits=.?\[2\]", said.out + said.err)
    journal.release(3)
    assert [path.suffix for path in log.folder.iterdir()] == [".damaged"], "the file stays for whoever looks into it"
    journal.close(3)


def test_frame_inside_a_body_is_not_a_frame(log: Log) -> None:
    """Somebody who knows the format hides a frame in a body and waits for a crash in the middle of its write."""
    forged = b"".join(frame_parts(0, Frame(9, 9, 1, b"header", b"forged")))
    journal, _ = log.open()
    log.write(journal, b"kept", b"x" + forged + b"x")
    journal.close(0)
    path = segment(log.folder)
    os.truncate(path, path.stat().st_size - 1)
    journal, waiting = log.open()
    assert [f.commit for f in waiting] == [1]
    journal.close(0)


def test_segment_without_a_head(log: Log) -> None:
    log.folder.mkdir()
    (log.folder / f"{1:020d}.journal").write_bytes(b"")
    (log.folder / f"{2:020d}.journal").write_bytes(b"something else " * 10)
    journal, waiting = log.open()
    assert waiting == []
    assert [path.suffix for path in log.folder.iterdir()] == [".damaged"]
    assert log.write(journal, b"a") == [1]
    journal.close(0)


WRITE = os.writev


def write_half(file: int, buffers: Sequence[Any]) -> int:
    """A part of a frame, and then the disk is full."""
    WRITE(file, [bytes(buffers[0])[:5]])
    raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk_loses_nothing_and_promises_nothing(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, _ = log.open()
    log.write(journal, b"before")
    monkeypatch.setattr(os, "writev", write_half)
    refused = Entry(1, 7, b"", b"refused")
    journal.append(refused)
    log.until(lambda: bool(log.failed))
    assert log.failed[0][0] is refused
    assert "No space left on device" in str(log.failed[0][1])
    monkeypatch.setattr(os, "writev", WRITE)
    assert log.write(journal, b"after") == [2]
    journal.close(0)
    journal, waiting = log.open()
    assert [f.commit for f in waiting] == [1, 2]
    assert bodies(journal) == [(1, b"before"), (2, b"after")]
    journal.close(0)


@pytest.mark.parametrize("error", [MemoryError("no room for the frame"), ValueError("a mistake of ours")])
def test_any_error_of_a_write_refuses_its_group_and_nothing_else(
    log: Log, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    journal, _ = log.open()
    log.write(journal, b"before")
    real = os.writev

    def fail(file: int, buffers: Sequence[Any]) -> int:
        real(file, [bytes(buffers[0])[:5]])
        raise error

    monkeypatch.setattr(os, "writev", fail)
    journal.append(Entry(1, 7, b"", b"refused"))
    log.until(lambda: bool(log.failed))
    assert str(error) in str(log.failed[0][1])
    monkeypatch.setattr(os, "writev", real)
    assert log.write(journal, b"after") == [2]
    journal.close(0)
    journal, _ = log.open()
    assert bodies(journal) == [(1, b"before"), (2, b"after")]
    journal.close(0)


def test_a_frame_that_cannot_be_built_is_refused(log: Log) -> None:
    journal, _ = log.open()
    journal.append(Entry(1, 1 << 70, b"", b"received when no clock can say"))
    log.until(lambda: bool(log.failed))
    assert log.write(journal, b"next") == [1]
    journal.close(0)


def test_what_was_written_and_could_not_be_told_is_there_at_the_next_start(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, _ = log.open()
    log.write(journal, b"told")

    def fail(_entries: Sequence[Entry]) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(journal, "_on_synced", fail)
    journal.append(Entry(1, 7, b"", b"not told"))
    log.until(lambda: len(log.failed) == 1)
    monkeypatch.undo()
    journal.append(Entry(1, 7, b"", b"too late"))
    log.until(lambda: len(log.failed) == 2)
    assert [str(error) for _, error in log.failed] == [
        "the journal takes nothing until the next start: a mistake of ours"
    ] * 2
    journal.close(1)
    journal, waiting = log.open(loaded=1)
    assert [frame.commit for frame in waiting] == [2]
    assert bodies(journal) == [(1, b"told"), (2, b"not told")]
    journal.close(1)


def test_disk_that_cannot_take_back_a_write_ends_writing(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, _ = log.open()
    log.write(journal, b"before")

    def broken(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    journal.append(Entry(1, 7, b"", b"first"))
    log.until(lambda: len(log.failed) == 1)
    monkeypatch.undo()
    journal.append(Entry(1, 7, b"", b"second"))
    log.until(lambda: len(log.failed) == 2)
    assert "until the next start" in str(log.failed[1][1])
    journal.append(Entry(1, 7, b"", b"third"))
    log.until(lambda: len(log.failed) == 3)
    assert log.failed[1][1] is not log.failed[2][1], "what is raised again and again keeps all who raised it"
    journal.close(0)


def test_a_log_without_room_stops_nothing(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is on the disk that is full: nobody waits, and no part of a frame stays."""
    journal, _ = log.open()
    log.write(journal, b"before")

    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    configure(stream=Full())
    try:
        monkeypatch.setattr(os, "writev", write_half)
        journal.append(Entry(1, 7, b"", b"refused"))
        log.until(lambda: bool(log.failed))
        monkeypatch.setattr(os, "writev", WRITE)
        assert log.write(journal, b"after") == [2]
    finally:
        structlog.reset_defaults()
    journal.close(0)
    journal, _ = log.open()
    assert bodies(journal) == [(1, b"before"), (2, b"after")]
    journal.close(0)


def test_a_segment_that_fails_to_close_is_not_written_to_again(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, _ = log.open(segment_bytes=1)
    log.write(journal, b"before")
    real = os.close

    def fail(file: int) -> None:
        real(file)
        if file == full:
            monkeypatch.undo()
            raise OSError(errno.EIO, "Input/output error")

    full = journal._file
    monkeypatch.setattr(os, "close", fail)
    journal.append(Entry(1, 7, b"", b"refused"))
    log.until(lambda: bool(log.failed))
    other = log.folder.parent / "other"
    other.write_bytes(b"of somebody else")
    with other.open("r+b") as file:
        assert file.fileno() == full, "the number is another file's now"
        assert log.write(journal, b"after") == [2]
    assert other.read_bytes() == b"of somebody else"
    assert bodies(journal) == [(1, b"before"), (2, b"after")]
    journal.close(0)


def test_many_entries_share_syncs(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = 0
    gate = threading.Event()
    real = os.fdatasync

    def slow(file: int) -> None:
        nonlocal syncs
        syncs += 1
        gate.wait(10)
        real(file)

    journal, _ = log.open()
    log.write(journal, b"warm")
    monkeypatch.setattr(os, "fdatasync", slow)
    entries = [Entry(1, 7, b"", b"%d" % i) for i in range(3000)]
    for entry in entries:
        journal.append(entry)
    gate.set()
    log.until(lambda: entries[-1] in log.synced)
    assert [entry.commit for entry in entries] == list(range(2, 3002))
    assert syncs <= 3
    assert len(bodies(journal)) == 3001
    journal.close(0)


FRAMES = st.builds(
    Frame,
    commit=st.integers(0, 2**63),
    received=st.integers(-(2**63), 2**63 - 1),
    kind=st.integers(0, 65535),
    header=st.binary(max_size=50),
    body=st.binary(max_size=200),
)


@given(st.lists(FRAMES, max_size=5), st.integers(0, 2**32 - 1), st.integers(0, 2000))
def test_any_prefix_of_a_segment_gives_its_whole_frames(frames: list[Frame], seed: int, cut: int) -> None:
    data = segment_head(seed, 1)
    ends = []
    for frame in frames:
        data += b"".join(frame_parts(seed, frame))
        ends.append(len(data))
    short = data[:cut] if cut < len(data) else data
    if len(short) < len(segment_head(0, 0)):
        with pytest.raises(DamagedSegment):
            SegmentReader(short)
        return
    reader = SegmentReader(short)
    assert list(reader.frames()) == [f for f, end in zip(frames, ends, strict=True) if end <= len(short)]
    assert reader.damaged == []
