"""Bad input, over the real wire: each gets its documented error, or is an interaction, and nothing else changes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import os
import re
import socket
import subprocess
import sys
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import asyncssh
import pytest
import pytest_asyncio
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.monitor.query import LogsQueryClient
from tests.e2e.rig import SCOPES, Answer, App, Rig, running_rig

from lurewire.demo.attackers import PROXY, http_request, proxy_header
from lurewire.demo.run import lookup_data
from lurewire.ipintel import addresses
from lurewire.sensor.events import sample_events
from lurewire.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIFETIME = {"identity.access_token_lifetime": 5, "identity.clock_skew": 0}
THREATS, INTERACTIONS, ENRICHMENT = "TrapEye_Threats_CL", "TrapEye_Interactions_CL", "IPInsights_CL"
TABLES = (THREATS, INTERACTIONS, ENRICHMENT, "SecurityAlert")
KINDS = ("alertRules", "automationRules")
MEGABYTE = 1 << 20

ESCAPES = (
    "\x1b]0;owned\x07\x1b[31m\x1b[2J\x9b31m[bold red]pwned[/bold red]\u202e<img src=x onerror=alert(1)>\r\nfake=line"
)
"""OSC and CSI sequences (7 and 8 bit), rich mark-up, a bidirectional override, HTML, and a line of its own."""
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class State:
    """What there is: rows by table, incidents by number, resources with their etags, process ids."""

    rows: Counter[str]
    incidents: int
    resources: dict[str, str]
    pids: tuple[int, int | None]


async def state(rig: Rig) -> State:
    rows = Counter({table: await rig.count(table) for table in TABLES})
    insights = f"{rig.group}/providers/Microsoft.Insights"
    lists = [
        *(f"{rig.sentinel}/{kind}" for kind in KINDS),
        *(f"{insights}/{kind}" for kind in ("dataCollectionRules", "dataCollectionEndpoints")),
        f"{rig.workspace}/tables",
        f"{rig.group}/providers/Microsoft.Logic/workflows",
    ]
    listed = [one for path in lists for one in await rig.listed(path)]
    # Azure's own tables are shown from their first row on; rows are counted above.
    resources = {one["id"].lower(): etag for one in listed if (etag := one.get("etag", "")) != '"built-in"'}
    return State(rows, len(await rig.incidents()), resources, rig.pids())


@contextlib.asynccontextmanager
async def changing(rig: Rig, **rows: int) -> AsyncIterator[None]:
    """Nothing changes meanwhile but the number of rows in the tables named; a new threat is one incident."""
    before = await state(rig)
    yield

    async def arrived() -> bool:
        # The playbook sends its row after the comment: the count would race it.
        return all([await rig.count(table) >= before.rows[table] + count for table, count in rows.items()])

    await rig.until(arrived, f"the rows {rows}")
    after = await state(rig)
    assert after.rows == before.rows + Counter(rows)
    assert after.incidents == before.incidents + rows.get(THREATS, 0)
    assert after.resources == before.resources
    assert after.pids == before.pids


@contextlib.asynccontextmanager
async def touching(rig: Rig, source: str, interactions: int) -> AsyncIterator[list[dict[str, Any]]]:
    """A new source makes so many interactions, one threat, one incident, one comment; they are filled in at the end."""
    found: list[dict[str, Any]] = []
    query = f"{INTERACTIONS} | where source_ip == '{source}' | order by TimeGenerated asc"
    touch = {THREATS: 1, INTERACTIONS: interactions, ENRICHMENT: 1, "SecurityAlert": 1}
    async with changing(rig, **touch):
        yield found

        async def arrived() -> bool:
            found[:] = await rig.rows(query)
            return len(found) >= interactions

        await rig.until(arrived, f"the interactions of {source}")
        incident = await rig.incident(source)
        assert incident["properties"]["severity"] == "Medium"
        [comment] = await rig.comments(incident)
        assert "<td>0/100 (low)</td>" in comment
        assert "<img" not in comment
        assert CONTROLS.search(comment) is None
    for row in found:
        row["additional_data"] = json.loads(row["additional_data"])


@dataclass
class Old:
    """Tokens that were taken when the module began: they expire within seconds."""

    by_service: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with running_rig(tmp_path_factory.mktemp("bad") / "state", LIFETIME) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def old(rig: Rig) -> Old:
    return Old({service: await rig.token(rig.owner, service) for service in SCOPES})


def refused(answer: Answer, status: int, code: str, message: str = "") -> dict[str, Any]:
    """The error of an answer; its body is what a client may read, and shows nothing of our inside."""
    assert answer.status == status, answer.body
    error = answer.error
    assert error["code"] == code, answer.body
    assert re.search(message, error["message"]), answer.body
    assert b"Traceback" not in answer.body
    return error


async def services(rig: Rig, token: str | None) -> dict[str, Answer]:
    """One harmless request to each service."""
    json_type = {"Content-Type": "application/json"}
    workspace = rig.facts["workspace_id"]
    rule = rig.facts["dcrs"]["trapeye-dcr"]
    return {
        "monitor": await rig.send(
            "POST",
            f"/dataCollectionRules/{rule}/streams/Custom-{THREATS}?api-version=2023-01-01",
            token=token,
            data=json.dumps([threat("203.0.113.200")]).encode(),
            headers=json_type,
        ),
        "query": await rig.send(
            "POST", f"/v1/workspaces/{workspace}/query", token=token, data=b'{"query":"print 1"}', headers=json_type
        ),
        "management": await rig.send("GET", f"{rig.workspace}?api-version=2023-09-01", token=token),
        "vault": await rig.send("GET", "/secrets/ipinsights-api-key?api-version=7.6", token=token),
    }


def threat(source: str, **more: str) -> dict[str, Any]:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
    times = {"first_interaction": at, "last_interaction": at}
    return (
        sample_events()[0]
        | times
        | {"source_ip": source, "reverse_lookup": "", "threat_uuid": str(uuid.uuid4())}
        | more
    )


# Who asks


async def test_wrong_credentials(rig: Rig) -> None:
    secret = "not-the-secret-0123456789"
    scope = SCOPES["monitor"]
    known = rig.sender
    cases = {
        7000215: (known.client_id, secret, scope, ""),
        7000218: (known.client_id, "", scope, ""),
        700016: (str(uuid.uuid4()), known.client_secret, scope, ""),
        90002: (known.client_id, known.client_secret, scope, str(uuid.uuid4())),
        500011: (known.client_id, known.client_secret, "https://example.org/.default", ""),
        1002012: (known.client_id, known.client_secret, "https://monitor.azure.com/x y", ""),
    }
    async with changing(rig):
        for number, given in cases.items():
            answer = await rig.ask_token(*given)
            assert answer.status == (401 if number in (7000215, 7000218) else 400)
            body = answer.json()
            assert body["error_codes"] == [number]
            assert body["error_description"].startswith(f"AADSTS{number}: ")
            assert "access_token" not in body
            assert secret not in json.dumps(body)
            assert answer.headers["Cache-Control"].startswith("no-store")
        for hostile in (b"\xff\xfe=1", b"grant_type=a&grant_type=b", b"x=" + b"y" * 70_000):
            answer = await rig.send("POST", f"/{rig.facts['tenant_id']}/oauth2/v2.0/token", data=hostile)
            assert (answer.status, answer.json()["error_codes"]) == (400, [9002313])
    assert secret not in (rig.folder / "core.log").read_text()


UNAUTHENTICATED = {
    "monitor": {"": "AuthenticationTokenInvalid", "wrong audience": "InvalidAudience"},
    "query": {"": "InvalidTokenError"},
    "management": {
        "": "InvalidAuthenticationToken",
        "missing": "AuthenticationFailed",
        "expired": "ExpiredAuthenticationToken",
        "wrong audience": "InvalidAuthenticationTokenAudience",
    },
    "vault": {"": "Unauthorized"},
}


def challenged(answers: dict[str, Answer], case: str) -> None:
    for service, answer in answers.items():
        codes = UNAUTHENTICATED[service]
        refused(answer, 401, codes.get(case, codes[""]))
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_expired_tokens(rig: Rig, old: Old) -> None:
    async def expired() -> bool:
        return (await services(rig, old.by_service["vault"]))["vault"].status == 401

    async with changing(rig):
        await rig.until(expired, "the token that was taken last to expire", 10)
        for service, token in old.by_service.items():
            challenged({service: (await services(rig, token))[service]}, "expired")


async def test_tokens_for_another_audience(rig: Rig) -> None:
    async with changing(rig):
        for asked, other in zip(SCOPES, [*list(SCOPES)[1:], *list(SCOPES)[:1]], strict=True):
            token = await rig.token(rig.owner, other)
            challenged({asked: (await services(rig, token))[asked]}, "wrong audience")


async def test_no_token_and_forged_tokens(rig: Rig) -> None:
    async with changing(rig):
        challenged(await services(rig, None), "missing")
        real = await rig.token(rig.owner, "management")
        head, claims, signature = real.split(".")
        none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
        flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
        deep = base64.urlsafe_b64encode(b"[" * 3_000).rstrip(b"=").decode()
        forged = (
            "x",
            "a.b.c",
            f"{none}.{claims}.",
            f"{none}.{claims}.{signature}",
            f"{head}.{claims}.{flipped}",
            f"{head}.{claims}",
            f"{deep}.{claims}.{signature}",
            f"{head}.{deep}.{signature}",
        )
        for token in forged:
            challenged(await services(rig, token), "forged")


async def test_missing_roles(rig: Rig) -> None:
    body = {"properties": {"schema": {"name": "Mine_CL", "columns": [{"name": "TimeGenerated", "type": "datetime"}]}}}
    async with changing(rig):
        reader = await services(rig, await rig.token(rig.reader, "monitor"))
        error = refused(reader["monitor"], 403, "OperationFailed", "does not have access to ingest data")
        assert rig.facts["dcrs"]["trapeye-dcr"] in error["message"]
        refused(await rig.kql("print 1", app=rig.sender), 403, "InsufficientAccessError")
        vault = await services(rig, await rig.token(rig.reader, "vault"))
        refused(vault["vault"], 403, "Forbidden", "not authorized")
        put = await rig.arm("PUT", f"{rig.workspace}/tables/Mine_CL", body, app=rig.reader)
        refused(put, 403, "AuthorizationFailed", "Microsoft.OperationalInsights/workspaces/tables/write")
        rules = await rig.listed(f"{rig.sentinel}/alertRules")
        refused(await rig.arm("PUT", rules[0]["id"], rules[0], app=rig.reader), 403, "AuthorizationFailed")
        refused(await rig.arm("DELETE", rules[0]["id"], app=rig.reader), 403, "AuthorizationFailed")
        refused(await rig.arm("GET", f"{rig.sentinel}/incidents", app=rig.sender), 403, "AuthorizationFailed")


# What is sent to the Logs Ingestion API


HOSTILE_NAMES = (
    "x'; DROP TABLE TrapEye_Threats_CL; --",
    'x"; DROP TABLE TrapEye_Threats_CL; --',
    "..\\..\\etc",
    "tr\u00e4p\u202e\U0001f4a3",
    "a\x00b",
    "a\r\nX-Injected: 1",
    "a\x1b[31m",
    "%2e%2e",
    "{{7*7}}${7*7}",
    "x" * 2_000,
)


async def test_unknown_rules_and_streams(rig: Rig) -> None:
    body = json.dumps([threat("203.0.113.201")]).encode()
    async with changing(rig):
        for name in ("dcr-" + "0" * 32, rig.facts["tenant_id"], *HOSTILE_NAMES):
            answer = await rig.upload(body, rule=quote(name, safe=""))
            refused(answer, 404, "NotFound", "^Data collection rule with immutable Id '")
            assert "X-Injected" not in answer.headers
        for name in ("Custom-Nothing_CL", f"Custom-{ENRICHMENT}", THREATS, *HOSTILE_NAMES):
            answer = await rig.upload(body, name)
            refused(answer, 400, "InvalidStream", "was not configured in Data Collection Rule")
        # A slash of the name is one of the path: no route leads there.
        assert (await rig.upload(body, "../../../subscriptions")).status == 404
        assert (await rig.upload(body, rule="..%2f..%2fsecrets")).status == 404


async def test_bodies_that_are_no_array_of_records(rig: Rig) -> None:
    record = json.dumps(threat("203.0.113.202"))
    bodies = (
        record,
        "null",
        "7",
        '"text"',
        "[1, 2]",
        f"[{record}, null]",
        f"[[{record}]]",
        f"[{record}",
        f"[{record}]]",
        f"[{record},]",
        "\x00",
        "[" * 100_000,
        "not json",
        '[{"@meta": ' + "[" * 5_000 + "]" * 5_000 + "}]",
    )
    async with changing(rig):
        for text in bodies:
            refused(await rig.upload(text.encode()), 400, "InvalidPayload")
        refused(await rig.upload(f'[{{"source_ip": "{chr(0xE9)}"}}]'.encode("latin-1")), 400, "InvalidPayload", "UTF-8")
        refused(await rig.upload(record.encode(), Content_Type="text/plain"), 415, "UnsupportedMediaType")
        empty = await rig.upload(b"")
        assert (empty.status, empty.body) == (500, b""), "as the service itself"


async def test_broken_gzip(rig: Rig) -> None:
    good = gzip.compress(json.dumps([threat("203.0.113.203")]).encode())
    broken = {
        "no gzip": b"[]",
        "cut": good[:-9],
        "without its checksum": good[:-8],
        "wrong checksum": good[:-8] + bytes(8),
        "damaged": good[:20] + bytes(10) + good[30:],
        "more behind it": good + b"rubbish",
        "header alone": good[:10],
    }
    async with changing(rig):
        for name, body in broken.items():
            answer = await rig.upload(body, Content_Encoding="gzip")
            assert answer.status == 400, name
            refused(answer, 400, "InvalidPayload", "gzip")
        refused(await rig.upload(good), 400, "InvalidPayload")
        refused(await rig.upload(good, Content_Encoding="br"), 415, "UnsupportedMediaType")


async def test_bodies_over_a_megabyte(rig: Rig) -> None:
    record = threat("203.0.113.204", source_asn="x" * 1_000)
    over = json.dumps([record] * 900).encode()
    assert MEGABYTE < len(over) < 2 * MEGABYTE
    bomb = gzip.compress(b"[" + b" " * (200 * MEGABYTE) + b"]", compresslevel=9)
    assert len(bomb) < MEGABYTE
    message = "^Maximum allowed content length: 1048576 bytes"
    async with changing(rig):
        refused(await rig.upload(over), 413, "ContentLengthLimitExceeded", message)
        refused(
            await rig.upload(gzip.compress(over), Content_Encoding="gzip"), 413, "ContentLengthLimitExceeded", message
        )
        refused(await rig.upload(bomb, Content_Encoding="gzip"), 413, "ContentLengthLimitExceeded", message)
        with contextlib.suppress(OSError):  # the server may hang up on what it will not read
            refused(await rig.upload(b"[" + b" " * (8 * MEGABYTE)), 413, "ContentLengthLimitExceeded", message)


# Names, and text that is compiled


def rule_body(rig: Rig, columns: list[dict[str, str]], transform: str, *, stream: str, table: str) -> dict[str, Any]:
    return {
        "location": "local",
        "kind": "Direct",
        "properties": {
            "streamDeclarations": {stream: {"columns": columns}},
            "destinations": {"logAnalytics": [{"name": "ws", "workspaceResourceId": rig.workspace}]},
            "dataFlows": [
                {
                    "streams": [stream],
                    "destinations": ["ws"],
                    "transformKql": transform,
                    "outputStream": f"Custom-{table}",
                }
            ],
        },
    }


async def test_transforms_that_do_not_compile(rig: Rig) -> None:
    rules = f"{rig.group}/providers/Microsoft.Insights/dataCollectionRules"
    columns = [{"name": "source_ip", "type": "string"}]
    transforms = {
        "source\n| where nothing == 1": r"Line 2, column 9: .*'nothing'",
        "source\n| extend TimeGenerated = now(\n": r"Line 3, column 1",
        "source | where source_ip == 'open": r"Line 1, column 29",
        "source\n|\n summarize count()": r"Line 3, column 2: .*summarize",
        "source | join (source) on source_ip": r"Line 1, column 10: .*join",
        "source | extend TimeGenerated = system('id')": r"Line 1, column 33: .*system",
        "source | extend TimeGenerated = read_csv('/etc/passwd')": r"Line 1, column 33: .*read_csv",
        f"{THREATS} | extend TimeGenerated = now()": r"Line 1, column 1: ",
        "source | project TimeGenerated = " + "(" * 5_000 + "now()" + ")" * 5_000: r"Line 1, column \d+: ",
        "source; DROP TABLE x": r"Line 1, column \d+: ",
    }
    async with changing(rig):
        for transform, message in transforms.items():
            body = rule_body(rig, columns, transform, stream="Custom-In", table=THREATS)
            answer = await rig.arm("PUT", f"{rules}/hostile", body)
            [detail, *_] = refused(answer, 400, "InvalidPayload", "Data collection rule is invalid")["details"]
            assert (detail["code"], detail["target"]) == (
                "InvalidTransformQuery",
                "properties.dataFlows[0].transformKql",
            )
            assert re.search(message, detail["message"]), detail
        refused(await rig.arm("GET", f"{rules}/hostile"), 404, "ResourceNotFound")
        # What works goes on working when a bad change of it is refused.
        existing = (await rig.arm("GET", f"{rules}/trapeye-dcr")).json()
        changed = json.loads(json.dumps(existing).replace("source\\n", "sauce\\n").replace("source |", "sauce |"))
        assert changed != existing
        refused(await rig.arm("PUT", f"{rules}/trapeye-dcr", changed), 400, "InvalidPayload")
        assert (await rig.arm("GET", f"{rules}/trapeye-dcr")).json() == existing


async def test_hostile_names_of_tables_columns_and_streams(rig: Rig) -> None:
    rules = f"{rig.group}/providers/Microsoft.Insights/dataCollectionRules"
    time = {"name": "TimeGenerated", "type": "datetime"}
    names = (*HOSTILE_NAMES, "a b", "1a", "", "_ResourceId", "TenantId", "a" * 46, "a-b", "a.b", "tr\u00e4p", "\u0430")
    async with changing(rig):
        for name in (*(f"{name}_CL" for name in HOSTILE_NAMES), "_CL", "..", ".", "Plain", "a b_CL", "1a_CL"):
            body = {"properties": {"schema": {"name": name, "columns": [time]}}}
            answer = await rig.arm("PUT", f"{rig.workspace}/tables/{quote(name, safe='')}", body)
            assert answer.status == 400, (name, answer.body)
            assert answer.error["code"] in ("InvalidParameter", "InvalidResourceName", "InvalidResourceId"), name
        for name in names:
            body = {"properties": {"schema": {"name": "Mine_CL", "columns": [time, {"name": name, "type": "string"}]}}}
            refused(await rig.arm("PUT", f"{rig.workspace}/tables/Mine_CL", body), 400, "InvalidParameter")
        for name in ('a"b', "a\\b", "a\x00b", "a\x1b[31m", "", "x" * 129):
            declared = [time, {"name": name, "type": "string"}]
            body = rule_body(rig, declared, "source", stream="Custom-In", table=THREATS)
            error = refused(await rig.arm("PUT", f"{rules}/hostile", body), 400, "InvalidPayload")
            assert error["details"][0]["code"] == "InvalidStream"
        for name in ("In", "Custom-", "", "Microsoft-../../x", "Microsoft-'; DROP TABLE x; --"):
            body = rule_body(rig, [time], "source", stream=name, table=THREATS)
            error = refused(await rig.arm("PUT", f"{rules}/hostile", body), 400, "InvalidPayload")
            assert error["details"][0]["code"] == "InvalidStream"
        for table in ("Nothing_CL", "x'; DROP TABLE x; --", "../x", 'a"b'):
            body = rule_body(rig, [time], "source", stream="Custom-In", table=table)
            error = refused(await rig.arm("PUT", f"{rules}/hostile", body), 400, "InvalidPayload")
            assert error["details"][0]["code"] == "InvalidOutputTable"
        for path in ("/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/subscriptions/..%2f..%2f", "/%00", "//x"):
            answer = await rig.send(
                "GET", f"{path}?api-version=2024-03-01", token=await rig.token(rig.owner, "management")
            )
            assert 400 <= answer.status < 500, path
            assert b"root:" not in answer.body


async def test_hostile_names_that_are_allowed_are_only_names(rig: Rig) -> None:
    names = (
        "'; DROP TABLE TrapEye_Threats_CL; --",
        "`backtick`",
        "\u65e5\u672c\u8a9e \U0001f600",
        "../../etc/passwd",
        "$t_from",
        "c0",
        "select",
        "_commit",
        "%41 [x] {y} a.b",
        "['a']",
    )
    stream = "Custom-'; DROP TABLE x; -- \u202f\U0001f4a3"
    columns = [{"name": name, "type": "string"} for name in names]
    outputs = [{"name": f"v{i}", "type": "string"} for i in range(len(names))]
    schema = {"name": "Hostile_CL", "columns": [{"name": "TimeGenerated", "type": "datetime"}, *outputs]}
    table, rule = (
        f"{rig.workspace}/tables/Hostile_CL",
        f"{rig.group}/providers/Microsoft.Insights/dataCollectionRules/hostile-names",
    )

    def quoted(name: str) -> str:
        return '["' + name + '"]'

    transform = "source | project TimeGenerated = now(), " + ", ".join(
        f"v{i} = {quoted(name)}" for i, name in enumerate(names)
    )
    async with changing(rig):
        assert (await rig.arm("PUT", table, {"properties": {"schema": schema}})).status == 200
        made = await rig.arm("PUT", rule, rule_body(rig, columns, transform, stream=stream, table="Hostile_CL"))
        assert made.status == 201, made.body
        record = {name: f"{name} & {ESCAPES}" for name in names}
        immutable_id = made.json()["properties"]["immutableId"]
        sent = await rig.upload(json.dumps([record]).encode(), stream, rule=immutable_id)
        assert sent.status == 204, sent.body
        found: list[dict[str, Any]] = []

        async def arrived() -> bool:
            found[:] = await rig.rows("Hostile_CL")
            return bool(found)

        await rig.until(arrived, "the row")
        assert [found[0][f"v{i}"] for i in range(len(names))] == list(record.values())
        literal = names[0].replace("'", "\\'")
        assert await rig.rows(f"Hostile_CL | where v0 startswith '{literal}' | count") == [{"Count": 1}]
        assert await rig.rows(f"Hostile_CL | project {quoted(names[0])} = v1 | take 0") == []
        for resource in (rule, table):
            assert (await rig.arm("DELETE", resource)).status == 200


async def test_queries_that_do_not_compile(rig: Rig) -> None:
    cases = {
        f"{THREATS} | where": ("SyntaxError", 1),
        f"{THREATS}\n| take 1 2": ("SyntaxError", 2),
        "print 'open": ("SyntaxError", 1),
        f"{THREATS} | where 'a' matches": ("SyntaxError", 1),
        f"{THREATS}\n| where nothing == 1": ("SemanticError", 2),
        "NoSuchTable": ("SemanticError", 1),
        f"{THREATS} | invoke nothing()": ("SemanticError", 1),
        f"{THREATS} | evaluate python('import os')": ("SemanticError", 1),
        "print read_text('/etc/passwd')": ("SemanticError", 1),
        "duckdb_settings()": ("SemanticError", 1),
        "information_schema.tables": ("SemanticError", 1),
        f"{THREATS}; DROP TABLE {THREATS}": ("", 1),
        "print " + "(" * 5_000 + "1" + ")" * 5_000: ("", 1),
        "\x00\x1b[31m\u202e": ("SyntaxError", 1),
        "": ("", 0),
    }
    async with changing(rig):
        for text, (kind, line) in cases.items():
            answer = await rig.kql(text)
            error = refused(answer, 400, "BadArgumentError")
            inner = error["innererror"]
            assert not kind or inner["code"] == kind, (text, inner)
            if line:
                where = inner["innererror"]
                assert where["line"] == line, (text, inner)
                assert where["pos"] >= 1
                assert where["message"]
        for body in (
            b"",
            b"[]",
            b"null",
            b'{"query": 7}',
            b'{"query": "print 1"',
            b"[" * 100_000,
            b'{"query": "\xff"}',
        ):
            token = await rig.token(rig.reader, "query")
            path = f"/v1/workspaces/{rig.facts['workspace_id']}/query"
            answer = await rig.send("POST", path, token=token, data=body, headers={"Content-Type": "application/json"})
            refused(answer, 400, "BadArgumentError")
        refused(await rig.kql("print '" + "x" * MEGABYTE + "'"), 413, "PayloadTooLargeError")
        token = await rig.token(rig.reader, "query")
        nowhere = f"/v1/workspaces/{quote(HOSTILE_NAMES[0], safe='')}/query"
        refused(await rig.send("POST", nowhere, token=token, data=b"{}"), 403, "InsufficientAccessError")
        with LogsQueryClient(
            credential(rig, rig.reader),
            endpoint=rig.now.url,
            audience="https://api.loganalytics.io",
            connection_verify=rig.facts["ca"],
        ) as client:
            with pytest.raises(HttpResponseError) as raised:
                client.query_workspace(rig.facts["workspace_id"], f"{THREATS} |\n| take", timespan=None)
            assert raised.value.status_code == 400
            assert "SyntaxError" in str(raised.value)


def credential(rig: Rig, app: App) -> ClientSecretCredential:
    return ClientSecretCredential(
        rig.facts["tenant_id"],
        app.client_id,
        app.client_secret,
        authority=rig.now.url,
        disable_instance_discovery=True,
        connection_verify=rig.facts["ca"],
    )


# Lookups


async def test_lookups_of_what_is_no_address(rig: Rig) -> None:
    key = (await rig.ask("/keys", {"name": "bad-input"}))["key"]
    no_addresses = ("999.1.1.1", "1.2.3", "1.2.3.4.5", "<b>", "\u0661.1.1.1", "1.1.1.1\x00", "' OR 1=1 --", "x" * 5_000)
    async with changing(rig):
        for text in no_addresses:
            answer = await rig.send("GET", f"/api/v1/lookup?ip={quote(text)}", headers={"X-API-Key": key})
            refused(answer, 400, "invalid_ip")
            assert answer.json()["success"] is False
            assert b"<b>" not in answer.body or answer.headers["Content-Type"].startswith("application/json")
        for query, code in (("", "missing_ip"), ("?ip=", "missing_ip"), ("?ip=1.1.1.1&ip=2.2.2.2", "repeated_ip")):
            refused(await rig.send("GET", f"/api/v1/lookup{query}", headers={"X-API-Key": key}), 400, code)
        refused(await rig.send("GET", "/api/v1/lookup?ip=1.1.1.1"), 401, "missing_api_key")
        refused(await rig.send("GET", "/api/v1/lookup?ip=1.1.1.1", headers={"X-API-Key": "x"}), 401, "invalid_api_key")


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("999.1.1.1", "invalid_ip"),
        ("<img/src=x/onerror=alert(1)>'\u202e", "invalid_ip"),
        ("x&ip=1.1.1.1", "repeated_ip"),
    ],
)
async def test_a_playbook_whose_lookup_is_refused_fails_and_changes_nothing(rig: Rig, source: str, code: str) -> None:
    """Whoever may send events may send one whose address is none."""
    async with changing(rig, **{THREATS: 1, "SecurityAlert": 1}):
        assert (await rig.upload(json.dumps([threat(source)]).encode())).status == 204
        incident = await rig.incident(source)
        assert incident["properties"]["title"] == f"New threat from {source}"
        assert (incident["properties"]["severity"], incident["properties"]["status"]) == ("Medium", "New")
        assert await rig.comments(incident) == []
        run = await rig.run_of(incident)
        assert run is not None
        assert run["properties"]["status"] == "Failed"
        statuses = {one["name"]: one["properties"] for one in await rig.listed(f"{run['id']}/actions")}
        assert statuses["HTTP"]["status"] == "Failed"
        assert statuses["HTTP"]["code"] == "BadRequest"
        assert {statuses[name]["status"] for name in statuses if name.startswith(("Parse", "Add", "Store"))} == {
            "Skipped"
        }
        [repetition] = await rig.listed(f"{run['id']}/actions/HTTP/repetitions")
        given = (await rig.send("GET", repetition["properties"]["outputsLink"]["uri"])).json()
        assert (given["statusCode"], given["body"]["error"]["code"]) == (400, code)


async def test_commands_that_are_refused_say_why(rig: Rig) -> None:
    async with changing(rig):
        assert (await lurewire(rig, "ipintel", "key", "twice")).returncode == 0
        for arguments, why in (
            (("ipintel", "key", "twice"), "named 'twice' is in force already"),
            (("query", f"{THREATS} |"), "SYN0001"),
            (("query", "--json", "NoSuchTable"), "NoSuchTable"),
            (("app", "create", "x", "--role", "Emperor"), "no built-in role 'Emperor'"),
            (("app", "create", "x", "--role", "Reader", "--scope", "/../etc"), "not a resource id"),
        ):
            shown = await lurewire(rig, *arguments)
            assert (shown.returncode, shown.stdout) == (1, "")
            assert shown.stderr.startswith("Error: ")
            assert why in shown.stderr
            assert "Traceback" not in shown.stderr


async def lurewire(rig: Rig, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command on the running instance, in a terminal that shows colours."""
    code = "import sys; from lurewire.cli import main; sys.argv[0] = 'lurewire'; main()"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LUREWIRE_")}
    terminal = {"LUREWIRE_FOLDER": str(rig.folder), "FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "200"}
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=clean | terminal,
        check=False,
        timeout=60,
    )


