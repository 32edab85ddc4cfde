"""A watchlist as one resource: its items become the CSV that it was made of.

Sources: https://learn.microsoft.com/rest/api/securityinsights/watchlists/create-or-update,
https://learn.microsoft.com/azure/sentinel/watchlists-manage#bulk-update-a-watchlist (no blank search keys) and
https://learn.microsoft.com/azure/sentinel/sentinel-service-limits#watchlist-limits.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT = ("description", "displayName", "itemsSearchKey", "labels", "defaultDuration", "provider", "source")
_MOST_BYTES = 3_984_588  # 3.8 MB


def watchlist_resource(properties: dict[str, Any], items: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """The properties of a watchlist that deploys with these items, and what a person must know of it.

    An item without a search key is left out, as an upload is refused for it.
    """
    key = str(properties.get("itemsSearchKey") or "SearchKey")
    rows = [values for item in items if isinstance(values := (item.get("properties") or {}).get("itemsKeyValue"), dict)]
    with_key = [row for row in rows if _text(row.get(key)).strip()]
    kept = {name: properties[name] for name in _KEPT if properties.get(name)}
    kept.setdefault("provider", "Custom")
    kept.setdefault("source", "watchlist.csv")
    content = _csv(with_key, key)
    notes = list(_notes(len(rows) - len(with_key), key, len(content.encode("utf-8", "surrogatepass"))))
    return kept | {"contentType": "text/csv", "numberOfLinesToSkip": 0, "rawContent": content}, notes


def _notes(without: int, key: str, size: int) -> Iterator[str]:
    if without:
        yield f"{without} of its items have no value of '{key}', its search key; no upload can have them, nor the file"
    if size > _MOST_BYTES:
        yield f"its content has {size} bytes and does not deploy: an upload has {_MOST_BYTES} at most"


def _csv(rows: list[dict[str, Any]], key: str) -> str:
    """All columns that any item has; the search key also where there are no items, as content has a header."""
    columns = sorted({str(name) for row in rows for name in row} | {key})
    out = io.StringIO()
    writer = csv.writer(out)  # a line ends with CR and LF, so that each of both is quoted in a value
    writer.writerow(columns)
    writer.writerows(sorted([_text(row.get(name)) for name in columns] for row in rows))
    return out.getvalue()


def _text(value: Any) -> str:
    """A value as queries give it: a column of CSV is text."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
