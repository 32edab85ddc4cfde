"""The table DCRLogErrors: what a rule was sent that is not, or not wholly, in its tables.

Source: https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-monitor#dcr-error-logs. As there, an
error that goes on is told a limited number of times in an hour, the last time with the word that it is muted, so that a
flood of wrong records does not become a flood of errors. Nothing of a record is repeated in a message: a column's name
and numbers are.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lurewire.core.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits
    from lurewire.core.resources import ResourceId
    from lurewire.workspace import Losses, Workspace

_log = get_logger("ingestion.errors")

TABLE = "DCRLogErrors"
_HOUR = 3600.0
_LONGEST = 200
_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LoggedError:
    """One error: `key` tells it from others of the rule; `operation` is what failed."""

    key: str
    operation: str
    message: str


@dataclass(slots=True)
class _Hour:
    began: float
    told: Counter[str] = field(default_factory=Counter)


class ErrorLog:
    """Writes a rule's errors into the workspaces that the rule sends to."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._each = limits["ingestion.same_errors_per_hour"]
        self._all = limits["ingestion.errors_per_hour"]
        self._hours: dict[str, _Hour] = {}
        self._writing: set[asyncio.Future[None]] = set()

    async def write(
        self,
        rule: ResourceId,
        workspaces: Iterable[Workspace],
        stream: str,
        request_id: str,
        errors: Sequence[LoggedError],
    ) -> None:
        """Write what of `errors` is not muted; see `append`."""
        rows = [
            {
                "InputStreamId": stream[:_LONGEST],
                "OperationName": error.operation,
                "Message": text,
                "ClientRequestId": request_id[:_LONGEST],
                "CorrelationId": str(uuid.uuid4()),
                "SourceSystem": "Azure",
                "_ResourceId": str(rule),
            }
            for error, text in self.told(rule, errors)
        ]
        await self.append(workspaces, TABLE, rows)

    async def append(self, workspaces: Iterable[Workspace], table: str, rows: Sequence[dict[str, Any]]) -> None:
        """Write rows about a call into a table of each workspace.

        The call waits a moment for it, so that they are there when its answer is, and gets its answer whatever happens here:
        a workspace whose disk is full or whose loader is behind has them written later, or not.
        """
        if rows:
            writing = asyncio.ensure_future(_append(list(workspaces), table, rows))
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)
            await asyncio.wait([writing], timeout=_PATIENCE_SECONDS)

    def told(self, about: ResourceId, errors: Iterable[LoggedError]) -> list[tuple[LoggedError, str]]:
        """The errors of a resource that are not muted, each with its message."""
        return [(error, text) for error in errors if (text := self._text(about, error)) is not None]

    def _text(self, rule: ResourceId, error: LoggedError) -> str | None:
        now = self._clock.monotonic()
        hour = self._hours.get(rule.key)
        if hour is None or now - hour.began >= _HOUR:
            hour = self._hours[rule.key] = _Hour(now)
        if hour.told.total() >= self._all or hour.told[error.key] >= self._each:
            return None
        hour.told[error.key] += 1
        if hour.told[error.key] < self._each and hour.told.total() < self._all:
            return error.message
        what = "This error" if hour.told.total() < self._all else "Every error of the rule"
        return f"{error.message} {what} is muted for the rest of the hour."


async def _append(workspaces: Sequence[Workspace], table: str, rows: Sequence[dict[str, Any]]) -> None:
    for workspace in workspaces:
        try:
            await workspace.append(table, rows, key=str(uuid.uuid4()))
        except Exception as error:  # noqa: BLE001 - nobody else hears of it: a full disk, a workspace that closes
            _log.warning("errors of a call could not be stored", table=table, error=str(error))


def errors_of(losses: Losses, records: int, field_bytes: int) -> list[LoggedError]:
    """What the values of a call lost."""
    found = [
        LoggedError(
            f"mistyped {column}",
            "Ingestion",
            f"{count} of {records} records have a value for column '{column}' that is none of its type: null is stored.",
        )
        for column, count in losses.mistyped.items()
    ]
    found += [
        LoggedError(
            f"cut {column}",
            "Ingestion",
            f"{count} of {records} records have a value for column '{column}' that is longer than {field_bytes} bytes, "
            f"the longest {longest}: the value is cut there.",
        )
        for column, (count, longest) in losses.cut.items()
    ]
    if losses.nothing_known:
        message = f"None of the {records} records has a value for any column that the stream declares: all are null."
        found.append(LoggedError("nothing known", "Ingestion", message))
    return found
