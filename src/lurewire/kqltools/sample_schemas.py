"""What `lurewire kql schema-from-sample` prints: the schema of a sample in the forms that people need it in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lurewire.schemas.infer import infer, read_sample
from lurewire.schemas.parse_json import parse_json_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.schemas.infer import Inferred

_TEMPLATE = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def sample_schema(text: bytes, table: str, form: str, *, time: str = "") -> tuple[str, tuple[str, ...]]:
    """The schema of a sample for a table, in one of `SAMPLE_FORMS`, and notes for a person.

    Raises `lurewire.schemas.infer.SampleError`.
    """
    sample = read_sample(text)
    if form == "parse-json":
        return _json(parse_json_schema(sample)), ()
    inferred = infer(sample.records, time=time)
    return SAMPLE_FORMS[form](table, inferred), inferred.notes


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)


def _parts(table: str, inferred: Inferred) -> str:
    return _json(
        {
            "table": {"name": table, "columns": inferred.table_columns},
            "streamDeclarations": {f"Custom-{table}": {"columns": inferred.stream_columns}},
            "transformKql": inferred.transform,
            "notes": list(inferred.notes),
        }
    )


def _text(table: str, inferred: Inferred) -> str:
    lines = [f"Stream Custom-{table}", *_columns(inferred.stream_columns)]
    lines += ["", "Transform", f"  {inferred.transform}", "", f"Table {table}", *_columns(inferred.table_columns)]
    return "\n".join(lines)


def _columns(columns: list[dict[str, str]]) -> list[str]:
    width = max(len(column["name"]) for column in columns)
    return [f"  {column['name']:<{width}}  {column['type']}" for column in columns]


def _template(table: str, inferred: Inferred) -> str:
    """A template that makes the table, and a direct rule that fills it."""
    workspace = "resourceId('Microsoft.OperationalInsights/workspaces', parameters('workspaceName'))"
    stream = f"Custom-{table}"
    rule = {
        "type": "Microsoft.Insights/dataCollectionRules",
        "apiVersion": "2023-03-11",
        "name": "[parameters('ruleName')]",
        "location": "[parameters('location')]",
        "kind": "Direct",
        "dependsOn": [
            f"[resourceId('Microsoft.OperationalInsights/workspaces/tables', parameters('workspaceName'), '{table}')]"
        ],
        "properties": {
            "streamDeclarations": {stream: {"columns": [_literal(column) for column in inferred.stream_columns]}},
            "destinations": {"logAnalytics": [{"name": "workspace", "workspaceResourceId": f"[{workspace}]"}]},
            "dataFlows": [
                {
                    "streams": [stream],
                    "destinations": ["workspace"],
                    "transformKql": inferred.transform,
                    "outputStream": stream,
                }
            ],
        },
    }
    made = {
        "type": "Microsoft.OperationalInsights/workspaces/tables",
        "apiVersion": "2022-10-01",
        "name": f"[concat(parameters('workspaceName'), '/{table}')]",
        "properties": {"schema": {"name": table, "columns": inferred.table_columns}},
    }
    return _json(
        {
            "$schema": _TEMPLATE,
            "contentVersion": "1.0.0.0",
            "parameters": {
                "workspaceName": {"type": "string"},
                "ruleName": {"type": "string", "defaultValue": f"{table.removesuffix('_CL')}-dcr"},
                "location": {"type": "string", "defaultValue": "[resourceGroup().location]"},
            },
            "resources": [made, rule],
            "outputs": {
                "immutableId": {
                    "type": "string",
                    "value": "[reference(resourceId('Microsoft.Insights/dataCollectionRules', parameters('ruleName')), "
                    "'2023-03-11').immutableId]",
                }
            },
        }
    )


def _literal(column: dict[str, str]) -> dict[str, str]:
    """A column whose name a template does not take for an expression."""
    name = column["name"]
    return column | {"name": f"[{name}" if name.startswith("[") and name.endswith("]") else name}


SAMPLE_FORMS: dict[str, Callable[[str, Inferred], str]] = {"text": _text, "json": _parts, "arm": _template}
"""How the schema of a sample is written, by name; the Parse JSON schema, `parse-json`, needs no table."""
