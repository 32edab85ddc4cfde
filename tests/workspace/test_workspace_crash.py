"""kill -9 at any moment: what was acknowledged is there once, what was not is there at most once.

`LUREWIRE_CRASH_ROUNDS` sets the number of rounds (5; the soak runs 200).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from lurewire.workspace import Workspace

if TYPE_CHECKING:
    from lurewire.core.clock import ManualClock

if TYPE_CHECKING:
    from tests.workspace.crash_child import records
else:
    from workspace.crash_child import records

ROUNDS = int(os.environ.get("LUREWIRE_CRASH_ROUNDS", "5"))
MOMENTS = ("never", "synced", "loading", "loaded")
CHILD = Path(__file__).with_name("crash_child.py")


def one_round(folder: Path, first: int, moment: str, again: list[int], seconds: float) -> list[list[str]]:
    """Start a writer, let it die, return what it said."""
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(folder), str(first), moment, *map(str, again)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    started = time.monotonic()
    line = child.stdout.readline()
    if not line.startswith("start "):
        child.kill()
        raise AssertionError((line, *child.communicate()))
    assert time.monotonic() - started < 15
    try:
        out, err = child.communicate(timeout=seconds if moment == "never" else 20)
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
    assert child.returncode == -9, err
    return [said.split() for said in out.splitlines()]


async def test_every_acknowledged_record_once(tmp_path: Path, clock: ManualClock) -> None:
    folder = tmp_path / "ws"
    chance = random.Random(int(os.environ.get("LUREWIRE_CRASH_SEED", "1")))
    sent: set[int] = set()
    acked: dict[int, set[int]] = {}
    for number in range(ROUNDS):
        again = sorted(sent - set(acked))
        repeated = chance.sample(sorted(acked), min(3, len(acked)))
        moment = MOMENTS[number % len(MOMENTS)]
        said = one_round(folder, max(sent, default=-1) + 1, moment, [*again, *repeated], chance.uniform(0.3, 1.5))
        for what, text, *commit in said:
            if what == "send":
                sent.add(int(text))
            else:
                acked.setdefault(int(text), set()).add(int(commit[0]))
        segments = sorted((folder / "journal").glob("*.journal"))
        if segments and number % 2:
            with segments[-1].open("ab") as file:  # a write that was cut off
                file.write(chance.randbytes(chance.randrange(1, 400)))
    workspace = Workspace(folder, clock, customer_id="0f0e0d0c-1111-4222-8333-444455556666")
    await workspace.start()
    last = await workspace.append("Heartbeat", [{"Computer": "last"}], key="last")
    await workspace.until_loaded(last)
    rows = Counter((await workspace.query("T_CL | project batch, row")).values())
    places = (await workspace.query("T_CL | distinct batch, row | count")).values()
    await workspace.stop()
    assert len(acked) > ROUNDS
    assert all(len(commits) == 1 for commits in acked.values()), "a repeat is answered with the first commit"
    assert set(rows.values()) == {1}
    assert places == [(len(rows),)]
    by_batch = Counter(batch for batch, _ in rows)
    for batch in sent:
        whole = len(records(batch))
        assert by_batch[batch] in ((whole,) if batch in acked else (0, whole)), batch
    assert set(by_batch) <= sent
    assert not list((folder / "journal").glob("*.journal"))
