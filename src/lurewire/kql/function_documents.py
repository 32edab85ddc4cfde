"""Saved functions as they are published: a parser's YAML document, and savedSearches in an ARM template.

Sources: https://learn.microsoft.com/azure/sentinel/normalization-develop-parsers (ParserName, ParserParams, ParserQuery; the
solutions' form has FunctionName, FunctionParams, FunctionQuery) and
https://learn.microsoft.com/azure/templates/microsoft.operationalinsights/workspaces/savedsearches.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .types import TYPE_NAMES, SavedFunction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SAVED_SEARCH = "savedsearches"


def functions_of(document: Mapping[str, Any]) -> list[SavedFunction]:
    """The functions of a document: none where it is of another kind.

    A parser is known by its name, by its alias and by the name of the built-in parser that it equals. Property names count
    without case. Raises ValueError where a part of a function is missing or is no text.
    """
    given = {key.lower(): value for key, value in document.items() if isinstance(key, str)}
    if "parserquery" in given or "functionquery" in given:
        return _of_parser(given)
    if "resources" in given:
        return list(_of_template(given))
    return []


def _of_parser(given: Mapping[str, Any]) -> list[SavedFunction]:
    query = _text(given, "parserquery" if "parserquery" in given else "functionquery")
    keys = ("parsername", "functionname", "functionalias", "equivalentbuiltinparser", "equivalentbuiltinfunction")
    names = dict.fromkeys(_text(given, key).strip() for key in keys if given.get(key))
    if not names:
        raise ValueError("a parser's document must have a ParserName or FunctionName")
    lists = ("parserparams", "functionparams", "functionparameters")
    declared: Any = next((given[key] for key in lists if given.get(key)), [])
    if isinstance(declared, str) and ":" in declared:
        parameters = declared  # as a saved search has them
    else:
        parameters = ", ".join(_parameter(item) for item in (declared if isinstance(declared, list) else [declared]))
    return [SavedFunction(name, parameters, query) for name in names]


def _parameter(item: Any) -> str:
    """`name: type = default` of `{Name, Type, Default}`."""
    given = {str(key).lower(): value for key, value in item.items()} if isinstance(item, dict) else {}
    name, kind = _text(given, "name").strip(), _text(given, "type").strip()
    if kind.lower().startswith("table"):
        # The columns stand behind the name or the type: `T:(TimeGenerated:datetime)`.
        name, _, columns = name.partition(":")
        columns = columns or kind[len("table") :].strip(": ")
        return f"[{json.dumps(name.strip(), ensure_ascii=False)}]: {columns.strip() or '(*)'}"
    quoted = f"[{json.dumps(name, ensure_ascii=False)}]"
    if kind.lower() not in TYPE_NAMES:
        raise ValueError(f"the parameter '{name}' has the unknown type '{kind}'")
    if "default" not in given or given["default"] is None:
        return f"{quoted}: {kind.lower()}"
    default = given["default"]
    if isinstance(default, bool):
        default = str(default).lower()
    shown = json.dumps(str(default), ensure_ascii=False) if kind.lower() == "string" else str(default)
    return f"{quoted}: {kind.lower()} = {shown}"


def _of_template(given: Mapping[str, Any]) -> Iterator[SavedFunction]:
    """The functions among a template's resources, in whatever depth; other saved searches are left out."""
    resources = given.get("resources")
    for resource in resources if isinstance(resources, list) else []:
        if not isinstance(resource, dict):
            continue
        lower = {str(key).lower(): value for key, value in resource.items()}
        kind = str(lower.get("type", "")).lower().rsplit("/", 1)[-1]
        properties = lower.get("properties")
        if kind == _SAVED_SEARCH and isinstance(properties, dict):
            found = of_saved_search(properties)
            if found is not None:
                yield found
        yield from _of_template(lower)


def of_saved_search(properties: Mapping[str, Any]) -> SavedFunction | None:
    """The function of a saved search's properties; None where it has no alias: then it is only a kept query."""
    given = {str(key).lower(): value for key, value in properties.items()}
    if not given.get("functionalias"):
        return None
    parameters = _text(given, "functionparameters") if given.get("functionparameters") else ""
    return SavedFunction(_text(given, "functionalias"), parameters, _text(given, "query"))


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"'{key}' is missing or is no text")
    return value
