"""What must hold for any text and any value."""

from __future__ import annotations

import contextlib
import json
import math
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lurewire.expressions import WORKFLOW, ExpressionError, FunctionTable, Syntax, check, evaluate
from lurewire.expressions.functions.strings import characters, units
from lurewire.expressions.moments import MAX_TICKS, Moment
from lurewire.expressions.values import compare, equal, float_text, text


class _Now:
    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC)


TABLE = FunctionTable(WORKFLOW)

_pieces = st.sampled_from(
    [
        "@", "@{", "}", "(", ")", "[", "]", "?", ".", ",", "'", "''", " ", "\n", "concat", "json", "if", "add", "null",
        "true", "1", "-2.5", "1e3", "'{\"a\":[1,{\"B\":2}]}'", "'a'", "'B'", "'x", "length", "item", "\x00", "🔍", "\ud800",
    ]
)  # fmt: skip
_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(_pieces, max_size=25).map("".join) | st.text(max_size=60))
@settings(max_examples=1500, deadline=None)
def test_any_text_evaluates_or_is_refused_with_a_place(source: str) -> None:
    for syntax, document in ((Syntax.WORKFLOW, source), (Syntax.ARM, f"[{source}]")):
        refused: ExpressionError | None = None
        try:
            evaluate(document, TABLE, _Now(), syntax, "/w")
        except ExpressionError as error:
            refused = error
        if refused is None:
            assert not list(check(document, TABLE, syntax))
        else:
            assert refused.where == "/w"
            assert 0 <= refused.position <= len(document)


@given(_json)
@settings(deadline=None)
def test_a_value_without_expressions_is_itself(value: Any) -> None:
    escaped = json.loads(json.dumps(value).replace("@", "_"))
    assert evaluate(escaped, TABLE, _Now(), Syntax.WORKFLOW) == escaped


@given(st.text(max_size=40))
def test_quoting_and_escaping_bring_any_text_back(value: str) -> None:
    literal = "'" + value.replace("'", "''") + "'"
    assert evaluate(f"@{literal}", TABLE, _Now(), Syntax.WORKFLOW) == value
    assert evaluate(f"<@{{{literal}}}>", TABLE, _Now(), Syntax.WORKFLOW) == f"<{value}>"
    assert evaluate(f"@@{value}", TABLE, _Now(), Syntax.WORKFLOW) == f"@{value}"
    assert evaluate(f"[{literal}]", TABLE, _Now(), Syntax.ARM) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_float_reads_back(value: float) -> None:
    written = float_text(value)
    assert float(written) == value
    assert math.copysign(1, float(written)) == math.copysign(1, value)


@given(_json, _json)
def test_equality_is_reflexive_and_symmetric(left: Any, right: Any) -> None:
    assert equal(left, left)
    assert equal(left, right) == equal(right, left)


@given(st.text(), st.text())
def test_order_of_text_is_by_utf16(left: str, right: str) -> None:
    assert compare(left, right) == -compare(right, left)
    assert (compare(left, right) == 0) == (left == right)


@given(st.text())
def test_utf16_units(value: str) -> None:
    assert characters(units(value)) == value
    assert len(units(value)) == len(value.encode("utf-16-le")) // 2


@given(_json)
def test_text_of_an_object_is_json(value: Any) -> None:
    if isinstance(value, list | dict):
        assert json.loads(text(value)) == value


@given(st.integers(0, MAX_TICKS))
def test_moments_round_trip(ticks: int) -> None:
    moment = Moment(ticks, utc=True)
    assert Moment.parse(moment.format()) == moment


@given(st.text(alphabet="dfFghHKmMstyz:/'\"\\% -", max_size=12))
def test_any_format_string_is_used_or_refused(pattern: str) -> None:
    with contextlib.suppress(ValueError):
        Moment(638_000_000_000_000_000, utc=True).format(pattern)
