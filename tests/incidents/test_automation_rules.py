from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurewire.core.resources import Change, ResourceId
from lurewire.incidents.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.incidents.conftest import World


async def test_a_playbook_is_started_with_the_trigger_body(world: World, kit: Any) -> None:
    await world.add_rule()
    await world.raise_alert()
    (start,) = world.started
    incident = world.only()
    assert start["workflow"] == kit.PLAYBOOK
    assert start["trigger"] == "incident"
    assert start["incident"] == incident["id"]
    body = start["body"]
    assert body["objectSchemaType"] == "Incident"
    assert body["objectEventType"] == "Create"
    assert body["workspaceInfo"] == {
        "SubscriptionId": "s1",
        "ResourceGroupName": "lurewire",
        "WorkspaceName": "lurewire",
    }
    assert body["workspaceId"] == "c0ffee00-0000-0000-0000-000000000001"
    assert body["object"]["id"] == incident["id"]
    assert body["object"]["properties"]["relatedEntities"][0]["kind"] == "Ip"
    assert body["object"]["properties"]["alerts"][0]["kind"] == "SecurityAlert"
    assert body["object"]["properties"]["incidentNumber"] == 1


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        (("IncidentSeverity", "Equals", "medium"), True),
        (("IncidentSeverity", "NotEquals", "Medium"), False),
        (("IncidentTitle", "Contains", "THREAT"), True),
        (("IncidentTitle", "StartsWith", "threat"), False),
        (("IncidentTitle", "NotEndsWith", "nothing", "198.51.100.7"), False),
        (("IncidentTactics", "Contains", "Impact", "Discovery"), True),
        (("IPAddress", "StartsWith", "198.51.100."), True),
        (("DNSDomainName", "Contains", "x"), False),
        (("DNSDomainName", "NotContains", "x"), True),
        (("IncidentCustomDetailsKey", "Equals", "threat_uuid"), True),
        (("IncidentCustomDetailsValue", "Contains", "U1"), True),
        (("AlertProductNames", "Contains", "Sentinel"), True),
        (("IncidentProviderName", "Equals", "Azure Sentinel"), True),
        (("IncidentRelatedAnalyticRuleIds", "Contains", "RULE"), True),
        (("IncidentRelatedAnalyticRuleIds", "Contains", "/other"), False),
    ],
)
async def test_conditions(world: World, kit: Any, condition: tuple[str, ...], fits: bool) -> None:
    values = [kit.RULE if v == "RULE" else v for v in condition[2:]]
    await world.add_rule(logic={"conditions": [kit.condition(*condition[:2], *values)]})
    await world.raise_alert()
    assert len(world.started) == fits


async def test_conditions_all_hold_and_groups_are_alternatives(world: World, kit: Any) -> None:
    high, discovery = (
        kit.condition("IncidentSeverity", "Equals", "High"),
        kit.condition("IncidentTactics", "Contains", "Disc"),
    )
    either = {
        "conditionType": "Boolean",
        "conditionProperties": {"operator": "Or", "innerConditions": [high, discovery]},
    }
    both = {"conditionType": "Boolean", "conditionProperties": {"operator": "And", "innerConditions": [high, either]}}
    await world.add_rule("one", logic={"conditions": [either]})
    await world.add_rule("two", logic={"conditions": [both]})
    await world.add_rule("three", logic={"conditions": [either, high]})
    await world.raise_alert()
    assert len(world.started) == 1


async def test_later_rules_see_what_earlier_ones_did(world: World, kit: Any) -> None:
    is_high = kit.condition("IncidentSeverity", "Equals", "High")
    await world.add_rule(
        "second", order=2, logic={"conditions": [is_high]}, actions=[kit.modify(labels=[{"labelName": "urgent"}])]
    )
    await world.add_rule("first", order=1, actions=[kit.modify(severity="High", owner={})])
    await world.raise_alert()
    properties = world.only()["properties"]
    assert properties["severity"] == "High"
    assert [label["labelName"] for label in properties["labels"]] == ["urgent"]
    assert any(row["ModifiedBy"] == "Automation rule - auto" for row in await world.logged())


