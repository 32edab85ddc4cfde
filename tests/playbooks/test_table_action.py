"""Table: arrays as HTML and CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.playbooks.rig import compose

from lurewire.playbooks.actions.table import as_csv

if TYPE_CHECKING:
    from tests.playbooks.rig import Rig

ROWS = [{"ip": "1.2.3.4", "score": 7, "bad": True}, {"ip": "5.6.7.8", "note": None, "tags": ["a", "b"]}]


def table(source: Any, form: str, columns: Any = None) -> dict[str, Any]:
    inputs = {"from": source, "format": form}
    return {"type": "Table", "inputs": inputs if columns is None else inputs | {"columns": columns}}


async def test_columns_are_every_property_that_an_item_has(rig: Rig) -> None:
    done = await rig.run({"T": table("@triggerBody()", "CSV"), "H": table("@triggerBody()", "html")}, ROWS)
    assert done["T"].outputs == {"body": 'ip,score,bad,note,tags\r\n1.2.3.4,7,True,,\r\n5.6.7.8,,,,"[""a"",""b""]"\r\n'}
    assert done["H"].outputs["body"].startswith("<table><thead><tr><th>ip</th><th>score</th>")
    assert "<tr><td>5.6.7.8</td><td></td><td></td><td></td><td>[&quot;a&quot;" in done["H"].outputs["body"]


async def test_columns_of_the_author(rig: Rig) -> None:
    columns = [
        {"header": "Of @{length(triggerBody())}", "value": "@item()?['ip']"},
        {"header": "Score", "value": "@add(coalesce(item()?['score'], 0), 1)"},
    ]
    done = await rig.run({"T": table("@triggerBody()", "HTML", columns)}, ROWS)
    assert done["T"].outputs["body"] == (
        "<table><thead><tr><th>Of 2</th><th>Score</th></tr></thead><tbody>"
        "<tr><td>1.2.3.4</td><td>8</td></tr><tr><td>5.6.7.8</td><td>1</td></tr></tbody></table>"
    )
    assert done["T"].inputs == {"from": ROWS, "format": "HTML", "columns": columns}


async def test_what_an_attacker_sent_is_text_in_the_html(rig: Rig) -> None:
    """A comment shows the table: what was typed at a decoy must not become a tag."""
    done = await rig.run({"T": table([{"<b>": "<script>alert('1')</script>"}], "HTML")})
    body = done["T"].outputs["body"]
    assert "<th>&lt;b&gt;</th>" in body
    assert "<td>&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;</td>" in body


async def test_no_items(rig: Rig) -> None:
    done = await rig.run({"C": table([], "CSV", [{"header": "h", "value": "@item()"}]), "H": table([], "HTML")})
    assert done["C"].outputs["body"] == "h\r\n"
    assert done["H"].outputs["body"] == "<table><thead><tr></tr></thead><tbody></tbody></table>"


@pytest.mark.parametrize(
    ("source", "columns", "code", "part"),
    [
        ("@triggerBody()", None, "BadRequest", "The value must be an array"),
        ("@createArray(1)", None, "BadRequest", "item number 1 is of type 'Integer'"),
        ("@createArray(1)", [{"header": "h", "value": "@item()['x']"}], "InvalidTemplate", "'x'"),
    ],
)
async def test_what_makes_no_table_fails_the_action(rig: Rig, source: str, columns: Any, code: str, part: str) -> None:
    done = await rig.run({"T": table(source, "CSV", columns), "S": compose(1, {"T": ["Failed"]})}, {"a": 1})
    assert done["T"].problem is not None
    assert (done["T"].code, part in done["T"].problem.message) == (code, True)


@given(st.lists(st.lists(st.text(alphabet="a,\"\r\n' é", max_size=5), min_size=2, max_size=2), max_size=4))
def test_csv_reads_back(rows: list[list[str]]) -> None:
    """Whatever the cells hold, a reader of RFC 4180 gets them back."""
    text = as_csv(["x", "y"], rows)
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["x", "y"], *rows]
