"""The Logs Ingestion API: active rules, and what happens to a body.

Decoding runs on the event loop: it was measured to be the fastest way (about 4 ms a megabyte). The answer goes out when the
journal of every destination has the body on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakSet

from lurewire.core.errors import LinkedAuthorizationFailed
from lurewire.core.limits import Limits
from lurewire.core.log import get_logger
from lurewire.core.resources import ResourceId
from lurewire.ingestion.azure_tables import WritableTables
from lurewire.ingestion.bodies import check_size, unpack
from lurewire.ingestion.error_log import ErrorLog, LoggedError, errors_of
from lurewire.ingestion.errors import (
    BodyInvalid,
    IngestionError,
    StreamUnknown,
    Throttled,
    Unavailable,
    no_access,
)
from lurewire.ingestion.limits import LIMITS
from lurewire.ingestion.rates import Rates
from lurewire.ingestion.resources import DIRECT, ENDPOINT_PATH, resource_types
from lurewire.workspace import (
    BadBody,
    FlowDefinition,
    JournalError,
    Losses,
    NotOpen,
    Overloaded,
    Span,
    StreamDefinition,
    make_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lurewire.core.clock import Clock
    from lurewire.core.http import Gatekeeper
    from lurewire.core.principal import Principal
    from lurewire.core.resources import Resources, ResourceType
    from lurewire.ingestion.models import RuleModel
    from lurewire.workspace import Stream, Workspace, Workspaces

_log = get_logger("ingestion")

_LINK = "Microsoft.OperationalInsights/workspaces/sharedKeys/action"
_RETRY_SECONDS = "1"
_INLINE_BYTES = 32 << 10  # packed: what takes less than half a millisecond
_TEXTS = 4  # unpacked at a time, and in memory: more would only wait for the event loop
_UNPACKER = ThreadPoolExecutor(2, thread_name_prefix="unpack")
_TICKS_PER_HOUR = 3600 * 10_000_000


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A rule that takes data: per stream, the workspaces that it goes to.

    It is reached through `endpoint`, the key of a data collection endpoint, or where it is `direct` by itself.
    """

    id: ResourceId
    immutable_id: str
    direct: bool
    endpoint: str | None
    streams: dict[str, list[tuple[Workspace, Stream]]]

    @property
    def workspaces(self) -> list[Workspace]:
        """Every workspace that the rule sends to, once."""
        found = {workspace.customer_id: workspace for targets in self.streams.values() for workspace, _ in targets}
        return list(found.values())


