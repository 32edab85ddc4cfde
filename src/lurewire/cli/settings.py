"""`lurewire settings`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lurewire.cli.common import folder_option, settings_of
from lurewire.settings import SETTINGS

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@folder_option
def settings(folder: Path) -> None:
    """List every setting with its value on this folder."""
    values = settings_of(folder, [])
    for setting in SETTINGS:
        click.echo(f"{setting.name} = {values[setting.name]!r}")
        click.echo(f"    {setting.help} ({setting.kind.__name__}, default {setting.default!r})")
