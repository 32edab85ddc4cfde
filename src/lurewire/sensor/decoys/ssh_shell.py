"""Session channels of the SSH decoy: what is asked for is recorded, then answered from `shell_commands`."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.packet import Boolean, SSHPacket, String

from lurewire.sensor.decoys.shell_commands import MOTD, Output, Shell, run
from lurewire.sensor.decoys.terminal import END_OF_INPUT, Terminal
from lurewire.sensor.evidence import as_text

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from lurewire.sensor.decoys.ssh_connection import DecoyConnection
    from lurewire.sensor.evidence import Detail

MSG_CHANNEL_REQUEST = 98
MSG_CHANNEL_SUCCESS = 99
MSG_CHANNEL_FAILURE = 100

FORWARDING = frozenset({b"x11-req", b"auth-agent-req@openssh.com"})
TRANSFER_COMMANDS = (b"scp", b"sftp", b"sftp-server", b"rsync")

_WINDOW = 65536
_PACKET = 32768
_MOST_VARIABLES = 32
_LONGEST_USER = 32


class DecoyChannel(asyncssh.SSHServerChannel):  # type: ignore[misc]  # asyncssh's types are not followed
    """A session channel: its requests are actions of an attacker."""

    def __init__(self, connection: DecoyConnection, fake: FakeSession) -> None:
        super().__init__(
            connection,
            asyncio.get_running_loop(),
            allow_pty=True,
            line_editor=False,
            line_echo=False,
            line_history=0,
            max_line_length=0,
            encoding=None,
            errors="strict",
            window=_WINDOW,
            max_pktsize=_PACKET,
        )
        self._connection = connection
        self._fake = fake

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> Awaitable[None] | bool:
        """Take the channel's requests; leave data and flow control to asyncssh."""
        if pkttype == MSG_CHANNEL_REQUEST:
            return self._connection.slow(self._request(pktid, packet))
        result: Awaitable[None] | bool = super().process_packet(pkttype, pktid, packet)
        return result

    async def _request(self, pktid: int, packet: SSHPacket) -> None:
        if self._fake.channel is None:
            raise asyncssh.ProtocolError("Channel not open")
        name, wants_reply = packet.get_string(), packet.get_boolean()
        granted = False
        if name in (b"exec", b"shell") and not self._fake.started:
            command = packet.get_string() if name == b"exec" else None
            await self._fake.begin(command)
            # asyncssh gets the request without the attacker's bytes, which it might refuse.
            rest = String("") if name == b"exec" else b""
            accepted = SSHPacket(String(name) + Boolean(wants_reply) + rest)
            await self._connection.pass_on(super().process_packet(MSG_CHANNEL_REQUEST, pktid, accepted))
            return
        if name == b"subsystem":
            subsystem = packet.get_string()
            await self._connection.session.record(
                "file_transfer" if subsystem == b"sftp" else "command", {"subsystem": subsystem}
            )
        elif name in FORWARDING:
            await self._connection.session.record("forwarding", {"request": name})
        elif name == b"pty-req":
            self._fake.terminal_type = packet.get_string()
            granted = True
        elif name == b"env":
            granted = self._fake.set_variable(packet.get_string(), packet.get_string())
        if wants_reply:
            self.send_packet(MSG_CHANNEL_SUCCESS if granted else MSG_CHANNEL_FAILURE)


