from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.analytics.conftest import World


async def test_an_alert_is_raised_when_the_row_arrives_and_never_again(world: World, kit: Any) -> None:
    await world.put(kit.ip_rule())
    await world.advance(3)
    await world.ingest({"source_ip": "198.51.100.1"})
    assert world.ips() == ["198.51.100.1"]
    await world.advance(30)
    assert world.ips() == ["198.51.100.1"]


async def test_each_of_many_rows_has_one_alert_whether_it_came_early_or_on_schedule(world: World, kit: Any) -> None:
    await world.put(kit.ip_rule())
    expected = []
    for n in range(40):
        await world.advance(0.5)
        address = f"198.51.100.{n}"
        await world.ingest({"source_ip": address}, at=world.clock.now() - kit.ago(n % 5))
        expected.append(address)
    await world.advance(20)
    assert sorted(world.ips()) == sorted(expected)


async def test_without_early_firing_the_schedule_raises_the_same_alerts(
    make_world: Callable[..., World], kit: Any
) -> None:
    world = make_world(early_firing=False)
    await world.open()
    await world.put(kit.ip_rule())
    for n in range(10):
        await world.advance(0.9)
        await world.ingest({"source_ip": f"198.51.100.{n}"})
    assert world.ips() == []  # a run's window ends five minutes before it
    await world.advance(20)
    assert sorted(world.ips()) == [f"198.51.100.{n}" for n in range(10)]
    await world.close()


async def test_the_first_run_takes_what_is_in_its_window_already(world: World, kit: Any) -> None:
    await world.ingest({"source_ip": "198.51.100.1"}, at=kit.START - kit.ago(6))
    await world.ingest({"source_ip": "198.51.100.2"}, at=kit.START - kit.ago(1))
    await world.ingest({"source_ip": "198.51.100.3"}, at=kit.START - kit.ago(20))
    await world.put(kit.ip_rule())
    assert world.ips() == ["198.51.100.1"]
    await world.advance(10)
    assert world.ips() == ["198.51.100.1", "198.51.100.2"]


class TestLateRows:
    async def test_a_row_too_late_for_every_window_is_reported_and_raises_nothing(self, world: World, kit: Any) -> None:
        await world.put(kit.ip_rule())
        await world.ingest({"source_ip": "198.51.100.1"}, at=kit.START - kit.ago(5) + kit.ago(0.001))  # just in time
        assert world.ips() == ["198.51.100.1"]
        await world.ingest({"source_ip": "198.51.100.2"}, {"source_ip": "198.51.100.3"}, at=kit.START - kit.ago(5))
        await world.advance(20)
        assert world.ips() == ["198.51.100.1"]
        assert world.analytics.missed(kit.rule_id()) == 2

    async def test_a_setting_raises_alerts_for_them(self, make_world: Callable[..., World], kit: Any) -> None:
        world = make_world(fire_late=True)
        await world.open()
        await world.put(kit.ip_rule())
        rows = [{"source_ip": f"198.51.100.{n}"} for n in range(3)]
        await world.ingest(*rows, at=kit.START - kit.ago(600))
        await world.advance(20)
        assert sorted(world.ips()) == ["198.51.100.0", "198.51.100.1", "198.51.100.2"]
        assert world.analytics.missed(kit.rule_id()) == 3
        await world.close()

    async def test_what_lay_there_before_the_rule_is_not_missed(self, world: World, kit: Any) -> None:
        await world.ingest({"source_ip": "198.51.100.1"}, at=kit.START - kit.ago(600))
        await world.put(kit.ip_rule())
        await world.advance(10)
        assert world.analytics.missed(kit.rule_id()) == 0

    async def test_a_longer_look_back_misses_less(self, world: World, kit: Any) -> None:
        await world.put(kit.ip_rule(queryPeriod="PT1H"))
        await world.ingest({"source_ip": "198.51.100.1"}, at=kit.START - kit.ago(30))
        assert world.ips() == []
        assert world.analytics.missed(kit.rule_id()) == 0
        await world.advance(5)
        assert world.ips() == ["198.51.100.1"]

    async def test_for_a_query_over_many_rows_the_tables_rows_are_counted(self, world: World, kit: Any) -> None:
        await world.put(kit.scheduled(query=kit.by("source_ip")))
        await world.ingest({"source_ip": "198.51.100.1"}, {"source_ip": "198.51.100.2"}, at=kit.START - kit.ago(9))
        await world.ingest({"source_ip": "198.51.100.3"})
        await world.advance(15)
        assert world.analytics.missed(kit.rule_id()) == 2
        assert len(world.alerts) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"query": "by"},
        {"query": "TrapEye_Threats_CL | where TimeGenerated > ago(1h)"},
        {"queryPeriod": "PT10M"},
        {"suppressionEnabled": True},
        {"triggerThreshold": 1},
        {"triggerOperator": "NotEqual", "triggerThreshold": 7},
        {"eventGroupingSettings": {"aggregationKind": "SingleAlert"}},
        {"eventGroupingSettings": ...},
        {"enabled": False},
    ],
)
async def test_only_rules_that_the_design_names_fire_early(world: World, kit: Any, changes: dict[str, Any]) -> None:
    if changes.get("query") == "by":
        changes = {"query": kit.by("source_ip")}
    await world.put(kit.scheduled(**changes))
    await world.advance(1)
    await world.ingest({"source_ip": "198.51.100.1"}, {"source_ip": "198.51.100.2"})
    assert world.alerts == []
    if changes.get("enabled") is None:
        await world.advance(10)
        assert world.alerts != []


