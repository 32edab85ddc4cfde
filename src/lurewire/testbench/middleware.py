"""The bench before the app: chooses a fault, gives it, and writes the log."""

from __future__ import annotations

import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from lurewire.testbench.answers import answer
from lurewire.testbench.recording import Entry, shown_answer, shown_body, shown_headers, shown_query
from lurewire.testbench.routes import ROOT
from lurewire.testbench.transport import CUT

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lurewire.testbench.models import Cut
    from lurewire.testbench.service import Bench, Fault

FAULT_HEADER = b"x-lurewire-fault"
"""Names the fault on an answer that the bench made up."""


class Middleware:
    """Every request but those to the bench itself passes here; only where the bench is on."""

    def __init__(self, app: ASGIApp, bench: Bench) -> None:
        self._app = app
        self._bench = bench

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"].lower().startswith(f"{ROOT}/"):
            await self._app(scope, receive, send)
            return
        place = self._bench.place(scope["method"], scope["path"])
        fault = self._bench.take(scope["method"], scope["path"], place)
        entry = self._bench.record(
            method=scope["method"],
            path=scope["path"],
            query=shown_query(scope["query_string"]),
            room=place.room,
            route=place.route,
            headers=shown_headers(scope["headers"]),
            fault=None if fault is None else fault.id,
        )
        started = time.perf_counter()
        watched = _Watched(entry, receive, send, self._bench.limits["testbench.log_body_bytes"])
        try:
            await watched.read_ahead()
            await self._serve(scope, watched, fault)
        finally:
            watched.finish()
            entry.seconds = time.perf_counter() - started

    async def _serve(self, scope: Scope, watched: _Watched, fault: Fault | None) -> None:
        if fault is None:
            await self._app(scope, watched.receive, watched.send)
            return
        spec = fault.spec
        if spec.delay:
            await self._bench.clock.sleep(spec.delay)
        if spec.status is not None:
            await watched.drain()
            headers, body = answer(watched.entry.room, spec)
            await watched.reply(spec.status, headers, body, fault.id)
        elif spec.cut is not None:
            await self._cut(scope, watched, spec.cut)
        else:
            await self._app(scope, watched.receive, watched.send)

    async def _cut(self, scope: Scope, watched: _Watched, when: Cut) -> None:
        watched.entry.cut = when
        if when == "before":
            await watched.drain()
        else:
            half = _Half(watched.send, leave=when == "during")
            await self._app(scope, watched.receive, half.send)
            watched.entry.status = half.status
        scope["extensions"][CUT]["cut"]()
        while (await watched.receive())["type"] != "http.disconnect":
            pass


class _Half:
    """Lets the head and half of the first part of an answer's body leave, or nothing of it."""

    def __init__(self, send: Send, *, leave: bool) -> None:
        self._send = send
        self._leave = leave
        self._head: Message | None = None
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head, self.status = message, message["status"]
        elif self._leave and self._head is not None and message.get("body"):
            body = message["body"]
            await self._send(self._head)
            await self._send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            self._head = None


class _Watched:
    """`receive` and `send` of one request, with what passes noted in the log's entry."""

    def __init__(self, entry: Entry, receive: Receive, send: Send, limit: int) -> None:
        self.entry = entry
        self._receive = receive
        self._send = send
        self._limit = limit
        self._body = bytearray()
        self._answer = bytearray()
        self._more = True
        self._ahead: deque[Message] = deque()

    async def read_ahead(self) -> None:
        """Read what the log shows of the body: a request that is refused has one, too, and the app does not read it."""
        while self._more and len(self._body) <= self._limit:
            self._ahead.append(await self._read())

    async def receive(self) -> Message:
        return self._ahead.popleft() if self._ahead else await self._read()

    async def _read(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            body = message.get("body", b"")
            self.entry.body_bytes += len(body)
            # One more than is shown, so that it is known whether something is missing.
            self._body += body[: self._limit + 1 - len(self._body)]
            self._more = message.get("more_body", False)
        else:
            self._more = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.entry.status = message["status"]
            self.entry.answer_headers = {
                name: value
                for name, value in shown_headers(message.get("headers", ())).items()
                if name in _ANSWER_HEADERS
            }
        elif (self.entry.status or 0) >= 400:
            self._answer += message.get("body", b"")[: self._limit - len(self._answer)]
        await self._send(message)

    async def drain(self) -> None:
        """Read what is left of the body: a client that still sends does not read."""
        while self._more:
            await self._read()

    async def reply(self, status: int, headers: dict[str, str], body: Any, fault_id: str) -> None:
        """Answer in the app's stead."""
        content = json.dumps(body).encode()
        fields = {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
        raw = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
        raw.append((FAULT_HEADER, fault_id.encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self.send({"type": "http.response.body", "body": content, "more_body": False})

    def finish(self) -> None:
        """Put the bodies into the entry."""
        entry = self.entry
        entry.body, entry.body_cut = shown_body(entry.room, entry.headers, bytes(self._body), self._limit, entry.path)
        entry.answer = shown_answer(entry.status or 0, bytes(self._answer))


_ANSWER_HEADERS = frozenset(
    {"allow", "content-type", "location", "azure-asyncoperation", "retry-after", "www-authenticate", "x-lurewire-fault"}
)
