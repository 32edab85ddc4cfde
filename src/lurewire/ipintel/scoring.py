"""The threat score: declared evidence, one formula, nothing else. docs/ipintel.md documents both tables."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from lurewire.ipintel.models import ThreatAssessment

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Evidence:
    """A finding: its `weight` in percent, category, and reason; `{name}` in the reason is the label or block found."""

    name: str
    weight: int
    category: str
    reason: str
    source: str


EVIDENCE: dict[str, Evidence] = {
    row.name: row
    for row in (
        Evidence("tor_exit", 80, "tor", "Tor exit node", "iporigin, kind tor"),
        Evidence("vpn_exit", 40, "vpn", "VPN exit of {name}", "iporigin, kind vpn"),
        Evidence("private_relay", 15, "relay", "Egress of {name}", "iporigin, label Apple Private Relay"),
        Evidence("datacenter", 10, "datacenter", "Datacentre IP address", "iporigin, kinds hosting, cdn, vpn, bot"),
        Evidence("cdn", 0, "cdn", "Edge of the content delivery network {name}", "iporigin, kind cdn"),
        Evidence("crawler", 0, "crawler", "Declared crawler {name}", "iporigin, kind bot"),
        Evidence("private", 0, "private", "{name}", "IANA special-purpose address registries"),
    )
}
"""Every piece of evidence by name, strongest first."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a label's kind is evidence of, and which of an answer's booleans it settles as true.

    `names`: the label is the organisation that runs the address.
    """

    evidence: tuple[str, ...]
    names: bool = False
    is_tor: bool = False
    is_vpn: bool = False
    is_datacenter: bool = False


KINDS: dict[str, Kind] = {
    "hosting": Kind(("datacenter",), names=True, is_datacenter=True),
    "cdn": Kind(("datacenter", "cdn"), names=True, is_datacenter=True),
    "vpn": Kind(("vpn_exit", "datacenter"), is_vpn=True, is_datacenter=True),
    # Volunteers run exits at home too: the list says nothing of datacentres.
    "tor": Kind(("tor_exit",), is_tor=True),
    "bot": Kind(("datacenter", "crawler"), is_datacenter=True),
}
"""The kinds of label that `iporigin` documents."""

EVIDENCE_OF_LABEL: dict[str, tuple[str, ...]] = {
    # Everybody with the operator's paid storage plan comes from there: weaker evidence than a VPN that was chosen.
    "Apple Private Relay": ("private_relay", "datacenter"),
}
"""Labels whose evidence differs from that of their kind."""


@dataclass(frozen=True, slots=True)
class Level:
    """A level and the scores, both included, that it covers."""

    name: str
    lowest: int
    highest: int


LEVELS = (Level("low", 0, 30), Level("medium", 31, 70), Level("high", 71, 90), Level("critical", 91, 100))
"""The vendor's level names. `high` begins above 70, the threshold of its Sentinel playbook."""


def score_of(weights: Sequence[int]) -> int:
    """The score of independent findings: 100 x (1 - product of (1 - weight/100)), rounded half up."""
    doubt = Fraction(1)
    for weight in weights:
        doubt *= Fraction(100 - weight, 100)
    return int(100 * (1 - doubt) + Fraction(1, 2))


def level_of(score: int) -> str:
    """The name of the level that covers `score`."""
    return next(level.name for level in LEVELS if level.lowest <= score <= level.highest)


def assess(evidence: Sequence[str], name: str) -> ThreatAssessment:
    """The assessment of the named pieces of evidence; `name` is the label or block that they were found by."""
    rows = [EVIDENCE[piece] for piece in evidence]
    score = score_of([row.weight for row in rows])
    return ThreatAssessment(
        score=score,
        level=level_of(score),
        categories=tuple(row.category for row in rows),
        reasons=tuple(row.reason.format(name=name) for row in rows),
    )
