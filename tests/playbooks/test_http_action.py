"""The HTTP action against a real server."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from aiohttp.web import Response
from tests.playbooks.rig import OK, WORKFLOW, Rig, Web, compose, http, workflow

from lurewire.core.http import Audience
from lurewire.core.resources import ResourceId
from lurewire.playbooks import Status
from lurewire.playbooks.retry import DEFAULT, RetryPolicy, parse


async def test_a_request_carries_what_the_action_says_and_who_asks(rig: Rig, web: Web) -> None:
    inputs = {
        "method": "POST",
        "uri": f"{web.url}/a?x=@{{triggerBody()?['q']}}",
        "headers": {"X-Number": 7, "Accept": "application/json", "X-Flag": True},
        "queries": {"y": "b c&d", "n": 1},
        "body": {"k": "@triggerBody()?['q']"},
        "cookie": "a=b",
    }
    done = await rig.run({"H t": {"type": "Http", "inputs": inputs}}, {"q": "é\r\nX-Evil: 1 &z=1#f"})
    assert done.row.status is Status.SUCCEEDED
    (seen,) = web.seen
    assert seen["path"] == "/a?x=%C3%A9%0D%0AX-Evil:%201%20&z=1&y=b%20c%26d&n=1"
    headers = seen["headers"]
    assert json.loads(seen["body"]) == {"k": "é\r\nX-Evil: 1 &z=1#f"}
    assert (headers["X-Number"], headers["X-Flag"], headers["Cookie"]) == ("7", "True", "a=b")
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert "X-Evil" not in headers
    record = done["H t"]
    assert headers["x-ms-client-request-id"] == record.tracking_id
    assert headers["x-ms-workflow-run-id"] == done.row.name
    assert headers["x-ms-workflow-name"] == "Test"
    assert headers["x-ms-workflow-operation-name"] == "H%20t"
    assert headers["x-ms-client-tracking-id"] == done.row.trigger["clientTrackingId"]
    assert headers["User-Agent"].startswith("azure-logic-apps/1.0")


async def test_queries_are_encoded(rig: Rig, web: Web) -> None:
    await rig.run({"H": http(f"{web.url}/a", queries={"y": "b c&d", "n": 1})})
    assert web.seen[0]["path"] == "/a?y=b%20c%26d&n=1"


async def test_workflow_headers_can_be_suppressed(rig: Rig, web: Web) -> None:
    await rig.run({"H": http(web.url) | {"operationOptions": "SuppressWorkflowHeaders, DisableAsyncPattern"}})
    assert not [name for name in web.seen[0]["headers"] if name.lower().startswith("x-ms-")]


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        ("text é", "text é".encode(), "text/plain; charset=utf-8"),
        ([1, None], b"[1,null]", "application/json; charset=utf-8"),
        (True, b"true", "application/json; charset=utf-8"),
        ("@base64ToBinary('AAE=')", b"\x00\x01", "application/octet-stream"),
        ("@null", b"", None),
    ],
)
async def test_bodies_are_sent_by_what_they_are(rig: Rig, web: Web, body: Any, sent: bytes, content_type: Any) -> None:
    await rig.run({"H": http(web.url, method="POST", body=body)})
    assert web.seen[0]["body"] == sent
    given = web.seen[0]["headers"].get("Content-Type")
    assert given == content_type or (content_type is None and given in (None, "application/octet-stream"))


@pytest.mark.parametrize(
    ("content_type", "data", "body"),
    [
        ("application/problem+json", b'{"a":1}', {"a": 1}),
        ("text/html; charset=latin-1", b"\xe9", "é"),
        ("text/plain; charset=nope", b"a", "a"),
        ("application/xml", b"<a/>", {"$content-type": "application/xml", "$content": "PGEvPg=="}),
    ],
)
async def test_answers_are_read_by_content_type(rig: Rig, web: Web, content_type: str, data: bytes, body: Any) -> None:
    web.answers = [(200, data, {"Content-Type": content_type})]
    done = await rig.run({"H": http(web.url), "B": compose("@body('H')", {"H": OK})})
    assert done["B"].outputs == body


async def test_an_empty_answer_has_no_body(rig: Rig, web: Web) -> None:
    web.answers = [(204, b"", {})]
    done = await rig.run({"H": http(web.url)})
    assert (done["H"].code, done["H"].outputs["statusCode"]) == ("NoContent", 204)
    assert "body" not in done["H"].outputs


async def test_json_that_is_none_fails_the_action(rig: Rig, web: Web) -> None:
    web.answers = [(200, b"{", {"Content-Type": "application/json"})]
    done = await rig.run({"H": http(web.url)})
    assert (done["H"].status, done["H"].code) == ("Failed", "InvalidJSON")


async def test_a_client_error_fails_with_its_outputs_there(rig: Rig, web: Web) -> None:
    web.answers = [(404, {"success": False}, {})]
    done = await rig.run({"H": http(web.url), "S": compose("@outputs('H')['statusCode']", {"H": ["Failed"]})})
    assert (done["H"].status, done["H"].code, done["S"].outputs) == ("Failed", "NotFound", 404)
    assert len(web.seen) == 1
    assert done["H"].problem is not None
    assert "404" in done["H"].problem.message


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_the_default_retry_policy_tries_four_times_more(rig: Rig, web: Web, status: int) -> None:
    web.answers = [(status, {}, {})]
    await rig.put(workflow({"H": http(web.url)}))
    run = await rig.begin()
    waits = [await rig.next_sleep() for _ in range(4)]
    done = await rig.finish(run)
    assert done["H"].status is Status.FAILED
    assert len(web.seen) == 5
    assert len({seen["headers"]["x-ms-client-request-id"] for seen in web.seen}) == 1
    bounds = [(5, 7.5), (7.5, 15), (15, 30), (30, 45)]
    assert all(low <= wait <= high for wait, (low, high) in zip(waits, bounds, strict=True))
    history = done["H"].retries
    assert len(history) == 4
    assert history[0]["code"] in ("RequestTimeout", "TooManyRequests", "InternalServerError", "ServiceUnavailable")


async def test_a_retry_ends_with_success_and_heeds_retry_after(rig: Rig, web: Web) -> None:
    web.answers = [(429, {}, {"Retry-After": "40"}), (200, {"n": 1}, {})]
    await rig.put(workflow({"H": http(web.url)}))
    run = await rig.begin()
    assert await rig.next_sleep() == 40
    done = await rig.finish(run)
    assert (done["H"].status, done["H"].outputs["body"]) == ("Succeeded", {"n": 1})
    assert [entry["code"] for entry in done["H"].retries] == ["TooManyRequests"]


async def test_no_answer_is_retried_too(rig: Rig) -> None:
    policy = {"type": "fixed", "count": 2, "interval": "PT10S"}
    await rig.put(workflow({"H": http("http://127.0.0.1:9/", retryPolicy=policy)}))
    run = await rig.begin()
    assert [await rig.next_sleep() for _ in range(2)] == [10, 10]
    done = await rig.finish(run)
    assert (done["H"].code, len(done["H"].retries)) == ("ServiceUnavailable", 2)


async def test_no_retry_where_the_policy_says_none(rig: Rig, web: Web) -> None:
    web.answers = [(500, {}, {})]
    done = await rig.run({"H": http(web.url, retryPolicy={"type": "None"})})
    assert (done["H"].code, len(web.seen)) == ("InternalServerError", 1)


def test_retry_policies() -> None:
    assert parse(None, 90) == DEFAULT
    assert parse(
        {"type": "exponential", "count": 3, "interval": "PT30S", "minimumInterval": "PT10S"}, 90
    ) == RetryPolicy(3, 30, 10, 86400)
    for wrong in (
        {"type": "x"},
        {"type": "fixed", "count": 91, "interval": "PT5S"},
        {"type": "fixed", "count": 1, "interval": "PT1S"},
        3,
    ):
        with pytest.raises(ValueError, match="retryPolicy"):
            parse(wrong, 90)


async def test_a_202_with_a_location_is_asked_until_it_ends(rig: Rig, web: Web) -> None:
    web.answers = [
        (202, b"", {"Location": "/later", "Retry-After": "3"}),
        (202, b"", {"Location": "/later"}),
        (200, {"n": 2}, {}),
    ]
    await rig.put(workflow({"H": http(web.url, method="POST", body="x")}))
    run = await rig.begin()
    assert [await rig.next_sleep() for _ in range(2)] == [3, 20]
    done = await rig.finish(run)
    assert done["H"].outputs["body"] == {"n": 2}
    assert [(seen["method"], seen["path"]) for seen in web.seen] == [
        ("POST", "/"),
        ("GET", "/later"),
        ("GET", "/later"),
    ]


async def test_a_202_is_the_answer_where_the_pattern_is_disabled(rig: Rig, web: Web) -> None:
    web.answers = [(202, b"", {"Location": "/later"})]
    done = await rig.run({"H": http(web.url) | {"operationOptions": "DisableAsyncPattern"}})
    assert (done["H"].status, done["H"].code) == ("Succeeded", "Accepted")


async def test_the_limit_of_the_action_times_it_out(rig: Rig, web: Web) -> None:
    web.answers = [(202, b"", {"Location": "/later", "Retry-After": "60"})]
    actions = {"H": http(web.url) | {"limit": {"timeout": "PT90S"}}, "T": compose(1, {"H": ["TimedOut"]})}
    await rig.put(workflow(actions))
    run = await rig.begin()
    await rig.next_sleep(60)
    await rig.next_sleep(30)
    done = await rig.finish(run)
    assert (done["H"].status, done["H"].code, done["T"].status) == ("TimedOut", "ActionTimedOut", "Succeeded")


async def test_a_managed_identity_gets_a_token_of_that_audience(rig: Rig, web: Web) -> None:
    authentication = {"type": "ManagedServiceIdentity", "audience": "https://monitor.azure.com"}
    done = await rig.run({"H": http(web.url, authentication=authentication)})
    assert done.row.status is Status.SUCCEEDED
    token = web.seen[0]["headers"]["Authorization"]
    principal = rig.identity.authenticate(token, Audience.MONITOR)
    expected = await rig.identity.managed_identity_for(ResourceId.parse(WORKFLOW))
    assert principal.object_id == expected.object_id
    assert done["H"].inputs["authentication"] == "*sanitized*"


async def test_a_user_assigned_identity_acts_where_the_action_names_it(rig: Rig, web: Web) -> None:
    group = WORKFLOW.partition("/providers/")[0]
    ids = [f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}" for name in ("one", "gone")]
    for one in ids:
        await rig.store.put(ResourceId.parse(one), {"location": "local"})
    kind = {"type": "ManagedServiceIdentity", "audience": "https://monitor.azure.com"}
    actions = {
        "U": http(web.url, authentication=kind | {"identity": ids[0].upper().replace("/SUB", "/sub")}),
        "S": http(web.url, {"U": OK}, authentication=kind | {"identity": "SystemAssigned"}),
        "G": http(web.url, {"S": OK}, authentication=kind | {"identity": ids[1]}),
        "N": http(web.url, {"G": ["Failed"]}, authentication=kind | {"identity": f"{ids[0]}-other"}),
    }
    identity = {"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {one: {} for one in ids}}
    await rig.put(workflow(actions) | {"identity": identity})
    await rig.store.delete(ResourceId.parse(ids[1]))
    done = await rig.finish(await rig.begin())
    found = [
        rig.identity.authenticate(seen["headers"]["Authorization"], Audience.MONITOR).object_id for seen in web.seen
    ]
    assert found == [
        (await rig.identity.managed_identity_for(ResourceId.parse(one))).object_id for one in (ids[0], WORKFLOW)
    ]
    assert [done[name].code for name in "GN"] == ["WorkflowManagedIdentityNotSpecified"] * 2
    assert "not assigned to the workflow" in str(done["N"].problem)


@pytest.mark.parametrize("how", ["deleted", "taken away"])
async def test_a_run_that_goes_on_loses_an_identity_at_once(rig: Rig, web: Web, how: str) -> None:
    group = WORKFLOW.partition("/providers/")[0]
    one = f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one"
    await rig.store.put(ResourceId.parse(one), {"location": "local"})
    kind = {"type": "ManagedServiceIdentity", "audience": "https://monitor.azure.com", "identity": one}
    body = workflow({"A": http(web.url, authentication=kind), "B": http(web.url, {"A": OK}, authentication=kind)})
    await rig.put(body | {"identity": {"type": "UserAssigned", "userAssignedIdentities": {one: {}}}})

    async def respond(_seen: Any) -> Response:
        if how == "deleted":
            await rig.store.delete(ResourceId.parse(one))
        else:
            await rig.put(body | {"identity": {"type": "None"}})
        return Response(text="{}")

    web.respond = respond
    done = await rig.finish(await rig.begin())
    assert (done["A"].code, done["B"].code) == ("OK", "WorkflowManagedIdentityNotSpecified")
    assert len(web.seen) == 1


async def test_basic_and_raw_authentication(rig: Rig, web: Web) -> None:
    basic = {"type": "Basic", "username": "u", "password": "p@ss"}
    raw = {"type": "Raw", "value": "Key abc"}
    actions = {
        "B": http(web.url, authentication=basic),
        "R": http(web.url, {"B": OK}, authentication=raw),
        "X": http(web.url, {"R": OK}, headers={"Authorization": "Mine"}),
    }
    done = await rig.run(actions)
    given = [seen["headers"]["Authorization"] for seen in web.seen]
    assert given == ["Basic " + base64.b64encode(b"u:p@ss").decode(), "Key abc", "Mine"]
    assert done["X"].inputs["headers"] == {"Authorization": "*sanitized*"}


@pytest.mark.parametrize(
    ("authentication", "code"),
    [
        ({"type": "ManagedServiceIdentity"}, "WorkflowManagedIdentityNotSpecified"),
        ('@json(\'{"type":"ActiveDirectoryOAuth"}\')', "NotSupported"),
        ("@null", None),
    ],
)
async def test_authentication_that_cannot_be(rig: Rig, web: Web, authentication: Any, code: str | None) -> None:
    done = await rig.run({"H": http(web.url, authentication=authentication)}, identity=False)
    assert done["H"].code == (code or "OK")


@pytest.mark.parametrize(
    "inputs",
    [
        {"uri": "ftp://example.com"},
        {"uri": "@{triggerBody()}"},
        {"uri": "http:///x"},
        {"uri": "http://example.com/" + "a" * 16_400},
        {"method": "@{'TRACE'}"},
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X Y": "a"}},
        {"headers": "@json('[]')"},
        {"body": {"$multipart": []}, "method": "POST"},
        {"retryPolicy": {"type": "@{'odd'}"}},
    ],
)
async def test_requests_that_cannot_be_made_fail_the_action(rig: Rig, web: Web, inputs: dict[str, Any]) -> None:
    plain = {"uri": web.url, "retryPolicy": {"type": "none"}, **inputs}
    done = await rig.run({"H": http(plain.pop("uri"), **plain)}, "file:///etc/passwd")
    assert done["H"].status is Status.FAILED
    assert done["H"].problem is not None
    assert not web.seen


async def test_the_guard_refuses_private_addresses_and_is_not_asked_again(folder: Any, web: Web) -> None:
    rig = Rig(folder, allow_private=False)
    await rig.open()
    done = await rig.run({"H": http(web.url)})
    await rig.close()
    assert (done["H"].status, done["H"].code) == ("Failed", "OutboundRefused")
    assert done["H"].problem is not None
    assert "outbound.routes" in done["H"].problem.message
    assert not web.seen
