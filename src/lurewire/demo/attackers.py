"""Real attacks on real decoys: an SSH client and an HTTP client whose source address a PROXY header gives.

Source of the header: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt (section 2.1, version 1).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import asyncssh

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_SECONDS = 30.0

PROXY = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""Where the attackers' connections come from: on Linux a loopback address of their own, so that a person at 127.0.0.1
needs no PROXY header; elsewhere the machine has only one."""


@dataclass(frozen=True, slots=True)
class Decoys:
    """Where the decoys listen."""

    host: str
    ssh_port: int
    http_port: int


def proxy_header(source: str, destination: str, port: int, source_port: int = 40_000) -> bytes:
    """The version 1 header that says a connection comes from `source`."""
    family = "TCP6" if ipaddress.ip_address(source).version == 6 else "TCP4"
    if family == "TCP6":
        destination = "2001:db8::1"
    return f"PROXY {family} {source} {destination} {source_port} {port}\r\n".encode("ascii")


async def ssh_logins(
    decoys: Decoys, source: str, credentials: Sequence[tuple[str, str]], commands: Sequence[str] = ()
) -> int:
    """Try each credential on a connection of its own; after the first that works run `commands`.

    Returns how many attempts and commands the decoy answered.
    """
    answered = 0
    for user, password in credentials:
        connection = await _proxied(decoys.host, decoys.ssh_port, source)
        try:
            async with asyncssh.connect(
                sock=connection,
                username=user,
                password=password,
                known_hosts=None,
                client_keys=None,
                agent_path=None,
                config=None,
                preferred_auth="password",
                login_timeout=TIMEOUT_SECONDS,
            ) as client:
                answered += 1
                for command in commands:
                    await asyncio.wait_for(client.run(command), TIMEOUT_SECONDS)
                    answered += 1
                return answered
        except asyncssh.PermissionDenied:
            answered += 1
    return answered


async def http_request(
    decoys: Decoys,
    source: str,
    method: str,
    path: str,
    form: dict[str, str] | None = None,
    agent: str = "Mozilla/5.0 zgrab/0.x",
) -> int:
    """One request on a connection of its own; returns the status of the answer."""
    connection = await _proxied(decoys.host, decoys.http_port, source)
    reader, writer = await asyncio.open_connection(sock=connection)
    body = urlencode(form).encode() if form else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: {decoys.host}\r\nUser-Agent: {agent}\r\nConnection: close\r\n"
    if form:
        head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
    try:
        writer.write(head.encode() + b"\r\n" + body)
        await writer.drain()
        status = await asyncio.wait_for(reader.readline(), TIMEOUT_SECONDS)
        await asyncio.wait_for(reader.read(), TIMEOUT_SECONDS)
        return int(status.split()[1])
    finally:
        writer.close()


async def _proxied(host: str, port: int, source: str) -> socket.socket:
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        connection.bind((PROXY, 0))
        await loop.sock_connect(connection, (host, port))
        await loop.sock_sendall(connection, proxy_header(source, host, port))
    except BaseException:
        connection.close()
        raise
    return connection
