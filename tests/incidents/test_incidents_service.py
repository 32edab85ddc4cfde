from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lurewire.core.errors import Forbidden
from lurewire.incidents.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.incidents.conftest import World


def _principal(world: World, token: str = "Bearer r") -> Any:
    return world.doorman.principals[token]


async def test_an_alert_opens_one_incident_with_its_fields(world: World) -> None:
    message = await world.raise_alert()
    incident = world.only()
    properties = incident["properties"]
    assert properties["title"] == "New threat from 198.51.100.7"
    assert (properties["severity"], properties["status"], properties["incidentNumber"]) == ("Medium", "New", 1)
    assert properties["relatedAnalyticRuleIds"] == [message["rule"]["id"]]
    assert properties["additionalData"] == {
        "alertsCount": 1,
        "bookmarksCount": 0,
        "commentsCount": 0,
        "alertProductNames": ["Azure Sentinel"],
        "tactics": ["Discovery"],
        "techniques": ["T1110"],
    }
    assert properties["firstActivityTimeUtc"] == "2026-11-22T01:00:00.0000000Z"
    assert incident["id"].endswith(f"/providers/Microsoft.SecurityInsights/Incidents/{incident['name']}")
    assert properties["incidentUrl"] == f"https://localhost:8443/portal/incidents/{incident['name']}"


async def test_the_same_alert_again_changes_nothing(world: World) -> None:
    message = await world.raise_alert()
    await world.db.write(lambda conn: world.outbox.put(conn, "alert.raised", "delivered again", message))
    await world.outbox.drained()
    assert world.only()["properties"]["additionalData"]["alertsCount"] == 1
    assert len(await world.logged()) == 1


async def test_an_alert_whose_rule_creates_no_incidents_opens_none(world: World) -> None:
    await world.raise_alert(createIncident=False)
    assert world.all() == []


async def test_numbers_rise_and_are_never_given_again(world: World) -> None:
    for _ in range(3):
        await world.raise_alert()
    last = world.all()[-1]
    assert [i["properties"]["incidentNumber"] for i in world.all()] == [1, 2, 3]
    scope = last["id"].partition("/providers/Microsoft.SecurityInsights")[0]
    assert await world.incidents.delete(scope, last["name"])
    await world.raise_alert()
    assert [i["properties"]["incidentNumber"] for i in world.all()] == [1, 2, 4]


class TestGrouping:
    @staticmethod
    def group(key: str = "g", *, lookback: int = 3600, reopen: bool = False) -> dict[str, Any]:
        return {"key": key, "lookbackSeconds": lookback, "reopenClosed": reopen}

    async def test_alerts_of_one_group_share_an_incident(self, world: World) -> None:
        await world.raise_alert(grouping=self.group())
        await world.raise_alert(
            grouping=self.group(),
            properties={"tactics": ["Impact"], "endTimeUtc": "2026-11-22T02:00:00.0000000Z"},
        )
        await world.raise_alert(grouping=self.group("other"))
        first, _ = world.all()
        assert first["properties"]["additionalData"]["alertsCount"] == 2
        assert first["properties"]["additionalData"]["tactics"] == ["Discovery", "Impact"]
        assert first["properties"]["lastActivityTimeUtc"] == "2026-11-22T02:00:00.0000000Z"

    async def test_the_time_frame_counts_from_the_first_alert(self, world: World) -> None:
        await world.raise_alert(grouping=self.group())
        world.clock.advance(2000)
        await world.raise_alert(grouping=self.group())
        world.clock.advance(2000)
        await world.raise_alert(grouping=self.group())
        assert [i["properties"]["additionalData"]["alertsCount"] for i in world.all()] == [2, 1]

    async def test_an_incident_that_is_full_opens_another(self, world: World) -> None:
        for _ in range(151):
            await world.raise_alert(grouping=self.group())
        assert [i["properties"]["additionalData"]["alertsCount"] for i in world.all()] == [150, 1]

    @pytest.mark.parametrize(("reopen", "counts"), [(False, [1, 1]), (True, [2])])
    async def test_a_closed_incident_is_reopened_only_where_the_rule_says_so(
        self, world: World, reopen: bool, counts: list[int]
    ) -> None:
        await world.raise_alert(grouping=self.group(reopen=reopen))
        await world.incidents.update(
            _principal(world), world.only()["id"], status="Closed", classification="Undetermined", key="k"
        )
        await world.raise_alert(grouping=self.group(reopen=reopen))
        assert [i["properties"]["additionalData"]["alertsCount"] for i in world.all()] == counts
        assert world.all()[-1]["properties"]["status"] == ("Active" if reopen else "New")


