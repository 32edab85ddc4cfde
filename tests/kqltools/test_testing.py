"""`lurewire test`: rules, queries and transformations over rows, what is expected, reports, exit codes."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from lurewire.kqltools import read_rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result


def write(name: str, text: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return name


RULE = """\
    kind: Scheduled
    name: Failed sign-ins
    queryPeriod: {period}
    triggerOperator: {operator}
    triggerThreshold: {threshold}
    eventGroupingSettings: {{aggregationKind: {grouping}}}
    query: |
      SigninLogs
      | where ResultType == "50126"
      | summarize Failures = count(), Last = max(TimeGenerated) by IPAddress
    """


def rule(period: str = "1h", operator: str = "gt", threshold: int = 0, grouping: str = "SingleAlert") -> None:
    text = RULE.format(period=period, operator=operator, threshold=threshold, grouping=grouping)
    write("rules/failed.yaml", text)


TESTS = """\
    rule: rules/failed.yaml
    now: 2026-05-01T12:00:00Z
    tests:
      - name: the window
        tables:
          SigninLogs:
            - {{TimeGenerated: 2026-05-01T12:00:00Z, ResultType: "50126", IPAddress: 192.0.2.1}}
            - {{TimeGenerated: 2026-05-01T11:00:00.0000001Z, ResultType: "50126", IPAddress: 192.0.2.1}}
            - {{TimeGenerated: 2026-05-01T11:00:00Z, ResultType: "50126", IPAddress: 192.0.2.1}}
            - {{TimeGenerated: 2026-05-01T12:00:00.0000001Z, ResultType: "50126", IPAddress: 192.0.2.1}}
            - {{ResultType: "50126", IPAddress: 192.0.2.2}}
            - {{ResultType: "0", IPAddress: 192.0.2.3}}
        expect:
          count: 2
          alerts: {alerts}
          rows:
            - {{IPAddress: 192.0.2.2, Failures: 1}}
            - {{IPAddress: 192.0.2.1, Failures: 2, Last: 2026-05-01 12:00}}
    """


@pytest.mark.parametrize(
    ("options", "alerts"),
    [
        ({}, 1),
        ({"period": "PT1H", "operator": "GreaterThan"}, 1),
        ({"threshold": 2}, 0),
        ({"operator": "lt", "threshold": 3}, 1),
        ({"operator": "Equal", "threshold": 2}, 1),
        ({"operator": "NotEqual", "threshold": 2}, 0),
        ({"grouping": "AlertPerResult"}, 2),
    ],
)
def test_rows_and_alerts_of_a_rule(lurewire: Callable[..., Result], options: dict[str, object], alerts: int) -> None:
    rule(**options)  # type: ignore[arg-type]
    text = textwrap.dedent(TESTS).format(alerts=alerts).replace("Failures: 1}", "Failures: 1, Last: 2026-05-01T12:00Z}")
    Path("failed.test.yaml").write_text(text, encoding="utf-8")
    done = lurewire("test", ".")
    assert (done.exit_code, done.output) == (0, "PASS  failed.test.yaml: the window\n1 passed, 0 failed\n")
    Path("failed.test.yaml").write_text(text.replace(f"alerts: {alerts}", "alerts: 9"), encoding="utf-8")
    done = lurewire("test", ".")
    assert (done.exit_code, f"9 alerts are expected, {alerts} are raised" in done.output) == (1, True)


def test_a_difference_is_shown_and_reported(lurewire: Callable[..., Result]) -> None:
    write(
        "q.test.yaml",
        """\
        query: "T | project a, s"
        tests:
          - name: "wrong \\x1b[31m"
            tables: {T: [{a: 1, s: x}, {a: 2, s: "y\\x01"}]}
            expect: {rows: [{a: 2, s: z}, {a: 1, s: x}], count: 3}
          - name: right
            tables: {T: [{a: 1, s: x}]}
            expect: {rows: [{a: 1}], count: 1}
        """,
    )
    done = lurewire("test", "q.test.yaml", "--junit", "out.xml")
    assert done.exit_code == 1
    assert "\x1b" not in done.output
    assert '-{"a": 2, "s": "z"}' in done.output
    assert '+{"a": 2, "s": "y\\u0001"}' in done.output
    assert done.output.endswith("1 passed, 1 failed\n")
    top = ET.parse("out.xml").getroot()
    assert (top.attrib["tests"], top.attrib["failures"], top.attrib["errors"]) == ("2", "1", "0")
    failure = top.find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.attrib["message"] == "3 rows are expected, 2 came out"
    assert lurewire("test", "q.test.yaml", "--match", "right").exit_code == 0


def test_values_are_compared_by_type(lurewire: Callable[..., Result]) -> None:
    write(
        "q.test.yaml",
        """\
        query: |
          T | project r = 0.1 + 0.2, t = bin(t, 1h), p = 90m, g = guid(6f3b3a2e-1c1d-4b7e-9f00-aabbccddeeff), d,
              n = long(null), e = "", c = decimal(1.50), b = true, u = tostring(b2)
        now: 2026-01-01
        tests:
          - tables: {T: [{t: 2026-01-01T10:20:30Z, d: {b: 1, a: [x]}, b2: true}]}
            expect:
              rows:
                - r: 0.3
                  t: 2026-01-01 10:00
                  p: 1.5h
                  g: 6F3B3A2E-1C1D-4B7E-9F00-AABBCCDDEEFF
                  d: {a: [x], b: 1}
                  n: null
                  e: null
                  c: 1.5
                  b: true
                  u: true
        """,
    )
    done = lurewire("test", "q.test.yaml")
    assert (done.exit_code, done.output) == (0, "PASS  q.test.yaml: test 1\n1 passed, 0 failed\n")


def test_order_errors_and_missing_columns(lurewire: Callable[..., Result]) -> None:
    write(
        "q.test.yaml",
        """\
        query: "T | sort by a asc"
        tests:
          - {name: any order, tables: {T: [{a: 1}, {a: 2}]}, expect: {rows: [{a: 2}, {a: 1}]}}
          - {name: in order, tables: {T: [{a: 1}, {a: 2}]}, expect: {rows: [{a: 2}, {a: 1}], ordered: true}}
          - {name: an error, tables: {T: [{b: 1}]}, expect: {error: SEM0100}}
          - {name: no error, tables: {T: [{a: 1}]}, expect: {error: SEM0100}}
          - {name: a column, tables: {T: [{a: 1}]}, expect: {rows: [{aa: 1}]}}
          - {name: a type, tables: {T: [{a: 1}]}, expect: {rows: [{a: x}]}}
          - {name: a table, expect: {count: 0}}
        """,
    )
    done = lurewire("test", "q.test.yaml")
    assert [line[:6].strip() for line in done.output.splitlines() if not line.startswith(" ")][:7] == [
        "PASS", "FAIL", "PASS", "FAIL", "FAIL", "FAIL", "FAIL",
    ]  # fmt: skip
    assert "q.test.yaml:1:9: SEM0100" in done.output


def test_transformations(lurewire: Callable[..., Result]) -> None:
    dcr = {"properties": {
        "streamDeclarations": {"Custom-A": {"columns": [{"name": "at", "type": "datetime"}, {"name": "m", "type": "string"}]}},
        "dataFlows": [{"streams": ["Custom-A"], "transformKql": "source | where m != 'drop' | project TimeGenerated = at, Text = toupper(m)", "outputStream": "Custom-A_CL"}],
    }}  # fmt: skip
    Path("dcr.json").write_text(json.dumps(dcr), encoding="utf-8")
    rows = "[{at: 2026-01-01T00:00:00Z, m: keep}, {at: null, m: drop}]"
    expected = "{rows: [{TimeGenerated: 2026-01-01T00:00:00Z, Text: KEEP}]}"
    write(
        "a.test.yaml",
        f"transform: {{file: dcr.json, stream: Custom-A}}\ntests: [{{rows: {rows}, expect: {expected}}}]\n",
    )
    write(
        "b.test.yaml",
        f"""\
        transform:
          query: source | where m != 'drop' | project TimeGenerated = at, Text = toupper(m)
          columns: {{at: datetime, m: string}}
        tests: [{{rows: {rows}, expect: {expected}}}]
        """,
    )
    done = lurewire("test", ".")
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "2 passed, 0 failed"), done.output
    write(
        "c.test.yaml",
        "transform: {query: source | count, columns: {a: int}}\ntests: [{rows: [], expect: {error: LW0002}}]\n",
    )
    assert lurewire("test", "c.test.yaml").exit_code == 0


def test_rows_in_files_functions_and_watchlists(lurewire: Callable[..., Result]) -> None:
    write(
        "rows/s.ndjson",
        '{"TimeGenerated": "2026-01-01T00:00:00Z", "IPAddress": "192.0.2.1"}\n{"IPAddress": "192.0.2.2"}\n',
    )
    write("rows/t.csv", "ip,n\n192.0.2.1,5\n")
    write("functions/Known.kql", "T | where n > 1")
    write(
        "q.test.yaml",
        """\
        query: |
          SigninLogs
          | join kind=inner (Known) on $left.IPAddress == $right.ip
          | where IPAddress in ((_GetWatchlist('vips') | project Ip)) and isempty(UserPrincipalName)
          | project IPAddress, n
        functions: functions
        tables: {T: rows/t.csv}
        watchlists: {vips: [{Ip: 192.0.2.1}]}
        tests:
          - tables: {SigninLogs: rows/s.ndjson}
            expect: {rows: [{IPAddress: 192.0.2.1, n: 5}]}
          - tables: {SigninLogs: rows/s.ndjson}
            watchlists: {vips: [{Ip: 192.0.2.9}]}
            expect: {rows: []}
        """,
    )
    done = lurewire("test", "q.test.yaml")
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "2 passed, 0 failed"), done.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "one mapping"),
        ("query: print 1", "'tests' is a list"),
        ("query: print 1\nrule: x\ntests: []", "one of 'rule'"),
        ("rule: nowhere.yaml\ntests: [{expect: {count: 1}}]", "nowhere.yaml"),
        ("query: print 1\nfoo: 1", "'foo' is none of"),
        ("query: print 1\ntests: [{expect: {}}]", "says which"),
        ("query: print 1\ntests: [{expect: {alerts: 1}}]", "no scheduled and no NRT rule"),
        ("query: print 1\ntests: [{expect: {count: x}}]", "a whole number"),
        ("query: print 1\nnow: soon\ntests: [{expect: {count: 1}}]", "'soon' is no datetime"),
        ("query: print 1\ntests: [{rows: [], expect: {count: 1}}]", "of a transformation"),
        ("query: print 1\ntests: [{tables: {T: 5}, expect: {count: 1}}]", "rows are a list"),
    ],
)
def test_files_that_cannot_be_used(lurewire: Callable[..., Result], text: str, message: str) -> None:
    write("x.test.yaml", text)
    done = lurewire("test", "x.test.yaml", "--junit", "out.xml")
    assert (done.exit_code, message in done.output) == (2, True), done.output
    assert ET.parse("out.xml").getroot().attrib["errors"] == "1"


def test_rows_that_a_table_cannot_have(lurewire: Callable[..., Result]) -> None:
    write(
        "x.test.yaml",
        """\
        query: SigninLogs
        tests:
          - {tables: {SigninLogs: [{IPAdress: x}]}, expect: {count: 1}}
          - {tables: {SigninLogs: [{TimeGenerated: yesterday}]}, expect: {count: 1}}
        """,
    )
    done = lurewire("test", "x.test.yaml")
    assert done.exit_code == 1
    assert "has no column 'IPAdress' (did you mean 'IPAddress'?)" in done.output
    assert "column 'TimeGenerated': a value is no datetime" in done.output
    rule()
    write("y.test.yaml", "rule: rules/failed.yaml\ntests: [{expect: {count: 0}}]\n")
    assert "'now' says where it ends" in lurewire("test", "y.test.yaml").output
    assert lurewire("test", "rules").exit_code == 2


def test_alerts_of_one_run_are_capped() -> None:
    document = {"kind": "NRT", "query": "T", "eventGroupingSettings": {"aggregationKind": "AlertPerResult"}}
    found = read_rule(document)
    assert found is not None
    assert [found.alerts(results) for results in (0, 1, 30, 31)] == [0, 1, 30, 30]
    assert found.period is None
