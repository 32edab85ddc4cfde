"""Attempts of a request: its replies, and trying again by the retry policy."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from lurewire.playbooks.models import ABSENT, Problem, timestamp
from lurewire.playbooks.registry import ActionError
from lurewire.playbooks.retry import parse, retried

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lurewire.playbooks.engine import ActionInvocation


@dataclass(frozen=True, slots=True)
class Reply:
    """What an attempt gave: an HTTP status with outputs, or a `problem` where there was no answer."""

    status: int
    outputs: Any = ABSENT
    retry_after: str | None = None
    problem: Problem | None = None

    @classmethod
    def lost(cls, message: str) -> Reply:
        """No answer came: worth another attempt."""
        return cls(0, problem=Problem("ServiceUnavailable", message))

    @classmethod
    def refused(cls, code: str, message: str) -> Reply:
        """The request must not be made: another attempt would be refused too."""
        return cls(400, problem=Problem(code, message))

    @property
    def worth_retrying(self) -> bool:
        """Whether the retry policy applies."""
        return self.status == 0 or retried(self.status)


async def persist(
    invocation: ActionInvocation, policy: Any, once: Callable[[], Awaitable[Reply]]
) -> tuple[Reply, tuple[dict[str, Any], ...]]:
    """Attempt until there is an answer that counts or the policy (evaluated) is used up; with the attempts that failed.

    An attempt that is not the last waits as long as the policy says, or as `Retry-After` says where that is longer.
    """
    clock = invocation.services.clock
    try:
        plan = parse(policy, invocation.services.limits["playbooks.retries"])
    except ValueError as error:
        raise ActionError("InvalidTemplate", f"The retry policy is not valid: {error}.") from None
    history: list[dict[str, Any]] = []
    while True:
        started = clock.now()
        reply = await once()
        if not reply.worth_retrying or len(history) >= plan.count:
            return reply, tuple(history)
        code = reply.problem.code if reply.problem is not None else phrase(reply.status)
        entry: dict[str, Any] = {
            "startTime": timestamp(started),
            "endTime": timestamp(clock.now()),
            "code": code,
            "clientRequestId": invocation.tracking_id,
        }
        if reply.problem is not None:
            entry["error"] = reply.problem.as_json()
        history.append(entry)
        delay = plan.delay(len(history), invocation.chance)
        if reply.retry_after is not None and reply.retry_after.isdigit():
            delay = max(delay, min(float(reply.retry_after), plan.maximum))
        await clock.sleep(delay)


def phrase(status: int) -> str:
    """The name of an HTTP status as the engine gives it: `NotFound`, `OK`, `TooManyRequests`."""
    try:
        known = HTTPStatus(status)
    except ValueError:
        return str(status)
    if known is HTTPStatus.OK:
        return "OK"
    return "".join(part.capitalize() for part in known.name.split("_"))