# Attackers


async def ssh_login(rig: Rig, source: str, username: bytes, password: bytes) -> None:
    """One refused login, with bytes that no well-behaved client sends."""
    connection = await proxied(rig, rig.decoys.ssh_port, source)

    class Raw(asyncssh.SSHClient):  # type: ignore[misc]  # asyncssh's types are not followed
        tries = 1

        def connection_made(self, conn: Any) -> None:
            conn._username = username

        def password_auth_requested(self) -> bytes | None:
            self.tries -= 1
            return password if self.tries == 0 else None

    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.create_connection(
            Raw,
            sock=connection,
            username="x",
            known_hosts=None,
            client_keys=None,
            agent_path=None,
            config=None,
            preferred_auth=["password"],
        )


async def proxied(rig: Rig, port: int, source: str) -> socket.socket:
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setblocking(False)
    connection.bind((PROXY, 0))
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (rig.decoys.host, port))
    await loop.sock_sendall(connection, proxy_header(source, rig.decoys.host, port))
    return connection


async def http_bytes(rig: Rig, source: str, sent: bytes) -> bytes:
    """Everything that the HTTP decoy answers to these bytes on one connection."""
    reader, writer = await asyncio.open_connection(sock=await proxied(rig, rig.decoys.http_port, source))
    try:
        writer.write(sent)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()