class TestForPlaybooks:
    async def test_a_comment_is_stored_as_sent_once_for_its_id(self, world: World) -> None:
        await world.raise_alert()
        incident_id, text = world.only()["id"], "<script>alert('x')</script>\x1b]0;owned\x07"
        for _ in range(2):
            comment = await world.incidents.add_comment(_principal(world), incident_id, text, comment_id="c-1")
        assert comment["properties"]["message"] == text
        assert comment["properties"]["author"]["name"] == "Enrich"
        seen = await world.incidents.get(_principal(world), incident_id)
        assert [c["name"] for c in seen["properties"]["comments"]] == ["c-1"]
        assert [e["properties"]["address"] for e in seen["properties"]["relatedEntities"]] == ["198.51.100.7"]
        assert len(seen["properties"]["alerts"]) == 1

    async def test_the_incident_of_an_alert(self, world: World) -> None:
        first, second = await world.raise_alert(), await world.raise_alert()
        customer = world.workspaces.all()[0][1].customer_id
        for raised, incident in zip((first, second), world.all(), strict=True):
            found = await world.incidents.get_of_alert(_principal(world), customer.upper(), raised["id"].upper())
            assert found == await world.incidents.get(_principal(world), incident["id"])
        with pytest.raises(NotFound, match="has the alert 'none'"):
            await world.incidents.get_of_alert(_principal(world), customer, "none")
        with pytest.raises(NotFound, match="workspace 'none'"):
            await world.incidents.get_of_alert(_principal(world), "none", first["id"])
        world.doorman.allowed = set()
        with pytest.raises(Forbidden, match="incidents/read"):
            await world.incidents.get_of_alert(_principal(world), customer, "none")

    @pytest.mark.parametrize("length", [0, 30_001])
    async def test_a_comment_that_does_not_fit_is_refused(self, world: World, length: int) -> None:
        await world.raise_alert()
        with pytest.raises(BadRequest, match="30000"):
            await world.incidents.add_comment(_principal(world), world.only()["id"], "x" * length, comment_id="c")
        assert world.only()["properties"]["additionalData"]["commentsCount"] == 0

    async def test_one_comment_too_many_is_refused(self, world: World) -> None:
        await world.raise_alert()
        incident_id = world.only()["id"]
        for n in range(100):
            await world.incidents.add_comment(_principal(world), incident_id, "x" * 30_000, comment_id=str(n))
        with pytest.raises(BadRequest, match="100 comments"):
            await world.incidents.add_comment(_principal(world), incident_id, "x", comment_id="one more")
        await world.incidents.add_comment(_principal(world), incident_id, "x", comment_id="5")  # a repeat is none more
        assert world.only()["properties"]["additionalData"]["commentsCount"] == 100

    async def test_an_update_is_made_once_for_its_key(self, world: World) -> None:
        await world.raise_alert()
        incident_id = world.only()["id"]
        changes: dict[str, Any] = {"severity": "High", "status": "active", "add_labels": ["a", "b", "a"]}
        first = await world.incidents.update(_principal(world), incident_id, **changes, key="run:1")
        again = await world.incidents.update(_principal(world), incident_id, **changes, key="run:1")
        assert first == again
        assert (first["properties"]["severity"], first["properties"]["status"]) == ("High", "Active")
        assert first["properties"]["labels"] == [
            {"labelName": "a", "labelType": "User"},
            {"labelName": "b", "labelType": "User"},
        ]
        third = await world.incidents.update(_principal(world), incident_id, remove_labels=["a"], key="run:2")
        assert [label["labelName"] for label in third["properties"]["labels"]] == ["b"]

    async def test_owner_is_assigned_and_unassigned(self, world: World) -> None:
        await world.raise_alert()
        incident_id, robot = world.only()["id"], _principal(world)
        guid = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
        seen = await world.incidents.update(robot, incident_id, owner=guid, key="1")
        assert seen["properties"]["owner"]["objectId"] == guid
        seen = await world.incidents.update(robot, incident_id, owner="ann@example.org", key="2")
        assert seen["properties"]["owner"]["userPrincipalName"] == "ann@example.org"
        seen = await world.incidents.update(robot, incident_id, unassign=True, key="3")
        assert set(seen["properties"]["owner"].values()) == {None}

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"severity": "Awful"}, "severity"),
            ({"status": "Closed"}, "classification"),
            ({"title": " "}, "title"),
            ({"description": "x" * 5001}, "description"),
        ],
    )
    async def test_a_value_that_does_not_fit_is_refused_and_nothing_changes(
        self, world: World, changes: dict[str, Any], named: str
    ) -> None:
        await world.raise_alert()
        before = world.only()
        with pytest.raises(BadRequest, match=named):
            await world.incidents.update(_principal(world), before["id"], **changes, key="k")
        assert world.only() == before
        await world.incidents.update(_principal(world), before["id"], severity="Low", key="k")
        assert world.only()["properties"]["severity"] == "Low"

    async def test_each_operation_needs_its_role(self, world: World) -> None:
        await world.raise_alert()
        incident_id, robot = world.only()["id"], _principal(world)
        world.doorman.allowed = {("oid-2", "Microsoft.SecurityInsights/incidents/read")}
        await world.incidents.get(robot, incident_id)
        with pytest.raises(Forbidden, match="incidents/comments/write"):
            await world.incidents.add_comment(robot, incident_id, "x", comment_id="c")
        with pytest.raises(Forbidden, match="incidents/write"):
            await world.incidents.update(robot, incident_id, severity="High", key="k")

    async def test_an_id_that_is_none_or_names_nothing_is_refused(self, world: World) -> None:
        await world.raise_alert()
        known = world.only()["id"]
        with pytest.raises(BadRequest, match="incidentArmId"):
            await world.incidents.get(_principal(world), "not an id")
        with pytest.raises(BadRequest, match="incidentArmId"):
            await world.incidents.get(_principal(world), known.replace("Incidents", "alertRules"))
        with pytest.raises(NotFound):
            await world.incidents.get(_principal(world), known[:-1] + "!")
        assert (await world.incidents.get(_principal(world), known.upper()))["id"] == known


