"""What stands before every decoy: connection caps, the PROXY protocol, time limits. No relay, no copy of the bytes."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol, cast

from lurewire.core.log import get_logger
from lurewire.sensor.events import Endpoint
from lurewire.sensor.proxy_protocol import Header, ProxyProtocolError, plain, read_header
from lurewire.sensor.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network, IPv6Network

    from lurewire.core.limits import Limits
    from lurewire.sensor.store import Store

_STOP_SECONDS = 5

_log = get_logger("sensor.listener")


class Decoy(Protocol):
    """A protocol that attackers may speak to."""

    name: str
    protocol: str

    async def open(self) -> None:
        """Prepare what connections share (keys)."""
        ...

    def serve(self, session: Session) -> asyncio.Protocol:
        """The protocol object for one connection."""
        ...


class Listener:
    """One decoy on one port."""

    def __init__(
        self, decoy: Decoy, store: Store, limits: Limits, trusted: Sequence[IPv4Network | IPv6Network]
    ) -> None:
        self.decoy = decoy
        self.limits = limits
        self._store = store
        self._trusted = trusted
        self._server: asyncio.Server | None = None
        self._gates: set[Gate] = set()
        self._sources: Counter[str] = Counter()
        self._over: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises `OSError` where it cannot be bound."""
        await self.decoy.open()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Gate(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and every connection; return when what they had to record is recorded."""
        if self._server is None:
            return
        self._server.close()
        for gate in list(self._gates):
            gate.abort()
        await self._server.wait_closed()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                while self._gates or self._tasks:
                    await asyncio.gather(asyncio.sleep(0), *self._tasks, return_exceptions=True)

    def trusts(self, address: str) -> bool:
        """Whether a connection from `address` must begin with a PROXY protocol header."""
        parsed = ipaddress.ip_address(address)
        return any(parsed.version == network.version and parsed in network for network in self._trusted)

    def admit(self, gate: Gate) -> bool:
        """Count a connection; False where the decoy is full."""
        if len(self._gates) >= self.limits["sensor.connections"]:
            _log.warning("decoy is full: connection closed", decoy=self.decoy.name)
            return False
        self._gates.add(gate)
        return True

    def serve(self, endpoint: Endpoint) -> asyncio.Protocol | None:
        """The decoy's side of a connection; None where its source has too many."""
        source = endpoint.source_ip
        if self._sources[source] >= self.limits["sensor.connections_per_source"]:
            if source not in self._over:
                self._over.add(source)
                _log.warning("too many connections from one source", decoy=self.decoy.name, source_ip=source)
            return None
        self._sources[source] += 1
        name, protocol = self.decoy.name, self.decoy.protocol
        return self.decoy.serve(Session(self._store, self.limits, endpoint, name, protocol, self._tasks))

    def forget(self, gate: Gate, source: str | None) -> None:
        """Uncount a connection."""
        self._gates.discard(gate)
        if source is not None:
            self._sources[source] -= 1
            if self._sources[source] <= 0:
                del self._sources[source]
                self._over.discard(source)


class Gate(asyncio.Protocol):
    """One connection: reads the PROXY header where the peer is trusted, then passes everything on to the decoy."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._limits = listener.limits
        self._transport: asyncio.Transport | None = None
        self._inner: asyncio.Protocol | None = None
        self._source: str | None = None
        self._header = b""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._heard = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection."""
        self._transport = cast("asyncio.Transport", transport)
        if transport.get_extra_info("peername") is None or not self._listener.admit(self):
            self.abort()  # gone already, or one too many
            return
        self._timer("connection", self._limits["sensor.connection_seconds"], self.abort)
        self._timer("idle", self._limits["sensor.idle_seconds"], self._check_idle)
        own = _own_endpoint(self._transport)
        if self._listener.trusts(own.source_ip):
            self._timer("header", self._limits["sensor.proxy_header_seconds"], self._no_header)
        else:
            self._begin(own, b"")

    def data_received(self, data: bytes) -> None:
        """Read the PROXY header, or pass on."""
        self._heard = True
        if self._inner is not None:
            self._inner.data_received(data)
            return
        assert self._transport is not None
        if self._transport.is_closing():
            return
        self._header += data
        try:
            header = read_header(self._header, self._limits["sensor.proxy_header_bytes"])
        except ProxyProtocolError as error:
            _log.warning("trusted proxy sent no PROXY header", reason=str(error), peer=_own_endpoint(self._transport))
            self.abort()
            return
        if header is not None:
            self._timers.pop("header").cancel()
            self._proxied(header)

    def eof_received(self) -> bool | None:
        """Pass on the end of input."""
        return self._inner.eof_received() if self._inner is not None else None

    def pause_writing(self) -> None:
        """Close: a client that does not read what it asked for is of no more interest."""
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Uncount the connection and pass on the end."""
        for timer in self._timers.values():
            timer.cancel()
        self._listener.forget(self, self._source)
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _proxied(self, header: Header) -> None:
        assert self._transport is not None
        if header.local:  # the proxy asks whether we are alive: nobody's touch
            self.abort()
            return
        self._begin(header.endpoint or _own_endpoint(self._transport), self._header[header.length :])

    def _begin(self, endpoint: Endpoint, rest: bytes) -> None:
        assert self._transport is not None
        self._header = b""
        self._inner = self._listener.serve(endpoint)
        if self._inner is None:
            self.abort()
            return
        self._source = endpoint.source_ip
        self._inner.connection_made(self._transport)
        if rest:
            self._inner.data_received(rest)

    def _no_header(self) -> None:
        assert self._transport is not None
        _log.warning("trusted proxy sent no PROXY header in time", peer=_own_endpoint(self._transport))
        self.abort()

    def _check_idle(self) -> None:
        if not self._heard:
            self.abort()
            return
        self._heard = False
        self._timer("idle", self._limits["sensor.idle_seconds"], self._check_idle)

    def _timer(self, name: str, seconds: float, action: Any) -> None:
        self._timers[name] = asyncio.get_running_loop().call_later(seconds, action)


def _own_endpoint(transport: asyncio.Transport) -> Endpoint:
    source, destination = (transport.get_extra_info(name) for name in ("peername", "sockname"))
    return Endpoint(
        plain(ipaddress.ip_address(source[0].partition("%")[0])),
        source[1],
        plain(ipaddress.ip_address(destination[0].partition("%")[0])),
        destination[1],
    )
