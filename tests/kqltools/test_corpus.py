"""The corpus runner over a few files of our own writing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    files: dict[str, str] = {
        "rules/plain.kql": "SigninLogs | where ResultType == 0 | summarize count() by UserPrincipalName",
        # The same but for white space: counted once.
        "rules/same.txt": "SigninLogs\n| where ResultType == 0\n| summarize count()   by UserPrincipalName\n",
        "rules/notes.md": "# Notes\n```kql\nSecurityEvent | where EventID == '4625' | take 5\n```\n```python\nprint(1)\n```\n",
        "rules/rule.yaml": "id: a\nname: r\nkind: Scheduled\nquery: |\n  Nowhere_CL\n  | where x == 1\n",
        "template.json": json.dumps(
            {
                "resources": [
                    {
                        "type": "Microsoft.OperationalInsights/workspaces/providers/alertRules",
                        "kind": "Scheduled",
                        "properties": {"query": "AuditLogs | where Result = 'success'"},
                    },
                    {
                        "type": "Microsoft.OperationalInsights/workspaces/providers/alertRules",
                        "kind": "Scheduled",
                        "properties": {"query": "[concat('AuditLogs', parameters('x'))]"},
                    },
                ]
            }
        ),
        "lines.jsonl": "\n".join(
            json.dumps({"id": name, "query": query})
            for name, query in {
                "open": "SecurityEvent | extend d = parse_json(EventData) | evaluate bag_unpack(d) | where Foo == 'a' | project Foo, Computer",
                "outside": "externaldata(a: string)['https://example.org/list.csv.zip'] | where a == 'x'",
                "wild": "union withsource=T * | where TimeGenerated > ago(1d) | summarize count(), sum(_BilledSize) by T",
                "unsure": "SecurityEvent | evaluate python(typeof(*), 'x')",
            }.items()
        ),
        "broken.json": "{",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_a_corpus_is_run_and_reported(kql_corpus: Any, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failures = corpus / "failures"
    assert kql_corpus.main([str(corpus), "--min", "60", "--failures", str(failures)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "ran 5 of 8 (62.5%)"
    report = "\n".join(lines)
    assert "broken.json:1: " in report
    assert "1 transformations and template expressions were not tried" in report
    assert "not in the schemas: Nowhere_CL (1)" in report
    found = [json.loads(line) for line in failures.read_text(encoding="utf-8").splitlines()]
    assert [(one["code"], one["line"], one["column"]) for one in found] == [
        ("LW0001", 1, 26),
        ("SEM0100", 1, 1),
        ("SYN0002", 1, 26),
    ]


def test_too_few_are_an_exit_code(kql_corpus: Any, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kql_corpus.main([str(corpus / "lines.jsonl"), "--min", "75"]) == 0
    assert kql_corpus.main([str(corpus / "lines.jsonl"), "--min", "75.1"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "ran 3 of 4 (75.0%)"


def test_schemas_of_ones_own(kql_corpus: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schemas, query = tmp_path / "schemas.json", tmp_path / "query.kql"
    schemas.write_text(json.dumps({"Own": [{"name": "x", "type": "long"}]}), encoding="utf-8")
    query.write_text("Own | where x > 1", encoding="utf-8")
    assert kql_corpus.main([str(query), "--schemas", str(schemas), "--min", "100"]) == 0
    query.write_text("SigninLogs | take 1", encoding="utf-8")
    assert kql_corpus.main([str(query), "--schemas", str(schemas), "--min", "100"]) == 1
    assert "not in the schemas: SigninLogs (1)" in capsys.readouterr().out


def test_a_corpus_that_is_not_there(kql_corpus: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kql_corpus.main([str(tmp_path / "none")]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err
