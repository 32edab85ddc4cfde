"""The wire model of incidents, comments, tasks and their parts.

Source: azure.md F.3 and https://learn.microsoft.com/rest/api/securityinsights/incidents.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self, TypeVar

import msgspec

from lurewire.incidents.errors import BadRequest


class _Caseless(StrEnum):
    """An enum of the wire, read without case, as the service does, and written in its own spelling."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return next((m for m in cls if isinstance(value, str) and m.value.lower() == value.lower()), None)


class Severity(_Caseless):
    """How bad it is."""

    HIGH = "High"
    MEDIUM = "Medium"
    LOW = "Low"
    INFORMATIONAL = "Informational"


class Status(_Caseless):
    """Where an incident stands."""

    NEW = "New"
    ACTIVE = "Active"
    CLOSED = "Closed"


class Classification(_Caseless):
    """What a closed incident turned out to be."""

    UNDETERMINED = "Undetermined"
    TRUE_POSITIVE = "TruePositive"
    BENIGN_POSITIVE = "BenignPositive"
    FALSE_POSITIVE = "FalsePositive"


class ClassificationReason(_Caseless):
    """Why it was classified so."""

    SUSPICIOUS_ACTIVITY = "SuspiciousActivity"
    SUSPICIOUS_BUT_EXPECTED = "SuspiciousButExpected"
    INCORRECT_ALERT_LOGIC = "IncorrectAlertLogic"
    INACCURATE_DATA = "InaccurateData"


class TaskStatus(_Caseless):
    """Where a task stands."""

    NEW = "New"
    COMPLETED = "Completed"


class Model(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An object of the wire: an unknown property is an error that names it."""


class Owner(Model, frozen=True):
    """Who an incident is assigned to; all empty: nobody."""

    object_id: str | None = None
    email: str | None = None
    assigned_to: str | None = None
    user_principal_name: str | None = None
    owner_type: str | None = None


class Label(Model, frozen=True):
    """A tag."""

    label_name: str
    label_type: str = "User"


class IncidentProperties(Model, frozen=True, kw_only=True):
    """The body of a PUT; what the service computes is accepted, so that a GET's answer can be sent back, and ignored."""

    title: str
    severity: Severity
    status: Status
    description: str = ""
    classification: Classification | None = None
    classification_reason: ClassificationReason | None = None
    classification_comment: str | None = None
    owner: Owner = Owner()
    labels: tuple[Label, ...] = ()
    first_activity_time_utc: str | None = None
    last_activity_time_utc: str | None = None
    provider_name: str | None = None
    provider_incident_id: str | None = None
    last_modified_time_utc: Any = None
    created_time_utc: Any = None
    incident_number: Any = None
    additional_data: Any = None
    related_analytic_rule_ids: Any = None
    incident_url: Any = None
    team_information: Any = None


class CommentProperties(Model, frozen=True, kw_only=True):
    """The body of a comment's PUT."""

    message: str
    created_time_utc: Any = None
    last_modified_time_utc: Any = None
    author: Any = None


class TaskProperties(Model, frozen=True, kw_only=True):
    """The body of a task's PUT."""

    title: str
    status: TaskStatus
    description: str = ""
    created_time_utc: Any = None
    last_modified_time_utc: Any = None
    created_by: Any = None
    last_modified_by: Any = None


class PlaybookStart(Model, frozen=True):
    """The body of runPlaybook."""

    logic_apps_resource_id: str
    tenant_id: str | None = None


T = TypeVar("T")


def decode(kind: type[T], value: Any, where: str) -> T:
    """`value` as `kind`; a null property is an absent one. Raises `BadRequest`, which names the property."""
    try:
        return msgspec.convert(_without_nulls(value), kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        raise BadRequest(f"'{where}{path.rstrip('`')}': {text}.") from error
    except RecursionError as error:
        raise BadRequest(f"'{where}': it is nested too deeply.") from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value] if isinstance(value, list) else value


def encode(value: Any) -> Any:
    """The JSON of a model."""
    return msgspec.json.decode(msgspec.json.encode(value))
