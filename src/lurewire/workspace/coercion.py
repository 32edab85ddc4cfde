"""One JSON value that does not have its column's type: converted where its text says the same thing, else null.

Azure drops no record for a mistyped value (contract, section B.3): the value becomes null.
"""

from __future__ import annotations

import math
import re
import uuid
from typing import TYPE_CHECKING, Any

import msgspec

from lurewire.kql import KqlType, ticks_from_text

if TYPE_CHECKING:
    from collections.abc import Callable

_INTEGER = re.compile(r"\s*[+-]?\d{1,19}\s*", re.ASCII)
_REAL = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_REAL_NAMES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_BOOLS = {"true": True, "false": False, "1": True, "0": False}

_ESCAPE = re.compile(
    rb"\\(?:u([dD][89aAbB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|.)", re.DOTALL
)
_KEPT = frozenset('"\\')


def coerce(raw: bytes, kind: KqlType) -> Any:
    """The stored form of one JSON text for a column of type `kind`; None for null, missing and what does not fit."""
    if raw in (b"", b"null"):
        return None
    return _COERCIONS[kind](raw)


def unescape(text: bytes) -> bytes:
    r"""JSON text whose `\uXXXX` escapes are the characters themselves, as Azure stores them.

    What JSON must escape stays escaped; half of a surrogate pair becomes U+FFFD.
    """
    return _ESCAPE.sub(_unescape_one, text)


def _unescape_one(match: re.Match[bytes]) -> bytes:
    high, low, single = match.groups()
    if high is not None:
        code = 0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00)
    elif single is not None:
        code = int(single, 16)
        if 0xD800 <= code <= 0xDFFF:
            code = 0xFFFD
    else:
        return match[0]
    character = chr(code)
    return match[0] if code < 0x20 or character in _KEPT else character.encode()


def _scalar(raw: bytes) -> Any:
    """The value of a JSON string, number or boolean; None for objects, arrays and numbers out of all range."""
    if raw[:1] in (b"{", b"["):
        return None
    try:
        return msgspec.json.decode(raw)
    except msgspec.ValidationError:
        return None


def _to_string(raw: bytes) -> str:
    return str(msgspec.json.decode(raw)) if raw[:1] == b'"' else raw.decode()


def _whole(raw: bytes, limit: int) -> int | None:
    value = _scalar(raw)
    whole_text = isinstance(value, str) and _INTEGER.fullmatch(value)
    if whole_text or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -limit <= value < limit else None


def _to_real(raw: bytes) -> float | None:
    value = _scalar(raw)
    if isinstance(value, str):
        if value in _REAL_NAMES:
            return _REAL_NAMES[value]
        if not _REAL.fullmatch(value):
            return None
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _to_bool(raw: bytes) -> bool | None:
    return _BOOLS.get(str(_scalar(raw)).lower())


def _to_ticks(raw: bytes) -> int | None:
    value = _scalar(raw)
    return ticks_from_text(value) if isinstance(value, str) else None


def _to_guid(raw: bytes) -> bytes | None:
    value = _scalar(raw)
    try:
        return uuid.UUID(value).bytes if isinstance(value, str) else None
    except ValueError:
        return None


_COERCIONS: dict[KqlType, Callable[[bytes], Any]] = {
    KqlType.BOOL: _to_bool,
    KqlType.INT: lambda raw: _whole(raw, 2**31),
    KqlType.LONG: lambda raw: _whole(raw, 2**63),
    KqlType.REAL: _to_real,
    KqlType.STRING: _to_string,
    KqlType.DATETIME: _to_ticks,
    KqlType.GUID: _to_guid,
    KqlType.DYNAMIC: lambda raw: raw.decode(),
}
