"""An automation rule as a resource: Microsoft.SecurityInsights/automationRules.

Source: azure.md F.4 and https://learn.microsoft.com/rest/api/securityinsights/automation-rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from lurewire.core.resources import InvalidResourceId, ResourceId
from lurewire.incidents import times
from lurewire.incidents.conditions import Condition  # noqa: TC001 - msgspec reads the annotation
from lurewire.incidents.errors import BadRequest
from lurewire.incidents.models import (
    Classification,
    ClassificationReason,
    Label,
    Model,
    Owner,
    Severity,
    Status,
    decode,
    encode,
)
from lurewire.incidents.writer import Author

if TYPE_CHECKING:
    from datetime import datetime

    from lurewire.core.limits import Limits
    from lurewire.core.resources import Change

RULE_TYPE: Final = "Microsoft.SecurityInsights/automationRules"


class PlaybookConfiguration(Model, frozen=True):
    """Which playbook to run."""

    logic_app_resource_id: str
    tenant_id: str | None = None


class RunPlaybook(Model, frozen=True, tag_field="actionType", tag="RunPlaybook"):
    """Run a playbook with the incident."""

    order: int
    action_configuration: PlaybookConfiguration


class ModifyConfiguration(Model, frozen=True):
    """What to change; null leaves a property as it is."""

    severity: Severity | None = None
    status: Status | None = None
    classification: Classification | None = None
    classification_reason: ClassificationReason | None = None
    classification_comment: str | None = None
    owner: Owner | None = None
    labels: tuple[Label, ...] = ()


class ModifyProperties(Model, frozen=True, tag_field="actionType", tag="ModifyProperties"):
    """Change the incident."""

    order: int
    action_configuration: ModifyConfiguration


class TaskConfiguration(Model, frozen=True):
    """The task to add."""

    title: str
    description: str = ""


class AddIncidentTask(Model, frozen=True, tag_field="actionType", tag="AddIncidentTask"):
    """Add a task to the incident."""

    order: int
    action_configuration: TaskConfiguration


Action = RunPlaybook | ModifyProperties | AddIncidentTask


class TriggeringLogic(Model, frozen=True):
    """When a rule runs."""

    is_enabled: bool
    triggers_on: Literal["Incidents"]
    triggers_when: Literal["Created"]
    expiration_time_utc: str | None = None
    conditions: tuple[Condition, ...] = ()


class RuleProperties(Model, frozen=True, kw_only=True):
    """A rule's properties; what the service computes is accepted and ignored."""

    display_name: str
    order: int
    triggering_logic: TriggeringLogic
    actions: tuple[Action, ...]
    created_time_utc: Any = None
    last_modified_time_utc: Any = None
    created_by: Any = None
    last_modified_by: Any = None


@dataclass(frozen=True, slots=True)
class AutomationRule:
    """A stored rule; `workspace` is the id, in lower case, of the workspace that it stands in."""

    id: ResourceId
    properties: RuleProperties
    body: dict[str, Any]

    @property
    def workspace(self) -> str:
        """The workspace's id in lower case."""
        return self.id.scope.lower()

    @property
    def actions(self) -> tuple[Action, ...]:
        """The actions in their order."""
        return tuple(sorted(self.properties.actions, key=lambda action: action.order))

    def active(self, now: datetime) -> bool:
        """Whether the rule is enabled and has not expired."""
        logic = self.properties.triggering_logic
        return logic.is_enabled and (logic.expiration_time_utc is None or times.parse(logic.expiration_time_utc) > now)


def read(body: dict[str, Any]) -> AutomationRule:
    """The rule of a stored body; it was validated when it was stored."""
    return AutomationRule(ResourceId.parse(body["id"]), decode(RuleProperties, body["properties"], "properties"), body)


def prepare(change: Change, limits: Limits, now: datetime, others: int) -> dict[str, Any]:
    """Validate a PUT beside `others` rules of the workspace; returns the ARM body to store.

    Raises `BadRequest`, which names the property.
    """
    existing = change.existing
    properties = decode(RuleProperties, change.body.get("properties"), "properties")
    problems = list(_problems(properties, limits))
    if others >= limits["incidents.automation_rules"]:
        problems.append(f"The workspace has {others} automation rules; no more fit.")
    if problems:
        raise BadRequest(" ".join(problems))
    author = Author.of(change.principal).info if change.principal else None
    then, by = (
        (existing["properties"]["createdTimeUtc"], existing["properties"]["createdBy"]) if existing else (None, None)
    )
    return {
        "id": str(change.id),
        "name": change.id.name,
        "type": RULE_TYPE,
        "properties": encode(properties)
        | {
            "createdTimeUtc": then or times.iso(now),
            "lastModifiedTimeUtc": times.iso(now),
            "createdBy": by or author,
            "lastModifiedBy": author,
        },
    }


def _problems(properties: RuleProperties, limits: Limits) -> list[str]:
    logic = properties.triggering_logic
    found = [] if properties.display_name.strip() else ["'properties.displayName': a name is required."]
    if logic.expiration_time_utc is not None:
        try:
            times.parse(logic.expiration_time_utc)
        except ValueError as error:
            found.append(f"'properties.triggeringLogic.expirationTimeUtc': {error}.")
    conditions = sum(condition.size() for condition in logic.conditions)
    if conditions > limits["incidents.automation_conditions"]:
        most = limits["incidents.automation_conditions"]
        found.append(f"'properties.triggeringLogic.conditions': {conditions} conditions; {most} fit.")
    if not 1 <= len(properties.actions) <= limits["incidents.automation_actions"]:
        most = limits["incidents.automation_actions"]
        found.append(f"'properties.actions': {len(properties.actions)} actions; 1 to {most} fit.")
    for i, action in enumerate(properties.actions):
        if isinstance(action, RunPlaybook):
            found += _playbook_problems(action.action_configuration.logic_app_resource_id, i)
        if isinstance(action, ModifyProperties):
            config = action.action_configuration
            if config.status is Status.CLOSED and config.classification is None:
                where = f"properties.actions[{i}].actionConfiguration.classification"
                found.append(f"'{where}': an incident is closed with a classification.")
    return found


def _playbook_problems(text: str, at: int) -> list[str]:
    where = f"properties.actions[{at}].actionConfiguration.logicAppResourceId"
    try:
        kind = ResourceId.parse(text).type
    except InvalidResourceId as error:
        return [f"'{where}': {error}."]
    return (
        [] if kind.lower() == "microsoft.logic/workflows" else [f"'{where}': '{text}' is no Microsoft.Logic/workflows."]
    )
