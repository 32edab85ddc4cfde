"""The scan operator against its documented logic, written down once more as a loop over rows.

Source: https://learn.microsoft.com/kusto/query/scan-operator#matching-logic.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest

from lurewire.kql import run

Row = dict[str, Any]
#: A step's last match as the state has it: the row and what the step assigned.
State = list[Row | None]


@dataclass(frozen=True)
class Step:
    """A step as KQL, and as functions of the row and the state."""

    kql: str
    output: str
    condition: Any
    value: Any


def _of(state: State | None, step: int, column: str) -> Any:
    """A column of a step in a state: null, or the default 0 of the declared one, where there is none."""
    row = state[step] if state is not None and step < len(state) else None
    return (0 if column == "t" else None) if row is None else row[column]


STEPS = {
    "plain": [
        Step("s0: e == 0 => t = v", "all", lambda r, _: r["e"] == 0, lambda r, _: r["v"]),
        Step(
            "s1: e == 1 and v - s0.v <= 6 => t = s0.t + s1.t + v",
            "all",
            lambda r, s: r["e"] == 1 and _of(s, 0, "v") is not None and r["v"] - _of(s, 0, "v") <= 6,
            lambda r, s: _of(s, 0, "t") + _of(s, 1, "t") + r["v"],
        ),
        Step(
            "s2: e == 2 and v - s1.v <= 4",
            "all",
            lambda r, s: r["e"] == 2 and _of(s, 1, "v") is not None and r["v"] - _of(s, 1, "v") <= 4,
            None,
        ),
    ],
    "sessions": [
        Step(
            "s0: true => t = iff(s0.t == 0, v, s0.t)",
            "all",
            lambda _, __: True,
            lambda r, s: r["v"] if _of(s, 0, "t") == 0 else _of(s, 0, "t"),
        ),
        Step("s1: v - s0.t > 5", "none", lambda r, s: _of(s, 0, "v") is not None and r["v"] - _of(s, 0, "t") > 5, None),
    ],
    "last": [
        Step("s0: e <= 1 => t = s0.t + 1", "last", lambda r, _: r["e"] <= 1, lambda _, s: _of(s, 0, "t") + 1),
        Step("s1: e == 1 or e == 2 => t = s0.t", "last", lambda r, _: r["e"] in (1, 2), lambda _, s: _of(s, 0, "t")),
        Step("s2: e == 3 and s1.e == 2", "all", lambda r, s: r["e"] == 3 and _of(s, 1, "e") == 2, None),
    ],
}


def expected(steps: list[Step], rows: list[Row]) -> list[tuple[Any, ...]]:
    states: list[State | None] = [None] * len(steps)
    numbers: list[int | None] = [None] * len(steps)
    held: list[tuple[Any, ...] | None] = [None] * len(steps)
    out: list[tuple[Any, ...]] = []
    begun = 0
    for row in rows:
        ended: list[tuple[Any, ...]] = []
        now: list[tuple[Any, ...]] = []
        for place in range(len(steps) - 1, -1, -1):
            step = steps[place]
            before = states[place - 1] if place else None
            if before is not None and step.condition(row, before):
                # Check 1: the sequence of the step before goes on here.
                for one in (place, place - 1):
                    if held[one] is not None:
                        ended.append(held[one])  # type: ignore[arg-type]
                        held[one] = None
                states[place], numbers[place] = [*before, None], numbers[place - 1]
                states[place - 1] = numbers[place - 1] = None
            elif (states[place] is not None or place == 0) and step.condition(row, states[place]):
                # Check 2.
                if states[place] is None:
                    states[place], numbers[place] = [None], begun
                    begun += 1
            else:
                continue
            state = states[place]
            assert state is not None
            value = 0 if step.value is None else step.value(row, state)
            state[place] = {**row, "t": value}
            record = (row["v"], row["e"], value, numbers[place])
            if step.output == "all":
                now.append(record)
            elif step.output == "last":
                held[place] = record
        out += [*ended, *now]
    return out + sorted(record for record in held if record is not None)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("size", [1, 7, 64, 65, 200])
def test_as_documented(name: str, size: int) -> None:
    chance = random.Random(size)
    rows = [{"v": place + 1, "e": chance.randrange(4)} for place in range(size)]
    steps = STEPS[name]
    written = " ".join(f"step {step.kql.replace(':', f' output={step.output}:', 1)};" for step in steps)
    query = f"T | sort by v asc | scan with_match_id=m declare (t:long=0) with ({written})"
    assert run(query, {"T": rows}).rows == expected(steps, rows)


def test_partitions_are_scanned_apart() -> None:
    chance = random.Random(1)
    rows = [{"v": place + 1, "e": chance.randrange(4), "k": chance.randrange(5)} for place in range(150)]
    steps = STEPS["plain"]
    written = " ".join(f"step {step.kql};" for step in steps)
    scan = f"scan with_match_id=m declare (t:long=0) with ({written}) | project k, v, e, t, m"
    apart = {k: expected(steps, [row for row in rows if row["k"] == k]) for k in range(5)}
    wanted = sorted((k, *record) for k, records in apart.items() for record in records)
    of_its_own = scan.replace(" declare", " order by v asc partition by k declare", 1)
    own = run(f"T | {of_its_own}", {"T": rows})
    assert sorted(own.rows) == wanted
    nested = run(f"T | partition hint.strategy=native by k (sort by v asc | {scan})", {"T": rows})
    assert sorted(nested.rows) == wanted
