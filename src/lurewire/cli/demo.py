"""`lurewire demo`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from lurewire.cli.common import set_option, settings_of
from lurewire.core.errors import StateFolderError
from lurewire.core.log import configure
from lurewire.demo import demo as run_demo
from lurewire.ipintel import PickError
from lurewire.supervisor import ChildFailedError

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@click.option("--keep", is_flag=True, help="Leave it running, and its state folder in place, until Ctrl-C.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="State folder; default: a new one.")
@set_option
def demo(keep: bool, folder: Path | None, assignments: Sequence[str]) -> None:
    """Attack decoys for real and watch each touch become an enriched incident.

    Exit code 0 only if the whole chain happened.
    """
    settings = settings_of(folder or Path(".lurewire"), assignments)
    configure(settings["log.level"])
    try:
        happened = asyncio.run(run_demo(folder, settings, keep=keep, console=Console(markup=False)))
    except (StateFolderError, ChildFailedError, PickError) as error:
        click.echo(f"lurewire: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if happened else 1)
