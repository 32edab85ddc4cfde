"""The JSON schema of a sample, as the Parse JSON action of a workflow takes it.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-perform-data-operations#parse-json-action. Where the
sample has a property without a value, the schema takes null too: the action fails for what its schema does not take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lurewire.schemas.infer import Sample

_ORDER = ("object", "array", "string", "integer", "number", "boolean", "null")


def parse_json_schema(sample: Sample) -> dict[str, Any]:
    """The schema of a sample; of newline-delimited records, the one that each of them fits."""
    return _schema(sample.value if sample.lines else [sample.value])


def _schema(values: Sequence[Any]) -> dict[str, Any]:
    names = {_name(value) for value in values}
    if "number" in names:
        names.discard("integer")
    if not names or names == {"null"}:
        return {}  # nothing is known of it: everything fits
    ordered = [name for name in _ORDER if name in names]
    schema: dict[str, Any] = {"type": ordered[0] if len(ordered) == 1 else ordered}
    objects = [value for value in values if isinstance(value, dict)]
    if objects:
        schema |= _properties(objects)
    items = [item for value in values if isinstance(value, list) for item in value]
    if items:
        schema["items"] = _schema(items)
    return schema


def _properties(objects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names: dict[str, None] = dict.fromkeys(name for one in objects for name in one)
    properties = {name: _schema([one[name] for one in objects if name in one]) for name in names}
    required = [name for name in names if _in_all(name, objects)] if len(objects) > 1 else []
    return {"properties": properties} | ({"required": required} if required else {})


def _in_all(name: str, objects: Iterable[dict[str, Any]]) -> bool:
    return all(name in one for one in objects)


def _name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
