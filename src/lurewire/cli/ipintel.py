"""`lurewire ipintel`: the data that lookups answer from, and keys for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lurewire.cli.common import ask, folder_option, settings_of
from lurewire.ipintel import DataFolder, FetchError, fetch

if TYPE_CHECKING:
    from collections.abc import Callable


@click.group()
def ipintel() -> None:
    """The IP lookup's data and keys."""


@ipintel.command("fetch")
@folder_option
def fetch_data(folder: Path) -> None:
    """Fetch the location data that this version pins; does nothing where it is there."""
    setting = settings_of(folder, [])["ipintel.data"]
    report: Callable[[str], None] = click.echo
    try:
        fetch(DataFolder(Path(setting)) if setting else DataFolder.default(), report)
    except FetchError as error:
        raise click.ClickException(str(error)) from error


@ipintel.command("key")
@click.argument("name")
@folder_option
def create_key(name: str, folder: Path) -> None:
    """Create a key for the lookup API; it is shown once."""
    click.echo(ask(folder, "/keys", {"name": name})["key"])


@ipintel.command("revoke")
@click.argument("name")
@folder_option
def revoke_key(name: str, folder: Path) -> None:
    """Take a key out of force, at once."""
    if not ask(folder, "/keys/revoke", {"name": name})["revoked"]:
        raise click.ClickException(f"there is no key named '{name}' in force")
