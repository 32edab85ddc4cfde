from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a shell in which the manual's examples work: `lurewire up` runs, on free ports."""
    folder = tmp_path_factory.mktemp("docs") / "state"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LUREWIRE_", "AZURE_"))}
    environment = clean | {"PATH": path, "LUREWIRE_FOLDER": str(folder), "COLUMNS": "120"}
    ports = [f"--set={name}=0" for name in ("server.port", "sensor.ssh_port", "sensor.http_port")]
    log = folder.with_name("up.log")
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            ["lurewire", "up", *ports], env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
    assert process.stdout is not None
    first = process.stdout.readline()
    try:
        assert first.startswith("Lurewire is up: https://"), f"{first}{log.read_text()}"
        yield environment
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0, log.read_text()
