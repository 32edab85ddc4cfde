from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from lurewire.kql import (
    KqlError,
    closed_connection,
    datetime_from_text_sql,
    datetime_from_ticks,
    datetime_text,
    run,
    ticks_from_datetime,
    ticks_from_text,
    timespan_from_text,
    timespan_from_text_sql,
    timespan_text,
)
from lurewire.kql.ticks import MAX_DATETIME, MONTHS, UNIX_EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb

MOMENTS = st.integers(0, MAX_DATETIME)
SPANS = st.integers(-(2**62), 2**62)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    made = closed_connection()
    yield made
    made.close()


def in_sql(
    connection: duckdb.DuckDBPyConnection, convert: Callable[[exp.Expression], exp.Expression], texts: list[str]
) -> list[int | None]:
    column = exp.Column(this=exp.Identifier(this="s", quoted=False))
    query = f"SELECT {convert(column).sql(dialect='duckdb')} FROM (SELECT unnest($texts) AS s)"
    return [row[0] for row in connection.execute(query, {"texts": texts}).fetchall()]


def test_known_instants() -> None:
    assert ticks_from_text("0001-01-01") == 0
    assert ticks_from_text("1970-01-01T00:00:00Z") == UNIX_EPOCH
    assert ticks_from_text("9999-12-31 23:59:59.9999999") == MAX_DATETIME
    assert ticks_from_text("2026-01-23T19:23:22.149338689Z") == ticks_from_text("2026-01-23T19:23:22.1493386Z")
    assert datetime_text(0) == "0001-01-01T00:00:00.0000000Z"
    assert timespan_text(-(24 * 36_000_000_000 + 1)) == "-1.00:00:00.0000001"


@given(MOMENTS)
def test_datetimes_come_back(ticks: int) -> None:
    assert ticks_from_text(datetime_text(ticks)) == ticks
    assert ticks_from_text(datetime_text(ticks, trim=True)) == ticks
    assert ticks_from_datetime(datetime_from_ticks(ticks)) == ticks - ticks % 10


@given(SPANS)
def test_timespans_come_back(ticks: int) -> None:
    assert timespan_from_text(timespan_text(ticks)) == ticks


def test_zones_are_taken_into_account() -> None:
    zoned = dt.datetime(2026, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert (
        ticks_from_datetime(zoned)
        == ticks_from_text("2026-01-01T12:00:00+02:00")
        == ticks_from_text("2026-01-01 10:00Z")
    )


DIGITS = st.integers(0, 99).map(lambda value: f"{value:02d}")
CLOCK = st.one_of(
    st.just(""),
    st.tuples(
        st.sampled_from([" ", "T", "t", "  "]),
        DIGITS,
        DIGITS,
        st.one_of(st.just(""), DIGITS.map(lambda s: ":" + s)),
        st.sampled_from(["", ".5", ".1234567", ".123456789", ",25"]),
    ).map(lambda p: f"{p[0]}{p[1]}:{p[2]}{p[3]}{p[4] if p[3] else ''}"),
)
ZONES = st.sampled_from(["", "Z", "z", " GMT", "UTC", "+02:00", "-0530", "+15:00", "-00:61", "+2:00", " +1:00"])
DATES = st.one_of(
    st.tuples(st.integers(0, 10_000), st.integers(0, 13), st.integers(0, 32)).map(lambda p: f"{p[0]:04d}-{p[1]:02d}-{p[2]}"),
    st.tuples(st.integers(0, 32), st.sampled_from([*MONTHS, "Sept", "XYZ", "JAN"]), st.sampled_from(["14", "99", "2014", "50"]), st.sampled_from(["", "Sat, ", "Saturday, "]), st.sampled_from([" ", "-"])).map(
        lambda p: f"{p[3]}{p[0]}{p[4]}{p[1].capitalize()}{p[4]}{p[2]}"
    ),
    st.tuples(st.integers(0, 13), st.integers(0, 32), st.integers(1, 9999)).map(lambda p: f"{p[0]}/{p[1]}/{p[2]:04d}"),
)  # fmt: skip
HALVES = st.sampled_from(["", "", " AM", " PM", "pm"])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(DATES, CLOCK, HALVES, ZONES).map("".join), st.text(max_size=12), MOMENTS.map(datetime_text)
        ),
        min_size=1,
        max_size=60,
    )
)
def test_sql_reads_datetimes_as_python_does(connection: duckdb.DuckDBPyConnection, texts: list[str]) -> None:
    texts = [text for text in texts if "\x00" not in text]
    assert in_sql(connection, datetime_from_text_sql, texts) == [ticks_from_text(text) for text in texts]


SPAN_TEXTS = st.one_of(
    SPANS.map(timespan_text),
    st.tuples(st.sampled_from(["", "-", " "]), st.integers(0, 10**9), st.sampled_from(["", ".5", ".123456789", ".0000000001"]), st.sampled_from(["", "d", "h", " min", "s", "ms", "microseconds", "ticks", "nanos", "parsecs"])).map(
        lambda p: f"{p[0]}{p[1]}{p[2]}{p[3]}"
    ),
    st.tuples(st.integers(0, 30), st.integers(0, 70), st.integers(0, 70)).map(lambda p: f"{p[0]}:{p[1]:02d}:{p[2]}"),
    st.text(max_size=8),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(SPAN_TEXTS, min_size=1, max_size=60))
def test_sql_reads_timespans_as_python_does(connection: duckdb.DuckDBPyConnection, texts: list[str]) -> None:
    texts = [text for text in texts if "\x00" not in text]
    assert in_sql(connection, timespan_from_text_sql, texts) == [timespan_from_text(text) for text in texts]


@settings(max_examples=50, deadline=None)
@given(MOMENTS, SPANS)
def test_sql_writes_texts_as_python_does(moment: int, span: int) -> None:
    query = f"print tostring(datetime({datetime_text(moment)})), tostring(timespan({timespan_text(span)}))"
    assert run(query).rows == [(datetime_text(moment), timespan_text(span))]


@settings(max_examples=50, deadline=None)
@given(MOMENTS, st.sampled_from(["1tick", "1ms", "7s", "5m", "1h", "1d", "7d", "36h"]))
def test_bin_is_exact(moment: int, size: str) -> None:
    step = timespan_from_text(size)
    assert step is not None
    assert run(f"print bin(datetime({datetime_text(moment)}), {size})").rows == [(moment - moment % step,)]


@settings(max_examples=50, deadline=None)
@given(MOMENTS)
def test_calendar_parts_agree_with_python(moment: int) -> None:
    when = datetime_from_ticks(moment)
    iso = when.isocalendar()
    row = run(
        f"let t = datetime({datetime_text(moment)}); print getyear(t), monthofyear(t), dayofmonth(t), dayofyear(t), hourofday(t), week_of_year(t), "
        "toint(dayofweek(t) / 1d), startofmonth(t), startofyear(t), datetime_part('nanosecond', t)"
    ).rows[0]
    first = dt.datetime(when.year, when.month, 1, tzinfo=dt.UTC)
    assert row == (
        when.year,
        when.month,
        when.day,
        when.timetuple().tm_yday,
        when.hour,
        iso.week,
        (when.weekday() + 1) % 7,
        ticks_from_datetime(first),
        ticks_from_datetime(first.replace(month=1)),
        moment % 10_000_000 * 100,
    )


def test_bad_datetime_literal_is_a_syntax_error() -> None:
    with pytest.raises(KqlError) as caught:
        run("print datetime(2026-13-01)")
    assert caught.value.errors[0].code == "SYN0002"
    assert caught.value.errors[0].column == 7
