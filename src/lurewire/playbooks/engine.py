"""Runs the graph of a workflow: who waits for whom, what is skipped, what the whole comes to.

Source: https://learn.microsoft.com/azure/logic-apps/error-exception-handling
"""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from lurewire.core.log import get_logger
from lurewire.expressions import ExpressionError, Syntax, evaluate
from lurewire.playbooks.frames import Frame
from lurewire.playbooks.functions import TABLE, Context
from lurewire.playbooks.models import Outcome, Problem, Record, Status
from lurewire.playbooks.registry import ActionError, Services, Terminated

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from lurewire.playbooks.definition import Action, Graph
    from lurewire.playbooks.journal import Journal
    from lurewire.playbooks.run import Run

_log = get_logger("playbooks")

T = TypeVar("T")

_TRACKING = uuid.UUID("8b0c1f0e-6f0a-5d3c-9a55-7e1f4c0d2b11")
"""The namespace of tracking ids: an action's is the same whenever its run is taken up again."""


CANCELLED = Problem("WorkflowRunCancelled", "The run was ended by a request to cancel it.")
"""Why a run that somebody cancelled ended."""


def scope_problem(status: Status) -> Problem:
    """Why a scope that failed or timed out did so."""
    code = "ActionFailed" if status is Status.FAILED else "ActionTimedOut"
    return Problem(code, "An action failed. No dependent actions succeeded.")


