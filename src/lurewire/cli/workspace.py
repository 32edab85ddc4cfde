"""A workspace that answers queries elsewhere: a running Lurewire by its state folder, or a Log Analytics query API by URL.

Source of the API: https://learn.microsoft.com/azure/azure-monitor/logs/api/request-format.
"""

from __future__ import annotations

import decimal
import json
import os
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lurewire.cli.common import running
from lurewire.kql import (
    TYPE_NAMES,
    Column,
    Diagnostic,
    KqlError,
    KqlType,
    Rendering,
    Result,
    ticks_from_text,
    timespan_from_text,
)
from lurewire.supervisor import ControlError, ask_control

if TYPE_CHECKING:
    from collections.abc import Callable

_AUDIENCE = "https://api.loganalytics.io"
_ID = "LUREWIRE_WORKSPACE_ID"
_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Remote:
    """Asks a workspace; `answer` gives `tables` (columns, rows in the query API's encoding, rendering) and `partial`."""

    answer: Callable[[str], dict[str, Any]]

    @classmethod
    def of(cls, target: str) -> Remote:
        """The workspace of a URL, or of the Lurewire that runs on a state folder."""
        if target.startswith("https://"):
            return cls(_Api(target.rstrip("/")).answer)
        if "://" in target:
            raise click.UsageError(f"--workspace: '{target}' is no https URL and no folder")
        running(Path(target))
        return cls(lambda text: _asked(Path(target), text))

    def columns(self, table: str) -> tuple[Column, ...] | None:
        """The columns of a table, None where the workspace has none of that name."""
        name = table.replace("\\", "\\\\").replace("'", "\\'")
        try:
            answer = self.answer(f"['{name}'] | take 0")
        except KqlError:
            return None
        return _columns(answer["tables"][0])

    def query(self, text: str) -> list[Result]:
        """The results of a query, one as a rule; raises KqlError, and ClickException where there is no answer."""
        answer = self.answer(text)
        if answer["partial"] is not None:
            click.echo(f"Not all rows: {answer['partial']}", err=True)
        return [_result(table) for table in answer["tables"]]


def _asked(folder: Path, text: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = ask_control(running(folder).control, "/query", {"query": text})
    except ControlError as error:
        raise KqlError([Diagnostic("semantic", "", str(error), 1, 1)]) from None
    return answer


def _columns(table: dict[str, Any]) -> tuple[Column, ...]:
    return tuple(Column(one["name"], TYPE_NAMES[one["type"].lower()]) for one in table["columns"])


def _result(table: dict[str, Any]) -> Result:
    columns = _columns(table)
    rows = [tuple(_value(c.type, v) for c, v in zip(columns, row, strict=True)) for row in table["rows"]]
    render = table["render"]
    rendering = None if render is None else Rendering(render["visualization"], render["properties"])
    return Result(columns, rows, rendering)


_FROM_WIRE: dict[KqlType, Callable[[Any], Any]] = {
    KqlType.REAL: float,
    KqlType.DECIMAL: decimal.Decimal,
    KqlType.DATETIME: ticks_from_text,
    KqlType.TIMESPAN: timespan_from_text,
    KqlType.GUID: uuid.UUID,
}


def _value(kind: KqlType, value: Any) -> Any:
    if value is None or kind not in _FROM_WIRE:
        return value
    return _FROM_WIRE[kind](value)


class _Api:
    """The query API of a workspace, by the credential that the environment describes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._workspace = os.environ.get(_ID, "")
        if not self._workspace:
            raise click.UsageError(f"--workspace URL needs the workspace's id in {_ID}")

    def answer(self, text: str) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - https, as Remote.of checks
            f"{self._url}/v1/workspaces/{self._workspace}/query",
            json.dumps({"query": text}).encode(),
            {
                "Authorization": f"Bearer {_token()}",
                "Content-Type": "application/json",
                "Prefer": f"include-render=true, wait={_SECONDS}",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS + 10) as response:  # noqa: S310 - the same
                body = json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None
        except OSError as error:
            raise click.ClickException(f"{self._url} does not answer: {error}") from None
        partial = body.get("error")
        # The API tells one rendering, that of the first table.
        renderings = [_rendering(body.get("render")), *[None] * (len(body["tables"]) - 1)]
        tables = [
            {"columns": table["columns"], "rows": table["rows"], "render": render}
            for table, render in zip(body["tables"], renderings, strict=True)
        ]
        return {"tables": tables, "partial": None if partial is None else _message(partial)}


def _token() -> str:
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - only a URL needs a credential

    authority = os.environ.get("AZURE_AUTHORITY_HOST")
    own = authority is not None and "microsoftonline" not in authority
    credential = DefaultAzureCredential(**({"disable_instance_discovery": True} if own else {}))
    return str(credential.get_token(f"{_AUDIENCE}/.default").token)


def _rendering(render: Any) -> dict[str, Any] | None:
    if not isinstance(render, dict) or not render.get("visualization"):
        return None
    named = {key: str(value) for key, value in render.items() if key != "visualization" and value is not None}
    return {"visualization": render["visualization"], "properties": named}


def _message(error: Any) -> str:
    inner = error.get("innererror") if isinstance(error, dict) else None
    return _message(inner) if inner else str(error.get("message") if isinstance(error, dict) else error)


def _refusal(error: urllib.error.HTTPError) -> Exception:
    try:
        body = json.loads(error.read())["error"]
    except (ValueError, KeyError, TypeError):
        return click.ClickException(f"the workspace answers {error.code} {error.reason}")
    if error.code == 400:
        return KqlError([Diagnostic("semantic", str(body.get("code")), _message(body), 1, 1)])
    return click.ClickException(f"{body.get('code')}: {_message(body)}")
