"""What an action type is; the types themselves are rows in `actions/`, one file a family."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from lurewire.core.clock import Clock
    from lurewire.core.limits import Limits
    from lurewire.core.outbound import Outbound
    from lurewire.core.principal import Principal
    from lurewire.core.resources import Resources
    from lurewire.playbooks.checks import Check
    from lurewire.playbooks.connectors import Connector
    from lurewire.playbooks.definition import Action
    from lurewire.playbooks.engine import ActionInvocation
    from lurewire.playbooks.models import Outcome, Problem, Status


@dataclass(frozen=True, slots=True)
class Branch:
    """Actions inside an action: `label` tells branches apart, `where` is their path in the definition."""

    label: str
    actions: Any
    where: str


@dataclass(frozen=True, slots=True)
class ActionType:
    """One action type.

    `properties` are those of the action besides the ones that every action has. `check` refuses a definition and
    may return what it prepared, which is kept as `Action.plan`. `run` does the work; it raises `ActionError` and
    `ExpressionError`. `effect` tells whether the outside can notice it: then its start is durable before it runs.
    `branches` gives the actions inside it; `loop` and `collects` mark Until and For each.
    """

    name: str
    properties: frozenset[str]
    check: Callable[[Check], Any]
    run: Callable[[ActionInvocation], Awaitable[Outcome]]
    url: str
    effect: Callable[[Action], bool] = field(default=lambda _action: False)
    branches: Callable[[dict[str, Any], str], list[Branch]] = field(default=lambda _action, _where: [])
    loop: bool = False
    collects: bool = False
    hides_outputs: bool = False
    """Hiding the inputs hides the outputs too, because they are the same."""


class ActionError(Exception):
    """An action fails; it keeps the inputs that it showed so far."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Terminated(Exception):
    """The run ends now."""

    def __init__(self, status: Status, problem: Problem | None) -> None:
        super().__init__(status.value)
        self.status = status
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Services:
    """What actions may use of the world."""

    clock: Clock
    outbound: Outbound
    resources: Resources
    connectors: Mapping[str, Connector]
    token_for: Callable[[Principal, str], str]
    limits: Limits
