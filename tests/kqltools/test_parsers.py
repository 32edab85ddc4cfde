"""Published parsers in small: folders of functions in YAML and ARM, each with what once kept such a parser from running."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result


def parser(name: str, query: str, builtin: str = "", **parameters: str) -> str:
    """A parser's document; a parameter is its type, or its type and default."""
    document: dict[str, Any] = {"ParserName": name, "ParserQuery": textwrap.dedent(query)}
    if builtin:
        document["EquivalentBuiltInParser"] = builtin
    given = [(key, *value.split(" = ")) for key, value in parameters.items()]
    document["ParserParams"] = [
        {"Name": key, "Type": kind, **({"Default": default[0]} if default else {})} for key, kind, *default in given
    ]
    return json.dumps(document)


UNIFYING = """
    let Off = materialize(_GetWatchlist('ASimDisabledParsers') | where SearchKey in ('Any', 'ExcludeimTest')
      | extend SourceSpecificParser = column_ifexists('SourceSpecificParser', '') | distinct SourceSpecificParser);
    let AllOff = toscalar('ExcludeimTestBuiltIn' in (Off) or 'Any' in (Off));
    union isfuzzy=true
      vimTestEmpty, vimTestEvents(starttime, AllOff or ('Events' in (Off))), vimTestGone(starttime), vimTestNowhere(starttime)
"""
EVENTS = "SecurityEvent | where not(disabled) | where isnull(starttime) or TimeGenerated >= starttime"

PARSERS = {
    # A watchlist that nobody made, a parser that nobody deployed, and one of a table that nobody has.
    "imTest": parser("imTest", UNIFYING, "_Im_Test", starttime="datetime = datetime(null)"),
    "vimTestEmpty": parser("vimTestEmpty", "datatable(TimeGenerated: datetime, EventUid: string)[]"),
    # Columns that the tables have and their pages do not list, or the recorded schemas lost.
    "vimTestEvents": parser(
        "vimTestEvents",
        f"{EVENTS} | project-rename EventUid = EventOriginId | project TimeGenerated, EventUid, ImpersonationLevel",
        "_Im_Test_Events",
        starttime="datetime = datetime(null)",
        disabled="bool = false",
    ),
    "vimTestDns": parser("vimTestDns", "DnsEvents | project Domain = Name, EventReportUrl = ReportReferenceLink"),
    "vimTestFirewall": parser(
        "vimTestFirewall", "AzureDiagnostics | project-rename DvcId = ResourceId, DvcSubscriptionId = SubscriptionId"
    ),
    # A flag that the service keeps as SByte is a bool.
    "vimTestFlags": parser(
        "vimTestFlags",
        """
        let names = datatable(local_orig_b: bool, Direction: string)[true, 'Outbound'];
        VectraStream_CL | lookup names on local_orig_b | extend EventSubType = iff(saw_reply_b, 'response', 'request')
        """,
    ),
    # Functions that are called with arguments: a table with some columns, any table, a scalar.
    "Resolve": parser("Resolve", "T | extend Code = toint(column_ifexists(field, 0))", T="table:(*)", field="string"),
    "ResolveTime": parser("ResolveTime", "T | extend Day = bin(TimeGenerated, 1d)", T="table:(TimeGenerated:datetime)"),
    "Lookup": parser("Lookup", "case(code == 0, 'none', code > 5, 'many', 'some')", code="int"),
}


