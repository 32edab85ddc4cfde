"""Saved searches as ARM resources: functions that the workspace's queries call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lurewire.core.errors import WireError
from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from tests.ingestion.cloud import WORKSPACE, Cloud
else:
    from ingestion.cloud import WORKSPACE, Cloud

NAMED = {"category": "ASIM", "displayName": "A parser"}


def put(cloud: Cloud, name: str, **properties: Any) -> dict[str, Any]:
    body: dict[str, Any] = cloud.put(f"{WORKSPACE}/savedSearches/{name}", {"properties": NAMED | properties})
    return body


def delete(cloud: Cloud, name: str) -> None:
    assert cloud.run(cloud.store.delete(ResourceId.parse(f"{WORKSPACE}/savedSearches/{name}")))


def rows(cloud: Cloud, query: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = cloud.run(cloud.workspace().query(query)).values()
    return found


def refused(cloud: Cloud, name: str, **properties: Any) -> str:
    with pytest.raises(WireError) as caught:
        put(cloud, name, **properties)
    assert (caught.value.status, caught.value.code) == (400, "InvalidParameter")
    return caught.value.message


@pytest.fixture(scope="module")
def filled(cloud: Cloud) -> Cloud:
    async def fill() -> None:
        workspace = cloud.workspace()
        await workspace.until_loaded(
            await workspace.append("Heartbeat", [{"Computer": "a"}, {"Computer": "b"}], key="k")
        )

    cloud.run(fill())
    return cloud


def test_a_function_lives_as_long_as_its_resource(filled: Cloud) -> None:
    body = put(
        filled,
        "one",
        query="Heartbeat | where Computer == name",
        functionAlias="imHost",
        functionParameters="name: string = 'a'",
    )
    assert body["properties"]["version"] == 2
    assert rows(filled, "imHost | project Computer") == [("a",)]
    put(
        filled,
        "one",
        query="Heartbeat | where Computer != name",
        functionAlias="imHost",
        functionParameters="name: string",
    )
    assert rows(filled, "imHost('a') | project Computer") == [("b",)]
    put(filled, "one", query="Heartbeat", functionAlias="imHosts")
    assert rows(filled, "imHosts | count") == [(2,)]
    with pytest.raises(Exception, match="imHost"):
        rows(filled, "imHost | count")
    delete(filled, "one")
    with pytest.raises(Exception, match="imHosts"):
        rows(filled, "imHosts | count")


def test_names_of_properties_count_without_case_as_published_templates_write_them(filled: Cloud) -> None:
    body = put(filled, "two", query="Heartbeat", FunctionAlias="vimTwo", FunctionParameters="x: long = 1", etag="*")
    assert body["properties"]["functionAlias"] == "vimTwo"
    assert "etag" not in body["properties"]
    assert rows(filled, "union isfuzzy=true vimTwo(x=2), vimThree(1) | count") == [(2,)]
    delete(filled, "two")


def test_a_saved_search_without_an_alias_is_kept_and_no_function(filled: Cloud) -> None:
    put(filled, "kept", query="not a query at all |")
    assert filled.store.get(ResourceId.parse(f"{WORKSPACE}/savedSearches/kept")) is not None
    delete(filled, "kept")


def test_saved_searches_that_are_refused(filled: Cloud) -> None:
    assert "properties.query is required" in refused(filled, "bad")
    assert "displayName is required" in refused(filled, "bad", displayName="", query="Heartbeat")
    assert "functionAlias 'a b'" in refused(filled, "bad", query="Heartbeat", functionAlias="a b")
    assert "line 1, column 13" in refused(filled, "bad", query="Heartbeat | wher x", functionAlias="F")
    assert "its parameters" in refused(filled, "bad", query="Heartbeat", functionAlias="F", functionParameters="a")
    assert "a table named 'SecurityEvent'" in refused(filled, "bad", query="Heartbeat", functionAlias="SecurityEvent")
    put(filled, "first", query="Heartbeat", functionAlias="F")
    assert "a function named 'F' already" in refused(filled, "second", query="Heartbeat", functionAlias="F")
    delete(filled, "first")
    put(filled, "second", query="Heartbeat", functionAlias="F")
    delete(filled, "second")


def test_the_workspace_answers_to_its_own_name(filled: Cloud) -> None:
    name = ResourceId.parse(WORKSPACE).name
    assert rows(filled, f"workspace('{name}').Heartbeat | count") == [(2,)]
    assert rows(filled, f"workspace('{WORKSPACE}').Heartbeat | count") == [(2,)]
    assert rows(filled, f"workspace('{filled.workspace().customer_id}').Heartbeat | count") == [(2,)]
