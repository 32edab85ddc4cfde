"""Commands of the person who runs this Lurewire: `lurewire query`, `lurewire app`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TextIO

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lurewire.cli.common import ask, folder_option
from lurewire.core.log import inert

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@click.command()
@click.argument("text", metavar="KQL")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row instead of a table.")
@folder_option
def query(text: str, as_json: bool, folder: Path) -> None:
    """Run a query on the workspace."""
    answer = ask(folder, "/query", {"query": text})
    if answer["partial"] is not None:
        click.echo(f"Not all rows: {answer['partial']}", err=True)
    for table in answer["tables"]:
        names = [column["name"] for column in table["columns"]]
        if as_json:
            for row in table["rows"]:
                click.echo(json.dumps(dict(zip(names, row, strict=True))))
        else:
            _print_table(names, table["rows"])


def _print_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(Text(inert(name)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(inert("" if value is None else str(value))) for value in row))
    Console().print(table)


@click.group()
def app() -> None:
    """App registrations: credentials for clients."""


@app.command("create")
@click.argument("name")
@click.option("--role", "roles", multiple=True, help="Built-in role, by name; may be repeated.")
@click.option(
    "--scope", default=None, help="ARM id at which the roles hold, / for the tenant; default: the resource group."
)
@click.option(
    "--permission",
    "permissions",
    multiple=True,
    help="Microsoft Graph permission, such as Application.ReadWrite.All; may be repeated.",
)
@folder_option
def create(name: str, roles: Sequence[str], scope: str | None, permissions: Sequence[str], folder: Path) -> None:
    """Create an app with a secret, and print both as shell lines; the secret is shown once."""
    if not roles and not permissions:
        raise click.UsageError("an app needs a --role or a --permission")
    body = {"name": name, "roles": list(roles), "scope": scope, "permissions": list(permissions)}
    made = ask(folder, "/apps", body)
    _print_credential(made)


@app.command("secret")
@click.argument("name")
@click.option("--days", type=click.IntRange(1, 730), default=180, show_default=True, help="How long it is good for.")
@folder_option
def secret(name: str, days: int, folder: Path) -> None:
    """Add a secret to an app, and print it as shell lines; it is shown once. Older secrets stay good."""
    _print_credential(ask(folder, "/apps/secrets", {"name": name, "days": days}))


@app.command("certificate")
@click.argument("name")
@click.argument("file", type=click.File("r"))
@folder_option
def certificate(name: str, file: TextIO, folder: Path) -> None:
    """Let an app prove itself by a certificate (a PEM file); a private key in the file is not sent."""
    parts = _CERTIFICATE.findall(file.read())
    if not parts:
        raise click.ClickException(f"{file.name} holds no certificate in PEM form")
    made = ask(folder, "/apps/certificates", {"name": name, "pem": parts[0]})
    click.echo(f"export AZURE_CLIENT_ID={made['client_id']}")
    click.echo(
        f"# certificate {made['thumbprint']}; the client needs AZURE_CLIENT_CERTIFICATE_PATH, the file with its key"
    )


@click.group()
def identity() -> None:
    """Managed identities: tokens for processes on this machine, without a secret of Entra's."""


@identity.command("create")
@click.argument("name")
@click.option("--role", "roles", multiple=True, help="Built-in role, by name; may be repeated.")
@click.option("--scope", default=None, help="ARM id at which the roles hold; default: the resource group.")
@folder_option
def create_identity(name: str, roles: Sequence[str], scope: str | None, folder: Path) -> None:
    """Create a user-assigned identity, or a further header for one, and print what ManagedIdentityCredential reads."""
    made = ask(folder, "/identities", {"name": name, "roles": list(roles), "scope": scope})
    click.echo(f"# {made['id']}, client id {made['client_id']}")
    click.echo(f"export IDENTITY_ENDPOINT={made['endpoint']}")
    click.echo(f"export IDENTITY_HEADER={made['header']}")


@identity.command("rotate-keys")
@click.option("--revoke", is_flag=True, help="End every token that older keys signed, now.")
@folder_option
def rotate_keys(revoke: bool, folder: Path) -> None:
    """Sign tokens with a new key. Older keys verify until their tokens have expired."""
    made = ask(folder, "/identities/rotate-keys", {"revoke": revoke})
    click.echo(f"signing key {made['kid']} is in use")


def _print_credential(made: dict[str, str]) -> None:
    click.echo(f"export AZURE_CLIENT_ID={made['client_id']}")
    click.echo(f"export AZURE_CLIENT_SECRET={made['client_secret']}")
