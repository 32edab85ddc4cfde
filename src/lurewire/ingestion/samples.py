"""From a sample of events to a table, a stream and the flow between them: inferred, tried, then created.

What is created goes through the resource store, so that it is validated as any other table and rule is. Source of the
steps: https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table#create-a-custom-table.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from lurewire import kql
from lurewire.core.resources import InvalidResourceId, ResourceId
from lurewire.ingestion.errors import SampleInvalid
from lurewire.ingestion.models import CUSTOM, MICROSOFT
from lurewire.ingestion.resources import DIRECT, KEPT_OF_TABLES, RULE
from lurewire.kql import Column, KqlError, KqlType, ticks_from_datetime
from lurewire.schemas import builtin_schema
from lurewire.schemas.infer import TABLE_NAME, TIME, Inferred, Sample, SampleError, infer, read_sample, sample_of
from lurewire.schemas.parse_json import parse_json_schema
from lurewire.workspace import Losses, RowDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from duckdb import DuckDBPyConnection

    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits
    from lurewire.core.principal import Principal
    from lurewire.core.resources import Resources
    from lurewire.workspace import Workspaces

_SOURCE = "source"
_BATCH = "batch"
_INTERRUPT_AGAIN = 0.02


class SampleRequest(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is asked: `sample` is JSON, or a text of JSON or newline-delimited JSON; `table` the table to fill.

    `time` names the property that is the event's time. `transform` stands instead of the one that is inferred. `rule` is a
    rule's name or ARM id, `endpoint` the ARM id of a data collection endpoint for a new rule: without it, it is a direct one.
    """

    sample: Any
    table: str
    time: str = ""
    transform: str = ""
    rule: str = ""
    endpoint: str = ""


@dataclass(slots=True)
class Preview:
    """What a transform makes of the sample: columns, rows by name, and why it would be refused."""

    columns: tuple[Column, ...] = ()
    rows: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    losses: Losses = field(default_factory=Losses)


