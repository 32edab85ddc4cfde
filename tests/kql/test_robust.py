"""Whatever text comes in, a compiled query or a KqlError comes out. LUREWIRE_FUZZ sets how many inputs are tried."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lurewire.kql import (
    Column,
    Diagnostic,
    KqlError,
    KqlType,
    Table,
    Tables,
    closed_connection,
    execute,
    run,
)
from lurewire.kql import (
    compile as compile_kql,
)

INPUTS = int(os.environ.get("LUREWIRE_FUZZ", "2000"))
SLOW = settings(
    max_examples=INPUTS // 2, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

COLUMNS = (
    Column("TimeGenerated", KqlType.DATETIME),
    Column("x", KqlType.LONG),
    Column("X", KqlType.STRING),
    Column("d", KqlType.DYNAMIC),
    Column("r", KqlType.REAL),
    Column("b", KqlType.BOOL),
)
CATALOG = Tables([Table("T", COLUMNS, "t", tuple(f"c{index}" for index in range(len(COLUMNS))))])

CORPUS = [
    part.split("\n", 1)[1]
    for path in sorted((Path(__file__).parent / "fixtures").glob("*.kql"))
    for part in path.read_text(encoding="utf-8").split("// case: ")[1:]
]
WORDS = sorted(
    {word for query in CORPUS for word in query.replace("(", " ( ").replace(")", " ) ").replace(",", " , ").split()}
)


def survives(text: str) -> None:
    started = time.perf_counter()
    try:
        compile_kql(text, CATALOG)
        errors: tuple[Diagnostic, ...] | None = None
    except KqlError as error:
        errors = error.errors
    assert errors is None or errors
    assert all(item.line >= 1 and item.column >= 1 and item.message for item in errors or ())
    assert time.perf_counter() - started < 10


@SLOW
@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)))
def test_arbitrary_text(text: str) -> None:
    survives(text)


@SLOW
@given(st.data())
def test_mutated_queries(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(CORPUS))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 12))
        text = (
            text[:at]
            + data.draw(st.one_of(st.just(""), st.text(max_size=4), st.sampled_from(WORDS)))
            + text[at + length :]
        )
    survives(text)


NUMBERS = st.recursive(
    st.sampled_from(["x", "r", "1", "2.5", "-3", "d.a", "long(null)", "strlen(X)", "toint(X)", "array_length(d)"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%"]), inner).map(lambda part: f"({' '.join(part)})"),
        st.tuples(st.sampled_from(["abs", "bin", "min_of", "iff"]), inner, inner).map(
            lambda part: {"abs": f"abs({part[1]})", "bin": f"bin(toreal({part[1]}), 2)", "min_of": f"min_of(toreal({part[1]}), toreal({part[2]}))"}.get(
                part[0], f"iff(b, toreal({part[1]}), toreal({part[2]}))"
            )
        ),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=max(INPUTS // 20, 50), deadline=None)
@given(NUMBERS, st.sampled_from([">", "==", "!=", "<="]), NUMBERS)
def test_expressions_that_compile_run(left: str, comparison: str, right: str) -> None:
    connection = closed_connection()
    connection.execute("CREATE TABLE t (c0 BIGINT, c1 BIGINT, c2 VARCHAR, c3 VARCHAR, c4 DOUBLE, c5 BOOLEAN)")
    connection.execute(
        "INSERT INTO t VALUES (639029088000000000, 5, '7', '{\"a\":2}', 1.5, true), (NULL, NULL, '', NULL, NULL, NULL)"
    )
    compiled = compile_kql(
        f"T | where toreal({left}) {comparison} {right} or true | extend v = {left} | summarize count(), max(toreal(v))",
        CATALOG,
    )
    assert execute(connection, compiled, {})[0][0] == 2


@pytest.mark.parametrize(
    "text",
    [
        "print " + "(" * 10_000 + "1" + ")" * 10_000,
        "print " + "-" * 10_000 + "1",
        "print " + "abs(" * 5_000 + "1" + ")" * 5_000,
        "print " + "+".join("1" for _ in range(5_000)),
        "print d" + ".a" * 5_000,
        "print " + "[" * 5_000,
        "print dynamic(" + "[" * 5_000 + "]" * 5_000 + ")",
        "T" + "| where x == 1" * 5_000,
        "T" + "| extend x = x + 1 | where x > 1" * 400,
        ";".join(["let a0 = r + 1.0", *(f"let a{n} = a{n - 1} + a{n - 1}" for n in range(1, 40))]) + "; print a39",
        "let a0 = x; " + "".join(f"let a{n} = 1 + a{n - 1};" for n in range(1, 30)) + "print a29",
        "T | where " + "(" * 50_000,
        "(" * 10_000 + "T" + ")" * 10_000,
    ],
    ids=lambda text: text[:30],
)
def test_deep_and_long_queries_are_errors_not_crashes(text: str) -> None:
    with pytest.raises(KqlError):
        compile_kql(text, CATALOG)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("T | summarize argmin() by b", "argmin(): wrong number of arguments"),
        ("T | extend y = d.dynamic(1)", "expected a name after '.', not a literal"),
        ("T | extend y = d.datetime(2026, 1, 1)", "expected a name after '.', not a literal"),
    ],
)
def test_what_the_fuzz_found_is_refused(text: str, message: str) -> None:
    with pytest.raises(KqlError) as refused:
        compile_kql(text, CATALOG)
    assert message in str(refused.value)


def test_doubling_lets_hit_the_limit() -> None:
    lets = ["let a0 = now()", *(f"let a{n} = iff(a{n - 1} > now(), a{n - 1}, a{n - 1})" for n in range(1, 20))]
    with pytest.raises(KqlError) as caught:
        compile_kql(";".join(lets) + "; print a19", CATALOG)
    assert caught.value.errors[0].kind == "limit"


def test_a_megabyte_of_query() -> None:
    started = time.perf_counter()
    compile_kql("T | where X in (" + ", ".join(f"'value {number}'" for number in range(50_000)) + ")", CATALOG)
    compile_kql("T | where " + " or ".join(f"x == {number}" for number in range(20_000)), CATALOG)
    with pytest.raises(KqlError) as caught:
        compile_kql("T | where X == '" + "a" * 3_000_000 + "'", CATALOG)
    assert caught.value.errors[0].kind == "limit"
    assert time.perf_counter() - started < 60


def test_long_lists_of_conditions_run() -> None:
    condition = " or ".join(f"x == {number}" for number in range(900))
    assert run(f"T | where {condition} | count", {"T": [{"x": 5}, {"x": 1000}]}).rows == [(1,)]


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(KqlError) as caught:
        compile_kql("print '\ud800'", CATALOG)
    assert caught.value.errors[0].code == "SYN0002"
