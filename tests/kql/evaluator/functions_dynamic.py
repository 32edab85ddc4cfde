"""Functions of arrays and bags (https://learn.microsoft.com/kusto/query/scalar-functions#dynamicarray-functions)."""

from __future__ import annotations

import re
from typing import Any

from lurewire.kql.types import KqlType as K

from .model import in_any_order
from .table import function
from .values import Refused, canonical, json_text, sort_key, to_dynamic, to_text


def _array(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise Refused(f"{where}() of no array")
    return value


def _concat(*arrays: Any) -> list[Any] | None:
    if any(not isinstance(array, list) for array in arrays):
        raise Refused("array_concat() of no array")
    return [item for array in arrays for item in array]


def _slice(value: Any, start: int, end: int) -> list[Any]:
    items = _array(value, "array_slice")
    size = len(items)
    low = max(size + start, 0) if start < 0 else start
    high = size + end if end < 0 else end
    return items[low : high + 1] if high >= 0 else []


def _sorted(*, descending: bool) -> Any:
    def arrange(value: Any) -> list[Any]:
        items = _array(value, "array_sort")
        nulls = [item for item in items if item is None]
        known = [item for item in items if item is not None]
        kinds = {
            "n" if isinstance(item, int | float) and not isinstance(item, bool) else type(item).__name__
            for item in known
        }
        if len(kinds) > 1 or kinds & {"bool", "list", "dict"}:
            raise Refused("array_sort of several types")
        return [*sorted(known, key=sort_key, reverse=descending), *nulls]

    return arrange


def _pack(*pairs: tuple[Any, K]) -> dict[str, Any]:
    if len(pairs) % 2:
        raise Refused("bag_pack() of an odd number of values")
    return {to_text(*key): to_dynamic(*value) for key, value in zip(pairs[::2], pairs[1::2], strict=True)}


def _merged(*bags: Any) -> dict[str, Any] | None:
    if any(bag is not None and not isinstance(bag, dict) for bag in bags):
        raise Refused("bag_merge() of no bag")
    found: dict[str, Any] = {}
    for bag in bags:
        for key, value in (bag or {}).items():
            found.setdefault(key, value)
    return found


def _without(bag: Any, keys: Any) -> Any:
    if not isinstance(bag, dict) or not isinstance(keys, list) or any("$" in str(key) for key in keys):
        raise Refused("bag_remove_keys() of paths, or of no bag")
    return {key: value for key, value in bag.items() if key not in keys}


def _distinct(items: list[Any]) -> list[Any]:
    """A set: no page says in which order."""
    return in_any_order(list({canonical(item): item for item in reversed(items)}.values())[::-1])


def _union(*arrays: Any) -> list[Any]:
    return _distinct([item for array in arrays for item in _array(array, "set_union")])


def _difference(first: Any, *others: Any) -> list[Any]:
    away = {canonical(item) for array in others for item in _array(array, "set_difference")}
    return [item for item in _distinct(_array(first, "set_difference")) if canonical(item) not in away]


def _intersection(*arrays: Any) -> list[Any]:
    first, *others = (_array(array, "set_intersect") for array in arrays)
    sets = [{canonical(item) for item in array} for array in others]
    return [item for item in _distinct(first) if all(canonical(item) in held for held in sets)]


def _has_element(value: tuple[Any, K], element: tuple[Any, K]) -> bool:
    items = _array(value[0], "set_has_element")
    return canonical(to_dynamic(*element)) in {canonical(item) for item in items}


def _place(value: tuple[Any, K], element: tuple[Any, K]) -> int:
    items = _array(value[0], "array_index_of")
    wanted = json_text(to_dynamic(*element))
    return next((place for place, item in enumerate(items) if json_text(item) == wanted), -1)


def _zip(*arrays: Any) -> list[Any]:
    columns = [_array(array, "zip") for array in arrays]
    size = max(len(column) for column in columns)
    return [[column[place] if place < len(column) else None for column in columns] for place in range(size)]


def _sum(value: Any) -> float | None:
    items = _array(value, "array_sum")
    if any(isinstance(item, bool) or not isinstance(item, int | float) for item in items):
        raise Refused("array_sum() of more than numbers")
    return float(sum(items))


def _type(pair: tuple[Any, K]) -> str:
    value, kind = pair
    if kind is not K.DYNAMIC:
        raise Refused(f"gettype() of {kind}")
    if value is None:
        return "null"
    names = ((bool, "bool"), (int, "long"), (float, "double"), (str, "string"), (list, "array"), (dict, "dictionary"))
    return next(name for python, name in names if isinstance(value, python))


def _has_key(bag: Any, key: str) -> bool:
    if not isinstance(bag, dict) or key.startswith("$"):
        raise Refused("bag_has_key() of a path, or of no bag")
    return key in bag


def _json_path(path: str, text: str) -> Any:
    """extractjson() of a path of plain steps."""
    from .values import parse_json

    value = parse_json(text)
    if not re.fullmatch(r"\$(\.\w+|\[\d+\]|\['[^']*'\]|\[\"[^\"]*\"\])*", path) or isinstance(value, str):
        raise Refused(f"extractjson() of {path!r}")
    for name, index, one, two in re.findall(r"\.(\w+)|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]", path):
        key = name or one or two
        if key and isinstance(value, dict):
            value = value.get(key)
        elif index and isinstance(value, list):
            value = value[int(index)] if int(index) < len(value) else None
        else:
            value = None
    return to_text(value, K.DYNAMIC)


function("array_length arraylength", "d", K.LONG, lambda value: len(value) if isinstance(value, list) else None)
function("array_concat", "d*", K.DYNAMIC, _concat)
function("array_slice", "dll", K.DYNAMIC, _slice)
function("array_reverse", "d", K.DYNAMIC, lambda value: _array(value, "array_reverse")[::-1])
function("array_sort_asc", "d", K.DYNAMIC, _sorted(descending=False))
function("array_sort_desc", "d", K.DYNAMIC, _sorted(descending=True))
function("array_sum", "d", K.REAL, _sum)
function("array_index_of", "da", K.LONG, _place, typed=True)
function("bag_keys", "d", K.DYNAMIC, lambda value: in_any_order(list(value)) if isinstance(value, dict) else None)
function("bag_pack pack", "a*", K.DYNAMIC, _pack, nulls=True, typed=True)
function("pack_array", "a*", K.DYNAMIC, lambda *pairs: [to_dynamic(*pair) for pair in pairs], nulls=True, typed=True)
function("bag_merge", "d*", K.DYNAMIC, _merged, nulls=True)
function("bag_remove_keys", "dd", K.DYNAMIC, _without)
function("bag_has_key", "ds", K.BOOL, _has_key)
function("set_union", "d*", K.DYNAMIC, _union)
function("set_difference", "d*", K.DYNAMIC, _difference)
function("set_intersect", "d*", K.DYNAMIC, _intersection)
function("set_has_element", "da", K.BOOL, _has_element, typed=True)
function("zip", "d*", K.DYNAMIC, _zip)
function("gettype", "a", K.STRING, _type, nulls=True, typed=True)
function("dynamic_to_json", "d", K.STRING, json_text, nulls=True)
function("extractjson extract_json", "ss", K.STRING, _json_path)
