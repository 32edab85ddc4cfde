from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.analytics import runner, store

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.analytics.conftest import World


def _windows(world: World) -> list[tuple[str, str]]:
    data = [alert["alert"]["properties"]["additionalData"] for alert in world.alerts]
    return [(d["Query Start Time UTC"][11:19], d["Query End Time UTC"][11:19]) for d in data]


async def test_windows_end_five_minutes_before_the_run_and_meet(world: World, kit: Any) -> None:
    single = {"eventGroupingSettings": {"aggregationKind": "SingleAlert"}}
    await world.put(kit.scheduled(**single, triggerOperator="LessThan", triggerThreshold=5))
    await world.advance(15)
    assert _windows(world) == [
        ("11:50:00", "11:55:00"),
        ("11:55:00", "12:00:00"),
        ("12:00:00", "12:05:00"),
        ("12:05:00", "12:10:00"),
    ]


async def test_now_is_the_end_of_the_window(world: World, kit: Any) -> None:
    """Microsoft's own example for ingestion delay needs it: ago(period) is the start of the window."""
    query = f"{kit.TABLE} | where TimeGenerated > ago(5m) | extend seen = now() | project source_ip, seen"
    await world.put(kit.scheduled(query=query, alertDetailsOverride={"alertDisplayNameFormat": "{{seen}}"}))
    await world.ingest({"source_ip": "198.51.100.1"}, at=kit.START - kit.ago(4.99))
    await world.ingest({"source_ip": "198.51.100.2"}, at=kit.START)
    await world.advance(5)
    assert world.names() == ["2026-11-22T12:00:00.0000000Z"] * 2


@pytest.mark.parametrize(
    ("operator", "threshold", "raises"),
    [
        ("GreaterThan", 2, True),
        ("GreaterThan", 3, False),
        ("LessThan", 4, True),
        ("LessThan", 3, False),
        ("Equal", 3, True),
        ("Equal", 0, False),
        ("NotEqual", 3, False),
        ("NotEqual", 0, True),
    ],
)
async def test_the_threshold_counts_results(
    world: World, kit: Any, operator: str, threshold: int, raises: bool
) -> None:
    await world.ingest(*({"source_ip": f"198.51.100.{n}"} for n in range(3)), at=kit.START - kit.ago(7))
    single = {"eventGroupingSettings": {"aggregationKind": "SingleAlert"}}
    await world.put(kit.ip_rule(**single, triggerOperator=operator, triggerThreshold=threshold))
    assert len(world.alerts) == raises
    if raises:
        assert sorted(world.ips()) == ["198.51.100.0", "198.51.100.1", "198.51.100.2"]


async def test_a_query_over_many_rows_raises_an_alert_for_each_result(world: World, kit: Any) -> None:
    await world.put(kit.ip_rule(query=kit.by("source_ip")))
    for address in ("198.51.100.1", "198.51.100.2", "198.51.100.1"):
        await world.ingest({"source_ip": address})
    await world.advance(10)
    assert sorted(world.ips()) == ["198.51.100.1", "198.51.100.2"]
    await world.advance(10)
    assert len(world.alerts) == 2


async def test_overlapping_windows_raise_an_alert_in_each(world: World, kit: Any) -> None:
    await world.put(kit.ip_rule(queryPeriod="PT15M"))
    await world.ingest({"source_ip": "198.51.100.1"})
    await world.advance(40)
    assert world.ips() == ["198.51.100.1"] * 3


async def test_suppression_stops_the_query_after_an_alert(world: World, kit: Any) -> None:
    await world.put(kit.ip_rule(suppressionEnabled=True, suppressionDuration="PT30M"))
    for n in range(50):
        await world.ingest({"source_ip": f"198.51.100.{n}"})
        await world.advance(1)
    await world.advance(15)
    assert sorted(int(address.rpartition(".")[2]) for address in world.ips()) == [0, 26, 27, 28, 29, 30]
    runs = sorted({alert["alert"]["properties"]["timeGenerated"] for alert in world.alerts})
    assert [run[11:16] for run in runs] == ["12:05", "12:35"]


