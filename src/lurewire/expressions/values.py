"""JSON values as the expression language sees them: kinds, text, access, equality and order.

Text is what .NET writes with the invariant culture, because that is what Azure's engine does.
Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-definition-language#expressions
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from lurewire.expressions.errors import FunctionError

CONTENT_TYPE = "$content-type"
CONTENT = "$content"


class AccessError(Exception):
    """A property or element that is not there; `forgiven` tells whether `?` makes it null."""

    def __init__(self, message: str, *, forgiven: bool) -> None:
        super().__init__(message)
        self.message = message
        self.forgiven = forgiven


def kind(value: Any) -> str:
    """The name of a value's type, as Azure's messages say it."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "Boolean"
    if isinstance(value, int):
        return "Integer"
    if isinstance(value, float):
        return "Float"
    if isinstance(value, str):
        return "String"
    return "Array" if isinstance(value, list) else "Object"


def is_number(value: Any) -> bool:
    """Whether `value` is an integer or a float (a Boolean is neither)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def text(value: Any) -> str:
    """A value inside `@{...}`: Booleans `True`/`False`, null empty, arrays and objects compact JSON.

    A content object (`$content-type` with `$content`) is its content, read as UTF-8.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return float_text(value)
    if is_content(value):
        return content_bytes(value).decode("utf-8", "replace")
    return compact_json(value)


def float_text(value: float) -> str:
    """The shortest text that reads back as `value`, in .NET's form: `1E+15`, `0.0001`, `1E-05`, `5` for 5.0."""
    if value == 0:
        return "-0" if str(value).startswith("-") else "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent_text = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len((whole + fraction).lstrip("0"))
    exponent = int(exponent_text or 0) + len(whole) - 1 - leading
    digits = digits.rstrip("0") or "0"
    if exponent >= 15 or exponent < -4:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}E{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    digits = digits.ljust(exponent + 1, "0")
    tail = f".{digits[exponent + 1 :]}" if len(digits) > exponent + 1 else ""
    return f"{sign}{digits[: exponent + 1]}{tail}"


def compact_json(value: Any) -> str:
    """JSON without blanks."""
    return msgspec.json.encode(value).decode()


def is_content(value: Any) -> bool:
    """Whether `value` is bytes in JSON: an object with `$content-type` and base64 in `$content`."""
    return isinstance(value, dict) and isinstance(value.get(CONTENT), str) and isinstance(value.get(CONTENT_TYPE), str)


def content_bytes(value: dict[str, Any]) -> bytes:
    """The bytes of a content object; raises `FunctionError` where `$content` is not base64."""
    return base64_bytes(value[CONTENT])


def content(data: bytes, content_type: str) -> dict[str, str]:
    """Bytes as a content object."""
    return {CONTENT_TYPE: content_type, CONTENT: base64.b64encode(data).decode("ascii")}


def base64_bytes(encoded: str) -> bytes:
    """Decode base64, blanks allowed; raises `FunctionError`."""
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise FunctionError("was invoked with a parameter that is not valid base64.") from None


def access(target: Any, key: Any) -> Any:
    """`target[key]`: an exact property first, then the first that differs in case only; raises `AccessError`."""
    if isinstance(target, dict):
        if not isinstance(key, str):
            raise AccessError(
                f"a property is selected by a string, not by a value of type '{kind(key)}'", forgiven=False
            )
        if key in target:
            return target[key]
        lowered = key.lower()
        for name, value in target.items():
            if name.lower() == lowered:
                return value
        names = ", ".join(list(target)[:20])
        raise AccessError(f"property '{key}' doesn't exist, available properties are '{names}'", forgiven=True)
    if isinstance(target, list):
        if not isinstance(key, int) or isinstance(key, bool):
            raise AccessError(
                f"an array element is selected by an integer index, not by a value of type '{kind(key)}'",
                forgiven=False,
            )
        if 0 <= key < len(target):
            return target[key]
        raise AccessError(f"array index '{key}' is outside bounds (0, {len(target) - 1}) of array", forgiven=True)
    shown = text(key) if is_number(key) or isinstance(key, str) else kind(key)
    message = f"property '{shown}' cannot be selected: the value is of type '{kind(target)}'"
    raise AccessError(message, forgiven=target is None)


def equal(left: Any, right: Any) -> bool:
    """Deep equality: numbers across integer and float, strings by case, a string and a Boolean by the latter's text."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if {type(left), type(right)} == {bool, str}:
        return text(left) == text(right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(value, right[name]) for name, value in left.items())
    return kind(left) == kind(right) and bool(left == right)


def compare(left: Any, right: Any) -> int:
    """Negative, 0 or positive; both numbers or both strings (ordinal), else `FunctionError`."""
    if is_number(left) and is_number(right):
        return int(left > right) - int(left < right)
    if isinstance(left, str) and isinstance(right, str):
        first, second = left.encode("utf-16-be", "surrogatepass"), right.encode("utf-16-be", "surrogatepass")
        return (first > second) - (first < second)
    message = (
        "expects two parameter of matching types. The function was invoked with values of type "
        f"'{kind(left)}' and '{kind(right)}' that do not match."
    )
    raise FunctionError(message)
