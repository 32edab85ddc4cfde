"""Other engines that take KQL, each in an environment of its own and a process that answers one request a line."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
#: What each environment holds, and the program that runs in it.
REQUIREMENTS = {
    "duckdb-kql": ("duckdb-kql==1.1.2", "duckdb==2.0.0", "pytz"),
    "chdb": ("chdb==4.4.0",),
}
_ANSWER_SECONDS = 120.0


def cache_folder() -> Path:
    """Where environments and generated tables are kept: LUREWIRE_BENCH_CACHE, or a folder of the user's cache."""
    named = os.environ.get("LUREWIRE_BENCH_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "lurewire-bench"


def _environment(name: str) -> Path:
    """The interpreter of a peer's environment, which is made where it is not there; raises CalledProcessError."""
    folder = cache_folder() / "-".join([*REQUIREMENTS[name], f"py{sys.version_info.major}{sys.version_info.minor}"])
    python = folder / "bin" / "python"
    done = folder / ".installed"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *REQUIREMENTS[name]]
        subprocess.run(install, check=True)
        done.touch()
    return python


class Peer:
    """A peer's process."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.name = name
        program = HERE / f"peer_{name.replace('-', '_')}.py"
        self._command = [str(_environment(name)), str(program), *arguments]
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer: what the program says, or `error`; a process that dies or is late is started anew."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(self._process.stdout, selectors.EVENT_READ)
                line = self._process.stdout.readline() if selector.select(_ANSWER_SECONDS) else ""
        except BrokenPipeError:
            line = ""
        if not line:
            self.close()
            self._start()
            return {"error": "no answer"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def peer(name: str, *arguments: str) -> Peer | None:
    """A peer, or None with a line that says why it is left out."""
    try:
        return Peer(name, *arguments)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{name} is left out: {error}")
        return None
