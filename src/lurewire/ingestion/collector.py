"""The HTTP Data Collector API: signed records become rows of a custom table, which is made and widened on the way.

Source: https://learn.microsoft.com/previous-versions/azure/azure-monitor/logs/data-collector-api and contract section C.
Azure has switched the API off; playbooks and scripts still speak it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import re
import uuid
from collections import Counter
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

import msgspec

from lurewire.core.errors import WireError
from lurewire.ingestion.collector_columns import ReservedProperty, Shaper
from lurewire.ingestion.collector_errors import (
    InvalidAuthorization,
    InvalidCustomerId,
    InvalidDataFormat,
    InvalidLogType,
    MissingLogType,
    RequestTooLarge,
    ServiceUnavailable,
    TooManyRequests,
)
from lurewire.ingestion.error_log import LoggedError
from lurewire.ingestion.resources import KEPT_OF_TABLES
from lurewire.kql import Column, KqlType
from lurewire.schemas.infer import TABLE_NAME, TIME
from lurewire.workspace import FlowDefinition, JournalError, Losses, Overloaded, Span, StreamDefinition, make_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lurewire.core.clock import Clock
    from lurewire.core.resources import ResourceId, Resources
    from lurewire.ingestion.service import Ingestion
    from lurewire.workspace import Key, SharedKeys, Workspace, Workspaces

T = TypeVar("T")

_SCHEME = re.compile(r"SharedKey ([^:\s]+):(\S+)")
_LOG_TYPE = re.compile(r"[A-Za-z0-9_]{1,100}")
_STANDARD = ("Computer", "SourceSystem", "MG", "ManagementGroupName", "RawData")
_OWN_COLUMNS = (TIME, *_STANDARD)
_RECEIVED_BY = "RestAPI"
_RESOURCE = "_ResourceId"
_MOST_RECORDS = 2_000_000  # our own: each costs memory of its own beside its bytes
_BAD_SIGNATURE = "An invalid signature was specified in the Authorization header"


@dataclass(frozen=True, slots=True)
class Post:
    """One call: what its headers say, and its body. Of those with the same `once`, where it is given, one is stored."""

    log_type: str
    time_field: str
    resource_id: str
    body: bytes
    once: str = ""


class Collector:
    """Takes the calls of all workspaces."""

    def __init__(
        self, ingestion: Ingestion, workspaces: Workspaces, resources: Resources, keys: SharedKeys, clock: Clock
    ) -> None:
        self.limits = ingestion.limits
        self._ingestion = ingestion
        self._workspaces = workspaces
        self._resources = resources
        self._keys = keys
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._one_at_a_time = asyncio.Semaphore(1)  # for what takes memory of its own, never for what waits for a disk
        self._waiting = 0  # bytes of calls, as they were read
        self._held: Counter[str] = Counter()  # of each workspace: these, and what was made of them

    async def authorize(self, authorization: str, date: str, length: int, host: str) -> Workspace:
        """The workspace whose key signed a call of `length` bytes. Raises `InvalidCustomerId`, `InvalidAuthorization`.

        Nobody learns whether a workspace exists: an unknown one and a wrong key have one answer.
        """
        found = _SCHEME.fullmatch(authorization.strip())
        if found is None:
            raise InvalidAuthorization("The Authorization header is 'SharedKey <workspace id>:<signature>'")
        customer_id = found[1].lower()
        if not _is_guid(customer_id):
            raise InvalidCustomerId("The workspace ID is not a GUID")
        self._check_date(date)
        first = host.partition(".")[0]
        workspace = self._workspaces.by_customer_id(customer_id)
        if workspace is None or (_is_guid(first) and first.lower() != customer_id):
            raise InvalidAuthorization(_BAD_SIGNATURE)
        keys = await self._keys.of(customer_id)
        good = [_signed_by(key, found[2], date, length) for key in keys]
        if not any(good):
            raise InvalidAuthorization(_BAD_SIGNATURE)
        return workspace

    async def send(
        self, customer_id: str, key: str, log_type: str, body: bytes, *, time_field: str, resource_id: str, once: str
    ) -> None:
        """Store records for whoever holds a key, once for each `once`. Raises the errors of `collector_errors`."""
        if not _is_guid(customer_id):
            raise InvalidCustomerId("The workspace ID is not a GUID")
        workspace = self._workspaces.by_customer_id(customer_id)
        keys = () if workspace is None else await self._keys.of(customer_id)
        good = [hmac.compare_digest(known.encode(), key.encode()) for known in keys]
        if workspace is None or not any(good):
            raise InvalidAuthorization("The key is none of the workspace")
        if not log_type:
            raise MissingLogType("The Log-Type was not specified")
        if len(body) > self.limits["ingestion.collector_body_bytes"]:
            raise RequestTooLarge(f"The body is longer than {self.limits['ingestion.collector_body_bytes']} bytes")
        await self.accept(workspace, Post(log_type, time_field, resource_id, body, once))

    async def accept(self, workspace: Workspace, post: Post) -> None:
        """Store a call's records durably. Raises the errors of `collector_errors`."""
        table = f"{post.log_type}_CL"
        if not _LOG_TYPE.fullmatch(post.log_type) or not TABLE_NAME.fullmatch(table):
            raise InvalidLogType(
                "The Log-Type has letters, digits and '_', begins with a letter and makes a table's name of at most 63"
            )
        held = self._held[workspace.customer_id]
        for waiting, limit in ((self._waiting, "waiting_bytes"), (held, "workspace_bytes")):
            if waiting + len(post.body) > self.limits[f"ingestion.collector_{limit}"]:
                raise TooManyRequests("Too many calls wait to be stored", headers={"Retry-After": "1"})
        self._waiting += len(post.body)
        try:
            with self._holding(workspace, len(post.body)):
                await self._take(workspace, post, table)
        finally:
            self._waiting -= len(post.body)

    async def _take(self, workspace: Workspace, post: Post, table: str) -> None:
        resource_id = self._workspaces.id_of(workspace.customer_id)
        assert resource_id is not None
        async with self._lock(f"{resource_id.key}/{table}"):
            known = {c.name: c.type for c in stored.columns} if (stored := workspace.tables.find(table)) else {}
            shaper = Shaper(_own(known), self.limits["ingestion.collector_columns"] - len(_OWN_COLUMNS))
            body = await self._alone(_shaped, post, shaper)
            with self._holding(workspace, len(body)):
                if shaper.new or not known:
                    await self._widen(resource_id, table, shaper)
                key = make_key(Span.ROOM, "collector", table, post.once) if post.once else None
                losses = await self._store(workspace, table, body, key)
        await self._report(workspace, resource_id, table, shaper, losses)

    async def _alone(self, work: Callable[..., T], *arguments: object) -> T:
        """Run on a thread, after all others; it runs on where the caller is cancelled, and nothing else till it ends."""
        await self._one_at_a_time.acquire()
        running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
        running.add_done_callback(lambda _: self._one_at_a_time.release())
        return await asyncio.shield(running)

    @contextlib.contextmanager
    def _holding(self, workspace: Workspace, size: int) -> Iterator[None]:
        self._held[workspace.customer_id] += size
        try:
            yield
        finally:
            self._held[workspace.customer_id] -= size

    def _check_date(self, date: str) -> None:
        most = self.limits["ingestion.collector_clock_minutes"] * 60
        try:
            moment = parsedate_to_datetime(date)
            off = abs((self._clock.now() - moment).total_seconds())
        except (TypeError, ValueError, OverflowError):
            raise InvalidAuthorization("The header x-ms-date is required: a date as RFC 1123 has it, in GMT") from None
        if off > most:
            raise InvalidAuthorization(f"The x-ms-date is more than {most // 60} minutes from the present")

    async def _widen(self, workspace: ResourceId, table: str, shaper: Shaper) -> None:
        """Make the table, or add columns to it, as anybody would through its resource."""
        table_id = workspace.child("tables", table)
        existing = self._resources.get(table_id)
        if existing is None:
            columns = [Column(TIME, KqlType.DATETIME), *(Column(name, KqlType.STRING) for name in _STANDARD)]
            properties: dict[str, Any] = {"schema": {"name": table}}
            declared = [_declared(column) for column in columns]
        else:
            properties = {k: v for k, v in existing["properties"].items() if k in KEPT_OF_TABLES}
            declared = list(existing["properties"]["schema"]["columns"])
            properties["schema"] = {"name": table}
        properties["schema"]["columns"] = [*declared, *(_declared(column) for column in shaper.new_columns)]
        try:
            await self._resources.put(table_id, {"properties": properties})
        except WireError as error:
            raise InvalidDataFormat(f"The table '{table}' cannot take the records: {error.message}") from None

    async def _store(self, workspace: Workspace, table: str, body: bytes, key: Key | None) -> Losses:
        stored = workspace.tables.find(table)
        assert stored is not None
        columns = [Column(c.name, c.type) for c in stored.columns if not c.constant]
        bounds = self._ingestion.bounds | {"field_bytes": self.limits["ingestion.collector_field_bytes"]}
        stream = await workspace.define(StreamDefinition.of(columns, [FlowDefinition(table)], **bounds))
        losses = Losses()
        rows = await self._alone(stream.decoder.decode, body, losses)
        try:
            await workspace.submit(stream, body, rows, gzip=False, key=key)
        except Overloaded as error:
            raise TooManyRequests(f"Too much waits to be stored: {error}", headers={"Retry-After": "1"}) from None
        except JournalError as error:
            raise ServiceUnavailable(f"The data could not be stored: {error}", headers={"Retry-After": "1"}) from None
        return losses

    async def _report(
        self, workspace: Workspace, resource_id: ResourceId, table: str, shaper: Shaper, losses: Losses
    ) -> None:
        """Say in the table Operation what was dropped or cut, as Azure does for this API."""
        columns = self.limits["ingestion.collector_columns"]
        found = [
            LoggedError(f"{table} {name}", "", f"The column '{name}' is dropped: a table has at most {columns}.")
            for name in sorted(shaper.dropped)
        ]
        most = self.limits["ingestion.collector_field_bytes"]
        found += [
            LoggedError(
                f"{table} {name}", "", f"{count} values of '{name}' are cut at {most} bytes, the longest had {long}."
            )
            for name, (count, long) in losses.cut.items()
        ]
        rows = [
            {
                "Solution": "HTTP Data Collector API",
                "OperationCategory": "Ingestion",
                "OperationStatus": "Warning",
                "OperationKey": table,
                "Detail": text,
                "SourceSystem": _RECEIVED_BY,
            }
            for _, text in self._ingestion.errors.told(resource_id, found)
        ]
        await self._ingestion.errors.append([workspace], "Operation", rows)

    def _lock(self, key: str) -> asyncio.Lock:
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock


