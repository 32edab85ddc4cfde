"""Writes batches to a workspace until it is killed; says on standard output what it sends and what was acknowledged.

Arguments: folder, number of the first batch, moment of its own death (one of `MOMENTS`; at `never` and `full` somebody else
kills it, in the last case on a disk that is full), and the numbers of batches to send again: an earlier process sent them.
From SIGUSR1 on, the journal's writes fail as on a full disk: half of what is to be written gets there, and then nothing.

What it refuses while the disk is full is sent again, as a client does. Every tenth batch is sent a second time under an id
of its own: the two are two.
"""

from __future__ import annotations

import asyncio
import errno
import gzip
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lurewire.core.clock import SystemClock
from lurewire.core.log import configure
from lurewire.kql import Column, KqlType
from lurewire.workspace import FlowDefinition, JournalError, Overloaded, Span, StreamDefinition, Workspace, make_key
from lurewire.workspace import journal as journal_module
from lurewire.workspace import loader as loader_module
from lurewire.workspace.checkpoints import Checkpoints
from lurewire.workspace.intake import Intake

COLUMNS = [Column("TimeGenerated", KqlType.DATETIME), Column("batch", KqlType.LONG), Column("row", KqlType.LONG)]
SENDERS = 8
MOMENTS = ("never", "synced", "loading", "loaded", "checkpoint", "full")
CHECKPOINT_BYTES = 50_000  # of log; so that there are many in a second


def records(batch: int) -> list[dict[str, Any]]:
    return [{"batch": batch, "row": row, "text": "x" * 200} for row in range(1 + batch * 7919 % 97)]


def commits(batch: int) -> range:
    """How many writes a batch is: what is sent under two ids is there twice."""
    return range(2 if batch % 10 == 0 else 1)


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(moment: str) -> None:
    """Die at the moment, the fifth time that it comes."""
    calls = itertools.count()

    def fifth(real: Any) -> Any:
        def wrapped(*arguments: Any) -> Any:
            return die() if next(calls) == 4 else real(*arguments)

        return wrapped

    if moment == "synced":  # on disk, and nobody was told
        Intake._on_synced = fifth(Intake._on_synced)  # type: ignore[method-assign]
    if moment == "loading":  # rows in the transaction, the mark not yet
        loader_module._store_keys = fifth(loader_module._store_keys)
    if moment == "loaded":  # the transaction is durable, its segments are not released
        Intake._on_loaded = fifth(Intake._on_loaded)  # type: ignore[method-assign]
    if moment in ("checkpoint", "full"):
        consider = Checkpoints.consider
        Checkpoints.consider = lambda self, least=0: consider(self, CHECKPOINT_BYTES)  # type: ignore[method-assign]
    if moment == "checkpoint":  # the engine's log is half in its file
        real = Checkpoints._checkpoint

        def doomed(self: Checkpoints) -> None:
            if next(calls) == 4:
                threading.Timer(random.random() * 0.02, die).start()
            real(self)

        Checkpoints._checkpoint = doomed  # type: ignore[method-assign]


def fill_up(*_: Any) -> None:
    """From now on the journal's disk has no room; what a write left of itself there stays until it is taken back."""
    real, calls = os.writev, itertools.count()

    def full(file: int, buffers: Any) -> int:
        if next(calls) % 2 == 0:
            return real(file, [memoryview(buffers[0])[: len(buffers[0]) // 2 + 1]])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    vars(journal_module)["os"] = Disk(full)


class Disk:
    """The module `os` with another `writev`."""

    def __init__(self, writev: Any) -> None:
        self.writev = writev

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def main(folder: str, first: int, moment: str, again: list[int]) -> None:
    configure()
    signal.signal(signal.SIGUSR1, fill_up)
    arm(moment)
    workspace = Workspace(Path(folder), SystemClock(), customer_id="0f0e0d0c-1111-4222-8333-444455556666")
    started = time.perf_counter()
    await workspace.start()
    say("start", time.perf_counter() - started)
    await workspace.create_table("T_CL", COLUMNS)
    stream = await workspace.define(StreamDefinition.of(COLUMNS, [FlowDefinition("T_CL", "source | where row >= 0")]))

    async def send(batch: int) -> None:
        text = json.dumps(records(batch)).encode()
        packed = batch % 2 == 0
        body = gzip.compress(text, 1, mtime=0) if packed else text
        for twin in commits(batch):
            say("send", batch, twin)
            key = make_key(Span.REQUEST, f"{batch} {twin}")
            while True:
                try:
                    receipt = await workspace.submit(stream, body, stream.decoder.decode(text), gzip=packed, key=key)
                except (JournalError, Overloaded):
                    await asyncio.sleep(0.02)
                else:
                    break
            say("ack", batch, twin, receipt.commit)

    for batch in again:
        await send(batch)
    numbers = itertools.count(first)

    async def sender() -> None:
        while True:
            await send(next(numbers))
            await asyncio.sleep(random.random() * 0.01)

    await asyncio.gather(*(sender() for _ in range(SENDERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], [int(text) for text in sys.argv[4:]]))