async def test_tasks_are_added_in_the_order_of_actions(world: World, kit: Any) -> None:
    tasks = [
        {"order": 3 - n, "actionType": "AddIncidentTask", "actionConfiguration": {"title": f"t{n}", "description": "d"}}
        for n in range(3)
    ]
    await world.add_rule(actions=tasks)
    await world.raise_alert()
    scope = kit.WORKSPACE
    found = world.incidents.tasks(scope, world.only()["name"])
    assert sorted(t["properties"]["title"] for t in found) == ["t0", "t1", "t2"]
    assert all(t["properties"]["createdBy"]["name"] == "Automation rule - auto" for t in found)


@pytest.mark.parametrize("logic", [{"isEnabled": False}, {"expirationTimeUtc": "2026-11-22T01:05:59Z"}])
async def test_a_rule_that_is_off_or_expired_does_not_run(world: World, logic: dict[str, Any]) -> None:
    await world.add_rule(logic=logic)
    await world.raise_alert()
    assert world.started == []


async def test_a_deleted_rule_does_not_run(world: World, kit: Any) -> None:
    await world.add_rule("gone")
    await world.incidents.automation_rules.deleted(ResourceId.parse(f"{kit.INSIGHTS}/automationRules/gone"))
    await world.raise_alert()
    assert world.started == []


async def test_an_event_is_answered_once(world: World) -> None:
    await world.add_rule()
    await world.raise_alert()
    payload = {"workspace": world.only()["id"].partition("/providers/Microsoft.Sec")[0].lower(), "incident": world.only()["name"], "event": "Created"}  # fmt: skip
    for row in world.db.read(lambda c: c.exec_driver_sql("select id from incidents_automation").scalars().all()):
        from lurewire.core.outbox import Message

        await world.incidents._automation.answer(Message(0, "automation.incident", row, payload, 1))
    await world.outbox.drained()
    assert len(world.started) == 1


class TestWaitingForPlaybooks:
    async def begin(self, world: World, kit: Any) -> str:
        await world.add_rule("a", order=1, actions=[kit.run_playbook(1), kit.modify(2, severity="Low")])
        await world.add_rule("b", order=2, actions=[kit.modify(status="Active")])
        await world.raise_alert()
        assert world.only()["properties"]["severity"] == "Medium"
        return str(world.keys[0])

    async def test_the_next_action_runs_when_the_playbook_ends(self, world: World, kit: Any) -> None:
        key = await self.begin(world, kit)
        await world.db.write(lambda conn: world.outbox.put(conn, "playbook.finished", key, {"key": key}))
        await world.outbox.drained()
        assert world.only()["properties"]["severity"] == "Low"
        assert world.only()["properties"]["status"] == "Active"
        assert len(world.started) == 1

    async def test_or_after_two_minutes(self, world: World, kit: Any) -> None:
        await self.begin(world, kit)
        await asyncio.sleep(0.05)
        world.clock.advance(119)
        await asyncio.sleep(0.05)
        assert world.only()["properties"]["severity"] == "Medium"
        world.clock.advance(1)
        for _ in range(100):
            await asyncio.sleep(0.01)
            if world.only()["properties"]["severity"] == "Low":
                break
        assert world.only()["properties"]["severity"] == "Low"

    async def test_also_across_a_restart(self, world: World, kit: Any, make_world: Callable[[], World]) -> None:
        await self.begin(world, kit)
        await world.close()
        later = make_world()
        later.clock.advance(300)
        await later.open()
        for _ in range(100):
            await asyncio.sleep(0.01)
            if later.only()["properties"]["severity"] == "Low":
                break
        assert later.only()["properties"]["severity"] == "Low"
        await later.close()
        world.db.open()


