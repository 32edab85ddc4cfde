"""`lurewire env`: what each client needs, as shell lines."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from lurewire.cli.common import folder_option, running

if TYPE_CHECKING:
    from pathlib import Path

    from lurewire.supervisor import Running

_SWITCHES = """\
# Switches that no environment variable has (see the manual, "Point a client here"):
#   azure-identity          ClientSecretCredential(..., authority="{url}", disable_instance_discovery=True)
#   azure-monitor-ingestion LogsIngestionClient(endpoint="{url}", ...)
#   azure-monitor-query     LogsQueryClient(..., endpoint="{url}", audience="https://api.loganalytics.io")
#   azure-mgmt-*            ...Client(..., base_url="{url}", credential_scopes=["https://management.azure.com/.default"])
#   azure-keyvault-secrets  SecretClient(vault_url="{url}", ..., verify_challenge_resource=False)
# A credential of your own:  lurewire app create NAME --role "Log Analytics Reader"
"""


def lines(now: Running) -> str:
    """The `export` lines of a running Lurewire, and as comments the switches that are arguments."""
    facts = now.facts
    bundle = facts["bundle"]
    variables = {
        "LUREWIRE_URL": now.url,
        "REQUESTS_CA_BUNDLE": bundle,
        "CURL_CA_BUNDLE": bundle,
        "SSL_CERT_FILE": bundle,
        "AZURE_AUTHORITY_HOST": now.url,
        "AZURE_TENANT_ID": facts["tenant_id"],
        "AZURE_SUBSCRIPTION_ID": facts["subscription_id"],
        "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
        "LUREWIRE_RESOURCE_GROUP": facts["resource_group"],
        "LUREWIRE_WORKSPACE": facts["workspace"],
        "LUREWIRE_WORKSPACE_ID": facts["workspace_id"],
        "LUREWIRE_DCE": now.url,
        **{rule_variable(name): immutable_id for name, immutable_id in sorted(facts["dcrs"].items())},
    }
    exports = "".join(f"export {name}={shlex.quote(str(value))}\n" for name, value in variables.items())
    return exports + _SWITCHES.format(url=now.url)


def rule_variable(name: str) -> str:
    """The variable that holds the immutable id of a data collection rule."""
    return "LUREWIRE_DCR_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in name).upper()


@click.command()
@folder_option
def env(folder: Path) -> None:
    """Print what clients need (CA, endpoints, ids) as shell lines: eval "$(lurewire env)"."""
    click.echo(lines(running(folder)), nl=False)
