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
        "identity.token_request_bytes",
        65_536,
        "bytes",
        "our own: an assertion, the longest parameter that clients send, has less than 10 kB",
    ),
)
