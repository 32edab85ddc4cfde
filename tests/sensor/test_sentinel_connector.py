from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from aiohttp import web

from lurewire.core.clock import ManualClock, SystemClock
from lurewire.core.database import Database
from lurewire.core.limits import Limits
from lurewire.core.tls import ensure_certificates
from lurewire.sensor import NEW_INTERACTION, NEW_THREAT, ConnectorError, Origin, SentinelConfig
from lurewire.sensor.connectors import sentinel
from lurewire.sensor.connectors.sentinel import SentinelConnector
from lurewire.sensor.events import Endpoint
from lurewire.sensor.limits import LIMITS
from lurewire.sensor.store import Store, Touch
from lurewire.sensor.tables import metadata, outbox, rejected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from lurewire.core.clock import Clock

TENANT = "11111111-1111-1111-1111-111111111111"
RULE = "dcr-0123456789abcdef0123456789abcdef"
THREATS, INTERACTIONS = "Custom-Lurewire_Threats_CL", "Custom-Lurewire_Interactions_CL"
ORIGIN = Origin("Lurewire", "Lurewire", "0e28f730-18c1-429a-821e-5282cf641dd4")
Answer = tuple[int, str]
ACCEPTED: Answer = (204, "")


@dataclass(slots=True)
class Upload:
    stream: str
    request_id: str
    packed: bytes
    token: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return list(json.loads(gzip.decompress(self.packed)))


@dataclass(slots=True)
class Wire:
    """Stands in for the token endpoint and the Logs Ingestion API, over TLS."""

    folder: Path
    port: int = 0
    ca_file: str = ""
    uploads: list[Upload] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    token_answers: list[Answer] = field(default_factory=list)
    tokens: int = 0
    retry_after: str = ""
    judge: Callable[[Upload], Answer] | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def config(self) -> SentinelConfig:
        base = f"https://localhost:{self.port}"
        return SentinelConfig(
            endpoint_url=f"{base}/dataCollectionRules/{RULE}/streams/",
            threats_table="Lurewire_Threats_CL",
            interactions_table="Lurewire_Interactions_CL",
            tenant_id=TENANT,
            client_id="app",
            client_secret="right",
            authority_host=base,
            ca_file=self.ca_file,
            disable_instance_discovery=True,
        )

    def sent(self, stream: str) -> list[Upload]:
        return [upload for upload in self.uploads if upload.stream == stream]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.arrived.clear()
                await self.arrived.wait()

    async def openid(self, request: web.Request) -> web.Response:
        base = f"https://localhost:{self.port}/{request.match_info['tenant']}/oauth2/v2.0"
        return web.json_response({"token_endpoint": f"{base}/token", "authorization_endpoint": f"{base}/authorize"})

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["scope"] == "https://monitor.azure.com/.default"
        if self.token_answers:
            status, code = self.token_answers.pop(0)
            body = {"error": "invalid_client", "error_description": f"{code}: Invalid client secret provided."}
            return web.json_response(body, status=status)
        self.tokens += 1
        return web.json_response({"token_type": "Bearer", "expires_in": 3599, "access_token": f"token-{self.tokens}"})

    async def ingest(self, request: web.Request) -> web.Response:
        assert request.query["api-version"] == "2023-01-01"
        assert request.match_info["rule"] == RULE
        assert request.headers["Content-Encoding"] == "gzip"
        upload = Upload(
            request.match_info["stream"],
            request.headers["x-ms-client-request-id"],
            await request.content.read(),
            request.headers["Authorization"],
        )
        await self.gate.wait()
        self.uploads.append(upload)
        self.arrived.set()
        if self.answers[upload.stream]:
            status, code = self.answers[upload.stream].pop(0)
        else:
            status, code = self.judge(upload) if self.judge is not None else ACCEPTED
        if status == 204:
            return web.Response(status=204)
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return web.json_response({"error": {"code": code, "message": code}}, status=status, headers=headers)


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    stand_in = Wire(tmp_path)
    stand_in.gate.set()
    certificates = ensure_certificates(tmp_path / "tls", ["localhost", "127.0.0.1"], SystemClock())
    stand_in.ca_file = str(certificates.bundle)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    app = web.Application()
    # The body is looked at as it comes: decompression would hide what was sent.
    app.router.add_get("/{tenant}/v2.0/.well-known/openid-configuration", stand_in.openid)
    app.router.add_post("/{tenant}/oauth2/v2.0/token", stand_in.token)
    app.router.add_post("/dataCollectionRules/{rule}/streams/{stream}", stand_in.ingest)
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    stand_in.port = runner.addresses[0][1]
    yield stand_in
    stand_in.gate.set()
    await runner.cleanup()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "sensor.db", metadata)
    database.open()
    yield database
    database.close()


