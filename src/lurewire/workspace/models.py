"""The bodies and headers of the query API.

Source: https://learn.microsoft.com/azure/azure-monitor/logs/api/request-format, .../api/prefer-options and
.../api/batch-queries; forms as captured (contract section D).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from lurewire.core import bodies
from lurewire.workspace.errors import BadArgument, BodyTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

T = TypeVar("T")

_WAIT = re.compile(r"wait=(\d{1,6})")
_WORDS = {
    "statistics": "include-statistics=true",
    "render": "include-render=true",
    "sources": "include-datasources=true",
}


class QueryRequest(msgspec.Struct):
    """The body of a query; clients send null for what they leave out. `workspaces` are further ones to query."""

    query: str
    timespan: str | None = None
    workspaces: list[str] | None = None


class MetadataRequest(msgspec.Struct):
    """The body of a POST for metadata: further workspaces to describe."""

    workspaces: list[str] | None = None


class BatchElement(msgspec.Struct):
    """One query of a batch; without a method it is a GET, whose body is not looked at."""

    id: str | int
    workspace: str
    path: str = "/query"
    method: str = "GET"
    body: msgspec.Raw = msgspec.Raw(b"")
    headers: dict[str, str | None] | None = None

    def header(self, name: str) -> str:
        """The header of that name, whatever its case; empty where there is none."""
        return next((value or "" for key, value in (self.headers or {}).items() if key.lower() == name), "")


class Batch(msgspec.Struct):
    """The body of a batch."""

    requests: list[BatchElement]


@dataclass(frozen=True, slots=True)
class Prefer:
    """What the Prefer header asks for; `wait` is in seconds, None where it says nothing."""

    wait: int | None = None
    statistics: bool = False
    render: bool = False
    sources: bool = False

    @classmethod
    def parse(cls, values: Iterable[str]) -> Prefer:
        """Read the header's values; words that nobody knows are skipped, as RFC 7240 has it."""
        text = ",".join(values).replace(" ", "").lower()
        wait = _WAIT.search(text)
        asked = {name: word in text.split(",") for name, word in _WORDS.items()}
        return cls(wait=int(wait[1]) if wait else None, **asked)


async def read_body(request: Request, kind: type[T], most: int, *, empty: bytes = b"") -> T:
    """The request's body; `empty` stands for none. Raises `BodyTooLarge` and `BadArgument`."""
    try:
        body = await bodies.read_body(request, most)
    except bodies.BodyTooLong:
        raise BodyTooLarge(f"The request body is over {most} bytes") from None
    return decode(body or empty, kind)


def decode(body: bytes | bytearray | msgspec.Raw, kind: type[T]) -> T:
    """A JSON text as what it must be. Raises `BadArgument`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadArgument.of("body", str(error)) from None


def query_parameters(given: QueryParams) -> QueryRequest:
    """The query of a GET: `query`, `timespan`, and `workspaces` with commas between. Raises `BadArgument`."""
    if "query" not in given:
        raise BadArgument.of("query", "the parameter is required")
    names = [name for value in given.getlist("workspaces") for name in value.split(",") if name]
    return QueryRequest(given["query"], given.get("timespan") or None, names or None)
