"""Parameters of a workflow: their declaration, their values, and which of these are secret.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-definition-language#parameters
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lurewire.playbooks.checks import members, refuse, unsupported
from lurewire.playbooks.models import ABSENT

if TYPE_CHECKING:
    from lurewire.core.limits import Limits

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "securestring": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "array": (list,),
    "object": (dict,),
    "secureobject": (dict,),
}
_SECURE = frozenset({"securestring", "secureobject"})
_DECLARATION = frozenset({"type", "defaultValue", "allowedValues", "metadata", "description"})

_VAULT_REFERENCE = re.compile(r"@Microsoft\.KeyVault\((?P<body>.*)\)", re.IGNORECASE | re.DOTALL)
_SECRET_URI = re.compile(r"\s*SecretUri\s*=\s*(?P<uri>https://[^\s;()]+)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter with the value that runs get; `vault_uri` is set where that is a Key Vault reference."""

    name: str
    secure: bool
    value: Any
    vault_uri: str | None


def is_secure(declaration: Any) -> bool:
    """Whether a declared parameter is a `securestring` or a `secureobject`."""
    return isinstance(declaration, dict) and str(declaration.get("type", "")).lower() in _SECURE


def declared(declarations: Any, values: Any, limits: Limits) -> dict[str, Parameter]:
    """The parameters of a definition with their values, checked; raises `InvalidTemplate` and `NotSupported`."""
    found: dict[str, Parameter] = {}
    given = dict(_values(values))
    most = limits["playbooks.parameters"]
    for name, declaration, where in members(declarations, "/parameters", most, "parameters"):
        for key in declaration:
            if key not in _DECLARATION:
                unsupported(f"the property '{key[:80]}' of a parameter", where)
        kind = str(declaration.get("type", "")).lower()
        if kind not in _TYPES:
            refuse(f"the parameter type '{kind[:40]}' is not one of {', '.join(_TYPES)}", f"{where}/type")
        value = given.pop(name.lower(), declaration.get("defaultValue", ABSENT))
        if value is ABSENT:
            refuse(f"the parameter '{name}' has neither a value nor a default value", where)
        _check_value(name, kind, declaration, value, where)
        found[name] = Parameter(name, kind in _SECURE, value, vault_uri(value, where))
    if given:
        refuse(f"the parameter '{next(iter(given))}' has a value and is not declared", "/parameters")
    return found


def _values(values: Any) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, entry, where in members(values, "properties/parameters", 10_000, "parameters"):
        if "reference" in entry:
            unsupported("a 'reference' as the value of a workflow parameter; use @Microsoft.KeyVault(...)", where)
        if "value" in entry:
            found.append((name.lower(), entry["value"]))
    return found


def _check_value(name: str, kind: str, declaration: dict[str, Any], value: Any, where: str) -> None:
    wanted = _TYPES[kind]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        refuse(f"the value of the parameter '{name}' is not of its type, {declaration['type']}", where)
    allowed = declaration.get("allowedValues")
    if allowed is not None and (not isinstance(allowed, list) or value not in allowed):
        refuse(f"the value of the parameter '{name}' is not among its allowed values", where)


def vault_uri(value: Any, where: str) -> str | None:
    """The secret's URI where `value` is `@Microsoft.KeyVault(SecretUri=...)`.

    Source: https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
    """
    if not isinstance(value, str):
        return None
    reference = _VAULT_REFERENCE.fullmatch(value.strip())
    if reference is None:
        return None
    uri = _SECRET_URI.fullmatch(reference["body"])
    if uri is None:
        unsupported("a Key Vault reference other than @Microsoft.KeyVault(SecretUri=https://...)", where)
    return uri["uri"]
