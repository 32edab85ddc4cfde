"""The events that leave the sensor: `new_threat` and `new_interaction`.

The schema is the one of a published decoy vendor's page (https://anantis.io/docs/integrations/event-schema), so that
rules and transforms written for it run unchanged. Keys are sorted. `event` and `event_type` hold the same value: the
older form of that schema names the field `event`, the Sentinel page filters on `event_type`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from lurewire.sensor.limits import INTERNAL_NETWORKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lurewire.sensor.evidence import Json

EventKind = Literal["new_threat", "new_interaction"]

NEW_THREAT: EventKind = "new_threat"
NEW_INTERACTION: EventKind = "new_interaction"

NIL_UUID = "00000000-0000-0000-0000-000000000000"
"""The `threat_uuid` of the two events that a connection test sends."""

INTERACTION_TYPES: Mapping[str, str] = {
    "connection": "a TCP connection was opened",
    "handshake": "a client spoke the protocol's opening and left, or broke its rules, before it logged in",
    "login_attempt": "credentials were offered: password, public key, or none",
    "shell": "an interactive session was opened",
    "command": "a command line was given",
    "file_transfer": "SFTP or SCP was asked for (always refused)",
    "forwarding": "port, socket, X11 or agent forwarding was asked for (always refused)",
    "request": "an HTTP request without credentials",
    "malformed_request": "bytes that are not one unambiguous HTTP request",
}
"""The values of `interaction_type`."""

EVENT_COLUMNS: Mapping[EventKind, Mapping[str, str]] = {
    NEW_THREAT: {
        "@meta": "dynamic",
        "entity_uuid": "string",
        "event": "string",
        "event_type": "string",
        "first_interaction": "datetime",
        "last_interaction": "datetime",
        "reverse_lookup": "string",
        "source_asn": "string",
        "source_country": "string",
        "source_ip": "string",
        "threat_uuid": "string",
    },
    NEW_INTERACTION: {
        "@meta": "dynamic",
        "additional_data": "dynamic",
        "decoy": "string",
        "destination_ip": "string",
        "destination_port": "int",
        "entity_uuid": "string",
        "event": "string",
        "event_type": "string",
        "interaction_type": "string",
        "interaction_uuid": "string",
        "protocol": "string",
        "session_uuid": "string",
        "source_ip": "string",
        "source_port": "int",
        "threat_uuid": "string",
        "timestamp": "datetime",
    },
}
"""Each event's keys with their KQL types: what a data collection rule declares for its stream."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom the events name as their sender: `@meta` and the installation."""

    product: str
    vendor: str
    entity_uuid: str

    def meta(self) -> dict[str, Json]:
        """The value of `@meta`."""
        return {"product": self.product, "vendor": self.vendor}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Both ends of an attacker's connection, as the decoy believes them (a trusted proxy's word is believed)."""

    source_ip: str
    source_port: int
    destination_ip: str
    destination_port: int


def iso_nanoseconds(moment: datetime) -> str:
    """`moment` as ISO 8601 in UTC with nine fractional digits: `2026-01-23T19:23:22.149338000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def is_internal(address: str) -> bool:
    """Whether `address` is of an internal network (`INTERNAL_NETWORKS`)."""
    parsed = ipaddress.ip_address(address)
    return any(parsed.version == network.version and parsed in network for network in INTERNAL_NETWORKS)


def threat_event(
    origin: Origin, *, threat_uuid: str, source_ip: str, at: datetime, reverse_lookup: str = ""
) -> dict[str, Json]:
    """The `new_threat` event for a source whose first interaction was at `at`."""
    internal = is_internal(source_ip)
    return {
        "@meta": origin.meta(),
        "entity_uuid": origin.entity_uuid,
        "event": NEW_THREAT,
        "event_type": NEW_THREAT,
        "first_interaction": iso_nanoseconds(at),
        "last_interaction": iso_nanoseconds(at),
        "reverse_lookup": reverse_lookup,
        "source_asn": "Private" if internal else "",
        "source_country": "Internal Network" if internal else "",
        "source_ip": source_ip,
        "threat_uuid": threat_uuid,
    }


def interaction_event(
    origin: Origin,
    endpoint: Endpoint,
    *,
    threat_uuid: str,
    interaction_uuid: str,
    session_uuid: str,
    decoy: str,
    protocol: str,
    interaction_type: str,
    at: datetime,
    additional_data: dict[str, Json],
) -> dict[str, Json]:
    """The `new_interaction` event; raises `KeyError` for an `interaction_type` that is not declared."""
    INTERACTION_TYPES[interaction_type]
    return {
        "@meta": origin.meta(),
        "additional_data": additional_data,
        "decoy": decoy,
        "destination_ip": endpoint.destination_ip,
        "destination_port": endpoint.destination_port,
        "entity_uuid": origin.entity_uuid,
        "event": NEW_INTERACTION,
        "event_type": NEW_INTERACTION,
        "interaction_type": interaction_type,
        "interaction_uuid": interaction_uuid,
        "protocol": protocol,
        "session_uuid": session_uuid,
        "source_ip": endpoint.source_ip,
        "source_port": endpoint.source_port,
        "threat_uuid": threat_uuid,
        "timestamp": iso_nanoseconds(at),
    }


_SAMPLE_ORIGIN = Origin("Lurewire", "Lurewire", NIL_UUID)
_SAMPLE_TIME = datetime(2026, 1, 23, 19, 23, 22, 149338, UTC)
_SAMPLE_SOURCE = "10.0.0.1"


def sample_events(
    origin: Origin = _SAMPLE_ORIGIN, at: datetime = _SAMPLE_TIME
) -> tuple[dict[str, Json], dict[str, Json]]:
    """One `new_threat` and one `new_interaction` with the nil threat UUID: what a connection test sends.

    Upload them as the sample from which a table's schema is inferred.
    """
    threat = threat_event(
        origin,
        threat_uuid=NIL_UUID,
        source_ip=_SAMPLE_SOURCE,
        at=at,
        reverse_lookup="test-webhook-connection.local",
    )
    interaction = interaction_event(
        origin,
        Endpoint(_SAMPLE_SOURCE, 49152, "10.0.0.10", 22),
        threat_uuid=NIL_UUID,
        interaction_uuid=NIL_UUID,
        session_uuid=NIL_UUID,
        decoy="ssh",
        protocol="ssh",
        interaction_type="login_attempt",
        at=at,
        additional_data={
            "accepted": False,
            "client_version": "SSH-2.0-Test",
            "method": "password",
            "password": "test-webhook-connection",
            "username": "test-webhook-connection",
        },
    )
    return threat, interaction
