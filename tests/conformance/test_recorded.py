"""Every recorded core case passes, or is listed with a reason; a listed one that passes is to be taken off the list."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType


def load_runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("conformance_runner", Path(__file__).parent / "runner.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["conformance_runner"] = module
    spec.loader.exec_module(module)
    return module


runner: Any = load_runner()


@pytest.fixture(scope="module")
def outcomes() -> list[Any]:
    folder = runner.truth()
    if folder is None:
        pytest.skip("conformance: NOT RUN")
    found: list[Any] = runner.judge_all(runner.load_cases(folder / runner.CASES), folder)
    return found


def test_failures_are_known(outcomes: list[Any]) -> None:
    known = runner.known_failures()
    unexpected = {
        one.id: one.reason for one in outcomes if one.group == "core" and not one.passed and one.id not in known
    }
    assert unexpected == {}


def test_known_failures_still_fail(outcomes: list[Any]) -> None:
    passed = {one.id for one in outcomes if one.passed}
    assert passed.intersection(runner.known_failures()) == set()


def test_known_failures_are_cases_with_reasons(outcomes: list[Any]) -> None:
    known = runner.known_failures()
    assert set(known) <= {one.id for one in outcomes}
    assert all(reason.strip() for reason in known.values())


def test_the_minimum_is_met(outcomes: list[Any]) -> None:
    core = [one for one in outcomes if one.group == "core"]
    assert 100 * sum(one.passed for one in core) / len(core) >= runner.minimum()
