"""`lurewire outbox`: messages between rooms that failed for good."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from lurewire.cli.common import ask, folder_option
from lurewire.core.log import inert

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def outbox() -> None:
    """Messages between rooms that failed 20 times and are not tried any more."""


@outbox.command("dead")
@folder_option
def dead(folder: Path) -> None:
    """List them: topic, key, when it was put, the last error."""
    for message in ask(folder, "/outbox/dead", {})["value"]:
        moment = datetime.fromtimestamp(message["put_at"], UTC).isoformat(timespec="seconds")
        click.echo(inert(f"{message['topic']}  {message['key']}  {moment}  {message['error']}"))


@outbox.command("revive")
@click.option("--topic", default=None, help="Those of one topic; default: all.")
@folder_option
def revive(topic: str | None, folder: Path) -> None:
    """Try them again from the start, once what they failed of is mended."""
    click.echo(f"{ask(folder, '/outbox/revive', {'topic': topic})['revived']} revived")
