"""Tables, loading and reading back through one workspace on disk."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lurewire.kql import Column, KqlError, KqlType
from lurewire.workspace import (
    FlowDefinition,
    JournalError,
    Key,
    Loaded,
    Overloaded,
    SchemaConflict,
    Span,
    Stream,
    StreamDefinition,
    UnknownTable,
    Workspace,
    builtin_schema,
    known_schema,
    make_key,
)
from lurewire.workspace import loader as loader_module

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lurewire.core.clock import ManualClock

K = KqlType
CUSTOMER = "0f0e0d0c-1111-4222-8333-444455556666"
NUMBERS = [Column("n", K.LONG), Column("text", K.STRING)]


async def stream_to(workspace: Workspace, table: str, transform: str = "source") -> Stream:
    columns = [Column("TimeGenerated", K.DATETIME), *NUMBERS]
    return await workspace.define(StreamDefinition.of(columns, [FlowDefinition(table, transform)]))


async def send(workspace: Workspace, stream: Stream, rows: Sequence[dict[str, Any]], key: Key | None = None) -> int:
    body = json.dumps(rows).encode()
    receipt = await workspace.submit(stream, body, stream.decoder.decode(body), gzip=False, key=key)
    await workspace.until_loaded(receipt.commit)
    return receipt.commit


async def ask(workspace: Workspace, text: str) -> list[tuple[Any, ...]]:
    return (await workspace.query(text)).values()


async def reopened(workspace: Workspace, folder: Path, clock: ManualClock) -> Workspace:
    await workspace.stop()
    made = Workspace(folder / "ws", clock, customer_id=CUSTOMER)
    await made.start()
    return made


async def test_columns_of_a_custom_table(workspace: Workspace) -> None:
    await workspace.create_table("T_CL", NUMBERS)
    result = await workspace.query("T_CL")
    assert [(c.name, str(c.type)) for c in result.columns] == [
        ("TenantId", "string"),
        ("TimeGenerated", "datetime"),
        ("n", "long"),
        ("text", "string"),
        ("Type", "string"),
        ("_ResourceId", "string"),
    ]
    await send(workspace, await stream_to(workspace, "T_CL"), [{"n": 1, "text": "a"}])
    now = 639309456000000000
    assert await ask(workspace, "T_CL") == [(CUSTOMER, now, 1, "a", "T_CL", "")]


async def test_hidden_identity_is_commit_and_place(workspace: Workspace) -> None:
    await workspace.create_table("T_CL", NUMBERS)
    stream = await stream_to(workspace, "T_CL", "source | where n != 2")
    first = await send(workspace, stream, [{"n": 1}, {"n": 2}, {"n": 3}])
    second = await send(workspace, stream, [{"n": 4}])
    compiled = workspace.compile("T_CL | project n | sort by n asc", keep_identity=True)
    assert (await workspace.run(compiled, {})).values() == [(1, first, 0), (3, first, 2), (4, second, 0)]
    window = workspace.compile("T_CL | project n", window=True, keep_identity=True)
    bounds = {"t_from": 0, "t_to": 2**62, "commit_after": first, "commit_through": second}
    assert (await workspace.run(window, bounds)).values() == [(4, second, 0)]


async def test_names_that_differ_in_case_are_different_columns(workspace: Workspace) -> None:
    await workspace.create_table("T_CL", [Column("a", K.STRING), Column("A", K.LONG)])
    commit = await workspace.append("T_CL", [{"a": "small", "A": 7}], key="k")
    await workspace.until_loaded(commit)
    assert await ask(workspace, "T_CL | project a, A") == [("small", 7)]


async def test_hostile_names_reach_no_statement(workspace: Workspace) -> None:
    with pytest.raises(SchemaConflict):
        await workspace.create_table("t'; drop table lw.mark; --_CL", NUMBERS)
    with pytest.raises(SchemaConflict):
        await workspace.create_table("T_CL", [Column("x", K.TIMESPAN)])
    with pytest.raises(SchemaConflict):
        await workspace.create_table("T_CL", [Column("x", K.INT), Column("x", K.INT)])
    for name in ("", 'a"', "a\\", "a\n", "\x1b[31m", "x" * 129):
        with pytest.raises(SchemaConflict):
            await workspace.create_table("T_CL", [Column(name, K.INT)])
    hostile = ["select", "c0", "_commit", "k1", "]", "'; drop table t1; --", "a b", "é", "x" * 128]
    await workspace.create_table("T_CL", [Column(name, K.STRING) for name in hostile])
    commit = await workspace.append("T_CL", [{name: name for name in hostile}], key="k")
    await workspace.until_loaded(commit)
    (row,) = await ask(workspace, "T_CL")
    assert list(row[2:-2]) == hostile
    await workspace.create_table("T_CL", [Column(name, K.STRING) for name in [*hostile, "]; --"]])
    assert (await ask(workspace, "T_CL | count")) == [(1,)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(min_size=1, max_size=10), unique=True, min_size=1, max_size=6))
async def test_any_column_name_holds_its_own_values(workspace: Workspace, names: list[str]) -> None:
    usable = [n for n in names if '"' not in n and "\\" not in n and n.isprintable()]
    table = f"T{abs(hash(tuple(names)))}_CL"
    columns = [Column(name, K.LONG) for name in usable if name not in ("TenantId", "Type")]
    await workspace.create_table(table, columns)
    row = {column.name: i for i, column in enumerate(columns)}
    await workspace.until_loaded(await workspace.append(table, [row], key="k"))
    (found,) = await ask(workspace, table)
    assert list(found[2:-2]) == list(row.values())


async def test_columns_come_and_go_without_touching_rows(
    workspace: Workspace, tmp_path: Path, clock: ManualClock
) -> None:
    await workspace.create_table("T_CL", NUMBERS)
    stream = await stream_to(workspace, "T_CL")
    await send(workspace, stream, [{"n": 1, "text": "before"}])
    more = [Column("n", K.LONG), Column("word", K.STRING), Column("when", K.DATETIME)]
    await workspace.create_table("T_CL", more)
    assert await ask(workspace, "T_CL | project n, word, when") == [(1, "", None)]
    with pytest.raises(KqlError):
        await workspace.query("T_CL | project text")
    await send(workspace, stream, [{"n": 2, "text": "left out"}])
    with pytest.raises(SchemaConflict, match="'n' of 'T_CL' is long; it cannot become string"):
        await workspace.create_table("T_CL", [Column("n", K.STRING)])
    again = await reopened(workspace, tmp_path, clock)
    await again.create_table("T_CL", [*more, Column("text", K.STRING)])
    await send(again, await stream_to(again, "T_CL"), [{"n": 3, "text": "new"}])
    assert await ask(again, "T_CL | project n, word, text | sort by n asc") == [
        (1, "", ""),
        (2, "", ""),
        (3, "", "new"),
    ]
    await again.stop()


async def test_dropped_table_is_gone_with_what_still_comes(workspace: Workspace) -> None:
    await workspace.create_table("T_CL", NUMBERS)
    stream = await stream_to(workspace, "T_CL")
    await send(workspace, stream, [{"n": 1}])
    await workspace.drop_table("T_CL")
    await send(workspace, stream, [{"n": 2}])
    with pytest.raises(KqlError, match="T_CL"):
        await workspace.query("T_CL")
    await workspace.create_table("T_CL", [Column("n", K.STRING)])
    await send(workspace, stream, [{"n": 3}])
    assert await ask(workspace, "T_CL | project n") == [("",)], "a number does not fit the new column: null"


async def test_built_in_tables_are_there_on_first_use(workspace: Workspace, clock: ManualClock) -> None:
    assert await ask(workspace, "SecurityIncident | count") == [(0,)]
    row = {
        "SystemAlertId": "a1",
        "Entities": '[{"Type":"ip"}]',
        "ConfidenceScore": 0.5,
        "StartTime": "2026-11-22T11:00:00.1234567Z",
        "IsIncident": False,
    }
    commit = await workspace.append("SecurityAlert", [row], key="a1")
    await workspace.until_loaded(commit)
    query = "SecurityAlert | project SystemAlertId, Entities, ConfidenceScore, StartTime, IsIncident, Type, Status"
    assert await ask(workspace, query) == [
        ("a1", '[{"Type":"ip"}]', 0.5, 639309420001234567, False, "SecurityAlert", "")
    ]
    commit = await workspace.append("SecurityAlert", [{"AlertName": "half \ud800", "StartTime": clock.now()}], key="a2")
    await workspace.until_loaded(commit)
    query = "SecurityAlert | where AlertName startswith 'half' | project AlertName, StartTime"
    assert await ask(workspace, query) == [("half \ufffd", 639309456000000000)]
    with pytest.raises(UnknownTable):
        await workspace.append("NoTable", [{}], key="x")
    with pytest.raises(KeyError, match="NoColumn"):
        await workspace.append("SecurityAlert", [{"NoColumn": 1}], key="x")
    with pytest.raises(KqlError, match="Unknown_CL"):
        await workspace.query("Unknown_CL")


def test_schemas_are_those_of_azure() -> None:
    incident = {c.name: str(c.type) for c in builtin_schema("SecurityIncident") or ()}
    assert (incident["Labels"], incident["IncidentNumber"], incident["CreatedTime"]) == ("dynamic", "int", "datetime")
    assert builtin_schema("Cisco_Umbrella_dns_CL") is None
    assert known_schema("Cisco_Umbrella_dns_CL") is not None
    assert builtin_schema("None") is None


async def test_repeats_are_known_across_restarts_for_a_day(
    workspace: Workspace, tmp_path: Path, clock: ManualClock
) -> None:
    await workspace.create_table("T_CL", NUMBERS)
    stream = await stream_to(workspace, "T_CL")
    key = make_key(Span.REQUEST, "request")
    first = await send(workspace, stream, [{"n": 1}], key)
    alert = await workspace.append("SecurityAlert", [{"AlertName": "x"}], key="alert")
    assert await send(workspace, stream, [{"n": 1}], key) == first
    again = await reopened(workspace, tmp_path, clock)
    stream = await stream_to(again, "T_CL")
    assert await send(again, stream, [{"n": 1}], key) == first
    clock.advance(26 * 3600)
    later = await reopened(again, tmp_path, clock)
    assert await later.append("SecurityAlert", [{"AlertName": "x"}], key="alert") == alert
    assert await send(later, await stream_to(later, "T_CL"), [{"n": 1}], key) > alert
    assert await ask(later, "T_CL | count") == [(2,)]
    assert await ask(later, "SecurityAlert | count") == [(1,)]
    await later.stop()


async def test_one_key_at_the_same_time_is_stored_once(workspace: Workspace) -> None:
    commits = await asyncio.gather(
        *(workspace.append("SecurityAlert", [{"AlertName": "x"}], key="k") for _ in range(20))
    )
    assert len(set(commits)) == 1
    await workspace.until_loaded(commits[0])
    assert await ask(workspace, "SecurityAlert | count") == [(1,)]


async def test_subscribers_hear_of_rows_that_can_be_read(workspace: Workspace) -> None:
    await workspace.create_table("T_CL", NUMBERS)
    heard: list[Loaded] = []

    def fail(_: Loaded) -> None:
        raise ValueError("a subscriber's own")

    workspace.subscribe(fail)
    end = workspace.subscribe(heard.append)
    stream = await stream_to(workspace, "T_CL", "source | where n > 0")
    await send(workspace, stream, [{"n": 0}])
    assert heard == []
    commit = await send(workspace, stream, [{"n": 1}])
    assert heard == [Loaded("T_CL", commit, commit)]
    assert workspace.loaded == commit
    end()
    await send(workspace, stream, [{"n": 1}])
    assert len(heard) == 1


async def test_transform_may_ask_for_the_time(workspace: Workspace) -> None:
    await workspace.create_table("T_CL", [Column("at", K.DATETIME)])
    stream = await stream_to(workspace, "T_CL", "source | extend at = now()")
    await send(workspace, stream, [{}])
    assert await ask(workspace, "T_CL | project at == TimeGenerated") == [(True,)]


async def test_frame_that_cannot_be_loaded_is_set_aside_alone(
    workspace: Workspace, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await workspace.create_table("T_CL", NUMBERS)
    stream = await stream_to(workspace, "T_CL")
    real = loader_module._with_identity

    def poisoned(load: loader_module.Load) -> Any:
        assert load.rows is not None
        if 5 in load.rows.column("c1").to_pylist():
            raise duckdb.ConversionException("these rows cannot be")
        return real(load)

    monkeypatch.setattr(loader_module, "_with_identity", poisoned)
    bodies = [json.dumps([{"n": n}]).encode() for n in range(12)]
    receipts = await asyncio.gather(
        *(
            workspace.submit(stream, body, stream.decoder.decode(body), gzip=False, key=make_key(Span.REQUEST, body))
            for body in bodies
        )
    )
    await workspace.until_loaded(max(r.commit for r in receipts))
    assert await ask(workspace, "T_CL | project n | sort by n asc") == [(n,) for n in range(12) if n != 5]
    await workspace.stop()
    with duckdb.connect(str(tmp_path / "ws/workspace.duckdb")) as connection:
        ((body, error),) = connection.execute("select body, error from lw.set_aside").fetchall()
    assert (body, error) == (bodies[5], "these rows cannot be")
    again = Workspace(tmp_path / "ws", clock, customer_id=CUSTOMER)
    await again.start()
    assert await ask(again, "T_CL | count") == [(11,)]
    await again.stop()


async def test_machine_errors_are_waited_for(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    await workspace.create_table("T_CL", NUMBERS)
    stream = await stream_to(workspace, "T_CL")
    monkeypatch.setattr(loader_module, "_RETRY_SECONDS", 0.01)
    real, calls = loader_module._store_keys, 0

    def full(cursor: Any, loads: Any) -> None:
        nonlocal calls
        calls += 1
        if calls < 4:
            raise duckdb.IOException("No space left on device")
        real(cursor, loads)

    monkeypatch.setattr(loader_module, "_store_keys", full)
    await send(workspace, stream, [{"n": 1}])
    assert calls == 4
    assert await ask(workspace, "T_CL | count") == [(1,)]


async def test_full_journal_is_told_and_costs_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    await workspace.create_table("T_CL", NUMBERS)
    stream = await stream_to(workspace, "T_CL")
    await send(workspace, stream, [{"n": 1}])

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "writev", full)
    key = make_key(Span.REQUEST, "r")
    with pytest.raises(JournalError):
        await send(workspace, stream, [{"n": 2}], key)
    monkeypatch.undo()
    await send(workspace, stream, [{"n": 2}], key)
    assert await ask(workspace, "T_CL | count") == [(2,)]


async def test_memory_is_bounded(tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    from lurewire.core.limits import Limits
    from lurewire.workspace import LIMITS

    workspace = Workspace(
        tmp_path / "ws", clock, customer_id=CUSTOMER, limits=Limits(LIMITS, {"workspace.waiting_bytes": 100_000})
    )
    await workspace.start()
    await workspace.create_table("T_CL", NUMBERS)
    stream = await stream_to(workspace, "T_CL")
    rows = [{"n": n, "text": "x" * 100} for n in range(300)]
    await send(workspace, stream, rows)
    sent = [asyncio.ensure_future(send(workspace, stream, rows)) for _ in range(4)]
    done = await asyncio.gather(*sent, return_exceptions=True)
    assert sum(isinstance(one, Overloaded) for one in done) == 3
    await send(workspace, stream, rows)
    assert await ask(workspace, "T_CL | count") == [(900,)]
    await workspace.stop()


async def test_no_query_reaches_outside(workspace: Workspace) -> None:
    cursor = workspace._engine.cursor()
    for statement in (
        "select * from read_csv('/etc/passwd')",
        "copy (select 1) to '/tmp/x'",
        "attach '/tmp/x.duckdb'",
        "install httpfs",
        "set enable_external_access = true",
        "set memory_limit = '100GB'",
    ):
        with pytest.raises(duckdb.Error):
            cursor.execute(statement)
    cursor.close()


async def test_second_process_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = f"import duckdb; duckdb.connect({str(tmp_path / 'ws/workspace.duckdb')!r})"
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "lock" in done.stderr.lower()
