"""`lurewire kql check`: every kind of file, places in them, reports, schemas, exit codes."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

WRONG = 'SigninLogs\n| where ResultTyp == "0"\n| summarize count() by IPAddress'
MESSAGE = "SEM0100 'where' operator: Failed to resolve column or scalar expression named 'ResultTyp' (did you mean 'ResultType'?)"


def write(name: str, text: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return name


def places(result: Result) -> list[tuple[str, int, int, str]]:
    findings: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    return [(one["path"], one["line"], one["column"], one["code"]) for one in findings]


def test_a_clean_query_and_one_with_a_finding(lurewire: Callable[..., Result]) -> None:
    write("good.kql", "SigninLogs | where ResultType == '0' | count\n")
    done = lurewire("kql", "check", "good.kql")
    assert (done.exit_code, done.output) == (0, "1 query: 0 errors, 0 warnings\n")
    write("bad.kql", WRONG)
    done = lurewire("kql", "check", "bad.kql")
    assert (done.exit_code, done.output) == (1, f"bad.kql:2:9: {MESSAGE}\n1 query: 1 error, 0 warnings\n")
    assert lurewire("kql", "check", "-", stdin=WRONG).output.startswith("stdin.kql:2:9: SEM0100")


RULE = """\
    # a rule
    kind: Scheduled
    name: Failed sign-ins
    queryPeriod: 1h
    triggerOperator: gt
    triggerThreshold: 0
    query: {}
    entityMappings:
      - entityType: IP
        fieldMappings: [{{identifier: Address, columnName: IPAddress}}]
    """


@pytest.mark.parametrize(
    ("query", "line", "column"),
    [
        ('|\n      SigninLogs\n      | where ResultTyp == "0"\n      | summarize count() by IPAddress', 9, 9),
        ('|2-\n\n      SigninLogs\n      | where ResultTyp == "0" | summarize count() by IPAddress\n', 10, 15),
        ('>-\n      SigninLogs\n      | where ResultTyp == "0"\n      | summarize count() by IPAddress', 9, 9),
        ("'SigninLogs | where ''a'' == ''a'' and ResultTyp == ''0'' | summarize count() by IPAddress'", 7, 47),
        ("\"SigninLogs\\n| where \\\"a\\\" == 'a' and ResultTyp == '0' | summarize count() by IPAddress\"", 7, 48),
        ("\"SigninLogs\n      | where ResultTyp\\\n      == '0' | summarize count() by IPAddress\"", 8, 15),
        ("SigninLogs | where ResultTyp == '0'\n      | summarize count() by IPAddress", 7, 27),
    ],
    ids=["literal", "indented", "folded", "single", "double", "continued", "plain"],
)
def test_places_in_yaml_are_those_of_the_file(
    lurewire: Callable[..., Result], query: str, line: int, column: int
) -> None:
    # RULE is dedented after the query is in it, by the four spaces of its own lines.
    text = textwrap.dedent(RULE).format(query.replace("\n      ", "\n  "))
    Path("rule.yaml").write_text(text, encoding="utf-8")
    found = places(lurewire("kql", "check", "--format", "json", "rule.yaml"))
    rows = text.splitlines()
    assert len(found) == 1
    _, at, start, code = found[0]
    assert code == "SEM0100"
    assert rows[at - 1][start - 1 :].startswith("ResultTyp")


def test_places_in_json_markdown_and_json_lines(lurewire: Callable[..., Result]) -> None:
    rule = {"kind": "Scheduled", "properties": {"displayName": "é 😀", "query": 'print a = "\\u"\t\n' * 0 + WRONG.replace("| where", "| where '\"é😀\\\\' != 'b' and")}}  # fmt: skip
    Path("rule.json").write_text("// exported\n" + json.dumps(rule, indent=2), encoding="utf-8")
    write(
        "page.md",
        "# Hunt\n\n> ```KQL\n> SigninLogs\n> | where ResultTyp == '0'\n> ```\n\n```python\nnot kql\n```\n\n   ~~~kusto\n   SigninLogs\n   | where ResultTyp == '0'\n   ~~~\n",
    )
    lines = [json.dumps({"id": "a", "query": "print 1"}), json.dumps({"query": WRONG, "id": "b"})]
    Path("corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = places(lurewire("kql", "check", "--format", "json", "rule.json", "page.md", "corpus.jsonl"))
    assert [one[0] for one in found] == ["rule.json", "page.md", "page.md", "corpus.jsonl"]
    for path, line, column, code in found:
        text = Path(path).read_text("utf-8").splitlines()[line - 1]
        assert (text[column - 1 :][:9], code) == ("ResultTyp", "SEM0100")


def test_a_template_gives_rules_saved_searches_and_transformations(lurewire: Callable[..., Result]) -> None:
    workspace = "Microsoft.OperationalInsights/workspaces"
    template = {
        "variables": {"q": "SigninLogs | where Nope1 == 1"},
        "resources": [
            {"type": f"{workspace}/providers/alertRules", "kind": "NRT", "properties": {"query": "SigninLogs | where Nope2 == 1"}},
            {"type": f"{workspace}/savedSearches", "properties": {"query": "[variables('q')]"}},
            {"type": "savedSearches", "properties": {"query": "T | where a > 1 and n == Nope3", "functionAlias": "f", "functionParameters": "T:(a:int, n:string), n:long = 5"}},
            {"type": f"{workspace}/savedSearches", "properties": {"query": "[concat('a', 'b')]"}},
            {"type": "Microsoft.Portal/dashboards", "properties": {"query": "not a query at all ("}},
            {
                "type": "Microsoft.Insights/dataCollectionRules",
                "properties": {
                    "streamDeclarations": {"Custom-A": {"columns": [{"name": "a", "type": "string"}]}},
                    "dataFlows": [
                        {"streams": ["Custom-A"], "transformKql": "source | extend TimeGenerated = now(), b = Nope4", "outputStream": "Custom-A_CL"},
                        {"streams": ["Custom-A"], "transformKql": "source | summarize count()", "outputStream": "Custom-A_CL"},
                        {"streams": ["Custom-A"], "transformKql": "source | extend Type = a", "outputStream": "Custom-A_CL"},
                        {"streams": ["Microsoft-Syslog"], "transformKql": "source | where SyslogMessage has 'x'", "outputStream": "Microsoft-Syslog"},
                        {"streams": ["Custom-B"], "transformKql": "source", "outputStream": "Custom-B_CL"},
                    ],
                },
            },
            {"type": "Microsoft.Resources/deployments", "properties": {"template": {"resources": [
                {"type": "Microsoft.SecurityInsights/alertRules", "kind": "Scheduled", "properties": {"query": "SigninLogs | where Nope5 == 1"}}]}}},
        ],
    }  # fmt: skip
    Path("template.json").write_text(json.dumps(template, indent=1), encoding="utf-8")
    done = lurewire("kql", "check", "--format", "json", "template.json")
    findings = json.loads(done.stdout)["findings"]
    assert [(one["code"], one["severity"]) for one in findings if one["code"] != "SEM0100"] == [
        ("LW1002", "warning"), ("LW0002", "error"), ("LW1004", "error"), ("LW1004", "error"), ("LW1007", "error"),
    ]  # fmt: skip
    named = [one["message"].rsplit("'", 2)[1] for one in findings if one["code"] == "SEM0100"]
    assert named == ["Nope2", "Nope1", "Nope3", "Nope4", "Nope5"]
    assert json.loads(done.stdout)["queries"] == 10
    rows = Path("template.json").read_text("utf-8").splitlines()
    for one in findings:
        if one["code"] == "SEM0100":
            assert rows[one["line"] - 1][one["column"] - 1 :].startswith("Nope")


def test_a_rule_that_uses_columns_its_query_does_not_return(lurewire: Callable[..., Result]) -> None:
    write(
        "rule.yaml",
        """\
        kind: NRT
        query: SigninLogs | project IPAddress, UserPrincipalName
        customDetails:
          App: AppDisplayName
        alertDetailsOverride:
          alertDisplayNameFormat: "From {{IPAddress}} by {{User}}"
        """,
    )
    done = lurewire("kql", "check", "--format", "json", "rule.yaml")
    assert (done.exit_code, places(done)) == (0, [("rule.yaml", 4, 8, "LW1003"), ("rule.yaml", 6, 52, "LW1003")])
    assert lurewire("kql", "check", "--strict", "rule.yaml").exit_code == 1
    assert lurewire("kql", "check", "--strict", "--ignore", "LW1003", "rule.yaml").exit_code == 0


def test_what_sentinel_refuses_in_a_rule(lurewire: Callable[..., Result]) -> None:
    write("rule.yaml", "kind: Scheduled\nquery: |\n  union *\n  | take 1\n")
    write("s.yaml", "T: {a: int}\n")
    assert ("rule.yaml", 3, 3, "LW1006") in places(
        lurewire("kql", "check", "--schema", "s.yaml", "--format", "json", "rule.yaml")
    )


SCHEMAS = {
    "simple.yaml": "Things_CL:\n  TimeGenerated: datetime\n  Size: long\n",
    "list.json": json.dumps({"Things_CL": [{"name": "TimeGenerated", "type": "dateTime"}, {"name": "Size", "type": "LONG"}]}),
    "resource.json": json.dumps(
        {"name": "ws/Things_CL", "type": "Microsoft.OperationalInsights/workspaces/tables",
         "properties": {"schema": {"name": "Things_CL", "columns": [{"name": "Size", "type": "long"}]}}}
    ),
    "template.json": json.dumps({"resources": [
        {"name": "ws/Things_CL", "type": "Microsoft.OperationalInsights/workspaces/tables",
         "properties": {"schema": {"columns": [{"name": "Size", "type": "long"}]}}}]}),
    "validation.json": json.dumps({"Name": "Things_CL", "Properties": [{"Name": "TimeGenerated", "Type": "DateTime"}, {"Name": "Size", "Type": "Long"}]}),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_form_of_schema(lurewire: Callable[..., Result], name: str) -> None:
    write("q.kql", "Things_CL | where TimeGenerated > ago(1d) and Size > 5 | summarize sum(Size)")
    unknown = lurewire("kql", "check", "q.kql")
    assert (unknown.exit_code, "q.kql:1:1: SEM0100" in unknown.output) == (1, True)
    write(f"schemas/{name}", SCHEMAS[name])
    done = lurewire("kql", "check", "--schema", "schemas", "--no-builtin", "q.kql")
    assert (done.exit_code, done.output) == (0, "1 query: 0 errors, 0 warnings\n")


def test_functions_watchlists_and_names_that_cannot_be_known(lurewire: Callable[..., Result]) -> None:
    write(
        "q.kql", "Recent(5m) | join kind=inner (_GetWatchlist('vips')) on $left.IPAddress == $right.Ip | where Rank > 3"
    )
    unknown = lurewire("kql", "check", "q.kql")
    assert unknown.exit_code == 1
    write(
        "functions/recent.yaml",
        """\
        FunctionName: Recent
        FunctionParameters: "span:timespan"
        FunctionQuery: |
          SigninLogs | where TimeGenerated > ago(span)
        """,
    )
    done = lurewire("kql", "check", "q.kql", "--functions", "functions", "--watchlist", "vips=Ip,Rank:int")
    assert (done.exit_code, done.output) == (0, "1 query: 0 errors, 0 warnings\n")
    allowed = lurewire("kql", "check", "q.kql", "--allow-unknown-tables", "--functions", "functions")
    assert allowed.exit_code == 0, allowed.output
    unknown = lurewire("kql", "check", "q.kql", "--allow-unknown-tables")
    assert unknown.exit_code == 0, unknown.output
    write("t.kql", "SigninLogs | where tolowr(Level) == 'x'")
    assert lurewire("kql", "check", "t.kql", "--allow-unknown-tables").exit_code == 1
    write("t.kql", "_GetWatchlist('Usage') | union Usage | take 1")
    assert [place[2] for place in places(lurewire("kql", "check", "--format", "json", "t.kql"))] == [1]
    write("t.kql", "Nowhere_CL | where a == 1;")
    assert lurewire("kql", "check", "t.kql").exit_code == 1
    assert lurewire("kql", "check", "t.kql", "--allow-unknown-tables").exit_code == 0


def test_columns_that_depend_on_data_are_not_guessed(lurewire: Callable[..., Result]) -> None:
    write("q.kql", "SigninLogs | evaluate bag_unpack(DeviceDetail) | where errorCode == 5")
    done = lurewire("kql", "check", "--format", "json", "q.kql")
    assert (done.exit_code, places(done)) == (0, [("q.kql", 1, 1, "LW1005")])


def test_hidden_columns_of_azure_are_known(lurewire: Callable[..., Result]) -> None:
    write("q.kql", "Usage | where _IsBillable == true or _BilledSize > 5 | project TenantId, Type, _ResourceId")
    done = lurewire("kql", "check", "q.kql")
    assert "_BilledSize" not in done.output
    assert "_ResourceId" not in done.output


def test_a_wildcard_stands_for_all_that_is_published(lurewire: Callable[..., Result]) -> None:
    write("q.kql", "union * | where Computer == 'x' or ResultType == '0' | summarize count() by Type")
    assert lurewire("kql", "check", "q.kql").exit_code == 0
    write("q.kql", "union * | where NoTableHasThis == 'x'")
    assert "NoTableHasThis" in lurewire("kql", "check", "q.kql").output


def test_a_published_table_without_a_resource_can_be_given_one(lurewire: Callable[..., Result]) -> None:
    write("q.kql", "SigninLogs | where _ResourceId != '' | project-rename _ResourceId = UserPrincipalName")
    assert lurewire("kql", "check", "q.kql").exit_code == 0
    write("q.kql", "Heartbeat | project-rename _ResourceId = Computer")
    assert lurewire("kql", "check", "q.kql").exit_code == 1


def test_a_function_without_its_parts_is_named(lurewire: Callable[..., Result]) -> None:
    write("q.kql", "F | take 1")
    write("f.yaml", "ParserName: F\nParserParams:\n- Name: x\n  Type: money\nParserQuery: SigninLogs\n")
    done = lurewire("kql", "check", "q.kql", "--functions", "f.yaml")
    assert (done.exit_code, "f.yaml: the parameter 'x' has the unknown type 'money'" in done.output) == (2, True)
    nested = {"mainTemplate": {"resources": [{"properties": {"functionAlias": "F", "query": "SigninLogs"}}]}}
    write("f.json", json.dumps(nested))
    assert lurewire("kql", "check", "q.kql", "--functions", "f.json").exit_code == 0


def test_files_that_cannot_be_used(lurewire: Callable[..., Result]) -> None:
    assert lurewire("kql", "check", "nowhere.kql").exit_code == 2
    write("broken.yaml", "query: |\n  print 1\n- x\n")
    done = lurewire("kql", "check", "broken.yaml")
    assert (done.exit_code, done.output.startswith("broken.yaml:3:1: LW1001 no YAML")) == (2, True)
    write("broken.json", '{"query": "print 1",, }')
    assert "broken.json:1:21: LW1001 no JSON" in lurewire("kql", "check", "broken.json").output
    Path("binary.kql").write_bytes(b"\x00\x01\x02")
    assert lurewire("kql", "check", "binary.kql").exit_code == 2
    write("other.yaml", "name: nothing\n")
    assert lurewire("kql", "check", "other.yaml").exit_code == 2
    assert lurewire("kql", "check", "x.exe").exit_code == 2
    assert lurewire("kql", "check", "--schema", "nowhere.json", "other.yaml").exit_code == 2
    assert lurewire("kql", "check").exit_code == 2


def test_hostile_documents(lurewire: Callable[..., Result]) -> None:
    write(
        "bomb.yaml",
        "a: &a [x, x]\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)),
    )
    write("loop.yaml", "query: &a [*a]\n")
    write("deep.json", "[" * 5000 + "]" * 5000)
    for name in ("bomb.yaml", "loop.yaml", "deep.json"):
        assert lurewire("kql", "check", name).exit_code == 2
    write("esc.kql", "T\x1b]0;owned\x07 | where x")
    assert "\x1b" not in lurewire("kql", "check", "esc.kql").output


def test_folders_are_walked_and_other_encodings_read(lurewire: Callable[..., Result]) -> None:
    write("rules/a/one.kql", WRONG)
    write("rules/.git/two.kql", WRONG)
    write("rules/notes.log", WRONG)
    Path("rules/three.txt").write_bytes(WRONG.replace("\n", "\r\n").encode("utf-16"))
    Path("rules/four.csl").write_bytes(b"\xef\xbb\xbf" + WRONG.encode())
    found = places(lurewire("kql", "check", "--format", "json", "rules"))
    assert found == [
        (str(Path("rules/a/one.kql")), 2, 9, "SEM0100"),
        (str(Path("rules/four.csl")), 2, 9, "SEM0100"),
        (str(Path("rules/three.txt")), 2, 9, "SEM0100"),
    ]


def test_sarif(lurewire: Callable[..., Result]) -> None:
    write("a b/q.kql", WRONG + " | frobnicate")
    done = lurewire("kql", "check", "--format", "sarif", "--output", "out.sarif", "a b")
    assert (done.exit_code, done.output) == (1, "")
    document = json.loads(Path("out.sarif").read_text("utf-8"))
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert run["tool"]["driver"]["name"] == "lurewire"
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning")
        assert result["message"]["text"]
        (location,) = result["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"] == "a%20b/q.kql"
        assert location["physicalLocation"]["region"].keys() == {"startLine", "startColumn"}
    assert run["results"]


def test_transformations_by_option(lurewire: Callable[..., Result]) -> None:
    write("t.kql", "source | extend TimeGenerated = todatetime(at) | where level > 3")
    write("stream.json", json.dumps({"properties": {"streamDeclarations": {"source": {"columns": [{"name": "at", "type": "string"}, {"name": "level", "type": "int"}]}}}}))  # fmt: skip
    done = lurewire("kql", "check", "--transform", "--schema", "stream.json", "t.kql")
    assert (done.exit_code, done.output) == (0, "1 query: 0 errors, 0 warnings\n")
    write("t.kql", "source | summarize count()")
    assert "LW0002" in lurewire("kql", "check", "--transform", "--schema", "stream.json", "t.kql").output
