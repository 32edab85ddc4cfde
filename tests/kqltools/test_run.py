"""`lurewire kql run` and `explain`: files of every kind, forms of output, charts."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import gzip
import io
import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lurewire.kqltools import inert

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result


def rows(done: Result) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def types(lurewire: Callable[..., Result], table: str, *more: str) -> dict[str, str]:
    found = rows(lurewire("kql", "run", "T | getschema", "--table", f"T={table}", "--format", "ndjson", *more))
    return {row["ColumnName"]: row["ColumnType"] for row in found}


CSV = """\
b,n,r,s,t,d,empty,zip,us [UTC]
true,1,1.5,x,2026-01-01T00:00:00.1234567Z,"{""k"": [1]}",,007,"1/2/2026, 3:04:05.678 PM"
FALSE,-2,2,"a ""b"", c",2026-01-01 10:00,[],,12,"12/31/2026, 11:59:59 PM"
,,,,,,,,
"""


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz"])
def test_separated_text(lurewire: Callable[..., Result], name: str) -> None:
    text = CSV
    if ".tsv" in name:
        out = io.StringIO()
        csv.writer(out, delimiter="\t", lineterminator="\n").writerows(csv.reader(io.StringIO(CSV)))
        text = out.getvalue()
    data = ("\ufeff" + text).encode()
    Path(name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert types(lurewire, name) == {
        "b": "bool", "n": "long", "r": "real", "s": "string", "t": "datetime", "d": "dynamic", "empty": "string",
        "zip": "string", "us": "datetime",
    }  # fmt: skip
    found = rows(lurewire("kql", "run", "T", "--table", f"T={name}", "--format", "ndjson"))
    assert found == [
        {"b": True, "n": 1, "r": 1.5, "s": "x", "t": "2026-01-01T00:00:00.1234567Z", "d": {"k": [1]}, "empty": "", "zip": "007", "us": "2026-01-02T15:04:05.678Z"},
        {"b": False, "n": -2, "r": 2.0, "s": 'a "b", c', "t": "2026-01-01T10:00:00Z", "d": [], "empty": "", "zip": "12", "us": "2026-12-31T23:59:59Z"},
        {"b": None, "n": None, "r": None, "s": "", "t": None, "d": None, "empty": "", "zip": "", "us": None},
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["array", "lines"])
def test_json(lurewire: Callable[..., Result], form: str) -> None:
    given = [
        {"a": 1, "A": "x", "t": "2026-01-01T00:00:00.0000001Z", "d": {"k": [1, {"z": None}]}, "m": 1, 'q"/~': True},
        {"a": 2.5, "A": None, "d": [1], "m": "text", "big": 2**62},
    ]
    text = json.dumps(given) if form == "array" else "\n".join(map(json.dumps, given))
    Path("t.json").write_text(text, encoding="utf-8")
    assert types(lurewire, "t.json") == {
        "a": "real", "A": "string", "t": "datetime", "d": "dynamic", "m": "dynamic", 'q"/~': "bool", "big": "long",
    }  # fmt: skip
    found = rows(lurewire("kql", "run", "T", "--table", "T=t.json", "--format", "ndjson"))
    assert found == [
        {"a": 1.0, "A": "x", "t": "2026-01-01T00:00:00.0000001Z", "d": {"k": [1, {"z": None}]}, "m": 1, 'q"/~': True, "big": None},
        {"a": 2.5, "A": "", "t": None, "d": [1], "m": "text", 'q"/~': None, "big": 2**62},
    ]  # fmt: skip


def test_parquet(lurewire: Callable[..., Result]) -> None:
    moment = dt.datetime(1601, 1, 1, 0, 0, 0, 7, tzinfo=dt.UTC)
    table = pa.table({
        "a": pa.array([1, None], pa.int16()), "A": pa.array([2**40, None]), "u": pa.array([moment, None], pa.timestamp("us", "UTC")),
        "n": pa.array([-1, None], pa.timestamp("ns")), "s": ["x", None], "l": [[1, None], None],
        "st": [{"k": "v"}, None], "de": pa.array([decimal.Decimal("1.25"), None]), "dt": pa.array([dt.date(2026, 1, 2), None]),
        "di": pa.array(["p", None]).dictionary_encode(), "f": pa.array([1.5, None], pa.float32()),
        "ti": pa.array([dt.time(1, 2, 3), None]),
    })  # fmt: skip
    pq.write_table(table, "one.parquet")
    pq.write_table(table, "two.parquet")
    found = rows(lurewire("kql", "run", "T | take 2", "--table", "T=one.parquet", "--format", "ndjson"))
    assert found[0] == {
        "a": 1, "A": 2**40, "u": "1601-01-01T00:00:00.000007Z", "n": "1969-12-31T23:59:59.9999999Z", "s": "x", "l": [1, None],
        "st": {"k": "v"}, "de": "1.25", "dt": "2026-01-02T00:00:00Z", "di": "p", "f": 1.5, "ti": "01:02:03",
    }  # fmt: skip
    assert found[1] == dict.fromkeys(found[0]) | {"s": "", "di": ""}
    done = lurewire("kql", "run", "T | summarize count(), sum(A)", "--table", "T=*.parquet", "--format", "csv")
    assert done.output == f"count_,sum_A\n4,{2**41}\n"


def test_declared_and_published_schemas(lurewire: Callable[..., Result]) -> None:
    Path("t.csv").write_text(
        "g,t,n\n6f3b3a2e-1c1d-4b7e-9f00-aabbccddeeff,1.00:00:00,5\nno guid,x,y\n", encoding="utf-8"
    )
    Path("s.yaml").write_text("T: {g: guid, t: timespan, n: string, absent: long}\n", encoding="utf-8")
    found = rows(lurewire("kql", "run", "T", "--table", "T=t.csv", "--schema", "s.yaml", "--format", "ndjson"))
    guid = str(uuid.UUID("6f3b3a2e-1c1d-4b7e-9f00-aabbccddeeff"))
    assert found == [
        {"g": guid, "t": "1.00:00:00", "n": "5", "absent": None},
        {"g": None, "t": None, "n": "y", "absent": None},
    ]
    Path("s.ndjson").write_text('{"TimeGenerated": "2026-01-01T00:00:00Z", "ResultType": 50126}\n', encoding="utf-8")
    query = "SigninLogs | where ResultType == '50126' and isempty(UserPrincipalName) | count"
    found = rows(
        lurewire("kql", "run", query, "--table", "SigninLogs=s.ndjson", "--schema", "builtin", "--format", "ndjson")
    )
    assert found == [{"Count": 1}]


def test_a_query_reads_only_the_given_files(lurewire: Callable[..., Result]) -> None:
    Path("t.csv").write_text("a\n1\n", encoding="utf-8")
    Path("secret.csv").write_text("a\nsecret\n", encoding="utf-8")
    done = lurewire("kql", "run", 'externaldata(a:string)["secret.csv"]', "--table", "T=t.csv")
    assert done.exit_code == 1
    assert "secret\n" not in done.output


def test_what_cannot_be_used(lurewire: Callable[..., Result]) -> None:
    Path("t.csv").write_text("a\n1,2\n", encoding="utf-8")
    Path("t.txt").write_text("a", encoding="utf-8")
    Path("odd.json").write_text("[1, 2]", encoding="utf-8")
    for table in ("T=nowhere.csv", "T=t.csv", "T=t.txt", "T=odd.json", "t.csv"):
        done = lurewire("kql", "run", "T", "--table", table)
        assert (done.exit_code, done.output.startswith(("Error: ", "Usage: "))) == (2, True), done.output
    assert lurewire("kql", "run").exit_code == 2
    assert lurewire("kql", "run", "print 1", "--now", "soon").exit_code == 2
    wrong = lurewire("kql", "run", "T | where a")
    assert (wrong.exit_code, "SEM0100 [1,1]" in wrong.output) == (1, True)


def test_now_and_queries_from_files(lurewire: Callable[..., Result]) -> None:
    Path("q.md").write_text("# x\n```kql\nprint now()\n```\n", encoding="utf-8")
    done = lurewire("kql", "run", "-f", "q.md", "--now", "2026-01-02T03:04:05Z", "--format", "csv")
    assert done.output == "print_0\n2026-01-02T03:04:05Z\n"


def test_a_table_is_inert_and_takes_the_width_it_has(
    lurewire: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = lurewire("kql", "run", "print a='\\x1b[31mred\\x07', b='日本', n=5, d=dynamic({'k': '\\u202e'})")
    assert "\x1b" not in done.output
    assert "\u202e" not in done.output
    assert "\\x1b[31mred\\x07" in done.output
    from lurewire.kql import run
    from lurewire.kqltools import write_result

    wide = run(f"print a='{'x' * 100}', b='{'日' * 100}', c=5")
    lines = write_result(wide, "table", 60).splitlines()
    assert [line[-1] for line in lines] == ["c", "-", "5"]
    assert all(len(line) + line.count("日") <= 60 for line in lines)
    many = run("print " + ", ".join(f"column{n}={n}" for n in range(30)))
    assert "column29  29" in write_result(many, "table", 40)
    assert inert("a\nb") == "a\\nb"


CHARTS = {
    "timechart": "range t from datetime(2026-01-01) to datetime(2026-01-05) step 1d | extend a = 1, b = 2.5 | render timechart with (title='T')",
    "series": "range t from datetime(2026-01-01) to datetime(2026-01-05) step 1h | extend n = 1, s = iff(hourofday(t) > 5, 'x', 'y') | make-series c = count() on t from datetime(2026-01-01) to datetime(2026-01-05) step 1d by s | render timechart",
    "linechart": "range x from 1 to 9 step 1 | extend y = x * x | render linechart",
    "areachart": "range x from 1 to 9 step 1 | extend y = x * x | render areachart with (ytitle='$y$')",
    "scatterchart": "range x from 1 to 9 step 1 | extend y = x % 3 | render scatterchart",
    "barchart": "datatable(k: string, v: long)['<b>$x', 5, 'b', 2] | render barchart",
    "columnchart": "datatable(k: string, g: string, v: long)['a', 'p', 5, 'a', 'q', 2, 'b', 'p', 1] | render columnchart",
    "piechart": "datatable(k: string, v: long)['a', 5, 'b', 15] | render piechart",
    "card": "print Users = 5, Hosts = 7 | render card with (title = 'Now')",
}  # fmt: skip


@pytest.mark.parametrize("kind", CHARTS)
def test_charts(lurewire: Callable[..., Result], kind: str) -> None:
    done = lurewire("kql", "run", CHARTS[kind])
    assert done.exit_code == 0, done.output
    for part in {
        "timechart": ("T\n", "● a", "▲ b", "2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z"),
        "series": ("● x", "▲ y"),
        "linechart": ("81 ┤", "●"),
        "areachart": ("░",),
        "scatterchart": ("●",),
        "barchart": ("<b>$x │█", " 5\n"),
        "columnchart": ("a · p", "a · q", "b · p"),
        "piechart": ("25.0%", "75.0%"),
        "card": ("Now\n", "Users  5", "Hosts  7"),
    }[kind]:
        assert part in done.output, done.output
    for path in ("out.svg", "out.png"):
        assert lurewire("kql", "run", CHARTS[kind], "--chart", path).exit_code == 0
    assert ET.parse("out.svg").getroot().tag.endswith("svg")
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")
    again = Path("out.svg").read_bytes()
    lurewire("kql", "run", CHARTS[kind], "--chart", "out.svg")
    assert Path("out.svg").read_bytes() == again


def test_each_of_several_results_has_its_chart(lurewire: Callable[..., Result]) -> None:
    table = "datatable(k: string, v: long)['a', 5, 'b', 15]"
    query = f"{table} | fork (render barchart) (project k) (render piechart)"
    done = lurewire("kql", "run", query)
    assert done.exit_code == 0, done.output
    for part in ("a │█", "\nk\n-\na\nb\n", "75.0%"):
        assert part in done.output, done.output
    assert lurewire("kql", "run", query, "--chart", "out.svg").exit_code == 0
    assert sorted(path.name for path in Path().glob("*.svg")) == ["out-2.svg", "out.svg"]
    assert Path("out.svg").read_bytes() != Path("out-2.svg").read_bytes()
    none = lurewire("kql", "run", f"{table} | fork (project k) (project v)", "--chart", "none.svg")
    assert (none.exit_code, "no render that draws" in none.output) == (2, True)


def test_charts_that_are_not_drawn(lurewire: Callable[..., Result]) -> None:
    for query, what in (
        ("print 1 | render treemap", "treemap"),
        ("print a='x' | render timechart", "timechart"),
        ("print a='x' | render barchart", "barchart"),
    ):
        done = lurewire("kql", "run", query)
        assert (done.exit_code, what in done.output) == (2, True), done.output
    wrong = lurewire("kql", "run", "print a=1, b=2 | render linechart with (xcolumn=nope)")
    assert (wrong.exit_code, "Failed to resolve column named 'nope'" in wrong.output) == (1, True), wrong.output
    assert lurewire("kql", "run", "print 1 | render table").exit_code == 0
    assert lurewire("kql", "run", "print 1 | render card", "--chart", "x.gif").exit_code == 2
    assert lurewire("kql", "run", "print 1", "--chart", "x.svg").exit_code == 2


def test_explain(lurewire: Callable[..., Result]) -> None:
    query = "SigninLogs | where ResultType == '0' | join kind=inner (SigninLogs | project IPAddress) on IPAddress | summarize n = count() by bin(TimeGenerated, 1h) | top 3 by n"
    done = lurewire("kql", "explain", query)
    assert done.exit_code == 0, done.output
    for part in (
        "Result [",
        "Limit count=3",
        "Join kind=inner",
        "Scan SigninLogs",
        "(ResultType#",
        'timespan("01:00:00")',
        "SELECT",
    ):
        assert part in done.output, done.output
    assert "SELECT" not in lurewire("kql", "explain", "--no-sql", query).output
    assert lurewire("kql", "explain", "Nowhere | take 1").exit_code == 1
