"""The Microsoft Sentinel connector (`azuresentinel`).

A comment's HTML goes on exactly as the playbook made it, with whatever a looked-up value brought in, as in Azure: text
is escaped, or HTML sanitised, by what shows it.
Source: https://learn.microsoft.com/connectors/azuresentinel/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from lurewire.playbooks.connectors.model import BadCall, Connector, ConnectorCall, ConnectorReply, Operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lurewire.core.principal import Principal


class Incidents(Protocol):
    """The incidents room, as the connector uses it; every call checks the principal's role.

    All raise `lurewire.core.errors.Forbidden` where no role allows it, and the room's `WireError`s.
    """

    async def get(self, principal: Principal, incident_id: str) -> dict[str, Any]:
        """The incident as its ARM JSON."""
        ...

    async def get_of_alert(self, principal: Principal, customer_id: str, alert_id: str) -> dict[str, Any]:
        """The incident that an alert of the workspace with that GUID is in, as its ARM JSON."""
        ...

    async def add_comment(
        self, principal: Principal, incident_id: str, message: str, *, comment_id: str
    ) -> dict[str, Any]:
        """Add a comment, once for each `comment_id` (a GUID); the comment as its ARM JSON."""
        ...

    async def update(
        self,
        principal: Principal,
        incident_id: str,
        *,
        severity: str | None = None,
        status: str | None = None,
        classification: str | None = None,
        classification_reason: str | None = None,
        classification_comment: str | None = None,
        add_labels: Sequence[str] = (),
        remove_labels: Sequence[str] = (),
        owner: str | None = None,
        unassign: bool = False,
        title: str | None = None,
        description: str | None = None,
        key: str,
    ) -> dict[str, Any]:
        """Change what is given and leave the rest, once for each `key`; the incident as its ARM JSON.

        `owner` is a user principal name or an object id; `unassign` takes the owner away.
        """
        ...


_ALERT = "/Incidents/subscriptions/{subscription}/resourceGroups/{group}/workspaces/{workspace}/alerts/{alert}"

_KINDS: dict[str, tuple[str, str, dict[str, str]]] = {
    # path: entity kind, name of the answer's array, alert-schema aliases of incident-schema properties
    "ip": ("ip", "IPs", {"address": "Address"}),
    "account": (
        "account",
        "Accounts",
        {
            "accountName": "Name",
            "upnSuffix": "UPNSuffix",
            "aadUserId": "AadUserId",
            "sid": "Sid",
            "displayName": "DisplayName",
            "ntDomain": "NTDomain",
        },
    ),
    "host": (
        "host",
        "Hosts",
        {"hostName": "HostName", "dnsDomain": "DnsDomain", "azureID": "AzureID", "omsAgentID": "OMSAgentID"},
    ),
    "url": ("url", "URLs", {"url": "Url"}),
    "filehash": ("filehash", "Filehashes", {"hashValue": "Value", "algorithm": "Algorithm"}),
    "dnsresolution": ("dnsresolution", "Dnsresolutions", {"domainName": "DomainName"}),
}


def sentinel(incidents: Incidents) -> Connector:
    """The connector's operations over an incidents room."""
    entities = (
        Operation("POST", f"/entities/{path}", f"Entities - Get {array}", _entities(kind, array, aliases), effect=False)
        for path, (kind, array, aliases) in _KINDS.items()
    )
    return Connector(
        "azuresentinel",
        (
            *entities,
            Operation("POST", "/Incidents/Comment", "Add comment to incident (V3)", _add_comment(incidents)),
            Operation("PUT", "/Incidents", "Update incident", _update(incidents)),
            Operation("POST", "/Incidents", "Get incident", _get(incidents)),
            Operation("GET", _ALERT, "Alert - Get incident", _get_of_alert(incidents)),
        ),
    )


def _entities(kind: str, array: str, aliases: dict[str, str]) -> Callable[[ConnectorCall], Awaitable[ConnectorReply]]:
    async def call(request: ConnectorCall) -> ConnectorReply:
        found = [_flat(entity, kind, aliases) for entity in _entity_list(request.body) if _kind(entity) == kind]
        return ConnectorReply(200, {array: found})

    return call


def _entity_list(body: Any) -> list[dict[str, Any]]:
    # An incident trigger hands over an array, an alert trigger the same as text.
    if isinstance(body, str):
        try:
            body = msgspec.json.decode(body) if body.strip() else []
        except msgspec.DecodeError as error:
            message = f"The entities list is not valid JSON: {error}."
            raise BadCall(message) from None
    if body is None:
        return []
    if not isinstance(body, list) or not all(isinstance(entity, dict) for entity in body):
        raise BadCall("The entities list must be an array of entities.")
    return body


def _kind(entity: dict[str, Any]) -> str:
    kind = entity.get("kind") or entity.get("Type") or entity.get("type") or ""
    return str(kind).lower().replace("-", "")


