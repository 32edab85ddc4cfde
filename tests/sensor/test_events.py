from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from lurewire.sensor import EVENT_COLUMNS, NEW_INTERACTION, NEW_THREAT, NIL_UUID, Origin, sample_events
from lurewire.sensor.events import is_internal, iso_nanoseconds, threat_event

# The example of the vendor's page, with the two fields that its Sentinel page adds.
PUBLISHED = {
    "@meta": {"product": "TrapEye", "vendor": "Anantis"},
    "entity_uuid": "0e28f730-18c1-429a-821e-5282cf641dd4",
    "event": "new_threat",
    "event_type": "new_threat",
    "first_interaction": "2026-01-23T19:23:22.149338000Z",
    "last_interaction": "2026-01-23T19:23:22.149338000Z",
    "reverse_lookup": "test-webhook-connection.local",
    "source_asn": "Private",
    "source_country": "Internal Network",
    "source_ip": "10.0.0.1",
    "threat_uuid": "00000000-0000-0000-0000-000000000000",
}


def test_the_test_threat_has_the_published_shape() -> None:
    threat, _ = sample_events(Origin("TrapEye", "Anantis", "0e28f730-18c1-429a-821e-5282cf641dd4"))
    assert threat == PUBLISHED
    assert list(threat) == sorted(threat)


def test_the_test_interaction_names_the_nil_threat_and_has_sorted_keys() -> None:
    threat, interaction = sample_events()
    assert interaction["threat_uuid"] == threat["threat_uuid"] == NIL_UUID
    assert interaction["event"] == interaction["event_type"] == "new_interaction"
    assert list(interaction) == sorted(interaction)
    assert min(key for key in interaction if key != "@meta") == "additional_data"


def test_the_declared_columns_are_the_events_keys() -> None:
    threat, interaction = sample_events()
    for kind, event in ((NEW_THREAT, threat), (NEW_INTERACTION, interaction)):
        assert EVENT_COLUMNS[kind].keys() == event.keys()
        for name, value in event.items():
            expected = {"dynamic": dict, "int": int, "string": str, "datetime": str}[EVENT_COLUMNS[kind][name]]
            assert isinstance(value, expected), name


def test_times_have_nine_digits_in_utc() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, timezone(timedelta(hours=2)))
    assert iso_nanoseconds(moment) == "2026-01-02T01:04:05.000006000Z"


@pytest.mark.parametrize(
    ("address", "internal"),
    [
        ("10.1.2.3", True),
        ("100.64.0.1", True),
        ("172.32.0.1", False),
        ("fd00::1", True),
        ("::1", True),
        ("2001:db8::1", False),
        ("203.0.113.9", False),
        ("8.8.8.8", False),
    ],
)
def test_internal_sources_are_named_so(address: str, internal: bool) -> None:
    assert is_internal(address) is internal
    event = threat_event(
        Origin("p", "v", NIL_UUID), threat_uuid=NIL_UUID, source_ip=address, at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert event["source_asn"] == ("Private" if internal else "")
    assert event["source_country"] == ("Internal Network" if internal else "")
    assert event["reverse_lookup"] == ""
