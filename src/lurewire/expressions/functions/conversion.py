"""Conversion functions."""

from __future__ import annotations

import base64
import math
import re
from typing import Any
from urllib.parse import unquote

import msgspec

from lurewire.expressions.errors import FunctionError
from lurewire.expressions.functions.arguments import INT64_MAX, INT64_MIN, refuse, string, url
from lurewire.expressions.functions.strings import BLANKS
from lurewire.expressions.table import Function
from lurewire.expressions.values import base64_bytes, content, content_bytes, is_content, is_number, kind, text

_WHOLE = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.0*)?|[+-]?[0-9]+(?:\.0*)?")
_REAL = re.compile(r"[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


def _not_converted(value: Any, target: str) -> FunctionError:
    shown = text(value) if not isinstance(value, list | dict) else kind(value)
    return FunctionError(
        f"was invoked with a parameter that is not valid. The value '{shown[:100]}' cannot be converted to {target}."
    )


def _int(_: object, arguments: list[Any]) -> int:
    value = arguments[0]
    if isinstance(value, str) and _WHOLE.fullmatch(trimmed := value.strip(BLANKS)):
        found = int(trimmed.replace(",", "").partition(".")[0])
    elif is_number(value) and float(value).is_integer():
        found = int(value)
    elif isinstance(value, float):
        found = math.trunc(value)
    else:
        raise _not_converted(value, "an integer")
    if not INT64_MIN <= found <= INT64_MAX:
        raise _not_converted(value, "a 64-bit integer")
    return found


def _float(_: object, arguments: list[Any]) -> float:
    value = arguments[0]
    if is_number(value):
        return float(value)
    if isinstance(value, str):
        trimmed = value.strip(BLANKS)
        if any(c.isdigit() for c in trimmed) and _REAL.fullmatch(trimmed):
            found = float(trimmed.replace(",", ""))
            if math.isfinite(found):
                return found
    raise _not_converted(value, "a finite float")


def _bool(_: object, arguments: list[Any]) -> bool:
    value = arguments[0]
    if isinstance(value, bool):
        return value
    if is_number(value):
        return bool(value != 0)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _not_converted(value, "a Boolean")


def _json(_: object, arguments: list[Any]) -> Any:
    value = arguments[0]
    if is_content(value):
        value = content_bytes(value)
    elif not isinstance(value, str):
        raise refuse("a string or an XML. The provided value cannot be parsed", value)
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        message = f"was invoked with a parameter that is not valid JSON: {error}."
        raise FunctionError(message) from None


def _array(_: object, arguments: list[Any]) -> list[Any]:
    return arguments[0] if isinstance(arguments[0], list) else [arguments[0]]


def as_bytes(value: Any) -> bytes:
    """A value as bytes: a content object's own, else its text in UTF-8."""
    return content_bytes(value) if is_content(value) else text(value).encode("utf-8", "replace")


def _binary(_: object, arguments: list[Any]) -> dict[str, str]:
    if arguments[0] is None:
        raise refuse("a value that is not null", None)
    return content(as_bytes(arguments[0]), "application/octet-stream")


def uri_component(value: str) -> str:
    """Percent-encode everything but letters, digits and `-_.~`, as .NET's `Uri.EscapeDataString` does."""
    return "".join(chr(b) if b in _UNRESERVED else f"%{b:02X}" for b in value.encode("utf-8", "replace"))


def _decoded(_: object, arguments: list[Any]) -> str:
    return unquote(string(arguments, 0), "utf-8", "replace")


def _data_uri(_: object, arguments: list[Any]) -> str:
    value = arguments[0]
    if value is None:
        raise refuse("a value that is not null", None)
    media = (
        value["$content-type"]
        if is_content(value)
        else f"{'text/plain' if isinstance(value, str) else 'application/json'};charset=utf-8"
    )
    return f"data:{media};base64,{base64.b64encode(as_bytes(value)).decode('ascii')}"


CONVERSION: tuple[Function[object], ...] = (
    Function("int", 1, 1, _int, url("int")),
    Function("float", 1, 1, _float, url("float")),
    Function("bool", 1, 1, _bool, url("bool")),
    Function("string", 1, 1, lambda _, a: text(a[0]), url("string")),
    Function("json", 1, 1, _json, url("json")),
    Function("array", 1, 1, _array, url("array")),
    Function("base64", 1, 1, lambda _, a: base64.b64encode(as_bytes(a[0])).decode("ascii"), url("base64")),
    Function(
        "base64ToString",
        1,
        1,
        lambda _, a: base64_bytes(string(a, 0)).decode("utf-8", "replace"),
        url("base64ToString"),
    ),
    Function("uriComponent", 1, 1, lambda _, a: uri_component(text(a[0])), url("uriComponent")),
    Function("uriComponentToString", 1, 1, _decoded, url("uriComponentToString")),
    Function("dataUri", 1, 1, _data_uri, url("dataUri")),
)

WORKFLOW_CONVERSION: tuple[Function[object], ...] = (
    Function("encodeUriComponent", 1, 1, lambda _, a: uri_component(text(a[0])), url("encodeUriComponent")),
    Function("decodeUriComponent", 1, 1, _decoded, url("decodeUriComponent")),
    Function("binary", 1, 1, _binary, url("binary")),
    Function(
        "base64ToBinary",
        1,
        1,
        lambda _, a: content(base64_bytes(string(a, 0)), "application/octet-stream"),
        url("base64ToBinary"),
    ),
    Function(
        "decodeBase64", 1, 1, lambda _, a: base64_bytes(string(a, 0)).decode("utf-8", "replace"), url("decodeBase64")
    ),
)
