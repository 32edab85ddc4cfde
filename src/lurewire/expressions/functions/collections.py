"""Collection and object functions."""

from __future__ import annotations

from typing import Any

from lurewire.expressions.errors import FunctionError
from lurewire.expressions.functions.arguments import array, count, integer, mapping, refuse, string, url
from lurewire.expressions.functions.strings import characters, units
from lurewire.expressions.table import Function
from lurewire.expressions.values import equal

_MAX_RANGE = 100_000


def _contains(_: object, arguments: list[Any]) -> bool:
    collection, wanted = arguments
    if isinstance(collection, str):
        return string(arguments, 1) in collection
    if isinstance(collection, list):
        return any(equal(item, wanted) for item in collection)
    if isinstance(collection, dict):
        name = string(arguments, 1)
        return _key(collection, name) is not None
    raise refuse("an object, an array or a string", collection, 0)


def _key(members: dict[str, Any], name: str) -> str | None:
    if name in members:
        return name
    lowered = name.lower()
    return next((member for member in members if member.lower() == lowered), None)


def _empty(_: object, arguments: list[Any]) -> bool:
    value = arguments[0]
    if value is None:
        return True
    if isinstance(value, str | list | dict):
        return not value
    raise refuse("an object, an array or a string", value)


def length(value: Any) -> int:
    """UTF-16 units of a string, or items of an array; raises `FunctionError`."""
    if isinstance(value, str):
        return len(units(value))
    if isinstance(value, list):
        return len(value)
    raise refuse("an array or a string", value)


def _first(_: object, arguments: list[Any]) -> Any:
    return _one(arguments[0], slice(0, 1))


def _last(_: object, arguments: list[Any]) -> Any:
    return _one(arguments[0], slice(-1, None))


def _one(value: Any, which: slice) -> Any:
    if isinstance(value, str):
        return characters(units(value)[which])
    if isinstance(value, list):
        found = value[which]
        return found[0] if found else None
    raise refuse("an array or a string", value)


def _take(_: object, arguments: list[Any]) -> Any:
    return _part(arguments[0], slice(0, count(arguments, 1)))


def _skip(_: object, arguments: list[Any]) -> Any:
    return _part(arguments[0], slice(count(arguments, 1), None))


def _part(value: Any, which: slice) -> Any:
    if isinstance(value, str):
        return characters(units(value)[which])
    if isinstance(value, list):
        return value[which]
    raise refuse("an array or a string", value, 0)


def _union(_: object, arguments: list[Any]) -> Any:
    if all(isinstance(argument, dict) for argument in arguments):
        return {name: value for argument in arguments for name, value in argument.items()}
    if all(isinstance(argument, list) for argument in arguments):
        return _distinct([item for argument in arguments for item in argument])
    raise FunctionError("expects parameters of same type: all arrays or all objects.")


def _intersection(_: object, arguments: list[Any]) -> Any:
    first, others = arguments[0], arguments[1:]
    if all(isinstance(argument, dict) for argument in arguments):
        return {
            name: value
            for name, value in first.items()
            if all(name in other and equal(other[name], value) for other in others)
        }
    if all(isinstance(argument, list) for argument in arguments):
        return _distinct([item for item in first if all(any(equal(item, i) for i in other) for other in others)])
    raise FunctionError("expects parameters of same type: all arrays or all objects.")


def _distinct(items: list[Any]) -> list[Any]:
    found: list[Any] = []
    seen: set[tuple[type, Any]] = set()
    for item in items:
        if isinstance(item, str):
            if (str, item) in seen:
                continue
            seen.add((str, item))
        if isinstance(item, str) or not any(equal(item, other) for other in found):
            found.append(item)
    return found


def _range(_: object, arguments: list[Any]) -> list[int]:
    start, size = integer(arguments, 0), count(arguments, 1)
    if size > _MAX_RANGE:
        message = f"expects its parameter number 2 to be at most {_MAX_RANGE}. The provided value is {size}."
        raise FunctionError(message)
    return list(range(start, start + size))


def _add_property(_: object, arguments: list[Any]) -> dict[str, Any]:
    members, name = mapping(arguments, 0), string(arguments, 1)
    if _key(members, name) is not None:
        message = f"expects the property to not exist in the object. The object has a property '{name}'."
        raise FunctionError(message)
    return {**members, name: arguments[2]}


def _set_property(_: object, arguments: list[Any]) -> dict[str, Any]:
    members, name = mapping(arguments, 0), string(arguments, 1)
    existing = _key(members, name)
    kept = {member: value for member, value in members.items() if member != existing}
    return {**kept, (existing or name) if existing is not None else name: arguments[2]}


def _remove_property(_: object, arguments: list[Any]) -> dict[str, Any]:
    members, name = mapping(arguments, 0), string(arguments, 1)
    existing = _key(members, name)
    return {member: value for member, value in members.items() if member != existing}


COLLECTIONS: tuple[Function[object], ...] = (
    Function("contains", 2, 2, _contains, url("contains")),
    Function("empty", 1, 1, _empty, url("empty")),
    Function("first", 1, 1, _first, url("first")),
    Function("last", 1, 1, _last, url("last")),
    Function("take", 2, 2, _take, url("take")),
    Function("skip", 2, 2, _skip, url("skip")),
    Function("union", 1, None, _union, url("union")),
    Function("intersection", 1, None, _intersection, url("intersection")),
    Function("range", 2, 2, _range, url("range")),
    Function("createArray", 0, None, lambda _, a: list(a), url("createArray")),
)

WORKFLOW_COLLECTIONS: tuple[Function[object], ...] = (
    Function("length", 1, 1, lambda _, a: length(a[0]), url("length")),
    Function("reverse", 1, 1, lambda _, a: array(a, 0)[::-1], url("reverse")),
    Function("addProperty", 3, 3, _add_property, url("addProperty")),
    Function("setProperty", 3, 3, _set_property, url("setProperty")),
    Function("removeProperty", 2, 2, _remove_property, url("removeProperty")),
)
