"""What the fake shell says. Nothing is executed: every answer is text of this file.

A command line is cut at `;`, `&&`, `||`, `|`, `&` and line ends; of a pipeline the first command answers. A name that
is not in `COMMANDS` is "command not found", as on a small server where little is installed.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HOST_NAME = "srv-web01"
NOT_FOUND = 127
_LONGEST_NAME = 128
_SEPARATORS = re.compile(r"(&&|\|\||[;|&\n])")

KERNEL = "Linux srv-web01 6.1.0-28-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22) x86_64 GNU/Linux"
MOTD = (
    f"{KERNEL}\n\n"
    "The programs included with the Debian GNU/Linux system are free software;\n"
    "the exact distribution terms for each program are described in the\n"
    "individual files in /usr/share/doc/*/copyright.\n\n"
    "Debian GNU/Linux comes with ABSOLUTELY NO WARRANTY, to the extent\n"
    "permitted by applicable law.\n"
)

FILES: Mapping[str, str] = {
    "/etc/passwd": (
        "root:x:0:0:root:/root:/bin/bash\n"
        "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
        "bin:x:2:2:bin:/bin:/usr/sbin/nologin\n"
        "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
        "backup:x:34:34:backup:/var/backups:/usr/sbin/nologin\n"
        "sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
        "deploy:x:1000:1000:,,,:/home/deploy:/bin/bash\n"
    ),
    "/etc/hostname": f"{HOST_NAME}\n",
    "/etc/os-release": (
        'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\n'
        'VERSION="12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n'
    ),
    "/etc/issue": "Debian GNU/Linux 12 \\n \\l\n\n",
    "/proc/version": "Linux version 6.1.0-28-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14))\n",
    "/proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) CPU E5-2680 v4\n\n",
    "/proc/meminfo": "MemTotal:        2030088 kB\nMemFree:          214620 kB\nMemAvailable:    1398764 kB\n",
    "/proc/uptime": "3628117.52 7012246.90\n",
}

DIRECTORIES: Mapping[str, str] = {
    "/": "bin  boot  dev  etc  home  lib  media  mnt  opt  proc  root  run  sbin  srv  sys  tmp  usr  var\n",
    "/root": "",
    "/home": "deploy\n",
    "/home/deploy": "releases\n",
    "/tmp": "",  # noqa: S108 - a name that is shown, not a file that is used
    "/var/www": "html\n",
    "/var/www/html": "index.html\n",
}


@dataclass(slots=True)
class Shell:
    """One attacker's shell: who and where they believe they are."""

    user: str
    directory: str = ""
    closed: bool = False

    def __post_init__(self) -> None:
        self.directory = self.home

    @property
    def home(self) -> str:
        """The user's home directory."""
        return "/root" if self.user == "root" else f"/home/{self.user}"

    @property
    def prompt(self) -> str:
        """The prompt, as bash shows it."""
        place = "~" if self.directory == self.home else self.directory
        return f"{self.user}@{HOST_NAME}:{place}{'#' if self.user == 'root' else '$'} "


@dataclass(frozen=True, slots=True)
class Output:
    """What a command line printed, and its exit status."""

    stdout: str = ""
    stderr: str = ""
    status: int = 0


def run(shell: Shell, line: str) -> Output:
    """The answer to `line`."""
    stdout, stderr, status = "", "", 0
    parts = _SEPARATORS.split(line)
    for index in range(0, len(parts), 2):
        before = parts[index - 1] if index else ";"
        if before == "|" or (before == "&&" and status != 0) or (before == "||" and status == 0):
            continue
        words = _words(parts[index])
        if not words:
            continue
        output = _command(shell, words)
        stdout, stderr, status = stdout + output.stdout, stderr + output.stderr, output.status
        if shell.closed:
            break
    return Output(stdout, stderr, status)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that never closes
        return text.split()


def _command(shell: Shell, words: Sequence[str]) -> Output:
    name = words[0].rpartition("/")[2] or words[0]
    answer = COMMANDS.get(name)
    if answer is None:
        return Output(stderr=f"bash: {words[0][:_LONGEST_NAME]}: command not found\n", status=NOT_FOUND)
    return answer(shell, words[1:])


def _says(text: str) -> Callable[[Shell, Sequence[str]], Output]:
    return lambda _shell, _words: Output(text)


def _path(shell: Shell, word: str) -> str:
    if word == "~" or not word:
        return shell.home
    path = word if word.startswith("/") else f"{shell.directory.rstrip('/')}/{word}"
    kept: list[str] = []
    for step in path.split("/"):
        if step == "..":
            kept = kept[:-1]
        elif step not in ("", "."):
            kept.append(step)
    return "/" + "/".join(kept)