def exact(details: dict[str, Any], name: str) -> bytes:
    return base64.b64decode(details[f"{name}_base64"])


async def test_attackers_bytes_that_are_not_utf_8(rig: Rig) -> None:
    source, username, password = "203.0.113.1", b"r\xffot\x00\xc3\x28", b"p\xe4ss"
    async with touching(rig, source, 5) as interactions:
        await ssh_login(rig, source, username, password)
        assert (await http_bytes(rig, source, b"GET /\xff\xfe HTTP/1.1\r\nHost: h\r\n\r\n")).startswith(
            b"HTTP/1.1 400 "
        )
        form = b"username=%ff%00&password=\xfe\xff"
        head = b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        sent = head + b"Content-Length: %d\r\n\r\n" % len(form) + form
        assert (await http_bytes(rig, source, sent)).startswith(b"HTTP/1.1 401 ")
    assert [row["interaction_type"] for row in interactions] == [
        "connection",
        "login_attempt",
        "login_attempt",
        "malformed_request",
        "login_attempt",
    ]
    ssh, malformed, http = (interactions[i]["additional_data"] for i in (2, 3, 4))
    assert (exact(ssh, "username"), exact(ssh, "password")) == (username, password)
    assert ssh["username"] == "r\\xffot\\x00\\xc3("
    assert malformed["reason"] == "malformed_request_line"
    assert exact(malformed, "raw").startswith(b"GET /\xff\xfe")
    assert (exact(http, "username"), exact(http, "password")) == (b"\xff\x00", b"\xfe\xff")
    assert exact(http, "body") == form


