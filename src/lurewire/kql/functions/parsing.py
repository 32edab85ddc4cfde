"""Texts of known forms: URLs, paths, versions, CSV, XML, command lines; and encodings that need Python."""

from __future__ import annotations

import base64
import binascii
import re
import struct
import urllib.parse
import uuid
import xml.parsers.expat
import zlib
from typing import Any

from lurewire.kql.types import ALL_TYPES, KqlType

from .common import scripted
from .registry import Param, anything, dynamic, text, whole

Json = Any
#: What a compressed text may grow to; beyond it the result is empty, as for text that is not compressed.
_INFLATED_BYTES = 64 << 20

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?:(?P<user>[^/?#@:]*)(?::(?P<password>[^/?#@]*))?@)?"
    r"(?P<host>\[[^\]]*\]|[^/?#:]*)(?::(?P<port>\d*))?)?(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?",
    re.DOTALL,
)


def _query(source: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in source.removeprefix("?").split("&") if part)
    return {name: value for name, _, value in pairs}


def _parse_url(source: str) -> Json:
    names = ("Scheme", "Host", "Port", "Path", "Username", "Password")
    match = _URL.fullmatch(source)
    group = {} if match is None else {name: value or "" for name, value in match.groupdict().items()}
    values = [group.get(name, "") for name in ("scheme", "host", "port", "path", "user", "password")]
    parts: dict[str, Json] = dict(zip(names, values, strict=True))
    parts["Query Parameters"] = _query(group.get("query", ""))
    parts["Fragment"] = group.get("fragment", "")
    return parts


def _parse_path(source: str) -> Json:
    rest, scheme, root, stream = source, "", "", ""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", rest)
    if match is not None:
        scheme, rest = match[1], rest[match.end() :]
    match = re.match(r"/?([A-Za-z]:)", rest)
    if match is not None:
        root, rest = match[1], rest[match.start(1) :]
    head, colon, tail = rest[len(root) :].rpartition(":")
    if colon and not re.search(r"[\\/]", tail):
        rest, stream = root + head, tail
    place = max(rest.rfind("/"), rest.rfind("\\"))
    directory, name = (rest[:place], rest[place + 1 :]) if place >= 0 else ("", rest)
    return {
        "Scheme": scheme,
        "RootPath": root,
        "DirectoryPath": directory,
        "DirectoryName": re.split(r"[\\/]", directory)[-1] if directory != root else "",
        "Filename": name,
        "Extension": name.rpartition(".")[2] if "." in name else "",
        "AlternateDataStreamName": stream,
    }


def _parse_csv(source: str) -> list[str]:
    """The fields of the first record; a quoted field may hold commas, line breaks and doubled quotes."""
    fields, place, size = [], 0, len(source)
    while True:
        if source.startswith('"', place):
            end = place + 1
            while end < size and not (source[end] == '"' and source[end + 1 : end + 2] != '"'):
                end += 2 if source[end] == '"' else 1
            value = source[place + 1 : end].replace('""', '"')
            place = end + 1
        else:
            value = ""
        end = place
        while end < size and source[end] not in ",\r\n":
            end += 1
        fields.append(value + source[place:end])
        if end >= size or source[end] != ",":
            return fields
        place = end + 1


def _arguments(source: str, kind: str) -> Json:
    """As CommandLineToArgvW: the first argument knows no escapes; later, backslashes count before a quote only."""
    if kind.lower() != "windows" or not source.strip(" \t"):
        return None
    first = re.match(r'\s*(?:"([^"]*)"?|([^ \t]*))', source)
    assert first is not None
    found = [first[1] if first[1] is not None else first[2]]
    current, quoted, started, place = "", False, False, first.end()
    while place < len(source):
        slashes = len(source) - place - len(source[place:].lstrip("\\"))
        after = source[place + slashes : place + slashes + 1]
        if slashes:
            current += "\\" * (slashes // 2 if after == '"' else slashes)
            started, place = True, place + slashes
            if after == '"' and slashes % 2:
                current, place = current + '"', place + 1
        elif after == '"':
            if quoted and source[place + 1 : place + 2] == '"':
                current, place = current + '"', place + 1
            else:
                quoted = not quoted
            started, place = True, place + 1
        elif after in " \t" and not quoted:
            if started:
                found.append(current)
            current, started, place = "", False, place + 1
        else:
            current, started, place = current + after, True, place + 1
    return [*found, current] if started else found


class _Tree:
    """The JSON of an XML document, element by element."""

    def __init__(self) -> None:
        self.stack: list[tuple[str, dict[str, Json], list[str]]] = [("", {}, [])]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self.stack) > 200:
            raise ValueError("an XML document nests too deeply")
        self.stack.append((name, {f"@{key}": value for key, value in attributes.items()}, []))

    def text(self, data: str) -> None:
        self.stack[-1][2].append(data)

    def end(self, name: str) -> None:
        _, slots, texts = self.stack.pop()
        value: Json = slots
        content = "".join(texts).strip()
        if content:
            value = {**slots, "#text": content} if slots else content
        elif not slots:
            value = None
        parent = self.stack[-1][1]
        if name not in parent:
            parent[name] = value
        elif isinstance(parent[name], list):
            parent[name].append(value)
        else:
            parent[name] = [parent[name], value]


def _refuse_declaration(*_: object) -> None:
    raise ValueError("an XML document must not declare entities")


def _parse_xml(source: str) -> Json:
    tree = _Tree()
    parser = xml.parsers.expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = tree.start, tree.end
    parser.CharacterDataHandler = tree.text
    parser.EntityDeclHandler = _refuse_declaration
    try:
        # The text is Unicode already, whatever encoding the declaration names.
        parser.Parse(re.sub(r"^\s*<\?xml[^>]*\?>", "", source), True)
    except (xml.parsers.expat.ExpatError, ValueError):
        return None
    return tree.stack[0][1]


def _url_encode(source: str, space: str, safe: str) -> str:
    encoded = urllib.parse.quote(source, safe=safe + " ").replace(" ", space)
    return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)


