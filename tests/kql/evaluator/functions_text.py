"""Functions of texts (https://learn.microsoft.com/kusto/query/scalar-functions#string-functions)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import urllib.parse
from typing import Any

from lurewire.kql.types import KqlType as K

from .table import function
from .terms import fold, pattern
from .values import Refused, parse_json, to_text


def _substring(text: str, start: int, length: int | None = None) -> str:
    begin = max(len(text) + start, 0) if start < 0 else start
    if length is None:
        return text[begin:]
    return text[begin : begin + length] if length > 0 else ""


def _indexof(text: str, needle: str, start: int = 0, length: int = -1, occurrence: int = 1) -> int | None:
    """The documented example finds a second place beyond the first window: the length bounds each search anew."""
    place = len(text) + start if start < 0 else start
    if occurrence < 0 or length < -1 or place < 0:
        return None
    if not needle or occurrence == 0:
        raise Refused("indexof() of an empty text")
    for number in range(occurrence):
        begin = place + 1 if number else place
        place = text.find(needle, begin, len(text) if length == -1 else begin + length)
        if place < 0:
            return -1
    return place


def _split(text: str, delimiter: str, wanted: int | None = None) -> list[str]:
    if not delimiter:
        raise Refused("split() by an empty text")
    parts = text.split(delimiter)
    if wanted is None:
        return parts
    if wanted < 0:
        raise Refused("split() with a negative index")
    return parts[wanted : wanted + 1]


def template(rewrite: str) -> str:
    """A rewrite with `\\1` for its groups, as Python takes it."""
    return re.sub(r"\\(?!\d)", r"\\\\", rewrite).replace("\\0", r"\g<0>")


def _replace_regex(text: str, expression: str, rewrite: str) -> str:
    found = pattern(expression)
    if found.search("") is not None:
        raise Refused("replace_regex() of an expression that matches nothing at all")
    return found.sub(template(rewrite), text)


def _trimmed(where: str) -> Any:
    def trim(expression: str, text: str) -> str:
        pattern(expression)
        flags = "(?:" + expression + ")+"
        if expression.startswith("(?"):
            raise Refused("flags in trim()")
        if where in ("start", "both"):
            text = pattern("^" + flags).sub("", text, count=1)
        return pattern(flags + "$").sub("", text, count=1) if where in ("end", "both") else text

    return trim


def _countof(text: str, needle: str, kind: str = "normal") -> int:
    if kind == "regex":
        return sum(1 for _ in pattern(needle).finditer(text))
    if not needle:
        raise Refused("countof() of an empty text")
    return sum(1 for place in range(len(text)) if text.startswith(needle, place))


def _extract_all(expression: str, text: str) -> list[Any] | None:
    found = [list(match.groups("")) for match in pattern(expression).finditer(text)]
    if pattern(expression).groups == 0:
        raise Refused("extract_all() without groups")
    if not found:
        return None
    return [groups[0] for groups in found] if len(found[0]) == 1 else found


def _decode(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refused("base64 of bytes that are no text") from error


def _digest(name: str) -> Any:
    def digest(*pairs: tuple[Any, K]) -> str:
        value, kind = pairs[0]
        return hashlib.new(name, to_text(value, kind).encode(), usedforsecurity=False).hexdigest()

    return digest


def _translate(searched: str, replacement: str, text: str) -> str:
    if not replacement:
        raise Refused("translate() to nothing")
    padded = replacement.ljust(len(searched), replacement[-1])
    table: dict[str, str] = {}
    for old, new in zip(searched, padded, strict=False):
        table.setdefault(old, new)
    return "".join(table.get(character, character) for character in text)


def _parse_url(text: str) -> dict[str, Any]:
    found = re.fullmatch(
        r"(?:([A-Za-z][\w+.-]*)://)(?:([^:@/]*):([^@/]*)@)?([^:/?#@]+)(?::(\d+))?(/[^?#]*)?(?:\?([^#]*))?(?:#(.*))?",
        text,
    )
    if found is None or "%" in text or "+" in text:
        raise Refused(f"the URL {text!r}")
    scheme, user, password, host, port, path, query, fragment = (part or "" for part in found.groups())
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    if any(not mark for _, mark, _ in pairs) or len({key for key, _, _ in pairs}) != len(pairs):
        raise Refused(f"the query of the URL {text!r}")
    return {
        "Scheme": scheme, "Host": host, "Port": port, "Path": path, "Username": user, "Password": password,
        "Query Parameters": {key: value for key, _, value in pairs}, "Fragment": fragment,
    }  # fmt: skip


def _strcat_array(items: Any, delimiter: str) -> str:
    if not isinstance(items, list):
        raise Refused("strcat_array() of no array")
    return delimiter.join(to_text(item, K.DYNAMIC) for item in items)


def _strings(*pairs: tuple[Any, K]) -> str:
    return "".join(to_text(value, kind) for value, kind in pairs)


def _delimited(delimiter: tuple[str, K], *pairs: tuple[Any, K]) -> str:
    return delimiter[0].join(to_text(value, kind) for value, kind in pairs)


def _regex_place(text: str, expression: str) -> int:
    found = pattern(expression).search(text)
    return -1 if found is None else found.start()


def _percent(text: str) -> str:
    """Percent signs with small digits, as the page's example has them."""
    return re.sub("%..", lambda found: found[0].lower(), urllib.parse.quote(text, safe="-_.~"))


