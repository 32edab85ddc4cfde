"""Which HTTP requests are unambiguous: everything else is one interaction and the end of the connection.

Request smuggling lives on bytes that two parsers read differently. A head is passed to the parser only if none of the
rules below is broken (RFC 9112 sections 2.2, 3, 5 and 6; RFC 9110 section 5.6); they are stricter than the standard
wherever it lets a receiver choose.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
HEAD_END = re.compile(rb"\r?\n\r?\n")
_METHOD_START = re.compile(rb"[A-Za-z]")
_REQUEST_LINE = re.compile(rb"%s [\x21-\x7e]+ HTTP/[0-9]\.[0-9]" % _TOKEN)
_FIELD = re.compile(rb"(%s):(.*)" % _TOKEN)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_VERSIONS = (b"HTTP/1.0", b"HTTP/1.1")


def broken_start(data: bytes) -> str | None:
    """The rule that the first byte of a connection breaks."""
    return None if _METHOD_START.match(data) else "not_http"


def broken_rule(head: bytes) -> str | None:
    """The name of the first rule that `head` (request line and headers, with the empty line) breaks."""
    if re.search(rb"(?<!\r)\n", head):
        return "bare_line_feed"
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    for name, rule in _LINE_RULES.items():
        if any(rule(number, line) for number, line in enumerate(lines)):
            return name
    version = lines[0].rpartition(b" ")[2]
    if version not in _VERSIONS:
        return "unknown_version"
    fields: dict[bytes, list[bytes]] = {}
    for line in lines[1:]:
        match = _FIELD.fullmatch(line)
        assert match is not None
        fields.setdefault(match[1].lower(), []).append(match[2].strip(b" \t"))
    return next((name for name, rule in _FIELD_RULES.items() if rule(version, fields)), None)


def _is_field(line: bytes) -> bool:
    return _FIELD.fullmatch(line) is not None


_LINE_RULES: Mapping[str, Callable[[int, bytes], bool]] = {
    "bare_carriage_return": lambda _number, line: b"\r" in line,
    "folded_header": lambda number, line: number > 0 and line[:1] in (b" ", b"\t"),
    "control_character": lambda _number, line: _CONTROL.search(line) is not None,
    "space_before_colon": lambda number, line: number > 0 and line.partition(b":")[0][-1:] in (b" ", b"\t"),
    "malformed_request_line": lambda number, line: number == 0 and _REQUEST_LINE.fullmatch(line) is None,
    "malformed_header": lambda number, line: number > 0 and not _is_field(line),
}
"""Rules over single lines (0 is the request line), in the order in which they are named."""

_FIELD_RULES: Mapping[str, Callable[[bytes, Mapping[bytes, list[bytes]]], bool]] = {
    "content_length_and_transfer_encoding": lambda _version, fields: (
        b"content-length" in fields and b"transfer-encoding" in fields
    ),
    "several_content_lengths": lambda _version, fields: len(fields.get(b"content-length", [])) > 1,
    "malformed_content_length": lambda _version, fields: any(
        _LENGTH.fullmatch(value) is None for value in fields.get(b"content-length", [])
    ),
    "transfer_encoding_not_chunked": lambda _version, fields: (
        b"transfer-encoding" in fields and [value.lower() for value in fields[b"transfer-encoding"]] != [b"chunked"]
    ),
    "transfer_encoding_in_http_1_0": lambda version, fields: version == b"HTTP/1.0" and b"transfer-encoding" in fields,
    "several_hosts": lambda _version, fields: len(fields.get(b"host", [])) > 1,
}
"""Rules over the headers together."""

RULES = (
    "not_http",
    "bare_line_feed",
    *_LINE_RULES,
    "unknown_version",
    *_FIELD_RULES,
)
"""Every rule's name, in the order in which they are tried; more values of `reason` are in `http`."""
