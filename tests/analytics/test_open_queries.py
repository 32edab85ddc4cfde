"""Rules whose columns depend on the rows, and rules that read what a workspace offers beside its tables."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.analytics.errors import BadRequest
from lurewire.kql import SavedFunction

if TYPE_CHECKING:
    from tests.analytics.conftest import World

UNPACKED = "TrapEye_Threats_CL | project d = parse_json(note), source_ip | evaluate bag_unpack(d)"


def names(bag: dict[str, Any], address: str = "10.0.0.1") -> dict[str, Any]:
    return {"note": json.dumps(bag), "source_ip": address}


async def test_columns_are_those_of_each_run_s_rows(world: World, kit: Any) -> None:
    await world.put(kit.ip_rule(query=UNPACKED, alertDetailsOverride={"alertDisplayNameFormat": "{{user}} {{host}}"}))
    await world.ingest(names({"user": "eve"}), at=world.clock.now())
    assert not world.alerts, "such a rule never fires early"
    await world.advance(10)
    await world.ingest(names({"user": "eve", "host": "h"}, "10.0.0.2"))
    await world.advance(10)
    assert world.names() == ["Threat", "eve h"], "a name that needs a column which is not there is the rule's own"
    assert world.ips() == ["10.0.0.1", "10.0.0.2"]


async def test_a_pivot_without_a_schema_raises_alerts(world: World, kit: Any) -> None:
    query = "TrapEye_Threats_CL | evaluate pivot(note, count(), source_ip) | where column_ifexists('bad', 0) > 1"
    await world.put(kit.ip_rule(query=query))
    row = {"note": "bad", "source_ip": "10.0.0.1"}
    await world.ingest(row, row, {"note": "good", "source_ip": "10.0.0.2"})
    await world.advance(10)
    assert world.ips() == ["10.0.0.1"]


async def test_a_name_that_the_rows_may_bring_is_looked_for_when_the_rule_runs(world: World, kit: Any) -> None:
    await world.put(kit.ip_rule(query=f"{UNPACKED} | where user == 'eve'"))
    (warning,) = world.analytics.warnings(kit.rule_id())
    assert "depend on the rows" in warning
    await world.ingest(names({"user": "eve"}), names({"user": "adam"}, "10.0.0.2"))
    await world.advance(10)
    assert world.ips() == ["10.0.0.1"]


async def test_an_nrt_rule_sees_the_new_rows_columns(world: World, kit: Any) -> None:
    mapping = {"entityType": "IP", "fieldMappings": [{"identifier": "Address", "columnName": "source_ip"}]}
    await world.put(kit.nrt(query=f"{UNPACKED} | where user == 'eve'", entityMappings=[mapping]))
    await world.ingest(names({"user": "eve"}))
    assert world.ips() == ["10.0.0.1"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        (f"{UNPACKED} | join Nowhere_CL on source_ip", "Nowhere_CL"),
        (f"{UNPACKED} | where nosuch(user)", "nosuch"),
        ("TrapEye_Threats_CL | where nope == 1", "nope"),
        ("TrapEye_Threats_CL | fork (count) (take 1)", "several results"),
        ("print 1; print 2", "several results"),
    ],
)
async def test_what_no_row_can_bring_is_refused_when_it_is_stored(
    world: World, kit: Any, query: str, named: str
) -> None:
    with pytest.raises(BadRequest, match=named):
        await world.put(kit.scheduled(query=query))


async def test_rules_read_saved_functions_and_watchlists(world: World, kit: Any) -> None:
    world.workspace.tables.save_function(
        "f", SavedFunction("Threats", "least: long", "TrapEye_Threats_CL | where score > least")
    )
    vips = str(uuid.uuid4())
    item = {"WatchlistId": vips, "_DTItemId": "1", "_DTItemType": "watchlist-item", "_DTItemStatus": "Create"}
    await world.workspace.watchlists.add([item | {"WatchlistItem": {"Ip": "10.0.0.1"}}])
    await world.workspace.watchlists.share("vips", vips, "Ip")
    query = "Threats(5) | where source_ip in ((_GetWatchlist('vips') | project Ip))"
    mapping = {"entityType": "IP", "fieldMappings": [{"identifier": "Address", "columnName": "source_ip"}]}
    await world.put(kit.nrt(query=query, entityMappings=[mapping]))
    await world.ingest({"source_ip": "10.0.0.1", "score": 3}, {"source_ip": "10.0.0.2", "score": 9})
    assert not world.alerts
    await world.ingest({"source_ip": "10.0.0.1", "score": 9})
    assert world.ips() == ["10.0.0.1"], "the watchlist is read whole, also where only new rows are looked at"
