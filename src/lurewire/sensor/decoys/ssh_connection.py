"""An SSH connection whose every action is recorded before asyncssh, or the decoy, answers it.

The messages are those of RFC 4250 to 4256. User authentication is the decoy's own from end to end; of the connection
protocol asyncssh keeps session channels, and everything that would reach past the decoy is recorded and refused.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import inspect
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.packet import Boolean, NameList, PacketDecodeError, SSHPacket, String, UInt32

from lurewire.sensor.decoys.ssh_shell import DecoyChannel, FakeSession
from lurewire.sensor.limits import WEAK_PASSWORDS
from lurewire.sensor.store import Login

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from lurewire.sensor.evidence import Detail
    from lurewire.sensor.session import Session

MSG_KEXINIT = 20
MSG_USERAUTH_REQUEST = 50
MSG_USERAUTH_FAILURE = 51
MSG_USERAUTH_INFO_REQUEST = 60
MSG_USERAUTH_INFO_RESPONSE = 61
MSG_GLOBAL_REQUEST = 80
MSG_REQUEST_FAILURE = 82
MSG_CHANNEL_OPEN = 90

OPEN_PROHIBITED = 1
NO_MORE_AUTH_METHODS = 14

METHODS = (b"publickey", b"password", b"keyboard-interactive")
"""What the decoy says it takes; public keys are never accepted."""

FORWARDING_REQUESTS = frozenset({b"tcpip-forward", b"cancel-tcpip-forward", b"streamlocal-forward@openssh.com"})


class DecoyOwner(asyncssh.SSHServer):  # type: ignore[misc]  # asyncssh's types are not followed
    """What asyncssh asks about a connection."""

    def connection_made(self, conn: DecoyConnection) -> None:
        """Learn whose owner this is."""
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on the end."""
        self._connection.ended(exc)

    def session_requested(self) -> tuple[DecoyChannel, FakeSession] | bool:
        """Give a session channel, or refuse it."""
        return self._connection.open_session() or False


class _Prompt:
    """A keyboard-interactive login that waits for its answer; stands where asyncssh keeps the method under way."""

    def __init__(self, connection: DecoyConnection, username: bytes) -> None:
        self._connection = connection
        self.username = username

    def cancel(self) -> None:
        """Nothing runs."""

    def log_received_packet(self, *_: object) -> None:
        """The debug log is off."""

    def process_packet(self, pkttype: int, _pktid: int, packet: SSHPacket) -> Awaitable[None] | bool:
        """Take the answer."""
        if pkttype != MSG_USERAUTH_INFO_RESPONSE:
            return False
        return self._connection.slow(self._connection.answered(self.username, packet))


