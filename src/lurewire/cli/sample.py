"""`lurewire sample`: from a sample of events to a table and the rule that fills it."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lurewire.cli.common import ask, folder_option
from lurewire.cli.env import rule_variable
from lurewire.core.log import inert

if TYPE_CHECKING:
    from collections.abc import Callable


@click.group()
def sample() -> None:
    """Tables, streams and flows from a sample of events."""


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        folder_option,
        click.option("--transform", default="", metavar="KQL", help="Instead of the transform that is inferred."),
        click.option("--time", default="", metavar="NAME", help="The property that is the event's time."),
        click.option("--table", required=True, help="The table to fill: NAME_CL, or one of Azure's own."),
        click.argument("file", metavar="FILE|-"),
    ):
        command = option(command)
    return command


@sample.command("preview")
@_options
def preview(file: str, table: str, time: str, transform: str, folder: Path) -> None:
    """Show what the transform makes of a sample (JSON or newline-delimited JSON), and change nothing.

    Exit code: 0, 1 where the transform would be refused.
    """
    answer = ask(folder, "/samples/preview", _asked(file, table, time, transform))
    for note in answer["notes"]:
        click.echo(f"Note: {inert(note)}", err=True)
    for name, count in answer["mistyped"].items():
        click.echo(f"Note: {count} values of '{inert(name)}' do not fit its type", err=True)
    for name, longest in answer["cut"].items():
        click.echo(f"Note: '{inert(name)}' is cut; its longest value has {longest} bytes", err=True)
    click.echo(f"# {inert(answer['transformKql'])}")
    for row in answer["rows"]:
        click.echo(json.dumps(row))
    for error in answer["errors"]:
        place = f"line {error['line']}, column {error['column']}: " if "line" in error else ""
        click.echo(f"Error: {place}{inert(error['message'])}", err=True)
    sys.exit(1 if answer["errors"] else 0)


@sample.command("apply")
@_options
@click.option("--rule", required=True, help="The data collection rule, by name or ARM id; created where there is none.")
@click.option("--endpoint", default="", metavar="ID", help="ARM id of the endpoint of a new rule; default: its own.")
def apply(file: str, table: str, time: str, transform: str, folder: Path, rule: str, endpoint: str) -> None:
    """Create or widen the table, put stream and flow into the rule, and print the rule's id as a shell line."""
    asked = _asked(file, table, time, transform) | {"rule": rule, "endpoint": endpoint}
    made = ask(folder, "/samples/apply", asked)
    click.echo(f"# {made['table']}\n# {made['rule']}")
    click.echo(f"# POST {made['endpoint']}/dataCollectionRules/{made['immutableId']}/streams/{made['stream']}")
    name = made["rule"].rpartition("/")[2]
    click.echo(f"export {rule_variable(name)}={shlex.quote(made['immutableId'])}")


def _asked(file: str, table: str, time: str, transform: str) -> dict[str, Any]:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: {error}") from None
    return {"sample": text, "table": table, "time": time, "transform": transform}
