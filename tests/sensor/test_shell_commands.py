from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurewire.sensor.decoys.shell_commands import COMMANDS, NOT_FOUND, Output, Shell, run
from lurewire.sensor.decoys.terminal import END_OF_INPUT, Terminal


@pytest.mark.parametrize(
    ("line", "stdout", "status"),
    [
        ("whoami", "root\n", 0),
        ("/usr/bin/whoami", "root\n", 0),
        ("cd /home && pwd", "/home\n", 0),
        ("cd /nowhere && pwd", "", 1),
        ("cd /nowhere || hostname", "srv-web01\n", 1 - 1),
        ("cd /home; cd ..; pwd; cd; pwd", "/\n/root\n", 0),
        ("uname -a | grep Linux", "Linux srv-web01", 0),
        ("echo -n a; echo b c", "ab c\n", 0),
        ("ls /home/deploy/../../etc/hostname", "/home/deploy/../../etc/hostname\n", 0),
        ("echo 'unclosed", "'unclosed\n", 0),
        ("  ;; ", "", 0),
    ],
)
def test_answers(line: str, stdout: str, status: int) -> None:
    output = run(Shell("root"), line)
    assert output.stdout.startswith(stdout)
    assert output.status == status


def test_unknown_commands_are_not_found() -> None:
    assert run(Shell("root"), "nmap -sS") == Output("", "bash: nmap: command not found\n", NOT_FOUND)


def test_exit_ends_the_line() -> None:
    shell = Shell("root")
    assert run(shell, "exit 7; whoami") == Output("", "", 7)
    assert shell.closed


def test_a_user_sees_their_own_home() -> None:
    shell = Shell("pi")
    assert shell.prompt == "pi@srv-web01:~$ "
    assert run(shell, "pwd; cat /etc/shadow") == Output("/home/pi\n", "cat: /etc/shadow: Permission denied\n", 1)


@given(st.text(max_size=200), st.sampled_from(["", *COMMANDS]))
def test_no_line_is_too_strange(line: str, name: str) -> None:
    shell = Shell("root")
    assert isinstance(run(shell, f"{name} {line}"), Output)
    assert isinstance(run(shell, line), Output)


@given(st.binary(max_size=200), st.booleans(), st.integers(1, 200))
def test_lines_are_the_same_however_they_arrive(data: bytes, echo: bool, cut: int) -> None:
    whole, parts = Terminal(50, echo=echo), Terminal(50, echo=echo)
    lines, shown = whole.feed(data)
    first, second = parts.feed(data[:cut]), parts.feed(data[cut:])
    assert (first[0] + second[0], first[1] + second[1]) == (lines, shown)
    assert parts.unfinished == whole.unfinished
    assert all(line is END_OF_INPUT or len(line) <= 50 for line in lines)


@pytest.mark.parametrize(
    ("typed", "lines", "unfinished"),
    [
        (b"a\nb\r\nc\rd", [b"a", b"b", b"c"], b"d"),
        (b"ab\x7f\x7f\x7fc\r", [b"c"], b""),
        (b"abc\x03d\r", [b"", b"d"], b""),
        (b"abc\x15d\r", [b"d"], b""),
        (b"\x04", [None], b""),
        (b"a\x04\r", [b"a"], b""),
    ],
)
def test_a_terminal_edits(typed: bytes, lines: list[bytes | None], unfinished: bytes) -> None:
    terminal = Terminal(100, echo=True)
    assert terminal.feed(typed)[0] == lines
    assert terminal.unfinished == unfinished


def test_control_characters_are_kept_and_not_echoed() -> None:
    terminal = Terminal(100, echo=True)
    assert terminal.feed(b"a\x1b]0;x\x07\r") == ([b"a\x1b]0;x\x07"], b"a]0;x\r\n")
