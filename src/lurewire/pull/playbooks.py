"""A playbook as a template: its connections beside it, its secrets as parameters that the person who deploys gives.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-securing-a-logic-app
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from typing import Any

from lurewire.pull.templates import Expression, quoted

_SECURE = frozenset({"securestring", "secureobject"})
_NAMES = (
    r"secret|password|passwd|pwd|token|credential|connection[_-]?string"
    r"|(?:api|access|account|functions|primary|private|secondary|shared|storage|subscription|workspace)[_-]?key"
)
_SECRET_NAME = re.compile(rf"(?:{_NAMES})s?$|^authorization$", re.IGNORECASE)
_SECRET_QUERY = re.compile(rf"(?:{_NAMES})s?$|^(?:sig|code|key)$", re.IGNORECASE)
_SECRET_PAIR = re.compile(rf"(?:^|[?&])(?:sig|code|key|[\w.-]*(?:{_NAMES})s?)=([^&#\s]+)", re.IGNORECASE)
"""A parameter of a URL or form that stands inside a text; the group is its value."""

_NAMED = (("headers", _SECRET_NAME), ("queries", _SECRET_QUERY), ("body", _SECRET_NAME))
_TEXTS = ("uri", "url", "path", "body")
_SECRET_PARTS: dict[str, tuple[str, ...]] = {
    "basic": ("password",),
    "clientcertificate": ("pfx", "password"),
    "activedirectoryoauth": ("secret", "pfx", "password"),
    "raw": ("value",),
}
"""Per `type` of an action's `authentication` the properties that are secret."""

_NOT_WORD = re.compile(r"\W+")
_SENTINEL_PATHS = re.compile(r"/(incident-creation|subscribe|entity/)", re.IGNORECASE)


@dataclass(slots=True)
class Parameters:
    """The template parameters that a playbook's secrets become."""

    declared: dict[str, dict[str, Any]] = field(default_factory=dict)

    def secret(self, name: str, description: str, kind: str = "securestring") -> Expression:
        """The expression of a parameter for a secret; another one of the name gets a number."""
        plain = _NOT_WORD.sub("_", name).strip("_") or "secret"
        free, number = plain, 1
        while free in self.declared or free in ("workspace", "location"):
            number += 1
            free = f"{plain}_{number}"
        self.declared[free] = {"type": kind, "metadata": {"description": description}}
        return Expression(f"parameters('{free}')")


def is_playbook(workflow: dict[str, Any]) -> bool:
    """Whether a trigger of Microsoft Sentinel starts the workflow."""
    triggers = _at(workflow, "properties", "definition", "triggers")
    return any(
        isinstance(trigger, dict) and _SENTINEL_PATHS.match(str(_at(trigger, "inputs", "path") or ""))
        for trigger in (triggers.values() if isinstance(triggers, dict) else ())
    )


def connections_of(workflow: dict[str, Any]) -> list[str]:
    """The resource ids of the connections that a workflow uses."""
    known = _at(workflow, "properties", "parameters", "$connections", "value")
    ids = (
        {str(one.get("connectionId")) for one in known.values() if isinstance(one, dict)}
        if isinstance(known, dict)
        else ()
    )
    return sorted(one for one in ids if one.startswith("/"))


def without_secrets(workflow: dict[str, Any], parameters: Parameters) -> dict[str, Any]:
    """The properties of a workflow with an expression in place of each secret."""
    properties = copy.deepcopy(workflow.get("properties") or {})
    definition = properties.get("definition")
    given = properties.setdefault("parameters", {})
    declared = definition.get("parameters") if isinstance(definition, dict) else None
    for name, parameter in sorted(declared.items()) if isinstance(declared, dict) else ():
        kind = str(parameter.get("type", "")).lower() if isinstance(parameter, dict) else ""
        if kind in _SECURE:
            parameter.pop("defaultValue", None)
            given[name] = {"value": parameters.secret(name, f"Secret parameter {name} of the playbook.", kind)}
        elif kind == "string" and _SECRET_NAME.search(name):
            _hide_one(parameter, "defaultValue", name, parameters)
            if isinstance(given.get(name), dict):
                _hide_one(given[name], "value", name, parameters)
    if isinstance(definition, dict):
        for part in ("triggers", "actions"):
            _hide(definition.get(part), "", parameters)
    return {
        name: properties[name]
        for name in ("state", "definition", "parameters", "accessControl")
        if properties.get(name)
    }