async def test_user_names_of_100_kb(rig: Rig) -> None:
    source, name = "203.0.113.2", "\u00e9" * 50_000
    async with touching(rig, source, 5) as interactions:
        await ssh_login(rig, source, name.encode(), b"x")
        form = f"username={name}&password=x".encode()
        head = b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        answer = await http_bytes(rig, source, head + b"Content-Length: %d\r\n\r\n" % len(form) + form)
        assert answer.startswith(b"HTTP/1.1 413 ")
        basic = b"Authorization: Basic " + base64.b64encode(name.encode() + b":x")
        answer = await http_bytes(rig, source, b"GET / HTTP/1.1\r\nHost: h\r\n" + basic + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413 ")
    ssh, http, header = (interactions[i]["additional_data"] for i in (2, 3, 4))
    assert (ssh["username"], ssh["username_length"]) == ("\u00e9" * 4096 + "...[truncated]", 100_000)
    assert http["username"] == "\u00e9" * 4096 + "...[truncated]"
    assert (http["body_complete"], http["accepted"]) == (False, False)
    assert header["reason"] == "head_too_large"


async def test_escape_sequences_and_mark_up_are_shown_inert(rig: Rig) -> None:
    source = "203.0.113.3"
    script = b"/<script>alert(1)</script>"
    async with touching(rig, source, 5) as interactions:
        await ssh_login(rig, source, ESCAPES.encode(), ESCAPES.encode())
        assert await http_request(rig.decoys, source, "POST", "/login", {"username": ESCAPES, "password": "x"}) == 401
        answer = await http_bytes(
            rig, source, b"GET %s HTTP/1.1\r\nHost: %s\r\nX: %s\r\n\r\n" % (script, script[1:], script)
        )
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"alert(1)" not in answer
    *logins, page = (row["additional_data"] for row in interactions[1:])
    assert [login["username"] for login in logins] == [ESCAPES] * 3, "kept as they were sent"
    assert page["target"] == script.decode()
    query = f"{INTERACTIONS} | where source_ip == '{source}' | project name = tostring(additional_data.username)"
    for option in ((), ("--json",)):
        shown = await lurewire(rig, "query", *option, query)
        assert shown.returncode == 0, shown.stderr
        plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.stdout) if not option else shown.stdout  # rich's own bold headings
        assert CONTROLS.search(plain) is None
        assert "[31m" not in shown.stdout.replace(r"\x1b[31m", "").replace(r"\u001b[31m", "")
        assert "[bold red]pwned[/bold red]" in shown.stdout
        assert "fake=line" not in [line.strip() for line in shown.stdout.splitlines()]
    for name in ("core.log", "sensor.log"):
        log = (rig.folder / name).read_text(encoding="utf-8")
        assert CONTROLS.search(log) is None, name
        assert not any(line.startswith("fake=line") for line in log.splitlines())
    incident = await rig.incident(source)
    assert "pwned" not in json.dumps(incident)


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /login HTTP/1.1\r\nHost: h\r\n"
SMUGGLING = {
    "content_length_and_transfer_encoding": (
        b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n1\r\nZ\r\n0\r\n\r\n",
    ),
    "several_content_lengths": (b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",),
    "malformed_content_length": (b"Content-Length: +5\r\n\r\nabcde", b"Content-Length: 5, 5\r\n\r\nabcde"),
    "transfer_encoding_not_chunked": (
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    ),
    "space_before_colon": (b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",),
    "folded_header": (b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",),
    "bare_line_feed": (b"X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",),
    "control_character": (b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",),
    "malformed_body": (b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n",),
}


async def test_smuggled_requests_are_never_taken_for_requests(rig: Rig) -> None:
    source = "203.0.113.4"
    ambiguous = [(reason, sent) for reason, every in SMUGGLING.items() for sent in every]
    pipelined = b"GET /first HTTP/1.1\r\nHost: h\r\n\r\n"
    async with touching(rig, source, len(ambiguous) + 1) as interactions:
        for _, sent in ambiguous:
            answer = await http_bytes(rig, source, POST + sent + SMUGGLED)
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert answer.count(b"HTTP/1.1 ") == 1
        answer = await http_bytes(rig, source, pipelined + SMUGGLED)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"Connection: close\r\n" in answer
    *malformed, first = interactions
    assert [row["additional_data"]["reason"] for row in malformed] == [reason for reason, _ in ambiguous]
    assert first["additional_data"]["target"] == "/first"
    assert first["additional_data"]["surplus"] == SMUGGLED.decode()


async def test_afterwards_all_is_as_before(rig: Rig) -> None:
    """The loop still runs in the processes that were there at the start, and nothing came late."""
    assert rig.pids() == (rig.now.core_pid, rig.now.sensor_pid)
    data = lookup_data(Settings({}))
    try:
        [source] = addresses(data, "tor", count=1)
    finally:
        data.close()
    async with changing(rig, **{THREATS: 1, INTERACTIONS: 1, ENRICHMENT: 1, "SecurityAlert": 1}):
        assert await http_request(rig.decoys, source, "GET", "/") == 200
        incident = await rig.incident(source)
    assert incident["properties"]["severity"] == "High"
    sources = [row["source_ip"] for row in await rig.rows(f"{THREATS} | project source_ip")]
    assert not [one for one in sources if one.startswith("203.0.113.20")], "the refused uploads"
    for name in ("core.log", "sensor.log"):
        log = (rig.folder / name).read_text(encoding="utf-8")
        assert CONTROLS.search(log) is None, name
        assert "Traceback" not in log, log[-4_000:]
        assert "request failed" not in log
