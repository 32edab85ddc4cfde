"""Writes batches to a workspace until it is killed; says on standard output what it sends and what was acknowledged.

Arguments: folder, number of the first batch, moment of its own death (`never`, `synced`, `loading`, `loaded`), and the numbers
of batches to send again: an earlier process sent them and got no answer.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from lurewire.core.clock import SystemClock
from lurewire.core.log import configure
from lurewire.kql import Column, KqlType
from lurewire.workspace import FlowDefinition, Span, StreamDefinition, Workspace, make_key
from lurewire.workspace import loader as loader_module
from lurewire.workspace.intake import Intake

COLUMNS = [Column("TimeGenerated", KqlType.DATETIME), Column("batch", KqlType.LONG), Column("row", KqlType.LONG)]
SENDERS = 8


def records(batch: int) -> list[dict[str, Any]]:
    return [{"batch": batch, "row": row, "text": "x" * 200} for row in range(1 + batch * 7919 % 97)]


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


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def main(folder: str, first: int, moment: str, again: list[int]) -> None:
    configure()
    arm(moment)
    workspace = Workspace(Path(folder), SystemClock(), customer_id="0f0e0d0c-1111-4222-8333-444455556666")
    await workspace.start()
    say("start", workspace.loaded)
    await workspace.create_table("T_CL", COLUMNS)
    stream = await workspace.define(StreamDefinition.of(COLUMNS, [FlowDefinition("T_CL", "source | where row >= 0")]))

    async def send(batch: int) -> None:
        text = json.dumps(records(batch)).encode()
        packed = batch % 2 == 0
        body = gzip.compress(text, 1, mtime=0) if packed else text
        say("send", batch)
        key = make_key(Span.REQUEST, str(batch))
        receipt = await workspace.submit(stream, body, stream.decoder.decode(text), gzip=packed, key=key)
        say("ack", batch, receipt.commit)

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
