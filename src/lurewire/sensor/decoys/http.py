"""The HTTP decoy: a login page and a catch-all.

One connection carries one request. Whatever follows it, or is not one unambiguous request, is recorded with it and
never read as another: there is nothing for smuggled bytes to be taken for. The parser behind `http_head`'s rules is h11,
which is pure Python: attackers' bytes meet no memory-unsafe code.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import h11

from lurewire.sensor.decoys.http_head import HEAD_END, broken_rule, broken_start
from lurewire.sensor.decoys.http_login import basic_credentials, body_credentials
from lurewire.sensor.decoys.http_pages import BAD_REQUEST, TIMED_OUT, TOO_LARGE, Page, page_for

if TYPE_CHECKING:
    from lurewire.sensor.config import SensorConfig
    from lurewire.sensor.evidence import Detail
    from lurewire.sensor.session import Session

_LINGER_SECONDS = 2


class HttpDecoy:
    """The HTTP decoy."""

    name = "http"
    protocol = "http"

    def __init__(self, _config: SensorConfig) -> None:
        pass

    async def open(self) -> None:
        """Nothing is shared by connections."""

    def serve(self, session: Session) -> asyncio.Protocol:
        """One connection."""
        return HttpProtocol(session)


class HttpProtocol(asyncio.Protocol):
    """One connection, one request, one interaction, one answer."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._limits = session.limits
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._raw = bytearray()
        self._answered = False
        self._sent = False
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits["sensor.http_head_bytes"])
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._fed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = cast("asyncio.Transport", transport)
        self._deadline = asyncio.get_running_loop().call_later(
            self._limits["sensor.http_request_seconds"], self._malformed, "timed_out", TIMED_OUT
        )

    def data_received(self, data: bytes) -> None:
        """Read on; after the request is complete nothing is read any more."""
        if self._answered:
            return  # discarded, for as long as the connection lingers
        self._raw += data
        if self._request is None and not self._read_head():
            return
        self._read_body()

    def eof_received(self) -> bool | None:
        """Take the end of input for the end of the request."""
        if self._sent or not self._raw:
            return None
        self._malformed("incomplete", BAD_REQUEST)
        return True  # the answer still has to go out

    def connection_lost(self, _exc: Exception | None) -> None:
        """Keep what came without ever being a request."""
        if self._deadline is not None:
            self._deadline.cancel()
        if not self._answered:
            self._answered = True
            if self._raw:
                self._session.spawn(self._keep("malformed_request", self._malformed_details("incomplete")))
            else:
                self._session.spawn(self._keep("connection", {}))

    def _read_head(self) -> bool:
        """Whether the head is complete and unambiguous; what is not is answered here."""
        reason = broken_start(bytes(self._raw[:1]))
        if reason is not None:
            self._malformed(reason, BAD_REQUEST)
            return False
        longest = self._limits["sensor.http_head_bytes"]
        end = HEAD_END.search(self._raw, 0, longest)
        if end is None:
            if len(self._raw) >= longest:
                self._malformed("head_too_large", TOO_LARGE)
            return False
        reason = broken_rule(bytes(self._raw[: end.end()]))
        if reason is not None:
            self._malformed(reason, BAD_REQUEST)
            return False
        return True

    def _read_body(self) -> None:
        try:
            self._parser.receive_data(bytes(self._raw[self._fed :]))
            self._fed = len(self._raw)
            while True:
                event = self._parser.next_event()
                if isinstance(event, h11.Request):
                    self._request = event
                    if len(event.headers) > self._limits["sensor.http_headers"]:
                        self._malformed("too_many_headers", BAD_REQUEST)
                        return
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > self._limits["sensor.http_body_bytes"]:
                        self._complete(TOO_LARGE)
                        return
                elif isinstance(event, h11.EndOfMessage):
                    self._complete(None)
                    return
                else:
                    break
        except h11.RemoteProtocolError:
            self._malformed("malformed_body" if self._request is not None else "malformed_request", BAD_REQUEST)
            return
        if len(self._raw) > self._limits["sensor.http_head_bytes"] + 4 * self._limits["sensor.http_body_bytes"]:
            self._malformed("body_too_large", TOO_LARGE)  # a body that is mostly chunk headers

    def _complete(self, page: Page | None) -> None:
        """The request is here; `page` answers it where it was cut short."""
        assert self._request is not None
        headers = self._request.headers.raw_items()
        content_type = _header(self._request, b"content-type")
        credentials: tuple[bytes | None, bytes | None] | None = basic_credentials(
            _header(self._request, b"authorization")
        )
        scheme = "basic"
        if credentials is None:
            credentials, scheme = body_credentials(content_type, bytes(self._body)), "form"
        details: dict[str, Detail] = {
            "method": self._request.method,
            "target": self._request.target,
            "http_version": self._request.http_version,
            "headers": [{"name": name, "value": value} for name, value in headers],
        }
        if self._body:
            details["body"] = bytes(self._body)
            details["body_complete"] = page is None
        surplus = self._parser.trailing_data[0] if page is None else b""
        if surplus:
            details["surplus"] = surplus
        kind = "request"
        if credentials is not None:
            kind = "login_attempt"
            details["login_method"] = scheme
            details |= {
                name: value
                for name, value in zip(("username", "password"), credentials, strict=True)
                if value is not None
            }
            details["accepted"] = False
        if page is None:
            page = page_for(self._request.method, self._request.target, login=credentials is not None)
        self._finish(kind, details, page, head_only=self._request.method == b"HEAD")

    def _malformed(self, reason: str, page: Page) -> None:
        if not self._answered:
            kind = "malformed_request" if self._raw else "connection"
            self._finish(kind, self._malformed_details(reason), page, head_only=False)

    def _malformed_details(self, reason: str) -> dict[str, Detail]:
        return {"reason": reason, "raw": bytes(self._raw)} if self._raw else {"reason": reason}

    def _finish(self, kind: str, details: dict[str, Detail], page: Page, *, head_only: bool) -> None:
        self._answered = True
        if self._deadline is not None:
            self._deadline.cancel()
        self._session.spawn(self._answer(kind, details, page, head_only=head_only))

    async def _answer(self, kind: str, details: dict[str, Detail], page: Page, *, head_only: bool) -> None:
        assert self._transport is not None
        try:
            await self._session.record(kind, details)
        except Exception:
            self._transport.abort()
            raise
        if self._transport.is_closing():
            return
        self._transport.write(page.render(head_only=head_only))
        self._sent = True
        # Closing with unread bytes would make the kernel reset the connection and lose the answer.
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._deadline = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.close)

    async def _keep(self, kind: str, details: dict[str, Detail]) -> None:
        await self._session.record(kind, details)


def _header(request: h11.Request, name: bytes) -> bytes:
    return next((value for header, value in request.headers if header == name), b"")
