"""The query endpoint of Azure Data Explorer, as its clients speak it: a workspace is a database.

Source: https://learn.microsoft.com/kusto/api/rest/request, .../rest/response-v2, .../rest/response and contract section D.5.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response

from lurewire.core.errors import Forbidden, Unauthenticated, WireError
from lurewire.core.http import Audience, Needs, Public, Route
from lurewire.kql import KqlError, timespan_from_text
from lurewire.workspace.answers import Streamed, in_chunks, row_chunks
from lurewire.workspace.api import QUERY_ACTION
from lurewire.workspace.disconnect import CLIENT_GONE, unless_gone
from lurewire.workspace.errors import BadArgument, QueryApiError, WorkspaceNotFound, answer_to
from lurewire.workspace.models import Prefer, QueryRequest, read_body

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from lurewire.core.limits import Limits
    from lurewire.workspace.api import Place, QueryApi
    from lurewire.workspace.query import QueryResult

PREFIXES = ("/v1/rest/", "/v2/rest/")

_AUDIENCE = "https://api.loganalytics.io"
_CLIENT_APP = "db662dc1-0cfe-4e1c-a843-19a68e65be58"  # the public client of Data Explorer's own tools
_OPTIONS = frozenset(
    (
        "servertimeout",
        "request_app_name",
        "request_user",
        "results_progressive_enabled",
        "client_results_reader_allow_varying_row_widths",
    )
)
"""Options that are read, or that change nothing here; any other would change what the query means."""


class _Properties(msgspec.Struct):
    options: dict[str, Any] = msgspec.field(name="Options", default_factory=dict)
    parameters: dict[str, Any] = msgspec.field(name="Parameters", default_factory=dict)


class KustoRequest(msgspec.Struct):
    """The body of a query or command: database, text, options."""

    csl: str
    db: str | None = None
    properties: _Properties | str | None = None


class Kusto:
    """The routes' handlers; a database is named as `QueryApi.find` names workspaces."""

    def __init__(self, api: QueryApi, limits: Limits) -> None:
        self._api = api
        self._most = limits["workspace.query_body_bytes"]
        self._answer_seconds = float(limits["workspace.answer_seconds"])

    def routes(self) -> list[Route]:
        """The routes; their errors are `render`'s."""
        needs = Needs(QUERY_ACTION, Audience.LOG_ANALYTICS, self._scope)
        public = Public("it tells a client that has no token yet where to get one")
        return [
            Route("GET", "/v1/rest/auth/metadata", self.metadata, public),
            Route("POST", "/v2/rest/query", self.query, needs),
            Route("POST", "/v1/rest/mgmt", self.command, needs),
        ]

    async def _scope(self, request: Request) -> str:
        asked = await read_body(request, KustoRequest, self._most)
        try:
            place = self._api.find(asked.db or "")
        except QueryApiError as error:
            if asked.db:
                self._api.hide(request.state.principal, asked.db)
            if not isinstance(error, WorkspaceNotFound):
                raise
            # To these clients 404 means that there is no such endpoint.
            raise BadArgument.of("db", f"the database '{(asked.db or '')[:80]}' could not be found") from None
        request.state.kusto, request.state.place = asked, place
        return str(place[0])

    async def metadata(self, request: Request) -> Response:
        """Where to get a token, and for what."""
        login = str(request.base_url).rstrip("/")
        place = {
            "LoginEndpoint": login,
            "LoginMfaRequired": False,
            "KustoClientAppId": _CLIENT_APP,
            "KustoClientRedirectUri": "http://localhost",
            "KustoServiceResourceId": _AUDIENCE,
            "FirstPartyAuthorityUrl": login,
        }
        return JSONResponse({"AzureAD": place})

    async def query(self, request: Request) -> Response:
        """A query, answered in frames of version 2."""
        principal, asked, place = request.state.principal, request.state.kusto, request.state.place
        self._api.admission.count(principal.object_id)
        if asked.csl.lstrip().startswith("."):
            raise BadArgument.of("csl", "a command goes to /v1/rest/mgmt")
        prefer = Prefer(wait=_seconds(asked))
        answered = await unless_gone(request, self._api.of_workspace(principal, place, QueryRequest(asked.csl), prefer))
        if answered is None:
            return Response(status_code=CLIENT_GONE)
        frames = in_chunks(_frames(answered.result, request.headers.get("x-ms-client-request-id", "")))
        return Streamed(frames, self._answer_seconds, answered.hold.release)

    async def command(self, request: Request) -> Response:
        """One of the commands by which clients look around; any other is refused by name."""
        asked, place = request.state.kusto, request.state.place
        self._api.admission.count(request.state.principal.object_id)
        body = await asyncio.to_thread(_command, asked.csl.split(), place)
        return Response(body, media_type="application/json")


