from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lurewire.sensor import INTERACTION_TYPES, LIMITS, sample_events
from lurewire.sensor.decoys.http_head import RULES

MANUAL = (Path(__file__).parents[2] / "docs" / "sensor.md").read_text("utf-8")


@pytest.mark.parametrize("index", [0, 1])
def test_the_manuals_samples_are_the_ones_that_are_sent(index: int) -> None:
    event = sample_events()[index]
    match = re.search(rf"<!-- sample: {event['event']} -->\n```json\n(.*?)```", MANUAL, re.DOTALL)
    assert match is not None
    assert json.loads(match[1]) == event


def test_the_limits_that_the_manual_names_are_declared() -> None:
    named = set(re.findall(r"`(sensor\.[a-z_]+)`", MANUAL))
    limits = {limit.name for limit in LIMITS}
    assert named - limits == {"sensor.db", "sensor.proxy_from", "sensor.reverse_dns"}  # a file and settings
    assert named & limits


def test_the_manual_lists_all_interaction_types_and_rules() -> None:
    for name, meaning in INTERACTION_TYPES.items():
        assert f"| `{name}` | {meaning} |" in MANUAL
    assert all(f"`{rule}`" in MANUAL for rule in RULES)
