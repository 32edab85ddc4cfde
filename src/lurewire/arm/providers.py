"""Resource providers: namespaces with their types and api-versions, always registered.

The versions are those that the SDKs, the azure-cli and public templates send (azure.md, section E.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lurewire.core.resources import ResourceType

_DEFAULT_VERSIONS = ("2022-09-01",)

API_VERSIONS: dict[str, tuple[str, ...]] = {
    "microsoft.authorization": ("2022-04-01", "2020-10-01-preview"),
    "microsoft.insights": ("2024-03-11", "2023-03-11", "2022-06-01"),
    "microsoft.keyvault": ("2023-07-01", "2022-07-01", "2019-09-01"),
    "microsoft.logic": ("2019-05-01", "2017-07-01", "2016-06-01"),
    "microsoft.operationalinsights": ("2025-07-01", "2025-02-01", "2022-10-01", "2021-12-01-preview", "2020-08-01"),
    "microsoft.resources": ("2026-06-01", "2025-04-01", "2024-11-01", "2022-12-01"),
    "microsoft.securityinsights": ("2025-10-01-preview", "2024-09-01", "2022-12-01-preview", "2021-10-01"),
    "microsoft.web": ("2016-06-01", "2018-07-01-preview"),
}


def providers(types: Iterable[ResourceType], subscription_id: str, location: str) -> list[dict[str, Any]]:
    """The providers of all registered types, as Azure shows them."""
    by_namespace: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for kind in types:
        namespace, _, rest = kind.type.partition("/")
        names.setdefault(namespace.lower(), namespace)
        by_namespace.setdefault(namespace.lower(), []).append(rest)
    return [
        {
            "id": f"/subscriptions/{subscription_id}/providers/{names[key]}",
            "namespace": names[key],
            "registrationState": "Registered",
            "registrationPolicy": "RegistrationRequired",
            "resourceTypes": [
                {
                    "resourceType": one,
                    "locations": [location],
                    "apiVersions": list(API_VERSIONS.get(key, _DEFAULT_VERSIONS)),
                    "capabilities": "None",
                }
                for one in sorted(kinds)
            ],
        }
        for key, kinds in sorted(by_namespace.items())
    ]