def _flat(entity: dict[str, Any], kind: str, aliases: dict[str, str]) -> dict[str, Any]:
    """An incident's entity with its properties lifted out and the names that alerts use beside them.

    An alert's entity has the latter already and is returned as it is.
    """
    properties = entity.get("properties")
    if not isinstance(properties, dict):
        return entity
    named = {alias: properties[name] for name, alias in aliases.items() if name in properties}
    return {**properties, "Type": kind, **named}


def _parameter(request: ConnectorCall, name: str) -> Any:
    if isinstance(request.body, dict) and request.body.get(name) is not None:
        return request.body[name]
    return request.queries.get(name)


def _required(request: ConnectorCall, name: str) -> str:
    value = _parameter(request, name)
    if not isinstance(value, str) or not value:
        message = f"The parameter '{name}' is required and must be a string that is not empty."
        raise BadCall(message)
    return value


def _optional(request: ConnectorCall, name: str) -> str | None:
    value = _parameter(request, name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        message = f"The parameter '{name}' must be a string."
        raise BadCall(message)
    return value


def _get(incidents: Incidents) -> Callable[[ConnectorCall], Awaitable[ConnectorReply]]:
    async def call(request: ConnectorCall) -> ConnectorReply:
        return ConnectorReply(200, await incidents.get(request.actor, _required(request, "incidentArmId")))

    return call


def _get_of_alert(incidents: Incidents) -> Callable[[ConnectorCall], Awaitable[ConnectorReply]]:
    async def call(request: ConnectorCall) -> ConnectorReply:
        # The workspace's GUID is unique, so that the subscription and the group say nothing more.
        workspace, alert = request.parameters["workspace"], request.parameters["alert"]
        return ConnectorReply(200, await incidents.get_of_alert(request.actor, workspace, alert))

    return call


def _add_comment(incidents: Incidents) -> Callable[[ConnectorCall], Awaitable[ConnectorReply]]:
    async def call(request: ConnectorCall) -> ConnectorReply:
        comment = await incidents.add_comment(
            request.actor,
            _required(request, "incidentArmId"),
            _required(request, "message"),
            comment_id=request.key,
        )
        return ConnectorReply(200, comment)

    return call


def _update(incidents: Incidents) -> Callable[[ConnectorCall], Awaitable[ConnectorReply]]:
    async def call(request: ConnectorCall) -> ConnectorReply:
        classification, reason, comment = _classification(request)
        owner, unassign = _owner(request)
        incident = await incidents.update(
            request.actor,
            _required(request, "incidentArmId"),
            severity=_optional(request, "severity"),
            status=_optional(request, "status"),
            classification=classification,
            classification_reason=reason,
            classification_comment=comment,
            add_labels=_tags(request, "tagsToAdd", "TagsToAdd"),
            remove_labels=_tags(request, "tagsToRemove", "TagsToRemove"),
            owner=owner,
            unassign=unassign,
            title=_optional(request, "title"),
            description=_optional(request, "description"),
            key=request.key,
        )
        return ConnectorReply(200, incident)

    return call


def _tags(request: ConnectorCall, name: str, inner: str) -> tuple[str, ...]:
    """`{"TagsToAdd": [{"Tag": "x"}]}`, as the designer writes it, or the array alone, as people do."""
    value = _parameter(request, name)
    if isinstance(value, dict):
        value = next((member for key, member in value.items() if key.lower() == inner.lower()), None)
    if value is None:
        return ()
    if not isinstance(value, list):
        message = f"The parameter '{name}' must be an array of tags, or an object with the array '{inner}'."
        raise BadCall(message)
    return tuple(_tag(item, f"{name}/{index}") for index, item in enumerate(value))


def _tag(item: Any, where: str) -> str:
    tag = next((value for key, value in item.items() if key.lower() == "tag"), None) if isinstance(item, dict) else item
    if not isinstance(tag, str) or not tag:
        message = f"The parameter '{where}' must be an object with a string 'Tag'."
        raise BadCall(message)
    return tag


def _classification(request: ConnectorCall) -> tuple[str | None, str | None, str | None]:
    """`TruePositive - SuspiciousActivity` as classification and reason, with the free text."""
    value = _parameter(request, "classification")
    if value is None:
        return None, None, None
    if not isinstance(value, dict):
        raise BadCall("The parameter 'classification' must be an object with 'ClassificationAndReason'.")
    both = value.get("ClassificationAndReason")
    text = value.get("ClassificationReasonText")
    if not isinstance(both, str) or not isinstance(text, str | None):
        raise BadCall("The parameter 'classification' must have a string 'ClassificationAndReason'.")
    classification, _, reason = (part.strip() for part in both.partition("-"))
    return classification, reason or None, text


def _owner(request: ConnectorCall) -> tuple[str | None, bool]:
    action = _optional(request, "ownerAction")
    if action is not None and action.lower() not in ("assign", "unassign"):
        message = f"The parameter 'ownerAction' is '{action[:40]}'; it can be 'Assign' or 'Unassign'."
        raise BadCall(message)
    if action is not None and action.lower() == "unassign":
        return None, True
    return _optional(request, "owner"), False
