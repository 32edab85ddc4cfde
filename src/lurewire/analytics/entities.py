"""The entity types that a rule can map columns to, and the three names that each of their identifiers has.

Sources: https://learn.microsoft.com/azure/sentinel/entities-reference (types, identifiers, alert schema) and the
Microsoft.SecurityInsights model (kinds and property names of the REST API, azure.md F.2 and F.3).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NAMESPACE: Final = uuid.UUID("6f0c9b5e-6d0a-5c1b-9d5f-2f3d1f1f6a10")


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier: its name in a rule and in the alert schema, and its property in the REST API.

    `split` takes apart an identifier that stands for several (`FullName`): text -> {identifier: text}.
    """

    name: str
    api: str
    split: Callable[[str], dict[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class EntityType:
    """One type: `name` in a rule, `alert_type` in SecurityAlert.Entities, `kind` in the REST API.

    `generic` are the values of `Name` that identify nobody: an entity with nothing else is left out.
    """

    name: str
    alert_type: str
    kind: str
    identifiers: tuple[Identifier, ...]
    generic: frozenset[str] = field(default=frozenset())

    def identifier(self, name: str) -> Identifier | None:
        """The identifier called `name`, without case."""
        return next((i for i in self.identifiers if i.name.lower() == name.lower()), None)


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]


def _identifiers(*names: str, **api: str) -> tuple[Identifier, ...]:
    """Identifiers whose API property is the name in camel case, or as `api` says where it is not."""
    return tuple(Identifier(n, api.get(n, _camel(n))) for n in names)


def _split_account(text: str) -> dict[str, str]:
    if "\\" in text:
        domain, _, name = text.partition("\\")
        return {"NTDomain": domain, "Name": name}
    name, _, suffix = text.partition("@")
    return {"Name": name, "UPNSuffix": suffix}


def _split_host(text: str) -> dict[str, str]:
    name, _, domain = text.partition(".")
    return {"HostName": name, "DnsDomain": domain}


ENTITY_TYPES: Final[tuple[EntityType, ...]] = (
    EntityType(
        "Account",
        "account",
        "Account",
        (
            Identifier("FullName", "", _split_account),
            *_identifiers("Name", "NTDomain", "DnsDomain", "UPNSuffix", "Sid", "AadTenantId", "AadUserId", "PUID",
                          "IsDomainJoined", "DisplayName", "ObjectGuid", "CloudAppAccountId",
                          Name="accountName", NTDomain="ntDomain", UPNSuffix="upnSuffix", PUID="puid"),
        ),
        frozenset(("admin", "administrator", "system", "root", "anonymous", "authenticated user", "network", "null",
                   "local system", "localsystem", "network service")),
    ),
    EntityType(
        "Host",
        "host",
        "Host",
        (
            Identifier("FullName", "", _split_host),
            *_identifiers("HostName", "NetBiosName", "DnsDomain", "NTDomain", "AzureID", "OMSAgentID", "OSFamily",
                          "OSVersion", "IsDomainJoined", NTDomain="ntDomain", OMSAgentID="omsAgentID",
                          OSFamily="osFamily", OSVersion="osVersion"),
        ),
    ),
    EntityType("IP", "ip", "Ip", _identifiers("Address", "AddressScope")),
    EntityType("Malware", "malware", "Malware", _identifiers("Name", "Category", Name="malwareName")),
    EntityType("File", "file", "File", _identifiers("Name", "Directory", Name="fileName")),
    EntityType(
        "Process",
        "process",
        "Process",
        _identifiers("ProcessId", "CommandLine", "ElevationToken", "CreationTimeUtc"),
    ),
    EntityType(
        "CloudApplication",
        "cloud-application",
        "CloudApplication",
        _identifiers("AppId", "Name", "InstanceName", Name="appName"),
    ),
    EntityType("DNS", "dns", "DnsResolution", _identifiers("DomainName")),
    EntityType("AzureResource", "azure-resource", "AzureResource", _identifiers("ResourceId")),
    EntityType("FileHash", "filehash", "FileHash", _identifiers("Algorithm", "Value", Value="hashValue")),
    EntityType("RegistryKey", "registry-key", "RegistryKey", _identifiers("Hive", "Key")),
    EntityType(
        "RegistryValue",
        "registry-value",
        "RegistryValue",
        _identifiers("Name", "Value", "ValueType", Name="valueName", Value="valueData"),
    ),
    EntityType(
        "SecurityGroup",
        "security-group",
        "SecurityGroup",
        _identifiers("DistinguishedName", "SID", "ObjectGuid", SID="sid"),
    ),
    EntityType("URL", "url", "Url", _identifiers("Url")),
    EntityType(
        "Mailbox",
        "mailbox",
        "Mailbox",
        _identifiers("MailboxPrimaryAddress", "DisplayName", "Upn", "ExternalDirectoryObjectId", "RiskLevel"),
    ),
    EntityType(
        "MailCluster",
        "mail-cluster",
        "MailCluster",
        _identifiers("NetworkMessageIds", "CountByDeliveryStatus", "CountByThreatType", "CountByProtectionStatus",
                     "Threats", "Query", "QueryTime", "MailCount", "IsVolumeAnomaly", "Source",
                     "ClusterSourceIdentifier", "ClusterSourceType", "ClusterQueryStartTime", "ClusterQueryEndTime",
                     "ClusterGroup"),
    ),
    EntityType(
        "MailMessage",
        "mail-message",
        "MailMessage",
        _identifiers("Recipient", "Urls", "Threats", "Sender", "P1Sender", "P1SenderDisplayName", "P1SenderDomain",
                     "SenderIP", "P2Sender", "P2SenderDisplayName", "P2SenderDomain", "ReceivedDate",
                     "NetworkMessageId", "InternetMessageId", "Subject", "BodyFingerprintBin1",
                     "BodyFingerprintBin2", "BodyFingerprintBin3", "BodyFingerprintBin4", "BodyFingerprintBin5",
                     "AntispamDirection", "DeliveryAction", "DeliveryLocation", "Language",
                     "ThreatDetectionMethods", ReceivedDate="receiveDate"),
    ),
    EntityType(
        "SubmissionMail",
        "SubmissionMail",
        "SubmissionMail",
        _identifiers("NetworkMessageId", "Timestamp", "Recipient", "Sender", "SenderIp", "Subject", "ReportType",
                     "SubmissionId", "SubmissionDate", "Submitter"),
    ),
)  # fmt: skip

_BY_NAME: Final = {t.name.lower(): t for t in ENTITY_TYPES}
_BY_ALERT_TYPE: Final = {t.alert_type.lower(): t for t in ENTITY_TYPES}


def entity_type(name: str) -> EntityType | None:
    """The type that a rule calls `name`, without case."""
    return _BY_NAME.get(name.lower())


def entity_type_of_alert(alert_type: str) -> EntityType | None:
    """The type that SecurityAlert.Entities calls `alert_type`."""
    return _BY_ALERT_TYPE.get(alert_type.lower())


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity of an alert: its type and the non-empty values of its identifiers, by rule name."""

    type: EntityType
    values: tuple[tuple[str, str], ...]

    @classmethod
    def make(cls, kind: EntityType, values: Mapping[str, str]) -> Entity | None:
        """The entity, its compound identifiers taken apart; None where it would identify nothing."""
        found: dict[str, str] = {}
        for name, text in values.items():
            identifier = kind.identifier(name)
            if identifier is None or not text:
                continue
            if identifier.split is None:
                found[identifier.name] = text
            else:
                found |= {k: v for k, v in identifier.split(text).items() if v and k not in values}
        if not found or (set(found) == {"Name"} and found["Name"].lower() in kind.generic):
            return None
        return cls(kind, tuple(sorted(found.items())))

    @property
    def name(self) -> str:
        """A GUID that depends on kind and values alone, so that the same entity has the same name everywhere."""
        parts = [self.type.kind, *(f"{k}={v}" for k, v in self.values)]
        return str(uuid.uuid5(_NAMESPACE, "\x1f".join(parts)))

    @property
    def friendly_name(self) -> str:
        """What a person reads first: the first identifier of the type that has a value."""
        values = dict(self.values)
        return next(values[i.name] for i in self.type.identifiers if i.name in values)

    def as_alert(self, number: int) -> dict[str, Any]:
        """The element of SecurityAlert.Entities, `number` its `$id`."""
        return {"$id": str(number), **{k: _typed(k, v) for k, v in self.values}, "Type": self.type.alert_type}

    def as_api(self, insights: str) -> dict[str, Any]:
        """The Entity of the REST API; `insights` is the `.../providers/Microsoft.SecurityInsights` it stands in."""
        api = {i.name: i.api for i in self.type.identifiers}
        properties = {api[k]: _typed(k, v) for k, v in self.values}
        return {
            "id": f"{insights}/Entities/{self.name}",
            "name": self.name,
            "type": "Microsoft.SecurityInsights/Entities",
            "kind": self.type.kind,
            "properties": {**properties, "friendlyName": self.friendly_name, "additionalData": {}},
        }


def _typed(identifier: str, text: str) -> Any:
    if identifier.startswith("Is") and text.lower() in ("true", "false", "1", "0"):
        return text.lower() in ("true", "1")
    return text