class Ingestion:
    """Takes what clients send to data collection rules.

    `base_url` gives the URL that endpoints show to clients. `clamp_time` says whether a record whose time is far from its
    receipt gets the time of receipt, as Azure does it; the limits say how far. `gatekeeper` says who may have a rule send to
    a workspace; without one, everybody may. `tables` are tables of Azure that rules may write to beside those that Azure
    lets them write to; `*` is all. With `endpoint_paths` every endpoint and direct rule has a URL of its own, by a path, and
    a call that comes by it is for rules that are bound to it alone; the plain URL is everybody's.
    """

    def __init__(
        self,
        workspaces: Workspaces,
        resources: Resources,
        clock: Clock,
        base_url: Callable[[], str],
        limits: Limits | None = None,
        *,
        clamp_time: bool = True,
        tables: Sequence[str] = (),
        gatekeeper: Gatekeeper | None = None,
        endpoint_paths: bool = False,
    ) -> None:
        self._workspaces = workspaces
        self._resources = resources
        self._base_url = base_url
        self._gatekeeper = gatekeeper
        self.limits = limits or Limits(LIMITS)
        self.rates = Rates(clock, self.limits)
        self.errors = ErrorLog(clock, self.limits)
        self.writable = WritableTables(list(tables))
        self._rules: dict[str, ActiveRule] = {}
        self._endpoints: dict[str, bool] = {}
        self._endpoint_keys: dict[str, str] = {}
        self._endpoint_paths = endpoint_paths
        self._heard: WeakSet[Workspace] = WeakSet()
        self._telling: set[asyncio.Future[None]] = set()
        self._unpacking = asyncio.Semaphore(_TEXTS)
        self.bounds = {"field_bytes": self.limits["ingestion.field_bytes"]}
        """What every stream is defined with: the limit of a field, and how far a record's time may be from its receipt."""
        if clamp_time:
            self.bounds |= {
                "past": self.limits["ingestion.time_past_hours"] * _TICKS_PER_HOUR,
                "ahead": self.limits["ingestion.time_ahead_hours"] * _TICKS_PER_HOUR,
            }

    @property
    def resource_types(self) -> tuple[ResourceType, ...]:
        """Data collection endpoints and rules; register them after the workspace's."""
        return resource_types(self, self._workspaces, self._resources, self._url_of)

    def check_link(self, principal: Principal | None, workspace_id: str) -> None:
        """Raise `LinkedAuthorizationFailed` where the principal (None: the install itself) has no right to a workspace.

        Source: the action that Azure names for links to a workspace,
        https://learn.microsoft.com/azure/azure-monitor/app/create-workspace-resource
        """
        if principal is None or self._gatekeeper is None:
            return
        if not self._gatekeeper.allows(principal, _LINK, workspace_id, data=False):
            raise LinkedAuthorizationFailed(
                principal, "Microsoft.Insights/dataCollectionRules/write", _LINK, workspace_id
            )

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
                self._hear_of_failures(workspace)
                stream = await workspace.define(StreamDefinition.of(columns, flows, **self.bounds))
                streams[name].append((workspace, stream))
        endpoint = None if model.endpoint_id is None else ResourceId.parse(model.endpoint_id).key
        rule = ActiveRule(resource_id, immutable_id, model.kind == DIRECT, endpoint, streams)
        self._rules[immutable_id.lower()] = rule

    def deactivate(self, resource_id: ResourceId) -> None:
        """Take nothing more for a rule; what was acknowledged is loaded."""
        self._rules = {key: rule for key, rule in self._rules.items() if rule.id != resource_id}

    def _url_of(self, immutable_id: str) -> str:
        """Where an endpoint, or a direct rule, takes calls."""
        return f"{self._base_url()}{ENDPOINT_PATH}/{immutable_id}" if self._endpoint_paths else self._base_url()

    def open_endpoint(self, resource_id: ResourceId, immutable_id: str, *, public: bool) -> None:
        """Know an endpoint from now on; one that is not `public` takes nothing from the network."""
        self._endpoints[resource_id.key] = public
        self._endpoint_keys[immutable_id.lower()] = resource_id.key

    def close_endpoint(self, resource_id: ResourceId) -> None:
        """An endpoint is deleted: rules that stand behind it cannot be reached by it any more."""
        self._endpoints.pop(resource_id.key, None)
        self._endpoint_keys = {known: key for known, key in self._endpoint_keys.items() if key != resource_id.key}

    async def accept(
        self,
        rule: ActiveRule,
        stream_name: str,
        body: bytes,
        *,
        gzip: bool,
        principal: Principal,
        request_id: str,
        endpoint: str = "",
    ) -> None:
        """Store a body durably; returns once it is on disk. Raises the `IngestionError`s.

        `endpoint` is the immutable id in the URL that the call came by, where it has one.
        """
        self._check_reachable(rule, endpoint.lower())
        targets = _targets(rule, stream_name, len(body))
        limit = self.limits["ingestion.body_bytes"]
        losses = Losses()
        decoder = targets[0][1].decoder
        with _as_invalid():
            async with self._unpacking:
                text = await _unpacked(body, limit) if gzip else body
                self.rates.body(rule.immutable_id, len(text))
                fast = decoder.fast(text, losses)
            rows = await asyncio.to_thread(decoder.careful, text, losses) if fast is None else fast
        check_size(len(text), rows.num_rows, limit)
        if not rows.num_rows:
            return
        key = None
        if request_id:
            key = make_key(Span.REQUEST, principal.object_id, rule.immutable_id, stream_name, request_id, body)
        for workspace, stream in targets:
            try:
                receipt = await workspace.submit(stream, body, rows, gzip=gzip, key=key)
            except (Overloaded, JournalError, NotOpen) as error:
                raise _not_stored(error) from None
            if receipt.repeated:
                _log.info("repeat dropped", rule=rule.immutable_id, stream=stream_name, request=request_id)
                losses = Losses()
        found = _without_table(targets)
        if losses:
            found += errors_of(losses, rows.num_rows, self.limits["ingestion.field_bytes"])
        if found:
            await self.errors.write(rule.id, rule.workspaces, stream_name, request_id, found)

    async def refused(self, rule: ActiveRule, stream: str, request_id: str, error: IngestionError) -> None:
        """Note a call that a rule did not take in the rule's error log."""
        logged = LoggedError(type(error).__name__, "Ingestion", f"{error.status} {error.code}: {error.message}")
        await self.errors.write(rule.id, rule.workspaces, stream, request_id, [logged])

    def _hear_of_failures(self, workspace: Workspace) -> None:
        """Have bodies that a workspace accepted and could not load told of, once for each rule of their stream."""
        if workspace in self._heard:
            return
        self._heard.add(workspace)

        def failed(stream_id: str, error: str) -> None:
            told = LoggedError("set aside", "Transformation", f"A call's records could not be stored: {error[:500]}")
            for rule in self._rules.values():
                for name, targets in rule.streams.items():
                    if any(one is workspace and stream.id == stream_id for one, stream in targets):
                        task = asyncio.ensure_future(self.errors.write(rule.id, [workspace], name, "", [told]))
                        self._telling.add(task)
                        task.add_done_callback(self._telling.discard)

        workspace.subscribe_failures(failed)

    def _check_reachable(self, rule: ActiveRule, endpoint: str) -> None:
        """Raises the 403 of a rule that is not reached in this way."""
        own = rule.immutable_id.lower() if rule.direct else ""
        by_endpoint = self._endpoint_paths and endpoint not in ("", own)
        if by_endpoint and self._endpoint_keys.get(endpoint, "") != rule.endpoint:
            message = f"The rule is not bound to the data collection endpoint '{endpoint[:80]}' that the call came by"
            raise no_access(rule.immutable_id, str(rule.id), message, binding="False")
        if rule.direct and not by_endpoint:
            return
        public = None if rule.endpoint is None else self._endpoints.get(rule.endpoint)
        if public:
            return
        if rule.endpoint is None:
            message = "The rule has no data collection endpoint and is not of kind Direct"
        elif public is None:
            message = "The data collection endpoint of the rule was deleted"
        else:
            message = "The data collection endpoint of the rule takes nothing from public networks"
        raise no_access(rule.immutable_id, str(rule.id), message, binding="False")


