from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from lurewire.core.clock import SystemClock
from lurewire.core.errors import StateFolderError
from lurewire.sensor import SensorConfig, run

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable
    from pathlib import Path

CRASH_ROUNDS = int(os.environ.get("LUREWIRE_CRASH_ROUNDS", "5"))


async def spawn(config: dict[str, Any], *arguments: str) -> tuple[Process, dict[str, Any]]:
    """The sensor as the supervisor starts it, and its first word."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "lurewire.sensor",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    if not arguments:
        process.stdin.write(json.dumps(config).encode() + b"\n")
    async with asyncio.timeout(30):
        return process, json.loads(await process.stdout.readline())


async def http_logins(port: int, number: int, answered: list[str]) -> None:
    for count in range(1000):
        name = f"http-{number}-{count}"
        body = f"username={name}&password=p".encode()
        head = b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.0.1.{number + 1}", 0))
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        if (await reader.readline()).startswith(b"HTTP/1.1 401"):
            answered.append(name)
        writer.close()


async def ssh_logins(port: int, number: int, answered: list[str]) -> None:
    class Guesses(asyncssh.SSHClient):  # type: ignore[misc]  # asyncssh's types are not followed
        count = 0

        def password_auth_requested(self) -> str:
            if self.count:  # the decoy answered the one before
                answered.append(f"ssh-{number}-{self.count}")
            self.count += 1
            return f"ssh-{number}-{self.count}"

    await asyncssh.create_connection(
        Guesses,
        "127.0.0.1",
        port,
        local_addr=(f"127.0.2.{number + 1}", 0),
        username="root",
        known_hosts=None,
        client_keys=None,
        agent_path=None,
        config=None,
        preferred_auth=["password"],
    )


@pytest.mark.parametrize("crash", range(CRASH_ROUNDS))
async def test_every_touch_that_was_answered_is_kept_once_across_a_kill(
    tmp_path: Path, start_sensor: Callable[..., Any], crash: int
) -> None:
    settings = {"login_after_failures": 0, "limits": {"sensor.ssh_attempts_per_connection": 100000}}
    process, ports = await spawn({"folder": str(tmp_path / "sensor"), **settings})
    answered: list[str] = []
    attackers = [
        asyncio.create_task(attack(ports[name], number, answered))
        for number in range(5)
        for name, attack in (("http", http_logins), ("ssh", ssh_logins))
    ]
    async with asyncio.timeout(20):
        while len(answered) < 40 + 31 * crash:
            await asyncio.sleep(0.005)
    process.kill()
    await process.wait()
    await asyncio.gather(*attackers, return_exceptions=True)
    async with start_sensor(**settings) as sensor:
        logins = [event["additional_data"] for event in sensor.events("login_attempt")]
        kept = Counter(login["username"] if login.get("login_method") else login.get("password") for login in logins)
        assert {name: kept[name] for name in answered} == dict.fromkeys(answered, 1)
        threats = sensor.rows("select source_ip, count(*) from sensor_threats group by source_ip")
        assert len(threats) == 10
        assert {count for _, count in threats} == {1}
        counted = sensor.rows("select sum(interactions) from sensor_threats")[0][0]
        assert counted == len(sensor.events())


async def test_the_process_says_where_it_listens_and_stops_when_its_input_ends(tmp_path: Path) -> None:
    process, ports = await spawn({"folder": str(tmp_path)})
    reader, writer = await asyncio.open_connection("127.0.0.1", ports["ssh"])
    assert (await reader.readline()).startswith(b"SSH-2.0")
    writer.close()
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(10):
        assert await process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_stops_on_a_signal(tmp_path: Path, number: int) -> None:
    file = tmp_path / "sensor.json"
    file.write_text(json.dumps({"folder": str(tmp_path / "sensor")}))
    process, ports = await spawn({}, str(file))
    assert ports.keys() == {"ssh", "http"}
    process.send_signal(number)
    async with asyncio.timeout(10):
        assert await process.wait() == 0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"folder": "/proc/nowhere"}, "sensor: "),
        ({"fodler": "x"}, "fodler: unknown setting"),
        ([], "expected a JSON object"),
        ({"folder": "FOLDER", "host": "192.0.2.1"}, "192.0.2.1"),
    ],
)
async def test_a_process_that_cannot_start_says_why(tmp_path: Path, config: Any, message: str) -> None:
    if isinstance(config, dict) and config.get("folder") == "FOLDER":
        config = {**config, "folder": str(tmp_path)}
    process, said = await spawn(config)
    assert message in said["error"]
    assert await process.wait() == 1


async def test_two_sensors_do_not_share_a_folder(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor() as sensor:
        with pytest.raises(StateFolderError, match="another sensor process"):
            await run(SensorConfig(folder=str(sensor.folder)), SystemClock(), asyncio.Event(), lambda _ports: None)


async def test_host_key_and_installation_stay_the_same(tmp_path: Path) -> None:
    keys, entities = set(), set()
    for _ in range(2):
        process, ports = await spawn({"folder": str(tmp_path)})
        key = await asyncssh.get_server_host_key("127.0.0.1", ports["ssh"], config=None)
        assert key is not None
        keys.add(key.public_data)
        entities.add((tmp_path / "entity_uuid").read_text())
        process.terminate()
        await process.wait()
    assert len(keys) == len(entities) == 1
    assert (tmp_path / "ssh_host_ed25519_key").stat().st_mode & 0o777 == 0o600


async def test_hostile_text_in_the_log_is_inert(tmp_path: Path) -> None:
    process, ports = await spawn({"folder": str(tmp_path), "proxy_from": ["127.0.0.1"]})
    _, writer = await asyncio.open_connection("127.0.0.1", ports["http"])
    writer.write(b"PROXY TCP4 \x1b[2J\x1b]0;x\x07 1.2.3.4 1 2\r\n")
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    await asyncio.sleep(0.2)
    process.terminate()
    _, log = await process.communicate()
    assert b"trusted proxy sent no PROXY header" in log
    assert b"\x1b" not in log
    assert b"\x07" not in log
    writer.close()