def _is_guid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _signed_by(key: str, signature: str, date: str, length: int) -> bool:
    signed = f"POST\n{length}\napplication/json\nx-ms-date:{date}\n/api/logs"
    expected = hmac.new(base64.b64decode(key), signed.encode(), hashlib.sha256).digest()
    try:
        given = base64.b64decode(signature, validate=True)
    except ValueError:
        given = b""
    return hmac.compare_digest(expected, given)


def _own(known: dict[str, KqlType]) -> dict[str, KqlType]:
    standard = {"TenantId", "Type", _RESOURCE, *_OWN_COLUMNS}
    return {name: kind for name, kind in known.items() if name not in standard}


def _declared(column: Column) -> dict[str, str]:
    return {"name": column.name, "type": str(column.type)}


def _shaped(post: Post, shaper: Shaper) -> bytes:
    """The records as rows of the table. Raises `InvalidDataFormat`."""
    if post.body.count(b"{") > _MOST_RECORDS:
        raise InvalidDataFormat(f"The body has more than {_MOST_RECORDS} records")
    common = {"SourceSystem": _RECEIVED_BY} | ({_RESOURCE: post.resource_id} if post.resource_id else {})
    rows = []
    try:
        for record in _records(post.body):
            row: dict[str, Any] = shaper.shape(record) | common
            if post.time_field and post.time_field in record:
                row[TIME] = record[post.time_field]
            rows.append(row)
        return msgspec.json.encode(rows)
    except ReservedProperty as error:
        raise InvalidDataFormat(f"The property name '{str(error)[:80]}' is reserved") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InvalidDataFormat(f"The body is no JSON object and no array of JSON objects: {error}") from None


def _records(body: bytes) -> list[dict[str, msgspec.Raw]]:
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    if text.startswith(b"{"):
        return [msgspec.json.decode(text, type=dict[str, msgspec.Raw])]
    return msgspec.json.decode(text, type=list[dict[str, msgspec.Raw]])
