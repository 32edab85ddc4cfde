"""A rule's query, compiled over the tables as they are now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lurewire.analytics.details import Results
from lurewire.kql import Diagnostic, KqlError
from lurewire.kql import compile as compile_kql

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from lurewire.kql import CompiledQuery, SavedFunction, Table
    from lurewire.workspace import QueryResult, Tables, Workspace


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of a query before it runs.

    `tables` are those whose new rows can change its results. `compiled` is None where the columns depend on the rows, as
    those of `evaluate bag_unpack(...)` without an output schema do: then each run compiles it anew. `table` is the one
    whose rows the results are, None where a result is made of many rows or where that is not known.
    """

    tables: frozenset[str]
    compiled: CompiledQuery | None
    table: str | None = None

    @property
    def on_arrival(self) -> bool:
        """Whether it can be run on new rows alone: row-wise, deterministic, and the same at any time."""
        return self.table is not None and self.compiled is not None and not self.compiled.uses_now


class RuleQuery:
    """Compiles a query again when a table's schema has changed. Raises the KQL room's `KqlError`."""

    def __init__(self, text: str, workspace: Workspace) -> None:
        self._text = text
        self._workspace = workspace
        self._plan: tuple[int, Plan] | None = None

    def plan(self) -> Plan:
        """The query, bounded by window and commits, its results with the identity and time of their rows if they have one."""
        version = self._workspace.tables.version
        if self._plan is None or self._plan[0] != version:
            self._plan = version, self._compile()
        return self._plan[1]

    async def run(self, plan: Plan, parameters: Mapping[str, int]) -> QueryResult:
        """The results within `parameters`; raises as `Workspace.query` does."""
        if plan.compiled is not None:
            return await self._workspace.run(plan.compiled, parameters, "rules")
        result = await self._workspace.explore(self._text, _Seen(self._workspace.tables), parameters, "rules")
        if result.further:
            raise _several_results()
        return result

    def _compile(self) -> Plan:
        seen = _Seen(self._workspace.tables)
        is_open = False

        def explore(first: CompiledQuery) -> list[tuple[Any, ...]]:
            nonlocal is_open
            del first
            is_open = True
            return []

        try:
            compiled = compile_kql(self._text, seen, window=True, keep_identity=True, explore=explore)
        except KqlError as error:
            if not is_open or any(one.code != _UNRESOLVED or one.token in seen.missing for one in error.errors):
                raise
            # Names of columns that the rows of a run may bring.
            return Plan(frozenset(seen.found), None)
        if compiled.further:
            raise _several_results()
        if is_open:
            return Plan(frozenset(seen.found), None)
        of_rows = compiled.row_wise and compiled.deterministic and len(compiled.tables) == 1
        of_rows = of_rows and len(compiled.identity) == _IDENTITY
        return Plan(compiled.tables & seen.found, compiled, next(iter(compiled.tables)) if of_rows else None)


def _several_results() -> KqlError:
    message = "a rule's query with several results (fork, facet, or more than one tabular statement) is not supported"
    return KqlError([Diagnostic("unsupported", _UNSUPPORTED, message, 1, 1)])


_UNRESOLVED: Final = "SEM0100"
_UNSUPPORTED: Final = "LW0001"
_IDENTITY: Final = 3  # commit, ordinal, time

BEFORE_ALL: Final = -1
AFTER_ALL: Final = 2**63 - 1


