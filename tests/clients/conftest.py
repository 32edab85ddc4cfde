"""A Lurewire as a person has it: started by `lurewire up`, pointed at by `lurewire env` and `lurewire app create`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[2]
CLIENTS = CHECKOUT / ".venv-clients" / "bin" / "python"
ROLES = ("Owner", "Log Analytics Reader", "Key Vault Secrets Officer")
PERMISSION = "Application.ReadWrite.All"


@dataclass(frozen=True)
class Install:
    """A running Lurewire, and the environment of a client that is its subscription's owner."""

    environment: dict[str, str]
    home: Path
    state: Path

    @property
    def url(self) -> str:
        return self.environment["LUREWIRE_URL"]

    @property
    def subscription(self) -> str:
        return self.environment["AZURE_SUBSCRIPTION_ID"]

    @property
    def group(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.environment['LUREWIRE_RESOURCE_GROUP']}"

    def identity(self, name: str, role: str) -> dict[str, str]:
        """The variables of a process that runs as a new managed identity."""
        scope = f"/subscriptions/{self.subscription}"
        return _exports([*_lurewire("identity", self.state, "create", name, "--role", role, "--scope", scope)])

    def python(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the clients' Python with the variables of this install and `more`, and none of this process's own."""
        return subprocess.run(
            [str(CLIENTS), *arguments],
            env=self.environment | more,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    if not CLIENTS.exists():
        pytest.fail(f"{CLIENTS} is not there: `make clients` makes it")
    state, home = tmp_path_factory.mktemp("state"), tmp_path_factory.mktemp("home")
    settings = ("--set", "server.port=0", "--set", "sensor.enabled=false")
    command = [*_lurewire("up", state), *settings]
    with (state / "up.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout
            assert "Lurewire is up" in process.stdout.readline(), (state / "up.log").read_text()
            environment = {"PATH": os.environ["PATH"], "HOME": str(home)} | _exports(_lurewire("env", state))
            roles = [argument for role in ROLES for argument in ("--role", role)]
            scope = f"/subscriptions/{environment['AZURE_SUBSCRIPTION_ID']}"
            create = [*_lurewire("app", state, "create", "clients"), *roles, "--scope", scope]
            create += ["--permission", PERMISSION]
            yield Install(environment | _exports(create), home, state)
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert process.returncode == 0


def _lurewire(command: str, folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-c", "from lurewire.cli import main; main()", command, *more, "--folder", str(folder)]


def _exports(command: list[str]) -> dict[str, str]:
    """The variables of a command that prints shell lines for `eval`."""
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    lines = [shlex.split(line, comments=True) for line in printed.splitlines()]
    return dict(words[1].split("=", 1) for words in lines if words[:1] == ["export"])
