"""What the log keeps of a request: enough to see what a client sent, and no secret."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

HIDDEN = "***"
_GZIP = 31
_SECRET_HEADERS = frozenset({"cookie", "x-identity-header", "x-ms-authorization-auxiliary"})
_NAMES = (
    r"secret|password|passwd|pwd|pfx|token|credential|assertion|connection[_-]?string"
    r"|(?:api|access|account|functions|primary|private|secondary|shared|storage|subscription|workspace)[_-]?key"
)
_SECRET_NAME = re.compile(rf"(?:{_NAMES})s?$|^(?:proxy-)?authorization$|^(?:sig|code|key)$", re.IGNORECASE)
_SECRET_PAIR = re.compile(rf"((?:^|[?&\s])(?:sig|code|key|[\w.-]*(?:{_NAMES})s?)=)[^&#\s\"'<>]+", re.IGNORECASE)
"""A parameter of a URL or form that stands inside a text."""

_SECRET_TYPES = frozenset({"securestring", "secureobject"})
_WITH_SECRET_VALUE = _SECRET_TYPES | {"raw"}
"""`type` (lower case) of what is secret by its `value`: parameters, and the authentication of an action that is a header as it is."""

_CONNECTION_VALUES = frozenset({"parametervalues", "customparametervalues", "parametervalueset"})
_VAULT_SECRET = re.compile(r"/providers/+microsoft\.keyvault/+vaults/+[^/]+/+secrets(/|$)", re.IGNORECASE)


@dataclass(slots=True)
class Entry:
    """One request, as the log shows it. `body` is JSON where it was JSON and is whole, else text; None: none came, or it is not kept."""

    number: int
    time: str
    method: str
    path: str
    query: str
    room: str | None
    route: str | None
    headers: dict[str, str]
    body_bytes: int = 0
    body: Any = None
    body_cut: bool = False
    fault: str | None = None
    status: int | None = None
    answer_headers: dict[str, str] = field(default_factory=dict)
    answer: Any = None
    cut: str | None = None
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The entry as the API gives it."""
        return {
            "number": self.number,
            "time": self.time,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "room": self.room,
            "route": self.route,
            "headers": self.headers,
            "bodyBytes": self.body_bytes,
            "body": self.body,
            "bodyCut": self.body_cut,
            "fault": self.fault,
            "answer": {"status": self.status, "headers": self.answer_headers, "body": self.answer, "cut": self.cut},
            "seconds": round(self.seconds, 6),
        }