def connection(body: dict[str, Any], parameters: Parameters) -> dict[str, Any]:
    """The properties of a connection that can be deployed again; what was signed in with cannot be read, and is asked for."""
    properties = body.get("properties") or {}
    kept = {k: properties[k] for k in ("displayName", "customParameterValues", "parameterValueType") if k in properties}
    api = properties.get("api")
    if isinstance(api, dict) and api.get("id"):
        kept["api"] = {"id": api["id"]}
    shown = properties.get("parameterValues") or properties.get("nonSecretParameterValues")
    kept |= {"parameterValues": shown} if isinstance(shown, dict) and shown else {}
    for values in (kept.get("parameterValues"), kept.get("customParameterValues")):
        if not isinstance(values, dict):
            continue
        for name in sorted(values):
            if re.search(r"(?i)secret|password|key|token|connectionstring", name):
                values[name] = parameters.secret(f"{body.get('name')}_{name}", f"Secret {name} of the connection.")
    alternative = properties.get("alternativeParameterValues")
    return kept | ({"alternativeParameterValues": alternative} if alternative else {})


def _hide(node: Any, name: str, parameters: Parameters) -> None:
    """Replaces secrets that stand in actions as plain text; what an expression gives is not in the definition."""
    if isinstance(node, list):
        for item in node:
            _hide(item, name, parameters)
        return
    if not isinstance(node, dict):
        return
    authentication = node.get("authentication")
    if isinstance(authentication, dict):
        for part in _SECRET_PARTS.get(str(authentication.get("type", "")).lower(), ()):
            _hide_one(authentication, part, name, parameters)
    for part, pattern in _NAMED:
        _hide_named(node.get(part), pattern, name, parameters)
    for part in _TEXTS:
        _hide_pairs(node, part, name, parameters)
    for key, item in sorted(node.items()):
        _hide(item, name if key in _STRUCTURE else str(key), parameters)


def _hide_named(node: Any, pattern: re.Pattern[str], action: str, parameters: Parameters) -> None:
    """Replaces what stands under a name that `pattern` finds."""
    if isinstance(node, list):
        for item in node:
            _hide_named(item, pattern, action, parameters)
    if not isinstance(node, dict):
        return
    for key, item in sorted(node.items()):
        if pattern.search(key):
            _hide_one(node, key, action, parameters)
        _hide_named(item, pattern, action, parameters)


def _hide_one(holder: dict[str, Any], key: str, action: str, parameters: Parameters) -> None:
    value = holder.get(key)
    if isinstance(value, str) and value and not _is_expression(value):
        holder[key] = parameters.secret(f"{action}_{key}", f"{key} of {action}.")


def _hide_pairs(holder: dict[str, Any], key: str, action: str, parameters: Parameters) -> None:
    """Replaces the secret parameters of a URL or form, and leaves the text around them."""
    text = holder.get(key)
    if not isinstance(text, str) or text.startswith("@"):
        return
    written, at = [], 0
    for found in _SECRET_PAIR.finditer(text):
        if not _is_expression(found[1]):
            secret = parameters.secret(f"{action}_{key}", f"A secret in the {key} of {action}.")
            written += [quoted(text[at : found.start(1)]), secret.text]
            at = found.end()
    if written:
        holder[key] = Expression(f"concat({', '.join([*written, quoted(text[at:])])})")


def _is_expression(text: str) -> bool:
    """Whether the workflow computes the text, so that it holds no secret itself; a password may hold an `@`, too.

    Source: https://learn.microsoft.com/azure/logic-apps/workflow-definition-language-functions-reference
    """
    return (text.startswith("@") and not text.startswith("@@")) or "@{" in text


_STRUCTURE = frozenset(
    {
        "inputs",
        "actions",
        "else",
        "cases",
        "default",
        "authentication",
        "headers",
        "parameters",
        "body",
        "host",
        "retryPolicy",
    }
)


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
