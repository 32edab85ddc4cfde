"""Times as the API writes them: ISO 8601 in UTC with seven digits, so that text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(moment: datetime) -> str:
    """`2026-11-22T02:39:00.1234560Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def parse(text: str) -> datetime:
    """The moment of an ISO 8601 text, UTC where it names no zone; raises `ValueError`."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
