"""`lurewire table`: rows of a table out of a workspace and into one, as Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lurewire.cli.common import ask, folder_option

if TYPE_CHECKING:
    from collections.abc import Callable


@click.group()
def table() -> None:
    """Tables as Parquet files."""


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        folder_option,
        click.option(
            "--workspace", default="", metavar="NAME|GUID|ID", help="Another workspace than this install's own."
        ),
        click.argument("file", type=click.Path(path_type=Path, dir_okay=False)),
        click.argument("name", metavar="TABLE"),
    ):
        command = option(command)
    return command


@table.command("export")
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
@_options
def export(name: str, file: Path, workspace: str, force: bool, folder: Path) -> None:
    """Write all rows of a table into a Parquet file.

    Times keep all seven digits, dynamic values are their JSON text; the KQL type of each column is in the file.
    """
    asked = {"table": name, "file": str(file.absolute()), "workspace": workspace, "force": force}
    click.echo(f"{ask(folder, '/tables/export', asked)['rows']} rows of {name} are in {file}")


@table.command("import")
@click.option(
    "--create", is_flag=True, help="Create the table where it is not there, with the types that the file names."
)
@_options
def import_(name: str, file: Path, workspace: str, create: bool, folder: Path) -> None:
    """Store the rows of a Parquet file in a table.

    The same file again, within 90 days, changes nothing, also where the first time was cut short. Rows count as received
    now: their retention begins today.
    """
    asked = {"table": name, "file": str(file.absolute()), "workspace": workspace, "create": create}
    click.echo(f"{ask(folder, '/tables/import', asked)['rows']} rows of {file} are in {name}")
