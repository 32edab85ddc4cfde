"""The SSH decoy: asyncssh carries the transport, the decoy reads every login and request itself.

asyncssh would normalise names and passwords and drop the connection over bytes that it does not like; an attacker's
attempt must be kept as it was sent. `ssh_connection` therefore sees each packet before asyncssh does.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, cast

import asyncssh

from lurewire.sensor.decoys.ssh_connection import DecoyConnection, DecoyOwner

if TYPE_CHECKING:
    from pathlib import Path

    from lurewire.sensor.config import SensorConfig
    from lurewire.sensor.session import Session

SERVER_VERSION = "OpenSSH_9.2p1 Debian-2+deb12u3"

KEX_ALGORITHMS = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
)
"""Key exchanges of the version above, without those that cost a server much and a client little."""

_IDENTIFICATION = b"SSH-"
_LONGEST_IDENTIFICATION = 255
_NOT_SSH = b"Invalid SSH identification string.\r\n"


class SshDecoy:
    """The SSH decoy."""

    name = "ssh"
    protocol = "ssh"

    def __init__(self, config: SensorConfig) -> None:
        self._key_file = config.host_key_path
        self._login_after_failures = config.login_after_failures
        self._limits = config.room_limits
        self._options: asyncssh.SSHServerConnectionOptions | None = None

    async def open(self) -> None:
        """Load the host key, made where it is missing."""
        # Every line of asyncssh's log would carry attackers' text past our escaping; what matters is recorded.
        logging.getLogger("asyncssh").setLevel(logging.CRITICAL + 1)
        self._options = await asyncssh.SSHServerConnectionOptions.construct(
            server_factory=DecoyOwner,
            server_host_keys=[_host_key(self._key_file)],
            server_version=SERVER_VERSION,
            kex_algs=KEX_ALGORITHMS,
            compression_algs=["none"],  # a compressed packet could grow a thousandfold in memory
            config=None,
            gss_host=None,
            login_timeout=self._limits["sensor.ssh_login_seconds"],
            keepalive_interval=0,
            agent_forwarding=False,
            line_editor=False,
            encoding=None,
        )

    def serve(self, session: Session) -> asyncio.Protocol:
        """One connection."""
        return SshProtocol(self._options, session, self._login_after_failures)


class SshProtocol(asyncio.Protocol):
    """Between socket and asyncssh: the connection is recorded before the banner, and what is not SSH stops here."""

    def __init__(self, options: asyncssh.SSHServerConnectionOptions, session: Session, after_failures: int) -> None:
        self._session = session
        self._options = options
        self._after_failures = after_failures
        self._connection: DecoyConnection | None = None
        self._transport: asyncio.Transport | None = None
        self._identified = False
        self._lost = False
        self._paused = False
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Record the connection, then let asyncssh speak."""
        self._transport = cast("asyncio.Transport", transport)
        self._pause()
        self._session.spawn(self._begin())

    def data_received(self, data: bytes) -> None:
        """Pass on what is SSH."""
        if self._connection is None or not self._identified:
            self._early += data
            if self._connection is not None:
                self._identify(self._connection)
            return
        if self._connection.busy:
            self._pause()
        self._connection.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on the end of input."""
        if self._connection is not None:
            self._connection.eof_received()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on the end."""
        self._lost = True
        if self._connection is not None:
            self._connection.connection_lost(exc)

    async def _begin(self) -> None:
        assert self._transport is not None
        try:
            await self._session.record("connection", {})
        except Exception:
            self._transport.abort()
            raise
        if self._lost:
            return
        connection = DecoyConnection(self._options, self._session, self._after_failures, self._relax)
        connection.connection_made(self._transport)
        self._connection = connection
        self._relax()
        if self._early:
            self._identify(connection)

    def _identify(self, connection: DecoyConnection) -> None:
        start = self._early[: len(_IDENTIFICATION)]
        end = self._early.find(b"\n")
        if not _IDENTIFICATION.startswith(start) or (end < 0 and len(self._early) > _LONGEST_IDENTIFICATION):
            self._pause()
            self._session.spawn(self._refuse(connection))
        elif end >= 0:
            self._identified = True
            connection.facts["client_version"] = self._early[:end].rstrip(b"\r")
            early, self._early = self._early, b""
            connection.data_received(early)

    async def _refuse(self, connection: DecoyConnection) -> None:
        """Answer what is not SSH as the real server does."""
        assert self._transport is not None
        connection.explained = True
        try:
            await self._session.record("handshake", {"error": "not an SSH identification string", "raw": self._early})
            self._transport.write(_NOT_SSH)
        finally:
            self._transport.close()

    def _pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _relax(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()


def _host_key(path: Path) -> asyncssh.SSHKey:
    if not path.exists():
        key = asyncssh.generate_private_key("ssh-ed25519")
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key.export_private_key())
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    return asyncssh.read_private_key(str(path))