class HastyClock(SystemClock):
    """Time whose pauses are over at once."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Sending:
    """A store and a connector on one file."""

    def __init__(self, wire: Wire, db: Database, clock: Clock | None = None, **limits: int) -> None:
        self.clock = clock or HastyClock()
        values = Limits(
            LIMITS, {"sensor.retry_seconds": 1} | {f"sensor.{name}": value for name, value in limits.items()}
        )
        self.connector = SentinelConnector(wire.config, db, self.clock, values)
        self.store = Store(db, self.clock, ORIGIN, values, stored=self.connector.ring)

    async def touch(self, source: str = "203.0.113.7", name: bytes = b"root") -> str:
        endpoint = Endpoint(source, 4000, "10.0.0.10", 22)
        details = {"username": name}
        recorded = await self.store.record(Touch(endpoint, "session", "ssh", "ssh", "login_attempt", details))
        return recorded.interaction_uuid


def waiting(db: Database) -> int:
    return int(db.read(lambda conn: conn.execute(sa.select(sa.func.count()).select_from(outbox)).scalar_one()))


async def drained(db: Database) -> None:
    async with asyncio.timeout(10):
        while waiting(db):
            await asyncio.sleep(0.005)


def uuids(uploads: list[Upload]) -> list[str]:
    return [event["interaction_uuid"] for upload in uploads for event in upload.events]


async def test_events_arrive_in_order_each_once(wire: Wire, db: Database) -> None:
    sending = Sending(wire, db)
    sending.connector.start()
    expected = [await sending.touch(f"203.0.113.{number % 5}") for number in range(50)]
    await drained(db)
    await sending.connector.stop()
    assert uuids(wire.sent(INTERACTIONS)) == expected
    threats = [event for upload in wire.sent(THREATS) for event in upload.events]
    assert [threat["source_ip"] for threat in threats] == [f"203.0.113.{number}" for number in range(5)]
    assert all(list(event) == sorted(event) for event in threats)
    assert {threat["event_type"] for threat in threats} == {NEW_THREAT}


async def test_what_gathers_during_an_upload_is_the_next_batch(wire: Wire, db: Database) -> None:
    sending = Sending(wire, db)
    wire.gate.clear()
    sending.connector.start()
    expected = [await sending.touch() for _ in range(30)]
    wire.gate.set()
    await drained(db)
    await sending.connector.stop()
    sizes = [len(upload.events) for upload in wire.sent(INTERACTIONS)]
    assert len(sizes) <= 3
    assert sum(sizes) == 30
    assert uuids(wire.sent(INTERACTIONS)) == expected


async def test_a_retry_sends_the_same_bytes_under_the_same_request_id(wire: Wire, db: Database) -> None:
    wire.answers[INTERACTIONS] = [(500, "x"), (429, "x"), (503, "x")]
    sending = Sending(wire, db)
    first = await sending.touch()
    sending.connector.start()
    await wire.until(lambda: len(wire.sent(INTERACTIONS)) == 1)
    second = await sending.touch()  # must not join the batch that is being tried
    await drained(db)
    await sending.connector.stop()
    tries = wire.sent(INTERACTIONS)
    assert len({(upload.request_id, upload.packed) for upload in tries[:4]}) == 1
    assert uuids(tries[:4]) == [first] * 4
    assert uuids(tries[4:]) == [second]
    assert tries[4].request_id != tries[3].request_id


async def test_a_new_process_repeats_the_batch_that_the_old_one_fixed(wire: Wire, db: Database) -> None:
    wire.gate.clear()
    old = Sending(wire, db)
    old.connector.start()
    expected = [await old.touch() for _ in range(3)]
    await asyncio.sleep(0.3)  # let the first upload leave; its answer never comes
    await old.connector.stop()
    expected.append(await old.touch())
    wire.gate.set()
    new = Sending(wire, db)
    new.connector.start()
    await drained(db)
    await new.connector.stop()
    by_id: dict[str, set[bytes]] = defaultdict(set)
    for upload in wire.uploads:
        by_id[upload.request_id].add(upload.packed)
    assert all(len(bodies) == 1 for bodies in by_id.values())
    folded = {upload.request_id: upload for upload in wire.sent(INTERACTIONS)}.values()
    assert sorted(uuids(list(folded))) == sorted(expected)


async def test_batches_stay_below_their_limits(wire: Wire, db: Database) -> None:
    sending = Sending(wire, db, batch_bytes=20_000, batch_events=7)
    expected = [await sending.touch(name=b"x" * (10 if number % 2 else 3000)) for number in range(40)]
    sending.connector.start()
    await drained(db)
    await sending.connector.stop()
    assert uuids(wire.sent(INTERACTIONS)) == expected
    for upload in wire.sent(INTERACTIONS):
        assert len(gzip.decompress(upload.packed)) <= 20_000
        assert len(upload.events) <= 7


@pytest.mark.parametrize("status", [400, 413])
async def test_a_poisoned_event_is_set_aside_and_blocks_nobody(wire: Wire, db: Database, status: int) -> None:
    def judge(upload: Upload) -> Answer:
        names = [event.get("additional_data", {}).get("username") for event in upload.events]
        return (status, "InvalidPayload") if "poison" in names else ACCEPTED

    wire.judge = judge
    sending = Sending(wire, db)
    expected = [await sending.touch(name=b"poison" if number == 5 else b"root") for number in range(12)]
    sending.connector.start()
    await drained(db)
    await sending.connector.stop()
    taken = [upload for upload in wire.sent(INTERACTIONS) if judge(upload) == ACCEPTED]
    assert uuids(taken) == expected[:5] + expected[6:]
    [row] = db.read(lambda conn: conn.execute(sa.select(rejected)).all())
    assert (row.event_uuid, row.stream, row.status) == (expected[5], NEW_INTERACTION, status)
    assert "InvalidPayload" in row.error


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, ""), (403, "OperationFailed"), (404, "NotFound"), (400, "InvalidStream"), (415, "x"), (500, ""), (502, "")],
)
async def test_what_can_be_repaired_is_tried_again(wire: Wire, db: Database, status: int, code: str) -> None:
    wire.answers[THREATS] = [(status, code), (status, code)]
    sending = Sending(wire, db)
    await sending.touch()
    sending.connector.start()
    await drained(db)
    await sending.connector.stop()
    assert len(wire.sent(THREATS)) == 3
    assert db.read(lambda conn: conn.execute(sa.select(rejected)).all()) == []


async def test_a_token_that_is_refused_is_not_offered_again(wire: Wire, db: Database) -> None:
    wire.answers[THREATS] = [(401, "")]
    sending = Sending(wire, db)
    await sending.touch()
    sending.connector.start()
    await drained(db)
    await sending.connector.stop()
    first, second = wire.sent(THREATS)
    assert first.token != second.token


async def test_token_errors_are_tried_again(wire: Wire, db: Database) -> None:
    wire.token_answers = [(401, "AADSTS7000215")] * 4
    sending = Sending(wire, db)
    sending.connector.start()
    await sending.touch()
    await drained(db)
    await sending.connector.stop()
    assert len(wire.sent(THREATS)) == len(wire.sent(INTERACTIONS)) == 1


async def test_the_pause_doubles_to_its_limit_and_retry_after_is_heeded(wire: Wire, db: Database) -> None:
    class Recording(ManualClock):
        def __init__(self) -> None:
            super().__init__(datetime(2026, 3, 1, tzinfo=UTC))
            self.pauses: list[float] = []

        async def sleep(self, seconds: float) -> None:
            self.pauses.append(seconds)
            await asyncio.sleep(0)

    clock = Recording()
    wire.answers[THREATS] = [(403, "x")] * 6
    sending = Sending(wire, db, clock, retry_seconds=3)
    await sending.touch()
    sending.connector.start()
    await drained(db)
    assert clock.pauses == [0.25, 0.5, 1.0, 2.0, 3.0, 3.0]
    clock.pauses.clear()
    wire.answers[THREATS] = [(429, "x")]
    wire.retry_after = "17"
    await sending.touch("203.0.113.99")
    await drained(db)
    await sending.connector.stop()
    assert clock.pauses == [17.0]


async def test_an_unreachable_receiver_is_tried_again(wire: Wire, db: Database) -> None:
    sending = Sending(wire, db)
    good = sending.connector._lanes[NEW_THREAT].uploader
    port = wire.port
    wire.port = 1
    bad = sentinel.Uploader(wire.config, "Lurewire_Threats_CL")
    wire.port = port
    sending.connector._lanes[NEW_THREAT].uploader = bad
    await sending.touch()
    sending.connector.start()
    async with asyncio.timeout(10):
        while not sending.connector._lanes[NEW_THREAT].failures:
            await asyncio.sleep(0.01)
    sending.connector._lanes[NEW_THREAT].uploader = good
    await drained(db)
    await sending.connector.stop()


async def test_a_stored_event_leaves_at_once(wire: Wire, db: Database) -> None:
    sending = Sending(wire, db)
    sending.connector.start()
    await sending.touch()
    await drained(db)
    loop = asyncio.get_running_loop()
    times = []
    for number in range(20):
        started = loop.time()
        before = len(wire.sent(THREATS))
        await sending.touch(f"198.51.100.{number}")
        await wire.until(lambda before=before: len(wire.sent(THREATS)) > before)  # type: ignore[misc]
        times.append(loop.time() - started)
    await sending.connector.stop()
    assert sorted(times)[10] < 0.1


async def test_the_connection_test_sends_one_of_each_and_arrives_every_time(wire: Wire) -> None:
    for _ in range(2):
        await sentinel.test_connection(wire.config, ORIGIN, SystemClock())
    assert [upload.stream for upload in wire.uploads] == [THREATS, INTERACTIONS] * 2
    assert len({upload.request_id for upload in wire.uploads}) == 4
    for upload in wire.uploads:
        [event] = upload.events
        assert event["threat_uuid"] == "00000000-0000-0000-0000-000000000000"
        assert event["entity_uuid"] == ORIGIN.entity_uuid


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda wire: wire.token_answers.append((401, "AADSTS7000215")), "client secret"),
        (lambda wire: wire.answers[THREATS].append((403, "OperationFailed")), "Monitoring Metrics Publisher"),
        (lambda wire: wire.answers[THREATS].append((404, "NotFound")), "endpoint URL"),
        (
            lambda wire: wire.answers[INTERACTIONS].append((400, "InvalidStream")),
            "Custom-Lurewire_Interactions_CL: 400",
        ),
        (lambda wire: setattr(wire, "port", 1), "Connection refused"),
    ],
)
async def test_a_failed_connection_test_says_what_to_check(
    wire: Wire, prepare: Callable[[Wire], None], message: str
) -> None:
    prepare(wire)
    with pytest.raises(ConnectorError) as caught:
        await sentinel.test_connection(wire.config, ORIGIN, SystemClock())
    assert message in str(caught.value)
    assert "right" not in str(caught.value).split()
