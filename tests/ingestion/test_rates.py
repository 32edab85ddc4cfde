"""What a data collection rule takes in a minute."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from lurewire.core.clock import ManualClock
from lurewire.core.limits import Limits
from lurewire.ingestion import LIMITS
from lurewire.ingestion.errors import Throttled
from lurewire.ingestion.rates import Rates

if TYPE_CHECKING:
    from collections.abc import Iterator

if not TYPE_CHECKING:
    from ingestion.cloud import COLUMNS, RULE, STREAM, Cloud, rule_body
else:
    from tests.ingestion.cloud import COLUMNS, RULE, STREAM, Cloud, rule_body


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 2, tzinfo=UTC))


def rates(clock: ManualClock, **limits: int) -> Rates:
    return Rates(clock, Limits(LIMITS, {f"ingestion.{name}_per_minute": value for name, value in limits.items()}))


def test_the_limits_are_azures() -> None:
    limits = Limits(LIMITS)
    assert (limits["ingestion.requests_per_minute"], limits["ingestion.bytes_per_minute"]) == (12_000, 2 << 30)


def test_requests_of_one_rule_in_a_minute(clock: ManualClock) -> None:
    counted = rates(clock, requests=2)
    counted.request("a")
    clock.advance(30)
    counted.request("a")
    with pytest.raises(Throttled) as refused:
        counted.request("a")
    assert refused.value.headers == {"Retry-After": "30"}
    counted.request("b")
    clock.advance(30)
    counted.request("a")


def test_the_body_that_goes_over_is_the_last(clock: ManualClock) -> None:
    counted = rates(clock, bytes=100)
    counted.request("a")
    counted.body("a", 99)
    counted.request("a")
    counted.body("a", 50)
    with pytest.raises(Throttled, match="more than 100 bytes"):
        counted.request("a")
    clock.advance(60)
    counted.request("a")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = Cloud(tmp_path_factory.mktemp("state"), {"ingestion.requests_per_minute": 2})
    made.start()
    yield made
    made.stop()


def test_a_client_is_told_when_to_come_again(narrow: Cloud) -> None:
    narrow.table("Events_CL", COLUMNS)
    rule = narrow.rule("events-dcr", rule_body())
    token = narrow.token("publisher", ("Monitoring Metrics Publisher", RULE))
    body = json.dumps([{"name": "x"}]).encode()
    answers = [narrow.post(rule, STREAM, token, body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [204, 204, 429]
    assert answers[2].json()["error"]["code"] == "TooManyRequests"
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 60