class TestDowntime:
    async def test_missed_runs_are_made_up_for(self, make_world: Callable[..., World], kit: Any) -> None:
        first = make_world()
        await first.open()
        stored = await first.put(kit.ip_rule(query=kit.by("source_ip")))
        await first.ingest({"source_ip": "198.51.100.1"})
        await first.ingest({"source_ip": "198.51.100.2"}, at=kit.START + kit.ago(12))
        await first.close()
        later = make_world(kit.START + kit.ago(60))
        await later.open()
        (kind,) = later.analytics.resource_types
        await kind.applied(kit.rule_id(), stored)
        await later.settled()
        assert _windows(later) == [("11:55:00", "12:00:00"), ("12:10:00", "12:15:00")]
        await later.advance(30)
        assert len(later.alerts) == 2
        await later.close()

    async def test_but_not_without_bound(self, make_world: Callable[..., World], kit: Any) -> None:
        first = make_world()
        await first.open()
        stored = await first.put(kit.ip_rule(query=kit.by("source_ip")))
        await first.ingest({"source_ip": "198.51.100.1"})
        await first.ingest({"source_ip": "198.51.100.2"}, at=kit.START + kit.ago(48))
        await first.close()
        later = make_world(kit.START + kit.ago(60), limits={"analytics.catch_up_runs": 3})
        await later.open()
        (kind,) = later.analytics.resource_types
        await kind.applied(kit.rule_id(), stored)
        await later.settled()
        assert later.ips() == ["198.51.100.2"]
        await later.close()

    async def test_rows_loaded_while_nobody_looked_are_looked_at(
        self, make_world: Callable[..., World], kit: Any
    ) -> None:
        first = make_world()
        await first.open()
        stored = await first.put(kit.ip_rule())
        await first.analytics.stop()
        await first.workspace.until_loaded(
            await first.workspace.append(kit.TABLE, [{"source_ip": "198.51.100.1"}], "x")
        )
        await first.outbox.stop()
        await first.workspaces.stop()
        first.db.close()
        later = make_world(kit.START + kit.ago(1))
        await later.open()
        (kind,) = later.analytics.resource_types
        await kind.applied(kit.rule_id(), stored)
        await later.settled()
        assert later.ips() == ["198.51.100.1"]
        await later.close()


