"""`lurewire up`."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import click

from lurewire.cli.common import folder_option, set_option, settings_of
from lurewire.core.errors import StateFolderError
from lurewire.core.log import configure
from lurewire.supervisor import ChildFailedError, Supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lurewire.settings import Settings


@click.command()
@folder_option
@set_option
def up(folder: Path, assignments: Sequence[str]) -> None:
    """Run the loop: the core process and the decoys, until Ctrl-C."""
    settings = settings_of(folder, assignments)
    configure(settings["log.level"])
    try:
        asyncio.run(_run(folder, settings))
    except (StateFolderError, ChildFailedError) as error:
        click.echo(f"lurewire: {error}", err=True)
        sys.exit(1)


async def _run(folder: Path, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor(folder, settings)
    starting = asyncio.create_task(supervisor.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return
    now = starting.result()
    click.echo(f"Lurewire is up: {now.url}")
    if now.ssh_port is not None:
        host = settings["sensor.host"]
        click.echo(f"Decoys: ssh -p {now.ssh_port} root@{host}   curl http://{host}:{now.http_port}/")
    click.echo('For clients: eval "$(lurewire env --folder ' + str(folder) + ')"   Stop with Ctrl-C.')
    await stop.wait()
    click.echo("Stopping.")
    await supervisor.stop()
