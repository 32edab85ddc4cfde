"""The commands. Each is thin: it calls one function of a room.

The base install is the KQL room alone; commands of the server say so where the extra is missing.
"""

from __future__ import annotations

import importlib
import sys

import click

from lurewire import __version__

_COMMANDS = {
    "kql": "lurewire.cli.kql",
    "test": "lurewire.cli.test",
}
_SERVER_COMMANDS = {
    "up": "lurewire.cli.up",
    "env": "lurewire.cli.env",
    "demo": "lurewire.cli.demo",
    "app": "lurewire.cli.operator",
    "identity": "lurewire.cli.operator",
    "query": "lurewire.cli.operator",
    "openapi": "lurewire.cli.openapi",
    "outbox": "lurewire.cli.outbox",
    "pull": "lurewire.cli.pull",
    "testbench": "lurewire.cli.testbench",
    "sample": "lurewire.cli.sample",
    "settings": "lurewire.cli.settings",
    "table": "lurewire.cli.table",
    "ipintel": "lurewire.cli.ipintel",
}


class _Commands(click.Group):
    """Imports a command's module when it is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_COMMANDS, *_SERVER_COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name) or _SERVER_COMMANDS.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        try:
            command: click.Command = getattr(importlib.import_module(module), cmd_name)
        except ModuleNotFoundError as error:
            if cmd_name in _COMMANDS or (error.name and error.name.startswith("lurewire")):
                raise
            return _absent(cmd_name, str(error.name))
        return command


def _absent(name: str, missing: str) -> click.Command:
    """What stands for a command of the server where only the base is installed."""

    def refuse() -> None:
        click.echo(
            f"`lurewire {name}` needs the server, which is not installed ({missing} is missing).\n"
            "Install it with: pip install 'lurewire[server]'",
            err=True,
        )
        sys.exit(2)

    settings = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    return click.Command(
        name, context_settings=settings, callback=refuse, help="Needs the server, which is not installed."
    )


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lurewire")
def main() -> None:
    """The Microsoft Sentinel deception-to-response loop on one machine."""