class DecoyConnection(asyncssh.SSHServerConnection):  # type: ignore[misc]  # asyncssh's types are not followed
    """One connection. `facts` are told with each login, `busy` says that an action is being recorded."""

    def __init__(
        self,
        options: asyncssh.SSHServerConnectionOptions,
        session: Session,
        login_after_failures: int,
        idle: Callable[[], None],
    ) -> None:
        super().__init__(asyncio.get_running_loop(), options)
        self.session = session
        self.facts: dict[str, Detail] = {}
        self.busy = False
        self.explained = False
        self.sessions = 0
        self._idle = idle
        self._after_failures = login_after_failures
        self._attempts = 0
        self._refusals = 0
        self._prompt: _Prompt | None = None
        self._closing_words = False

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> Awaitable[None] | bool:
        """Take the packets that are an attacker's actions; leave the rest to asyncssh."""
        if pkttype == MSG_KEXINIT:
            self._note_algorithms(SSHPacket(packet.get_full_payload()))
        elif pkttype == MSG_USERAUTH_REQUEST:
            return self.slow(self._login(packet))
        elif pkttype == MSG_GLOBAL_REQUEST:
            return self.slow(self._global_request(packet))
        elif pkttype == MSG_CHANNEL_OPEN:
            kind = SSHPacket(packet.get_remaining_payload()).get_string()
            if kind != b"session":
                return self.slow(self._refuse_channel(packet))
        result: Awaitable[None] | bool = super().process_packet(pkttype, pktid, packet)
        return result

    async def slow(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work`; meanwhile no further packet is read. Its failure closes the connection without a word."""
        self.busy = True
        try:
            await work
        except asyncssh.DisconnectError:
            raise
        except PacketDecodeError as error:
            raise asyncssh.ProtocolError(str(error)) from None
        except Exception as error:  # noqa: BLE001 - it ends this connection, and no other
            self.session.report(error)
            self.abort()
        finally:
            self.busy = False
            self._idle()

    async def pass_on(self, result: Awaitable[None] | bool) -> None:
        """Wait for what asyncssh makes of a packet."""
        if inspect.isawaitable(result):
            await result

    def open_session(self) -> tuple[DecoyChannel, FakeSession] | None:
        """A channel and its fake session; None where the connection has as many as it may."""
        if self.sessions >= self.session.limits["sensor.ssh_channels"]:
            return None
        self.sessions += 1
        fake = FakeSession(self)
        return DecoyChannel(self, fake), fake

    def ended(self, exc: Exception | None) -> None:
        """The connection is gone: keep what it came to where nothing else tells of it."""
        waiting, self._prompt = self._prompt, None
        details: dict[str, Detail] = dict(self.facts)
        if waiting is not None:
            kind = "login_attempt"
            details |= {"method": b"keyboard-interactive", "username": waiting.username, "answered": False}
        elif self._attempts or self.explained:
            return
        else:
            kind = "handshake"
            if exc is not None:
                details["error"] = f"{type(exc).__name__}: {exc}".encode("utf-8", "backslashreplace")
            if not details:
                return  # opened, never spoken on, closed: its `connection` says that
        self.session.spawn(self._keep(kind, details))

    async def answered(self, username: bytes, packet: SSHPacket) -> None:
        """The answer to our one prompt."""
        self._prompt = None
        answers = [packet.get_string() for _ in range(min(packet.get_uint32(), 8))]
        details: dict[str, Detail] = {"method": b"keyboard-interactive", "username": username, "answered": True}
        if len(answers) == 1:
            details["password"] = answers[0]
        else:
            details["answers"] = answers
        await self._decide(username, answers[0] if len(answers) == 1 else b"", details)

    def _send_disconnect(self, code: int, reason: str, lang: str) -> None:
        # What asyncssh says when a client breaks the protocol would leave before the interaction is on disk.
        if self._closing_words:
            super()._send_disconnect(code, reason, lang)

    async def _keep(self, kind: str, details: dict[str, Detail]) -> None:
        await self.session.record(kind, details)

    def _note_algorithms(self, packet: SSHPacket) -> None:
        """The client's HASSH (https://github.com/salesforce/hassh): the MD5 of the algorithms that it offers."""
        packet.get_bytes(1 + 16)
        kex, _host, encryption, _, mac, _, compression = (packet.get_string() for _ in range(7))
        offered = b";".join((kex, encryption, mac, compression))
        self.facts.setdefault("hassh", hashlib.md5(offered, usedforsecurity=False).hexdigest())

    async def _login(self, packet: SSHPacket) -> None:
        if self._auth_complete:
            return
        username, service, method = packet.get_string(), packet.get_string(), packet.get_string()
        if service != b"ssh-connection":
            raise asyncssh.ServiceNotAvailable("Unexpected service in auth request")
        if self._prompt is not None:
            unanswered, self._prompt, self._auth = self._prompt, None, None
            await self._attempt({"method": b"keyboard-interactive", "username": unanswered.username, "answered": False})
        details: dict[str, Detail] = {"method": method, "username": username}
        if method == b"password":
            change = packet.get_boolean()
            details["password"] = password = packet.get_string()
            if change:
                details["new_password"] = packet.get_string()
            await self._decide(username, password, details)
        elif method == b"keyboard-interactive":
            self._prompt = self._auth = _Prompt(self, username)
            prompts = UInt32(1) + String("Password: ") + Boolean(False)
            self.send_packet(MSG_USERAUTH_INFO_REQUEST, String(""), String(""), String(""), prompts)
        else:
            if method == b"publickey":
                details |= _offered_key(packet)
            await self._attempt(details)
            self._refuse_login(counts=method != b"none")

    async def _decide(self, username: bytes, password: bytes, details: dict[str, Detail]) -> None:
        self._attempts += 1
        login = Login((username, password) in WEAK_PASSWORDS, self._after_failures)
        recorded = await self.session.record("login_attempt", {**self.facts, **details}, login=login)
        if recorded.accepted:
            self.facts["username"] = username
            self._auth = None
            await self.send_userauth_success()
        else:
            self._refuse_login(counts=True)

    async def _attempt(self, details: dict[str, Detail]) -> None:
        self._attempts += 1
        await self.session.record("login_attempt", {**self.facts, **details, "accepted": False})

    def _refuse_login(self, *, counts: bool) -> None:
        self._auth = None
        self.send_packet(MSG_USERAUTH_FAILURE, NameList(METHODS), Boolean(False))
        self._refusals += counts
        if self._refusals >= self.session.limits["sensor.ssh_attempts_per_connection"]:
            self._closing_words = True
            self.disconnect(NO_MORE_AUTH_METHODS, "Too many authentication failures")

    async def _global_request(self, packet: SSHPacket) -> None:
        request, wants_reply = packet.get_string(), packet.get_boolean()
        if request in FORWARDING_REQUESTS:
            details: dict[str, Detail] = {"request": request, "host": packet.get_string()}
            if request.endswith(b"tcpip-forward"):
                details["port"] = packet.get_uint32()
            await self.session.record("forwarding", details)
        if wants_reply:
            self.send_packet(MSG_REQUEST_FAILURE)

    async def _refuse_channel(self, packet: SSHPacket) -> None:
        kind, channel = packet.get_string(), packet.get_uint32()
        packet.get_bytes(8)  # window and packet size
        details: dict[str, Detail] = {"request": kind}
        if kind == b"direct-tcpip":
            details |= {"host": packet.get_string(), "port": packet.get_uint32()}
            details |= {"originator_host": packet.get_string(), "originator_port": packet.get_uint32()}
        else:
            details["raw"] = packet.get_remaining_payload()
        await self.session.record("forwarding", details)
        self.send_channel_open_failure(channel, OPEN_PROHIBITED, "open failed", "")


def _offered_key(packet: SSHPacket) -> dict[str, Detail]:
    signed, algorithm, blob = packet.get_boolean(), packet.get_string(), packet.get_string()
    digest = base64.b64encode(hashlib.sha256(blob).digest()).rstrip(b"=").decode("ascii")
    return {
        "key_algorithm": algorithm,
        "key_fingerprint": f"SHA256:{digest}",
        "key": base64.b64encode(blob),
        "signed": signed,
    }
