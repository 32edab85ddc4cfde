"""The Microsoft Sentinel connector: events to two custom tables, by Microsoft's own clients.

Pointed at Azure or at Lurewire it is the same code: only endpoint, authority and certificate authority differ
(https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview). What waits is sent at once; what
gathers meanwhile is the next batch. Each kind of event has a worker thread and a connection of its own, so that a
long upload of interactions never holds back a new threat.

Towards Azure delivery is at least once: the protocol knows no idempotency key. A repeated batch carries the same
bytes and the same `x-ms-client-request-id`; Lurewire's ingestion folds such repeats.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import ClientSecretCredential
from azure.monitor.ingestion import LogsIngestionClient

from lurewire.core.log import get_logger
from lurewire.sensor.events import NEW_INTERACTION, NEW_THREAT, EventKind, sample_events
from lurewire.sensor.evidence import canonical
from lurewire.sensor.outbox import Batch, Outbox
from lurewire.sensor.store import microseconds
from lurewire.sensor.worker import Workers

if TYPE_CHECKING:
    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.limits import Limits
    from lurewire.sensor.config import SentinelConfig
    from lurewire.sensor.events import Origin

SCOPE = "https://monitor.azure.com/.default"

REFUSED_STATUSES = frozenset({400, 413})
"""Answers that blame the batch: it is halved until the one bad event is found and set aside."""

SETUP_CODES = frozenset({"InvalidStream", "InvalidDcrImmutableId"})
"""Error codes that come with such a status, but blame the set-up: the batch is tried again."""

HINTS = {
    401: "check tenant id, client id and client secret of the connector",
    403: "the app needs the role Monitoring Metrics Publisher on the data collection rule",
    404: "check endpoint and data collection rule in the connector's endpoint URL",
    400: "check the table names: the rule needs a stream Custom-<table> for each",
}

_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_FIRST_PAUSE = 0.25
_LONGEST_RETRY_AFTER = 3600.0

_log = get_logger("sensor.sentinel")


class ConnectorError(Exception):
    """An upload failed; the message says what was answered and what to check."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an upload failed. `status` is None where no answer came; `refused` where the batch itself is at fault."""

    status: int | None
    code: str
    message: str
    retry_after: float
    refused: bool

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """What the Azure clients' exception says; any other one is a fault of the set-up, and tried again."""
        if not isinstance(error, HttpResponseError):
            return cls(None, type(error).__name__, str(error), 0.0, refused=False)
        status = error.status_code
        if status is None and isinstance(error, ClientAuthenticationError):
            status = 401  # the token endpoint said no; the client does not tell how
        code = getattr(error.error, "code", None) or ""
        refused = status in REFUSED_STATUSES and code not in SETUP_CODES
        after = getattr(error.response, "headers", {}).get("Retry-After", "")
        wait = min(float(after), _LONGEST_RETRY_AFTER) if after.isdecimal() else 0.0
        return cls(status, code, str(error.message), wait, refused)

    def __str__(self) -> str:
        answer = f"{self.status} {self.code}".strip() if self.status else self.code
        hint = HINTS.get(self.status or 0)
        return f"{answer}: {self.message}" + (f" ({hint})" if hint else "")


