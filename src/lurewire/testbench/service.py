"""Faults in force and the log of requests: state of the test bench, in memory only."""

from __future__ import annotations

import random
import re
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec

from lurewire.core.http import path_pattern
from lurewire.testbench.errors import BadRequest, FaultNotFound, TooManyFaults
from lurewire.testbench.models import FaultSpec, read_fault
from lurewire.testbench.recording import Entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lurewire.core.clock import Clock
    from lurewire.core.http import RoomRoutes
    from lurewire.core.limits import Limits


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request goes: the room and route that answer it (None: no route fits), and what the path names."""

    room: str | None = None
    route: str | None = None
    names: dict[str, str] = field(default_factory=dict)


class Fault:
    """A fault in force, with its own order of chances."""

    def __init__(self, fault_id: str, spec: FaultSpec) -> None:
        self.id = fault_id
        self.spec = spec
        self.seen = 0
        self.given = 0
        self._chance = random.Random(spec.seed)  # noqa: S311 - the same seed must give the same faults
        self._path = _glob(spec.match.path) if spec.match.path else None

    def takes(self, method: str, path: str, place: Place) -> bool:
        """Whether this request gets the fault; counts it where it matches."""
        if not self._matches(method, path, place):
            return False
        self.seen += 1
        spec = self.spec
        if self.seen <= spec.skip or (spec.times is not None and self.given >= spec.times):
            return False
        if spec.percent < 100 and self._chance.random() * 100 >= spec.percent:
            return False
        self.given += 1
        return True

    def as_json(self) -> dict[str, Any]:
        """The fault as the API gives it, with how many requests it saw and took."""
        described: dict[str, Any] = msgspec.to_builtins(self.spec)
        return {"id": self.id, **described, "seen": self.seen, "given": self.given}

    def _matches(self, method: str, path: str, place: Place) -> bool:
        match = self.spec.match
        return (
            (match.room is None or match.room == place.room)
            and (match.method is None or match.method.upper() == method)
            and (self._path is None or self._path.fullmatch(path) is not None)
            and (match.rule is None or match.rule.lower() == place.names.get("immutable_id", "").lower())
            and (match.stream is None or match.stream == place.names.get("stream"))
        )


class Bench:
    """What the API, the operator's socket and the middleware share. `clear` empties a table of the install's workspace."""

    def __init__(self, clock: Clock, limits: Limits, clear: Callable[[str], Awaitable[None]]) -> None:
        self.clock = clock
        self.limits = limits
        self._clear = clear
        self._faults: dict[str, Fault] = {}
        self._ids = count(1)
        self._numbers = count(1)
        self._log: deque[Entry] = deque(maxlen=limits["testbench.log_requests"])
        self._routes: list[tuple[str, str, str, re.Pattern[str]]] = []

    def watch(self, rooms: Sequence[RoomRoutes]) -> None:
        """Know the routes of `rooms`, in the order in which they answer."""
        self._routes = [
            (room.room, route.method, route.path, path_pattern(route.path)) for room in rooms for route in room.routes
        ]

    def place(self, method: str, path: str) -> Place:
        """The route that answers `method` and `path`: as the app chooses, the first that fits both."""
        partial: Place | None = None
        for room, of_route, route, pattern in self._routes:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            if of_route == method:
                return Place(room, route, found.groupdict())
            partial = partial or Place(room, None, found.groupdict())
        return partial or Place()

    def add(self, body: Any) -> Fault:
        """Put a fault in force. Raises `BadFault` and `TooManyFaults`."""
        rooms = frozenset(room for room, *_ in self._routes)
        spec = read_fault(body, rooms, self.limits["testbench.delay_seconds"])
        most = self.limits["testbench.faults"]
        if len(self._faults) >= most:
            raise TooManyFaults(f"{most} faults are in force already: remove one, or reset")
        fault = Fault(f"fault-{next(self._ids)}", spec)
        self._faults[fault.id] = fault
        return fault

    def remove(self, fault_id: str) -> None:
        """End a fault. Raises `FaultNotFound`."""
        if self._faults.pop(fault_id, None) is None:
            raise FaultNotFound(f"no fault '{fault_id[:80]}' is in force")

    def faults(self) -> list[Fault]:
        """The faults in force, oldest first: the order in which they are tried."""
        return list(self._faults.values())

    def take(self, method: str, path: str, place: Place) -> Fault | None:
        """The first fault in force that takes this request."""
        return next((fault for fault in self._faults.values() if fault.takes(method, path, place)), None)

    def record(self, **known: Any) -> Entry:
        """A new entry of the log, to be filled as the request goes on."""
        entry = Entry(number=next(self._numbers), time=self.clock.now().isoformat().replace("+00:00", "Z"), **known)
        self._log.append(entry)
        return entry

    def log(self, *, room: str | None = None, after: int = 0) -> list[Entry]:
        """Requests that the log still has, oldest first: of one room, and with a number over `after`."""
        return [e for e in self._log if e.number > after and (room is None or e.room == room)]

    async def reset(self, tables: Any = ()) -> None:
        """No faults, an empty log; and of the named tables no rows. Raises `BadRequest` and `TableNotFound`."""
        if not isinstance(tables, list | tuple) or not all(isinstance(name, str) for name in tables):
            raise BadRequest("'tables' is a list of names")
        for name in tables:
            await self._clear(name)
        self._faults.clear()
        self._log.clear()


def _glob(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.IGNORECASE | re.DOTALL)
