"""ARM templates of single resources, as Sentinel's repositories hold them: what differs between workspaces is an expression.

Sources: https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax,
https://learn.microsoft.com/azure/sentinel/ci-cd and https://learn.microsoft.com/azure/sentinel/import-export-analytics-rules
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
WORKSPACE_ID = "resourceId('Microsoft.OperationalInsights/workspaces', parameters('workspace'))"
_WORKSPACES = "2025-02-01"
_RULES = "2023-03-11"

_PARAMETERS: Mapping[str, dict[str, Any]] = {
    "workspace": {"type": "string", "metadata": {"description": "The Log Analytics workspace of Microsoft Sentinel."}},
    "location": {
        "type": "string",
        "defaultValue": "[resourceGroup().location]",
        "metadata": {"description": "The region of what is deployed."},
    },
}

_QUERIES = frozenset({"query", "transformKql"})
"""Properties whose text is KQL: they stay as they are, so that tools can read them."""

_NAMES: Mapping[str, str] = {
    "resourcegroups": "group",
    "resourcegroupname": "group",
    "resourcename": "workspace",
    "workspacename": "workspace",
}
"""Properties (lower case) of playbook actions that hold a bare name of the source, and which name."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A template expression without its brackets, where a value stands for it."""

    text: str


class Portable:
    """Turns values of the source into values of a template that deploys anywhere.

    `group` and `workspace` are the source's names; `ids` are what only the source has, each with the expression for it:
    the longest that fits is replaced.
    """

    def __init__(self, group: str, workspace: str, location: str) -> None:
        self._names = {"group": (group, "resourceGroup().name"), "workspace": (workspace, "parameters('workspace')")}
        self._ids: dict[str, tuple[str, str]] = {}
        self._pattern: re.Pattern[str] | None = None
        if location:
            self.replace(location, "parameters('location')", before="(?<=/locations/)", after="(?=/managedApis/)")

    def replace(self, text: str, expression: str, *, before: str = "", after: str = r"(?![\w.-])") -> None:
        """Replace `text`, without case, by `expression`, between what the patterns `before` and `after` fit."""
        if text:
            self._ids[text.lower()] = (f"{before}{re.escape(text)}{after}", expression)
            self._pattern = None

    def replace_workspace(self, resource_id: str, customer_id: str) -> None:
        """Replace a workspace's resource id and customer id."""
        self.replace(resource_id, WORKSPACE_ID)
        self.replace(customer_id, f"reference({WORKSPACE_ID}, '{_WORKSPACES}').customerId")

    def replace_rule(self, name: str, immutable_id: str) -> None:
        """Replace the immutable id of a data collection rule of the same resource group."""
        known = f"resourceId('Microsoft.Insights/dataCollectionRules', {quoted(name)})"
        self.replace(immutable_id, f"reference({known}, '{_RULES}').immutableId")

    def replace_endpoint(self, name: str, url: str) -> None:
        """Replace the URL of a data collection endpoint of the same resource group, alone or before a rule's path."""
        known = f"resourceId('Microsoft.Insights/dataCollectionEndpoints', {quoted(name)})"
        expression = f"reference({known}, '{_RULES}').logsIngestion.endpoint"
        self.replace(url.rstrip("/"), expression, before="^", after="(?=/?$|/dataCollectionRules/)")

    def value(self, value: Any, key: str = "") -> Any:
        """`value` for a template: ids replaced, other text escaped."""
        if isinstance(value, Expression):
            return f"[{value.text}]"
        if isinstance(value, dict):
            return {name: self.value(item, str(name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, key) for item in value]
        if not isinstance(value, str):
            return value
        if key in _QUERIES:
            return escaped(value)
        known = self._names.get(_NAMES.get(key.lower(), ""))
        if known is not None and value.lower() == known[0].lower():
            return f"[{known[1]}]"
        return self.text(value)

    def text(self, text: str) -> str:
        """One text for a template."""
        parts = self._parts(text)
        if all(isinstance(part, str) for part in parts):
            return escaped(text)
        written = [part.text if isinstance(part, Expression) else quoted(part) for part in parts]
        return f"[{written[0]}]" if len(written) == 1 else f"[concat({', '.join(written)})]"

    def _parts(self, text: str) -> list[str | Expression]:
        if self._pattern is None:
            longest = sorted(self._ids, key=lambda known: (-len(known), known))
            self._pattern = re.compile("|".join(self._ids[one][0] for one in longest) or r"(?!)", re.IGNORECASE)
        parts: list[str | Expression] = []
        at = 0
        for found in self._pattern.finditer(text):
            if found.start() > at:
                parts.append(text[at : found.start()])
            parts.append(Expression(self._ids[found[0].lower()][1]))
            at = found.end()
        if at < len(text) or not parts:
            parts.append(text[at:])
        return parts


def quoted(text: str) -> str:
    """`text` as a literal of a template expression."""
    return "'" + text.replace("'", "''") + "'"


def escaped(text: str) -> str:
    """`text` so that a template takes it as it is."""
    return f"[{text}" if text.startswith("[") and text.endswith("]") else text


def template(resources: list[dict[str, Any]], own: Iterable[tuple[str, dict[str, Any]]] = ()) -> dict[str, Any]:
    """The template of `resources`, which are in template form; declares the parameters that they name, and `own` ones."""
    used = json.dumps(resources)  # which leaves the quotes of expressions as they are
    parameters = {name: body for name, body in _PARAMETERS.items() if f"parameters('{name}')" in used}
    return {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": parameters | dict(own),
        "resources": resources,
    }
