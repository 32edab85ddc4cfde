"""Sample values: texts that an operator finds, near misses, and what stands in a column that no predicate names."""

from __future__ import annotations

import importlib
import re
import uuid
from typing import TYPE_CHECKING, Any

from lurewire.kql.types import KqlType as K

from .values import DAY, HOUR, LAST_TICK, MINUTE, convert, datetime_from_text, json_text, to_text

if TYPE_CHECKING:
    import random


def text_like(operator: str, value: str, chance: random.Random) -> str | None:
    """A text for which `text operator value` holds; None for a negated operator."""
    if operator.startswith("!"):
        return None
    shown = value if operator.endswith("_cs") else chance.choice([value, value.upper(), value.lower()])
    before, after = chance.choice([("", ""), ("a ", ""), ("", " b"), ("(", ")"), ("x-", "/y")])
    match operator.removesuffix("_cs"):
        case "has":
            return before + shown + after
        case "contains":
            return chance.choice([before + shown + after, f"q{shown}q"])
        case "startswith":
            return shown + after
        case "endswith":
            return before + shown
        case "hasprefix":
            return f"{before}{shown}z"
        case "hassuffix":
            return f"z{shown}{after}"
        case "matches regex":
            return before.strip("(x-") + from_pattern(value, chance) + after.strip(")/y")
    return None


def from_pattern(expression: str, chance: random.Random) -> str:
    """A text that a plain regular expression matches; the expression itself without its marks where it is not plain."""
    parser = importlib.import_module("re._parser")
    try:
        parsed = parser.parse(re.sub(r"^\(\?\w+\)", "", expression))
    except (re.error, OverflowError):
        return re.sub(r"[\\^$()?*+\[\]{}|]", "", expression)
    return "".join(_part(op, argument, chance) for op, argument in parsed)


def _part(op: Any, argument: Any, chance: random.Random) -> str:
    match str(op):
        case "LITERAL":
            return chr(argument)
        case "ANY" | "NOT_LITERAL":
            return "k"
        case "IN":
            return _member(argument, chance)
        case "BRANCH":
            return "".join(_part(inner, more, chance) for inner, more in chance.choice(argument[1]))
        case "SUBPATTERN":
            return "".join(_part(inner, more, chance) for inner, more in argument[-1])
        case "MAX_REPEAT" | "MIN_REPEAT":
            least, most, repeated = argument
            times = min(max(int(least), chance.choice([0, 1, 2])), int(most))
            return "".join(_part(inner, more, chance) for _ in range(min(times, 20)) for inner, more in repeated)
    return ""


def _member(choices: Any, chance: random.Random) -> str:
    if str(choices[0][0]) == "NEGATE":
        return "m"
    op, argument = chance.choice(choices)
    match str(op):
        case "LITERAL":
            return chr(argument)
        case "RANGE":
            return chr(chance.randint(argument[0], argument[1]))
    return {"CATEGORY_DIGIT": "7", "CATEGORY_SPACE": " ", "CATEGORY_NOT_WORD": "-"}.get(str(argument), "w")


def near_miss(value: Any, kind: K, now: int, chance: random.Random) -> Any:
    """A value close to one that matches: another case, empty, null, a missing key, a tick beside."""
    if value is None:
        return default(kind, "near", now, chance)
    if kind is K.STRING:
        text = to_text(value, K.DYNAMIC) if not isinstance(value, str) else value
        return chance.choice(
            [text.swapcase(), "", f"{text}x", f"x{text}", text[1:], f"{text} more", text.title(), "{", "null"]
        )
    if kind is K.DYNAMIC:
        if isinstance(value, dict) and value:
            key = chance.choice(list(value))
            less = {name: part for name, part in value.items() if name != key}
            return chance.choice(
                [less, {**less, key.swapcase(): value[key]}, {**less, key: None}, [value], None, json_text(value)]
            )
        return chance.choice([None, [], {}, "", [value], 0])
    if kind in (K.DATETIME, K.TIMESPAN):
        return chance.choice([value + 1, value - 1, None, value - DAY, value + HOUR])
    if kind in (K.INT, K.LONG):
        return chance.choice([value + 1, value - 1, None, 0, -value])
    if kind is K.REAL:
        return chance.choice([value + 0.5, value - 0.5, None, 0.0])
    if kind is K.BOOL:
        return chance.choice([not value, None])
    return None


def default(kind: K, pool: str, now: int, chance: random.Random) -> Any:
    """A value where nothing is asked: out of a few, so that rows share them; `pool` names the few."""
    at = chance.randrange(3)
    match kind:
        case K.STRING:
            lower = pool.lower()
            if "ip" in lower or "address" in lower:
                return chance.choice(["10.0.0.1", "203.0.113.9", "198.51.100.23", ""])
            return chance.choice([f"{pool} {at}", f"{pool} {at}", f"user{at}@example.com", ""])
        case K.DATETIME:
            back = chance.choice([chance.randrange(HOUR), chance.randrange(DAY), chance.randrange(20 * DAY), 0])
            return now - back if chance.random() < 0.95 else None
        case K.TIMESPAN:
            return chance.choice([0, 1, MINUTE, DAY + 7, None])
        case K.INT | K.LONG:
            return chance.choice([0, 1, 2, 4624, 100, None])
        case K.REAL:
            return chance.choice([0.0, 0.5, 1.0, 100.25, None])
        case K.BOOL:
            return chance.choice([True, False, None])
        case K.GUID:
            return chance.choice([uuid.UUID(int=at + 1), None])
        case K.DYNAMIC:
            return chance.choice([None, {}, [], {"a": 1, "name": f"{pool} {at}"}, [f"{pool} {at}", "b"], "text"])
    return None


def fitted(value: Any, kind: K) -> Any:
    """A wish as a value of its column; a bag in a string column is its JSON text."""
    if kind is K.DYNAMIC:
        return value
    if value is None:
        return "" if kind is K.STRING else None
    if kind is K.STRING:
        return to_text(value, K.DYNAMIC)
    if isinstance(value, list | dict):
        return None
    if kind is K.DATETIME:
        found = value if isinstance(value, int) else datetime_from_text(value) if isinstance(value, str) else None
        return found if found is not None and 0 <= found <= LAST_TICK else None
    if kind is K.TIMESPAN and isinstance(value, int):
        return value
    return convert(value, K.DYNAMIC, kind)
