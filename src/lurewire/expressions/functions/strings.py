"""String functions. Lengths and positions count UTF-16 units, as .NET does."""

from __future__ import annotations

from typing import Any

from lurewire.expressions.errors import FunctionError
from lurewire.expressions.functions.arguments import array, count, integer, refuse, string, url
from lurewire.expressions.table import Function
from lurewire.expressions.values import text

_RANGE = (
    "parameters are out of range: 'start index' and 'length' must be non-negative integers and their sum must be no "
    "larger than the length of the string."
)


BLANKS = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""White space as .NET knows it. Source: https://learn.microsoft.com/dotnet/api/system.char.iswhitespace"""


def units(value: str) -> str:
    """`value` with a character beyond U+FFFF as its two surrogates, so that Python's positions are .NET's."""
    if value.isascii() or max(value) <= "\uffff":
        return value
    return "".join(c if c <= "\uffff" else chr(0xD7C0 + (ord(c) >> 10)) + chr(0xDC00 + (ord(c) & 0x3FF)) for c in value)


def characters(value: str) -> str:
    """The reverse of `units`; half a pair becomes U+FFFD."""
    if value.isascii():
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _mapped(character: str, mapped: str) -> str:
    # The invariant culture maps one character to one, and none beyond ASCII into ASCII.
    return mapped if len(mapped) == 1 and not (mapped.isascii() and not character.isascii()) else character


def lower(value: str) -> str:
    """Lower case in the invariant culture."""
    return value.lower() if value.isascii() else "".join(_mapped(c, c.lower()) for c in value)


def upper(value: str) -> str:
    """Upper case in the invariant culture."""
    return value.upper() if value.isascii() else "".join(_mapped(c, c.upper()) for c in value)


def _substring(_: object, arguments: list[Any]) -> str:
    source, start = units(string(arguments, 0)), integer(arguments, 1)
    length = integer(arguments, 2) if len(arguments) == 3 else len(source) - start
    if start < 0 or length < 0 or start + length > len(source):
        raise FunctionError(_RANGE)
    return characters(source[start : start + length])


def _slice(_: object, arguments: list[Any]) -> str:
    source = units(string(arguments, 0))
    bounds = [integer(arguments, index) for index in range(1, len(arguments))]
    return characters(source[slice(bounds[0], bounds[1] if len(bounds) == 2 else None)])


def _replace(_: object, arguments: list[Any]) -> str:
    old = string(arguments, 1)
    if not old:
        raise FunctionError("was invoked with an empty string as the text to replace.")
    return string(arguments, 0).replace(old, string(arguments, 2))


def _index_of(_: object, arguments: list[Any]) -> int:
    return upper(units(string(arguments, 0))).find(upper(units(string(arguments, 1))))


def _last_index_of(_: object, arguments: list[Any]) -> int:
    return upper(units(string(arguments, 0))).rfind(upper(units(string(arguments, 1))))


def _nth_index_of(_: object, arguments: list[Any]) -> int:
    source, part = upper(units(string(arguments, 0))), upper(units(string(arguments, 1)))
    occurrence = integer(arguments, 2)
    if not part or occurrence == 0:
        raise FunctionError("expects a text to find that is not empty and an occurrence that is not 0.")
    at = -1 if occurrence > 0 else len(source)
    for _round in range(abs(occurrence)):
        at = source.find(part, at + 1) if occurrence > 0 else source.rfind(part, 0, at + len(part) - 1 if at else 0)
        if at < 0:
            return -1
    return at


def _starts_with(_: object, arguments: list[Any]) -> bool:
    return upper(string(arguments, 0)).startswith(upper(string(arguments, 1)))


def _ends_with(_: object, arguments: list[Any]) -> bool:
    return upper(string(arguments, 0)).endswith(upper(string(arguments, 1)))


def _split(_: object, arguments: list[Any]) -> list[str]:
    source, delimiter = string(arguments, 0), string(arguments, 1)
    return source.split(delimiter) if delimiter else [source]


def _trim(_: object, arguments: list[Any]) -> str:
    return string(arguments, 0).strip(BLANKS)


def _concat(_: object, arguments: list[Any]) -> str:
    return "".join(text(argument) for argument in arguments)


def _join(_: object, arguments: list[Any]) -> str:
    return string(arguments, 1).join(text(item) for item in array(arguments, 0))


def _chunk(_: object, arguments: list[Any]) -> list[Any]:
    source, size = arguments[0], count(arguments, 1)
    if size == 0:
        raise FunctionError("expects its parameter number 2 to be greater than 0.")
    if isinstance(source, list):
        return [source[at : at + size] for at in range(0, len(source), size)]
    if isinstance(source, str):
        counted = units(source)
        return [characters(counted[at : at + size]) for at in range(0, len(counted), size)]
    raise refuse("an array or a string", source, 0)


STRINGS: tuple[Function[object], ...] = (
    Function("toLower", 1, 1, lambda _, a: lower(string(a, 0)), url("toLower")),
    Function("toUpper", 1, 1, lambda _, a: upper(string(a, 0)), url("toUpper")),
    Function("trim", 1, 1, _trim, url("trim")),
    Function("replace", 3, 3, _replace, url("replace")),
    Function("substring", 2, 3, _substring, url("substring")),
    Function("startsWith", 2, 2, _starts_with, url("startsWith")),
    Function("endsWith", 2, 2, _ends_with, url("endsWith")),
    Function("indexOf", 2, 2, _index_of, url("indexOf")),
    Function("lastIndexOf", 2, 2, _last_index_of, url("lastIndexOf")),
    Function("split", 2, 2, _split, url("split")),
    Function("join", 2, 2, _join, url("join")),
)

WORKFLOW_STRINGS: tuple[Function[object], ...] = (
    Function("concat", 1, None, _concat, url("concat")),
    Function("slice", 2, 3, _slice, url("slice")),
    Function("nthIndexOf", 3, 3, _nth_index_of, url("nthIndexOf")),
    Function("chunk", 2, 2, _chunk, url("chunk")),
    Function("utf8Length", 1, 1, lambda _, a: len(string(a, 0).encode("utf-8", "replace")), url("utf8Length")),
    Function("utf16Length", 1, 1, lambda _, a: len(units(string(a, 0))), url("utf16Length")),
)
