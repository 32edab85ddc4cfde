"""What several commands share: the state folder, settings from the command line, the operator's socket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lurewire.core.errors import StateFolderError
from lurewire.settings import SettingError, Settings, load, parse
from lurewire.supervisor import ControlError, Running, ask_control, read_runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".lurewire"),
    show_default=True,
    envvar="LUREWIRE_FOLDER",
    help="State folder: databases, journal, certificates.",
)

set_option = click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A setting, as `lurewire settings` lists them."
)


def settings_of(folder: Path, assignments: Sequence[str]) -> Settings:
    """The folder's settings with those of the command line on top; a wrong one ends the command."""
    try:
        settings = load(folder)
        values: dict[str, Any] = {}
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            if not equals:
                raise click.UsageError(f"--set takes NAME=VALUE, not '{assignment}'")
            values[name] = parse(name, text, "--set")
        return settings.with_values(values)
    except SettingError as error:
        raise click.UsageError(str(error)) from error


def running(folder: Path) -> Running:
    """What runs on `folder`, or an error that says how to start it."""
    try:
        return read_runtime(folder)
    except StateFolderError as error:
        raise click.ClickException(str(error)) from error


def ask(folder: Path, path: str, body: dict[str, Any]) -> Any:
    """POST to the operator's socket of the Lurewire on `folder`; its error ends the command."""
    try:
        return ask_control(running(folder).control, path, body)
    except ControlError as error:
        raise click.ClickException(str(error)) from error