@pytest.mark.parametrize(
    "query",
    [
        "TrapEye_Threats_CL | where source_ip startswith '198.' | extend x = strcat(source_ip, '!') | project source_ip, x",
        "TrapEye_Threats_CL | project-rename source_ip = note | where source_ip == '198.51.100.1'",
        "let bad = '198.51.100.1'; TrapEye_Threats_CL | where source_ip == bad",
    ],
)
async def test_row_wise_queries_fire_early(world: World, kit: Any, query: str) -> None:
    if "project-rename" in query:
        query = "TrapEye_Threats_CL | project-away source_ip | project-rename source_ip = note"
    await world.put(kit.ip_rule(query=query))
    await world.ingest({"source_ip": "198.51.100.1", "note": "198.51.100.1"})
    assert world.ips() == ["198.51.100.1"]
    await world.advance(20)
    assert world.ips() == ["198.51.100.1"]


class TestCap:
    async def test_early_and_scheduled_keep_to_it_together(self, world: World, kit: Any) -> None:
        await world.put(kit.ip_rule())
        await world.advance(1)
        for part in range(4):
            await world.ingest(*({"source_ip": f"198.51.{part}.{n}"} for n in range(50)))
        assert len(world.alerts) == 149
        await world.advance(10)
        assert len(world.alerts) == 150
        summary = world.alerts[-1]["alert"]["properties"]["additionalData"]
        assert summary["Search Query Results Overall Count"] == "200"
        assert len(world.alerts[-1]["entities"]) == 200
        await world.advance(10)
        assert len(world.alerts) == 150

    async def test_exactly_as_many_as_fit_have_one_each(self, world: World, kit: Any) -> None:
        await world.put(kit.ip_rule())
        await world.advance(1)
        await world.ingest(*({"source_ip": f"198.51.0.{n}"} for n in range(150)))
        assert len(world.alerts) == 149
        await world.advance(10)
        assert sorted(world.ips()) == sorted(f"198.51.0.{n}" for n in range(150))

    async def test_every_window_has_its_own(self, world: World, kit: Any) -> None:
        await world.put(kit.ip_rule())
        await world.advance(1)
        await world.ingest(*({"source_ip": f"198.51.0.{n}"} for n in range(200)))
        await world.advance(5)
        await world.ingest(*({"source_ip": f"198.51.1.{n}"} for n in range(20)))
        await world.advance(20)
        assert len(world.alerts) == 170

    async def test_without_early_firing_it_is_the_same(self, make_world: Callable[..., World], kit: Any) -> None:
        world = make_world(early_firing=False)
        await world.open()
        await world.put(kit.ip_rule())
        await world.ingest(*({"source_ip": f"198.51.0.{n}"} for n in range(200)))
        await world.advance(10)
        assert len(world.alerts) == 150
        await world.close()


class TestChanges:
    async def test_a_changed_rule_does_not_raise_again_what_it_raised(self, world: World, kit: Any) -> None:
        stored = await world.put(kit.ip_rule())
        await world.ingest({"source_ip": "198.51.100.1"})
        await world.put(kit.ip_rule(severity="High", query=f"{kit.TABLE} | where true"), existing=stored)
        await world.advance(20)
        assert world.ips() == ["198.51.100.1"]
        await world.ingest({"source_ip": "198.51.100.2"})
        assert world.alerts[-1]["alert"]["properties"]["severity"] == "High"

    async def test_a_rule_made_anew_under_the_same_name_starts_anew(self, world: World, kit: Any) -> None:
        await world.put(kit.ip_rule())
        await world.ingest({"source_ip": "198.51.100.1"})
        await world.delete()
        await world.ingest({"source_ip": "198.51.100.2"})
        assert world.ips() == ["198.51.100.1"]
        await world.put(kit.ip_rule())
        await world.advance(20)
        assert sorted(world.ips()) == ["198.51.100.1", "198.51.100.1", "198.51.100.2"]

    async def test_a_rule_that_was_off_does_not_catch_up(self, world: World, kit: Any) -> None:
        await world.put(kit.ip_rule())
        await world.put(kit.ip_rule(enabled=False))
        await world.ingest({"source_ip": "198.51.100.1"})
        await world.advance(60)
        await world.put(kit.ip_rule())
        await world.advance(20)
        assert world.ips() == []
        assert world.analytics.missed(kit.rule_id()) == 0

    async def test_a_new_column_of_the_table_stops_nothing(self, world: World, kit: Any) -> None:
        from lurewire.kql import Column, KqlType

        await world.put(kit.ip_rule())
        table = world.workspace.tables.table(kit.TABLE)
        assert table is not None
        old = [c for c in table.columns if c.name not in ("TenantId", "Type")]
        await world.workspace.create_table(kit.TABLE, [*old, Column("fresh", KqlType.STRING)])
        await world.ingest({"source_ip": "198.51.100.1", "fresh": "x"})
        assert world.ips() == ["198.51.100.1"]


async def test_rows_of_alerts_fire_no_rule_early_so_that_no_rule_chases_its_tail(world: World, kit: Any) -> None:
    await world.put(kit.ip_rule())
    await world.put(kit.scheduled(query="SecurityAlert"), "tail")
    await world.put(kit.nrt(query="SecurityAlert"), "nrt-tail")
    await world.ingest({"source_ip": "198.51.100.1"})
    await world.workspace.until_loaded(await world.workspace.append("SecurityAlert", [{"AlertName": "x"}], "x"))
    await world.settled()
    assert len(world.alerts) == 1
    await world.advance(1)
    assert len(world.alerts) <= 3
