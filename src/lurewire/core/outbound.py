"""Outbound HTTP of playbooks and feeds, behind a guard.

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
from urllib.parse import unquote, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from starlette.types import ASGIApp

MAX_RESPONSE_BYTES = 100 * 1024 * 1024
"""Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-limits-and-config#messages (message size, 100 MB)."""


class OutboundError(Exception):
    """The request had no answer: refused connection, time-out, a name that does not resolve, an answer too long."""


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
    """Whether an IP address may be called from here: global unicast, also when it is IPv4 written as IPv6."""
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
    return parsed.is_global and not parsed.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


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
    ) -> OutboundResponse:
        """Send one request; redirects are answers, not followed.

        Raises `OutboundRefused` (guard) and `OutboundError` (no answer within `timeout` seconds, or none at all).
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = f"'{url}' is not an absolute http or https URL"
            raise OutboundError(msg)
        room = self._room_for(parts.hostname, parts.port)
        try:
            if room is not None:
                async with asyncio.timeout(timeout):
                    return await _ask_room(room, self._rooms[room], method, url, headers, body)
            self._check_literal(parts.hostname)
            return await self._send(method, url, headers, body, timeout)
        except TimeoutError as error:
            msg = f"{method} {parts.scheme}://{parts.netloc} had no answer within {timeout:g} s"
            raise OutboundError(msg) from error
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error.__cause__, OutboundRefused):
                raise error.__cause__ from error
            msg = f"{method} {parts.scheme}://{parts.netloc} failed: {error}"
            raise OutboundError(msg) from error

    async def close(self) -> None:
        """Close kept-alive connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _room_for(self, host: str, port: int | None) -> str | None:
        if port is not None and (room := self._routes.get(f"{host.lower()}:{port}")):
            return room
        return self._routes.get(host.lower())

    def _check_literal(self, host: str) -> None:
        # The HTTP client does not ask the resolver for a host that is an address already.
        try:
            ipaddress.ip_address(host.split("%", 1)[0])
        except ValueError:
            return
        if not self._allow_private and not is_public(host):
            raise OutboundRefused(host, host)

    async def _send(
        self, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes | None, seconds: float
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
            url,
            headers=list(headers),
            data=body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=seconds),
        ) as response:
            content = await response.content.read(MAX_RESPONSE_BYTES + 1)
            while len(content) <= MAX_RESPONSE_BYTES and (more := await response.content.read(1 << 20)):
                content += more
            if len(content) > MAX_RESPONSE_BYTES:
                msg = f"{method} {url} answered with more than {MAX_RESPONSE_BYTES} bytes"
                raise OutboundError(msg)
            return OutboundResponse(response.status, tuple(response.headers.items()), content, None)


async def _ask_room(
    name: str, app: ASGIApp, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes | None
) -> OutboundResponse:
    parts = urlsplit(url)
    given = {k.lower() for k, _ in headers}
    fields = [(k.lower().encode("latin-1"), v.encode("utf-8")) for k, v in headers]
    if "host" not in given:
        fields.append((b"host", parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii")))
    if body is not None and "content-length" not in given:
        fields.append((b"content-length", str(len(body)).encode()))
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method.upper(),
        "scheme": parts.scheme,
        "path": unquote(parts.path) or "/",
        "raw_path": parts.path.encode("ascii", "backslashreplace"),
        "query_string": parts.query.encode("ascii", "backslashreplace"),
        "root_path": "",
        "headers": fields,
        "client": ("127.0.0.1", 0),
        "server": (parts.hostname, parts.port or 443),
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
