"""Callback URLs of triggers: who has one may start runs, with no token, until the workflow is deleted.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-securing-a-logic-app#generate-a-shared-access-signature-sas
"""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from lurewire.core.resources import ResourceId
from lurewire.playbooks.errors import CallbackRefused, CallbackUnsigned
from lurewire.playbooks.resource import system_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lurewire.core.secretbox import SecretBox
    from lurewire.playbooks.triggers import Trigger

API_VERSION = "2016-10-01"
_SIGNATURE_VERSION = "1.0"


class Callbacks:
    """Makes and checks the URLs; a workflow that is deleted and made again has others."""

    def __init__(self, box: SecretBox, base_url: str) -> None:
        self._box = box
        self._base_url = base_url.rstrip("/")

    def describe(self, workflow: dict[str, Any], trigger: Trigger) -> dict[str, Any]:
        """What `listCallbackUrl` answers for a trigger of a stored workflow."""
        permission = _permission(trigger.name)
        queries = {
            "api-version": API_VERSION,
            "sp": permission,
            "sv": _SIGNATURE_VERSION,
            "sig": self._signature(workflow, permission),
        }
        name = system_id(ResourceId.parse(workflow["id"]))
        path = f"{self._base_url}/workflows/{name}/triggers/{quote(trigger.name, safe='')}/paths/invoke"
        return {
            "value": f"{path}?{urlencode(queries)}",
            "method": trigger.method,
            "basePath": path,
            "queries": queries,
        }

    def check(self, workflow: dict[str, Any], trigger: str, queries: Mapping[str, str]) -> None:
        """Raise `CallbackUnsigned` or `CallbackRefused` where the query is not that of the URL of a trigger, by its name."""
        given = queries.get("sig")
        if not given:
            raise CallbackUnsigned("The request must be authenticated by the signature of its URL: 'sig' is missing.")
        permission = _permission(trigger)
        good = hmac.compare_digest(given.encode("utf-8", "replace"), self._signature(workflow, permission).encode())
        if not good or queries.get("sp") != permission or queries.get("sv") != _SIGNATURE_VERSION:
            raise CallbackRefused("The signature of the URL is not that of this trigger.")

    def _signature(self, workflow: dict[str, Any], permission: str) -> str:
        made, key = workflow["properties"]["createdTime"], ResourceId.parse(workflow["id"]).key
        message = f"{_SIGNATURE_VERSION}\n{key}\n{made}\n{permission}"
        return base64.urlsafe_b64encode(self._box.sign(message.encode())).decode("ascii").rstrip("=")


def _permission(trigger: str) -> str:
    return f"/triggers/{trigger}/run"
