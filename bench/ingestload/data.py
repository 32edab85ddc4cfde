"""Calls of one megabyte: threats as the seed's vendor sends them, and what of them its transform keeps."""

from __future__ import annotations

import gzip
import json
import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "TrapEye_Threats_CL"
STREAM = f"Custom-{TABLE}"
BODIES = 64
_BODY_BYTES = 1_000_000
_DROPPED = 0.1  # of the records are of a kind that the transform leaves out


@dataclass(frozen=True, slots=True)
class Bodies:
    """Files of one call each: gzip as clients send it, and the records one a line; `all_lines` holds those of all bodies.

    `rows` are kept of each body.
    """

    packed: list[Path]
    lines: list[Path]
    all_lines: Path
    sizes: list[int]
    rows: list[int]


def event(chance: random.Random, kind: str = "new_threat") -> dict[str, Any]:
    """One event, with the keys, the lengths and the mixture of values that a decoy's events have."""
    first = datetime.now(UTC) - timedelta(seconds=chance.uniform(0, 3600))
    address = f"{chance.randrange(1, 224)}.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
    named = chance.random() < 0.4
    return {
        "@meta": {"product": "TrapEye", "vendor": "TrapEye"},
        "entity_uuid": "6a5b4c3d-1111-4000-8000-000000000001",
        "event": kind,
        "event_type": kind,
        "first_interaction": first.strftime("%Y-%m-%dT%H:%M:%S.%f000Z"),
        "last_interaction": first.strftime("%Y-%m-%dT%H:%M:%S.%f000Z"),
        "reverse_lookup": f"host-{address.replace('.', '-')}.example.net" if named else "",
        "source_asn": f"AS{chance.randrange(1, 65000)}",
        "source_country": chance.choice(("CN", "US", "RU", "DE", "NL", "BR", "VN", "IN")),
        "source_ip": address,
        "threat_uuid": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
    }


def make_bodies(folder: Path, count: int = BODIES) -> Bodies:
    """Write `count` bodies; each record is JSON as Python's clients write it."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Bodies([], [], folder / "all.ndjson", [], [])
    for number in range(count):
        chance = random.Random(number)
        texts: list[str] = []
        size = kept = 0
        while size < _BODY_BYTES:
            keep = chance.random() >= _DROPPED
            texts.append(json.dumps(event(chance, "new_threat" if keep else "new_interaction")))
            size += len(texts[-1]) + 2
            kept += keep
        body = f"[{', '.join(texts)}]".encode()
        made.packed.append(folder / f"{number}.json.gz")
        made.lines.append(folder / f"{number}.ndjson")
        made.packed[-1].write_bytes(gzip.compress(body, 6))
        made.lines[-1].write_text("\n".join(texts) + "\n")
        made.sizes.append(len(body))
        made.rows.append(kept)
    made.all_lines.write_bytes(b"".join(file.read_bytes() for file in made.lines))
    return made
