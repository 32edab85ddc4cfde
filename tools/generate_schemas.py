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


_NAME = [{"name": "Name", "type": "string"}]
_REPORT = {"name": "ReportReferenceLink", "type": "string"}

# Pages are https://learn.microsoft.com/azure/azure-monitor/reference/tables/ and the table's name in lower case.
ADDED = {
    # Their pages list `Name`; the recorded schemas of documented tables have no column of that name anywhere.
    "AppAvailabilityResults": _NAME,
    "AppBrowserTimings": _NAME,
    "AppDependencies": _NAME,
    "AppEvents": _NAME,
    "AppMetrics": _NAME,
    "AppPageViews": _NAME,
    "AppRequests": _NAME,
    "ContainerInventory": _NAME,
    "InsightsMetrics": _NAME,
    "KubePodInventory": _NAME,
    # The page says that a service's columns come with its first record; these two come with that of every service, and
    # Microsoft's ASIM parsers of Azure Firewall read them.
    "AzureDiagnostics": [{"name": "ResourceId", "type": "string"}, {"name": "SubscriptionId", "type": "string"}],
    # What threat intelligence adds to a record about an address (azure/azure-monitor/vm/vminsights-log-query lists it for
    # VMConnection); Microsoft's ASIM parsers read the link from both tables.
    "DnsEvents": [*_NAME, _REPORT],
    "WindowsFirewall": [_REPORT],
    # The page lists both.
    "SecurityAlert": [{"name": "SourceSystem", "type": "string"}, {"name": "TenantId", "type": "string"}],
    # Microsoft's ASIM parsers read both; WindowsEvent's page lists the first too.
    "SecurityEvent": [{"name": "EventOriginId", "type": "string"}, {"name": "ImpersonationLevel", "type": "string"}],
}
"""Columns that a table has and the recorded truth has not."""


def kind(table: str, column: dict[str, str]) -> str:
    """The type of a column: where records of `_CL` tables name theirs by suffix, `_b` is bool.

    The recorded truth has some as int, after `SByte`, which is how the engine calls the type it keeps a bool in:
    https://learn.microsoft.com/kusto/query/scalar-data-types/bool and
    https://learn.microsoft.com/azure/azure-monitor/logs/data-collector-api#record-type-and-properties.
    """
    boolean = table.endswith("_CL") and column["name"].endswith("_b") and column["type"] == "int"
    return "bool" if boolean else column["type"]


def compact(tables: dict[str, list[dict[str, str]]]) -> bytes:
    """`{"Table": "letter name,..."}` of every table, sorted by name; columns keep their order."""
    lines = {}
    for name, columns in sorted(tables.items()):
        if any("," in column["name"] for column in columns):
            raise ValueError(f"{name}: a column name holds the separator")
        missing = [added for added in ADDED.get(name, []) if added not in columns]
        lines[name] = ",".join(LETTERS[kind(name, column)] + column["name"] for column in columns + missing)
    return json.dumps(lines, separators=(",", ":")).encode()


def main() -> None:
    """Read, write, say how much."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else TRUTH / "kql/table-schemas.json"
    text = compact(json.loads(source.read_text(encoding="utf-8")))
    TARGET.write_bytes(gzip.compress(text, 9, mtime=0))
    sys.stdout.write(f"{TARGET}: {len(text)} bytes, {TARGET.stat().st_size} compressed\n")


if __name__ == "__main__":
    main()
