"""Values of the evaluator and the conversions between KQL's types.

A value is plain Python: bool, int (int, long), float (real), Decimal, str, ticks as int (datetime, timespan), UUID, and for
dynamic what JSON holds. None is null; a string is never None. Written from Microsoft's pages on the scalar types
(https://learn.microsoft.com/kusto/query/scalar-data-types/), and on purpose without the engine's own conversions.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lurewire.kql.types import KqlType as K

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND = 10_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
EPOCH = dt.datetime(1, 1, 1)  # noqa: DTZ001 - every moment here is UTC
LAST_TICK = 3_652_059 * DAY - 1
WHOLE = (K.INT, K.LONG)
NUMERIC = (K.INT, K.LONG, K.REAL, K.DECIMAL)


class Refused(Exception):
    """The evaluator does not do this; the message names it."""


class Stopped(Exception):
    """The query stops with an error as it runs, such as a whole number beyond 64 bits."""


def moment_of(ticks: int) -> tuple[dt.datetime, int]:
    """A datetime's whole second and the ticks after it."""
    return EPOCH + dt.timedelta(seconds=ticks // SECOND), ticks % SECOND


def ticks_of(moment: dt.datetime, rest: int = 0) -> int:
    """Ticks of a moment of whole seconds."""
    gone = moment - EPOCH
    return gone.days * DAY + gone.seconds * SECOND + rest


def in_years(ticks: int | None) -> int | None:
    """The ticks of a datetime; what comes of one out of the years 1 to 9999 no page says."""
    if ticks is not None and not 0 <= ticks <= LAST_TICK:
        raise Refused("a datetime out of its years")
    return ticks


# Texts of values


def datetime_text(ticks: int) -> str:
    moment, rest = moment_of(ticks)
    return f"{moment.isoformat()}.{rest:07d}Z"


def timespan_text(ticks: int) -> str:
    sign = "-" if ticks < 0 else ""
    days, rest = divmod(abs(ticks), DAY)
    clock = f"{rest // HOUR:02d}:{rest // MINUTE % 60:02d}:{rest // SECOND % 60:02d}"
    fraction = f".{rest % SECOND:07d}" if rest % SECOND else ""
    return f"{sign}{f'{days}.' if days else ''}{clock}{fraction}"


def real_text(value: float) -> str:
    """The shortest text that gives the number back, with a point at least. Where an exponent begins no page says."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0.0" if math.copysign(1, value) < 0 else "0.0"
    if not 1e-4 <= abs(value) < 1e14:
        raise Refused(f"the text of the real {value!r}")
    return repr(value)


def json_text(value: Any) -> str:
    """The compact JSON text of a dynamic value."""
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))


def plain(value: Any) -> Any:
    """A dynamic value without the numbers that JSON cannot write."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def to_text(value: Any, kind: K) -> str:
    """tostring()."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    match kind:
        case K.STRING:
            return str(value)
        case K.REAL:
            return real_text(value)
        case K.DATETIME:
            return datetime_text(value)
        case K.TIMESPAN:
            return timespan_text(value)
        case K.DECIMAL:
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
        case K.DYNAMIC:
            return value if isinstance(value, str) else json_text(value)
        case _:
            return str(value)


# Texts to values


def whole_from_text(text: str, bits: int) -> int | None:
    found = re.fullmatch(r"\s*([+-]?)(?:(\d+)|0[xX]([0-9a-fA-F]+))\s*", text, re.ASCII)
    if found is None:
        real = real_from_text(text)
        return whole_from_real(real, bits)
    number = int(found[2]) if found[2] else int(found[3], 16)
    number = -number if found[1] == "-" else number
    return number if -(2 ** (bits - 1)) <= number < 2 ** (bits - 1) else None


def real_from_text(text: str) -> float | None:
    bare = text.strip()
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", bare, re.ASCII):
        return float(bare)
    named = {"nan": math.nan, "inf": math.inf, "+inf": math.inf, "-inf": -math.inf}
    named |= {"infinity": math.inf, "-infinity": -math.inf, "+infinity": math.inf}
    return named.get(bare.lower())


def whole_from_real(value: float | Decimal | None, bits: int) -> int | None:
    if value is None or not math.isfinite(value):
        return None
    number = math.trunc(value)
    return number if -(2 ** (bits - 1)) <= number < 2 ** (bits - 1) else None


def bool_from_text(text: str) -> bool | None:
    known = {"true": True, "false": False, "1": True, "0": False}.get(text.strip().lower())
    if known is None and real_from_text(text) is not None:
        raise Refused("the number of a text as a bool")
    return known


_ISO = re.compile(
    r"\s*(\d{4})[-/](\d{1,2})[-/](\d{1,2})"
    r"(?:(?:T|t|\s+)(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d+))?)?)?\s*(Z|z|[+-]\d{2}:?\d{2})?\s*",
    re.ASCII,
)


def datetime_from_text(text: str) -> int | None:
    """The ISO forms; every other form is refused rather than guessed."""
    found = _ISO.fullmatch(text)
    if found is None:
        if re.search(r"\d", text) and re.search(r"[a-zA-Z]{3}|/|:|-", text) and len(text) > 5:
            raise Refused(f"the datetime text {text!r}")
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    rest = int((found[7] or "0")[:7].ljust(7, "0"))
    zone = 0
    if found[8] and found[8] not in "Zz":
        digits = found[8][1:].replace(":", "")
        zone = (int(digits[:2]) * HOUR + int(digits[2:]) * MINUTE) * (-1 if found[8][0] == "-" else 1)
    try:
        moment = dt.datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - as above
    except ValueError:
        return None
    ticks = ticks_of(moment, rest) - zone
    return ticks if 0 <= ticks <= LAST_TICK else None


_CLOCK = re.compile(r"\s*(-)?(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?\s*", re.ASCII)
_UNITS = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": 10_000, "microsecond": 10, "tick": 1}


def timespan_from_text(text: str) -> int | None:
    if found := _CLOCK.fullmatch(text):
        hours, minutes, seconds = int(found[3]), int(found[4]), int(found[5] or 0)
        if hours > 23 or minutes > 59 or seconds > 59:
            return None
        ticks = int(found[2] or 0) * DAY + hours * HOUR + minutes * MINUTE + seconds * SECOND
        ticks += int((found[6] or "0").ljust(7, "0"))
        return _within_64_bits(-ticks if found[1] else ticks)
    if found := re.fullmatch(r"\s*(-)?(\d+)(\.\d+)?\s*([a-z]+)?\s*", text, re.ASCII):
        unit = _UNITS.get(found[4] or "d")
        if unit is None:
            raise Refused(f"the timespan text {text!r}")
        ticks = math.floor(Decimal(found[2] + (found[3] or "")) * unit)
        return _within_64_bits(-ticks if found[1] else ticks)
    return None


def _within_64_bits(ticks: int) -> int | None:
    return ticks if -(2**63) <= ticks < 2**63 else None


def guid_from_text(text: str) -> uuid.UUID | None:
    """The guid that a text begins with; what comes after its 32 digits is ignored."""
    found = re.match(r"[ {]*([0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12})", text)
    return None if found is None else uuid.UUID(found[1])


def parse_json(text: str) -> Any:
    """The JSON value of a text; the text itself where it is none."""

    def refuse(word: str) -> Any:
        raise ValueError(word)

    if not text:
        return None
    try:
        return json.loads(text, parse_constant=refuse)
    except ValueError:
        return text


# Conversions


def from_dynamic(value: Any, kind: K) -> Any:
    """What a dynamic value is as another type: of its own kind, or by its text."""
    if kind is K.STRING:
        return to_text(value, K.DYNAMIC)
    if value is None or isinstance(value, list | dict):
        return None
    if isinstance(value, bool):
        if kind is not K.BOOL:
            raise Refused(f"a dynamic bool as {kind}")
        return value
    if isinstance(value, int | float) and kind in (K.DATETIME, K.TIMESPAN):
        raise Refused(f"a dynamic number as {kind}: no page says what it counts")
    if isinstance(value, int):
        return convert(value, K.LONG, kind)
    if isinstance(value, float):
        return convert(value, K.REAL, kind)
    return convert(value, K.STRING, kind)


def to_dynamic(value: Any, kind: K) -> Any:
    """A value as an element of a dynamic one."""
    if kind in (K.DATETIME, K.TIMESPAN, K.GUID, K.DECIMAL) and value is not None:
        return to_text(value, kind)
    return value


_FROM_TEXT: dict[K, Callable[[str], Any]] = {
    K.BOOL: bool_from_text,
    K.INT: lambda text: whole_from_text(text, 32),
    K.LONG: lambda text: whole_from_text(text, 64),
    K.REAL: real_from_text,
    K.DATETIME: datetime_from_text,
    K.TIMESPAN: timespan_from_text,
    K.GUID: guid_from_text,
}


def convert(value: Any, source: K, target: K) -> Any:
    """A value as another type; null where it cannot be one."""
    if source is target:
        return value
    if target is K.STRING:
        return to_text(value, source)
    if target is K.DYNAMIC:
        return to_dynamic(value, source)
    if value is None:
        return None
    if source is K.DYNAMIC:
        return from_dynamic(value, target)
    if source is K.STRING and target in _FROM_TEXT:
        return _FROM_TEXT[target](value)
    if source in (*NUMERIC, K.BOOL) and target in (*NUMERIC, K.BOOL):
        return _number(value, target)
    if target in WHOLE and source in (K.DATETIME, K.TIMESPAN):
        return value
    if source in WHOLE and target in (K.DATETIME, K.TIMESPAN):
        return in_years(value) if target is K.DATETIME else value
    raise Refused(f"the conversion of {source} to {target}")


def _number(value: Any, target: K) -> Any:
    if target is K.BOOL:
        return value != 0
    if target is K.REAL:
        return float(value)
    if target is K.DECIMAL:
        raise Refused("conversions to decimal")
    bits = 32 if target is K.INT else 64
    if isinstance(value, bool):
        return int(value)
    return whole_from_real(value, bits) if isinstance(value, float | Decimal) else _fits(value, bits)


def _fits(value: int, bits: int) -> int | None:
    return value if -(2 ** (bits - 1)) <= value < 2 ** (bits - 1) else None


# Equality and order


def canonical(value: Any) -> Any:
    """Something hashable that is equal where two values of one type are the same."""
    if isinstance(value, list | dict):
        return ("json", json_text(value))
    if isinstance(value, float) and math.isnan(value):
        return ("nan",)
    return (type(value).__name__ if isinstance(value, bool | str) else "", value)


def sort_key(value: Any) -> Any:
    """A key that orders values of one type; strings by their UTF-8 bytes."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, uuid.UUID):
        return value.hex
    return value


def is_missing(value: Any) -> bool:
    """Null, or NaN: sort puts them together at one end."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def checked_bin(value: Any, size: Any, origin: Any) -> Any:
    """bin() and bin_at(): the multiple of `size` after `origin` at or below the value; null for a size not above zero."""
    if size <= 0:
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Refused("bin() of NaN or an infinity")
        return math.floor((value - origin) / size) * size + origin
    return (value - origin) // size * size + origin
