"""Addresses for demonstrations and measurements, chosen from the installed data: newer data, other addresses."""

from __future__ import annotations

import random
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Literal

from msgspec import UNSET

from lurewire.ipintel.addresses import reserved
from lurewire.ipintel.errors import PickError
from lurewire.ipintel.labels import ranges

if TYPE_CHECKING:
    from lurewire.ipintel.lookup import Lookup

Pick = Literal["tor", "benign"]

THRESHOLD = 70
"""The score above which the vendor's playbook escalates."""

_TRIES_EACH = 200


def addresses(lookup: Lookup, pick: Pick, *, count: int = 1, seed: int = 0) -> list[str]:
    """`count` distinct public IPv4 addresses, the same for the same data and seed.

    "tor": Tor exit nodes whose score is above 70. "benign": no label, score at most 70, country and AS known.
    Raises `PickError` where the installed data does not hold as many.
    """
    chosen = _tor(lookup, count, seed) if pick == "tor" else _benign(lookup, count, seed)
    return [str(address) for address in chosen]


def pick_address(lookup: Lookup, pick: Pick, *, seed: int = 0) -> str:
    """The first of `addresses`."""
    return addresses(lookup, pick, seed=seed)[0]


def _tor(lookup: Lookup, count: int, seed: int) -> list[IPv4Address]:
    exits = [IPv4Address(value) for first, last, _ in ranges("tor") for value in range(first, last + 1)]
    fit = [address for address in exits if lookup.lookup(str(address)).threat_assessment.score > THRESHOLD]
    if len(fit) < count:
        raise PickError(f"iporigin lists {len(fit)} Tor exit nodes with a score above {THRESHOLD}; {count} are wanted")
    return _chance(seed).sample(fit, count)


def _benign(lookup: Lookup, count: int, seed: int) -> list[IPv4Address]:
    if lookup.asn is None:
        raise PickError("no IP data was fetched, so that no address has a known country and AS: fetch it first")
    chance = _chance(seed)
    found: dict[IPv4Address, None] = {}
    for _ in range(count * _TRIES_EACH):
        first, last = lookup.asn.ipv4_range(chance.randrange(len(lookup.asn)))
        address = IPv4Address(chance.randint(first, last))
        if _is_benign(lookup, address):
            found[address] = None
            if len(found) == count:
                return list(found)
    raise PickError(f"{len(found)} benign addresses found in {count * _TRIES_EACH} tries; {count} are wanted")


def _is_benign(lookup: Lookup, address: IPv4Address) -> bool:
    if reserved(address) is not None or lookup.label(address) is not None:
        return False
    record = lookup.lookup(str(address))
    return bool(record.country) and record.asn is not UNSET and record.threat_assessment.score <= THRESHOLD


def _chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a repeatable choice is wanted, not an unguessable one
