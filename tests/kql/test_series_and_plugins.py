"""What Microsoft's pages say of series and plug-ins without printing it, and hostile sizes: an answer or an error, soon."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lurewire.kql import KqlError, run

#: As many points as make_list() keeps.
LONG = 1_048_576
DIPS, SPIKES = (150, 200, 780), (300, 400, 600)


def weekly(*, trend: bool) -> list[float]:
    """The series of the page of series_decompose_anomalies: five weeks of hours with six outliers."""
    noise = random.Random(7)
    low = 5.0 if trend else 10.0
    values = []
    for hour in range(1, 24 * 7 * 5 + 1):
        level = low if hour // 24 % 7 >= 5 else 15.0
        value = 2 * noise.random() + level - (hour % 24 // 10) ** 2 + (hour / 72 if trend else 0)
        values.append(value - 8 * (hour in DIPS) + 8 * (hour in SPIKES))
    return values


def series(query: str, values: list[float]) -> list[Any]:
    rows = run(f"T | extend y = todynamic(y) | project {query}", {"T": [{"y": json.dumps(values)}]}).rows
    return [json.loads(cell) for cell in rows[0]]


def hours(flags: list[int]) -> dict[int, int]:
    return {place: flag for place, flag in enumerate(flags, 1) if flag}


@pytest.mark.parametrize("trend", [False, True])
def test_the_week_is_found(trend: bool) -> None:
    periods, scores = series("(p, s) = series_periods_detect(y, 4, 420, 1)", weekly(trend=trend))
    assert periods == [168.0]
    # What does not repeat takes from the score; a decomposition takes the trend away first.
    assert scores[0] > (0.5 if trend else 0.6)


def test_outliers_in_a_weekly_series_are_found() -> None:
    flags, scores, baseline = series("(f, s, b) = series_decompose_anomalies(y)", weekly(trend=False))
    expected = dict.fromkeys(DIPS, -1) | dict.fromkeys(SPIKES, 1)
    assert expected.items() <= hours(flags).items()
    assert all(abs(scores[hour - 1]) > 1.5 for hour in expected)
    assert baseline[:168] == baseline[168:336]


def test_a_trend_hides_outliers_unless_it_is_taken_out() -> None:
    values = weekly(trend=True)
    expected = dict.fromkeys(DIPS, -1) | dict.fromkeys(SPIKES, 1)
    flags = [
        series(f"(f, s, b) = series_decompose_anomalies(y{rest})", values)[0]
        for rest in ("", ", 1.5, -1, 'linefit'", ", 2.5, -1, 'linefit'")
    ]
    assert not expected.items() <= hours(flags[0]).items()
    assert expected.items() < hours(flags[1]).items()
    assert expected.items() <= hours(flags[2]).items()
    assert len(hours(flags[2])) < len(hours(flags[1]))


def test_a_forecast_goes_on_with_season_and_trend() -> None:
    values = weekly(trend=True)
    forecast = series("series_decompose_forecast(y, 168, -1, 'linefit')", values)[0]
    assert len(forecast) == len(values)
    # The last week holds one dip, of 8, which no forecast knows.
    misses = sorted(abs(one - two) for one, two in zip(forecast[-168:], values[-168:], strict=True))
    assert misses[-2] < 4


FUNCTIONS = (
    "series_periods_detect(y, 4, 50, 3)", "series_periods_validate(y, 4, 6)", "series_seasonal(y)", "series_seasonal(y, 3, 2)",
    "series_outliers(y)", "series_decompose(y, -1, 'linefit')", "series_decompose_anomalies(y, 1.5, 2)",
    "series_fit_2lines_dynamic(y)", "series_fit_poly(y, y, 2)", "series_fft(y)", "series_ifft(y, y)",
    "series_fir(y, dynamic([1, 2, 1]), true, true)", "series_iir(y, dynamic([1]), dynamic([1, -1]))",
    "series_cosine_similarity(y, y)", "series_dot_product(y, y)",
)  # fmt: skip
ELEMENTS = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=3),
    st.integers(-(2**63), 2**64),
    st.floats(allow_nan=False, allow_infinity=False),
)


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.lists(ELEMENTS, max_size=30), st.lists(st.floats(-1e6, 1e6), max_size=60), ELEMENTS))
def test_any_dynamic_value_is_answered(value: Any) -> None:
    rows = run(
        f"T | extend y = todynamic(y) | project {', '.join(f'a{place} = {text}' for place, text in enumerate(FUNCTIONS))}",
        {"T": [{"y": json.dumps(value)}]},
    ).rows
    assert len(rows) == 1


@pytest.mark.parametrize(
    "function",
    [
        "series_decompose_anomalies(y, 1.5, -1, 'linefit')",
        "series_fit_2lines_dynamic(y)",
        "series_fft(y)",
    ],
)
def test_a_series_of_full_length(function: str) -> None:
    query = (
        f"range x from 1 to {LONG} step 1 | summarize y = make_list(x % 1000 + x % 7) | project isnotnull({function})"
    )
    assert run(query).rows == [(True,)]


@pytest.mark.parametrize(
    "function",
    [
        "series_fir(y, y)",
        "series_iir(y, dynamic([1]), y)",
        "series_fit_poly(y, y, 30)",
        "series_periods_detect(y, 4, 8, 100000000)",
    ],
)
def test_what_would_take_too_long_is_refused(function: str) -> None:
    query = f"range x from 1 to {LONG} step 1 | summarize y = make_list(x) | project isnotnull({function})"
    with pytest.raises(KqlError):
        run(query)


def test_sequences_that_multiply_are_refused() -> None:
    query = """
        range x from 1 to 3000 step 1 | extend T = datetime(2020-01-01) + x * 1s, s = x % 2
        | evaluate sequence_detect(T, 1d, 1d, a = s == 0, b = s == 1, c = s == 0)
    """
    with pytest.raises(KqlError, match="sequence_detect"):
        run(query)


def test_too_many_patterns_are_refused() -> None:
    columns = ", ".join(f"c{place} = hash(x + {place * 7919}) % 2" for place in range(20))
    with pytest.raises(KqlError, match="too many patterns"):
        run(f"range x from 1 to 5000 step 1 | project {columns} | evaluate basket(0.015, '~', 20)")


def test_patterns_of_many_distinct_rows_are_found() -> None:
    rows = run(
        "range x from 1 to 100000 step 1 | extend id = tostring(x), kind = x % 4, half = x % 2 | evaluate basket(0.2)"
    ).rows
    assert {(row[1], row[-2], row[-1]) for row in rows} == {
        (50_000, None, 0), (50_000, None, 1), (25_000, 0, 0), (25_000, 1, 1), (25_000, 2, 0), (25_000, 3, 1)
    }  # fmt: skip