class Uploader:
    """One connection to one stream; its calls block."""

    def __init__(self, config: SentinelConfig, table: str) -> None:
        self._config = config
        self.stream = f"Custom-{table}"
        self._open()

    def warm(self) -> None:
        """Get a token, so that the first event need not wait for it."""
        self._credential.get_token(SCOPE)

    def upload(self, body: bytes, request_id: str) -> None:
        """Send a JSON array; raises what the Azure clients raise. The same arguments give the same bytes on the wire."""
        packed = gzip.compress(body, compresslevel=6, mtime=0)
        try:
            self._client.upload(self._config.rule_id, self.stream, io.BytesIO(packed), request_id=request_id)
        except HttpResponseError as error:
            if error.status_code == 401:
                self._reopen()  # a cached token that the receiver no longer takes must not be offered again
            raise

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._credential.close()

    def _reopen(self) -> None:
        self.close()
        self._open()

    def _open(self) -> None:
        config = self._config
        # The outbox repeats, with pauses of its own: the clients' retries would hold the worker where it sleeps.
        transport = {"retry_total": 0, "connection_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS}
        verify = {"connection_verify": config.ca_file} if config.ca_file else {}
        authority = {"authority": config.authority_host} if config.authority_host else {}
        self._credential = ClientSecretCredential(
            config.tenant_id,
            config.client_id,
            config.client_secret,
            disable_instance_discovery=config.disable_instance_discovery,
            **authority,
            **transport,
            **verify,
        )
        self._client = LogsIngestionClient(config.endpoint, self._credential, **transport, **verify)


class _Lane:
    """One kind of event on its way: what waits, how it is sent, and the bell that says there is more."""

    def __init__(self, kind: EventKind, outbox: Outbox, uploader: Uploader) -> None:
        self.kind = kind
        self.outbox = outbox
        self.uploader = uploader
        self.workers = Workers(f"sentinel-{kind}")
        self.bell = asyncio.Event()
        self.failures = 0


class SentinelConnector:
    """Sends what the outbox holds, for ever; needs a running event loop."""

    def __init__(self, config: SentinelConfig, db: Database, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._lanes = {
            kind: _Lane(kind, Outbox(db, kind, limits), Uploader(config, table))
            for kind, table in _tables(config).items()
        }
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin with what an earlier process left."""
        self._tasks = [self._loop.create_task(self._run(lane)) for lane in self._lanes.values()]

    def ring(self, kind: EventKind) -> None:
        """Say that an event of `kind` was stored; called on any thread."""
        self._loop.call_soon_threadsafe(self._lanes[kind].bell.set)

    async def stop(self) -> None:
        """Stop at once; a batch under way is sent again, under its request id, at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in self._lanes.values():
            lane.workers.stop()

    async def _run(self, lane: _Lane) -> None:
        try:
            await lane.workers.run(lane.uploader.warm)
        except Exception as error:  # noqa: BLE001 - whatever it is, the upload will meet it again and say so
            _log.warning("no token yet for the Sentinel connector", reason=str(Failure.of(error)))
        while True:
            lane.bell.clear()
            try:
                batch = await lane.outbox.next_batch()
                if batch is None:
                    await lane.bell.wait()
                else:
                    await self._deliver(lane, batch)
            except sa.exc.SQLAlchemyError:
                _log.exception("the outbox cannot be read or written", stream=lane.uploader.stream)
                await self._clock.sleep(self._limits["sensor.retry_seconds"])

    async def _deliver(self, lane: _Lane, batch: Batch) -> None:
        stream = lane.uploader.stream
        try:
            await lane.workers.run(lane.uploader.upload, batch.body, batch.request_id(stream))
        except Exception as error:  # noqa: BLE001 - nothing may end the lane: what is stored must go out
            failure = Failure.of(error)
        else:
            await lane.outbox.delivered(batch)
            if lane.failures:
                _log.info("events are delivered again", stream=stream, failures=lane.failures)
            lane.failures = 0
            return
        if not failure.refused:
            await self._pause(lane, failure)
        elif len(batch.events) > 1:
            await lane.outbox.split(batch)
        else:
            _log.error(
                "an event was refused and set aside in sensor_rejected",
                stream=stream,
                event_uuid=batch.event_uuids[0],
                reason=str(failure),
            )
            await lane.outbox.set_aside(batch, failure.status or 0, str(failure), microseconds(self._clock.now()))

    async def _pause(self, lane: _Lane, failure: Failure) -> None:
        longest = float(self._limits["sensor.retry_seconds"])
        wait = failure.retry_after or min(_FIRST_PAUSE * 2 ** min(lane.failures, 16), longest)
        lane.failures += 1
        _log.warning("events wait: upload failed", stream=lane.uploader.stream, seconds=wait, reason=str(failure))
        await self._clock.sleep(wait)


async def test_connection(config: SentinelConfig, origin: Origin, clock: Clock) -> None:
    """Send one threat and one interaction with the nil threat UUID; raises `ConnectorError` where either fails."""
    samples = sample_events(origin, clock.now())
    workers = Workers("sentinel-test")
    try:
        for table, event in zip(_tables(config).values(), samples, strict=True):
            uploader = Uploader(config, table)
            try:
                # A random request id: a test that is repeated must arrive again.
                await workers.run(uploader.upload, b"[" + canonical(event) + b"]", str(uuid.uuid4()))
            except Exception as error:
                raise ConnectorError(f"{uploader.stream}: {Failure.of(error)}") from error
            finally:
                uploader.close()
    finally:
        workers.stop()


def _tables(config: SentinelConfig) -> dict[EventKind, str]:
    return {NEW_THREAT: config.threats_table, NEW_INTERACTION: config.interactions_table}
