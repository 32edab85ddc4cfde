"""Arrays and bags whose elements are moved, sorted, zipped or changed: computed in Python."""

from __future__ import annotations

import functools
import itertools
import json
from typing import TYPE_CHECKING, Any

from lurewire.kql import plan, tree
from lurewire.kql.errors import semantic
from lurewire.kql.limits import LIST_ELEMENTS
from lurewire.kql.naming import result_name
from lurewire.kql.scope import ERROR
from lurewire.kql.types import KqlType
from lurewire.kql.udf import dumps

from .common import scripted
from .registry import Function, anything, dynamic, flag, text, whole

if TYPE_CHECKING:
    from lurewire.kql.binder import ExpressionBinder

Json = Any
_DYNAMIC = KqlType.DYNAMIC


def is_number(value: Json) -> bool:
    """Whether a JSON value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shift(array: Json, count: int, default: Json) -> Json:
    if not isinstance(array, list):
        return None
    if default is None and array and all(isinstance(item, str) for item in array):
        default = ""
    size = len(array)
    if count >= 0:
        return array[count:] + [default] * min(count, size)
    return [default] * min(-count, size) + array[: max(size + count, 0)]


def _rotate(array: Json, count: int) -> Json:
    if not isinstance(array, list):
        return None
    if not array:
        return []
    by = count % len(array)
    return array[by:] + array[:by]


def _split(array: Json, indices: Json) -> Json:
    """The array cut before each index; negative ones count from the end."""
    if not isinstance(array, list):
        return None
    given = indices if isinstance(indices, list) else [indices]
    if not all(isinstance(index, int) for index in given):
        return None
    size = len(array)
    places = [min(max(index + size if index < 0 else index, 0), size) for index in given]
    edges = [0, *places, size]
    return [array[first:last] for first, last in itertools.pairwise(edges)]


def _sum(array: Json) -> float | None:
    if not isinstance(array, list) or not all(is_number(item) or isinstance(item, bool) for item in array):
        return None
    return float(sum(array))


def _iff(condition: Json, then: Json, otherwise: Json) -> Json:
    """Per element; a scalar stands for every element, and what is neither bool nor number gives null."""
    if not isinstance(condition, list):
        return None
    chosen: list[Json] = []
    for position, item in enumerate(condition):
        if not isinstance(item, bool) and not is_number(item):
            chosen.append(None)
            continue
        source = then if item else otherwise
        if isinstance(source, list):
            chosen.append(source[position] if position < len(source) else None)
        else:
            chosen.append(source)
    return chosen


def _rank(value: Json) -> int | None:
    """The kinds of elements in the order in which they are sorted; null has none."""
    return None if value is None else 0 if is_number(value) else 1 if isinstance(value, str) else 2


def _compare(left: Json, right: Json) -> int:
    """Two values of one kind: numbers by value, texts by their bytes, others by their JSON text."""
    if isinstance(left, str):
        left, right = left.encode(), right.encode()
    elif not is_number(left):
        left, right = dumps(left), dumps(right)
    return int(left > right) - int(left < right)


def _sorted(arrays: Json, nulls_last: Json, *, descending: bool) -> Json:
    """All arrays in the order of the first: numbers, texts, others. One of another length gives null."""
    first = arrays[0]
    if not isinstance(first, list):
        return None if len(arrays) == 1 else [None] * len(arrays)
    last = True if nulls_last is None else bool(nulls_last)
    missing = [place for place, item in enumerate(first) if item is None]

    def compare(left: int, right: int) -> int:
        return _compare(first[left], first[right])

    key = functools.cmp_to_key(compare)
    kinds = ([place for place, item in enumerate(first) if _rank(item) == rank] for rank in range(3))
    present = [place for places in kinds for place in sorted(places, key=key, reverse=descending)]
    order = present + missing if last else missing + present
    result = [
        [array[place] for place in order] if isinstance(array, list) and len(array) == len(first) else None
        for array in arrays
    ]
    return result[0] if len(arrays) == 1 else result


def _bind_sort(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """Arrays, then a flag perhaps; one array gives an array, several give an array of them."""
    values = [
        binder.argument(argument, row.params[1], node.name, place) for place, argument in enumerate(node.arguments)
    ]
    if not values:
        raise semantic(f"{node.name}(): expects 1 or more arguments, not 0", node.at, token=node.name)
    if ERROR in values:
        return ERROR
    last: plan.Scalar = plan.Constant(KqlType.BOOL, None)
    if len(values) > 1 and values[-1].type is KqlType.BOOL:
        last = values.pop()
    for position, value in enumerate(values):
        if value.type is not KqlType.DYNAMIC:
            raise semantic(f"{node.name}(): argument {position + 1} must be an array", node.arguments[position].at)
    return plan.Call(_DYNAMIC, row, (last, *values))


def _sort_columns(node: tree.Call) -> tuple[tuple[str, KqlType], ...]:
    arrays = [
        argument
        for argument in node.arguments
        if not (isinstance(argument, tree.Literal) and argument.type is KqlType.BOOL)
    ]
    if len(arrays) < 2:
        return ()
    return tuple((f"{result_name(array) or f'array{place}'}_sorted", _DYNAMIC) for place, array in enumerate(arrays, 1))


def _sort_row(name: str, *, descending: bool) -> Function:
    def body(last: Json, arrays: Json) -> Json:
        return _sorted(arrays, last, descending=descending)

    return scripted(
        name,
        body,
        (flag("nulls_last"), anything("array")),
        _DYNAMIC,
        variadic=True,
        never_null=True,
        least=1,
        bind=_bind_sort,
        columns=_sort_columns,
    )


def _zip(arrays: Json) -> Json:
    lists = [array if isinstance(array, list) else [array] for array in arrays]
    size = max(len(items) for items in lists)
    return [[items[place] if place < len(items) else None for items in lists] for place in range(size)]


def _bag_zip(keys: Json, values: Json) -> Json:
    if not isinstance(keys, list) or not isinstance(values, list):
        return None
    pairs = zip(keys, [*values, *[None] * len(keys)], strict=False)
    return {key: value for key, value in pairs if isinstance(key, str)}


def _steps(key: str) -> list[str | int]:
    """A key, or the steps of a JSONPath `$.a.b[0]`."""
    if not key.startswith("$"):
        return [key]
    steps: list[str | int] = []
    rest = key[1:]
    while rest:
        if rest.startswith(".") and rest[1:2] not in ("", ".", "["):
            end = min((place for mark in ".[" if (place := rest.find(mark, 1)) > 0), default=len(rest))
            steps.append(rest[1:end])
            rest = rest[end:]
        elif rest.startswith("[") and "]" in rest:
            inner = rest[1 : rest.index("]")]
            rest = rest[rest.index("]") + 1 :]
            steps.append(int(inner) if inner.lstrip("-").isdigit() else inner.strip("'\""))
        else:
            return [key]
    return steps or [key]


def _at(value: Json, step: str | int) -> tuple[bool, Json]:
    if isinstance(step, str):
        return (True, value[step]) if isinstance(value, dict) and step in value else (False, None)
    inside = isinstance(value, list) and -len(value) <= step < len(value)
    return (True, value[step]) if inside else (False, None)


def _has_key(bag: Json, key: str) -> bool | None:
    if not isinstance(bag, dict):
        return None
    found, value = True, bag
    for step in _steps(key):
        found, value = _at(value, step)
        if not found:
            return False
    return True


def _without(value: Json, steps: list[str | int]) -> Json:
    found, inner = _at(value, steps[0])
    if not found:
        return value
    if len(steps) > 1:
        return _with(value, steps[:1], _without(inner, steps[1:]))
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if key != steps[0]}
    return [item for place, item in enumerate(value) if place != int(steps[0]) % len(value)]


def _with(value: Json, steps: list[str | int], item: Json) -> Json:
    step = steps[0]
    if len(steps) > 1:
        item = _with(_at(value, step)[1], steps[1:], item)
    if isinstance(step, int):
        if not isinstance(value, list):
            return value
        copy = list(value)
        if -len(copy) <= step < len(copy):
            copy[step] = item
        elif step == len(copy):
            copy.append(item)
        return copy
    return {**(value if isinstance(value, dict) else {}), step: item}


def _remove_keys(bag: Json, keys: Json) -> Json:
    if not isinstance(bag, dict):
        return None
    for key in keys if isinstance(keys, list) else [keys]:
        if isinstance(key, str):
            bag = _without(bag, _steps(key))
    return bag


def _set_key(bag: Json, key: str, value: Json) -> Json:
    return _with(bag, _steps(key), value) if isinstance(bag, dict) else None


def _paths(value: Json, before: str) -> list[str]:
    children: list[tuple[str, Json]] = []
    if isinstance(value, dict):
        children = [
            (f"{before}[{json.dumps(key, ensure_ascii=False)}]".replace('"', "'"), item) for key, item in value.items()
        ]
    elif isinstance(value, list):
        children = [(f"{before}[{place}]", item) for place, item in enumerate(value)]
    return [found for path, item in children for found in (path, *_paths(item, path))]


def _tree_path(value: Json) -> Json:
    return _paths(value, "") if isinstance(value, dict | list) else None


def _jaccard(first: Json, second: Json) -> float | None:
    if not isinstance(first, list) or not isinstance(second, list):
        return None
    left, right = {dumps(item) for item in first}, {dumps(item) for item in second}
    every = left | right
    return len(left & right) / len(every) if every else float("nan")


def _ordered_text(value: Json) -> str:
    """Bags with their keys in order, as dynamic_to_json() writes them."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _bind_pack_columns(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    from .dynamics import BAG_PACK  # noqa: PLC0415 - a cycle otherwise

    values = binder.arguments(node, row)
    if ERROR in values:
        return ERROR
    parts: list[plan.Scalar] = []
    for argument, value in zip(node.arguments, values, strict=True):
        if not isinstance(argument, tree.Name):
            raise semantic(f"{node.name}(): takes names of columns", argument.at, token=node.name)
        parts.extend((plan.Constant(KqlType.STRING, argument.name), value))
    return plan.Call(_DYNAMIC, BAG_PACK, tuple(parts))


