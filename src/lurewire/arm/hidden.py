"""Secrets inside a resource body: taken out before it is stored or shown, put back for the room that owns it.

A pattern is a JSON pointer (RFC 6901) in which the segment `*` stands for every property or element, and
`*[type=a,b]` for those that are objects whose `type` is one of these, without case:
`/properties/definition/parameters/*[type=securestring,secureobject]/defaultValue`.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Path = list[str | int]

_FILTER = re.compile(r"\*(?:\[(\w+)=([\w,]+)\])?")


def take_out(body: dict[str, Any], patterns: Iterable[str]) -> tuple[dict[str, Any], list[tuple[Path, Any]]]:
    """`body` without what the patterns find, and that: paths with values."""
    rest = copy.deepcopy(body)
    found = [path for pattern in patterns for path in _find(rest, _segments(pattern))]
    taken: list[tuple[Path, Any]] = []
    for path in found:
        holder = _holder(rest, path)
        last = path[-1]
        if isinstance(holder, dict) and last in holder:
            taken.append((path, holder.pop(str(last))))
        elif isinstance(holder, list):
            # An element leaves a null, so that the paths of those behind it stay true.
            taken.append((path, holder[int(last)]))
            holder[int(last)] = None
    return rest, taken


def put_back(rest: dict[str, Any], taken: Sequence[tuple[Path, Any]]) -> dict[str, Any]:
    """The whole body again, the last value taken first; changes and returns `rest`."""
    for path, value in reversed(taken):
        holder = _holder(rest, path)
        if isinstance(holder, dict):
            holder[str(path[-1])] = value
        elif isinstance(holder, list):
            holder[int(path[-1])] = value
    return rest


def _segments(pattern: str) -> list[str]:
    return [segment.replace("~1", "/").replace("~0", "~") for segment in pattern.split("/")[1:]]


def _find(value: Any, segments: list[str]) -> Iterator[Path]:
    if not segments:
        yield []
        return
    for name, child in _children(value, segments[0]):
        for path in _find(child, segments[1:]):
            yield [name, *path]


def _children(value: Any, segment: str) -> list[tuple[str | int, Any]]:
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    wildcard = _FILTER.fullmatch(segment)
    if wildcard is None:
        return [(name, child) for name, child in items if str(name) == segment]
    if wildcard[1] is None:
        return items
    wanted = wildcard[2].lower().split(",")
    return [
        (name, child)
        for name, child in items
        if isinstance(child, dict) and str(child.get(wildcard[1], "")).lower() in wanted
    ]


def _holder(body: Any, path: Path) -> Any:
    at = body
    for step in path[:-1]:
        if isinstance(at, dict):
            at = at.get(str(step))
        elif isinstance(at, list) and int(step) < len(at):
            at = at[int(step)]
        else:
            return None
    return at