def _upper(text: str) -> str:
    if any(len(character.upper()) > 1 for character in text):
        raise Refused("toupper() of a character that becomes several")
    return text.upper()


def _repeated(value: tuple[Any, K], times: tuple[int, K], delimiter: tuple[str, K] = ("", K.STRING)) -> str:
    if times[0] < 0 or times[0] > 1024:
        raise Refused("strrep() out of its bounds")
    return delimiter[0].join([to_text(*value)] * times[0])


def _compare(one: str, other: str) -> int:
    return (one.encode() > other.encode()) - (one.encode() < other.encode())


function("strlen", "s", K.LONG, len)
function("string_size", "s", K.LONG, lambda text: len(text.encode()))
function("tolower lower", "s", K.STRING, fold)
function("toupper upper", "s", K.STRING, _upper)
function("reverse", "a", K.STRING, lambda pair: to_text(*pair)[::-1], nulls=True, typed=True)
function("substring", "sl?l", K.STRING, _substring)
function("indexof", "ss?lll", K.LONG, _indexof)
function("indexof_regex", "ss", K.LONG, _regex_place)
function("split", "ss?l", K.DYNAMIC, _split)
function("strcat", "a*", K.STRING, _strings, nulls=True, typed=True)
function("strcat_delim", "sa*", K.STRING, _delimited, nulls=True, typed=True)
function("strcat_array array_strcat", "ds", K.STRING, _strcat_array)
function("strrep", "al?s", K.STRING, _repeated, nulls=True, typed=True)
function("strcmp", "ss", K.LONG, _compare)
function("replace_string", "sss", K.STRING, lambda text, old, new: text.replace(old, new) if old else text)
function("replace_regex", "sss", K.STRING, _replace_regex)
function("replace", "sss", K.STRING, lambda expression, rewrite, text: _replace_regex(text, expression, rewrite))
function("trim", "ss", K.STRING, _trimmed("both"))
function("trim_start", "ss", K.STRING, _trimmed("start"))
function("trim_end", "ss", K.STRING, _trimmed("end"))
function("countof", "ss?s", K.LONG, _countof)
function("extract_all extractall", "ss", K.DYNAMIC, _extract_all)
function("isempty", "a", K.BOOL, lambda pair: to_text(*pair) == "", nulls=True, typed=True)
function("isnotempty notempty", "a", K.BOOL, lambda pair: to_text(*pair) != "", nulls=True, typed=True)
function("parse_json todynamic parsejson toobject", "s", K.DYNAMIC, parse_json)
function("url_encode_component", "s", K.STRING, _percent)
function("url_decode", "s", K.STRING, urllib.parse.unquote)
function("base64_encode_tostring base64_encodestring", "s", K.STRING, lambda t: base64.b64encode(t.encode()).decode())
function("base64_decode_tostring base64_decodestring", "s", K.STRING, _decode)
function("hash_sha256", "a", K.STRING, _digest("sha256"), nulls=True, typed=True)
function("hash_sha1", "a", K.STRING, _digest("sha1"), nulls=True, typed=True)
function("hash_md5", "a", K.STRING, _digest("md5"), nulls=True, typed=True)
function("translate", "sss", K.STRING, _translate)
function("parse_url parseurl", "s", K.DYNAMIC, _parse_url)
function("isascii", "s", K.BOOL, str.isascii)
function("unicode_codepoints_from_string", "s", K.DYNAMIC, lambda text: [ord(character) for character in text])
function("tohex", "l?l", K.STRING, lambda n, width=0: f"{n & (2**64 - 1):x}".rjust(width, "0"))
