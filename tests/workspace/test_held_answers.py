"""Memory of answers whose readers are slow: bounded over all users and for each, and given back."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import requests
from starlette.requests import Request

from lurewire.core.limits import Limits
from lurewire.kql import Column, KqlType
from lurewire.workspace import LIMITS, QueryLimits, QueryTimeout, Workspace
from lurewire.workspace.admission import Admission
from lurewire.workspace.answers import Streamed, in_chunks, row_chunks
from lurewire.workspace.api import Answered
from lurewire.workspace.disconnect import unless_gone
from lurewire.workspace.errors import Throttled
from lurewire.workspace.query import QueryResult

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from pathlib import Path

    from starlette.types import Message
    from tests.ingestion.cloud import LOGS, WORKSPACE, Cloud

    from lurewire.core.clock import ManualClock
    from lurewire.workspace.held import Hold
else:
    from ingestion.cloud import LOGS, WORKSPACE, Cloud

LARGE = "range i from 1 to 25000 step 1 | extend s = strrep('x', 1000)"
MEGABYTE = 1 << 20


def admission(clock: ManualClock, **limits: int) -> Admission:
    return Admission(clock, Limits(LIMITS, {f"workspace.{name}": value for name, value in limits.items()}))


async def answer(gate: Admission, user: str, size: int) -> Hold:
    """An answer of so many bytes that nobody has read yet."""
    async with gate.turn(user) as hold:
        assert hold.ready()
        hold.settle(size)
    return hold


async def test_a_turn_waits_until_readers_have_left_room(clock: ManualClock) -> None:
    gate = admission(clock, answers_bytes=400, query_bytes=100)
    first, second = await answer(gate, "slow", 100), await answer(gate, "slow", 50)
    waiting = asyncio.ensure_future(gate.turn("slow").__aenter__())
    await asyncio.sleep(0)
    assert not waiting.done(), "the user's half has no room for a whole answer more"
    others = await answer(gate, "another", 100)
    second.release()
    (await asyncio.wait_for(waiting, 1)).release()
    for hold in (first, others, second):
        hold.release()
    assert gate.held.taken == 0


async def test_nobody_waits_for_readers_for_ever(clock: ManualClock) -> None:
    gate = admission(clock, answers_bytes=400, query_bytes=100, query_queue_seconds=0)
    held = [await answer(gate, user, 100) for user in "abca"]
    with pytest.raises(Throttled, match="for readers to take earlier answers") as caught:
        await answer(gate, "d", 1)
    assert caught.value.headers == {"Retry-After": "5"}
    held[0].release()
    held += [await answer(gate, "d", 1)]
    for hold in held:
        hold.release()
    assert gate.held.taken == 0


async def test_a_query_starts_where_its_largest_answer_has_room(clock: ManualClock) -> None:
    gate = admission(clock, answers_bytes=400, query_bytes=100)
    async with gate.turn("a") as first, gate.turn("a") as second, gate.turn("a") as third, gate.turn("b") as other:
        assert (first.ready(), second.ready(), third.ready()) == (True, True, False), "a user has half of the room"
        assert first.ready(), "once is enough"
        assert other.ready()
        first.settle(10)
        assert not third.ready()
        first.release()
        assert third.ready()
        assert gate.held.taken == 300
    for hold in (first, second, third, other):
        hold.release()
    assert gate.held.taken == 0


async def test_a_turn_that_fails_holds_nothing(clock: ManualClock) -> None:
    gate = admission(clock, answers_bytes=400, query_bytes=100)
    turn = gate.turn("a")
    assert (await turn.__aenter__()).ready()
    assert gate.held.taken == 100
    assert not await turn.__aexit__(KeyError, KeyError(), None)
    assert gate.held.taken == 0


async def test_one_whole_answer_has_room_always(clock: ManualClock) -> None:
    gate = admission(clock, answers_bytes=10, query_bytes=100)
    (await answer(gate, "a", 100)).release()


async def test_a_query_that_may_not_start_yet_takes_no_worker(workspace: Workspace) -> None:
    may = False

    def within(ready: Callable[[], bool]) -> QueryLimits:
        return QueryLimits(10, 1000, 60, None, ready)

    waiting = [asyncio.ensure_future(workspace.query("print 1", limits=within(lambda: may))) for _ in range(4)]
    assert (await workspace.query("print 2", limits=within(lambda: True))).values() == [(2,)]
    with pytest.raises(QueryTimeout):
        await workspace.query("print 3", limits=QueryLimits(10, 1000, 0.1, None, lambda: False))
    waiting.pop().cancel()
    may = True
    assert [(await one).values() for one in waiting] == [[(1,)]] * 3


async def test_an_answer_leaves_in_small_parts() -> None:
    rows = ["x" * 10_000] * 500 + ["y" * 700_000]
    batches = tuple(pa.record_batch([pa.array(some)], names=["s"]) for some in (rows[:500], rows[500:]))
    result = QueryResult((Column("s", KqlType.STRING),), batches, len(rows), None, 0, None)
    chunks = list(row_chunks(result))
    assert max(map(len, chunks[:-1])) < 300_000
    assert len(chunks[-1]) > 700_000, "a row is one part"
    pieces = [piece async for piece in in_chunks(iter(chunks))]
    assert max(map(len, pieces)) == 256 << 10
    assert json.loads(b"[" + b"".join(pieces) + b"]") == [[row] for row in rows]


async def test_an_answer_that_comes_as_its_caller_is_cancelled_holds_nothing(clock: ManualClock) -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    gate = admission(clock)
    hold = await answer(gate, "a", MEGABYTE)
    query: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(unless_gone(Request({"type": "http"}, receive), query))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    query.set_result(Answered(QueryResult((), (), 0, None, 0, None), [], hold))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert gate.held.taken == 0


@pytest.mark.parametrize("leaves", [True, False])
async def test_what_makes_an_answer_ends_with_it(leaves: bool) -> None:
    """And not once somebody collects what is left of it: queries of a batch run in it, and hold their answers."""
    ended: list[str] = []

    async def pieces() -> AsyncGenerator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            ended.append("pieces")

    async def receive() -> Message:
        await asyncio.sleep(0.01 if leaves else 60)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    response = Streamed(pieces(), 60 if leaves else 0.01, lambda: ended.append("hold"))
    await response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)
    assert ended == ["hold", "pieces"]


def cloud_of(folder: Path, **bounds: int) -> Iterator[Cloud]:
    """Room for one large answer."""
    bounds |= {"answers_bytes": 40 * MEGABYTE, "query_bytes": 30 * MEGABYTE}
    made = Cloud(folder, {f"workspace.{name}": value for name, value in bounds.items()})
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Nobody waits, and readers are left soon."""
    yield from cloud_of(tmp_path_factory.mktemp("small"), answer_seconds=3, query_queue_seconds=0)


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Cloud]:
    """Readers are left in ten minutes; queries wait for them."""
    yield from cloud_of(tmp_path, answer_seconds=600)


