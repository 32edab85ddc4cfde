from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.core.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


async def held(port: int, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))


async def closed(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(5):
            return await reader.read() == b""
    except ConnectionError:
        return True


async def test_connections_of_one_source_are_capped(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor(limits={"sensor.connections_per_source": 3}) as sensor:
        open_ones = [await held(sensor.http) for _ in range(3)]
        await asyncio.sleep(0.05)
        reader, writer = await held(sensor.http)
        assert await closed(reader)
        assert (await sensor.http_bytes(REQUEST, source="127.0.0.5")).startswith(b"HTTP/1.1 200")
        open_ones.pop()[1].close()
        await sensor.recorded("connection")
        assert (await sensor.http_bytes(REQUEST)).startswith(b"HTTP/1.1 200")
        for _, other in [*open_ones, (None, writer)]:
            other.close()


async def test_connections_in_all_are_capped(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor(limits={"sensor.connections": 2}) as sensor:
        open_ones = [await held(sensor.http, f"127.0.0.{number}") for number in (5, 6)]
        await asyncio.sleep(0.05)
        reader, writer = await held(sensor.http, "127.0.0.7")
        assert await closed(reader)
        for _, other in [*open_ones, (None, writer)]:
            other.close()


async def test_a_silent_client_is_closed(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor(limits={"sensor.idle_seconds": 1}) as sensor:
        reader, writer = await held(sensor.ssh)
        assert (await reader.readline()).startswith(b"SSH-2.0")
        assert await closed(reader)
        writer.close()


async def test_a_connection_does_not_last_for_ever(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor(limits={"sensor.connection_seconds": 1}) as sensor:
        reader, writer = await held(sensor.ssh)
        assert (await reader.readline()).startswith(b"SSH-2.0")
        assert await closed(reader)
        writer.close()


@pytest.mark.parametrize("decoy", ["ssh", "http"])
async def test_no_bytes_hurt_a_decoy(start_sensor: Callable[..., Any], decoy: str) -> None:
    chance = random.Random(7)
    starts = (b"", b"SSH-2.0-x\r\n", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    async with start_sensor(limits={"sensor.http_request_seconds": 1}) as sensor:

        async def throw(number: int) -> None:
            sent = starts[number % len(starts)] + chance.randbytes(chance.randrange(2000))
            with contextlib.suppress(ConnectionError):
                reader, writer = await held(sensor.ports[decoy], f"127.0.3.{number % 20 + 1}")
                writer.write(sent)
                writer.write_eof()
                async with asyncio.timeout(10):
                    await reader.read()
                writer.close()

        for _ in range(5):
            await asyncio.gather(*(throw(number) for number in range(40)))
        assert (await sensor.http_bytes(REQUEST)).startswith(b"HTTP/1.1 200")
        reader, writer = await held(sensor.ssh)
        assert (await reader.readline()).startswith(b"SSH-2.0")
        writer.close()
    sources = {event["source_ip"] for event in sensor.events()}
    assert len(sources) == 21


async def test_nothing_is_answered_that_could_not_be_kept(sensor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "write", full)
        assert await sensor.http_bytes(REQUEST) == b""
        reader, writer = await held(sensor.ssh)
        assert await closed(reader)
        writer.close()
    assert (await sensor.http_bytes(REQUEST)).startswith(b"HTTP/1.1 200")


async def test_connections_under_way_are_closed_and_recorded_at_the_end(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor() as sensor:
        reader, writer = await held(sensor.http)
        writer.write(b"GET /half")
        await writer.drain()
        ssh_reader, ssh_writer = await held(sensor.ssh)
        ssh_writer.write(b"SSH-2.0-scanner\r\n")
        await ssh_reader.readline()
        await asyncio.sleep(0.05)
    assert await closed(reader)
    kinds = [event["interaction_type"] for event in sensor.events()]
    assert sorted(kinds) == ["connection", "handshake", "malformed_request"]
    writer.close()
    ssh_writer.close()
