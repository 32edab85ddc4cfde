"""What queries find in a workspace beside tables: hidden columns, itself by name, functions, watchlists, external data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.kql import Column, KqlError, KqlType, SavedFunction, ticks_from_datetime
from lurewire.workspace import Places, SchemaConflict, Workspace

from .conftest import CUSTOMER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lurewire.core.clock import ManualClock

RECEIVED = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def rows(workspace: Workspace, query: str, **options: Any) -> list[tuple[Any, ...]]:
    return (await workspace.query(query, **options)).values()


async def refusal(workspace: Workspace, query: str) -> str:
    with pytest.raises(KqlError) as caught:
        await workspace.query(query)
    return caught.value.errors[0].message


@pytest.fixture
async def filled(workspace: Workspace, clock: ManualClock) -> Workspace:
    for number, name in enumerate(("a", "b")):
        late = RECEIVED - timedelta(hours=1)
        row = {"TimeGenerated": late, "Computer": name, "_ResourceId": "/subscriptions/AB-1/resourceGroups/g"}
        await workspace.until_loaded(await workspace.append("Heartbeat", [row], key=name))
        clock.advance(60 if number == 0 else 0)
    await workspace.until_loaded(await workspace.append("Syslog", [{"Computer": "c"}], key="c"))
    return workspace


async def test_time_of_receipt_is_not_the_time_of_the_record(filled: Workspace) -> None:
    query = """
    Heartbeat | where ingestion_time() <= datetime(2026-11-22T12:00:30Z)
    | project Computer, seconds = (_TimeReceived - TimeGenerated) / 1s, same = _TimeReceived == ingestion_time()
    """
    assert await rows(filled, query) == [("a", 3600.0, True)]


async def test_time_of_receipt_goes_through_unions_lets_and_functions(filled: Workspace) -> None:
    query = """
    let Both = union Heartbeat, Syslog;
    let late = (T: (Computer: string)) { T | where ingestion_time() > datetime(2026-11-22T12:00:30Z) };
    Both | invoke late() | extend at = ingestion_time() | project at, Computer | sort by Computer asc
    | project Computer, at == datetime(2026-11-22T12:01:00Z)
    """
    assert await rows(filled, query) == [("b", True), ("c", True)]


async def test_a_row_of_many_has_no_time_of_receipt(filled: Workspace) -> None:
    query = "Heartbeat | summarize n = count() by Computer | extend at = ingestion_time() | where isnotnull(at)"
    assert await rows(filled, query) == []


async def test_standard_columns_by_name_only(filled: Workspace) -> None:
    hidden = ("_TimeReceived", "_ItemId", "_SubscriptionId", "_BilledSize", "_IsBillable")
    shown = (await filled.query("Heartbeat | take 1")).columns
    assert not {column.name for column in shown} & set(hidden)
    query = """
    union Heartbeat, Syslog | where _SubscriptionId != "" or Type == "Syslog"
    | summarize items = dcount(_ItemId), least = min(_BilledSize) by Type, _IsBillable, _SubscriptionId, TenantId
    | project Type, _IsBillable, _SubscriptionId, items, least > 0, TenantId | sort by Type asc
    """
    assert await rows(filled, query) == [
        ("Heartbeat", "false", "AB-1", 2, True, CUSTOMER),
        ("Syslog", "true", "", 1, True, CUSTOMER),
    ]


async def test_a_record_s_size_is_that_of_its_columns_as_texts(workspace: Workspace) -> None:
    await workspace.until_loaded(await workspace.append("Heartbeat", [{"Computer": "é"}], key="k"))
    query = """
    Heartbeat | project size = toint(_BilledSize),
        known = string_size(tostring(TenantId)) + string_size(tostring(TimeGenerated)) + 2
    """
    assert [size == known for size, known in await rows(workspace, query)] == [True]


async def test_the_resource_is_shown_where_its_table_is_published_with_it(filled: Workspace) -> None:
    resource = "/subscriptions/AB-2/resourceGroups/g"
    row = {"UserPrincipalName": "u", "_ResourceId": resource}
    await filled.until_loaded(await filled.append("SigninLogs", [row], key="signin"))
    await filled.create_table("Own_CL", [Column("a", KqlType.STRING)])
    for table, shown in (("Heartbeat", True), ("SigninLogs", False), ("Own_CL", True)):
        names = [column.name for column in (await filled.query(table)).columns]
        assert ("_ResourceId" in names) is shown, table
    assert await rows(filled, "SigninLogs | project _ResourceId") == [(resource,)]
    assert await rows(filled, "SigninLogs | project _SubscriptionId") == [("AB-2",)]
    renamed = "SigninLogs | project-rename _ResourceId = UserPrincipalName | project _ResourceId"
    assert await rows(filled, renamed) == [("u",)]
    both = "union Heartbeat, SigninLogs | summarize count() by _ResourceId, Type | project Type, _ResourceId"
    assert sorted(await rows(filled, both)) == [
        ("Heartbeat", "/subscriptions/AB-1/resourceGroups/g"),
        ("SigninLogs", resource),
    ]


async def test_project_leaves_hidden_columns_behind(filled: Workspace) -> None:
    assert "_ItemId" in await refusal(filled, "Heartbeat | project Computer | where _ItemId != ''")
    assert len(await rows(filled, "Heartbeat | project-rename Id = _ItemId | distinct Id")) == 2


async def test_a_wildcard_stands_for_the_tables_that_exist(filled: Workspace) -> None:
    found = await rows(filled, "union withsource=Source * | summarize count() by Source | sort by Source asc")
    assert found == [("Heartbeat", 2), ("Syslog", 1)]
    assert await rows(filled, 'search "c" | project $table, Computer') == [("Syslog", "c")]
    found = await rows(
        filled, "find where Computer in ('a', 'c') project Computer, _ItemId | project source_, Computer"
    )
    assert sorted(found) == [("Heartbeat", "a"), ("Syslog", "c")]
    assert await rows(filled, "union SigninLog* | count") == [(0,)]


async def test_an_open_pivot_and_bag_unpack_take_their_columns_from_the_data(filled: Workspace) -> None:
    result = await filled.query("Heartbeat | evaluate pivot(Computer, count(), Type)")
    assert [column.name for column in result.columns] == ["Type", "a", "b"]
    bags = "Heartbeat | project d = bag_pack(Computer, 1) | evaluate bag_unpack(d)"
    assert {column.name for column in (await filled.query(bags)).columns} == {"a", "b"}
    await filled.until_loaded(await filled.append("Heartbeat", [{"Computer": "z"}], key="z"))
    assert {column.name for column in (await filled.query(bags)).columns} == {"a", "b", "z"}


async def test_what_is_explored_are_the_rows_of_the_window_and_the_commits(filled: Workspace) -> None:
    commit = await filled.append("Heartbeat", [{"Computer": "z"}], key="z")
    await filled.until_loaded(commit)
    bags = "Heartbeat | project d = bag_pack(Computer, 1) | evaluate bag_unpack(d)"

    async def names(**bounds: int) -> set[str]:
        whole = {"t_from": 0, "t_to": 2**62, "commit_after": -1, "commit_through": 2**62}
        result = await filled.explore(bags, filled.tables, whole | bounds)
        return {column.name for column in result.columns}

    assert await names() == {"a", "b", "z"}
    assert await names(commit_after=commit - 1) == {"z"}
    assert await names(commit_through=commit - 1) == {"a", "b"}
    assert await names(t_from=ticks_from_datetime(RECEIVED)) == {"z"}


async def test_the_window_bounds_what_is_explored(filled: Workspace) -> None:
    span = (RECEIVED - timedelta(hours=3), RECEIVED - timedelta(hours=2))
    result = await filled.query("Heartbeat | evaluate pivot(Computer, count(), Type)", timespan=span)
    assert [column.name for column in result.columns] == ["Type"]


async def test_this_workspace_by_its_names(filled: Workspace) -> None:
    filled.tables.own_names = frozenset((CUSTOMER, "lurewire"))
    query = f"union workspace('LUREWIRE').Syslog, workspace('{CUSTOMER}').Heartbeat | count"
    assert await rows(filled, query) == [(3,)]
    assert await rows(filled, "database('lurewire').Heartbeat | count") == [(2,)]
    assert "workspace('other')" in await refusal(filled, "workspace('other').Heartbeat | count")
    assert "'other'" in await refusal(filled, "union isfuzzy=true workspace('other').Heartbeat, Syslog")


async def test_saved_functions_are_called_with_and_without_parentheses(filled: Workspace) -> None:
    body = "let Own = Heartbeat; union isfuzzy=true Own, Missing_CL | where name == '*' or Computer == name"
    filled.tables.save_function("key", SavedFunction("imHosts", "name: string = '*'", body))
    assert await rows(filled, "imHosts | count") == [(2,)]
    assert await rows(filled, "imHosts() | count") == [(2,)]
    assert await rows(filled, "imHosts(name='b') | project Computer") == [("b",)]
    filled.tables.save_function("key", None)
    assert "imHosts" in await refusal(filled, "imHosts | count")


async def test_a_function_s_name_belongs_to_one_saved_search(filled: Workspace) -> None:
    filled.tables.save_function("first", SavedFunction("F", "", "Heartbeat"))
    with pytest.raises(SchemaConflict):
        filled.tables.save_function("second", SavedFunction("F", "", "Syslog"))
    with pytest.raises(SchemaConflict):
        filled.tables.save_function("third", SavedFunction("SecurityEvent", "", "Syslog"))
    assert await rows(filled, "F | count") == [(2,)]


async def test_watchlists(filled: Workspace) -> None:
    message = await refusal(filled, "_GetWatchlist('vip') | project SearchKey")
    assert message == "_GetWatchlist(): there is no watchlist with the alias 'vip'"
    await filled.create_table("Vip_CL", [])
    filled.tables.share_watchlist("vip", filled.tables.table("Syslog"))
    long_after = (RECEIVED + timedelta(days=9), RECEIVED + timedelta(days=10))
    assert await rows(filled, "_GetWatchlist('vip') | project Computer", timespan=long_after) == [("c",)]
    assert await rows(filled, "_GetWatchlistAlias") == [("vip",)]
    disabled = "_GetWatchlist('ASimDisabledParsers') | where SearchKey == 'Any' | project SourceSpecificParser"
    assert await rows(filled, disabled) == []


@pytest.fixture
async def outside(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Workspace]:
    folder = tmp_path / "external"
    folder.mkdir()
    (folder / "hosts.csv").write_text("name,risk\na,7\nb,\n")
    (tmp_path / "secret.csv").write_text("secret")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    pages = {"https://lists.example/iocs/a.txt?sig=1": b"10.0.0.1\n10.0.0.2\n"}

    def fetch(url: str) -> bytes:
        try:
            return pages[url]
        except KeyError:
            raise OSError("the answer was HTTP 404") from None

    def geo(address: str) -> dict[str, Any] | None:
        return {"country": "Norway", "latitude": 59.9} if address == "192.0.2.1" else None

    places = Places(folder, ("https://lists.example/iocs/",), fetch)
    made = Workspace(tmp_path / "outside", clock, customer_id=CUSTOMER, geo=geo, places=places)
    await made.start()
    yield made
    await made.stop()


async def test_external_data_of_allowed_places(outside: Workspace) -> None:
    query = 'externaldata(name: string, risk: long)["hosts.csv"] with (ignoreFirstRecord=true)'
    assert await rows(outside, query) == [("a", 7), ("b", None)]
    listed = 'let L = externaldata(ip: string)[h"https://lists.example/iocs/a.txt?sig=1"]; print x="10.0.0.2" | where x in (L)'
    assert await rows(outside, listed) == [("10.0.0.2",)]
    opened = f"{query} | project d = bag_pack(name, risk) | evaluate bag_unpack(d)"
    assert [column.name for column in (await outside.query(opened)).columns] == ["a", "b"]


async def test_external_data_is_read_anew_by_every_query(outside: Workspace, tmp_path: Path) -> None:
    query = 'externaldata(name: string)["hosts.csv"] | count'
    assert await rows(outside, query) == [(3,)]
    (tmp_path / "external" / "hosts.csv").write_text("name\n")
    assert await rows(outside, query) == [(1,)]


@pytest.mark.parametrize(
    "location",
    [
        "../secret.csv",
        "link.csv",
        "missing.csv",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://lists.example/iocs/a.txt",
        "https://lists.example/iocs/../secret?sig=TOKEN",
        "https://lists.example/iocs/%2e%2e/secret",
        "https://lists.example/iocsX/a.txt",
        "https://lists.example.evil/iocs/a.txt",
        "https://lists.example@evil/iocs/a.txt",
        "https://evil/https://lists.example/iocs/",
        "",
    ],
)
async def test_other_places_are_refused_by_name(outside: Workspace, location: str) -> None:
    message = await refusal(outside, f'externaldata(a: string)["{location}"]')
    assert "is not among the allowed places" in message
    assert "TOKEN" not in message


async def test_external_data_that_cannot_be_had_stops_the_query(outside: Workspace) -> None:
    message = await refusal(outside, 'externaldata(a: string)["https://lists.example/iocs/b.txt?sig=TOKEN"]')
    assert message == "externaldata: 'https://lists.example/iocs/b.txt' cannot be read: the answer was HTTP 404"


async def test_places_of_addresses(outside: Workspace, workspace: Workspace) -> None:
    query = 'print a = geo_info_from_ip_address("192.0.2.1"), b = geo_info_from_ip_address("192.0.2.2")'
    assert await rows(outside, query) == [('{"country":"Norway","latitude":59.9}', None)]
    assert "nothing is known here of the places of IP addresses" in await refusal(workspace, query)
