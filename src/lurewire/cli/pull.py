"""`lurewire pull`: a workspace's content as files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
from azure.core.exceptions import AzureError
from azure.identity import DefaultAzureCredential

from lurewire.core.log import inert
from lurewire.pull import ARM_URL, QUERY_URL, Folder, FolderError, Place, SignInFailed, Source, Unreadable
from lurewire.pull import pull as read_workspace

if TYPE_CHECKING:
    from lurewire.pull import Report

_MICROSOFT = (".microsoftonline.com", ".microsoftonline.us", ".microsoftonline.cn", ".chinacloudapi.cn")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--subscription", envvar="AZURE_SUBSCRIPTION_ID", required=True, show_envvar=True, help="Subscription id."
)
@click.option("--group", envvar="LUREWIRE_RESOURCE_GROUP", required=True, show_envvar=True, help="Resource group.")
@click.option("--workspace", envvar="LUREWIRE_WORKSPACE", required=True, show_envvar=True, help="Workspace, by name.")
@click.option(
    "--arm", envvar="LUREWIRE_URL", default=ARM_URL, show_default=True, show_envvar=True, help="Resource Manager."
)
@click.option(
    "--query", envvar="LUREWIRE_URL", default=QUERY_URL, show_default=True, show_envvar=True, help="Query API."
)
@click.option(
    "--authority", envvar="AZURE_AUTHORITY_HOST", help="Token service, where it is not Azure's own.", show_envvar=True
)
@click.option(
    "--sample", type=click.IntRange(0, 10_000), default=0, help="So many of the newest rows of each table, too."
)
@click.option("--quiet", is_flag=True, help="Say nothing but what could not be read.")
def pull(folder: Path, arm: str, query: str, authority: str | None, sample: int, quiet: bool, **place: str) -> None:
    """Write a workspace's tables, rules, functions, watchlists, playbooks and data collection into FOLDER.

    The credential is the one that the environment describes (DefaultAzureCredential).
    Exit code: 0 all was read, 1 something was not (it is named), 2 nothing was.
    """
    where = Place(place["subscription"], place["group"], place["workspace"])
    try:
        with Source(_credential(authority), arm, query) as source:
            report = read_workspace(source, where, Folder(folder), sample=sample, tell=_say(quiet))
    except SignInFailed as error:
        _fail(f"cannot sign in: {error}")
    except Unreadable as error:
        _fail(f"workspace {where.workspace}: {error.message}")
    except (FolderError, AzureError, ValueError) as error:
        _fail(str(error))
    _show(report, folder, quiet=quiet)
    sys.exit(1 if report.unread else 0)


def _credential(authority: str | None) -> DefaultAzureCredential:
    settings: dict[str, Any] = {}
    if authority:
        host = urlsplit(authority if "://" in authority else f"https://{authority}").hostname or ""
        # Only a private authority: MSAL asks Microsoft about one that it does not know.
        settings = {"authority": authority, "disable_instance_discovery": not f".{host}".endswith(_MICROSOFT)}
    return DefaultAzureCredential(**settings)


def _say(quiet: bool) -> Any:
    return (lambda _: None) if quiet else (lambda text: click.echo(inert(text), err=True))


def _show(report: Report, folder: Path, *, quiet: bool) -> None:
    for what, why in report.unread:
        click.echo(inert(f"not read: {what}: {why}"), err=True)
    if quiet:
        return
    for note in report.notes:
        click.echo(inert(f"note: {note}"), err=True)
    for name, count in report.counts.items():
        click.echo(f"{name}: {count}")
    changes = report.changes
    click.echo(
        f"{folder}: {len(changes.written)} written, {len(changes.unchanged)} unchanged, {len(changes.removed)} removed"
    )


def _fail(message: str) -> Any:
    click.echo(f"Error: {inert(message)}", err=True)
    sys.exit(2)
