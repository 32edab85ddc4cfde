"""The bench's API and its command: off unless switched on, held by a role action, wrong faults refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lurewire.app.build import Core
from lurewire.cli import main
from lurewire.core.clock import SystemClock
from lurewire.settings import Settings
from lurewire.testbench.errors import BadFault
from lurewire.testbench.models import read_fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.testbench.started import MANAGEMENT, Started
else:
    from testbench.started import MANAGEMENT


@pytest.fixture(autouse=True)
def clean(bench: Started) -> Iterator[None]:
    yield
    bench.ask("/testbench/reset", {})


@pytest.fixture(scope="module")
def owner(bench: Started) -> str:
    return bench.credential("owner", "Owner", scope=bench.subscription).get_token(MANAGEMENT).token


def test_over_http(bench: Started, owner: str) -> None:
    fault = {"match": {"room": "arm"}, "status": 503, "times": 1}
    made = bench.call("POST", "/testbench/faults", owner, json=fault)
    assert made.status_code == 201
    assert made.json() == {"id": made.json()["id"], **fault, "seen": 0, "given": 0}
    tried = bench.call("GET", f"{bench.group}?api-version=2024-03-01", owner)
    assert tried.status_code == 503
    assert tried.headers["x-lurewire-fault"] == made.json()["id"]
    assert tried.json()["error"]["code"] == "ServiceUnavailable"
    assert bench.call("GET", f"{bench.group}?api-version=2024-03-01", owner).status_code == 200
    [shown] = bench.call("GET", "/testbench/faults", owner).json()["value"]
    assert (shown["seen"], shown["given"]) == (2, 1)
    log = bench.call("GET", "/testbench/requests?room=arm", owner).json()["value"]
    assert [one["answer"]["status"] for one in log] == [503, 200]
    assert bench.call("GET", f"/testbench/requests?after={log[0]['number']}", owner).json()["value"] == [log[1]]
    path = f"/testbench/faults/{made.json()['id']}"
    assert bench.call("DELETE", path, owner).status_code == 204
    assert bench.call("DELETE", path, owner).status_code == 404
    assert bench.call("POST", "/testbench/reset", owner).status_code == 204
    assert bench.call("GET", "/testbench/requests", owner).json() == {"value": []}


def test_it_takes_the_benchs_own_actions(bench: Started) -> None:
    reader = bench.credential("reader", "Reader").get_token(MANAGEMENT).token
    assert bench.call("GET", "/testbench/requests").status_code == 401
    answer = bench.call("POST", "/testbench/faults", reader, json={"status": 500})
    assert answer.status_code == 403
    assert "Lurewire.TestBench/faults/write" in answer.json()["error"]["message"]
    whole = bench.credential("reader-of-all", "Reader", "Log Analytics Reader", scope=bench.subscription)
    token = whole.get_token(MANAGEMENT).token
    assert bench.call("GET", "/testbench/faults", token).status_code == 200
    assert bench.call("GET", "/testbench/requests", token).status_code == 403, "others' requests are no resource"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({}, "needs a 'status', a 'cut' or a 'delay'"),
        ({"status": 500, "cut": "before"}, "not both"),
        ({"status": 200}, "from 400 to 599"),
        ({"cut": "sometimes"}, "cut"),
        ({"status": 500, "percent": 0}, "'percent'"),
        ({"status": 500, "times": 0}, "'times'"),
        ({"delay": 1e9}, "'delay'"),
        ({"delay": 1, "retryAfter": 1}, "'retryAfter' needs"),
        ({"status": 500, "match": {"room": "cellar"}}, "ingestion"),
        ({"status": 500, "match": {"room": "vault", "stream": "x"}}, "are of room 'ingestion'"),
        ({"status": 500, "tiems": 1}, "tiems"),
        ([], "object"),
    ],
)
def test_wrong_faults_are_refused(bench: Started, owner: str, body: Any, complaint: str) -> None:
    answer = bench.call("POST", "/testbench/faults", owner, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "InvalidFault"
    assert complaint in answer.json()["error"]["message"]


def test_what_is_no_request_to_it(bench: Started, owner: str) -> None:
    assert bench.call("POST", "/testbench/faults", owner, data=b"{").status_code == 400
    assert bench.call("POST", "/testbench/faults", owner, data=b" " * 100_000).status_code == 413
    assert bench.call("GET", "/testbench/requests?after=x", owner).status_code == 400
    assert bench.call("POST", "/testbench/reset", owner, json={"tables": ["NoSuch_CL"]}).status_code == 404
    assert bench.call("POST", "/testbench/reset", owner, json={"tables": "X"}).status_code == 400


def test_faults_in_force_are_bounded(bench: Started, owner: str) -> None:
    body = {"status": 500, "match": {"path": "/nowhere"}}
    answers = [bench.call("POST", "/testbench/faults", owner, json=body).status_code for _ in range(101)]
    assert answers == [201] * 100 + [409]


def test_from_the_command_line(bench: Started) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(main, ["testbench", *words, "--folder", str(bench.folder)])
        assert done.exit_code == 0, done.output
        return done.output

    fault = run("fault", "--room", "arm", "--status", "429", "--retry-after", "3", "--times", "1").strip()
    assert f'"id": "{fault}"' in run("faults")
    assert bench.call("GET", "/subscriptions").headers["Retry-After"] == "3"
    assert " 429 " in run("log", "--room", "arm")
    assert '"bodyBytes": 0' in run("log", "--json")
    run("remove", fault)
    assert run("faults") == ""
    run("reset", "--table", "TrapEye_Threats_CL")
    assert run("log") == ""


def test_the_openapi_document_has_the_bench_where_it_is_on(bench: Started) -> None:
    paths = bench.ask("/openapi", {})["paths"]
    assert paths["/testbench/requests"]["get"]["x-lurewire-action"] == "Lurewire.TestBench/requests/list/action"
    assert "after" in [one["name"] for one in paths["/testbench/requests"]["get"]["parameters"]]


def test_off_unless_switched_on(tmp_path: Path) -> None:
    assert Core(tmp_path, Settings({}), SystemClock()).bench is None
    assert Core(tmp_path, Settings({"testbench.enabled": True}), SystemClock()).bench is not None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
_NAMES = st.sampled_from(["match", "status", "code", "retryAfter", "cut", "delay", "times", "skip", "percent", "seed"])


@hypothesis_settings(max_examples=200)
@given(_JSON | st.dictionaries(_NAMES, _JSON | st.integers(0, 600) | st.sampled_from(["before", "during"])))
def test_any_json_is_a_fault_or_is_refused(body: Any) -> None:
    try:
        spec = read_fault(body, frozenset({"ingestion"}), 600)
    except BadFault:
        return
    assert spec.status is None or 400 <= spec.status <= 599
    assert 0 <= spec.delay <= 600
