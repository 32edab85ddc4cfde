"""What a lookup answers. Unknown text is `""`; an unknown number or boolean is UNSET, and left out of the JSON.

Sources: https://www.ipinsights.io/docs.php and the Parse JSON schema of the vendor's Sentinel integration page.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType


class ThreatAssessment(msgspec.Struct, frozen=True):
    """`score` 0-100; `level` low, medium, high or critical; a category and a reason for each piece of evidence."""

    score: int
    level: str
    categories: tuple[str, ...]
    reasons: tuple[str, ...]


class Blocklist(msgspec.Struct, frozen=True):
    """A list that was checked, and whether the address is on it."""

    name: str
    listed: bool


class Blacklisting(msgspec.Struct, frozen=True):
    """A list that the address is on; `listed_at` is unknown, and so `""`, where the list keeps no dates."""

    source: str
    category: str
    listed_at: str


class AddressRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one address; latitude and longitude in degrees (WGS 84)."""

    ip: str
    hostname: str = ""
    city: str = ""
    region: str = ""
    country: str = ""
    country_code: str = ""
    latitude: float | UnsetType = UNSET
    longitude: float | UnsetType = UNSET
    asn: int | UnsetType = UNSET
    org: str = ""
    isp: str = ""
    is_tor: bool | UnsetType = UNSET
    is_proxy: bool | UnsetType = UNSET
    is_vpn: bool | UnsetType = UNSET
    is_datacenter: bool | UnsetType = UNSET
    threat_assessment: ThreatAssessment
    blocklists: tuple[Blocklist, ...] = ()
    ip_version: int
    country_name: str = ""
    region_name: str = ""
    as_number: str = ""
    as_name: str = ""
    timezone: str = ""
    blacklists: tuple[Blacklisting, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a 200; `queried_at` is UTC, ISO 8601, to the second."""

    success: bool = True
    data: AddressRecord
    queried_at: str
