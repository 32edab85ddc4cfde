"""Runs and actions in the shapes of Azure Resource Manager.

Source: https://learn.microsoft.com/rest/api/logic/workflow-runs and
https://learn.microsoft.com/rest/api/logic/workflow-run-actions
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from cryptography.fernet import InvalidToken

from lurewire.playbooks.errors import ContentLinkInvalid
from lurewire.playbooks.journal import encode, iteration_text
from lurewire.playbooks.models import ABSENT, Record, RunRow, timestamp

if TYPE_CHECKING:
    from datetime import datetime

    from lurewire.core.clock import Clock
    from lurewire.core.secretbox import SecretBox

LINK_SECONDS = 4 * 3600.0
"""How long a link to an action's inputs or outputs works."""


def run_json(workflow_id: str, row: RunRow) -> dict[str, Any]:
    """A run as a resource."""
    name = workflow_id.rstrip("/").rpartition("/")[2]
    trigger = {key: value for key, value in row.trigger.items() if key != "clientTrackingId"}
    properties: dict[str, Any] = {
        "waitEndTime": timestamp(row.started or row.created),
        "startTime": timestamp(row.started or row.created),
        "status": row.status.value,
        "correlation": {"clientTrackingId": row.trigger["clientTrackingId"]},
        "workflow": {
            "properties": {},
            "id": f"{workflow_id}/versions/{row.version}",
            "name": row.version,
            "type": "Microsoft.Logic/workflows/versions",
        },
        "trigger": {**trigger, "correlation": {"clientTrackingId": row.trigger["clientTrackingId"]}},
        "outputs": row.outputs,
    }
    _add(properties, row.ended, row.code, None if row.problem is None else row.problem.as_json())
    return {
        "properties": properties,
        "id": f"{workflow_id}/runs/{row.name}",
        "name": row.name,
        "type": "Microsoft.Logic/workflows/runs",
        "workflowName": name,
    }


def _add(properties: dict[str, Any], ended: datetime | None, code: str | None, error: Any) -> None:
    if ended is not None:
        properties["endTime"] = timestamp(ended)
    if code is not None:
        properties["code"] = code
    if error is not None:
        properties["error"] = error


class ActionJson:
    """Actions as resources, with signed links to what they got and gave; `base_url` is where the links point."""

    def __init__(self, run_id: str, client_tracking_id: str, links: Links, base_url: str) -> None:
        self._run_id = run_id
        self._client_tracking_id = client_tracking_id
        self._links = links
        self._base_url = base_url.rstrip("/")

    def action(self, record: Record, repetitions: int) -> dict[str, Any]:
        """An action; one in a loop has no inputs and outputs of its own, but repetitions."""
        resource_id = f"{self._run_id}/actions/{record.name}"
        properties = self._properties(record, resource_id if not repetitions else None)
        if repetitions:
            properties["repetitionCount"] = repetitions
        elif record.repetitions is not None:
            properties["iterationCount"] = record.repetitions
        return {
            "properties": properties,
            "id": resource_id,
            "name": record.name,
            "type": "Microsoft.Logic/workflows/runs/actions",
        }

    def repetition(self, record: Record) -> dict[str, Any]:
        """One repetition of an action in a loop."""
        name = iteration_text(record.iteration)
        resource_id = f"{self._run_id}/actions/{record.name}/repetitions/{name}"
        return {
            "properties": self._properties(record, resource_id),
            "id": resource_id,
            "name": name,
            "type": "Microsoft.Logic/workflows/runs/actions/repetitions",
        }

    def _properties(self, record: Record, contents_of: str | None) -> dict[str, Any]:
        properties: dict[str, Any] = {
            "startTime": timestamp(record.started),
            "status": record.status.value,
            "trackingId": record.tracking_id,
            "correlation": {"actionTrackingId": record.tracking_id, "clientTrackingId": self._client_tracking_id},
        }
        _add(properties, record.ended, record.code, None if record.problem is None else record.problem.as_json())
        if record.retries:
            properties["retryHistory"] = list(record.retries)
        if contents_of is not None:
            for name, value in (("inputs", record.inputs), ("outputs", record.outputs)):
                if value is not ABSENT:
                    path = f"{contents_of}/contents/Action{name.capitalize()}"
                    properties[f"{name}Link"] = self._link(path, encode(value))
        return properties

    def _link(self, path: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.md5(content, usedforsecurity=False).digest()
        value = base64.b64encode(digest).decode("ascii")
        return {
            "uri": f"{self._base_url}{quote(path)}?api-version=2016-10-01&sig={self._links.sign(path)}",
            "contentVersion": value,
            "contentSize": len(content),
            "contentHash": {"algorithm": "md5", "value": value},
        }


class Links:
    """Signs the path of a content, and checks the signature: such a link needs no token."""

    def __init__(self, box: SecretBox, clock: Clock) -> None:
        self._box = box
        self._clock = clock

    def sign(self, path: str) -> str:
        """The signature, which holds the path and when it expires; it needs no quoting in a query."""
        expires = self._clock.now().timestamp() + LINK_SECONDS
        return self._box.encrypt(encode({"link": path.lower(), "expires": expires})).decode("ascii").rstrip("=")

    def check(self, path: str, signature: str | None) -> None:
        """Raise `ContentLinkInvalid` where the signature is not this path's, or is expired."""
        given = signature or ""
        try:
            signed = msgspec.json.decode(self._box.decrypt((given + "=" * (-len(given) % 4)).encode()))
        except (InvalidToken, UnicodeError):
            signed = None
        if not isinstance(signed, dict) or signed.get("link") != path.lower():
            raise ContentLinkInvalid("The signature of the link is not valid.")
        if signed["expires"] < self._clock.now().timestamp():
            raise ContentLinkInvalid("The link is expired; read the action again for a new one.")
