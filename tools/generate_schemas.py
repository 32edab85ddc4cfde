# ruff: noqa: INP001 - a script, not a package
"""Writes the compact schemas of Azure's tables from the recorded truth: names and types, nothing else.

`tools/generate_schemas.py [table-schemas.json]`; default: `kql/table-schemas.json` under `LUREWIRE_TRUTH` or beside the
checkout. The same input gives the same bytes.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "src/lurewire/schemas/azure.json.gz"
TRUTH = Path(os.environ.get("LUREWIRE_TRUTH", ROOT.parent / "shared/conformance"))

# One letter a type; src/lurewire/schemas/__init__.py reads them.
LETTERS = {
    "bool": "b",
    "int": "i",
    "long": "l",
    "real": "r",
    "string": "s",
    "datetime": "d",
    "guid": "g",
    "dynamic": "j",
}


ADDED = {
    # https://learn.microsoft.com/azure/azure-monitor/reference/tables/securityalert; the recorded schema lacks both.
    "SecurityAlert": [{"name": "SourceSystem", "type": "string"}, {"name": "TenantId", "type": "string"}],
}
"""Columns that a table's documentation has and the recorded truth has not."""


def compact(tables: dict[str, list[dict[str, str]]]) -> bytes:
    """`{"Table": "letter name,..."}` of every table, sorted by name; columns keep their order."""
    lines = {}
    for name, columns in sorted(tables.items()):
        if any("," in column["name"] for column in columns):
            raise ValueError(f"{name}: a column name holds the separator")
        missing = [added for added in ADDED.get(name, []) if added not in columns]
        lines[name] = ",".join(LETTERS[column["type"]] + column["name"] for column in columns + missing)
    return json.dumps(lines, separators=(",", ":")).encode()


def main() -> None:
    """Read, write, say how much."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else TRUTH / "kql/table-schemas.json"
    text = compact(json.loads(source.read_text(encoding="utf-8")))
    TARGET.write_bytes(gzip.compress(text, 9, mtime=0))
    sys.stdout.write(f"{TARGET}: {len(text)} bytes, {TARGET.stat().st_size} compressed\n")


if __name__ == "__main__":
    main()
