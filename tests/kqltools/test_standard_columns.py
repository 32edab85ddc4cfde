"""What Azure gives every record is there over files and in tests as in a workspace: found by name, not shown by `*`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

RESOURCE = "/subscriptions/S1/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm"
BEHIND = "_ResourceId, _SubscriptionId, _TimeReceived, _ItemId, _IsBillable, _BilledSize"


def run(lurewire: Callable[..., Result], query: str, *options: str) -> list[dict[str, Any]]:
    done = lurewire("kql", "run", query, "--table", "SigninLogs=rows.json", "--format", "ndjson", *options)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_over_files(lurewire: Callable[..., Result]) -> None:
    time = "2026-05-01T12:00:00Z"
    rows = [{"TimeGenerated": time, "UserPrincipalName": "a", "_ResourceId": RESOURCE}, {"UserPrincipalName": "b"}]
    Path("rows.json").write_text(json.dumps(rows), encoding="utf-8")
    builtin = ("--schema", "builtin")
    shown = run(lurewire, "SigninLogs | where UserPrincipalName == 'a'", *builtin)[0]
    assert not {name for name in shown if name.startswith("_")}
    query = f"SigninLogs | sort by UserPrincipalName asc | project {BEHIND}"
    first, second = run(lurewire, query, *builtin)
    assert first["_BilledSize"] > second["_BilledSize"] > 0
    del first["_BilledSize"], second["_BilledSize"]
    assert first == {
        "_ResourceId": RESOURCE, "_SubscriptionId": "S1", "_TimeReceived": time, "_ItemId": "1", "_IsBillable": "true",
    }  # fmt: skip
    assert second == {
        "_ResourceId": "", "_SubscriptionId": "", "_TimeReceived": None, "_ItemId": "2", "_IsBillable": "true",
    }  # fmt: skip
    # Without a schema a file has the columns that it has, and no others.
    assert "_ResourceId" in run(lurewire, "SigninLogs | take 1")[0]
    done = lurewire("kql", "run", "SigninLogs | project _ItemId", "--table", "SigninLogs=rows.json")
    assert (done.exit_code, "_ItemId" in done.output) == (1, True)


def test_in_tests(lurewire: Callable[..., Result]) -> None:
    rows = [
        {
            "Computer": "c",
            "_ResourceId": RESOURCE,
            "_ItemId": "i",
            "_TimeReceived": "2026-05-01T12:01Z",
            "_BilledSize": 9,
        },
        {"Computer": "d"},
    ]
    expected = [
        {"Computer": "c", "_SubscriptionId": "S1", "_ItemId": "i", "_BilledSize": 9.0, "Late": "00:01:00"},
        {"Computer": "d", "_SubscriptionId": "", "_ItemId": "", "Late": None},
    ]
    names = "Computer, _SubscriptionId, _ItemId, _BilledSize, Late = _TimeReceived - TimeGenerated"
    tests = {
        "query": f"SecurityEvent | sort by Computer asc | project {names}",
        "now": "2026-05-01T12:00Z",
        "tests": [
            {"name": "by name", "tables": {"SecurityEvent": rows}, "expect": {"rows": expected, "ordered": True}},
            {
                "name": "no such",
                "tables": {"SecurityEvent": [{"_Itemid": "i"}]},
                "expect": {"count": 1},
            },
        ],
    }
    Path("a.test.yaml").write_text(json.dumps(tests), encoding="utf-8")
    done = lurewire("test", "a.test.yaml")
    assert "PASS  a.test.yaml: by name" in done.output, done.output
    assert "table 'SecurityEvent' has no column '_Itemid'" in done.output
    tests["query"] = "SecurityEvent | getschema | where ColumnName startswith '_' | project ColumnName"
    tests["tests"] = [
        {"name": "shown", "tables": {"SecurityEvent": rows}, "expect": {"rows": [{"ColumnName": "_ResourceId"}]}}
    ]
    Path("a.test.yaml").write_text(json.dumps(tests), encoding="utf-8")
    assert lurewire("test", "a.test.yaml").exit_code == 0
