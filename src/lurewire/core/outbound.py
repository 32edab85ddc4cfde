"""Outbound HTTP of playbooks, feeds and templates that link to others, behind a guard.

An address of ours, of the local network or of nobody is refused after its name was resolved, and the connection is
made to the very address that was checked. The setting `outbound.routes` alone passes the guard: it maps a host to one
of our rooms, and the request is answered in this process by that room's routes and no other's.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from starlette.types import ASGIApp

MAX_RESPONSE_BYTES = 100 * 1024 * 1024
"""Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-limits-and-config#messages (message size, 100 MB)."""

_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class OutboundError(Exception):
    """The request had no answer: refused connection, time-out, a name that does not resolve, an answer too long."""


class OutboundUnreadable(OutboundError):
    """What answered broke the rules of HTTP; the message quotes it."""


class OutboundRefused(OutboundError):
    """The guard refused the address; names the host, the address and the settings that could allow it."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(
            f"outbound HTTP to '{host}' is refused: {address} is not a public address. "
            "The setting outbound.routes can map the host to a room; outbound.allow_private allows private addresses."
        )
        self.host = host
        self.address = address


@dataclass(frozen=True, slots=True)
class OutboundResponse:
    """An answer; `route` names the room that gave it, where `outbound.routes` sent the request to one."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    route: str | None

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)


def is_public(address: str) -> bool:
    """Whether an IP address may be called from here: global unicast, also when it is IPv4 written as IPv6.

    Of IPv6 only `2000::/3` is assigned (https://www.iana.org/assignments/ipv6-address-space); what else the standard
    library calls global, such as `::127.0.0.1` and `fec0::/10`, is old notation for local addresses.
    """
    try:
        parsed = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else None)
        if inner is None and parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if parsed not in _GLOBAL_UNICAST:
            return False
    return parsed.is_global and not parsed.is_multicast


class _GuardedResolver(AbstractResolver):
    """Resolves with the system, and passes on only addresses that may be called."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        results: list[ResolveResult] = []
        for entry_family, _type, proto, _name, address in found:
            ip = str(address[0])
            if not self._allow_private and not is_public(ip):
                raise OutboundRefused(host, ip)
            results.append(
                ResolveResult(
                    hostname=host,
                    host=ip,
                    port=int(address[1]),
                    family=entry_family,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        return results

    async def close(self) -> None:
        """Nothing is kept."""


class Outbound:
    """The one way out for HTTP that users' definitions ask for.

    `routes` maps `host` or `host:port` (lower case) to a room's name, `rooms` a name to the room's own application.
    """

    def __init__(self, routes: Mapping[str, str], rooms: Mapping[str, ASGIApp], *, allow_private: bool = False) -> None:
        self._routes = {host.lower(): room for host, room in routes.items()}
        self._rooms = rooms
        self._allow_private = allow_private
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        timeout: float = 120.0,  # noqa: ASYNC109 - the wire contract's own word: the whole request's time
        longest: int = MAX_RESPONSE_BYTES,
        routed: bool = True,
    ) -> OutboundResponse:
        """Send one request; redirects are answers, not followed. `longest` is how many bytes the answer may have.

        Without `routed` the hosts of `outbound.routes` are refused. Raises `OutboundRefused` (guard) and
        `OutboundError` (no answer within `timeout` seconds, or none at all).
        """
        target = _parse(url)
        asked = f"{method} {target.scheme}://{target.host_port_subcomponent}"
        room = self._room_for(target)
        if room is not None and not routed:
            msg = f"{asked} is refused: the setting outbound.routes maps the host to a room of this install"
            raise OutboundError(msg)
        try:
            if room is not None:
                async with asyncio.timeout(timeout):
                    return await _ask_room(room, self._app_of(room), method, target, headers, body)
            self._check_literal(str(target.raw_host))
            return await self._send(method, target, headers, body, timeout, longest)
        except TimeoutError as error:
            msg = f"{asked} had no answer within {timeout:g} s"
            raise OutboundError(msg) from error
        except (aiohttp.ClientResponseError, aiohttp.ClientPayloadError) as error:
            msg = f"{asked} failed: {error}"
            raise OutboundUnreadable(msg) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: a header, method or host that cannot be written on the wire.
            msg = f"{asked} failed: {error}"
            raise OutboundError(msg) from error

    async def close(self) -> None:
        """Close kept-alive connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _room_for(self, target: URL) -> str | None:
        host = str(target.host).lower()
        return self._routes.get(f"{host}:{target.port}") or self._routes.get(host)

    def _app_of(self, room: str) -> ASGIApp:
        app = self._rooms.get(room)
        if app is None:
            known = ", ".join(sorted(self._rooms))
            msg = f"the setting outbound.routes names the room '{room}', which there is not; there are: {known}"
            raise OutboundError(msg)
        return app

    def _check_literal(self, host: str) -> None:
        # The HTTP client does not ask the resolver for a host that is an address already.
        try:
            ipaddress.ip_address(host.split("%", 1)[0])
        except ValueError:
            return
        if not self._allow_private and not is_public(host):
            raise OutboundRefused(host, host)

    async def _send(
        self,
        method: str,
        target: URL,
        headers: Sequence[tuple[str, str]],
        body: bytes | None,
        seconds: float,
        longest: int,
    ) -> OutboundResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=_GuardedResolver(allow_private=self._allow_private)),
                trust_env=False,
                auto_decompress=True,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        async with self._session.request(
            method,
            target,
            headers=list(headers),
            data=body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=seconds),
        ) as response:
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > longest:
                    msg = f"{method} {target.origin()} answered with more than {longest} bytes"
                    raise OutboundError(msg)
            return OutboundResponse(response.status, tuple(response.headers.items()), bytes(content), None)


