"""Conditions of automation rules: which incident they read, and how they compare.

Sources: https://learn.microsoft.com/azure/sentinel/automation-rule-reference (properties),
https://learn.microsoft.com/azure/sentinel/create-manage-use-automation-rules (operators; all are without case).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from lurewire.incidents.models import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lurewire.incidents.store import Incident


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions may read of an incident: itself, its entities (REST API form), its alerts' custom details."""

    incident: Incident
    entities: Sequence[dict[str, Any]]
    custom_details: Sequence[dict[str, list[str]]]


def _entity(kind: str, name: str) -> Callable[[Facts], Iterable[str]]:
    return lambda facts: (
        str(entity["properties"][name])
        for entity in facts.entities
        if entity["kind"] == kind and entity["properties"].get(name) is not None
    )


_ENTITY_PROPERTIES: Final = {
    "AccountAadTenantId": ("Account", "aadTenantId"),
    "AccountAadUserId": ("Account", "aadUserId"),
    "AccountName": ("Account", "accountName"),
    "AccountNTDomain": ("Account", "ntDomain"),
    "AccountPUID": ("Account", "puid"),
    "AccountSid": ("Account", "sid"),
    "AccountObjectGuid": ("Account", "objectGuid"),
    "AccountUPNSuffix": ("Account", "upnSuffix"),
    "AzureResourceResourceId": ("AzureResource", "resourceId"),
    "AzureResourceSubscriptionId": ("AzureResource", "subscriptionId"),
    "CloudApplicationAppId": ("CloudApplication", "appId"),
    "CloudApplicationAppName": ("CloudApplication", "appName"),
    "DNSDomainName": ("DnsResolution", "domainName"),
    "FileDirectory": ("File", "directory"),
    "FileName": ("File", "fileName"),
    "FileHashValue": ("FileHash", "hashValue"),
    "HostAzureID": ("Host", "azureID"),
    "HostName": ("Host", "hostName"),
    "HostNetBiosName": ("Host", "netBiosName"),
    "HostNTDomain": ("Host", "ntDomain"),
    "HostOSVersion": ("Host", "osVersion"),
    "IoTDeviceId": ("IoTDevice", "deviceId"),
    "IoTDeviceName": ("IoTDevice", "deviceName"),
    "IoTDeviceType": ("IoTDevice", "deviceType"),
    "IoTDeviceVendor": ("IoTDevice", "vendor"),
    "IoTDeviceModel": ("IoTDevice", "model"),
    "IoTDeviceOperatingSystem": ("IoTDevice", "operatingSystem"),
    "IPAddress": ("Ip", "address"),
    "MailboxDisplayName": ("Mailbox", "displayName"),
    "MailboxPrimaryAddress": ("Mailbox", "mailboxPrimaryAddress"),
    "MailboxUPN": ("Mailbox", "upn"),
    "MailMessageDeliveryAction": ("MailMessage", "deliveryAction"),
    "MailMessageDeliveryLocation": ("MailMessage", "deliveryLocation"),
    "MailMessageRecipient": ("MailMessage", "recipient"),
    "MailMessageSenderIP": ("MailMessage", "senderIP"),
    "MailMessageSubject": ("MailMessage", "subject"),
    "MailMessageP1Sender": ("MailMessage", "p1Sender"),
    "MailMessageP2Sender": ("MailMessage", "p2Sender"),
    "MalwareCategory": ("Malware", "category"),
    "MalwareName": ("Malware", "malwareName"),
    "ProcessCommandLine": ("Process", "commandLine"),
    "ProcessId": ("Process", "processId"),
    "RegistryKey": ("RegistryKey", "key"),
    "RegistryValueData": ("RegistryValue", "valueData"),
    "Url": ("Url", "url"),
}

PROPERTIES: Final[dict[str, Callable[[Facts], Iterable[str]]]] = {
    "IncidentTitle": lambda f: (f.incident.title,),
    "IncidentDescription": lambda f: (f.incident.description,),
    "IncidentSeverity": lambda f: (f.incident.severity,),
    "IncidentStatus": lambda f: (f.incident.status,),
    "IncidentRelatedAnalyticRuleIds": lambda f: f.incident.rule_ids,
    "IncidentTactics": lambda f: f.incident.tactics,
    "IncidentLabel": lambda f: (label["labelName"] for label in f.incident.labels),
    "IncidentProviderName": lambda f: (f.incident.provider_name,),
    "IncidentCustomDetailsKey": lambda f: (key for details in f.custom_details for key in details),
    "IncidentCustomDetailsValue": lambda f: (
        v for details in f.custom_details for values in details.values() for v in values
    ),
    "AlertProductNames": lambda f: f.incident.product_names,
    **{name: _entity(kind, field) for name, (kind, field) in _ENTITY_PROPERTIES.items()},
}
"""Each property that a condition may name, and the values it has; all of them texts."""

_TESTS: Final[dict[str, Callable[[str, str], bool]]] = {
    "Equals": lambda value, wanted: value == wanted,
    "Contains": lambda value, wanted: wanted in value,
    "StartsWith": lambda value, wanted: value.startswith(wanted),
    "EndsWith": lambda value, wanted: value.endswith(wanted),
}


class Operator(StrEnum):
    """How a property compares: some value fits some wanted one; `Not...` is the opposite of that."""

    EQUALS = "Equals"
    NOT_EQUALS = "NotEquals"
    CONTAINS = "Contains"
    NOT_CONTAINS = "NotContains"
    STARTS_WITH = "StartsWith"
    NOT_STARTS_WITH = "NotStartsWith"
    ENDS_WITH = "EndsWith"
    NOT_ENDS_WITH = "NotEndsWith"


class PropertyTest(Model, frozen=True):
    """A property, an operator, and the values of which one must fit."""

    property_name: str
    operator: Operator
    property_values: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.property_name not in PROPERTIES:
            raise ValueError(
                f"property '{self.property_name}' is not supported when incidents are created; "
                f"these are: {', '.join(sorted(PROPERTIES))}"
            )

    def holds(self, facts: Facts) -> bool:
        """Whether an incident fits."""
        name = self.operator.value
        test = _TESTS[name.removeprefix("Not")]
        wanted = [value.lower() for value in self.property_values]
        values = [value.lower() for value in PROPERTIES[self.property_name](facts)]
        return any(test(value, w) for value in values for w in wanted) != name.startswith("Not")


class PropertyCondition(Model, frozen=True, tag_field="conditionType", tag="Property"):
    """A condition on one property."""

    condition_properties: PropertyTest

    def holds(self, facts: Facts) -> bool:
        """Whether an incident fits."""
        return self.condition_properties.holds(facts)

    def size(self) -> int:
        """How many conditions this is."""
        return 1


class BooleanTest(Model, frozen=True):
    """Conditions of which all (`And`) or one (`Or`) must hold."""

    operator: str
    inner_conditions: tuple[PropertyCondition | BooleanCondition, ...]

    def __post_init__(self) -> None:
        if self.operator not in ("And", "Or"):
            raise ValueError(f"'{self.operator}' is neither And nor Or")


class BooleanCondition(Model, frozen=True, tag_field="conditionType", tag="Boolean"):
    """A group of conditions."""

    condition_properties: BooleanTest

    def holds(self, facts: Facts) -> bool:
        """Whether an incident fits."""
        group = self.condition_properties
        combine = all if group.operator == "And" else any
        return combine(inner.holds(facts) for inner in group.inner_conditions)

    def size(self) -> int:
        """How many conditions are in the group, at all depths."""
        return sum(inner.size() for inner in self.condition_properties.inner_conditions)


Condition = PropertyCondition | BooleanCondition
