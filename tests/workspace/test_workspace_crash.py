"""kill -9 at any moment: what was acknowledged is there once, what was not is there at most once.

`LUREWIRE_CRASH_ROUNDS` sets the number of rounds (6; the soak runs 200). Root gets a disk of its own that is small enough to
be full in some rounds; without root, or where `LUREWIRE_NO_MOUNT` is set, the journal's writes fail there as on a full disk.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lurewire.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lurewire.core.clock import ManualClock

if TYPE_CHECKING:
    from tests.workspace.crash_child import MOMENTS, commits, records
    from tests.workspace.disks import fill, free, small_disk
else:
    from workspace.crash_child import MOMENTS, commits, records
    from workspace.disks import fill, free, small_disk

ROUNDS = int(os.environ.get("LUREWIRE_CRASH_ROUNDS", "6"))
CHILD = Path(__file__).with_name("crash_child.py")
DISK_MB = 512
START_SECONDS = 5.0
PLACES = "T_CL | summarize copies = count() by batch, row | summarize count(), min(copies), max(copies) by batch"
WRITES = "T_CL | summarize count() by batch, write = tostring(split(_ItemId, '-')[0]) | project batch, write, count_"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system for root, else a folder."""
    with small_disk(tmp_path / "disk", DISK_MB):
        yield tmp_path / "disk"


class Round:
    """One writer: started, and killed at its moment; `said` are its words."""

    def __init__(self, folder: Path, first: int, moment: str, again: list[int]) -> None:
        self._moment = moment
        self._child = subprocess.Popen(
            [sys.executable, str(CHILD), str(folder), str(first), moment, *map(str, again)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdout is not None
        what, _, seconds = self._child.stdout.readline().partition(" ")
        if what != "start":
            self._child.kill()
            raise AssertionError((what, *self._child.communicate()))
        self.started = float(seconds)

    def until_dead(self, disk: Path, seconds: float) -> list[list[str]]:
        if self._moment == "full":
            time.sleep(seconds / 2)
            if os.path.ismount(disk):
                fill(disk)
            else:
                self._child.send_signal(signal.SIGUSR1)
        try:
            out, err = self._child.communicate(timeout=seconds if self._moment in ("never", "full") else 20)
        except subprocess.TimeoutExpired:
            self._child.kill()
            out, err = self._child.communicate()
        free(disk)
        assert self._child.returncode == -9, err
        if self._moment == "full":
            assert "No space left on device" in err
        return [said.split() for said in out.splitlines()]


@pytest.mark.timeout(60 + 10 * ROUNDS)
async def test_every_acknowledged_record_once(disk: Path, clock: ManualClock) -> None:
    folder = disk / "ws"
    chance = random.Random(int(os.environ.get("LUREWIRE_CRASH_SEED", "1")))
    sent: set[tuple[int, int]] = set()
    acked: dict[tuple[int, int], set[int]] = {}
    starts = []
    for number in range(ROUNDS):
        last = max((batch for batch, _ in sent), default=-1)
        again = sorted({batch for batch, _ in sent - set(acked)})
        known = sorted({batch for batch, _ in acked})
        repeated = chance.sample(known, min(3, len(known)))
        moment = MOMENTS[number % len(MOMENTS)]
        writer = Round(folder, last + 1, moment, [*again, *repeated])
        starts.append(writer.started)
        for what, *numbers in writer.until_dead(disk, chance.uniform(0.3, 1.5)):
            batch, twin, *commit = map(int, numbers)
            write = batch, twin
            if what == "send":
                sent.add(write)
            else:
                acked.setdefault(write, set()).add(commit[0])
        segments = sorted((folder / "journal").glob("*.journal"))
        if segments and number % 2:
            with segments[-1].open("ab") as file:  # a write that was cut off
                file.write(chance.randbytes(chance.randrange(1, 400)))
    middle = sorted(starts)[ROUNDS // 2]
    figures = f"{len(acked)} writes acknowledged; starts: median {middle:.2f} s, worst {max(starts):.2f} s"
    print(f"{ROUNDS} rounds, {figures}")  # noqa: T201 - the figure of the soak
    assert max(starts) < START_SECONDS
    workspace = Workspace(folder, clock, customer_id="0f0e0d0c-1111-4222-8333-444455556666")
    await workspace.start()
    last_commit = await workspace.append("Heartbeat", [{"Computer": "last"}], key="last")
    await workspace.until_loaded(last_commit)
    places = await workspace.query(PLACES)
    writes = await workspace.query(WRITES)
    await workspace.stop()
    assert places.partial is writes.partial is None
    assert len(acked) > ROUNDS
    assert all(len(told) == 1 for told in acked.values()), "a repeat is answered with the first commit"
    copies = {batch: (rows, least, most) for batch, rows, least, most in places.values()}
    by_batch: dict[int, list[int]] = {}
    for batch, _, count in writes.values():
        by_batch.setdefault(batch, []).append(count)
    assert set(by_batch) <= {batch for batch, _ in sent}
    for batch in {batch for batch, _ in sent}:
        whole = len(records(batch))
        written = by_batch.get(batch, [])
        least = sum((batch, twin) in acked for twin in commits(batch))
        most = sum((batch, twin) in sent for twin in commits(batch))
        assert all(count == whole for count in written), batch
        assert least <= len(written) <= most, batch
        assert not written or copies[batch] == (whole, len(written), len(written)), batch
    assert not list((folder / "journal").glob("*.journal"))