def token(cloud: Cloud, name: str) -> str:
    return cloud.token(name, ("Log Analytics Reader", WORKSPACE), resource=LOGS)


def ask(cloud: Cloud, who: str, query: str) -> requests.Response:
    url = f"{cloud.url()}/v1/workspaces/{cloud.workspace().customer_id}/query"
    headers = {"Authorization": f"Bearer {who}"}
    return requests.post(url, json={"query": query}, headers=headers, verify=cloud.ca, timeout=30)


def reads_nothing(cloud: Cloud, who: str, path: str, body: Any) -> ssl.SSLSocket:
    """A client that sends a request and reads no more than the start of its answer."""
    context = ssl.create_default_context(cafile=cloud.ca)
    raw = socket.create_connection(("localhost", cloud.port))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client = context.wrap_socket(raw, server_hostname="localhost")
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {who}\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    client.sendall(head.encode() + data)
    read = b""
    while b"PrimaryResult" not in read:
        read += client.recv(100)
    return client


def until_free(cloud: Cloud, who: str) -> None:
    give_up = time.monotonic() + 20
    while (found := ask(cloud, who, "print 1")).status_code != 200:
        assert time.monotonic() < give_up, found.text
        time.sleep(0.05)


@pytest.mark.parametrize("path", ["/v1/workspaces/{}/query", "/v1/$batch", "/v2/rest/query"])
def test_a_reader_that_takes_nothing_is_left(small: Cloud, path: str) -> None:
    workspace = small.workspace().customer_id
    bodies: dict[str, Any] = {
        "/v1/$batch": {"requests": [{"id": "1", "workspace": workspace, "path": "/query", "body": {"query": LARGE}}]},
        "/v2/rest/query": {"db": workspace, "csl": LARGE},
    }
    bodies["/v1/$batch"]["requests"][0]["method"] = "POST"
    other = token(small, f"other than of {path}")
    slow = reads_nothing(
        small, token(small, f"slow of {path}"), path.format(workspace), bodies.get(path, {"query": LARGE})
    )
    with slow:
        refused = ask(small, other, "print 1")
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "ThrottledError"
        assert refused.headers["Retry-After"] == "5"
        until_free(small, other)
    assert len(ask(small, other, LARGE).json()["tables"][0]["rows"]) == 25_000, "who reads gets it whole"
    until_free(small, other)


def test_what_a_client_that_goes_away_held_is_free(patient: Cloud) -> None:
    who, workspace = token(patient, "leaves"), patient.workspace().customer_id
    other = token(patient, "stays")
    with ThreadPoolExecutor(1) as pool:
        with reads_nothing(patient, who, f"/v1/workspaces/{workspace}/query", {"query": LARGE}):
            waiting = pool.submit(ask, patient, other, "print 1")
            with pytest.raises(TimeoutError):
                waiting.result(0.5)
        assert waiting.result(20).status_code == 200


def test_large_answers_of_one_user_at_once_come_all(patient: Cloud) -> None:
    who = token(patient, "several")
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: ask(patient, who, LARGE), range(5)))
    assert [found.status_code for found in answers] == [200] * 5
