from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurewire.workspace.timespans import BadTimespan, parse_timespan

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("PT86400.0S", NOW - timedelta(days=1), NOW),
        ("P3DT12H", NOW - timedelta(days=3, hours=12), NOW),
        ("P2W", NOW - timedelta(weeks=2), NOW),
        ("PT90M", NOW - timedelta(minutes=90), NOW),
        ("2026-01-01T00:00:00.000Z/2026-01-02T00:00:00.000Z", DAY, DAY + timedelta(days=1)),
        ("2026-01-01T00:00:00.000Z/PT3600.0S", DAY, DAY + timedelta(hours=1)),
        ("PT1H/2026-01-01", DAY - timedelta(hours=1), DAY),
        ("2026-01-01T01:02:03.000456Z/P1D", DAY.replace(hour=1, minute=2, second=3, microsecond=456), None),
        ("P999999D", datetime.min.replace(tzinfo=UTC), NOW),
    ],
)
def test_forms(text: str, first: datetime, last: datetime | None) -> None:
    assert parse_timespan(text, NOW) == (first, last or first + timedelta(days=1))


@pytest.mark.parametrize("text", ["", "P", "PT", "P1Y", "1D", "PT1H/PT1H/PT1H", "yesterday/today", "/", "2026-01-01"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadTimespan):
        parse_timespan(text, NOW)


@given(st.text(max_size=30) | st.from_regex(r"P[0-9.]{0,12}[DWTHMS]{0,3}[0-9.]{0,12}S?", fullmatch=True))
def test_any_text_is_a_timespan_or_refused(text: str) -> None:
    try:
        first, last = parse_timespan(text, NOW)
    except BadTimespan:
        return
    assert first <= last or "/" in text