def _decode(source: str) -> bytes | None:
    try:
        return base64.b64decode(source, validate=True)
    except (binascii.Error, ValueError):
        return None


def _to_array(source: str) -> Json:
    data = _decode(source)
    return None if data is None else list(data)


def _from_array(array: Json) -> str:
    whole_bytes = isinstance(array, list) and all(type(item) is int and 0 <= item < 256 for item in array)
    return base64.b64encode(bytes(array)).decode() if whole_bytes else ""


def _to_guid(source: str) -> str | None:
    data = _decode(source)
    return str(uuid.UUID(bytes_le=data)) if data is not None and len(data) == 16 else None


def _inflate(source: str, window: int) -> str:
    data = _decode(source)
    if data is None:
        return ""
    try:
        inflater = zlib.decompressobj(window)
        plain = inflater.decompress(data, _INFLATED_BYTES)
        return plain.decode() if inflater.eof else ""
    except (zlib.error, UnicodeDecodeError):
        return ""


def _deflate(data: bytes, window: int) -> bytes:
    """A raw stream, or one with the header of zlib; what does not shrink is stored as it is."""
    streams = []
    for level in (1, 0):
        deflater = zlib.compressobj(level, zlib.DEFLATED, window)
        streams.append(deflater.compress(data) + deflater.flush())
    return min(streams[0], streams[1], key=len) if len(streams[0]) < len(data) else streams[1]


def _gzip(source: str) -> str:
    data = source.encode()
    head = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    tail = struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    return base64.b64encode(head + _deflate(data, -15) + tail).decode()


def _codepoints(values: list[Json]) -> str:
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    valid = all(type(item) is int and 0 <= item < 0x110000 and not 0xD800 <= item < 0xE000 for item in flat)
    return "".join(map(chr, flat)) if valid else ""


def _punycode_to(source: str) -> str:
    try:
        return source.encode("ascii").decode("punycode")
    except UnicodeError:
        return ""


def _punycode_from(source: str) -> str:
    encoded = source.encode("punycode").decode("ascii")
    # Text without a character of its own beyond ASCII ends in the delimiter alone.
    return encoded.removesuffix("-") if source.isascii() else encoded


#: The full stops that part the labels of an internationalized domain name (RFC 3490, 3.1).
_LABEL_ENDS = re.compile("[.\u3002\uff0e\uff61]")


def _domain_to(source: str) -> str:
    labels = _LABEL_ENDS.split(source)
    return ".".join(label if label.isascii() else f"xn--{_punycode_from(label)}" for label in labels)


def _domain_from(source: str) -> str:
    """Empty where a label cannot be decoded."""
    labels = []
    for label in _LABEL_ENDS.split(source):
        encoded = label.lower().startswith("xn--")
        labels.append(_punycode_to(label[4:]) if encoded else label)
        if encoded and not labels[-1]:
            return ""
    return ".".join(labels)


def _translate(search: str, replacement: str, source: str) -> str:
    """Each character of the search list becomes its counterpart; a short list is padded with its last character."""
    table: dict[int, str] = {}
    for place, character in enumerate(search):
        counterpart = replacement[place : place + 1] or replacement[-1:]
        table.setdefault(ord(character), counterpart)
    return source.translate(table)


_MARK = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def _replace_strings(source: str, lookups: Json, rewrites: Json) -> str:
    """One lookup after the other; what was replaced is not searched again, and parts one text from the next."""
    if not isinstance(lookups, list) or not isinstance(rewrites, list):
        return source
    # A mark stands for what was put in: two halves of surrogate pairs, which no text has.
    marked, put = source, dict[str, str]()
    for lookup, rewrite in zip(lookups, rewrites, strict=False):
        if not isinstance(lookup, str) or not lookup or lookup not in source:
            continue
        high, low = divmod(len(put), 0x400)
        mark = chr(0xD800 + high) + chr(0xDC00 + low)
        # A match whose rewrite is no string stays as it is.
        put[mark] = rewrite if isinstance(rewrite, str) else lookup
        marked = marked.replace(lookup, mark)
    return _MARK.sub(lambda match: put[match[0]], marked)


