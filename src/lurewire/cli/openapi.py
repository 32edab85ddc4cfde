"""`lurewire openapi`: the HTTP surface of a running Lurewire, as a document for tools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from lurewire.cli.common import ask, folder_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@folder_option
def openapi(folder: Path) -> None:
    """Print the OpenAPI document of the running Lurewire: operations, what each needs, kinds of bodies."""
    click.echo(json.dumps(ask(folder, "/openapi", {}), indent=2))