_ARRAY = dynamic("array")


def _repeat(value: Any, count: int) -> list[Any] | None:
    if count > LIST_ELEMENTS.value:
        raise ValueError(f"repeat(): more than {LIST_ELEMENTS.value} elements")
    return None if count < 0 else [value] * count


def _set_equals(first: Any, second: Any) -> bool | None:
    if not isinstance(first, list) or not isinstance(second, list):
        return None
    one, other = ({dumps(item) for item in items} for items in (first, second))
    return one == other


FUNCTIONS = (
    scripted("array_shift_left", _shift, (_ARRAY, whole("count"), anything("default")), _DYNAMIC, optional=1),
    scripted(
        "array_shift_right",
        lambda array, count, default: _shift(array, -count, default),
        (_ARRAY, whole("count"), anything("default")),
        _DYNAMIC,
        optional=1,
    ),
    scripted("array_rotate_left", _rotate, (_ARRAY, whole("count")), _DYNAMIC),
    scripted("array_rotate_right", lambda array, count: _rotate(array, -count), (_ARRAY, whole("count")), _DYNAMIC),
    scripted("array_split", _split, (_ARRAY, anything("index")), _DYNAMIC),
    scripted("array_sum", _sum, (_ARRAY,), KqlType.REAL),
    scripted(
        "array_iff",
        _iff,
        (dynamic("condition"), anything("then"), anything("else")),
        _DYNAMIC,
        aliases=("array_iif",),
    ),
    _sort_row("array_sort_asc", descending=False),
    _sort_row("array_sort_desc", descending=True),
    scripted("zip", _zip, (anything("array"),), _DYNAMIC, variadic=True, never_null=True, least=2),
    scripted("bag_zip", _bag_zip, (dynamic("keys"), dynamic("values")), _DYNAMIC),
    scripted("bag_has_key", _has_key, (dynamic("bag"), text("key")), KqlType.BOOL),
    scripted("bag_remove_keys", _remove_keys, (dynamic("bag"), dynamic("keys")), _DYNAMIC),
    scripted("bag_set_key", _set_key, (dynamic("bag"), text("key"), anything("value")), _DYNAMIC),
    Function(
        "bag_pack_columns",
        (anything("column"),),
        _DYNAMIC,
        variadic=True,
        bind=_bind_pack_columns,
        page="bag-pack-columns-function",
    ),
    scripted("treepath", _tree_path, (dynamic("value"),), _DYNAMIC, naming="prefix_first", label="tree"),
    scripted("repeat", _repeat, (anything("value"), whole("count")), KqlType.DYNAMIC, naming="prefix_first"),
    scripted("set_equals", _set_equals, (dynamic("set1"), dynamic("set2")), KqlType.BOOL, page="scalar-functions"),
    scripted("jaccard_index", _jaccard, (dynamic("set1"), dynamic("set2")), KqlType.REAL),
    scripted("dynamic_to_json", _ordered_text, (dynamic("value"),), KqlType.STRING),
)
