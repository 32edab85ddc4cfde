"""Every numbered rule of the manual names a test that is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "docs" / "kql" / "semantics.md").read_text(encoding="utf-8")


def test_rules_are_numbered_without_gaps_and_name_their_tests() -> None:
    rules = re.findall(r"^(\d+)\. ((?:.|\n(?!\d+\. |\n|#))+)", RULES, flags=re.MULTILINE)
    assert [int(number) for number, _ in rules] == list(range(1, len(rules) + 1))
    assert all("test_" in text or "fixtures/" in text for _, text in rules)


def test_the_tests_that_rules_name_exist() -> None:
    text = re.sub(r"\s+", " ", RULES)
    for name, case in re.findall(r"`fixtures/(\w+): ([^`]+)`", text):
        if case == "case":
            continue
        answers = json.loads((ROOT / "tests" / "kql" / "fixtures" / f"{name}.json").read_text(encoding="utf-8"))
        assert case in answers, (name, case)
    for file, test in re.findall(r"`(test_\w+\.py)(?:: (test_\w+))?`", text):
        source = (ROOT / "tests" / "kql" / file).read_text(encoding="utf-8")
        assert f"def {test}" in source, (file, test)