@pytest.fixture
def parsers(tmp_path: Path) -> Path:
    folder = tmp_path / "parsers"
    folder.mkdir()
    for name, text in PARSERS.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def test_functions_of_a_corpus_run_by_all_their_names(
    kql_corpus: Any, parsers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kql_corpus.main([str(parsers), "--min", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"functions: ran {len(PARSERS) + 2} of {len(PARSERS) + 2}, by all their names"
    assert lines[-1] == f"ran {len(PARSERS) + 2} of {len(PARSERS) + 2} (100.0%)"


def test_a_template_s_functions_are_known_to_the_queries_beside_it(
    kql_corpus: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    properties = {
        "category": "ASIM",
        "displayName": "vimTestOne",
        "FunctionAlias": "vimTestOne",
        "functionParameters": "starttime:datetime=datetime(null),names:dynamic=dynamic([]),disabled:bool=false",
        "query": "Syslog | where not(disabled) and (isnull(starttime) or TimeGenerated >= starttime) "
        "| where array_length(names) == 0 or HostName in (names)",
    }
    search = {"type": "savedSearches", "name": "x", "properties": properties}
    outer = {"type": "Microsoft.OperationalInsights/workspaces", "resources": [search]}
    (tmp_path / "template.json").write_text(json.dumps({"resources": [outer]}), encoding="utf-8")
    (tmp_path / "hunt.kql").write_text("vimTestOne(ago(1d), dynamic(['h'])) | summarize count() by HostName")
    (tmp_path / "typo.kql").write_text("vimTestTwo | take 1")
    assert kql_corpus.main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "functions: ran 1 of 1, by all their names" in lines
    assert lines[-1] == "ran 2 of 3 (66.7%)"


def test_a_parser_alone_on_a_table_that_is_nowhere_is_told_apart(
    kql_corpus: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(parser("vimGone", "Gone_CL | where x == 1"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(
        parser("imGone", "union isfuzzy=true vimGone, (Syslog | take 1)"), encoding="utf-8"
    )
    (tmp_path / "c.yaml").write_text(parser("Mistaken", "Syslog | where Nothing == 1"), encoding="utf-8")
    assert kql_corpus.main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "functions: ran 1 of 3, by all their names" in lines
    assert "1 of those that did not run lack nothing but tables, functions or watchlists" in lines


def test_the_linter_knows_what_asim_looks_for(lurewire: Callable[..., Result], parsers: Path) -> None:
    Path("q.kql").write_text("imTest(ago(1d)) | summarize count() by EventUid", encoding="utf-8")
    done = lurewire("kql", "check", "q.kql", "--functions", str(parsers))
    assert (done.exit_code, done.output) == (0, "1 query: 0 errors, 0 warnings\n")
    Path("q.kql").write_text(
        "_GetWatchlist('ASimSourceType') | where Source == 'x' | project SourceType", encoding="utf-8"
    )
    assert lurewire("kql", "check", "q.kql").exit_code == 0


def test_a_unifying_parser_runs_over_files_and_in_tests(lurewire: Callable[..., Result], parsers: Path) -> None:
    row = {"TimeGenerated": "2026-05-01T12:00:00Z", "EventOriginId": "e1", "ImpersonationLevel": "%%1833"}
    Path("rows.json").write_text(json.dumps([row]), encoding="utf-8")
    options = ("--functions", str(parsers), "--schema", "builtin", "--format", "ndjson")
    query = "_Im_Test(datetime(2026-05-01)) | project EventUid, ImpersonationLevel"
    done = lurewire("kql", "run", query, "--table", "SecurityEvent=rows.json", *options)
    expected = {"EventUid": "e1", "ImpersonationLevel": "%%1833"}
    assert [json.loads(line) for line in done.stdout.splitlines()] == [expected], done.output
    tests = [
        {"name": "all", "tables": {"SecurityEvent": [row]}, "expect": {"rows": [expected]}},
        {
            "name": "one is off",
            "tables": {"SecurityEvent": [row]},
            "watchlists": {
                "ASimDisabledParsers": [{"CallerContext": "ExcludeimTest", "SourceSpecificParser": "Events"}]
            },
            "expect": {"count": 0},
        },
    ]
    case = {"query": query, "now": "2026-05-02", "functions": [str(parsers)], "tests": tests}
    Path("a.test.yaml").write_text(json.dumps(case), encoding="utf-8")
    done = lurewire("test", "a.test.yaml")
    assert (done.exit_code, "2 passed, 0 failed" in done.output) == (0, True), done.output