class TestCrash:
    async def test_alerts_and_watermark_are_one_transaction(
        self, make_world: Callable[..., World], kit: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process that dies before the commit raises nothing; the next one raises each alert once."""
        real, dying = store.write, True

        def dies(conn: Any, outbox: Any, now: int, where: Any, **what: Any) -> Any:
            new = real(conn, outbox, now, where, **what)
            if dying and new:
                raise OSError("killed before the commit")
            return new

        monkeypatch.setattr(store, "write", dies)
        first = make_world()
        await first.open()
        stored = await first.put(kit.ip_rule())
        await first.ingest({"source_ip": "198.51.100.1"}, {"source_ip": "198.51.100.2"})
        assert first.alerts == []
        dying = False
        await first.close()
        for minutes in (1, 2):
            later = make_world(kit.START + kit.ago(minutes))
            await later.open()
            (kind,) = later.analytics.resource_types
            await kind.applied(kit.rule_id(), stored)
            await later.settled()
            await later.advance(20)
            assert sorted(later.ips()) == ([] if minutes == 2 else ["198.51.100.1", "198.51.100.2"])
            await later.close()

    async def test_a_watermark_that_was_lost_raises_nothing_twice(self, world: World, kit: Any) -> None:
        """Looks that raise nothing are not stored at once: after a kill the same commits are looked at again."""
        await world.put(kit.ip_rule())
        await world.ingest({"source_ip": "198.51.100.1"})
        await world.advance(7)
        await world.ingest({"source_ip": "198.51.100.2"})
        assert world.analytics.missed(kit.rule_id()) == 0
        await world.db.write(lambda conn: conn.exec_driver_sql("update analytics_schedule set looked_through = 0"))
        runner_of = world.analytics._runners[kit.rule_id().key]
        from dataclasses import replace

        runner_of.standing = replace(runner_of.standing, looked_through=0)
        runner_of.notify()
        await world.settled()
        await world.advance(20)
        assert world.ips() == ["198.51.100.1", "198.51.100.2"]


class TestFailures:
    async def test_a_run_is_tried_again_and_then_skipped(
        self, world: World, kit: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await world.put(kit.ip_rule(query=kit.by("source_ip")))
        await world.ingest({"source_ip": "198.51.100.1"})
        real, failures = world.workspace.run, 3

        async def fails(*arguments: Any) -> Any:
            nonlocal failures
            if failures and "t_from" in arguments[1]:
                failures -= 1
                raise TimeoutError("engine is busy")
            return await real(*arguments)

        monkeypatch.setattr(world.workspace, "run", fails)
        await world.advance(10)
        assert failures == 0
        assert world.ips() == ["198.51.100.1"]
        failures = 1000
        await world.ingest({"source_ip": "198.51.100.2"})
        await world.advance(30)
        failures = 0
        await world.advance(30)
        standing = world.db.read(lambda conn: store.standing(conn, kit.rule_id().key))
        assert standing is not None
        assert standing.error is None

    async def test_a_rule_whose_table_is_dropped_fails_alone(self, world: World, kit: Any) -> None:
        from lurewire.kql import Column, KqlType

        await world.workspace.create_table("Other_CL", [Column("x", KqlType.STRING)])
        await world.put(kit.scheduled(query="Other_CL"), "other")
        await world.put(kit.ip_rule())
        await world.workspace.drop_table("Other_CL")
        await world.advance(6)
        await world.ingest({"source_ip": "198.51.100.1"})
        assert world.ips() == ["198.51.100.1"]
        standing = world.db.read(lambda conn: store.standing(conn, kit.rule_id("other").key))
        assert standing is not None
        assert "Other_CL" in str(standing.error)


class TestNrt:
    async def test_runs_on_what_is_new_and_only_on_that(self, world: World, kit: Any) -> None:
        mapping = {"entityType": "IP", "fieldMappings": [{"identifier": "Address", "columnName": "source_ip"}]}
        await world.ingest({"source_ip": "198.51.100.1"})
        await world.put(kit.nrt(entityMappings=[mapping]))
        await world.ingest({"source_ip": "198.51.100.2"}, at=kit.START - kit.ago(600))  # by commit, not by time
        assert world.ips() == ["198.51.100.2"]
        await world.ingest({"source_ip": "198.51.100.3"})
        await world.advance(10)
        assert world.ips() == ["198.51.100.2", "198.51.100.3"]
        assert world.alerts[0]["alert"]["properties"]["productComponentName"] == "NRT Alerts"

    async def test_a_query_over_many_rows_sees_each_batch_once(self, world: World, kit: Any) -> None:
        await world.put(kit.nrt(query=f"{kit.by('source_ip')} | where n > 1"))
        await world.ingest({"source_ip": "198.51.100.1"})
        await world.ingest({"source_ip": "198.51.100.1"})
        assert world.alerts == []
        await world.ingest({"source_ip": "198.51.100.1"}, {"source_ip": "198.51.100.1"})
        assert len(world.alerts) == 1

    async def test_at_most_thirty_alerts_a_run(self, world: World, kit: Any) -> None:
        await world.put(kit.nrt())
        await world.ingest(*({"source_ip": f"198.51.100.{n}"} for n in range(40)))
        assert len(world.alerts) == 30
        await world.ingest(*({"source_ip": f"198.51.100.{n}"} for n in range(30)))
        assert len(world.alerts) == 60

    async def test_suppression_skips_what_arrives_meanwhile(self, world: World, kit: Any) -> None:
        await world.put(kit.nrt(suppressionEnabled=True, suppressionDuration="PT10M"))
        for n in range(13):
            await world.ingest({"source_ip": f"198.51.100.{n}"})
            await world.advance(1)
        assert [a["alert"]["properties"]["timeGenerated"][11:16] for a in world.alerts] == ["12:00", "12:10"]

    async def test_one_alert_for_all_where_the_rule_says_so(self, world: World, kit: Any) -> None:
        await world.put(kit.nrt(eventGroupingSettings=...))
        await world.ingest({"source_ip": "198.51.100.1"}, {"source_ip": "198.51.100.2"})
        assert len(world.alerts) == 1


async def test_an_overfull_result_is_summed_up_and_said_to_be_cut(
    world: World, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lurewire.workspace import QueryLimits

    real = world.workspace.run

    async def bounded(compiled: Any, parameters: Any, cls: Any) -> Any:
        return await real(compiled, parameters, cls, QueryLimits(1000, 1 << 30, 60))

    monkeypatch.setattr(world.workspace, "run", bounded)
    await world.put(kit.ip_rule())
    await world.ingest(*({"source_ip": f"10.0.{n // 250}.{n % 250}"} for n in range(1500)))
    assert world.alerts == []  # too much for a look on arrival
    await world.advance(10)
    assert len(world.alerts) == 150
    assert len(world.alerts[-1]["entities"]) == 500


async def test_a_rule_deleted_while_it_runs_stores_nothing(
    world: World, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.put(kit.ip_rule(query=kit.by("source_ip")))
    await world.ingest({"source_ip": "198.51.100.1"})
    entered, real = asyncio.Event(), world.workspace.run

    async def slow(*arguments: Any) -> Any:
        entered.set()
        await asyncio.sleep(0.05)
        return await real(*arguments)

    monkeypatch.setattr(world.workspace, "run", slow)
    world.clock.advance(301)
    await entered.wait()
    await world.delete()
    await world.outbox.drained()
    assert world.alerts == []
    assert world.analytics._runners == {}


def test_the_module_names_its_own_tables() -> None:
    assert {"SecurityAlert", "SecurityIncident"} == runner.OWN_TABLES