async def test_every_change_is_a_row_of_security_incident(world: World) -> None:
    message = await world.raise_alert()
    incident_id = world.only()["id"]
    world.clock.advance(1)
    await world.incidents.add_comment(_principal(world), incident_id, "seen", comment_id="c")
    world.clock.advance(1)
    await world.incidents.update(_principal(world), incident_id, severity="High", add_labels=["x"], key="k")
    rows = await world.logged()
    assert [(r["Severity"], len(r["Comments"]), len(r["Labels"])) for r in rows] == [
        ("Medium", 0, 0),
        ("Medium", 1, 0),
        ("High", 1, 1),
    ]
    assert rows[0]["RelatedAnalyticRuleIds"] == ["rule-1"]
    assert rows[0]["AlertIds"] == [message["id"]]
    assert rows[0]["Owner"]["objectId"] is None
    assert rows[2]["ModifiedBy"] == "Playbook - Enrich"
    assert {row["TenantId"] for row in rows} == {"c0ffee00-0000-0000-0000-000000000001"}


async def test_the_logged_comments_are_the_newest_that_fit_a_field(world: World) -> None:
    await world.raise_alert()
    for n in range(4):
        await world.incidents.add_comment(_principal(world), world.only()["id"], f"{n}" * 29_000, comment_id=str(n))
    last = max(await world.logged(), key=lambda row: row["AdditionalData"]["commentsCount"])
    assert [c["message"][0] for c in last["Comments"]] == ["2", "3"]


async def test_a_kill_between_commit_and_outbox_loses_and_doubles_nothing(
    make_world: Callable[[], World], kit: Any
) -> None:
    """The alert is committed with its message; the process that would have handled it is gone."""
    first = make_world()
    first.db.open()
    message = kit.alert()
    await first.db.write(lambda conn: first.outbox.put(conn, "alert.raised", message["id"], message))
    first.db.close()
    for _ in range(2):
        world = make_world()
        await world.open()
        await world.outbox.drained()
        assert world.only()["properties"]["additionalData"]["alertsCount"] == 1
        await world.close()
