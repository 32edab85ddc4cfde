"""The HTTP action, through the guarded way out.

Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers#http-action
"""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin

from lurewire.core.errors import Unauthenticated, WireError
from lurewire.core.outbound import OutboundError, OutboundRefused
from lurewire.expressions.functions.conversion import uri_component
from lurewire.expressions.values import text
from lurewire.playbooks.actions.identities import managed_principal
from lurewire.playbooks.attempts import Reply, persist, phrase
from lurewire.playbooks.content import decode_body, encode_body, header_texts, joined_headers
from lurewire.playbooks.durations import seconds
from lurewire.playbooks.models import Outcome, Problem, Status
from lurewire.playbooks.redaction import SANITIZED
from lurewire.playbooks.registry import ActionError, ActionType

if TYPE_CHECKING:
    from lurewire.playbooks.checks import Check
    from lurewire.playbooks.engine import ActionInvocation

_METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS")
_INPUTS = frozenset({"method", "uri", "headers", "queries", "body", "cookie", "authentication", "retryPolicy"})
_AUTHENTICATIONS: dict[str, frozenset[str]] = {
    "managedserviceidentity": frozenset({"type", "audience", "identity"}),
    "basic": frozenset({"type", "username", "password"}),
    "raw": frozenset({"type", "value"}),
}
_REFUSED_AUTHENTICATIONS = frozenset({"activedirectoryoauth", "clientcertificate"})
_OPTIONS = ("SuppressWorkflowHeaders", "DisableAsyncPattern")
_MANAGEMENT = "https://management.azure.com/"

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_URI_SAFE = "!#$%&'()*+,-./:;=?@[]_~"

POLL_SECONDS = 20.0
"""Between questions for the result of a 202 answer that does not say `Retry-After`."""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    uri: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None


# Checks


def _check(check: Check) -> frozenset[str]:
    inputs = check.inputs
    check.only(inputs, _INPUTS, "inputs")
    check.required(inputs, ("method", "uri"), "inputs")
    check.expressions(inputs, "inputs")
    method = inputs["method"]
    if not isinstance(method, str) or ("@" not in method and method.upper() not in _METHODS):
        check.refuse(f"the method must be one of {', '.join(_METHODS)}", "inputs/method")
    authentication = inputs.get("authentication")
    if isinstance(authentication, dict):
        _check_authentication(check, authentication)
    limit = check.mapping(check.definition.get("limit", {}), "limit")
    check.only(limit, frozenset({"timeout"}), "limit")
    check.expressions(limit, "limit")
    options = check.definition.get("operationOptions", "")
    if not isinstance(options, str):
        check.refuse("it must be a string", "operationOptions")
    given = [option.strip() for option in options.split(",") if option.strip()]
    return frozenset(check.literal(option, "operationOptions", _OPTIONS) for option in given)


def _check_authentication(check: Check, authentication: dict[str, Any]) -> None:
    place = "inputs/authentication"
    check.required(authentication, ("type",), place)
    name = str(authentication["type"])
    if name.lower() in _REFUSED_AUTHENTICATIONS:
        check.unsupported(f"the authentication type '{name}'", f"{place}/type")
    if name.lower() not in _AUTHENTICATIONS and "@" not in name:
        check.refuse(f"the authentication type '{name[:60]}' is not known", f"{place}/type")
    if name.lower() in _AUTHENTICATIONS:
        check.only(authentication, _AUTHENTICATIONS[name.lower()], place)


# Run


