"""Runs recorded KQL cases (query, documented answer) against the KQL room and counts.

    python tests/conformance/runner.py [--cases FILE] [--min PERCENT] [--list]

The recorded truth stays where it is (LUREWIRE_TRUTH, default ../shared/conformance): it is read, never copied. The core
are the cases that are not marked suspect and use neither geo_* nor graph features; those are counted apart. Exit code 1
below MIN percent of the core; without the truth nothing is run and the exit code is 0.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lurewire.kql import KqlError, KqlType, datetime_text, run, timespan_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

HERE = Path(__file__).parent
DEFAULT_TRUTH = HERE.parents[2] / "shared" / "conformance"
CASES = Path("kql", "docs_cases.dev.jsonl")
#: The instant that now() means: any will do, for no case depends on it.
NOW = 639_029_952_000_000_000


def truth() -> Path | None:
    """The folder of the recorded truth: the one that LUREWIRE_TRUTH names, or the default if it is there."""
    named = os.environ.get("LUREWIRE_TRUTH")
    if named:
        return Path(named)
    return DEFAULT_TRUTH if DEFAULT_TRUTH.is_dir() else None


def load_compare(folder: Path) -> Callable[..., tuple[bool, str]]:
    """The comparison that the truth's folder brings."""
    spec = importlib.util.spec_from_file_location("lurewire_truth_compare", folder / "kql" / "compare.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(folder / "kql" / "compare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    compare: Callable[..., tuple[bool, str]] = module.compare
    return compare


def load_cases(path: Path) -> list[dict[str, Any]]:
    """The cases of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def group_of(case: dict[str, Any]) -> str:
    """core, geo, graph or suspect."""
    features = case["features"]
    if any(feature.startswith(("fn:geo_", "agg:geo")) for feature in features):
        return "geo"
    if any("graph" in feature for feature in features):
        return "graph"
    return "suspect" if case["suspect"] is not None else "core"


@dataclass(frozen=True)
class Outcome:
    """What became of a case: passed, or the reason why not."""

    id: str
    group: str
    passed: bool
    reason: str


def judge(case: dict[str, Any], compare: Callable[..., tuple[bool, str]]) -> Outcome:
    """Runs one case."""
    group = group_of(case)
    try:
        result = run(case["query"], now=NOW)
    except KqlError as error:
        first = error.errors[0]
        return Outcome(case["id"], group, False, f"{first.kind}: {first.message.splitlines()[0][:160]}")
    kinds = [column.type for column in result.columns]
    rows = [[shown(kind, value) for kind, value in zip(kinds, row, strict=True)] for row in result.rows]
    passed, reason = compare(case, [column.name for column in result.columns], rows)
    return Outcome(case["id"], group, passed, "" if passed else f"answer: {reason[:300]}".replace("\n", " "))


def shown(kind: KqlType, value: Any) -> Any:
    """An engine value as the comparison takes it."""
    if value is None:
        return None
    if kind is KqlType.DATETIME:
        return datetime_text(value)
    if kind is KqlType.TIMESPAN:
        return timespan_text(value)
    if kind in (KqlType.GUID, KqlType.DECIMAL):
        return str(value)
    return value


def judge_all(cases: Iterable[dict[str, Any]], folder: Path) -> list[Outcome]:
    """Runs all cases."""
    compare = load_compare(folder)
    return [judge(case, compare) for case in cases]


def known_failures() -> dict[str, str]:
    """Case ids that are known to fail, with the reason of each."""
    lines = (HERE / "known_failures.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t", 1) for line in lines if line and not line.startswith("#"))
    return {identifier: reason for identifier, reason in pairs}  # noqa: C416 - two parts are unpacked on purpose


def minimum() -> float:
    """The percentage of the core that must pass; it only rises."""
    return float((HERE / "minimum.txt").read_text(encoding="utf-8").strip())


def say(line: str) -> None:
    """Prints one line of the runner's output."""
    sys.stdout.write(line + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Run recorded KQL cases.")
    parser.add_argument("--cases", type=Path, help="a JSON-lines file of cases (default: the shared ones)")
    parser.add_argument("--min", type=float, help="percentage of the core that must pass (default: minimum.txt)")
    parser.add_argument("--list", action="store_true", help="print the id and reason of every case that fails")
    options = parser.parse_args(arguments)
    folder = truth()
    if folder is None:
        say("conformance: NOT RUN")
        return 0
    outcomes = judge_all(load_cases(options.cases or folder / CASES), folder)
    if options.list:
        for outcome in outcomes:
            if not outcome.passed and outcome.group != "suspect":
                say(f"{outcome.id}\t{outcome.reason}")
    for group in ("geo", "graph", "core"):
        members = [outcome for outcome in outcomes if outcome.group == group]
        passed = sum(outcome.passed for outcome in members)
        percent = 100 * passed / len(members) if members else 100.0
        say(f"{group}: passed {passed} of {len(members)} ({percent:.1f}%)")
    return 0 if percent >= (minimum() if options.min is None else options.min) else 1


if __name__ == "__main__":
    sys.exit(main())
