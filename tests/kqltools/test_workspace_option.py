"""`--workspace`: a running Lurewire by its state folder, and by its query API with a credential."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lurewire.supervisor import Running

BIN = Path(sys.executable).parent / "lurewire"


async def lurewire(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    command = [str(BIN), *arguments]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


async def exports(environment: dict[str, str], *arguments: str) -> dict[str, str]:
    """The environment with what a command's `export` lines add."""
    script = 'eval "$("$@")" && env -0'
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-c", script, "bash", str(BIN), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if "=" in line)


async def test_a_workspace_by_folder_and_by_url(now: Running, tmp_path: Path) -> None:
    folder = str(tmp_path / "state")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AZURE_", "LUREWIRE_"))}
    clean["LUREWIRE_FOLDER"] = folder
    full = await exports(clean, "env")
    full = await exports(full, "app", "create", "reader", "--role", "Log Analytics Reader")
    good, bad = tmp_path / "good.kql", tmp_path / "bad.kql"
    good.write_text("TrapEye_Threats_CL | where TimeGenerated > ago(1d) | project source_ip", encoding="utf-8")
    bad.write_text("TrapEye_Threats_CL | where Nope == 1", encoding="utf-8")
    query = (
        "print b=true, n=long(null), r=1.5, s='x', t=datetime(2026-01-01 00:00:00.1234567), p=1d, d=dynamic({'k':1}),"
        " g=guid(6f3b3a2e-1c1d-4b7e-9f00-aabbccddeeff)"
    )
    expected = {
        "b": True, "n": None, "r": 1.5, "s": "x", "t": "2026-01-01T00:00:00.1234567Z", "p": "1.00:00:00", "d": {"k": 1},
        "g": "6f3b3a2e-1c1d-4b7e-9f00-aabbccddeeff",
    }  # fmt: skip
    for environment, target in ((clean, folder), (full, now.url)):
        code, output = await lurewire(environment, "kql", "check", str(good), "--workspace", target, "--no-builtin")
        assert (code, output) == (0, "1 query: 0 errors, 0 warnings\n")
        code, output = await lurewire(environment, "kql", "check", str(bad), "--workspace", target, "--no-builtin")
        assert (code, "SEM0100 'where' operator" in output) == (1, True), output
        code, output = await lurewire(environment, "kql", "run", query, "--workspace", target, "--format", "ndjson")
        assert (code, json.loads(output)) == (0, expected), output
        code, output = await lurewire(
            environment, "kql", "run", "print a='x', n=3 | render piechart", "--workspace", target
        )
        assert (code, "x │█" in output) == (0, True), output
        forked = "range x from 1 to 3 step 1 | fork (count) rest=(where x > 1 | project x)"
        code, output = await lurewire(environment, "kql", "run", forked, "--workspace", target, "--format", "csv")
        assert (code, output) == (0, "Count\n3\n\nx\n2\n3\n"), output
        code, output = await lurewire(environment, "kql", "run", "Nowhere", "--workspace", target)
        assert (code, "Nowhere" in output) == (1, True), output
    code, output = await lurewire(clean, "query", "print a=1 | fork (extend b=2) (count)", "--json")
    assert (code, output) == (0, '{"a": 1, "b": 2}\n{"Count": 1}\n'), output
    code, output = await lurewire(clean, "kql", "run", "print 1", "--workspace", str(tmp_path))
    assert code == 1, output
    code, output = await lurewire(clean, "kql", "run", "print 1", "--workspace", now.url)
    assert (code, "LUREWIRE_WORKSPACE_ID" in output) == (2, True), output
