"""ApiConnection with the Microsoft Sentinel connector."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from tests.playbooks.rig import CONNECTION, CONNECTIONS, OK, WORKFLOW, Rig, compose, connection, workflow

from lurewire.core.errors import WireError
from lurewire.core.resources import ResourceId
from lurewire.playbooks import Status

if TYPE_CHECKING:
    from tests.playbooks.rig import Done

IP = {"kind": "Ip", "id": "x", "properties": {"address": "1.2.3.4", "friendlyName": "1.2.3.4"}}
ACCOUNT = {"kind": "Account", "properties": {"accountName": "root", "upnSuffix": "corp.example"}}
HASH = {"kind": "FileHash", "properties": {"hashValue": "abc", "algorithm": "MD5"}}
ALERT_IP = {"$id": "3", "Address": "5.6.7.8", "Type": "ip", "Location": {"CountryCode": "NL"}}


async def entities(rig: Rig, path: str, body: Any) -> Done:
    return await rig.run({"E": connection("post", path, "@triggerBody()")}, body)


@pytest.mark.parametrize(
    ("path", "array", "found"),
    [
        (
            "/entities/ip",
            "IPs",
            [{"address": "1.2.3.4", "friendlyName": "1.2.3.4", "Type": "ip", "Address": "1.2.3.4"}, ALERT_IP],
        ),
        (
            "/entities/account",
            "Accounts",
            [
                {
                    "accountName": "root",
                    "upnSuffix": "corp.example",
                    "Type": "account",
                    "Name": "root",
                    "UPNSuffix": "corp.example",
                }
            ],
        ),
        (
            "/Entities/FileHash",
            "Filehashes",
            [{"hashValue": "abc", "algorithm": "MD5", "Type": "filehash", "Value": "abc", "Algorithm": "MD5"}],
        ),
        ("/entities/url", "URLs", []),
    ],
)
async def test_entities_of_a_kind(rig: Rig, path: str, array: str, found: list[Any]) -> None:
    given = [IP, ACCOUNT, HASH, ALERT_IP]
    done = await entities(rig, path, given)
    assert done["E"].outputs["body"] == {array: found}
    as_text = await rig.run({"E": connection("POST", path, "@triggerBody()")}, json.dumps(given), key="2")
    assert as_text["E"].outputs["body"] == {array: found}


@pytest.mark.parametrize("body", [None, [], "", "[]"])
async def test_no_entities_is_no_error(rig: Rig, body: Any) -> None:
    done = await entities(rig, "/entities/ip", body)
    assert done["E"].outputs == {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json; charset=utf-8"},
        "body": {"IPs": []},
    }


@pytest.mark.parametrize("body", ["{", "7", 7, [1], {"a": 1}])
async def test_what_is_no_list_of_entities_is_a_bad_request(rig: Rig, body: Any) -> None:
    done = await entities(rig, "/entities/ip", body)
    assert (done["E"].status, done["E"].code, done["E"].outputs["statusCode"]) == ("Failed", "BadRequest", 400)


async def test_update_takes_every_documented_property(rig: Rig) -> None:
    body = {
        "incidentArmId": "i",
        "severity": "Low",
        "status": "Closed",
        "classification": {
            "ClassificationAndReason": "BenignPositive - SuspiciousButExpected",
            "ClassificationReasonText": "known scanner",
        },
        "tagsToAdd": {"TagsToAdd": [{"Tag": "a"}, {"tag": "b"}]},
        "tagsToRemove": {"TagsToRemove": [{"Tag": "c"}]},
        "owner": "soc@example.com",
        "ownerAction": "Assign",
        "title": "t",
        "description": "d",
    }
    done = await rig.run({"U": connection("PUT", "/Incidents", body)})
    assert done["U"].outputs["body"] == {"id": "i"}
    (changes,) = rig.incident.updates.values()
    assert changes == {
        "severity": "Low",
        "status": "Closed",
        "classification": "BenignPositive",
        "classification_reason": "SuspiciousButExpected",
        "classification_comment": "known scanner",
        "add_labels": ("a", "b"),
        "remove_labels": ("c",),
        "owner": "soc@example.com",
        "title": "t",
        "description": "d",
    }
    assert list(rig.incident.updates) == [done["U"].tracking_id]


async def test_an_owner_is_taken_away(rig: Rig) -> None:
    body = {"incidentArmId": "i", "owner": "x", "ownerAction": "unassign", "classification": None, "severity": ""}
    await rig.run({"U": connection("PUT", "/Incidents", body)})
    assert list(rig.incident.updates.values()) == [{"unassign": True}]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"incidentArmId": 7},
        {"incidentArmId": "i", "tagsToAdd": "x"},
        {"incidentArmId": "i", "tagsToAdd": [{"Label": "x"}]},
        {"incidentArmId": "i", "ownerAction": "Steal"},
        {"incidentArmId": "i", "classification": "TruePositive"},
        {"incidentArmId": "i", "severity": 7},
    ],
)
async def test_an_update_that_does_not_fit_is_a_bad_request(rig: Rig, body: dict[str, Any]) -> None:
    done = await rig.run({"U": connection("PUT", "/Incidents", body)})
    assert (done["U"].status, done["U"].code) == ("Failed", "BadRequest")
    assert not rig.incident.updates


async def test_a_comment_may_name_its_incident_in_the_queries(rig: Rig) -> None:
    action = connection("POST", "/Incidents/Comment", {"message": "<b>m</b>"})
    action["inputs"]["queries"] = {"incidentArmId": "i"}
    await rig.run({"C": action, "G": connection("POST", "/Incidents", {"incidentArmId": "i"})})
    assert list(rig.incident.comments.values()) == ["<b>m</b>"]


async def test_the_incident_of_an_alert(rig: Rig) -> None:
    """Alert-triggered playbooks begin so; every part of the path is encoded by its author."""
    path = (
        "/Incidents/subscriptions/@{encodeURIComponent(triggerBody()?['sub'])}/resourceGroups/@{encodeURIComponent('g')}"
        "/workspaces/@{encodeURIComponent(triggerBody()?['WorkspaceId'])}"
        "/alerts/@{encodeURIComponent(triggerBody()?['SystemAlertId'])}"
    )
    given = {"sub": "s", "WorkspaceId": "w 1", "SystemAlertId": "a/1"}
    done = await rig.run({"G": connection("get", path, None)}, given)
    assert done["G"].outputs["body"] == {"id": "w 1/a/1"}
    assert rig.store.warnings(ResourceId.parse(WORKFLOW), rig.store.get(ResourceId.parse(WORKFLOW)) or {}) == []


class _Missing(WireError):
    status: ClassVar[int] = 404
    code: ClassVar[str] = "ResourceNotFound"


class _Busy(WireError):
    status: ClassVar[int] = 503
    code: ClassVar[str] = "ServerBusy"


async def test_an_error_of_the_room_is_the_answer(rig: Rig) -> None:
    rig.incident.refuse = _Missing("no such incident")
    comment = connection("POST", "/Incidents/Comment", {"incidentArmId": "i", "message": "m"})
    done = await rig.run({"C": comment, "S": compose("@outputs('C')['statusCode']", {"C": ["Failed"]})})
    assert (done["C"].code, done["S"].outputs) == ("NotFound", 404)
    assert done["C"].outputs["body"] == {"error": {"code": "ResourceNotFound", "message": "no such incident"}}


async def test_a_room_that_is_busy_is_asked_again(rig: Rig) -> None:
    rig.incident.refusals = [_Busy("later"), _Busy("later")]
    await rig.put(workflow({"C": connection("POST", "/Incidents/Comment", {"incidentArmId": "i", "message": "m"})}))
    run = await rig.begin()
    await rig.next_sleep()
    await rig.next_sleep()
    done = await rig.finish(run)
    assert done["C"].status is Status.SUCCEEDED
    assert len(rig.incident.comments) == 1
    assert [entry["code"] for entry in done["C"].retries] == ["ServiceUnavailable"] * 2


async def test_a_connection_acts_as_the_user_assigned_identity_that_it_names(rig: Rig) -> None:
    assigned = f"{CONNECTION.partition('/providers/')[0]}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u"
    await rig.store.put(ResourceId.parse(assigned), {"location": "local"})
    comment = connection("POST", "/Incidents/Comment", {"incidentArmId": "i", "message": "m"})
    for key, identity, code in (
        ("1", {"type": "UserAssigned", "userAssignedIdentities": {assigned: {}}}, "OK"),
        ("2", {"type": "SystemAssigned"}, "WorkflowManagedIdentityNotSpecified"),
    ):
        body = workflow({"C": comment}) | {"identity": identity}
        entry = copy.deepcopy(CONNECTIONS)
        entry["sentinel_1"]["connectionProperties"]["authentication"]["identity"] = assigned
        body["properties"]["parameters"]["$connections"]["value"] = entry
        await rig.put(body)
        done = await rig.finish(await rig.begin(key=key))
        assert done["C"].code == code


async def test_a_connection_that_is_gone_or_not_authorised(rig: Rig) -> None:
    actions = {"E": connection("POST", "/entities/ip", "@null"), "A": compose(1, {"E": OK})}
    unauthorised = workflow(actions)
    entry = copy.deepcopy(CONNECTIONS)
    del entry["sentinel_1"]["connectionProperties"]
    unauthorised["properties"]["parameters"]["$connections"]["value"] = entry
    await rig.put(unauthorised)
    done = await rig.finish(await rig.begin(key="1"))
    assert done["E"].code == "Unauthorized"
    assert (await rig.run(actions, key="2", identity=False))["E"].code == "WorkflowManagedIdentityNotSpecified"
    await rig.store.delete(ResourceId.parse(CONNECTION))
    done = await rig.run(actions, key="3")
    assert done["E"].code == "ApiConnectionNotFound"
    assert done["E"].problem is not None
    assert CONNECTION in done["E"].problem.message
