"""A watchlist as one resource: its items become the CSV that it was made of.

Source: https://learn.microsoft.com/rest/api/securityinsights/watchlists/create-or-update
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any

_KEPT = ("description", "displayName", "itemsSearchKey", "labels", "defaultDuration", "provider", "source")


def watchlist_resource(properties: dict[str, Any], items: list[dict[str, Any]]) -> dict[str, Any]:
    """The properties of a watchlist that deploys with these items."""
    rows = [values for item in items if isinstance(values := (item.get("properties") or {}).get("itemsKeyValue"), dict)]
    kept = {name: properties[name] for name in _KEPT if properties.get(name)}
    kept.setdefault("provider", "Custom")
    kept.setdefault("source", "watchlist.csv")
    return kept | {"contentType": "text/csv", "numberOfLinesToSkip": 0, "rawContent": _csv(rows)}


def _csv(rows: list[dict[str, Any]]) -> str:
    columns = sorted({str(name) for row in rows for name in row})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(sorted([_text(row.get(name)) for name in columns] for row in rows))
    return out.getvalue()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