_SIZES = ("Bytes", "KB", "MB", "GB", "TB", "PB", "EB")


def _format_bytes(size: float, precision: int | None, unit: str | None) -> str:
    if unit:
        if unit not in _SIZES:
            return ""
        power = _SIZES.index(unit)
    else:
        power = 0
        while power < len(_SIZES) - 1 and abs(size) >= 1024.0 ** (power + 1):
            power += 1
    shown = f"{size / 1024.0**power:.{max(precision or 0, 0)}f}"
    return f"{shown.rstrip('0').rstrip('.') if '.' in shown else shown} {_SIZES[power]}"


_STRING, _DYNAMIC = KqlType.STRING, KqlType.DYNAMIC
_ANY_TEXT = Param("value", ALL_TYPES, KqlType.STRING)

FUNCTIONS = (
    scripted("parse_url", _parse_url, (text("url"),), _DYNAMIC, aliases=("parseurl",)),
    scripted(
        "parse_urlquery",
        lambda source: {"Query Parameters": _query(source)},
        (text("query"),),
        _DYNAMIC,
        aliases=("parseurlquery",),
        page="parse-url-query-function",
    ),
    scripted("parse_path", _parse_path, (text("path"),), _DYNAMIC),
    scripted("parse_csv", _parse_csv, (text("csv"),), _DYNAMIC, naming="first"),
    scripted("parse_command_line", _arguments, (text("command_line"), text("parser_type")), _DYNAMIC),
    scripted("parse_xml", _parse_xml, (text("xml"),), _DYNAMIC, naming="first"),
    scripted("url_encode", lambda source: _url_encode(source, "+", "!()*"), (text("url"),), _STRING, makes_null=False),
    scripted(
        "url_encode_component",
        lambda source: _url_encode(source, "%20", "!()*"),
        (text("url"),),
        _STRING,
        makes_null=False,
    ),
    scripted("url_decode", urllib.parse.unquote_plus, (text("url"),), _STRING, makes_null=False),
    scripted("base64_decode_toarray", _to_array, (text("source"),), _DYNAMIC),
    scripted("base64_decode_toguid", _to_guid, (text("source"),), KqlType.GUID),
    scripted("base64_encode_fromarray", _from_array, (dynamic("array"),), _STRING),
    scripted(
        "base64_encode_fromguid",
        lambda value: base64.b64encode(uuid.UUID(value).bytes_le).decode(),
        (Param("guid", frozenset({KqlType.GUID, KqlType.STRING, _DYNAMIC}), KqlType.GUID),),
        _STRING,
    ),
    scripted("gzip_compress_to_base64_string", _gzip, (text("source"),), _STRING, page="gzip-base64-compress"),
    scripted(
        "gzip_decompress_from_base64_string",
        lambda source: _inflate(source, 31),
        (text("source"),),
        _STRING,
        page="gzip-base64-decompress",
    ),
    scripted(
        "zlib_compress_to_base64_string",
        lambda source: base64.b64encode(_deflate(source.encode(), 15)).decode(),
        (text("source"),),
        _STRING,
        page="zlib-base64-compress-function",
    ),
    scripted(
        "zlib_decompress_from_base64_string",
        lambda source: _inflate(source, 15),
        (text("source"),),
        _STRING,
        page="zlib-base64-decompress-function",
    ),
    scripted(
        "unicode_codepoints_from_string",
        lambda source: [ord(item) for item in source],
        (text("source"),),
        _DYNAMIC,
        aliases=("to_utf8",),
    ),
    scripted(
        "unicode_codepoints_to_string",
        _codepoints,
        (anything("codepoint"),),
        _STRING,
        aliases=("make_string",),
        variadic=True,
        least=1,
        never_null=True,
    ),
    scripted("punycode_from_string", _punycode_from, (text("source"),), _STRING),
    scripted("punycode_to_string", _punycode_to, (text("source"),), _STRING),
    scripted("punycode_domain_from_string", _domain_from, (text("source"),), _STRING),
    scripted("punycode_domain_to_string", _domain_to, (text("source"),), _STRING),
    scripted("translate", _translate, (text("search"), text("replacement"), text("source")), _STRING),
    scripted("replace_strings", _replace_strings, (text("text"), dynamic("lookups"), dynamic("rewrites")), _STRING),
    scripted(
        "format_bytes",
        _format_bytes,
        (
            Param("size", frozenset({KqlType.INT, KqlType.LONG, KqlType.REAL, _DYNAMIC}), KqlType.REAL),
            whole("precision"),
            text("units"),
        ),
        _STRING,
        optional=2,
        naming="first",
    ),
)
