"""The engine's answers against those of an evaluator that takes rows one at a time (`evaluator/`).

Our own rules and random queries run here; LUREWIRE_FUZZ sets how many random ones. LUREWIRE_CORPUS names a folder of public
rules, which run then as well: at least 200 must come out the same, and none may differ.
"""

from __future__ import annotations

import os
import re
import zlib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.kql.evaluator.generate import database
from tests.kql.evaluator.judge import NOW, Engine, Judgement, judge
from tests.kql.evaluator.model import Relation
from tests.kql.evaluator.pipelines import pipelines
from tests.kql.evaluator.rule_files import queries
from tests.kql.evaluator.strategies import COLUMNS, expressions, relations
from tests.kql.evaluator.values import Refused

from lurewire.kql import Column, KqlType
from lurewire.schemas import known_names, known_schema, with_standard_columns

INPUTS = int(os.environ.get("LUREWIRE_FUZZ", "2000"))
#: The same queries every time, unless a number of them is asked for.
RANDOM = settings(
    max_examples=max(INPUTS // 20, 20),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize="LUREWIRE_FUZZ" not in os.environ,
    database=None,
)
#: Seeds of the rows for our own rules.
SEEDS = range(10)

_PARTS = re.split(
    r"^// rule: (.+)$", (Path(__file__).parent / "rules" / "rules.kql").read_text(encoding="utf-8"), flags=re.MULTILINE
)
RULES = dict(zip(_PARTS[1::2], _PARTS[2::2], strict=True))


@cache
def known_tables() -> dict[str, tuple[Column, ...]]:
    return {name: with_standard_columns(known_schema(name) or ()) for name in known_names()}


def judged(text: str, tables: dict[str, Relation]) -> Judgement:
    engine = Engine(tables)
    try:
        return judge(text, tables, engine)
    finally:
        engine.close()


@pytest.mark.parametrize("name", RULES)
def test_own_rules(name: str) -> None:
    rows = 0
    for seed in SEEDS:
        found = judged(RULES[name], database(RULES[name], known_tables(), NOW, seed))
        assert found.outcome in ("agreed", "open"), f"seed {seed}: {found.why}"
        rows += found.rows
        if rows and seed >= 2:
            return
    assert rows, "no row of any seed matches the rule"


@pytest.mark.skipif("LUREWIRE_CORPUS" not in os.environ, reason="LUREWIRE_CORPUS names no folder of public rules")
@pytest.mark.timeout(3600)
def test_public_rules() -> None:
    outcomes: Counter[str] = Counter()
    different, filled = [], 0
    for name, text in queries(Path(os.environ["LUREWIRE_CORPUS"])):
        try:
            tables = database(text, known_tables(), NOW, zlib.crc32(text.encode()))
        except Refused:
            outcomes["unread"] += 1
            continue
        found = judged(text, tables)
        outcomes[found.outcome] += 1
        filled += found.outcome == "agreed" and found.rows > 0
        if found.outcome == "disagreed":
            different.append(f"{name}\n  {found.why}")
    print(f"{dict(outcomes)}; {filled} of those that agreed gave rows")  # noqa: T201 - the figure is what this is run for
    assert not different, "\n".join(different)
    assert filled >= 200


#: What the tables of a test hold, and what is asked of them: several questions over one database, which is dear to make.
EXPRESSIONS = st.lists(
    st.sampled_from(list(KqlType)).flatmap(lambda kind: expressions(COLUMNS, kind, 2)), min_size=4, max_size=8
)


@RANDOM
@given(relations(), EXPRESSIONS)
def test_random_expressions(table: Relation, texts: list[str]) -> None:
    tables = {"T": table}
    engine = Engine(tables)
    for text in texts:
        found = judge(f"T | project v = {text}", tables, engine)
        assert found.outcome in ("agreed", "refused", "open"), f"{text}\n  {found.why}"
    engine.close()


@RANDOM
@given(relations(), relations(), st.lists(pipelines(), min_size=2, max_size=5))
def test_random_pipelines(one: Relation, other: Relation, texts: list[str]) -> None:
    tables = {"T": one, "U": other}
    engine = Engine(tables)
    for text in texts:
        found = judge(text, tables, engine)
        assert found.outcome != "disagreed", f"{text}\n  {found.why}"
    engine.close()


def test_the_evaluator_knows_what_rules_use() -> None:
    from tests.kql.evaluator.aggregates import AGGREGATES
    from tests.kql.evaluator.calls import SUPPORTED

    assert len(SUPPORTED | AGGREGATES) >= 200


def test_a_wrong_answer_is_noticed() -> None:
    """The comparison itself: another order, another value, another name are all told apart."""
    table = Relation(["x"], [KqlType.LONG], [(1,), (2,), (2,)])
    engine = Engine({"T": table})
    more = {"T": table.with_rows([*table.rows, (3,)])}
    assert judge("T | sort by x asc", {"T": table}, engine).outcome == "agreed"
    assert judge("T", more, engine).outcome == "disagreed"
    assert judge("T | summarize sum(x)", more, engine).outcome == "disagreed"
    assert judge("T | top 1 by x", more, engine).outcome == "disagreed"
    assert judge("T | summarize make_set(x)", more, engine).outcome == "disagreed"
    assert judge("T | take 1", {"T": table}, engine).outcome in ("agreed", "open")
    engine.close()
