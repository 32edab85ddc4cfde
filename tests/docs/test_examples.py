"""Code blocks of the README and the manual, run as a reader would: `bash`, `python` and `toml`, in the page's order.

Variables that a `bash` block exports are there in the blocks after it. `console` blocks show a terminal and are not run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from sybil import Example, Sybil
from sybil.parsers.myst import CodeBlockParser

from lurewire.settings import load

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = ("bash", "python", "toml")
# README shows in `console` what `bash` blocks of the manual run; its Python block needs the same variables.
PREPARE = """
eval "$(lurewire env)"
eval "$(lurewire app create readme --role 'Log Analytics Reader')"
"""


def run(example: Example, command: Sequence[str]) -> str:
    done = subprocess.run(
        command, env=example.namespace["shell"], capture_output=True, text=True, timeout=120, check=False
    )
    where = f"{example.path}, line {example.line}"
    assert done.returncode == 0, f"{where}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def bash(example: Example) -> None:
    ending = "\nprintf '\\0'; env -0"
    output = run(example, ["bash", "-euo", "pipefail", "-c", example.parsed + ending])
    _, *variables = output.split("\0")
    example.namespace["shell"] = dict(v.split("=", 1) for v in variables if v)


def python(example: Example) -> None:
    run(example, [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", example.parsed])


def toml(example: Example) -> None:
    folder: Path = example.namespace["folder"]
    (folder / "lurewire.toml").write_text(example.parsed, encoding="utf-8")
    load(folder, {})


SYBIL = Sybil(
    [
        CodeBlockParser("bash", bash),
        CodeBlockParser("python", python),
        CodeBlockParser("toml", toml),
    ],
    path=str(ROOT),
    pattern="*.md",
)


def examples(page: Path) -> list[Example]:
    return list(SYBIL.parse(page).examples())


WITH_EXAMPLES = [page for page in PAGES if any(f"```{language}" in page.read_text("utf-8") for language in LANGUAGES)]


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_work(page: Path, shell: dict[str, str], tmp_path: Path) -> None:
    found = examples(page)
    assert found
    namespace = found[0].namespace
    namespace.update(shell=shell, folder=tmp_path)
    if page.name == "README.md":
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", PREPARE + "env -0"],
            env=shell,
            capture_output=True,
            text=True,
            check=True,
        )
        namespace["shell"] = dict(v.split("=", 1) for v in done.stdout.split("\0") if v)
    for example in found:
        example.evaluate()


def rows(shell: dict[str, str], query: str) -> list[dict[str, object]]:
    done = subprocess.run(["lurewire", "query", "--json", query], env=shell, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_the_quick_start_says_of_ones_own_touch_is_true(shell: dict[str, str]) -> None:
    port = json.loads((Path(shell["LUREWIRE_FOLDER"]) / "runtime.json").read_bytes())["http_port"]
    requests.post(f"http://127.0.0.1:{port}/login", {"username": "admin", "password": "letmein"}, timeout=30)
    enrichment: list[dict[str, object]] = []
    for _ in range(60):
        enrichment = rows(shell, "IPInsights_CL | project ip_s, threat_score_d")
        if enrichment:
            break
        time.sleep(0.5)
    assert enrichment == [{"ip_s": "127.0.0.1", "threat_score_d": 0.0}]
    (threat,) = rows(shell, "TrapEye_Threats_CL | project source_ip, threat_uuid")
    assert threat["source_ip"] == "127.0.0.1"
    kinds = rows(shell, "TrapEye_Interactions_CL | summarize count() by source_ip, interaction_type")
    assert {"login_attempt", "connection"} >= {str(row["interaction_type"]) for row in kinds} >= {"login_attempt"}
    (severity,) = {str(row["Severity"]) for row in rows(shell, "SecurityIncident | project Severity")}
    assert severity != "High"
