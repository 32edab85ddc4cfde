"""`lurewire testbench`: faults for a client under test, and the log of what it sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lurewire.cli.common import ask, folder_option
from lurewire.core.log import inert

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@click.group()
def testbench() -> None:
    """Faults for a client under test, and a log of what it sent (needs testbench.enabled)."""


@testbench.command("fault")
@click.option("--room", help="Requests to one room: ingestion, workspace (queries), identity, vault, arm, ...")
@click.option("--method", help="Requests with this method.")
@click.option("--path", help="Requests whose path is this; * stands for any text.")
@click.option("--rule", help="Requests to the data collection rule with this immutable id.")
@click.option("--stream", help="Requests to this stream.")
@click.option("--status", type=click.IntRange(400, 599), help="Answer with this status.")
@click.option("--code", help="Error code of the answer; default: the service's own for that status.")
@click.option(
    "--retry-after", type=click.IntRange(0), help="Seconds of a Retry-After header; without it there is none."
)
@click.option(
    "--cut",
    type=click.Choice(["before", "during", "after"]),
    help="Cut the connection: before, during or after the work.",
)
@click.option("--delay", type=click.FloatRange(0), help="Wait so many seconds first.")
@click.option("--times", type=click.IntRange(1), help="How many requests get it; default: all.")
@click.option("--skip", type=click.IntRange(0), help="How many matching requests pass first.")
@click.option("--percent", type=click.FloatRange(0, 100, min_open=True), help="Chance of each matching request.")
@click.option("--seed", type=int, help="The same seed gives the same choices.")
@folder_option
def fault(folder: Path, **given: Any) -> None:
    """Put a fault in force, and print its id."""
    matched = ("room", "method", "path", "rule", "stream")
    body = {_camel(name): value for name, value in given.items() if value is not None and name not in matched}
    body["match"] = {name: given[name] for name in matched if given[name] is not None}
    click.echo(ask(folder, "/testbench/add", body)["id"])


@testbench.command("faults")
@folder_option
def faults(folder: Path) -> None:
    """Print the faults in force, one JSON object a line."""
    for one in ask(folder, "/testbench/faults", {})["value"]:
        click.echo(json.dumps(one))


@testbench.command("remove")
@click.argument("fault_id", metavar="ID")
@folder_option
def remove(fault_id: str, folder: Path) -> None:
    """End one fault."""
    ask(folder, "/testbench/remove", {"id": fault_id})


@testbench.command("log")
@click.option("--room", help="Requests to one room.")
@click.option("--after", type=click.IntRange(0), default=0, help="Requests with a number over this one.")
@click.option("--json", "as_json", is_flag=True, help="Headers, body and answer too: one JSON object a request.")
@folder_option
def log(room: str | None, after: int, as_json: bool, folder: Path) -> None:
    """Print what was received, oldest first."""
    for one in ask(folder, "/testbench/requests", {"room": room, "after": after})["value"]:
        click.echo(json.dumps(one) if as_json else _line(one))


@testbench.command("reset")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Delete this table's rows too; may be repeated.")
@folder_option
def reset(tables: Sequence[str], folder: Path) -> None:
    """End all faults and empty the log."""
    ask(folder, "/testbench/reset", {"tables": list(tables)})


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _line(one: dict[str, Any]) -> str:
    answer = one["answer"]
    outcome = f"cut {answer['cut']}" if answer["cut"] else str(answer["status"])
    parts = [
        f"{one['number']:>5}",
        one["time"],
        one["method"],
        one["path"],
        f"{one['bodyBytes']} B",
        outcome,
        f"{one['seconds'] * 1000:.0f} ms",
        *([one["fault"]] if one["fault"] else []),
    ]
    return inert("  ".join(parts))
