"""The Logs Ingestion API: active rules, and what happens to a body.

Decoding runs on the event loop: it was measured to be the fastest way (about 10 ms a megabyte). The answer goes out when the
journal of every destination has the body on disk.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lurewire.core.limits import Limits
from lurewire.core.log import get_logger
from lurewire.ingestion.bodies import check_size, longest, unpack
from lurewire.ingestion.errors import BodyInvalid, StreamUnknown, Throttled, Unavailable, no_access
from lurewire.ingestion.limits import LIMITS
from lurewire.ingestion.rates import Rates
from lurewire.ingestion.resources import DIRECT, resource_types
from lurewire.workspace import BadBody, FlowDefinition, JournalError, Overloaded, Span, StreamDefinition, make_key

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from lurewire.core.clock import Clock
    from lurewire.core.principal import Principal
    from lurewire.core.resources import ResourceId, Resources, ResourceType
    from lurewire.ingestion.models import RuleModel
    from lurewire.workspace import Stream, Workspace, Workspaces

_log = get_logger("ingestion")

_RETRY_SECONDS = "1"


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A rule that takes data: per stream, the workspaces that it goes to."""

    id: ResourceId
    immutable_id: str
    reachable: bool
    streams: dict[str, list[tuple[Workspace, Stream]]]


class Ingestion:
    """Takes what clients send to data collection rules.

    `base_url` gives the URL that endpoints show to clients.
    """

    def __init__(
        self,
        workspaces: Workspaces,
        resources: Resources,
        clock: Clock,
        base_url: Callable[[], str],
        limits: Limits | None = None,
    ) -> None:
        self._workspaces = workspaces
        self._resources = resources
        self._base_url = base_url
        self.limits = limits or Limits(LIMITS)
        self.rates = Rates(clock, self.limits)
        self._rules: dict[str, ActiveRule] = {}

    @property
    def resource_types(self) -> tuple[ResourceType, ...]:
        """Data collection endpoints and rules; register them after the workspace's."""
        return resource_types(self, self._workspaces, self._resources, self._base_url)

    def rule(self, immutable_id: str) -> ActiveRule | None:
        """The active rule of an immutable id, or None."""
        return self._rules.get(immutable_id.lower())

    async def activate(self, resource_id: ResourceId, immutable_id: str, model: RuleModel) -> None:
        """Take data for a rule from now on, as it is now. Raises `LookupError` where a workspace is not open."""
        streams: dict[str, list[tuple[Workspace, Stream]]] = {}
        for name, columns in {flow.stream: flow.columns for flow in model.flows}.items():
            by_workspace: dict[str, list[FlowDefinition]] = {}
            for flow in model.flows:
                if flow.stream == name:
                    definition = FlowDefinition(flow.table, flow.transform)
                    for destination in flow.destinations:
                        by_workspace.setdefault(model.destinations[destination].lower(), []).append(definition)
            streams[name] = []
            for workspace_id, flows in by_workspace.items():
                workspace = self._workspaces.by_id(workspace_id)
                if workspace is None:
                    raise LookupError(f"{resource_id}: the workspace {workspace_id} is not open")
                stream = await workspace.define(StreamDefinition.of(columns, flows))
                streams[name].append((workspace, stream))
        reachable = model.endpoint_id is not None or model.kind == DIRECT
        self._rules[immutable_id.lower()] = ActiveRule(resource_id, immutable_id, reachable, streams)

    def deactivate(self, resource_id: ResourceId) -> None:
        """Take nothing more for a rule; what was acknowledged is loaded."""
        self._rules = {key: rule for key, rule in self._rules.items() if rule.id != resource_id}

    async def accept(
        self, rule: ActiveRule, stream_name: str, body: bytes, *, gzip: bool, principal: Principal, request_id: str
    ) -> None:
        """Store a body durably; returns once it is on disk. Raises the `IngestionError`s."""
        if not rule.reachable:
            message = "The rule has no data collection endpoint and is not of kind Direct"
            raise no_access(rule.immutable_id, str(rule.id), message, binding="False")
        targets = rule.streams.get(stream_name)
        if not targets:
            raise StreamUnknown(stream_name)
        limit = self.limits["ingestion.body_bytes"]
        text = unpack(body, limit) if gzip else body
        assert len(text) <= longest(limit)
        self.rates.body(rule.immutable_id, len(text))
        rows = await _decode(targets[0][1], text)
        check_size(len(text), rows.num_rows, limit)
        if not rows.num_rows:
            return
        key = None
        if request_id:
            key = make_key(Span.REQUEST, principal.object_id, rule.immutable_id, stream_name, request_id, body)
        for workspace, stream in targets:
            try:
                receipt = await workspace.submit(stream, body, rows, gzip=gzip, key=key)
            except Overloaded as error:
                raise Throttled(
                    f"Too much waits to be stored: {error}.", headers={"Retry-After": _RETRY_SECONDS}
                ) from None
            except JournalError as error:
                raise Unavailable(
                    f"The data could not be stored: {error}", headers={"Retry-After": _RETRY_SECONDS}
                ) from None
            if receipt.repeated:
                _log.info("repeat dropped", rule=rule.immutable_id, stream=stream_name, request=request_id)


async def _decode(stream: Stream, text: bytes) -> pa.Table:
    """The rows of a body; what takes long is done off the event loop."""
    try:
        rows = stream.decoder.fast(text)
        return await asyncio.to_thread(stream.decoder.careful, text) if rows is None else rows
    except BadBody as error:
        raise BodyInvalid(str(error)) from None