class Samples:
    """Infers, previews and applies."""

    def __init__(self, workspaces: Workspaces, resources: Resources, clock: Clock, limits: Limits) -> None:
        self._workspaces = workspaces
        self._resources = resources
        self._clock = clock
        self.limits = limits
        self._two_at_a_time = asyncio.Semaphore(2)

    async def infer(self, workspace: ResourceId, asked: SampleRequest) -> dict[str, Any]:
        """The schema of a sample, as JSON. Raises `SampleInvalid`."""
        async with self._two_at_a_time:
            records, inferred = await asyncio.to_thread(self._infer, asked)
            return await asyncio.to_thread(self._described, workspace, asked, records, inferred)

    def _described(
        self, workspace: ResourceId, asked: SampleRequest, records: Sequence[dict[str, Any]], inferred: Inferred
    ) -> dict[str, Any]:
        stream, table = self._names(asked.table)
        return {
            "records": len(records),
            "stream": {"name": stream, "columns": inferred.stream_columns},
            "table": {"name": table, "columns": inferred.table_columns, "exists": self._exists(workspace, table)},
            "transformKql": asked.transform or inferred.transform,
            "renamed": dict(inferred.renamed),
            "notes": list(inferred.notes),
            "parseJsonSchema": parse_json_schema(_sample(asked.sample)),
        }

    async def preview(self, workspace: ResourceId, asked: SampleRequest) -> dict[str, Any]:
        """What `infer` says, with the rows that the transform makes of the sample and its errors. Raises `SampleInvalid`."""
        async with self._two_at_a_time:
            records, inferred = await asyncio.to_thread(self._infer, asked)
            shown = await self._run(workspace, asked, records, inferred)
            described = await asyncio.to_thread(self._described, workspace, asked, records, inferred)
        answer = {
            "columns": [{"name": c.name, "type": str(c.type)} for c in shown.columns],
            "rows": shown.rows,
            "errors": shown.errors,
            "mistyped": shown.losses.mistyped,
            "cut": {name: longest for name, (_, longest) in shown.losses.cut.items()},
        }
        return described | answer

    def targets(self, workspace: ResourceId, asked: SampleRequest) -> tuple[ResourceId, ResourceId]:
        """The table and the rule that `apply` would write. Raises `SampleInvalid`."""
        table = self._names(asked.table)[1]
        return workspace.child("tables", table), self._rule_id(workspace, asked)

    async def apply(
        self, workspace: ResourceId, asked: SampleRequest, principal: Principal | None = None
    ) -> dict[str, Any]:
        """Create or widen the table, then put stream and flow into the rule, which is created where there is none.

        Raises `SampleInvalid`, also for a transform that `preview` has errors for, and what the store raises. A table that
        this made is taken away again where the rule is refused.
        """
        table_id, rule_id = self.targets(workspace, asked)
        async with self._two_at_a_time:
            records, inferred = await asyncio.to_thread(self._infer, asked)
            shown = await self._run(workspace, asked, records, inferred)
        if shown.errors:
            raise SampleInvalid(f"The transform cannot be applied: {shown.errors[0]['message']}")
        made = False
        if builtin_schema(table_id.name) is None:
            body = self._table_body(table_id, inferred, shown.columns if asked.transform else ())
            made = self._resources.get(table_id) is None
            await self._resources.put(table_id, body, principal)
        try:
            rule = await self._resources.put(rule_id, self._rule_body(workspace, rule_id, asked, inferred), principal)
        except Exception:
            if made:
                await self._resources.delete(table_id)
            raise
        properties = rule["properties"]
        return {
            "table": str(table_id),
            "rule": str(rule_id),
            "stream": self._names(asked.table)[0],
            "immutableId": properties["immutableId"],
            "endpoint": self._endpoint_url(properties),
        }

    def _infer(self, asked: SampleRequest) -> tuple[list[dict[str, Any]], Inferred]:
        try:
            records = _sample(asked.sample).records
            inferred = infer(records, time=asked.time)
        except SampleError as error:
            raise SampleInvalid(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
        longest = self.limits["ingestion.transform_characters"]
        if len(asked.transform) > longest:
            raise SampleInvalid(f"'transform' has at most {longest} characters.")
        most = self.limits["ingestion.sample_records"]
        if len(records) > most:
            raise SampleInvalid(f"The sample has {len(records)} records, and at most {most} are looked at.")
        return records, inferred

    @staticmethod
    def _names(table: str) -> tuple[str, str]:
        """The stream and the table that a name means. Raises `SampleInvalid`."""
        if builtin_schema(table) is not None:
            return f"{CUSTOM}{table}", table
        if not TABLE_NAME.fullmatch(table):
            message = "a custom table's name starts with a letter, has letters, digits and '_', and ends with _CL"
            raise SampleInvalid(f"'{table[:80]}' is no table of Azure, and {message}.")
        return f"{CUSTOM}{table}", table

    def _exists(self, workspace: ResourceId, table: str) -> bool:
        found = self._workspaces.by_id(workspace)
        return found is not None and any(one.name == table for one in found.tables.stored())

    async def _run(
        self, workspace: ResourceId, asked: SampleRequest, records: Sequence[dict[str, Any]], inferred: Inferred
    ) -> Preview:
        transform = asked.transform or inferred.transform
        now = ticks_from_datetime(self._clock.now())
        shown = await asyncio.to_thread(_transformed, inferred.stream, transform, records, now, self.limits)
        if shown.errors:
            return shown
        produced = {column.name: column.type for column in shown.columns}
        if produced.get(TIME) is not KqlType.DATETIME:
            shown.errors.append(_error(f"The transform output must contain the column '{TIME}' of type datetime."))
        for column in self._target(workspace, asked.table):
            if produced.get(column.name, column.type) is not column.type:
                kind = produced[column.name]
                message = (
                    f"The column '{column.name}' of the table is {column.type}, and the transform makes {kind} of it."
                )
                shown.errors.append(_error(message))
        return shown

    def _target(self, workspace: ResourceId, table: str) -> Sequence[Column]:
        builtin = builtin_schema(table)
        if builtin is not None:
            return builtin
        found = self._workspaces.by_id(workspace)
        stored = None if found is None else next((t for t in found.tables.stored() if t.name == table), None)
        return [] if stored is None else [Column(c.name, c.type) for c in stored.columns]

    def _table_body(self, table_id: ResourceId, inferred: Inferred, outputs: Sequence[Column]) -> dict[str, Any]:
        """The table's body: what it has, and the new columns; those of the transform where that is the caller's own."""
        existing = self._resources.get(table_id)
        declared = [] if existing is None else list(existing["properties"]["schema"]["columns"])
        known = {column["name"] for column in declared}
        wanted = Inferred((), tuple(outputs), "").table_columns if outputs else inferred.table_columns
        added = [column for column in wanted if column["name"] not in known]
        kept = {} if existing is None else {k: v for k, v in existing["properties"].items() if k in KEPT_OF_TABLES}
        return {"properties": kept | {"schema": {"name": table_id.name, "columns": [*declared, *added]}}}

    def _rule_id(self, workspace: ResourceId, asked: SampleRequest) -> ResourceId:
        if not asked.rule:
            raise SampleInvalid("'rule' is required: the name or the ARM id of a data collection rule.")
        namespace, kind = RULE.split("/")
        if "/" not in asked.rule:
            return ResourceId.parse(workspace.scope).extension(namespace, kind, asked.rule)
        try:
            found = ResourceId.parse(asked.rule)
        except InvalidResourceId as error:
            raise SampleInvalid(f"'rule': {error}.") from None
        if found.type.lower() != RULE.lower():
            raise SampleInvalid(f"'rule': '{asked.rule[:300]}' is the id of no data collection rule.")
        return found

    def _rule_body(
        self, workspace: ResourceId, rule_id: ResourceId, asked: SampleRequest, inferred: Inferred
    ) -> dict[str, Any]:
        """The rule with the stream and its flow; another stream's flows stay as they are."""
        stream, table = self._names(asked.table)
        output = f"{MICROSOFT if builtin_schema(table) is not None else CUSTOM}{table}"
        body = self._resources.get(rule_id)
        if body is None:
            group = self._resources.get(ResourceId.parse(rule_id.scope)) or {}
            body = {"location": group.get("location", "local"), "properties": {}}
            if asked.endpoint:
                body["properties"]["dataCollectionEndpointId"] = asked.endpoint
            else:
                body["kind"] = DIRECT
        properties = dict(body["properties"])
        destinations = list((properties.get("destinations") or {}).get("logAnalytics", []))
        place = next((d for d in destinations if str(d["workspaceResourceId"]).lower() == workspace.key), None)
        if place is None:
            place = {"name": _unused(workspace.name, destinations), "workspaceResourceId": str(workspace)}
            destinations.append(place)
        flow = {
            "streams": [stream],
            "destinations": [place["name"]],
            "transformKql": asked.transform or inferred.transform,
            "outputStream": output,
        }
        flows = [
            kept for one in properties.get("dataFlows", []) for kept in _without(one, stream, output, place["name"])
        ]
        declared = dict(properties.get("streamDeclarations") or {})
        columns = {column["name"]: column for column in inferred.stream_columns}
        columns |= {column["name"]: column for column in declared.get(stream, {}).get("columns", [])}
        declared[stream] = {"columns": list(columns.values())}
        properties |= {
            "streamDeclarations": declared,
            "destinations": {"logAnalytics": destinations},
            "dataFlows": [*flows, flow],
        }
        return body | {"properties": properties}

    def _endpoint_url(self, properties: dict[str, Any]) -> str:
        own = properties.get("endpoints")
        if own:
            return str(own["logsIngestion"])
        endpoint = self._resources.get(ResourceId.parse(properties["dataCollectionEndpointId"]))
        return str(endpoint["properties"]["logsIngestion"]["endpoint"]) if endpoint else ""


def _sample(given: Any) -> Sample:
    return read_sample(given.encode(errors="replace")) if isinstance(given, str) else sample_of(given)


def _without(flow: dict[str, Any], stream: str, output: str, destination: str) -> list[dict[str, Any]]:
    """A flow less its way of `stream` to `output` in `destination`: a second one would double every row."""
    streams, destinations = flow["streams"], flow["destinations"]
    if stream not in streams or destination not in destinations or (flow.get("outputStream") or stream) != output:
        return [flow]
    others = [one for one in streams if one != stream], [one for one in destinations if one != destination]
    kept = [flow | {"streams": others[0]}, flow | {"streams": [stream], "destinations": others[1]}]
    return [one for one in kept if one["streams"] and one["destinations"]]


def _unused(name: str, destinations: Sequence[dict[str, Any]]) -> str:
    taken = {one["name"] for one in destinations}
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, len(taken) + 3))) if n not in taken)


