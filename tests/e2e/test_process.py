"""The processes: start, stop, second start, two on one folder, a dead sensor."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import requests

from lurewire.core.errors import StateFolderError
from lurewire.demo.api import Api
from lurewire.demo.attackers import Decoys, http_request
from lurewire.demo.run import target_for
from lurewire.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from lurewire.settings import Settings
    from lurewire.supervisor import Running


async def test_two_on_one_folder_get_a_clear_error(supervisor: Supervisor, tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(StateFolderError, match="in use by another Lurewire"):
        await Supervisor(tmp_path / "state", settings).start()


async def test_a_second_start_continues(
    tmp_path: Path, settings: Settings, eventually: Callable[..., Awaitable[None]]
) -> None:
    first = Supervisor(tmp_path / "state", settings, logs=True)
    now = await first.start()
    decoys = Decoys("127.0.0.1", now.ssh_port or 0, now.http_port or 0)
    assert await http_request(decoys, "198.51.100.9", "GET", "/login") == 200
    async with Api(await target_for(now, "first")) as api:
        await eventually(lambda: _count(api, 1))
        tables = await api.query("TrapEye_Threats_CL | project threat_uuid")
    await first.stop()
    second = Supervisor(tmp_path / "state", settings, logs=True)
    again = await second.start()
    try:
        assert again.facts["workspace_id"] == now.facts["workspace_id"]
        assert again.url == now.url, "a free port is kept, so that clients and stored endpoints stay right"
        async with Api(await target_for(again, "second")) as api:
            assert await api.query("TrapEye_Threats_CL | project threat_uuid") == tables
            assert len(await api.incidents()) == 1
    finally:
        await second.stop()


async def _count(api: Api, wanted: int) -> bool:
    return len(await api.incidents()) == wanted


async def test_a_dead_sensor_is_started_again(
    supervisor: Supervisor, now: Running, eventually: Callable[..., Awaitable[None]]
) -> None:
    assert now.sensor_pid
    os.kill(now.sensor_pid, signal.SIGKILL)

    async def back() -> bool:
        return supervisor.running().sensor_pid != now.sensor_pid and supervisor.healthy()

    await eventually(back)
    assert supervisor.running().ssh_port == now.ssh_port
    decoys = Decoys("127.0.0.1", now.ssh_port or 0, now.http_port or 0)
    assert await http_request(decoys, "198.51.100.9", "GET", "/login") == 200


def test_up_stops_cleanly_on_both_signals(tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        command = [sys.executable, "-c", "from lurewire.cli import main; main()", "up", "--folder", str(tmp_path / "s")]
        for assignment in ("server.port=0", "sensor.ssh_port=0", "sensor.http_port=0"):
            command += ["--set", assignment]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert "Lurewire is up" in process.stdout.readline()
            url = subprocess.run(
                [*command[:3], "env", "--folder", str(tmp_path / "s")], capture_output=True, text=True, check=True
            ).stdout
            assert "export REQUESTS_CA_BUNDLE=" in url
            process.send_signal(number)
            rest = process.communicate(timeout=30)[0]
        assert process.returncode == 0
        assert "Stopping." in rest
        assert not (tmp_path / "s" / "runtime.json").exists()


async def test_operators_commands_refuse_before_they_make_anything(now: Running, tmp_path: Path) -> None:
    async def command(*words: str) -> tuple[int, str]:
        given = [sys.executable, "-c", "from lurewire.cli import main; main()", *words]
        process = await asyncio.create_subprocess_exec(
            *given,
            "--folder",
            str(tmp_path / "state"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return await process.wait(), (await process.communicate())[0].decode()

    subscription = f"/subscriptions/{now.facts['subscription_id']}"
    before = _identities(tmp_path)
    assert "There is no built-in role 'Nope'" in (await command("app", "create", "x", "--role", "Nope"))[1]
    nowhere = ("app", "create", "x", "--role", "Reader", "--scope", f"{subscription}/resourceGroups/none")
    assert "there is no resource" in (await command(*nowhere))[1]
    assert _identities(tmp_path) == before
    assert (await command("app", "create", "x", "--role", "Reader", "--scope", subscription))[0] == 0
    assert "export AZURE_CLIENT_SECRET=lw" in (await command("app", "secret", "x"))[1]
    assert "there is no app 'y'" in (await command("app", "secret", "y"))[1]
    assert "no RSA key" in (await command("app", "certificate", "x", str(now.facts["ca"])))[1]
    assert "no Microsoft Graph permission 'Nope'" in (await command("app", "create", "z", "--permission", "Nope"))[1]
    assert "needs a --role or a --permission" in (await command("app", "create", "z"))[1]
    assert "there is no app 'z'" in (await command("app", "secret", "z"))[1]
    graph = ("app", "create", "z", "--permission", "application.read.all", "--role", "Reader", "--scope", "/")
    assert (await command(*graph))[0] == 0
    assert "is in use" in (await command("identity", "rotate-keys"))[1]
    assert (await command("ipintel", "key", "a"))[0] == 0
    assert "revoke it first" in (await command("ipintel", "key", "a"))[1]
    assert (await command("ipintel", "revoke", "a"))[0] == 0
    assert "no key named 'a'" in (await command("ipintel", "revoke", "a"))[1]
    assert (await command("ipintel", "key", "a"))[0] == 0


async def test_killed_supervisor_leaves_nobody_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from lurewire.cli import main; main()", "up", "--folder", str(tmp_path / "s")]
    for assignment in ("server.port=0", "sensor.ssh_port=0", "sensor.http_port=0"):
        command += ["--set", assignment]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    line = (await process.stdout.readline()).decode()
    url = line.split()[-1]
    process.kill()
    await process.wait()
    async with asyncio.timeout(20):
        while await asyncio.to_thread(_answers, url):
            await asyncio.sleep(0.05)


def _identities(tmp_path: Path) -> int:
    """How many app registrations the control database holds."""
    with closing(sqlite3.connect(tmp_path / "state" / "control.db")) as connection:
        return int(connection.execute("select count(*) from identity_apps").fetchone()[0])


def _answers(url: str) -> bool:
    try:
        requests.get(url, verify=False, timeout=2)
    except requests.RequestException:
        return False
    return True
