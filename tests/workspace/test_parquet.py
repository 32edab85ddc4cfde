"""Tables as Parquet files: every value comes back, once."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lurewire.kql import Column, KqlType
from lurewire.workspace import Overloaded, UnknownTable, Workspace, parquet
from lurewire.workspace.parquet import Unfit, columns_of

if TYPE_CHECKING:
    from pathlib import Path

    from lurewire.core.clock import ManualClock

COLUMNS = [Column(str(kind)[0] + "_" + str(kind), kind) for kind in KqlType if kind not in ("decimal", "timespan")]
COLUMNS += [Column("when", KqlType.DATETIME), Column("s_String", KqlType.STRING)]
GUID = "0e28f730-18c1-429a-821e-5282cf641dd4"
FULL: dict[str, Any] = {
    "TimeGenerated": "2026-01-02T03:04:05.1234567Z",
    "_ResourceId": "/subscriptions/x",
    "b_bool": True,
    "i_int": -(2**31),
    "l_long": 2**63 - 1,
    "r_real": 0.1,
    "s_string": 'é"\\\n\x01',
    "s_String": "another case",
    "d_datetime": "1999-12-31T23:59:59.9999999Z",
    "g_guid": GUID,
    "d_dynamic": {"a": [1, None, 2.50, "é"], "b": {"c": 12345678901234567890}},
    "when": "0001-01-01T00:00:00Z",
}
ROWS = [
    FULL,
    {"TimeGenerated": "2026-01-02T03:04:06Z"},
    {
        "TimeGenerated": "2026-01-02T03:04:07Z",
        "r_real": "NaN",
        "d_dynamic": "a text",
        "when": "9999-12-31T23:59:59.9999999Z",
    },
    {"TimeGenerated": "2026-01-02T03:04:08Z", "r_real": "-Infinity", "d_dynamic": 1, "g_guid": None},
]
SHOWN = "T_CL | sort by TimeGenerated asc | project-away TenantId, Type"


def hidden(folder: Path) -> list[Path]:
    return list(folder.glob(".*"))


async def table(workspace: Workspace) -> None:
    await workspace.create_table("T_CL", [Column("TimeGenerated", KqlType.DATETIME), *COLUMNS])


async def rows(workspace: Workspace) -> list[tuple[str, ...]]:
    return [tuple(map(repr, row)) for row in (await workspace.query(SHOWN)).values()]


@pytest.fixture
async def exported(workspace: Workspace, tmp_path: Path) -> Path:
    await table(workspace)
    await workspace.until_loaded(await workspace.append("T_CL", ROWS, key="rows"))
    assert await workspace.export_table("T_CL", tmp_path / "t.parquet") == 4
    return tmp_path / "t.parquet"


@pytest.fixture
async def other(tmp_path: Path, clock: ManualClock) -> Any:
    async with started(tmp_path / "other", clock) as made:
        await table(made)
        yield made


@contextlib.asynccontextmanager
async def started(folder: Path, clock: ManualClock) -> Any:
    made = Workspace(folder, clock, customer_id="0f0e0d0c-9999-4222-8333-444455556666")
    await made.start()
    yield made
    await made.stop()


async def test_every_value_comes_back_in_another_workspace(
    workspace: Workspace, exported: Path, other: Workspace, tmp_path: Path
) -> None:
    assert await other.import_table("T_CL", exported) == 4
    assert await rows(other) == await rows(workspace)
    await other.export_table("T_CL", tmp_path / "again.parquet")
    again, first = (pq.read_table(file) for file in (tmp_path / "again.parquet", exported))
    assert again.schema.equals(first.schema, check_metadata=True)
    assert str(again.to_pylist()) == str(first.to_pylist()), "NaN is not equal to itself"
    assert not hidden(tmp_path)
    assert (tmp_path / "again.parquet").stat().st_mode & 0o777 == 0o600


async def test_what_others_read(exported: Path) -> None:
    schema = pq.read_schema(exported)
    assert schema.field("TimeGenerated").type == pa.timestamp("ns", tz="UTC")
    assert schema.field("when").type == pa.int64(), "years 1 and 9999 are outside a timestamp's"
    assert schema.field("g_guid").type == pa.uuid()
    first = pq.read_table(exported).to_pylist()[0]
    assert (str(first["g_guid"]), first["s_string"], first["s_String"]) == (GUID, 'é"\\\n\x01', "another case")
    assert pq.read_table(exported)["TimeGenerated"].cast(pa.int64())[0].as_py() % 10**9 == 123_456_700
    assert ("d_dynamic", "dynamic") in columns_of(exported)


async def test_a_file_again_changes_nothing(workspace: Workspace, exported: Path, other: Workspace) -> None:
    for _ in range(2):
        assert await other.import_table("T_CL", exported) == 4
    assert len(await rows(other)) == 4
    assert await workspace.import_table("T_CL", exported) == 4
    assert len(await rows(workspace)) == 8, "what was not imported here yet is"


async def test_a_file_again_into_a_table_that_was_made_again(exported: Path, other: Workspace) -> None:
    assert await other.import_table("T_CL", exported) == 4
    await other.drop_table("T_CL")
    await table(other)
    assert await other.import_table("T_CL", exported) == 4
    assert len(await rows(other)) == 4


async def test_room_that_only_the_unacknowledged_take(
    exported: Path, other: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, acknowledged = other._intake.submit, asyncio.Event()

    async def refuses_until_the_loop_had_its_turn(*given: Any, **named: Any) -> Any:
        if not acknowledged.is_set():
            asyncio.get_running_loop().call_soon(acknowledged.set)
            raise Overloaded("full")
        return await submit(*given, **named)

    monkeypatch.setattr(other._intake, "submit", refuses_until_the_loop_had_its_turn)
    assert await other.import_table("T_CL", exported) == 4
    assert acknowledged.is_set()


async def test_row_groups_are_bounded_by_size(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 1 << 20)
    await table(workspace)
    commit = 0
    for place in range(5):
        large = [{"s_string": "x" * 1_000, "l_long": i} for i in range(1_000)]
        commit = await workspace.append("T_CL", large, key=f"large {place}")
    await workspace.until_loaded(commit)
    assert await workspace.export_table("T_CL", tmp_path / "large.parquet") == 5_000
    assert pq.ParquetFile(tmp_path / "large.parquet").num_row_groups > 1


async def test_a_time_that_no_datetime_holds(other: Workspace, tmp_path: Path) -> None:
    pq.write_table(pa.table({"when": pa.array([2**50], pa.timestamp("s"))}), tmp_path / "f.parquet")
    with pytest.raises(Unfit, match="years 1 to 9999"):
        await other.import_table("T_CL", tmp_path / "f.parquet")


async def test_after_a_stop_half_way_the_rest_comes(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = pa.table({"TimeGenerated": pa.array(range(12_000), pa.timestamp("s")), "l_long": list(range(12_000))})
    pq.write_table(many, tmp_path / "many.parquet")
    async with started(tmp_path / "w", clock) as first:
        await table(first)
        append, calls = first.append_patiently, 0

        async def fails(*given: Any, **named: Any) -> int:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise OSError("the process is gone")
            return int(await append(*given, **named))

        monkeypatch.setattr(first, "append_patiently", fails)
        with pytest.raises(OSError, match="gone"):
            await first.import_table("T_CL", tmp_path / "many.parquet")
    async with started(tmp_path / "w", clock) as second:
        assert await second.import_table("T_CL", tmp_path / "many.parquet") == 12_000
        found = (await second.query("T_CL | summarize count(), dcount(l_long, 4), sum(l_long)")).values()
        assert found == [(12_000, 12_000, sum(range(12_000)))]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
async def test_timestamps_of_every_unit(other: Workspace, tmp_path: Path, unit: str) -> None:
    stamps = pa.array([0, -1, None], pa.timestamp(unit))
    pq.write_table(pa.table({"TimeGenerated": stamps}), tmp_path / "f.parquet", coerce_timestamps=None)
    assert await other.import_table("T_CL", tmp_path / "f.parquet") == 3
    shown = (
        await other.query("T_CL | where TimeGenerated < datetime(2000-01-01) | summarize max(TimeGenerated)")
    ).values()
    assert shown == [(621_355_968_000_000_000,)]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"nothing": ["x"]}, "has no column 'nothing'"),
        ({"i_int": [1]}, "'i_int' of type int64 does not fit the table's column of type int"),
        ({"l_long": ["1"]}, "'l_long' of type string does not fit"),
        ({"when": [1]}, "'when' of type int64 does not fit"),
        ({"s_string": [1.5]}, "'s_string' of type double does not fit"),
        ({"r_real": pa.array([1], pa.decimal128(5, 2))}, "'r_real' of type decimal128"),
    ],
)
async def test_files_that_do_not_fit(other: Workspace, tmp_path: Path, columns: dict[str, Any], words: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "f.parquet")
    with pytest.raises(Unfit) as caught:
        await other.import_table("T_CL", tmp_path / "f.parquet")
    assert words in str(caught.value)
    assert await rows(other) == []


async def test_a_forged_dynamic_value(other: Workspace, tmp_path: Path) -> None:
    field = pa.field("d_dynamic", pa.string(), metadata={b"kql.type": b"dynamic"})
    forged = pa.table({"d_dynamic": ['1},{"s_string":"smuggled"']}, schema=pa.schema([field]))
    pq.write_table(forged, tmp_path / "f.parquet")
    with pytest.raises(Unfit, match="no JSON"):
        await other.import_table("T_CL", tmp_path / "f.parquet")


async def test_what_is_not_there(other: Workspace, tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(Unfit, match="is no Parquet file"):
        await other.import_table("T_CL", tmp_path / "text.parquet")
    with pytest.raises(FileNotFoundError):
        await other.import_table("T_CL", tmp_path / "nothing.parquet")
    for call in (other.import_table, other.export_table):
        with pytest.raises(UnknownTable):
            await call("Nope_CL", tmp_path / "f.parquet")
    with pytest.raises(OSError, match="No such file"):
        await other.export_table("T_CL", tmp_path / "no" / "f.parquet")


async def test_no_rows(other: Workspace, tmp_path: Path) -> None:
    assert await other.export_table("T_CL", tmp_path / "empty.parquet") == 0
    assert await other.import_table("T_CL", tmp_path / "empty.parquet") == 0
