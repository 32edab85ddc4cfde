from __future__ import annotations

import json

import pytest

from lurewire.kql import (
    Column,
    KqlError,
    KqlType,
    Table,
    Tables,
    closed_connection,
    execute,
    register_functions,
    ticks_from_text,
)
from lurewire.kql import (
    compile as compile_kql,
)

SOURCE = Tables(
    [
        Table(
            "source",
            (
                Column("event_type", KqlType.STRING),
                Column("first_interaction", KqlType.STRING),
                Column("timestamp", KqlType.STRING),
                Column("@meta", KqlType.DYNAMIC),
            ),
            "batch",
            ("c0", "c1", "c2", "c3"),
            time_column=None,
        ),
        Table("Elsewhere", (Column("x", KqlType.LONG),), "e", ("c0",)),
    ]
)
THREATS = """source
| where event_type == "new_threat"
| extend
TimeGenerated = todatetime(first_interaction),
Product = tostring(['@meta'].product),
Vendor = tostring(['@meta'].vendor)
| project-away ['@meta']"""
INTERACTIONS = THREATS.replace("new_threat", "new_interaction").replace("first_interaction", "timestamp")


@pytest.mark.parametrize(("text", "kind"), [(THREATS, "new_threat"), (INTERACTIONS, "new_interaction")])
def test_the_two_transforms_of_the_integration(text: str, kind: str) -> None:
    connection = closed_connection()
    connection.execute("CREATE TABLE batch (c0 VARCHAR, c1 VARCHAR, c2 VARCHAR, c3 VARCHAR)")
    rows = [
        ("new_threat", "2026-01-23T19:23:22.149338689Z", "", '{"product":"P","vendor":"V"}'),
        ("new_interaction", "", "2026-01-23T19:23:22.149338689Z", '{"product":"P","vendor":"V"}'),
        ("new_threat", "not a date", "", None),
        ("new_interaction", "", "not a date", None),
        ("other", "", "", None),
    ]
    connection.executemany("INSERT INTO batch VALUES (?, ?, ?, ?)", rows)
    compiled = compile_kql(text, SOURCE, profile="transform")
    assert [column.name for column in compiled.columns] == [
        "event_type", "first_interaction", "timestamp", "TimeGenerated", "Product", "Vendor",
    ]  # fmt: skip
    assert compiled.columns[3].type is KqlType.DATETIME
    assert compiled.row_wise
    assert compiled.deterministic
    found = execute(connection, compiled, {})
    assert [row[3:] for row in found] == [(ticks_from_text("2026-01-23T19:23:22.149338689Z"), "P", "V"), (None, "", "")]
    assert {row[0] for row in found} == {kind}


@pytest.mark.parametrize(
    ("text", "token", "column"),
    [
        ("source | summarize count()", "summarize", 10),
        ("source | take 1", "take", 10),
        ("source | sort by timestamp", "sort", 10),
        ("source | distinct event_type", "distinct", 10),
        ("source | project-reorder event_type", "project-reorder", 10),
        ("Elsewhere", "Elsewhere", 1),
        ("source | where event_type has_any ('a')", "has_any", 27),
        ("source | where event_type hasprefix 'a'", "hasprefix", 27),
        ("source | extend x = make_list(1)", "make_list", 21),
        ("source | extend x = strcat_array(['@meta'].a, ',')", "strcat_array", 21),
        ("source | join source on event_type", "join", 10),
        ("range x from 1 to 5 step 1", "range", 1),
        ("source | extend x = todynamic(event_type)", "todynamic", 21),
        ("source | extend x = base64_encode_tostring(event_type)", "base64_encode_tostring", 21),
        ("source | extend x = replace_string(event_type, 'a', 'b')", "replace_string", 21),
        ("source | parse event_type with " + " '-' ".join(f"c{n}" for n in range(11)), "parse", 10),
    ],
)
def test_what_azure_refuses_is_refused_with_its_place(text: str, token: str, column: int) -> None:
    with pytest.raises(KqlError) as caught:
        compile_kql(text, SOURCE, profile="transform")
    first = caught.value.errors[0]
    assert (first.token, first.line, first.column) == (token, 1, column)


def test_print_and_datatable_are_sources_of_a_transform() -> None:
    assert compile_kql("print x = 1 | extend y = x", SOURCE, profile="transform").columns[1].name == "y"
    assert not compile_kql("datatable(x: long)[1] | where x == 1", SOURCE, profile="transform").row_wise


def test_a_parse_of_ten_columns_is_let_through() -> None:
    text = "source | parse event_type with " + " '-' ".join(f"c{n}" for n in range(10))
    assert len(compile_kql(text, SOURCE, profile="transform").columns) == 14


def test_functions_of_transformations_are_refused_in_queries() -> None:
    with pytest.raises(KqlError, match="'parse_cef_dictionary' is only available in transformations"):
        compile_kql("print parse_cef_dictionary('')", SOURCE)


@pytest.mark.parametrize(
    ("message", "extension"),
    [
        (
            "CEF:0|Vendor|Pro\\|duct|1.0|100|Stopped a worm|10|src=10.0.0.1 dst=2.1.2.2 spt=1232 msg=two words here",
            {"src": "10.0.0.1", "dst": "2.1.2.2", "spt": "1232", "msg": "two words here"},
        ),
        (
            "<134>Feb 1 10:00:00 host CEF:0|a|b|c|d|e|f|act=a\\=b path=C:\\\\x cs1Label=One=Two n=a\\nb empty= last=1",
            {"act": "a=b", "path": "C:\\x", "cs1Label": "One=Two", "n": "a\nb", "empty": "", "last": "1"},
        ),
        ("CEF:0|a|b|c|d|e|f|", {}),
        ("no message", None),
        ("CEF:0|a|b|c", None),
    ],
)
def test_cef_extensions(message: str, extension: dict[str, str] | None) -> None:
    connection = closed_connection()
    connection.execute("CREATE TABLE batch (c0 VARCHAR, c1 VARCHAR, c2 VARCHAR, c3 VARCHAR)")
    connection.execute("INSERT INTO batch VALUES (?, '', '', NULL)", [message])
    compiled = compile_kql("source | project d = parse_cef_dictionary(event_type)", SOURCE, profile="transform")
    register_functions(connection, compiled.functions)
    [[found]] = execute(connection, compiled, {})
    assert (found and json.loads(found)) == (None if extension is None else {"Extension": extension})