class Engine:
    """Executes one run."""

    def __init__(self, run: Run, journal: Journal, services: Services) -> None:
        self.run = run
        self.journal = journal
        self.services = services
        self._stopping: Status | None = None
        self._stopped_by = "a Terminate action"
        self._work: asyncio.Task[Status] | None = None

    async def execute(self) -> tuple[Status, Problem | None]:
        """Run to the end; the run's status and why it failed. Where its task is cancelled, it notes nothing more."""
        self._work = asyncio.create_task(self.graph(self.run.workflow.graph, self.run.root))
        try:
            status = await self._work
        except BaseExceptionGroup as group:
            terminated = _terminated(group)
            if terminated is None:
                raise
            return terminated.status, terminated.problem
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._stopping is None or task is None or task.cancelling():
                raise
            return Status.CANCELLED, CANCELLED
        return status, None if status is Status.SUCCEEDED else scope_problem(status)

    def cancel(self) -> None:
        """End the run as cancelled: what runs is cancelled, what has not begun is skipped."""
        self._stopping, self._stopped_by = Status.CANCELLED, "a request to cancel it"
        if self._work is not None:
            self._work.cancel()

    async def graph(self, graph: Graph, frame: Frame) -> Status:
        """Run the actions of a scope, each as soon as those it waits for have ended."""
        if not graph.actions:
            return Status.SUCCEEDED
        loop = asyncio.get_running_loop()
        ended: dict[str, asyncio.Future[Status]] = {name: loop.create_future() for name in graph.actions}
        try:
            async with asyncio.TaskGroup() as tasks:
                for action in graph.actions.values():
                    tasks.create_task(self._when_ready(action, frame, ended))
        except (BaseExceptionGroup, asyncio.CancelledError):
            if self._stopping is not None:
                self._skip_rest(graph, frame, self._stopping)
            raise
        return scope_status(graph, frame)

    async def _when_ready(self, action: Action, frame: Frame, ended: dict[str, asyncio.Future[Status]]) -> None:
        for name in action.run_after:
            await ended[name]
        unmet = next(
            (name for name, wanted in action.run_after.items() if frame.records[name].status not in wanted), None
        )
        if unmet is None:
            record = await self._run(action, frame)
        else:
            record = self._skip(action, frame, _condition_failed(action, unmet, frame.records[unmet].status))
        ended[action.name].set_result(record.status)

    async def _run(self, action: Action, frame: Frame) -> Record:
        stored = self.run.stored.get((action.name, frame.iteration))
        if stored is not None and stored.status.final:
            return self._restore(action, frame, stored)
        now = self.services.clock.now()
        record = stored or Record(action.name, frame.iteration, action.type.name, self.tracking_id(action, frame), now)
        frame.records[action.name] = record
        invocation = ActionInvocation(self, action, frame, record)
        if stored is None and action.type.effect(action):
            self.journal.note(record, action.hidden)
            try:
                await self.journal.flush()
            except asyncio.CancelledError:
                self._aborted(invocation)
                raise
        outcome = await self._outcome(invocation)
        record.finish(outcome, self.services.clock.now(), self.run.next_place())
        self.journal.note(record, action.hidden)
        if action.type.effect(action):
            self.journal.flush_soon()
        elif self.journal.full:
            await self.journal.flush()
        return record

    def _restore(self, action: Action, frame: Frame, record: Record) -> Record:
        """Take over an action that ended before a restart, with all inside it; nothing is done again."""
        frame.records[action.name] = record
        for graph in action.graphs.values():
            if not action.type.loop:
                self._restore_all(graph, frame)
                continue
            items = record.state["items"] if action.type.collects and record.state is not None else None
            for index in self._stored_iterations(graph, frame):
                item = None if items is None else items[index]
                self._restore_all(graph, Frame(frame, action, index, item))
        return record

    def _restore_all(self, graph: Graph, frame: Frame) -> None:
        for inner in graph.actions.values():
            stored = self.run.stored.get((inner.name, frame.iteration))
            if stored is not None:
                self._restore(inner, frame, stored)

    def _stored_iterations(self, graph: Graph, frame: Frame) -> list[int]:
        depth = len(frame.iteration)
        return sorted(
            {
                iteration[depth]
                for name, iteration in self.run.stored
                if name in graph.actions and len(iteration) == depth + 1 and iteration[:depth] == frame.iteration
            }
        )

    async def _outcome(self, invocation: ActionInvocation) -> Outcome:
        action = invocation.action
        try:
            return await action.type.run(invocation)
        except ExpressionError as error:
            message = f"Unable to process template language expressions in action '{action.name}': {error}"
            return invocation.failed(Problem(error.code, message))
        except ActionError as error:
            return invocation.failed(Problem(error.code, error.message))
        except Terminated:
            self._finish(invocation, Outcome(Status.SUCCEEDED, "OK", invocation.record.inputs))
            raise
        except (BaseExceptionGroup, asyncio.CancelledError):
            self._aborted(invocation)
            raise
        except Exception as error:  # noqa: BLE001 - a mistake of ours fails this action, not the process
            _log.error("action failed inside", run=self.run.name, action=action.name, exc_info=error)
            problem = Problem("InternalServerError", f"The action failed inside Lurewire: {type(error).__name__}.")
            return invocation.failed(problem)

    def _aborted(self, invocation: ActionInvocation) -> None:
        if self._stopping is not None:
            problem = Problem("ActionAborted", f"The run was ended by {self._stopped_by}.")
            inputs = invocation.record.inputs
            self._finish(invocation, Outcome(Status.CANCELLED, problem.code, inputs, problem=problem))

    def _finish(self, invocation: ActionInvocation, outcome: Outcome) -> None:
        invocation.record.finish(outcome, self.services.clock.now(), self.run.next_place())
        self.journal.note(invocation.record, invocation.action.hidden)

    def terminate(self, status: Status, problem: Problem | None) -> Terminated:
        """What a Terminate action raises; from here on a cancelled action is a terminated one."""
        self._stopping = status
        return Terminated(status, problem)

    def tracking_id(self, action: Action, frame: Frame) -> str:
        """The id of an action of this run (and of its iteration), the same at every try."""
        return str(uuid.uuid5(_TRACKING, f"{self.run.name}/{action.name}/{frame.iteration}"))

    def skip(self, graph: Graph, frame: Frame, problem: Problem) -> None:
        """Record every action of a graph as skipped."""
        for action in graph.actions.values():
            self._skip(action, frame, problem)

    def _skip(self, action: Action, frame: Frame, problem: Problem) -> Record:
        record = self.run.stored.get((action.name, frame.iteration))
        if record is None or not record.status.final:
            record = Record(
                action.name,
                frame.iteration,
                action.type.name,
                self.tracking_id(action, frame),
                self.services.clock.now(),
            )
            outcome = Outcome(Status.SKIPPED, "ActionSkipped", problem=problem)
            record.finish(outcome, record.started, self.run.next_place())
            self.journal.note(record, action.hidden)
        frame.records[action.name] = record
        inner = Problem("ActionSkipped", f"The action is within '{action.name}', which was skipped.")
        for graph in action.graphs.values():
            self.skip(graph, frame, inner)
        return record

    def _skip_rest(self, graph: Graph, frame: Frame, status: Status) -> None:
        problem = Problem("ActionSkipped", f"The run was ended with status '{status}' by {self._stopped_by}.")
        for action in graph.actions.values():
            if action.name not in frame.records:
                self._skip(action, frame, problem)


