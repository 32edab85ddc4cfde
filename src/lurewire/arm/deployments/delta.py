"""What would change in a resource, property by property.

Source: https://learn.microsoft.com/rest/api/resources/deployments/what-if#whatifpropertychange
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SHOWN_INSTEAD = "*******"


@dataclass(frozen=True, slots=True)
class Hidden:
    """A secret among the values that are compared; it is never shown."""

    value: Any


def delta(before: dict[str, Any], after: dict[str, Any], path: str = "") -> list[dict[str, Any]]:
    """The changes from `before` to `after`; properties inside others have paths with dots."""
    changes: list[dict[str, Any]] = []
    for name in [*before, *(name for name in after if name not in before)]:
        place = f"{path}.{name}" if path else name
        if name not in after:
            changes.append(_change(place, "Delete", before=before[name]))
        elif name not in before:
            changes.append(_change(place, "Create", after=after[name]))
        else:
            changes += _differences(before[name], after[name], place)
    return changes


def _differences(before: Any, after: Any, path: str) -> list[dict[str, Any]]:
    if before == after and type(before) is type(after):
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        return delta(before, after, path)
    if isinstance(before, list) and isinstance(after, list):
        return [
            {
                "path": path,
                "propertyChangeType": "Array",
                "before": None,
                "after": None,
                "children": _elements(before, after),
            }
        ]
    return [_change(path, "Modify", before=before, after=after)]


def _elements(before: list[Any], after: list[Any]) -> list[dict[str, Any]]:
    children = []
    for index in range(max(len(before), len(after))):
        place = str(index)
        if index >= len(after):
            children.append(_change(place, "Delete", before=before[index]))
        elif index >= len(before):
            children.append(_change(place, "Create", after=after[index]))
        elif before[index] != after[index]:
            inside = isinstance(before[index], dict) and isinstance(after[index], dict)
            change = _change(place, "Modify", before=before[index], after=after[index])
            children.append(change | ({"children": delta(before[index], after[index])} if inside else {}))
    return children


def _change(path: str, kind: str, *, before: Any = None, after: Any = None) -> dict[str, Any]:
    return {"path": path, "propertyChangeType": kind, "before": before, "after": after, "children": None}


def paths(changes: list[dict[str, Any]]) -> set[str]:
    """The paths of changes, without those inside arrays."""
    return {change["path"] for change in changes}


def has(body: Any, path: str) -> bool:
    """Whether `body` has a property at a path with dots."""
    for name in path.split("."):
        if not isinstance(body, dict) or name not in body:
            return False
        body = body[name]
    return True


def masked(value: Any) -> Any:
    """`value` as it is shown, secrets replaced."""
    if isinstance(value, Hidden):
        return SHOWN_INSTEAD
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, dict):
        return {name: masked(item) for name, item in value.items()}
    return value


def merged(before: Any, after: Any) -> Any:
    """`after`, with the properties of `before` that it does not name."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    return before | {name: merged(before.get(name), value) for name, value in after.items()}
