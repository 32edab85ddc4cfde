"""azure-monitor-query of version 1, which azure-cli pins, run in the clients' environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.clients.conftest import Install

pytestmark = pytest.mark.cli

SCRIPT = Path(__file__).parent / "scripts" / "query_1.py"


def test_its_quickstart(install: Install) -> None:
    done = install.python(str(SCRIPT))
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["row"] == [1]
    assert seen["statistics"] is True
    assert seen["batch"] == ["LogsQueryStatus.SUCCESS", "LogsQueryStatus.FAILURE"]