class ActionInvocation:
    """One action (or one repetition of it) that runs: what its type's `run` gets."""

    def __init__(self, engine: Engine, action: Action, frame: Frame, record: Record) -> None:
        self.engine = engine
        self.action = action
        self.frame = frame
        self.record = record
        self.run = engine.run
        self.services = engine.services
        self.tracking_id = record.tracking_id
        self.started: datetime = record.started
        self.decided: Any = record.state
        self.chance = random.Random(record.tracking_id)  # noqa: S311 - the jitter of retries
        self._context = Context(engine.run, frame, record.started, record.tracking_id)

    @property
    def inputs(self) -> Any:
        """The definition's `inputs`, as written."""
        return self.action.definition.get("inputs")

    def context(self) -> Context:
        """What the action's expressions see."""
        return self._context

    def evaluate(self, value: Any, place: str) -> Any:
        """`value`, which is at `place` below the action, evaluated; raises `ExpressionError`."""
        return evaluate(value, TABLE, self._context, Syntax.WORKFLOW, f"{self.action.where}/{place}")

    def within(self, frame: Frame, read: Callable[[], T]) -> T:
        """What `read` gives where the action's expressions see an iteration, and the time is now."""
        outside = self._context
        self._context = Context(self.run, frame, self.services.clock.now(), self.tracking_id)
        try:
            return read()
        finally:
            self._context = outside

    def decide(self, state: Any) -> None:
        """Keep a decision: durable before any action inside this one is."""
        self.record.state = state
        self.engine.journal.note(self.record, self.action.hidden)

    def show(self, inputs: Any) -> None:
        """Show inputs in history although the action may yet fail."""
        self.record.inputs = inputs

    def failed(self, problem: Problem) -> Outcome:
        """The outcome where the action fails before it has outputs."""
        return Outcome(Status.FAILED, problem.code, self.record.inputs, problem=problem)

    def terminate(self, status: Status, problem: Problem | None) -> Terminated:
        """What to raise to end the run."""
        return self.engine.terminate(status, problem)

    async def execute(self, graph: Graph, frame: Frame) -> Status:
        """Run the actions of a branch; the status of the whole."""
        return await self.engine.graph(graph, frame)

    def skip(self, graph: Graph, frame: Frame, problem: Problem) -> None:
        """Record the actions of a branch that is not taken as skipped."""
        self.engine.skip(graph, frame, problem)


def scope_status(graph: Graph, frame: Frame) -> Status:
    """What the leaves of a scope come to; a skipped leaf counts as what it waited for.

    Source: https://learn.microsoft.com/azure/logic-apps/error-exception-handling#evaluate-actions-and-their-results
    """
    found: set[Status] = set()
    waiting = list(graph.leaves)
    seen: set[str] = set()
    while waiting:
        action = waiting.pop()
        if action.name in seen:
            continue
        seen.add(action.name)
        status = frame.records[action.name].status
        if status is Status.SKIPPED:
            waiting.extend(graph.actions[name] for name in action.run_after)
        else:
            found.add(status)
    return next((status for status in (Status.FAILED, Status.TIMED_OUT) if status in found), Status.SUCCEEDED)


def _condition_failed(action: Action, name: str, actual: Status) -> Problem:
    expected = ", ".join(sorted(status.value for status in action.run_after[name]))
    return Problem(
        "ActionConditionFailed",
        f"The execution of template action '{action.name}' is skipped: the 'runAfter' condition for action '{name}' is "
        f"not satisfied. Expected status values '{expected}' and actual value '{actual}'.",
    )


def _terminated(group: BaseExceptionGroup[Any]) -> Terminated | None:
    matching = group.subgroup(Terminated)
    error: BaseException | None = matching
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Terminated) else None