async def _run(invocation: ActionInvocation) -> Outcome:
    inputs = invocation.evaluate(invocation.inputs, "inputs")
    invocation.show(_shown(inputs))
    request = _request(invocation, inputs)

    async def once() -> Reply:
        return await _send(invocation, request)

    work = persist(invocation, inputs.get("retryPolicy"), once)
    limit = invocation.action.definition.get("limit", {}).get("timeout")
    if limit is None:
        return _outcome(*await work, invocation)
    allowed = _limit(invocation.evaluate(limit, "limit/timeout"))
    task = asyncio.ensure_future(work)
    alarm = asyncio.ensure_future(invocation.services.clock.sleep(allowed))
    try:
        await asyncio.wait((task, alarm), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return _outcome(*task.result(), invocation)
    finally:
        task.cancel()
        alarm.cancel()
    problem = Problem("ActionTimedOut", f"The action did not end within its limit of {allowed:g} seconds.")
    return Outcome(Status.TIMED_OUT, problem.code, invocation.record.inputs, problem=problem)


def _limit(value: Any) -> float:
    try:
        return seconds(value if isinstance(value, str) else "")
    except ValueError as error:
        message = f"The property 'limit.timeout' is not valid: {error}."
        raise ActionError("InvalidTemplate", message) from None


def _shown(inputs: dict[str, Any]) -> dict[str, Any]:
    """What history shows: never how the action proves who it is."""
    shown = dict(inputs)
    if "authentication" in shown:
        shown["authentication"] = SANITIZED
    headers = shown.get("headers")
    if isinstance(headers, dict):
        shown["headers"] = {k: SANITIZED if k.lower() == "authorization" else v for k, v in headers.items()}
    return shown


def _request(invocation: ActionInvocation, inputs: dict[str, Any]) -> _Request:
    method, uri = inputs["method"], inputs["uri"]
    if not isinstance(method, str) or method.upper() not in _METHODS:
        message = f"The property 'method' must be one of {', '.join(_METHODS)}."
        raise ActionError("BadRequest", message)
    body, content_type = encode_body(inputs.get("body"))
    headers = header_texts(inputs.get("headers"))
    for name, value in headers:
        if not _HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            message = f"The header '{name[:60]}' has characters that HTTP does not allow in a header."
            raise ActionError("BadRequest", message)
    given = {name.lower() for name, _ in headers}
    if content_type is not None and "content-type" not in given:
        headers.append(("Content-Type", content_type))
    if inputs.get("cookie"):
        headers.append(("Cookie", text(inputs["cookie"])))
    authorization = _authorization(invocation, inputs.get("authentication"))
    if authorization is not None:
        headers = [(name, value) for name, value in headers if name.lower() != "authorization"]
        headers.append(("Authorization", authorization))
    if "SuppressWorkflowHeaders" not in invocation.action.plan:
        headers += [(name, value) for name, value in workflow_headers(invocation) if name not in given]
    return _Request(method.upper(), _uri(invocation, uri, inputs.get("queries")), tuple(headers), body)


def _uri(invocation: ActionInvocation, uri: Any, queries: Any) -> str:
    if not isinstance(uri, str) or not uri.lower().startswith(("http://", "https://")):
        raise ActionError("BadRequest", "The property 'uri' must be an absolute http or https URI.")
    uri = uri.partition("#")[0]  # a fragment is never sent
    if queries is not None:
        if not isinstance(queries, dict):
            raise ActionError("BadRequest", "The property 'queries' must be an object.")
        pairs = "&".join(f"{uri_component(name)}={uri_component(text(value))}" for name, value in queries.items())
        if pairs:
            uri += ("&" if "?" in uri else "?") + pairs
    # What a value brought in that no URI may hold (blanks, line ends, other scripts) is percent-encoded.
    escaped = quote(uri, safe=_URI_SAFE, errors="replace")
    most = invocation.services.limits["playbooks.url"]
    if len(escaped) > most:
        message = f"The URI has {len(escaped)} characters; the limit is {most}."
        raise ActionError("BadRequest", message)
    return escaped


def _authorization(invocation: ActionInvocation, authentication: Any) -> str | None:
    if authentication is None:
        return None
    kind = str(authentication.get("type", "")).lower() if isinstance(authentication, dict) else ""
    if kind not in _AUTHENTICATIONS:
        shown = kind[:60] or type(authentication).__name__
        message = f"The authentication type '{shown}' is not one that Lurewire runs: {', '.join(_AUTHENTICATIONS)}."
        raise ActionError("NotSupported", message)
    if kind == "raw":
        return text(authentication.get("value"))
    if kind == "basic":
        pair = f"{text(authentication.get('username'))}:{text(authentication.get('password'))}"
        return f"Basic {base64.b64encode(pair.encode('utf-8', 'replace')).decode('ascii')}"
    principal = managed_principal(invocation, authentication, "action")
    audience = text(authentication.get("audience")) or _MANAGEMENT
    try:
        return f"Bearer {invocation.services.token_for(principal, audience)}"
    except WireError as error:
        raise ActionError(error.code, error.message) from error
    except Unauthenticated as error:
        raise ActionError("Unauthorized", error.message) from error


def workflow_headers(invocation: ActionInvocation) -> list[tuple[str, str]]:
    """What a workflow says of itself; `x-ms-client-request-id` is the same when the action is repeated.

    Source: https://learn.microsoft.com/azure/logic-apps/logic-apps-limits-and-config (headers of outbound requests)
    """
    run = invocation.run
    identity, tracking = run.identity, invocation.tracking_id
    return [
        ("user-agent", f"azure-logic-apps/1.0,(workflow {identity.id.name}; version {identity.version})"),
        ("accept-language", "en"),
        ("x-ms-client-request-id", tracking),
        ("x-ms-client-tracking-id", run.client_tracking_id),
        ("x-ms-tracking-id", tracking),
        ("x-ms-action-tracking-id", tracking),
        ("x-ms-correlation-id", run.client_tracking_id),
        ("x-ms-workflow-name", identity.id.name),
        ("x-ms-workflow-version", identity.version),
        ("x-ms-workflow-subscription-id", identity.id.subscription or ""),
        ("x-ms-workflow-resourcegroup-name", identity.id.resource_group or ""),
        ("x-ms-workflow-run-id", run.name),
        ("x-ms-workflow-operation-name", quote(invocation.action.name)),
    ]


async def _send(invocation: ActionInvocation, request: _Request) -> Reply:
    """One attempt, with the questions for the result where the answer is 202."""
    method, uri, body = request.method, request.uri, request.body
    timeout = float(invocation.services.limits["playbooks.request_seconds"])
    while True:
        try:
            answer = await invocation.services.outbound.request(
                method, uri, headers=request.headers, body=body, timeout=timeout
            )
        except OutboundRefused as error:
            return Reply.refused("OutboundRefused", str(error))
        except OutboundError as error:
            return Reply.lost(str(error))
        location = answer.header("location")
        if answer.status != 202 or location is None or "DisableAsyncPattern" in invocation.action.plan:
            break
        await invocation.services.clock.sleep(_poll_delay(answer.header("retry-after")))
        method, uri, body = "GET", urljoin(uri, location), None
    outputs: dict[str, Any] = {"statusCode": answer.status, "headers": joined_headers(answer.headers)}
    if answer.body:
        outputs["body"] = decode_body(answer.body, answer.header("content-type"))
    if answer.route is not None:
        outputs["route"] = answer.route
    return Reply(answer.status, outputs, answer.header("retry-after"))


def _poll_delay(retry_after: str | None) -> float:
    return float(retry_after) if retry_after is not None and retry_after.isdigit() else POLL_SECONDS


def _outcome(reply: Reply, retries: tuple[dict[str, Any], ...], invocation: ActionInvocation) -> Outcome:
    inputs = invocation.record.inputs
    if reply.problem is not None:
        return Outcome(Status.FAILED, reply.problem.code, inputs, problem=reply.problem, retries=retries)
    code = phrase(reply.status)
    if 200 <= reply.status < 300:
        return Outcome(Status.SUCCEEDED, code, inputs, reply.outputs, retries=retries)
    problem = Problem(code, f"Http request failed with status code '{reply.status}' ({code}).")
    return Outcome(Status.FAILED, code, inputs, reply.outputs, problem, retries)


HTTP: tuple[ActionType, ...] = (
    ActionType(
        "Http",
        frozenset({"inputs", "limit"}),
        _check,
        _run,
        "https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers#http-action",
        effect=lambda _action: True,
    ),
)
