"""What the operator's socket tells about the process itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from lurewire.cli import main
from lurewire.supervisor import ControlError, ask_control

if TYPE_CHECKING:
    from pathlib import Path

    from lurewire.supervisor import Running


async def test_dead_messages_and_the_event_loop(now: Running, tmp_path: Path) -> None:
    def ask() -> list[float]:
        late: list[float] = ask_control(now.control, "/loop-lag", {"seconds": 0.2})["late"]
        return late

    late = await asyncio.to_thread(ask)
    assert len(late) > 5
    assert all(-0.005 <= seconds < 5 for seconds in late)
    with pytest.raises(ControlError, match="up to 600 seconds"):
        await asyncio.to_thread(ask_control, now.control, "/loop-lag", {"seconds": 0})
    folder = str(tmp_path / "state")
    listed = await asyncio.to_thread(CliRunner().invoke, main, ["outbox", "dead", "--folder", folder])
    assert (listed.exit_code, listed.output) == (0, "")
    revived = await asyncio.to_thread(CliRunner().invoke, main, ["outbox", "revive", "--folder", folder])
    assert (revived.exit_code, revived.output) == (0, "0 revived\n")