def _operands(words: Sequence[str]) -> list[str]:
    return [word for word in words if not word.startswith("-")]


def _cat(shell: Shell, words: Sequence[str]) -> Output:
    stdout, stderr = "", ""
    for word in _operands(words):
        path = _path(shell, word)
        if path in FILES:
            stdout += FILES[path]
        elif path in DIRECTORIES:
            stderr += f"cat: {word[:_LONGEST_NAME]}: Is a directory\n"
        elif path == "/etc/shadow" and shell.user != "root":
            stderr += f"cat: {word}: Permission denied\n"
        else:
            stderr += f"cat: {word[:_LONGEST_NAME]}: No such file or directory\n"
    return Output(stdout, stderr, 1 if stderr else 0)


def _cd(shell: Shell, words: Sequence[str]) -> Output:
    path = _path(shell, words[0] if words else "")
    if path not in DIRECTORIES and path != shell.home:
        return Output(stderr=f"bash: cd: {words[0][:_LONGEST_NAME]}: No such file or directory\n", status=1)
    shell.directory = path
    return Output()


def _ls(shell: Shell, words: Sequence[str]) -> Output:
    stdout, stderr = "", ""
    for word in _operands(words) or [shell.directory]:
        path = _path(shell, word)
        if path in DIRECTORIES or path == shell.home:
            stdout += DIRECTORIES.get(path, "")
        elif path in FILES:
            stdout += f"{word}\n"
        else:
            stderr += f"ls: cannot access '{word[:_LONGEST_NAME]}': No such file or directory\n"
    return Output(stdout, stderr, 2 if stderr else 0)


def _echo(_shell: Shell, words: Sequence[str]) -> Output:
    if words[:1] == ["-n"]:
        return Output(" ".join(words[1:]))
    return Output(" ".join(words) + "\n")


def _exit(shell: Shell, words: Sequence[str]) -> Output:
    shell.closed = True
    return Output(status=int(words[0]) & 0xFF if words and words[0].isascii() and words[0][:5].isdigit() else 0)


def _id(shell: Shell, _words: Sequence[str]) -> Output:
    if shell.user == "root":
        return Output("uid=0(root) gid=0(root) groups=0(root)\n")
    return Output(f"uid=1000({shell.user}) gid=1000({shell.user}) groups=1000({shell.user})\n")


def _uname(_shell: Shell, words: Sequence[str]) -> Output:
    shown = {"-a": KERNEL, "-r": "6.1.0-28-amd64", "-m": "x86_64", "-n": HOST_NAME}
    return Output(shown.get(words[0] if words else "", "Linux") + "\n")


COMMANDS: Mapping[str, Callable[[Shell, Sequence[str]], Output]] = {
    "cat": _cat,
    "cd": _cd,
    "echo": _echo,
    "exit": _exit,
    "logout": _exit,
    "id": _id,
    "ls": _ls,
    "uname": _uname,
    "pwd": lambda shell, _words: Output(f"{shell.directory}\n"),
    "whoami": lambda shell, _words: Output(f"{shell.user}\n"),
    "hostname": _says(f"{HOST_NAME}\n"),
    "nproc": _says("2\n"),
    "uptime": _says(" 10:14:02 up 41 days, 23:48,  1 user,  load average: 0.08, 0.03, 0.01\n"),
    "w": _says(
        " 10:14:02 up 41 days, 23:48,  1 user,  load average: 0.08, 0.03, 0.01\n"
        "USER     TTY      FROM             LOGIN@   IDLE   JCPU   PCPU WHAT\n"
    ),
    "who": _says(""),
    "last": _says("\nwtmp begins Tue Oct  1 06:25:01 2024\n"),
    "ps": _says("    PID TTY          TIME CMD\n   2114 pts/0    00:00:00 bash\n   2120 pts/0    00:00:00 ps\n"),
    "free": _says(
        "               total        used        free      shared  buff/cache   available\n"
        "Mem:         2030088      631324      214620        1124     1184144     1398764\n"
        "Swap:              0           0           0\n"
    ),
    "df": _says(
        "Filesystem     1K-blocks    Used Available Use% Mounted on\n"
        "/dev/vda1       20509264 4213688  15228044  22% /\n"
    ),
    "lscpu": _says(
        "Architecture:            x86_64\nCPU(s):                  2\nVendor ID:               GenuineIntel\n"
    ),
    "history": _says(""),
    "export": _says(""),
    "unset": _says(""),
    "set": _says(""),
    "true": _says(""),
    "sleep": _says(""),
    "chmod": _says(""),
    "mkdir": _says(""),
    "rm": _says(""),
    "touch": _says(""),
}
"""The commands that the fake shell knows."""
