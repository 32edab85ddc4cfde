"""A disk without room: nothing that was acknowledged is lost, and there is no restart once there is room again."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from lurewire.kql import Column, KqlType
from lurewire.workspace import FlowDefinition, JournalError, StreamDefinition, Workspace, checkpoints, loader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from lurewire.core.clock import ManualClock
    from lurewire.workspace import Stream

if TYPE_CHECKING:
    from tests.workspace.disks import fill, free, small_disk
else:
    from workspace.disks import fill, free, small_disk

COLUMNS = [Column("batch", KqlType.LONG), Column("row", KqlType.LONG), Column("text", KqlType.STRING)]
ROWS = 500
CUSTOMER = "0f0e0d0c-1111-4222-8333-444455556666"


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(loader, "_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(checkpoints, "_RETRY_SECONDS", 0.05)
    with small_disk(tmp_path / "disk", 32) as mounted:
        if not mounted:
            pytest.skip("only root can mount a small disk")
        yield tmp_path / "disk"


@pytest.fixture
async def workspace(disk: Path, clock: ManualClock) -> AsyncIterator[Workspace]:
    made = Workspace(disk / "ws", clock, customer_id=CUSTOMER)
    await made.start()
    await made.create_table("T_CL", COLUMNS)
    yield made
    free(disk)
    await made.stop()


async def write(workspace: Workspace, batch: int) -> int:
    """The commit of a batch of 60 KB that does not compress."""
    stream = await defined(workspace)
    chance = random.Random(batch)
    body = b"[%s]" % b",".join(
        b'{"batch":%d,"row":%d,"text":"%s"}' % (batch, row, chance.randbytes(40).hex().encode()) for row in range(ROWS)
    )
    rows = stream.decoder.decode(body)
    return (await workspace.submit(stream, body, rows, gzip=False, key=None)).commit


async def defined(workspace: Workspace) -> Stream:
    return await workspace.define(StreamDefinition.of(COLUMNS, [FlowDefinition("T_CL")]))


async def counts(workspace: Workspace) -> dict[int, tuple[int, int]]:
    """Rows and distinct rows of each batch."""
    found = await workspace.query("T_CL | summarize count(), count_distinct(row) by batch")
    return {batch: (rows, distinct) for batch, rows, distinct in found.values()}


async def soon(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_journal_and_loader_wait_for_room(disk: Path, workspace: Workspace, clock: ManualClock) -> None:
    taken = {0: await write(workspace, 0)}
    await workspace.until_loaded(taken[0])
    fill(disk, leave=150_000)  # for a journal frame or two, and for no load of them
    batch = 1
    with contextlib.suppress(JournalError):
        while batch < 10:
            taken[batch] = await write(workspace, batch)
            batch += 1
    assert 1 < batch < 10
    with pytest.raises(JournalError, match="No space left on device"):
        await write(workspace, 1_000)
    assert (await counts(workspace))[0] == (ROWS, ROWS), "what is there can be read"
    free(disk)
    taken[batch] = await write(workspace, batch)
    async with asyncio.timeout(20):
        await workspace.until_loaded(taken[batch])
    assert await counts(workspace) == dict.fromkeys(taken, (ROWS, ROWS))
    await workspace.stop()
    again = Workspace(disk / "ws", clock, customer_id=CUSTOMER)
    await again.start()
    assert await counts(again) == dict.fromkeys(taken, (ROWS, ROWS))
    await again.stop()


@pytest.mark.parametrize("room", [2, 0])
async def test_checkpoint_waits_for_room(
    disk: Path, workspace: Workspace, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Without a look at the room first, the engine fails for good and is opened again; nobody has to restart anything."""
    monkeypatch.setattr(checkpoints, "_ROOM", room)
    engine, keeper = workspace._engine, workspace._intake._loader._checkpoints
    commits = [await write(workspace, batch) for batch in range(60)]
    await workspace.until_loaded(commits[-1])
    size = engine.log_bytes()
    assert size > 1_000_000
    fill(disk)
    keeper.consider(1)
    await soon(lambda: not keeper._wanted.is_set())
    assert engine.log_bytes() >= size, "the log stays until its rows are in the file"
    if room:
        assert await counts(workspace) == dict.fromkeys(range(60), (ROWS, ROWS))
    free(disk)
    await soon(lambda: not workspace._intake._loader._broken)
    assert await counts(workspace) == dict.fromkeys(range(60), (ROWS, ROWS))
    commit = await write(workspace, 60)
    async with asyncio.timeout(20):
        await workspace.until_loaded(commit)
    keeper.consider(1)
    await soon(lambda: engine.log_bytes() < size / 10)
    assert await counts(workspace) == dict.fromkeys(range(61), (ROWS, ROWS))
    await workspace.stop()
    again = Workspace(disk / "ws", clock, customer_id=CUSTOMER)
    await again.start()
    assert await counts(again) == dict.fromkeys(range(61), (ROWS, ROWS))
    await again.stop()


async def test_engine_that_cannot_be_opened_again_is_no_fault_of_the_rows(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "_RETRY_SECONDS", 0.01)
    workspace = Workspace(tmp_path / "ws", clock, customer_id=CUSTOMER)
    await workspace.start()
    await workspace.create_table("T_CL", COLUMNS)
    await defined(workspace)
    engine = workspace._engine
    engine.close()
    real, tries = engine.open, []

    def fails() -> None:
        tries.append(1)
        if len(tries) < 6:
            raise duckdb.IOException("Could not write file: No space left on device")
        real()

    monkeypatch.setattr(engine, "open", fails)
    async with asyncio.timeout(20):
        await workspace.until_loaded(await write(workspace, 7))
    assert len(tries) == 6
    assert await counts(workspace) == {7: (ROWS, ROWS)}
    await workspace.stop()


async def test_a_loader_that_ended_refuses_work(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise AssertionError("a fault of our own")

    workspace = Workspace(tmp_path / "ws", clock, customer_id=CUSTOMER)
    await workspace.start()
    await workspace.create_table("T_CL", COLUMNS)
    await defined(workspace)
    keeper = workspace._intake._loader
    monkeypatch.setattr(keeper, "_load_durably", fails)
    commit = await write(workspace, 1)
    await soon(lambda: keeper._thread is not None and not keeper._thread.is_alive())
    with pytest.raises(RuntimeError, match="closed"):
        await workspace.create_table("U_CL", COLUMNS)
    monkeypatch.undo()
    await workspace.stop()
    again = Workspace(tmp_path / "ws", clock, customer_id=CUSTOMER)
    await again.start()
    await again.until_loaded(commit)
    assert await counts(again) == {1: (ROWS, ROWS)}
    await again.stop()