def _error(message: str, code: str = "InvalidTransformOutput", **place: int) -> dict[str, Any]:
    return {"code": code, "message": message} | place


@contextlib.contextmanager
def _stopped_after(seconds: float, connection: DuckDBPyConnection) -> Iterator[threading.Event]:
    """Interrupt what runs on a connection once its time is over; the event tells.

    Again and again: the engine forgets an interrupt that comes between two statements, and looks for one between two vectors.
    """
    ended, late = threading.Event(), threading.Event()

    def watch() -> None:
        if ended.wait(seconds):
            return
        late.set()
        while not ended.wait(_INTERRUPT_AGAIN):
            connection.interrupt()

    watcher = threading.Thread(target=watch, name="preview", daemon=True)
    watcher.start()
    try:
        yield late
    finally:
        ended.set()
        watcher.join()


def _transformed(
    columns: Sequence[Column], transform: str, records: Sequence[dict[str, Any]], now: int, limits: Limits
) -> Preview:
    """The records through the transform, in an engine of their own that reaches nothing else."""
    shown = Preview()
    rows = RowDecoder(columns, limits["ingestion.field_bytes"]).decode(json.dumps(records).encode(), shown.losses)
    source = kql.Table(_SOURCE, tuple(columns), _BATCH, tuple(rows.column_names), time_column=None)
    with kql.closed_connection(memory_megabytes=limits["ingestion.preview_memory_mb"]) as connection:
        connection.register(_BATCH, rows)
        seconds = limits["ingestion.preview_seconds"]
        try:
            with _stopped_after(seconds, connection) as late:
                result = kql.run_over(transform, connection, kql.Tables([source]), now=now, profile="transform")
        except KqlError as error:
            if late.is_set():
                message = f"The transform did not end in {seconds} seconds."
                shown.errors.append(_error(message, "InvalidTransformQuery"))
                return shown
            for one in error.errors:
                hint = f" ({one.hint})" if one.hint else ""
                place = {"line": one.line, "column": one.column}
                shown.errors.append(_error(f"{one.message}{hint}", "InvalidTransformQuery", **place))
            return shown
    shown.columns = result.columns
    shown.rows = [
        {c.name: kql.json_value(c.type, v) for c, v in zip(result.columns, row, strict=True)} for row in result.rows
    ]
    return shown