def shown_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name, secrets hidden; of `Authorization` the scheme stays, of a shared key also its id."""
    shown: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "authorization":
            value = _authorization(value)
        elif name in _SECRET_HEADERS or _SECRET_NAME.search(name):
            value = HIDDEN
        shown[name] = f"{shown[name]}, {value}" if name in shown else value
    return shown


def shown_query(query: bytes) -> str:
    """A query string with the values of secret parameters hidden."""
    text = query.decode("latin-1")
    parts = text.split("&") if text else []
    names = [part.partition("=")[0] for part in parts]
    return "&".join(
        f"{name}={HIDDEN}" if _SECRET_NAME.search(unquote(name)) else part
        for name, part in zip(names, parts, strict=True)
    )


def shown_body(
    room: str | None, headers: Mapping[str, str], body: bytes, limit: int, path: str = ""
) -> tuple[Any, bool]:
    """What the log shows of a body of which `body` is the beginning, and whether it is cut off at `limit` bytes."""
    if not body:
        return None, False
    if "gzip" in headers.get("content-encoding", "").lower() or body[:2] == b"\x1f\x8b":
        body = _unpacked(body, limit)
    cut = len(body) > limit
    if _VAULT_SECRET.search(path):
        return None, cut
    text = body[:limit].decode("utf-8", "replace")
    return _KEPT.get(room or "", _without_secrets)(text, headers, cut), cut


def shown_answer(status: int, body: bytes) -> Any:
    """An error's body; what a success says is the client's, and may be a token."""
    if status < 400 or not body:
        return None
    text = body.decode("utf-8", "replace")
    try:
        return _parsed(text)
    except (ValueError, RecursionError):
        return text


def _parsed(text: str) -> Any:
    """JSON that can be written again: raises `ValueError` for what is none, such as NaN or half of a surrogate pair."""
    value = msgspec.json.decode(text)
    msgspec.json.encode(value)
    return value


def _authorization(value: str) -> str:
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "sharedkey" and ":" in rest:
        return f"{scheme} {rest.partition(':')[0]}:{HIDDEN}"
    return f"{scheme} {HIDDEN}" if rest else HIDDEN


def _unpacked(body: bytes, limit: int) -> bytes:
    """At most `limit` + 1 bytes of what is packed; the packed bytes where they are none."""
    try:
        return zlib.decompressobj(_GZIP).decompress(body, limit + 1)
    except zlib.error:
        return body


def _as_sent(text: str, _headers: Mapping[str, str], cut: bool) -> Any:
    try:
        return text if cut else _parsed(text)
    except (ValueError, RecursionError):
        return text


def _not_kept(_text: str, _headers: Mapping[str, str], _cut: bool) -> Any:
    return None


def _without_secrets(text: str, headers: Mapping[str, str], cut: bool) -> Any:
    """A form or JSON with its secrets hidden; what is neither, or is cut off, cannot be searched and is not kept."""
    if cut:
        return None
    if "form-urlencoded" in headers.get("content-type", ""):
        pairs = parse_qsl(text, keep_blank_values=True)
        return urlencode([(k, HIDDEN if _SECRET_NAME.search(k) else v) for k, v in pairs], safe="*/:")
    try:
        return _hidden(_parsed(text))
    except (ValueError, RecursionError):
        return None


def _hidden(value: Any) -> Any:
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    if isinstance(value, str):
        return _SECRET_PAIR.sub(rf"\g<1>{HIDDEN}", value)
    if not isinstance(value, dict):
        return value
    kind = str(value.get("type", "")).lower()
    secure = kind in _WITH_SECRET_VALUE
    declared = _declared_secure(value)
    shown: dict[str, Any] = {}
    for name, item in value.items():
        plain = not isinstance(item, dict | list)
        if (plain and _SECRET_NAME.search(name)) or (secure and name in ("value", "defaultValue")):
            shown[name] = HIDDEN
        elif name.lower() in _CONNECTION_VALUES and isinstance(item, dict):
            shown[name] = dict.fromkeys(item, HIDDEN)
        elif name == "properties" and isinstance(item, dict) and kind.rpartition("/")[2] == "secrets":
            shown[name] = _hidden(item) | ({"value": HIDDEN} if "value" in item else {})
        elif name == "parameters" and isinstance(item, dict):
            shown[name] = {
                k: HIDDEN if k.lower() in declared or _SECRET_NAME.search(k) else _hidden(v) for k, v in item.items()
            }
        else:
            shown[name] = _hidden(item)
    return shown


def _declared_secure(value: Mapping[str, Any]) -> frozenset[str]:
    """The parameters (lower case) that the template or workflow definition beside `parameters` declares to be secret."""
    beside = [one.get("parameters") for name in ("template", "definition") if isinstance(one := value.get(name), dict)]
    return frozenset(
        name.lower()
        for declared in beside
        if isinstance(declared, dict)
        for name, one in declared.items()
        if isinstance(one, dict) and str(one.get("type", "")).lower() in _SECRET_TYPES
    )


_KEPT: Mapping[str, Callable[[str, Mapping[str, str], bool], Any]] = {
    # The rows and queries are what a client's author looks for; a column named `password` is the decoys' business.
    "ingestion": _as_sent,
    "workspace": _as_sent,
    "vault": _not_kept,
}
