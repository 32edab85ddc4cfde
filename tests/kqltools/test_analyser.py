"""The comparison with Microsoft's analyser: what counts as agreement; with the analyser itself where it is installed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def test_agreement_is_of_verdicts_and_of_columns(kql_analyser: Any) -> None:
    mine = {
        "same": kql_analyser.Verdict([("a", "long")]),
        "hidden": kql_analyser.Verdict([("a", "long")]),
        "other type": kql_analyser.Verdict([("a", "int")]),
        "open": kql_analyser.Verdict([("a", "long"), ("b", "string")]),
        "ours refused": kql_analyser.Verdict(None, "SEM0100 x"),
        "both refused": kql_analyser.Verdict(None, "SEM0100 x"),
        "theirs refused": kql_analyser.Verdict([("a", "long")]),
        "stopped": kql_analyser.Verdict([("a", "long")]),
    }
    other = {
        "same": kql_analyser.Verdict([("a", "long")]),
        "hidden": kql_analyser.Verdict([("a", "long"), ("_ItemId", "string"), ("_ItemId1", "string")]),
        "other type": kql_analyser.Verdict([("a", "long")]),
        "open": kql_analyser.Verdict([("a", "long")], open=True),
        "ours refused": kql_analyser.Verdict([("a", "long")]),
        "both refused": kql_analyser.Verdict(None, "KS142 x"),
        "theirs refused": kql_analyser.Verdict(None, "KS142 x"),
        "stopped": None,
    }
    made = kql_analyser.compare(mine, other)
    assert list(kql_analyser.show(made)) == [
        "1 queries stop the analyser and are left out",
        "the analyser accepts 5; 4 of them run here (80.0%)",
        "runs: agree 5 of 7 (71.4%)",
        "1 results have columns that depend on data and are not compared",
        "schemas: agree 2 of 3 (66.7%)",
    ]
    assert [(one["id"], one["what"]) for one in made.differing] == [
        ("other type", "schema"),
        ("ours refused", "run"),
        ("theirs refused", "run"),
    ]


def test_a_corpus_beside_the_analyser(kql_analyser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not (kql_analyser.FOLDER / "node_modules").is_dir():
        pytest.skip("the analyser is not installed: make kql-analyser installs it")
    queries = {
        "columns": "Own | summarize n = count(), dcount(s) by bin(t, 1h) | extend x = n * 1.5",
        "refused": "Own | where nothing == 1",
        "behind": "Own | where _ItemId == 'x'",
        "theirs": "Own | extend x = coalesce(s, s) | evaluate python(typeof(*), 'result = df')",
        "a watchlist": "Own | where s in ((_GetWatchlist('ASimDisabledParsers') | project SearchKey))",
    }
    corpus = tmp_path / "queries.jsonl"
    corpus.write_text("\n".join(json.dumps({"id": name, "query": text}) for name, text in queries.items()))
    schemas, differences = tmp_path / "schemas.json", tmp_path / "differences"
    schemas.write_text(json.dumps({"Own": {"s": "string", "TimeGenerated": "datetime", "t": "datetime"}}))
    arguments = [str(corpus), "--schemas", str(schemas), "--differences", str(differences)]
    assert kql_analyser.main([*arguments, "--min", "75"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "the analyser accepts 4; 3 of them run here (75.0%)",
        "runs: agree 4 of 5 (80.0%)",
        "schemas: agree 3 of 3 (100.0%)",
    ]
    (only,) = [json.loads(line) for line in differences.read_text().splitlines()]
    assert (only["id"].rpartition("#")[2], only["what"], only["theirs"]) == ("theirs", "run", "")
    assert kql_analyser.main([*arguments, "--min", "75.1"]) == 1