def render(error: Exception) -> Response | None:
    """An error in Data Explorer's shape."""
    told = answer_to(error)
    if told is None:
        return None
    message = told.message
    kind = "BadRequest" if told.status < 500 else "Internal"
    if isinstance(error, KqlError):
        first = error.errors[0]
        kind = "SyntaxError" if first.kind == "syntax" else "SemanticError"
        message = f"{'Syntax' if first.kind == 'syntax' else 'Semantic'} error: {first.code}: {first.message} (line:position {first.line}:{first.column})"
    elif isinstance(error, WireError | Forbidden) and told.inner is not None:
        message = f"{message}: {told.inner.get('message', '')}"
    if isinstance(error, Unauthenticated | Forbidden):
        kind = "Unauthorized" if isinstance(error, Unauthenticated) else "Forbidden"
    body = _one_error(kind, message, permanent=told.status not in (429, 504))
    return JSONResponse(body, status_code=told.status, headers=told.headers)


def _one_error(kind: str, message: str, *, permanent: bool) -> dict[str, Any]:
    shown = {"code": kind, "message": message, "@type": f"Lurewire.{kind}", "@message": message}
    return {"error": shown | {"@permanent": permanent}}


def _seconds(asked: KustoRequest) -> int | None:
    """The time limit that the request sets; raises `BadArgument` for options that would change the query's meaning."""
    properties = asked.properties
    if isinstance(properties, str):
        try:
            properties = msgspec.json.decode(properties, type=_Properties)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadArgument.of("properties", str(error)) from None
    if properties is None:
        return None
    if properties.parameters:
        raise BadArgument.of("properties", "query parameters are not supported here: write the values as literals")
    unknown = sorted(properties.options.keys() - _OPTIONS)
    if unknown:
        raise BadArgument.of("properties", f"the option '{unknown[0][:80]}' is not supported here")
    limit = properties.options.get("servertimeout")
    if limit is None:
        return None
    ticks = timespan_from_text(str(limit))
    if ticks is None:
        raise BadArgument.of("properties", f"servertimeout '{str(limit)[:40]}' is no timespan")
    return max(1, ticks // 10_000_000)


def _frames(result: QueryResult, request_id: str) -> Iterator[bytes]:
    yield b'[{"FrameType":"DataSetHeader","IsProgressive":false,"Version":"v2.0"}'
    for number, one in enumerate((result, *result.further)):
        name = one.name or ("PrimaryResult" if number == 0 else f"Table_{number}")
        head = {
            "FrameType": "DataTable",
            "TableId": number,
            "TableKind": "PrimaryResult",
            "TableName": name,
            "Columns": [{"ColumnName": column.name, "ColumnType": str(column.type)} for column in one.columns],
        }
        yield b"," + msgspec.json.encode(head)[:-1] + b',"Rows":['
        yield from row_chunks(one)
        yield b"]}"
    done: dict[str, Any] = {"FrameType": "DataSetCompletion", "HasErrors": False, "Cancelled": False}
    if result.partial is not None:
        done |= {"HasErrors": True, "OneApiErrors": [_one_error("LimitsExceeded", result.partial, permanent=False)]}
    yield b"," + msgspec.json.encode(_completion(len(result.further) + 1, result.partial, request_id))
    yield b"," + msgspec.json.encode(done) + b"]"


def _completion(number: int, partial: str | None, request_id: str) -> dict[str, Any]:
    """The table by which clients count errors: those of a level below 4."""
    columns = (("ClientRequestId", "string"), ("Level", "int"), ("StatusCodeName", "string"), ("Payload", "string"))
    row = [
        request_id[:256],
        4 if partial is None else 2,
        "S_OK" if partial is None else "E_RUNAWAY_QUERY",
        partial or "",
    ]
    return {
        "FrameType": "DataTable",
        "TableId": number,
        "TableKind": "QueryCompletionInformation",
        "TableName": "QueryCompletionInformation",
        "Columns": [{"ColumnName": name, "ColumnType": kind} for name, kind in columns],
        "Rows": [row],
    }


def _command(words: list[str], place: Place) -> bytes:
    return msgspec.json.encode({"Tables": [_answer(words, place)]})


def _answer(words: list[str], place: Place) -> dict[str, Any]:
    """The table that a command shows; naming one of Azure's own creates it, which writes to disk."""
    resource_id, workspace = place
    match [word.lower() for word in words]:
        case [".show", "databases"]:
            rows = [[resource_id.name, workspace.customer_id]]
            return _table([("DatabaseName", "String"), ("DatabaseId", "Guid")], rows)
        case [".show", "tables"]:
            tables = [[table.name, resource_id.name] for table in workspace.tables.stored()]
            return _table([("TableName", "String"), ("DatabaseName", "String")], tables)
        case [".show", "table", _, "cslschema"] if (
            found := workspace.tables.table(words[2].strip("[]'\""))
        ) is not None:
            schema = ", ".join(f"['{column.name}']:{column.type}" for column in found.columns)
            names = [("TableName", "String"), ("Schema", "String"), ("DatabaseName", "String")]
            return _table(names, [[found.name, schema, resource_id.name]])
    raise BadArgument.of(
        "csl",
        f"the command '{' '.join(words)[:80]}' is not supported here: .show databases, .show tables and "
        ".show table NAME cslschema are",
    )


def _table(columns: list[tuple[str, str]], rows: list[list[Any]]) -> dict[str, Any]:
    named = [{"ColumnName": name, "DataType": kind, "ColumnType": kind.lower()} for name, kind in columns]
    return {"TableName": "Table_0", "Columns": named, "Rows": rows}
