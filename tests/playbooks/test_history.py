"""Run history: what it shows, what it hides, and its routes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from tests.playbooks.rig import OK, VAULT, WORKFLOW, Client, Rig, Web, compose, http, workflow

from lurewire.core.http import RoomRoutes
from lurewire.core.resources import ResourceId
from lurewire.playbooks import Start, Status
from lurewire.playbooks.errors import WorkflowDisabled, WorkflowNotFound, WorkflowTriggerNotFound
from lurewire.playbooks.redaction import SANITIZED, Redactor
from lurewire.playbooks.tables import actions as action_rows

SECRET = 'k3y/with "quotes" & more='
SECURE = {"API_KEY": {"type": "SecureString"}, "SETTINGS": {"type": "secureobject"}}


def everything(rig: Rig) -> str:
    """All that the history tables hold, as text."""
    rows = rig.db.read(lambda conn: conn.execute(sa.select(action_rows)).all())
    return "\n".join(str(value) for row in rows for value in row)


async def test_secrets_are_in_the_request_and_not_in_history(rig: Rig, web: Web) -> None:
    web.answers = [(200, {"echo": SECRET, "inner": [f"x{SECRET}y"], SECRET: 1}, {})]
    actions = {
        "H": http(
            f"{web.url}/@{{encodeURIComponent(parameters('API_KEY'))}}",
            headers={"X-API-Key": "@parameters('API_KEY')", "X-Other": "@parameters('SETTINGS')['inner']"},
        ),
        "C": compose("@concat('Bearer ', parameters('API_KEY'))", {"H": OK}),
        "B": compose("@base64(parameters('API_KEY'))", {"H": OK}),
        "F": compose("@int(parameters('API_KEY'))", {"H": OK}),
        "N": compose("@parameters('SETTINGS')['pin']", {"H": OK}),
        "Used": compose("@equals(body('H')['echo'], parameters('API_KEY'))", {"H": OK}),
    }
    values = {"API_KEY": SECRET, "SETTINGS": {"inner": "other-secret", "pin": 123456}}
    done = await rig.run(actions, parameters=SECURE, values=values)
    assert web.seen[0]["headers"]["X-API-Key"] == SECRET
    assert done["H"].inputs["headers"] == {"X-API-Key": SANITIZED, "X-Other": SANITIZED}
    assert done["H"].outputs["body"] == {"echo": SANITIZED, "inner": [f"x{SANITIZED}y"], SANITIZED: 1}
    assert (done["C"].outputs, done["B"].outputs, done["N"].outputs) == (f"Bearer {SANITIZED}", SANITIZED, SANITIZED)
    assert done["Used"].outputs is True
    assert done["F"].problem is not None
    text = everything(rig)
    for hidden in (SECRET, "other-secret", "123456", "k3y%2Fwith"):
        assert hidden not in text


async def test_secure_parameters_are_stored_sealed_and_not_shown(rig: Rig) -> None:
    declared = {"API_KEY": {"type": "SecureString", "defaultValue": "default-secret"}, "O": {"type": "SecureObject"}}
    await rig.put(workflow({}, parameters=declared, values={"O": {"a": "object-secret"}}))
    shown = json.dumps(rig.store.shown(ResourceId.parse(WORKFLOW)))
    assert "-secret" not in shown
    assert "sentinel_1" in shown
    rows = rig.db.read(lambda conn: conn.exec_driver_sql("select sealed from playbooks_versions").all())
    assert rows
    assert b"-secret" not in b"".join(row[0] for row in rows)
    for file in rig.folder.glob("control.db*"):
        assert b"default-secret" not in file.read_bytes()
        assert b"object-secret" not in file.read_bytes()
    done = await rig.finish(await rig.begin())
    assert done.row.status is Status.SUCCEEDED


async def test_secure_data_hides_parts_and_what_consumes_them(rig: Rig, web: Web) -> None:
    web.answers = [(200, {"token": "abc"}, {})]
    secure = {"runtimeConfiguration": {"secureData": {"properties": ["inputs", "outputs"]}}}
    actions = {
        "H": http(web.url, headers={"X": "1"}) | secure,
        "C": compose("@body('H')['token']", {"H": OK}),
        "Q": {"type": "Query", "inputs": {"from": "@createArray(body('H'))", "where": "@true"}, "runAfter": {"H": OK}},
        "Chain": compose("@outputs('C')", {"C": OK}),
        "P": compose(1, {"H": OK}),
    }
    done = await rig.run(actions)
    assert (done["H"].inputs, done["H"].outputs) == (SANITIZED, SANITIZED)
    assert (done["C"].inputs, done["C"].outputs) == (SANITIZED, SANITIZED)
    assert (done["Q"].inputs, done["Q"].outputs) == (SANITIZED, {"body": [{"token": "abc"}]})
    assert done["Chain"].outputs == SANITIZED
    assert done["P"].outputs == 1
    assert done["H"].code == "OK"


async def test_the_secret_of_a_key_vault_reference_is_read_with_the_role(rig: Rig, web: Web) -> None:
    reference = await rig.set_secret("ipinsights-api-key", "vault-value")
    body = workflow(
        {"H": http(web.url, headers={"X-API-Key": "@parameters('API_KEY')"})},
        parameters={"API_KEY": {"type": "SecureString"}},
        values={"API_KEY": reference},
    )
    await rig.put(body)
    refused = await rig.finish(await rig.begin(key="1"))
    assert (refused.row.status, refused.row.code) == ("Failed", "Forbidden")
    assert refused.row.problem is not None
    assert "Key Vault Secrets User" in refused.row.problem.message
    assert VAULT in refused.row.problem.message
    assert refused.statuses() == {}
    await rig.grant("Key Vault Secrets User", VAULT)
    done = await rig.finish(await rig.begin(key="2"))
    assert done.row.status is Status.SUCCEEDED
    assert web.seen[0]["headers"]["X-API-Key"] == "vault-value"
    assert done["H"].inputs["headers"] == {"X-API-Key": SANITIZED}
    assert "vault-value" not in everything(rig)


@pytest.mark.parametrize(
    ("identity", "secret", "code"),
    [(False, "there", "WorkflowManagedIdentityNotSpecified"), (True, "missing", "SecretNotFound")],
)
async def test_a_reference_that_cannot_be_read_fails_the_run(rig: Rig, identity: bool, secret: str, code: str) -> None:
    reference = await rig.set_secret("there", "x")
    await rig.grant("Key Vault Secrets User", VAULT)
    declared = {"K": {"type": "SecureString", "defaultValue": reference.replace("there", secret)}}
    done = await rig.run({}, parameters=declared, identity=identity)
    assert (done.row.status, done.row.code) == ("Failed", code)


async def test_the_same_key_is_one_run(rig: Rig, web: Web) -> None:
    await rig.put(workflow({"H": http(web.url)}))
    first = await rig.begin(key="same")
    assert await rig.begin(key="same") == first
    await rig.finish(first)
    assert await rig.begin(key="same") == first
    assert len(web.seen) == 1


@pytest.mark.parametrize(
    ("kind", "state", "error"),
    [("incident", "Disabled", WorkflowDisabled), ("alert", "Enabled", WorkflowTriggerNotFound)],
)
async def test_what_cannot_be_started(rig: Rig, kind: str, state: str, error: type[Exception]) -> None:
    await rig.put(workflow({}, state=state))
    with pytest.raises(error):
        await rig.playbooks.begin(Start(WORKFLOW, kind, {}, "k"))
    with pytest.raises(WorkflowNotFound):
        await rig.playbooks.begin(Start(WORKFLOW + "x", kind, {}, "k"))


async def test_trigger_conditions_decide(rig: Rig) -> None:
    condition = [{"expression": "@equals(triggerBody()?['severity'], 'High')"}]
    await rig.put(workflow({}, trigger={"conditions": condition}))
    assert await rig.playbooks.begin(Start(WORKFLOW, "incident", {"severity": "Low"}, "1")) is None
    assert await rig.playbooks.begin(Start(WORKFLOW, "incident", {"severity": "High"}, "2")) is not None


async def test_messages_start_runs_once_and_tell_their_end(rig: Rig) -> None:
    finished: list[dict[str, Any]] = []

    async def note(message: Any) -> None:
        finished.append(message.payload)

    rig.outbox.subscribe("playbook.finished", note)
    await rig.put(workflow({"A": compose(1)}))
    good = {"workflow": WORKFLOW, "trigger": "incident", "body": {"a": 1}, "incident": "i"}
    lost = good | {"workflow": WORKFLOW + "x"}

    def put(conn: sa.Connection) -> None:
        rig.outbox.put(conn, "playbook.start", "k1", good)
        rig.outbox.put(conn, "playbook.start", "k2", lost)

    await rig.db.write(put)
    async with asyncio.timeout(20):
        await rig.outbox.drained()
        (row,) = rig.playbooks.history.runs_of_incident("i")
        await rig.finish(row.name)
        await rig.outbox.drained()
    assert {(entry["key"], entry["status"]) for entry in finished} == {("k1", "Succeeded"), ("k2", "Skipped")}


async def test_trigger_concurrency_holds_runs_back(rig: Rig, web: Web) -> None:
    from aiohttp.web import Response

    free = asyncio.Event()

    async def respond(_: dict[str, Any]) -> Response:
        await free.wait()
        return Response(text="x")

    web.respond = respond
    await rig.put(workflow({"H": http(web.url)}, trigger={"runtimeConfiguration": {"concurrency": {"runs": 2}}}))
    names = [await rig.begin(key=str(index)) for index in range(5)]
    async with asyncio.timeout(10):
        while len(web.seen) < 2:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert len(web.seen) == 2
    states = [rig.playbooks.history.run(None, name).status for name in names]
    assert states.count(Status.RUNNING) == 2
    assert states.count(Status.WAITING) == 3
    free.set()
    for name in names:
        assert (await rig.finish(name)).row.status is Status.SUCCEEDED


async def test_old_history_is_dropped(rig: Rig) -> None:
    done = await rig.run({"A": compose(1)})
    rig.manual.advance(91 * 86_400)
    async with asyncio.timeout(10):
        while rig.playbooks.history.runs(ResourceId.parse(WORKFLOW).key, 10):
            await asyncio.sleep(0.01)
    assert done.row.name not in everything(rig)
    assert (await rig.finish(await rig.begin(key="later"))).row.status is Status.SUCCEEDED


async def test_deleting_a_workflow_ends_and_forgets_its_runs(rig: Rig) -> None:
    await rig.put(workflow({"W": {"type": "Wait", "inputs": {"interval": {"count": 1, "unit": "Hour"}}}}))
    await rig.begin()
    await rig.store.delete(ResourceId.parse(WORKFLOW))
    assert rig.playbooks.history.unfinished() == []


async def test_routes(rig: Rig, web: Web) -> None:
    actions = {
        "L (1)": {"type": "Foreach", "foreach": "@range(0, 3)", "actions": {"N": compose("@item()")}},
        "H": http(web.url, {"L (1)": OK}),
        "F": compose("@int('x')", {"H": OK}),
    }
    done = await rig.run(actions, {"a": 1})
    ok = await rig.run({}, key="2")
    client = Client(rig)
    await client.login("reader", "Reader")
    listed = await client.json(f"{WORKFLOW}/runs?api-version=2019-05-01")
    assert [run["name"] for run in listed["value"]] == sorted([done.row.name, ok.row.name])
    failed = await client.json(f"{WORKFLOW}/runs?$filter=status eq 'Failed' and startTime ge 2026-01-01T00:00:00Z")
    assert [run["name"] for run in failed["value"]] == [done.row.name]
    first = await client.json(f"{WORKFLOW}/runs?$top=1")
    rest = await client.json(first["nextLink"])
    assert [run["name"] for run in (*first["value"], *rest["value"])] == sorted([done.row.name, ok.row.name])

    run = await client.json(f"{WORKFLOW.upper()}/runs/{done.row.name}")
    properties = run["properties"]
    assert (properties["status"], properties["code"]) == ("Failed", "ActionFailed")
    assert properties["trigger"]["name"] == "Microsoft_Sentinel_incident"
    assert properties["startTime"] == "2026-11-22T01:02:03.0000000Z"

    found = await client.json(f"{WORKFLOW}/runs/{done.row.name}/actions")
    by_name = {action["name"]: action["properties"] for action in found["value"]}
    assert set(by_name) == {"L (1)", "N", "H", "F"}
    assert by_name["N"]["repetitionCount"] == 3
    assert by_name["L (1)"]["iterationCount"] == 3
    assert by_name["F"]["error"]["code"] == "InvalidTemplate"
    link = by_name["H"]["outputsLink"]
    assert link["contentSize"] > 0
    contents = await client.get(link["uri"], token=False)
    assert json.loads(contents.body)["body"] == {"ok": True}
    assert (await client.get(link["uri"] + "x", token=False)).status == 401
    other = link["uri"].replace("ActionOutputs", "ActionInputs")
    assert (await client.get(other, token=False)).status == 401
    rig.manual.advance(5 * 3600)
    await client.login("reader again", "Reader")
    assert (await client.get(link["uri"], token=False)).status == 401

    single = await client.json(f"{WORKFLOW}/runs/{done.row.name}/actions/N")
    assert single["properties"]["repetitionCount"] == 3
    repetitions = await client.json(f"{WORKFLOW}/runs/{done.row.name}/actions/N/repetitions")
    assert [one["name"] for one in repetitions["value"]] == ["000000", "000001", "000002"]
    one = await client.json(f"{WORKFLOW}/runs/{done.row.name}/actions/N/repetitions/000002")
    assert json.loads((await client.get(one["properties"]["outputsLink"]["uri"], token=False)).body) == 2
    spaced = await client.json(f"{WORKFLOW}/runs/{done.row.name}/actions/L%20(1)")
    assert spaced["name"] == "L (1)"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/runs/0858", 404, "WorkflowRunNotFound"),
        ("/runs?$filter=name eq 'x'", 400, "InvalidFilterInQueryString"),
        ("/runs?$filter=startTime ge yesterday", 400, "InvalidFilterInQueryString"),
        ("/runs?$filter=status eq 'Odd'", 400, "InvalidFilterInQueryString"),
        ("/runs/{run}/actions/X", 404, "WorkflowRunActionNotFound"),
        ("/runs/{run}/actions/A/repetitions/000009", 404, "WorkflowRunActionNotFound"),
    ],
)
async def test_wrong_requests(rig: Rig, path: str, status: int, code: str) -> None:
    done = await rig.run({"A": compose(1)})
    client = Client(rig)
    await client.login("reader", "Reader")
    answer = await client.get(WORKFLOW + path.format(run=done.row.name))
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (status, code)


async def test_every_route_needs_its_action_or_a_signature(rig: Rig) -> None:
    done = await rig.run({"A": compose(1)})
    client = Client(rig)
    assert (await client.get(f"{WORKFLOW}/runs")).status == 401
    await client.login("nobody", None)
    answer = await client.get(f"{WORKFLOW}/runs/{done.row.name}/actions")
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (403, "AuthorizationFailed")
    assert isinstance(rig.playbooks.routes, RoomRoutes)


async def test_a_run_of_another_workflow_is_not_found(rig: Rig) -> None:
    done = await rig.run({"A": compose(1)})
    client = Client(rig)
    await client.login("reader", "Reader")
    answer = await client.get(f"{WORKFLOW}x/runs/{done.row.name}/actions/A")
    assert answer.status == 404


@given(st.text(min_size=4, max_size=30).filter(lambda secret: secret not in SANITIZED), st.text(max_size=20), st.text())
def test_no_secret_survives_redaction(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret])
    assert secret not in redactor.text(before + secret + after).replace(SANITIZED, "\x00")
    assert redactor.apply({"a": [{secret: secret}]}) == {"a": [{SANITIZED: SANITIZED}]}


def test_redaction_of_short_and_nested_secrets() -> None:
    redactor = Redactor(["ab", {"x": ["longer-ab-secret", 7, True, None, ""]}])
    assert redactor.apply(["ab", "cab", "longer-ab-secret", 7, True, ""]) == [
        SANITIZED,
        "cab",
        SANITIZED,
        SANITIZED,
        True,
        "",
    ]
    same = {"a": ["nothing"]}
    assert Redactor(["secret"]).apply(same) is same
