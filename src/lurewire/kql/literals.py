"""Literal tokens to values: strings, numbers, typed literals such as `datetime(...)` and `guid(...)`."""

from __future__ import annotations

import decimal
import math
import re
import uuid
from dataclasses import dataclass

from . import ticks
from .errors import SYNTAX_TOKEN, Problem
from .types import TYPE_NAMES, KqlType

#: Values as the plan keeps them: datetime and timespan as ticks, guid as UUID, dynamic as JSON text, null as None.
Value = bool | int | float | decimal.Decimal | str | uuid.UUID | None

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|([0-7]{1,3})|(.))", re.DOTALL)
_SIMPLE = {"\\": "\\", '"': '"', "'": "'", "t": "\t", "n": "\n", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


@dataclass(frozen=True, slots=True)
class TypedValue:
    """A literal's type and value."""

    type: KqlType
    value: Value


def bad_literal(message: str, at: int, token: str) -> Problem:
    """The syntax problem of a literal that says nothing."""
    return Problem("syntax", SYNTAX_TOKEN, message, at, token)


def string_value(token: str, at: int) -> str:
    """The string that a string token stands for."""
    body = token[1:] if token[0] in "hH" else token
    if body.startswith(("```", "~~~")):
        return body[3:-3]
    if body[0] == "@":
        quote = body[1]
        return body[2:-1].replace(quote * 2, quote)
    inner = body[1:-1]
    if "\\" not in inner:
        return inner

    def unescape(match: re.Match[str]) -> str:
        short, long, byte, octal, simple = match.groups()
        if simple is not None:
            if simple not in _SIMPLE:
                raise bad_literal(f"invalid escape sequence '\\{simple}' in a string", at, token)
            return _SIMPLE[simple]
        code = int(octal, 8) if octal else int(short or long or byte, 16)
        if code > 0x10FFFF:
            raise bad_literal("a character code beyond Unicode in a string", at, token)
        return chr(code)

    text = _ESCAPE.sub(unescape, inner)
    if any("\ud800" <= character <= "\udfff" for character in text):
        try:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise bad_literal("half of a surrogate pair in a string", at, token) from None
    return text


def long_value(token: str, at: int) -> TypedValue:
    """A whole number, decimal or hexadecimal, as long."""
    number = int(token, 16) if token[:2] in ("0x", "0X") else _integer(token, at)
    if number >= 2**64 or (number >= 2**63 and token[:2] not in ("0x", "0X")):
        raise bad_literal("a number beyond the range of long", at, token)
    return TypedValue(KqlType.LONG, number - 2**64 if number >= 2**63 else number)


def _integer(digits: str, at: int) -> int:
    if len(digits) > 20:
        raise bad_literal("a number beyond the range of long", at, digits)
    return int(digits)


def timespan_value(token: str, at: int) -> TypedValue:
    """A number with a unit, such as `1.5h`."""
    value = ticks.timespan_from_text(token)
    if value is None:
        raise bad_literal("a timespan out of range", at, token)
    return TypedValue(KqlType.TIMESPAN, value)


def typed_value(token: str, at: int) -> TypedValue | None:
    """The value of a literal such as `datetime(2026-01-01)`; None for `datetime()`, which means now."""
    name, _, rest = token.partition("(")
    kind = TYPE_NAMES[name.strip()]
    text = rest[:-1].strip()
    if text[:1] in ('"', "'"):
        text = text[1:-1]
    if text == "null":
        return TypedValue(kind, None)
    if not text and kind is KqlType.DATETIME:
        return None
    if kind is KqlType.DATETIME:
        text = re.sub(r"(?<=\d) *- *(?=\d)", "-", text)
    value = _PARSERS[kind](text)
    if value is None:
        raise bad_literal(f"not a {kind} literal", at, token)
    return TypedValue(kind, value)


def _bool(text: str) -> bool | None:
    return {"true": True, "false": False, "1": True, "0": False}.get(text.lower())


def _whole(text: str, bits: int) -> int | None:
    match = re.fullmatch(r"([+-]?)\s*(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})", text)
    if match is None:
        return None
    digits = match[2]
    number = int(digits, 16) if digits[:2] in ("0x", "0X") else int(digits)
    number = -number if match[1] == "-" else number
    return number if -(2 ** (bits - 1)) <= number < 2 ** (bits - 1) else None


def _real(text: str) -> float | None:
    special = {"nan": math.nan, "+inf": math.inf, "inf": math.inf, "-inf": -math.inf}
    if text.lower() in special:
        return special[text.lower()]
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", text):
        return float(text)
    return None


def _decimal(text: str) -> decimal.Decimal | None:
    if not re.fullmatch(r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,2})?", text):
        return None
    with decimal.localcontext(prec=80):
        value = decimal.Decimal(text).quantize(decimal.Decimal(1).scaleb(-17))
    return value if abs(value) < decimal.Decimal(10) ** 17 else None


def _guid(text: str) -> uuid.UUID | None:
    if not re.fullmatch(r"\{?[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?", text):
        return None
    return uuid.UUID(text)


def _timespan(text: str) -> int | None:
    return ticks.timespan_from_text(text)


_PARSERS = {
    KqlType.BOOL: _bool,
    KqlType.INT: lambda text: _whole(text, 32),
    KqlType.LONG: lambda text: _whole(text, 64),
    KqlType.REAL: _real,
    KqlType.DECIMAL: _decimal,
    KqlType.DATETIME: ticks.ticks_from_text,
    KqlType.TIMESPAN: _timespan,
    KqlType.GUID: _guid,
}
