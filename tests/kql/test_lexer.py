from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurewire.kql.errors import Problem, locate
from lurewire.kql.lexer import tokenize
from lurewire.kql.literals import string_value

PIECES = [
    "T", "['a b']", "where", "x1", "$left", "==", "!=", "=~", "!~", "<>", "..", "in~", "!in~", "!has_cs", "(", ")", "[", "]", "|", ";",
    "1", "0x1F", "1.5", "1e5", "2h", "1.5d", "10microseconds", "'s'", '"a\\"b"', '@"c:\\"""', "h'x'", "```a\nb```", "// c\n",
    "datetime(2026-01-01 10:00:00.1234567)", "guid(6f3b3a2e-1c1d-4b7e-9f00-aabbccddeeff)", "timespan(1.00:00:00)", "real(-inf)", "bool(null)",
]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from([" ", "\n", "\t", "  // note\n"]))))
def test_tokens_and_gaps_give_the_text_back(parts: list[tuple[str, str]]) -> None:
    text = "".join(piece + gap for piece, gap in parts)
    rebuilt, at = "", 0
    for token in tokenize(text):
        assert text[token.at : token.end] == token.text
        gap = text[at : token.at]
        assert all(line.strip() == "" or line.lstrip().startswith("//") for line in gap.split("\n"))
        rebuilt += gap + token.text
        at = token.end
    assert rebuilt + text[at:] == text


@given(st.text())
def test_any_text_gives_tokens_or_a_problem(text: str) -> None:
    try:
        end = tokenize(text)[-1]
        at, complete = end.at, end.kind == "end"
    except Problem as problem:
        at, complete = problem.at, True
    assert 0 <= at <= len(text)
    assert complete


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\n")))
def test_quoted_strings_come_back(value: str) -> None:
    escaped = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    verbatim = "@'" + value.replace("'", "''") + "'"
    for literal in (escaped, "h" + escaped, verbatim):
        token, end = tokenize(literal)
        assert (token.kind, end.kind) == ("string", "end")
        assert string_value(token.text, 0) == value


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("1d", ["timespan"]),
        ("1days", ["timespan"]),
        ("10ms", ["timespan"]),
        ("1dx", ["name"]),
        ("4688", ["long"]),
        ("1..2", ["long", "punctuation", "long"]),
        ("1.5e-3", ["real"]),
        ("datetime(2026-01-01)", ["typed"]),
        ("datetime_diff('day', a, b)", ["name", "punctuation", "string", "punctuation", "name", "punctuation", "name", "punctuation"]),
        ("x in~ (1)", ["name", "punctuation", "punctuation", "long", "punctuation"]),
        ("a!in(1)", ["name", "punctuation", "punctuation", "long", "punctuation"]),
        ("(x:datetime, y:long)", ["punctuation", "name", "punctuation", "name", "punctuation", "name", "punctuation", "name", "punctuation"]),
    ],
)  # fmt: skip
def test_kinds(text: str, kinds: list[str]) -> None:
    assert [token.kind for token in tokenize(text)[:-1]] == kinds


def test_places_count_from_one_and_in_characters() -> None:
    text = "é |\r\n  😀x"
    assert locate(text, 0) == (1, 1)
    assert locate(text, text.index("x")) == (2, 4)


@pytest.mark.parametrize(
    "text",
    [
        "int(" * 100_000,
        "int(" + " " * 400_000,
        " " * 400_000,
        "`" * 400_000,
        "a" * 400_000,
        "1" * 400_000 + "x",
        "//" * 200_000,
    ],
)
def test_time_is_linear(text: str) -> None:
    started = time.perf_counter()
    with contextlib.suppress(Problem):
        tokenize(text)
    assert time.perf_counter() - started < 5