class Arrivals:
    """The least time among the rows that some commits brought to a table: asked for once, whatever the number of rules."""

    _KEPT = 64

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots
        self._known: dict[tuple[str, str, int, int], asyncio.Task[int | None]] = {}

    async def earliest(self, workspace: Workspace, table: str, after: int, through: int) -> int | None:
        """In ticks; None where the commits brought no rows."""
        key = (workspace.customer_id, table, after, through)
        task = self._known.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._known[key] = asyncio.create_task(self._ask(workspace, table, after, through))
            while len(self._known) > self._KEPT:
                del self._known[next(iter(self._known))]
        return await asyncio.shield(task)

    async def _ask(self, workspace: Workspace, table: str, after: int, through: int) -> int | None:
        text = f"['{table}'] | summarize min(TimeGenerated)"
        compiled = workspace.compile(text, window=True, keep_identity=True)
        async with self._slots:
            result = await workspace.run(compiled, bounds(BEFORE_ALL, AFTER_ALL, after, through), "rules")
        ((earliest,),) = result.values()
        return None if earliest is None else int(earliest)


def bounds(t_from: int, t_to: int, after: int, through: int) -> dict[str, int]:
    """The parameters of a query that is bounded in time (ticks) and commits, each excluding its first value."""
    return {"t_from": t_from, "t_to": t_to, "commit_after": after, "commit_through": through}


class _Seen:
    """A workspace's catalogue as one rule sees it; `found` and `missing` are the tables that its query asked for.

    A table has its time column as the last part of a row's identity. A watchlist has no identity: a rule that is run over
    new rows reads it whole.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.found: set[str] = set()
        self.missing: set[str] = set()
        self.own_names = tables.own_names

    def table(self, name: str) -> Table | None:
        table = self._tables.table(name)
        if table is None:
            self.missing.add(name)
            return None
        self.found.add(name)
        times = [p for c, p in zip(table.columns, table.physical, strict=True) if c.name == table.time_column]
        return replace(table, identity=(*table.identity, *times))

    def table_names(self) -> Iterable[str]:
        return self._tables.table_names()

    def wildcard_names(self) -> Iterable[str]:
        return self._tables.wildcard_names()

    def function(self, name: str) -> SavedFunction | None:
        return self._tables.function(name)

    def function_names(self) -> Iterable[str]:
        return self._tables.function_names()

    def watchlist(self, alias: str) -> Table | None:
        table = self._tables.watchlist(alias)
        if table is None:
            return None
        hidden = (column for column in table.hidden if not any(name in column.expression for name in table.identity))
        return replace(table, identity=(), hidden=tuple(hidden))

    def watchlist_aliases(self) -> Iterable[str]:
        return self._tables.watchlist_aliases()

    def allows_external(self, location: str) -> bool:
        return self._tables.allows_external(location)


@dataclass(frozen=True, slots=True)
class Events:
    """Which rows the results of a row-wise query are, in the order in which they were stored.

    `positions` are places in the results; `times` are the rows' own, in ticks.
    """

    commits: npt.NDArray[np.int64]
    ordinals: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]

    def where(self, mask: npt.NDArray[np.bool_]) -> Events:
        """The events for which `mask` is true."""
        return Events(self.commits[mask], self.ordinals[mask], self.times[mask], self.positions[mask])

    def __len__(self) -> int:
        return len(self.positions)

    def rows(self) -> Iterable[tuple[int, int, int, int]]:
        """(commit, ordinal, occurrence, position) of each: a row may give several results."""
        last, occurrence = (-1, -1), 0
        columns = (self.commits.tolist(), self.ordinals.tolist(), self.positions.tolist())
        for commit, ordinal, position in zip(*columns, strict=True):
            occurrence = occurrence + 1 if (commit, ordinal) == last else 0
            last = (commit, ordinal)
            yield commit, ordinal, occurrence, position


def results_of(result: QueryResult) -> Results:
    """The results alone."""
    return Results(result.columns, result.batches)


def events_of(result: QueryResult) -> Events:
    """The rows that the results of a row-wise query are."""
    at = len(result.columns)
    commits, ordinals, times = (_column(result.batches, at + i) for i in range(_IDENTITY))
    order = np.lexsort((ordinals, commits))
    return Events(commits[order], ordinals[order], times[order], order.astype(np.int64))


def _column(batches: tuple[Any, ...], at: int) -> npt.NDArray[np.int64]:
    parts = [batch.column(at).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64) for batch in batches]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
