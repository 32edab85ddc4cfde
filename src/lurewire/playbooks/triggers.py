"""Triggers: what starts a run.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers#triggers-overview
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lurewire.playbooks.checks import Check, Known, members, trigger_check
from lurewire.playbooks.schemas import Schema

if TYPE_CHECKING:
    from collections.abc import Callable

_COMMON = frozenset({"type", "kind", "inputs", "conditions", "runtimeConfiguration", "description", "metadata"})
_REFUSED = frozenset(
    {"recurrence", "apiconnection", "http", "httpwebhook", "slidingwindow", "batch", "apimanagement", "eventgrid"}
)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""What a Request trigger may be called with."""

_PATHS = (
    (re.compile(r"/incident-creation", re.IGNORECASE), "incident"),
    (re.compile(r"/subscribe", re.IGNORECASE), "alert"),
    (re.compile(r"/entity/.+", re.IGNORECASE), "entity"),
)


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger: `kind` is incident, alert, entity or request; `concurrency` the runs at once, None: any number.

    `method` is the HTTP method of its callback URL.
    """

    name: str
    type: str
    kind: str
    conditions: tuple[str, ...]
    concurrency: int | None
    schema: Schema | None
    method: str = "POST"


def compile_triggers(value: Any, known: Known) -> dict[str, Trigger]:
    """Validate the triggers of a definition; raises `InvalidTemplate` and `NotSupported`."""
    found: dict[str, Trigger] = {}
    for name, definition, where in members(value, "/triggers", known.limits["playbooks.triggers"], "triggers"):
        check = trigger_check(name, definition, where, known)
        if len(name) > known.limits["playbooks.name"]:
            check.refuse(f"a trigger's name has at most {known.limits['playbooks.name']} characters")
        check.only(definition, _COMMON, "")
        found[name] = _trigger(check)
    return found


def _trigger(check: Check) -> Trigger:
    kind_of = {"apiconnectionwebhook": _sentinel_kind, "request": _request_kind}
    written = str(check.definition.get("type", ""))
    read: Callable[[Check], tuple[str, Schema | None]] | None = kind_of.get(written.lower())
    if read is None:
        if written.lower() in _REFUSED:
            check.unsupported(f"the trigger type '{written}'", "type")
        check.refuse(f"the trigger type '{written[:80]}' is not known", "type")
    kind, schema = read(check)
    method = _method(check) if kind == "request" else "POST"
    return Trigger(check.name, written, kind, _conditions(check), _concurrency(check), schema, method)


def _sentinel_kind(check: Check) -> tuple[str, Schema | None]:
    inputs = check.inputs
    check.required(inputs, ("host", "path"), "inputs")
    check.expressions(inputs, "inputs")
    path = str(inputs["path"])
    kind = next((kind for pattern, kind in _PATHS if pattern.fullmatch(path)), None)
    if kind is None:
        check.unsupported(f"the trigger path '{path[:80]}'", "inputs/path")
    return kind, None


def _request_kind(check: Check) -> tuple[str, Schema | None]:
    inputs = check.mapping(check.definition.get("inputs", {}), "inputs")
    check.only(inputs, frozenset({"schema", "method"}), "inputs")
    if str(check.definition.get("kind", "Http")).lower() != "http":
        check.unsupported(f"the kind '{str(check.definition['kind'])[:40]}' of a Request trigger", "kind")
    schema = inputs.get("schema")
    return "request", Schema(schema, check, "inputs/schema") if schema else None


def _method(check: Check) -> str:
    return check.literal((check.definition.get("inputs") or {}).get("method", "POST"), "inputs/method", METHODS)


def _conditions(check: Check) -> tuple[str, ...]:
    conditions = check.definition.get("conditions", [])
    if not isinstance(conditions, list):
        check.refuse("it must be an array", "conditions")
    found: list[str] = []
    for index, condition in enumerate(conditions):
        entry = check.mapping(condition, f"conditions/{index}")
        if "dependsOn" in entry:
            check.unsupported("a condition with 'dependsOn'", f"conditions/{index}")
        expression = entry.get("expression")
        if not isinstance(expression, str):
            check.refuse("the property 'expression' must be a string", f"conditions/{index}")
        check.expressions(expression, f"conditions/{index}/expression")
        found.append(expression)
    return tuple(found)


def _concurrency(check: Check) -> int | None:
    configuration = check.mapping(check.definition.get("runtimeConfiguration", {}), "runtimeConfiguration")
    check.only(configuration, frozenset({"concurrency"}), "runtimeConfiguration")
    concurrency = check.mapping(configuration.get("concurrency", {}), "runtimeConfiguration/concurrency")
    check.only(concurrency, frozenset({"runs", "maximumWaitingRuns"}), "runtimeConfiguration/concurrency")
    if "runs" not in concurrency:
        return None
    most = check.known.limits["playbooks.trigger_concurrency"]
    return check.whole_number(concurrency["runs"], "runtimeConfiguration/concurrency/runs", 1, most)


def find_trigger(triggers: dict[str, Trigger], kind: str) -> Trigger | None:
    """The trigger of that name or kind."""
    of_kind = (trigger for trigger in triggers.values() if trigger.kind == kind)
    return find_trigger_named(triggers, kind) or next(of_kind, None)


def find_trigger_named(triggers: dict[str, Trigger], name: str) -> Trigger | None:
    """The trigger of that name, without case."""
    return next((trigger for known, trigger in triggers.items() if known.lower() == name.lower()), None)