def _parse(url: str) -> URL:
    # One parser for the guard, the routes and the connection: what two of them read differently would be a way around.
    try:
        target = URL(url)
        if target.scheme in ("http", "https") and target.raw_host:
            return target.with_fragment(None)
        reason = "not an absolute http or https URL"
    except ValueError as error:
        reason = str(error)
    # A query may hold a key, and what stands before '@' a password.
    msg = f"'{url.split('?', 1)[0].rsplit('@', 1)[-1]}' cannot be called: {reason}"
    raise OutboundError(msg)


async def _ask_room(
    name: str, app: ASGIApp, method: str, target: URL, headers: Sequence[tuple[str, str]], body: bytes | None
) -> OutboundResponse:
    given = {k.lower() for k, _ in headers}
    fields = [(k.lower().encode("latin-1"), v.encode("utf-8")) for k, v in headers]
    if "host" not in given:
        fields.append((b"host", str(target.host_port_subcomponent).encode("ascii")))
    if body is not None and "content-length" not in given:
        fields.append((b"content-length", str(len(body)).encode()))
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method.upper(),
        "scheme": target.scheme,
        "path": target.path,
        "raw_path": target.raw_path.encode("ascii"),
        "query_string": target.raw_query_string.encode("ascii"),
        "root_path": "",
        "headers": fields,
        "client": None,  # a request of our own is from no address: no room may take it for a local process
        "server": (target.host, target.port),
        "state": {},
    }
    sent = False
    finished = asyncio.Event()
    status = 500
    answer_headers: list[tuple[str, str]] = []
    chunks: list[bytes] = []

    async def receive() -> MutableMapping[str, Any]:
        nonlocal sent
        if sent:
            await finished.wait()
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body or b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            answer_headers.extend((k.decode("latin-1"), v.decode("latin-1")) for k, v in message["headers"])
        elif message["type"] == "http.response.body":
            chunks.append(message.get("body", b""))
            if not message.get("more_body", False):
                finished.set()

    await app(scope, receive, send)
    return OutboundResponse(status, tuple(answer_headers), b"".join(chunks), name)
