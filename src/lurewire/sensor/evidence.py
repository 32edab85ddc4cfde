r"""What an attacker sent, as JSON text: bounded, inert, and with nothing lost that is kept.

One representation for every value: valid UTF-8 stays as it is (escape sequences and mark-up are data), a byte that is
not UTF-8 and the NUL character become `\xNN`. Three neighbours tell more where there is more to tell, for a value
named `password`: `password_base64` holds the exact bytes where the text had to escape some, `password_length` the number
of bytes sent where they differ from the text's own, and a text that was cut ends with `TRUNCATION_MARKER`.
"""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Detail: TypeAlias = "bytes | str | int | float | bool | Sequence[Detail] | Mapping[str, Detail] | None"
"""A value on its way into `additional_data`; `bytes` are what an attacker sent, all else is the decoy's own word."""

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

TRUNCATION_MARKER = "...[truncated]"
_SMALLEST_CUT = 64


def as_text(raw: bytes, limit: int) -> tuple[str, dict[str, Json]]:
    """The text of `raw`, at most `limit` bytes of it, and its neighbours by suffix (`_length`, `_base64`)."""
    kept = raw[:limit]
    cut = len(kept) < len(raw)
    text, used = codecs.utf_8_decode(kept, "backslashreplace", not cut)
    kept = kept[:used]  # a character that the cut would split is left out whole
    exact = "\0" not in text
    if not exact:
        text = text.replace("\0", "\\x00")
    neighbours: dict[str, Json] = {}
    if not exact or not _is_utf8(kept):
        neighbours["_base64"] = base64.b64encode(kept).decode("ascii")
    if cut or neighbours:
        neighbours["_length"] = len(raw)
    return (text + TRUNCATION_MARKER if cut else text), neighbours


def details_json(details: Mapping[str, Detail], *, value_bytes: int, total_bytes: int) -> dict[str, Json]:
    """`details` as JSON values whose text is at most `total_bytes`; every value is cut further until it fits.

    Raises `ValueError` where even the smallest cut does not fit: the decoy itself said too much.
    """
    limit = value_bytes
    while True:
        shown = _object(details, limit)
        if len(canonical(shown)) <= total_bytes:
            return shown
        if limit <= _SMALLEST_CUT:
            msg = f"additional_data is over {total_bytes} bytes with every value cut to {limit}"
            raise ValueError(msg)
        limit = max(limit // 2, _SMALLEST_CUT)


def canonical(value: Mapping[str, Json]) -> bytes:
    """`value` as ASCII JSON with sorted keys: the same value gives the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _object(details: Mapping[str, Detail], limit: int) -> dict[str, Json]:
    shown: dict[str, Json] = {}
    for name, value in details.items():
        if isinstance(value, bytes):
            text, neighbours = as_text(value, limit)
            shown[name] = text
            shown.update({name + suffix: more for suffix, more in neighbours.items()})
        else:
            shown[name] = _value(value, limit)
    return shown


def _value(value: Detail, limit: int) -> Json:
    if isinstance(value, bytes):
        return as_text(value, limit)[0]
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return _object(value, limit)
    return [_value(item, limit) for item in value]


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
