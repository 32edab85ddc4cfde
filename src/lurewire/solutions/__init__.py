"""Content that ships: ARM templates that deploy here and to Azure, unchanged. Data, not code."""

from __future__ import annotations

import importlib.resources
import json
from dataclasses import dataclass
from typing import Any


class UnknownSolution(ValueError):
    """There is no solution of that name; the message lists them."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A folder of templates, in the order in which they deploy."""

    name: str
    templates: tuple[str, ...]


SOLUTIONS: tuple[Solution, ...] = (
    Solution("trapeye", ("tables", "rule")),
    Solution("lurewire", ("rule", "automation")),
    Solution("ipinsights", ("tables", "playbook", "rule")),
)


def load(name: str) -> list[tuple[str, dict[str, Any]]]:
    """The templates of a solution, each with its name. Raises `UnknownSolution`."""
    found = next((solution for solution in SOLUTIONS if solution.name == name), None)
    if found is None:
        raise UnknownSolution(f"there is no solution '{name}'; there are {', '.join(s.name for s in SOLUTIONS)}")
    folder = importlib.resources.files("lurewire.solutions") / name
    return [
        (template, json.loads((folder / f"{template}.json").read_text(encoding="utf-8")))
        for template in found.templates
    ]