def _without_table(targets: Sequence[tuple[Workspace, Stream]]) -> list[LoggedError]:
    """An error for each table that flows lead to and that is not there any more."""
    tables = {f.table for workspace, stream in targets for f in stream.flows if workspace.tables.find(f.table) is None}
    return [
        LoggedError(f"no table {name}", "Ingestion", f"The table '{name}' was deleted: records for it are dropped.")
        for name in sorted(tables)
    ]


def _targets(rule: ActiveRule, stream_name: str, size: int) -> list[tuple[Workspace, Stream]]:
    """Where a stream goes. Raises `StreamUnknown`; `Throttled`, `Unavailable` before anything is done for what would be refused."""
    targets = rule.streams.get(stream_name)
    if not targets:
        raise StreamUnknown(stream_name)
    for workspace, _ in targets:
        try:
            workspace.check_room(size)
        except (Overloaded, NotOpen) as error:
            raise _not_stored(error) from None
    return targets


def _not_stored(error: Overloaded | JournalError | NotOpen) -> Throttled | Unavailable:
    retry = {"Retry-After": _RETRY_SECONDS}
    if isinstance(error, Overloaded):
        return Throttled(f"Too much waits to be stored: {error}.", headers=retry)
    return Unavailable(f"The data could not be stored: {error}", headers=retry)


@contextlib.contextmanager
def _as_invalid() -> Iterator[None]:
    try:
        yield
    except BadBody as error:
        raise BodyInvalid(str(error)) from None


async def _unpacked(body: bytes, limit: int) -> bytes:
    """A gzip body's text; of a large one on a thread, which works beside the event loop: unpacking needs no interpreter."""
    if len(body) <= _INLINE_BYTES:
        return unpack(body, limit)
    return await asyncio.get_running_loop().run_in_executor(_UNPACKER, unpack, body, limit)
