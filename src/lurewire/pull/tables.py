"""A workspace's tables: custom ones as resources that deploy, Azure's own as schemas that tools read.

Source: https://learn.microsoft.com/rest/api/loganalytics/tables/get
"""

from __future__ import annotations

from typing import Any

_HIDDEN_SUFFIXES = ("_SRCH", "_RST")
_COLUMN = ("name", "type", "description", "displayName", "dataTypeHint")
_GIVEN_BY_AZURE = frozenset({"TenantId", "Type", "_ResourceId", "_SubscriptionId", "_ItemId", "_TimeReceived", "MG"})


def is_listed(body: dict[str, Any]) -> bool:
    """Whether the table is one that content is written against: no search results, nothing restored."""
    return not str(body.get("name", "")).endswith(_HIDDEN_SUFFIXES)


def is_custom(body: dict[str, Any]) -> bool:
    """Whether the workspace's owner made the table."""
    schema = _schema(body)
    return schema.get("tableType") == "CustomLog" or str(body.get("name", "")).endswith("_CL")


def table_resource(body: dict[str, Any]) -> dict[str, Any]:
    """The properties of a custom table as they deploy."""
    properties = body.get("properties") or {}
    kept: dict[str, Any] = {"plan": properties.get("plan") or "Analytics"}
    for name, default in (
        ("retentionInDays", "retentionInDaysAsDefault"),
        ("totalRetentionInDays", "totalRetentionInDaysAsDefault"),
    ):
        if properties.get(name) is not None and not properties.get(default):
            kept[name] = properties[name]
    schema = _schema(body)
    made = {name: schema[name] for name in ("description", "displayName") if schema.get(name)}
    made["name"] = schema.get("name") or body.get("name")
    made["columns"] = [column for column in _columns(schema.get("columns")) if column["name"] not in _GIVEN_BY_AZURE]
    return kept | {"schema": made}


def schema_file(body: dict[str, Any]) -> dict[str, Any]:
    """A table of Azure's own in the form in which Sentinel's repositories hold schemas."""
    schema = _schema(body)
    columns = {
        c["name"]: c["type"] for c in (*_columns(schema.get("standardColumns")), *_columns(schema.get("columns")))
    }
    return {
        "Name": str(body.get("name") or ""),
        "Properties": [{"Name": name, "Type": kind} for name, kind in columns.items()],
    }


def _schema(body: dict[str, Any]) -> dict[str, Any]:
    schema = (body.get("properties") or {}).get("schema")
    return schema if isinstance(schema, dict) else {}


def _columns(given: Any) -> list[dict[str, Any]]:
    columns = [one for one in given if isinstance(one, dict) and one.get("name")] if isinstance(given, list) else []
    return [{k: str(c[k]).lower() if k == "type" else c[k] for k in _COLUMN if c.get(k) is not None} for c in columns]
