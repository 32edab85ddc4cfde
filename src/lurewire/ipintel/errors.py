"""The room's errors; those of the lookup API are answered as `{"success": false, "error": {"code", "message"}}`."""

from __future__ import annotations

from typing import ClassVar

from lurewire.core.errors import WireError


class DataError(Exception):
    """Installed data cannot be read: the message names it, and what to do."""


class FetchError(Exception):
    """The data could not be fetched: the message says why, and what still works."""


class PickError(Exception):
    """The installed data has no such addresses, or too few: the message says how many."""


class KeyExistsError(Exception):
    """A key of that name is in force already."""


class IpIntelError(WireError):
    """An error of the lookup API."""


class MissingAddress(IpIntelError):
    """The request has no `ip` parameter, or an empty one."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "missing_ip"


class RepeatedAddress(IpIntelError):
    """The request has more than one `ip` parameter."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "repeated_ip"


class InvalidAddress(IpIntelError):
    """The `ip` parameter is not an address."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "invalid_ip"


class MissingKey(IpIntelError):
    """The request has no `X-API-Key` header."""

    status: ClassVar[int] = 401
    code: ClassVar[str] = "missing_api_key"


class InvalidKey(IpIntelError):
    """The `X-API-Key` header names no key in force."""

    status: ClassVar[int] = 401
    code: ClassVar[str] = "invalid_api_key"


class RateLimited(IpIntelError):
    """The key has used up its lookups of the last hour."""

    status: ClassVar[int] = 429
    code: ClassVar[str] = "rate_limited"