class FakeSession(asyncssh.SSHServerSession):  # type: ignore[misc]  # asyncssh's types are not followed
    """What runs on a session channel: one command, or a shell that reads command lines."""

    def __init__(self, connection: DecoyConnection) -> None:
        self._connection = connection
        self._session = connection.session
        self.channel: DecoyChannel | None = None
        self.started = False
        self.terminal_type: bytes | None = None
        self._variables: list[Detail] = []
        self._command: bytes | None = None
        self._terminal: Terminal | None = None
        self._lines: deque[bytes | None] = deque()
        self._reader: asyncio.Task[None] | None = None
        self._reading_paused = False
        user, _ = as_text(_bytes(connection.facts.get("username")), _LONGEST_USER)
        self._shell = Shell(user if user.isprintable() else "user")

    def connection_made(self, chan: DecoyChannel) -> None:
        """The channel is open."""
        self.channel = chan

    def connection_lost(self, _exc: Exception | None) -> None:
        """The channel is gone: keep the line that was never ended."""
        self._connection.sessions -= 1
        unfinished = self._terminal.unfinished if self._terminal is not None else b""
        if unfinished:
            self._session.spawn(self._keep_unfinished(unfinished))

    def set_variable(self, name: bytes, value: bytes) -> bool:
        """Note an environment variable that the client sets; it is told with the shell or command that follows."""
        if len(self._variables) >= _MOST_VARIABLES:
            return False
        self._variables.append({"name": name, "value": value})
        return True

    async def begin(self, command: bytes | None) -> None:
        """Record that a command is run, or, with None, that a shell is opened."""
        self.started = True
        self._command = command
        details: dict[str, Detail] = {}
        if self.terminal_type is not None:
            details["terminal"] = self.terminal_type
        if self._variables:
            details["environment"] = self._variables
        if command is None:
            await self._session.record("shell", details)
            return
        await self._session.record(_kind(command), {**details, "command": command, "interactive": False})

    def shell_requested(self) -> bool:
        """Yes: it is recorded already."""
        return True

    def exec_requested(self, _command: str) -> bool:
        """Yes: it is recorded already."""
        return True

    def session_started(self) -> None:
        """Answer the command, or greet."""
        assert self.channel is not None
        if self._command is not None:
            self._say(self._answer(self._command))
            return
        self._terminal = Terminal(self._session.limits["sensor.ssh_line_bytes"], echo=self.terminal_type is not None)
        if self.terminal_type is not None:
            self._write(MOTD + self._shell.prompt)

    def data_received(self, data: bytes, _datatype: int | None) -> None:
        """Read what is typed."""
        if self._terminal is None or self.channel is None:
            return
        lines, echo = self._terminal.feed(data)
        if echo:
            self.channel.write(echo)
        self._queue(lines)

    def eof_received(self) -> bool:
        """Leave the shell after the lines that are still to be answered."""
        if self._terminal is not None:
            self._queue([END_OF_INPUT])
        return True

    def _queue(self, lines: list[bytes | None]) -> None:
        assert self.channel is not None
        self._lines.extend(lines)
        if len(self._lines) > self._session.limits["sensor.ssh_pending_lines"] and not self._reading_paused:
            self._reading_paused = True
            self.channel.pause_reading()
        if self._lines and (self._reader is None or self._reader.done()):
            self._reader = self._session.spawn(self._read())

    async def _read(self) -> None:
        assert self.channel is not None
        try:
            while self._lines and not self._shell.closed:
                line = self._lines.popleft()
                if line is END_OF_INPUT:
                    self._shell.closed = True
                elif line.strip():
                    await self._session.record(_kind(line), {"command": line, "interactive": True})
                    self._say(self._answer(line))
                elif self.terminal_type is not None:
                    self._write(self._shell.prompt)
        except Exception:
            self._connection.abort()
            raise
        if self._shell.closed:
            self._leave(0)
        elif self._reading_paused:
            self._reading_paused = False
            self.channel.resume_reading()

    def _answer(self, line: bytes) -> Output:
        text, _ = as_text(line, self._session.limits["sensor.ssh_line_bytes"])
        return run(self._shell, text)

    def _say(self, output: Output) -> None:
        assert self.channel is not None
        if self.channel.is_closing():
            return
        if self.terminal_type is not None:
            self._write(output.stdout + output.stderr)
        else:
            self.channel.write(output.stdout.encode())
            self.channel.write_stderr(output.stderr.encode())
        if self._command is not None or self._shell.closed:
            self._leave(output.status)
        elif self.terminal_type is not None:
            self._write(self._shell.prompt)

    def _write(self, text: str) -> None:
        assert self.channel is not None
        if not self.channel.is_closing():
            self.channel.write(text.replace("\n", "\r\n").encode("utf-8", "replace"))

    def _leave(self, status: int) -> None:
        assert self.channel is not None
        if not self.channel.is_closing():
            self.channel.exit(status)

    async def _keep_unfinished(self, line: bytes) -> None:
        await self._session.record(_kind(line), {"command": line, "interactive": True, "finished": False})


def _kind(command: bytes) -> str:
    first = command.split(maxsplit=1)[:1]
    name = first[0].rpartition(b"/")[2] if first else b""
    return "file_transfer" if name in TRANSFER_COMMANDS else "command"


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b""
