"""Operations on workflows: state, versions, triggers, callback URLs, and runs that are cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from aiohttp.web import Response
from tests.playbooks.rig import GROUP, OK, WORKFLOW, Client, compose, http, workflow

from lurewire.core.errors import WireError
from lurewire.core.resources import ResourceId
from lurewire.core.secretbox import SecretBox
from lurewire.playbooks.errors import WorkflowDisabled, WorkflowRunEnded, WorkflowTriggerNotFound
from lurewire.playbooks.journal import encode
from lurewire.playbooks.tables import CANCELLING
from lurewire.playbooks.tables import actions as action_rows
from lurewire.playbooks.tables import runs as run_rows
from lurewire.playbooks.tables import versions as version_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.playbooks.rig import Rig, Web

ID = ResourceId.parse(WORKFLOW)
MANUAL = {
    "type": "Request",
    "kind": "Http",
    "inputs": {"schema": {"type": "object", "properties": {"ip": {"type": "string"}}}},
}


def requested(actions: dict[str, Any], **trigger: Any) -> dict[str, Any]:
    """A workflow that an HTTP request starts."""
    body = workflow(actions)
    body["properties"]["definition"]["triggers"] = {"manual (1)": MANUAL | trigger}
    return body


async def client(rig: Rig, role: str | None = "Logic App Contributor") -> Client:
    made = Client(rig)
    await made.login(f"as {role}", role)
    return made


async def error(made: Client, method: str, path: str, **options: Any) -> tuple[int, str]:
    answer = await made.send(method, path, **options)
    return answer.status, json.loads(answer.body)["error"]["code"]


# State


async def test_a_workflow_is_disabled_and_enabled(rig: Rig) -> None:
    secret = {"K": {"type": "SecureString"}}
    first = await rig.put(workflow({"A": compose("@parameters('K')")}, parameters=secret, values={"K": "s3cret"}))
    made = await client(rig, "Logic App Operator")
    assert (await made.send("POST", f"{WORKFLOW}/disable?api-version=2019-05-01")).status == 200
    with pytest.raises(WorkflowDisabled):
        await rig.begin(key="1")
    disabled = rig.store.shown(ID)
    assert disabled is not None
    assert (disabled["properties"]["state"], disabled["identity"]) == ("Disabled", first["identity"])
    assert (await made.send("POST", f"{WORKFLOW}/disable")).status == 200
    assert rig.store.shown(ID) == disabled  # nothing is made of what is so already
    assert (await made.send("POST", f"{WORKFLOW}/enable")).status == 200
    done = await rig.finish(await rig.begin(key="2"))
    assert done.row.status == "Succeeded"  # the secret is there still
    assert "s3cret" not in json.dumps(await made.json(f"{WORKFLOW}/versions"))
    assert await error(made, "POST", f"{WORKFLOW}x/enable") == (404, "WorkflowNotFound")


async def test_versions_are_listed_newest_first(rig: Rig) -> None:
    bodies = [await rig.put(workflow({"A": compose(number)})) for number in range(3)]
    numbers = [body["properties"]["version"] for body in reversed(bodies)]
    made = await client(rig, "Reader")
    first = await made.json(f"{WORKFLOW}/versions?$top=2")
    rest = await made.json(first["nextLink"])
    assert [one["name"] for one in (*first["value"], *rest["value"])] == numbers
    one = await made.json(f"{WORKFLOW}/versions/{numbers[2]}")
    assert one["properties"]["definition"]["actions"]["A"]["inputs"] == 0
    assert (one["id"], one["type"]) == (f"{WORKFLOW}/versions/{numbers[2]}", "Microsoft.Logic/workflows/versions")
    assert await error(made, "GET", f"{WORKFLOW}/versions/1") == (404, "WorkflowVersionNotFound")
    assert len((await made.json(f"{WORKFLOW}/versions?$top={'9' * 5000}"))["value"]) == 3


async def test_a_version_of_an_older_release_is_shown_without_its_definition(rig: Rig) -> None:
    body = await rig.put(workflow({"A": compose("s3cret")}))
    kept = SecretBox(rig.folder / "secret.key").encrypt(encode(body))  # nothing in it says what a GET showed
    await rig.db.write(lambda conn: conn.execute(version_rows.update().values(sealed=kept)))
    made = await client(rig, "Reader")
    (one,) = (await made.json(f"{WORKFLOW}/versions"))["value"]
    assert one == await made.json(f"{WORKFLOW}/versions/{body['properties']['version']}")
    assert (one["name"], one["properties"]["state"]) == (body["properties"]["version"], "Enabled")
    assert "s3cret" not in json.dumps(one)


async def test_a_secret_of_a_template_is_shown_by_no_operation(rig: Rig) -> None:
    """A template writes a secure value into an action: a GET hides it, and so does whatever else shows the workflow."""
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {"Key": {"type": "securestring"}},
        "resources": [
            {"type": "Microsoft.Logic/workflows", "apiVersion": "2019-05-01", "name": "Test"}
            | workflow({"A": compose("[concat('Key ', parameters('Key'))]")})
        ],
    }
    body = {"properties": {"mode": "Incremental", "template": template, "parameters": {"Key": {"value": "t0p-s3cret"}}}}
    shown = await rig.deployments.deploy(ResourceId.parse(GROUP), "d", body)
    assert shown["properties"].get("error") is None
    made = await client(rig, "Logic App Operator")
    assert (await made.send("POST", f"{WORKFLOW}/disable")).status == 200
    assert (await made.send("POST", f"{WORKFLOW}/enable")).status == 200
    assert "t0p-s3cret" not in json.dumps(rig.store.shown(ID))
    [newest, *_] = versions = (await made.json(f"{WORKFLOW}/versions"))["value"]
    assert len(versions) == 3
    assert "t0p-s3cret" not in json.dumps(versions)
    assert "t0p-s3cret" not in json.dumps(await made.json(f"{WORKFLOW}/versions/{newest['name']}"))
    assert (await rig.finish(await rig.begin()))["A"].outputs == "Key t0p-s3cret"


async def test_who_disables_a_workflow_needs_no_right_to_its_identities(rig: Rig) -> None:
    assigned = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u"
    await rig.store.put(ResourceId.parse(assigned), {"location": "local"})
    identity = {"type": "UserAssigned", "userAssignedIdentities": {assigned: {}}}
    stored = await rig.put(workflow({}) | {"identity": identity})
    made = await client(rig, "Logic App Operator")
    assert (await made.send("POST", f"{WORKFLOW}/disable")).status == 200
    disabled = rig.store.shown(ID)
    assert disabled is not None
    assert (disabled["properties"]["state"], disabled["identity"]) == ("Disabled", stored["identity"])


@pytest.mark.parametrize("path", [WORKFLOW, WORKFLOW.replace("/workflows/", "/locations/local/workflows/")])
async def test_a_definition_is_validated_without_being_stored(rig: Rig, path: str) -> None:
    made = await client(rig)
    good = json.dumps(workflow({"A": compose(1)})).encode()
    assert (await made.send("POST", f"{path}/validate", good)).status == 200
    bad = json.dumps(workflow({"A": compose("@nope()")})).encode()
    assert await error(made, "POST", f"{path}/validate", body=bad) == (400, "InvalidTemplate")
    for broken in (b"", b"[]", b"{", b"\xff"):
        assert await error(made, "POST", f"{path}/validate", body=broken) == (400, "InvalidRequestContent")
    assert rig.store.get(ID) is None


# Triggers and their URLs


async def test_a_request_starts_a_run_by_its_signed_url(rig: Rig) -> None:
    actions = {
        "A": compose(
            {
                "ip": "@triggerBody()['ip']",
                "tag": "@triggerOutputs()['queries']['tag']",
                "from": "@triggerOutputs()['headers']['x-source']",
                "keys": "@contains(triggerOutputs()['headers'], 'authorization')",
            }
        )
    }
    stored = await rig.put(requested(actions))
    made = await client(rig)
    [trigger] = (await made.json(f"{WORKFLOW}/triggers"))["value"]
    assert (trigger["name"], trigger["properties"]["state"]) == ("manual (1)", "Enabled")
    assert await made.json(f"{WORKFLOW}/triggers/Manual%20(1)") == trigger
    listed = await made.json(f"{WORKFLOW}/triggers/manual%20(1)/listCallbackUrl", "POST")
    url = listed["value"]
    assert url.startswith(f"{stored['properties']['accessEndpoint']}/triggers/manual%20%281%29/paths/invoke?")
    assert listed == await made.json(f"{WORKFLOW}/triggers/manual%20(1)/listCallbackUrl", "POST")
    queries = parse_qs(urlsplit(url).query)
    assert {name: [value] for name, value in listed["queries"].items()} == queries
    assert (queries["sp"], queries["sv"], listed["method"]) == (["/triggers/manual (1)/run"], ["1.0"], "POST")
    answer = await made.send(
        "POST",
        f"{url}&tag=x",
        b'{"ip": "192.0.2.1"}',
        content_type="application/json",
        x_source="siem",
        authorization="Bearer not-for-the-playbook",
        token=False,
    )
    assert (answer.status, answer.body) == (202, b"")
    headers = dict(answer.headers)
    assert headers["x-ms-workflow-name"] == "Test"
    done = await rig.finish(headers["x-ms-workflow-run-id"])
    assert done["A"].outputs == {"ip": "192.0.2.1", "tag": "x", "from": "siem", "keys": False}
    assert "not-for-the-playbook" not in json.dumps(done.row.trigger)
    assert queries["sig"][0] not in json.dumps(done.row.trigger)


async def test_a_url_of_something_else_starts_nothing(rig: Rig) -> None:
    body = requested({"A": compose(1)})
    body["properties"]["definition"]["triggers"]["other"] = MANUAL
    await rig.put(body)
    made = await client(rig)
    url = rig.playbooks.operations.callback(ID, "manual (1)")["value"]
    bare, _, query = url.partition("?")
    refused = [
        (bare, 401, "DirectApiAuthorizationRequired"),
        (f"{bare}?{query[:-1]}", 401, "AuthorizationFailed"),
        (f"{bare}?{query}é", 401, "AuthorizationFailed"),
        (f"{bare}?{query.replace('sv=1.0', 'sv=2.0')}", 401, "AuthorizationFailed"),
        (url.replace("manual%20%281%29/paths", "other/paths"), 401, "AuthorizationFailed"),
        (url.replace("manual%20%281%29/paths", "none/paths"), 401, "AuthorizationFailed"),
        (url.replace("/workflows/", "/workflows/0"), 404, "WorkflowNotFound"),
    ]
    for changed, status, code in refused:
        assert await error(made, "POST", changed, token=False) == (status, code), changed
    assert await error(made, "GET", url, token=False) == (404, "TriggerRequestMethodNotValid")
    for sent in (b"{", b"\xff"):
        found = await error(made, "POST", url, body=sent, content_type="application/json", token=False)
        assert found == (400, "InvalidRequestContent")
    wrong = await error(made, "POST", url, body=b'{"ip": 7}', content_type="application/json", token=False)
    assert wrong == (400, "TriggerInputSchemaMismatch")
    assert await error(made, "POST", url, body=b"x" * (4 * 1024 * 1024 + 1), token=False) == (
        413,
        "RequestEntityTooLarge",
    )
    assert rig.playbooks.history.runs(ID.key, 10) == []
    await rig.store.delete(ID)
    assert await error(made, "POST", url, token=False) == (404, "WorkflowNotFound")
    rig.manual.advance(1)
    await rig.put(body)
    assert await error(made, "POST", url, token=False) == (401, "AuthorizationFailed")


async def test_a_url_stays_after_a_restart_and_a_change(rig: Rig) -> None:
    await rig.put(requested({"A": compose(1)}))
    url = rig.playbooks.operations.callback(ID, "manual (1)")["value"]
    await rig.put(requested({"A": compose(2)}, inputs={"method": "GET"}))
    await rig.close()
    await rig.open()
    made = Client(rig)
    answer = await made.send("GET", url, token=False)
    done = await rig.finish(dict(answer.headers)["x-ms-workflow-run-id"])
    assert done["A"].outputs == 2
    assert done.row.trigger["outputs"]["body"] is None


async def test_a_template_reads_the_url(rig: Rig) -> None:
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [
            {"type": "Microsoft.Logic/workflows", "apiVersion": "2019-05-01", "name": "Test"} | requested({}),
            {
                "type": "Microsoft.Logic/workflows",
                "apiVersion": "2019-05-01",
                "name": "Caller",
                "dependsOn": ["Test"],
            }
            | workflow(
                {"A": compose("@length(parameters('Url'))")},
                parameters={"Url": {"type": "SecureString"}},
                values={
                    "Url": "[listCallbackUrl(resourceId('Microsoft.Logic/workflows/triggers', 'Test', 'manual (1)'), "
                    "'2019-05-01').value]"
                },
            ),
        ],
    }
    body = {"properties": {"mode": "Incremental", "template": template}}
    shown = await rig.deployments.deploy(ResourceId.parse(GROUP), "d", body)
    assert shown["properties"].get("error") is None
    caller = f"{GROUP}/providers/Microsoft.Logic/workflows/Caller"
    done = await rig.finish(await rig.begin(workflow=caller))
    url = rig.playbooks.operations.callback(ID, "manual (1)")["value"]
    assert done["A"].outputs == len(url)
    assert url.partition("sig=")[2] not in json.dumps(shown)
    template["resources"][1]["properties"]["parameters"]["Url"]["value"] = (  # type: ignore[index]
        "[listCallbackUrl(resourceId('Microsoft.Logic/workflows/triggers', 'Test', 'none'), '2019-05-01').value]"
    )
    shown = await rig.deployments.deploy(ResourceId.parse(GROUP), "d", body)
    [failed] = shown["properties"]["error"]["details"]
    assert (failed["code"], "'none'" in failed["message"]) == ("WorkflowTriggerNotFound", True)
    with pytest.raises(WorkflowTriggerNotFound):
        await rig.playbooks.operations.callback_of_trigger(ResourceId.parse(f"{GROUP}/providers/A.B/c/d/triggers/e"))


async def test_a_trigger_is_run_by_hand(rig: Rig) -> None:
    await rig.put(workflow({"A": compose("@triggerBody()?['x']")}))
    made = await client(rig)
    path = f"{WORKFLOW}/triggers/microsoft_sentinel_INCIDENT/run"
    for sent, found in ((b'{"x": 5}', 5), (None, None)):
        answer = await made.send("POST", path, sent)
        assert answer.status == 202
        done = await rig.finish(dict(answer.headers)["x-ms-workflow-run-id"])
        assert done["A"].outputs == found
    assert await error(made, "POST", f"{WORKFLOW}/triggers/x/run") == (404, "WorkflowTriggerNotFound")
    await rig.put(workflow({}, trigger={"conditions": [{"expression": "@false"}]}))
    skipped = await made.send("POST", path)
    assert (skipped.status, "x-ms-workflow-run-id" in dict(skipped.headers)) == (202, False)


@pytest.mark.parametrize("method", ["TRACE", 7, "@{triggerBody()}"])
async def test_a_method_that_a_trigger_cannot_have(rig: Rig, method: Any) -> None:
    with pytest.raises(WireError, match="one of GET, POST"):
        await rig.put(requested({}, inputs={"method": method}))


# Cancel


def hanging(url: str) -> dict[str, Any]:
    """Something that ended, something that runs, and what waits for it."""
    return {
        "Before": compose(1),
        "L": {
            "type": "Foreach",
            "foreach": "@createArray(1)",
            "actions": {"H": http(url), "I": compose(1, {"H": OK})},
            "runAfter": {"Before": OK},
        },
        "After": compose(1, {"L": ["Succeeded", "Failed", "Skipped", "TimedOut"]}),
    }


@pytest.fixture
def stuck(web: Web) -> Iterator[Web]:
    """A server that answers nothing until the test is over."""
    over = asyncio.Event()

    async def respond(_seen: dict[str, Any]) -> Response:
        await over.wait()
        return Response(text="too late")

    web.respond = respond
    yield web
    over.set()


async def test_a_run_is_cancelled_where_it_is(rig: Rig, stuck: Web) -> None:
    await rig.put(workflow(hanging(stuck.url)))
    run = await rig.begin()
    await stuck.asked.wait()
    made = await client(rig)
    answer = await made.send("POST", f"{WORKFLOW}/runs/{run}/cancel?api-version=2019-05-01")
    assert (answer.status, answer.body) == (200, b"")
    done = await rig.finish(run)
    assert done.row.problem is not None
    assert (done.row.status, done.row.code) == ("Cancelled", "WorkflowRunCancelled")
    assert done.statuses() == {
        "Before": "Succeeded",
        "L": "Cancelled",
        "H": "Cancelled",
        "I": "Skipped",
        "After": "Skipped",
    }
    assert await error(made, "POST", f"{WORKFLOW}/runs/{run}/cancel") == (409, "WorkflowRunEnded")
    assert await error(made, "POST", f"{WORKFLOW}/runs/0858/cancel") == (404, "WorkflowRunNotFound")
    assert len(stuck.seen) == 1


WAIT = {"type": "Wait", "inputs": {"interval": {"count": 30, "unit": "Minute"}}}


@pytest.mark.parametrize("tried", [False, True])
async def test_a_run_that_sleeps_is_cancelled(rig: Rig, web: Web, tried: bool) -> None:
    """In a Wait, or between two attempts of a request: what comes after is not done, however long one waits."""
    web.answers = [(503, {}, {})]
    again = http(web.url, retryPolicy={"type": "fixed", "count": 2, "interval": "PT30M"})
    await rig.put(workflow({"S": again if tried else WAIT, "H": http(web.url, {"S": ["Succeeded", "Failed"]})}))
    run = await rig.begin()
    async with asyncio.timeout(10):
        while all(seconds != 1800 for _, seconds in rig.manual.sleeping):
            await asyncio.sleep(0.001)
    await rig.playbooks.cancel(ID, run)
    asked = len(web.seen)
    assert asked == tried
    rig.manual.advance(7200)
    done = await rig.finish(run)
    assert done.statuses() == {"S": "Cancelled", "H": "Skipped"}
    assert len(web.seen) == asked


async def test_iterations_at_once_are_all_cancelled_and_no_other_begins(rig: Rig, stuck: Web) -> None:
    loop = {
        "type": "Foreach",
        "foreach": "@range(0, 6)",
        "runtimeConfiguration": {"concurrency": {"repetitions": 2}},
        "actions": {"H": http(stuck.url)},
    }
    await rig.put(workflow({"L": loop}))
    run = await rig.begin()
    async with asyncio.timeout(10):
        while len(stuck.seen) < 2:
            await asyncio.sleep(0.001)
    await rig.playbooks.cancel(ID, run)
    done = await rig.finish(run)
    assert [done.repetition("H", index).status for index in range(2)] == ["Cancelled"] * 2
    assert len(rig.playbooks.history.repetitions(run, "H", 10)) == 2
    assert len(stuck.seen) == 2


async def test_a_cancel_does_not_turn_a_run_that_has_ended(rig: Rig) -> None:
    """Its secret is refused while somebody cancels it: whichever is first stays, in history and in what is told."""
    told: list[str] = []

    async def finished(message: Any) -> None:
        told.append(message.payload["status"])

    rig.outbox.subscribe("playbook.finished", finished)
    reference = "@Microsoft.KeyVault(SecretUri=https://lurewire-vault.vault.azure.net/secrets/none/)"
    secret = {"K": {"type": "SecureString"}}
    for attempt in range(12):
        await rig.put(workflow({"A": compose(1)}, parameters=secret, values={"K": reference}))
        run = await rig.begin(key=str(attempt))
        for _ in range(attempt):
            await asyncio.sleep(0)
        with contextlib.suppress(WorkflowRunEnded):
            await rig.playbooks.cancel(ID, run)
        await rig.outbox.drained()
        assert told.pop() == rig.playbooks.history.run(ID.key, run).status


async def test_a_run_that_waits_for_its_turn_never_begins(rig: Rig, stuck: Web) -> None:
    one_at_a_time = {"runtimeConfiguration": {"concurrency": {"runs": 1}}}
    await rig.put(workflow({"H": http(stuck.url)}, trigger=one_at_a_time))
    first, second = await rig.begin(key="1"), await rig.begin(key="2")
    await stuck.asked.wait()
    await rig.playbooks.cancel(ID, second)
    assert (await rig.finish(second)).row.status == "Cancelled"
    assert rig.playbooks.history.run(ID.key, first).status == "Running"
    await rig.playbooks.cancel(ID, first)
    assert len(stuck.seen) == 1
    third = await rig.begin(key="3")  # the turn is free again
    async with asyncio.timeout(10):
        while len(stuck.seen) < 2:
            await asyncio.sleep(0.001)
    await rig.playbooks.cancel(ID, third)


async def test_what_a_message_started_is_told_that_it_was_cancelled(rig: Rig, stuck: Web) -> None:
    told: list[dict[str, Any]] = []

    async def finished(message: Any) -> None:
        told.append(message.payload)

    rig.outbox.subscribe("playbook.finished", finished)
    await rig.put(workflow({"H": http(stuck.url)}))
    run = await rig.begin()
    await stuck.asked.wait()
    await rig.playbooks.cancel(ID, run)
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0.001)
    assert told == [{"key": "key-1", "workflow": ID.key, "run": run, "status": "Cancelled"}]


@pytest.mark.parametrize("killed", [False, True])
async def test_a_cancel_that_a_stop_cut_off_is_carried_out_at_the_next_start(
    folder: Path, stuck: Web, killed: bool
) -> None:
    """What is durable of it is the mark; a kill may come right behind it."""
    from tests.playbooks.rig import Rig

    rig = Rig(folder)
    await rig.open()
    await rig.put(workflow(hanging(stuck.url)))
    run = await rig.begin()
    await stuck.asked.wait()
    await rig.close()
    await rig.open()
    if killed:
        mark = sa.update(run_rows).where(run_rows.c.name == run).values(code=CANCELLING)
        await rig.db.write(lambda conn: conn.execute(mark))
        await rig.close()
        await rig.open()
    else:
        await rig.playbooks.cancel(ID, run)
    done = await rig.finish(run)
    assert (done.row.status, done.row.code) == ("Cancelled", "WorkflowRunCancelled")
    rows = rig.db.read(lambda conn: conn.execute(sa.select(action_rows.c.action, action_rows.c.status)).all())
    assert {"Running", "Waiting"}.isdisjoint(row.status for row in rows)
    await rig.close()
    await rig.open()
    assert rig.playbooks.history.unfinished() == []
    await rig.close()


async def test_a_run_that_cannot_be_taken_up_fails_and_keeps_no_other_down(rig: Rig, stuck: Web) -> None:
    """An earlier release took a definition that this one refuses."""
    await rig.put(workflow({"H": http(stuck.url)}))
    run = await rig.begin()
    await stuck.asked.wait()
    broken = workflow({"H": {"type": "Response", "inputs": {}}}) | {"id": WORKFLOW, "location": "local"}
    broken["properties"]["version"] = rig.playbooks.history.run(ID.key, run).version
    sealed = SecretBox(rig.folder / "secret.key").encrypt(json.dumps(broken | {"shown": {}}).encode())
    await rig.db.write(lambda conn: conn.execute(sa.update(version_rows).values(sealed=sealed)))
    await rig.close()
    await rig.open()
    row = rig.playbooks.history.run(ID.key, run)
    assert (row.status, row.code) == ("Failed", "NotSupported")
    assert rig.playbooks.history.action(run, "H").status == "Cancelled"


async def test_a_run_that_ended_meanwhile_cannot_be_cancelled(rig: Rig) -> None:
    done = await rig.run({"A": compose(1)})
    with pytest.raises(WorkflowRunEnded, match="'Succeeded'"):
        await rig.playbooks.cancel(ID, done.row.name)
    assert rig.playbooks.history.run(ID.key, done.row.name).code is None


@pytest.mark.parametrize(
    ("role", "path", "allowed"),
    [
        ("Reader", "/triggers/manual%20(1)/listCallbackUrl", False),
        ("Reader", "/triggers/manual%20(1)/run", False),
        ("Reader", "/enable", False),
        ("Logic App Operator", "/enable", True),
        ("Logic App Operator", "/runs/0858/cancel", False),
        ("Microsoft Sentinel Playbook Operator", "/triggers/manual%20(1)/listCallbackUrl", True),
        ("Microsoft Sentinel Playbook Operator", "/disable", False),
    ],
)
async def test_who_may(rig: Rig, role: str, path: str, allowed: bool) -> None:
    await rig.put(requested({}))
    made = await client(rig, role)
    assert ((await made.send("POST", WORKFLOW + path)).status != 403) is allowed
