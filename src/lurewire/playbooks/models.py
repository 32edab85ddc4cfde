"""Runs and action records, as the rest of the room passes them around."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Final

from lurewire.expressions.moments import Moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class Status(StrEnum):
    """The status of a run or an action.

    Source: https://learn.microsoft.com/rest/api/logic/workflow-runs/get#workflowstatus
    """

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    TIMED_OUT = "TimedOut"
    CANCELLED = "Cancelled"
    RUNNING = "Running"
    WAITING = "Waiting"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self not in (Status.RUNNING, Status.WAITING)


class Absent(Enum):
    """There are no inputs or outputs, which is not the same as null."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something failed or was skipped: `code` as Azure gives it, `message` for a person."""

    code: str
    message: str

    def as_json(self) -> dict[str, str]:
        """The wire form."""
        return {"code": self.code, "message": self.message}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running an action gave; `repetitions` counts a loop's iterations, `retries` are its failed attempts."""

    status: Status = Status.SUCCEEDED
    code: str | None = None
    inputs: Any = ABSENT
    outputs: Any = ABSENT
    problem: Problem | None = None
    retries: tuple[dict[str, Any], ...] = ()
    repetitions: int | None = None


@dataclass(slots=True)
class Record:
    """One action, or one repetition of it: `iteration` holds the indices of the loops around it, outermost first.

    `state` is what a control action decided (durable, so that a run that is taken up again decides the same); `order`
    is the place among the run's completed actions, 0 where it has not ended.
    """

    name: str
    iteration: tuple[int, ...]
    type: str
    tracking_id: str
    started: datetime
    status: Status = Status.RUNNING
    ended: datetime | None = None
    code: str | None = None
    inputs: Any = ABSENT
    outputs: Any = ABSENT
    problem: Problem | None = None
    retries: tuple[dict[str, Any], ...] = ()
    repetitions: int | None = None
    state: Any = None
    order: int = 0

    def finish(self, outcome: Outcome, ended: datetime, order: int) -> None:
        """Take over what running the action gave."""
        self.status, self.code, self.problem = outcome.status, outcome.code, outcome.problem
        self.inputs, self.outputs = outcome.inputs, outcome.outputs
        self.retries, self.repetitions = outcome.retries, outcome.repetitions
        self.ended, self.order = ended, order

    def as_json(self, client_tracking_id: str) -> dict[str, Any]:
        """What `actions('x')` and each element of `result('scope')` is.

        Source: https://learn.microsoft.com/azure/logic-apps/error-exception-handling#get-context-and-results-for-failures
        """
        known: dict[str, Any] = {"name": self.name}
        if self.inputs is not ABSENT:
            known["inputs"] = self.inputs
        if self.outputs is not ABSENT:
            known["outputs"] = self.outputs
        known["startTime"] = timestamp(self.started)
        if self.ended is not None:
            known["endTime"] = timestamp(self.ended)
        known |= {"trackingId": self.tracking_id, "clientTrackingId": client_tracking_id}
        if self.code is not None:
            known["code"] = self.code
        known["status"] = self.status.value
        if self.problem is not None:
            known["error"] = self.problem.as_json()
        return known


@dataclass(frozen=True, slots=True)
class Start:
    """What starts a run: `kind` names the trigger's operation (`incident`, `alert`, `entity`, `request`) or its name.

    `key` makes it one run however often it is asked for; `request` are the `headers` and `queries` of the HTTP request
    that asked.
    """

    workflow: str
    kind: str
    body: Any
    key: str
    incident: str | None = None
    request: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as it is stored; `trigger` is the trigger's record, `outputs` what the definition's outputs gave."""

    name: str
    workflow: str
    version: str
    key: str
    status: Status
    code: str | None
    problem: Problem | None
    trigger: dict[str, Any]
    incident: str | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    outputs: dict[str, Any] = field(default_factory=dict)


def timestamp(when: datetime) -> str:
    """A time as Azure writes it, with 7 digits of a second."""
    return Moment.of(when).format("o")
