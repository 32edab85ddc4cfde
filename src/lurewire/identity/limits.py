"""Limits of the identity room."""

from lurewire.core.limits import Limit

LIMITS = (
    Limit(
        "identity.access_token_lifetime",
        3_599,
        "seconds",
        "https://learn.microsoft.com/entra/identity-platform/configurable-token-lifetimes#access-tokens",
    ),
    Limit(
        "identity.clock_skew",
        300,
        "seconds",
        "https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-tokens",
    ),
    Limit(
        "identity.key_lead",
        86_400,
        "seconds",
        "our own: clients of Microsoft's refresh the keys that they keep every 24 hours, "
        "https://learn.microsoft.com/entra/identity-platform/signing-key-rollover",
    ),
    Limit(
        "identity.token_request_bytes",
        65_536,
        "bytes",
        "our own: an assertion, the longest parameter that clients send, has less than 10 kB",
    ),
    Limit(
        "identity.token_requests_per_minute",
        6_000,
        "requests",
        "our own, per application and client address: Entra throttles, and publishes no figure",
    ),
    Limit(
        "identity.request_bytes",
        4_194_304,
        "bytes",
        "https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits",
    ),
    Limit(
        "identity.custom_roles",
        5_000,
        "roles",
        "https://learn.microsoft.com/azure/role-based-access-control/custom-roles#custom-role-limits",
    ),
    Limit(
        "identity.role_actions",
        2_000,
        "actions in a list",
        "our own: a role is made ready to be asked before its PUT is answered",
    ),
    Limit(
        "identity.assignable_scopes",
        2_000,
        "scopes",
        "https://learn.microsoft.com/azure/role-based-access-control/custom-roles#custom-role-limits",
    ),
    Limit(
        "identity.management_group_depth",
        6,
        "groups below the root",
        "https://learn.microsoft.com/azure/governance/management-groups/overview#hierarchy-of-management-groups-and-subscriptions",
    ),
)