class TestPut:
    async def put(self, world: World, kit: Any, properties: Any, **more: Any) -> dict[str, Any]:
        change = Change(
            ResourceId.parse(f"{kit.INSIGHTS}/automationRules/r"),
            {"properties": properties, **more.get("body", {})},
            more.get("existing"),
            kit.ANALYST,
        )
        return await world.incidents.automation_rules.prepare(change)

    async def test_what_is_stored_is_what_was_sent_and_who_and_when(self, world: World, kit: Any) -> None:
        sent = kit.automation_rule(logic={"expirationTimeUtc": None})
        body = await self.put(world, kit, sent)
        assert body["properties"]["createdBy"]["objectId"] == "oid-1"
        assert body["properties"]["createdTimeUtc"] == "2026-11-22T01:06:00.0000000Z"
        assert body["properties"]["actions"] == sent["actions"]
        world.clock.advance(60)
        again = await self.put(world, kit, body["properties"], existing=body)
        assert again["properties"]["createdTimeUtc"] == "2026-11-22T01:06:00.0000000Z"
        assert again["properties"]["lastModifiedTimeUtc"] == "2026-11-22T01:07:00.0000000Z"

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"displayName": ""}, "displayName"),
            ({"order": "1"}, "properties.order"),
            ({"logic": {"triggersOn": "Alerts"}}, "triggersOn"),
            ({"logic": {"triggersWhen": "Updated"}}, "triggersWhen"),
            ({"logic": {"expirationTimeUtc": "tomorrow"}}, "expirationTimeUtc"),
            ({"logic": {"conditions": [{"conditionType": "PropertyChanged"}]}}, "PropertyChanged"),
            ({"actions": []}, "actions"),
            ({"actions": [{"order": 1, "actionType": "Explode", "actionConfiguration": {}}]}, "Explode"),
            ({"surprise": 1}, "surprise"),
        ],
    )
    async def test_what_does_not_fit_is_refused_by_name(
        self, world: World, kit: Any, changes: dict[str, Any], named: str
    ) -> None:
        with pytest.raises(BadRequest, match=named):
            await self.put(world, kit, kit.automation_rule(**changes))

    async def test_conditions_and_actions_are_checked_and_counted(self, world: World, kit: Any) -> None:
        one = kit.condition("IncidentTitle", "Equals", "x")
        for logic, named in (
            ({"conditions": [kit.condition("IncidentOwner", "Equals", "x")]}, "IncidentOwner"),
            ({"conditions": [kit.condition("IncidentTitle", "Resembles", "x")]}, "Resembles"),
            ({"conditions": [one] * 51}, "51 conditions"),
        ):
            with pytest.raises(BadRequest, match=named):
                await self.put(world, kit, kit.automation_rule(logic=logic))
        for actions, named in (
            ([kit.run_playbook()] * 21, "21 actions"),
            ([kit.modify(status="Closed")], "classification"),
            ([{**kit.run_playbook(), "actionConfiguration": {"logicAppResourceId": "x"}}], "logicAppResourceId"),
            (
                [{**kit.run_playbook(), "actionConfiguration": {"logicAppResourceId": kit.RULE}}],
                "Microsoft.Logic/workflows",
            ),
        ):
            with pytest.raises(BadRequest, match=named):
                await self.put(world, kit, kit.automation_rule(actions=actions))

    async def test_the_number_of_rules_is_bounded(self, world: World, kit: Any) -> None:
        for n in range(512):
            await world.add_rule(f"r{n}")
        with pytest.raises(BadRequest, match="512"):
            await self.put(world, kit, kit.automation_rule())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["displayName", "order", "triggeringLogic", "actions", "conditions", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_any_body_is_accepted_or_refused(properties: Any) -> None:
    from datetime import UTC, datetime

    from lurewire.core.limits import Limits
    from lurewire.incidents import LIMITS, rules

    rule_id = ResourceId.parse("/subscriptions/s/providers/Microsoft.SecurityInsights/automationRules/r")
    change = Change(rule_id, {"properties": properties}, None, None)
    with contextlib.suppress(BadRequest):
        rules.prepare(change, Limits(LIMITS), datetime(2026, 1, 1, tzinfo=UTC), 0)


async def test_an_action_that_fails_stops_no_other(world: World, kit: Any) -> None:
    task = {"order": 1, "actionType": "AddIncidentTask", "actionConfiguration": {"title": " "}}
    await world.add_rule(actions=[task, kit.modify(2, severity="High")])
    await world.raise_alert()
    assert world.only()["properties"]["severity"] == "High"
