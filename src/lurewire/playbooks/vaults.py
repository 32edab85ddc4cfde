"""Parameters whose value is a Key Vault reference, read when a run starts in the name of the workflow's identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.core.errors import Forbidden, WireError
from lurewire.playbooks.models import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lurewire.core.principal import Principal
    from lurewire.playbooks.versions import Version

_ROLE = "Key Vault Secrets User"


class SecretRefused(Exception):
    """A reference could not be read; `problem` is the run's."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


async def read_references(
    version: Version, principal: Principal | None, read: Callable[[Principal, str], Awaitable[str]]
) -> dict[str, str]:
    """The values of the parameters that are references, by name; raises `SecretRefused`."""
    found: dict[str, str] = {}
    for parameter in version.workflow.parameters.values():
        if parameter.vault_uri is not None:
            found[parameter.name] = await _read(version, principal, parameter.name, parameter.vault_uri, read)
    return found


async def _read(
    version: Version,
    principal: Principal | None,
    name: str,
    uri: str,
    read: Callable[[Principal, str], Awaitable[str]],
) -> str:
    what = f"The value of the parameter '{name}' is a reference to the Key Vault secret {uri}"
    workflow = f"the workflow '{version.id.name}'"
    if principal is None:
        message = f"{what}, but {workflow} has no managed identity to read it: set identity.type to SystemAssigned."
        raise SecretRefused(Problem("WorkflowManagedIdentityNotSpecified", message))
    try:
        return await read(principal, uri)
    except Forbidden as error:
        vault = error.scope.partition("/secrets/")[0]
        message = (
            f"{what}, which the managed identity of {workflow} (object id '{principal.object_id}') may not read. "
            f"Assign it the role '{_ROLE}' on the vault '{vault}'."
        )
        raise SecretRefused(Problem("Forbidden", message)) from error
    except WireError as error:
        raise SecretRefused(Problem(error.code, f"{what}, which could not be read: {error.message}")) from error
