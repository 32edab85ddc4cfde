"""URI functions of workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from lurewire.expressions.errors import FunctionError
from lurewire.expressions.functions.arguments import string, url
from lurewire.expressions.table import Function

if TYPE_CHECKING:
    from collections.abc import Callable

_DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21}


def _split(arguments: list[Any]) -> SplitResult:
    text = string(arguments, 0)
    try:
        parts = urlsplit(text)
        usable = bool(parts.scheme and parts.hostname) and parts.port is not False
    except ValueError:
        usable = False
    if not usable:
        message = f"expects its parameter to be an absolute URI. The provided value is '{text[:200]}'."
        raise FunctionError(message)
    return parts


def _path_and_query(parts: SplitResult) -> str:
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.path or '/'}{query}"


def _part(name: str, read: Callable[[SplitResult], Any]) -> Function[object]:
    return Function(name, 1, 1, lambda _, arguments: read(_split(arguments)), url(name))


URIS: tuple[Function[object], ...] = (
    _part("uriHost", lambda parts: parts.hostname),
    _part("uriPath", lambda parts: parts.path or "/"),
    _part("uriPathAndQuery", _path_and_query),
    _part("uriPort", lambda parts: parts.port or _DEFAULT_PORTS.get(parts.scheme, -1)),
    _part("uriQuery", lambda parts: f"?{parts.query}" if parts.query else ""),
    _part("uriScheme", lambda parts: parts.scheme),
)
