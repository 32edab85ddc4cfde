"""The log shows what a client sent, and none of its secrets."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from azure.keyvault.secrets import SecretClient

from lurewire.testbench.recording import shown_body, shown_headers, shown_query

if TYPE_CHECKING:
    from tests.testbench.started import MANAGEMENT, Started
else:
    from testbench.started import MANAGEMENT

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(autouse=True)
def clean(bench: Started) -> None:
    bench.ask("/testbench/reset", {})


def everything(bench: Started) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bench.ask("/testbench/requests", {})["value"]
    return found


def test_a_packed_upload_is_shown_unpacked(bench: Started) -> None:
    token = (
        bench.credential("log", "Monitoring Metrics Publisher").get_token("https://monitor.azure.com/.default").token
    )
    rule = bench.now.facts["dcrs"]["trapeye-dcr"]
    path = f"/dataCollectionRules/{rule}/streams/Custom-TrapEye_Threats_CL?api-version=2023-01-01"
    rows = [{"event": "new_threat", "password": "hunter2"}]
    packed = gzip.compress(json.dumps(rows).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert bench.call("POST", path, token, headers, data=packed).status_code == 204
    assert bench.call("GET", "/no/such/path", token).status_code == 404
    upload, lost = everything(bench)[-2:]
    assert upload["body"] == rows
    assert upload["bodyBytes"] == len(packed)
    assert upload["route"] == "/dataCollectionRules/{immutable_id}/streams/{stream}"
    assert upload["headers"]["authorization"] == "Bearer ***"
    assert (upload["query"], upload["answer"]["status"]) == ("api-version=2023-01-01", 204)
    assert (lost["room"], lost["answer"]["status"]) == (None, 404)
    assert token not in json.dumps(everything(bench))


def test_secrets_of_apps_vaults_and_templates_are_not_in_it(bench: Started) -> None:
    made = bench.app("secretive", "Key Vault Secrets Officer", "Owner")
    credential = bench.credential("secretive", "Owner")
    form = {"grant_type": "client_credentials", "client_id": made["client_id"], "scope": MANAGEMENT}
    tenant = bench.now.facts["tenant_id"]
    answer = bench.call(
        "POST", f"/{tenant}/oauth2/v2.0/token", data=form | {"client_secret": made["client_secret"]}
    ).json()
    with SecretClient(bench.url, credential, verify_challenge_resource=False, connection_verify=bench.ca) as vault:
        vault.set_secret("one", "the-value-of-one")
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {"Hush": {"type": "secureString"}},
        "resources": [],
    }
    body = {
        "properties": {"mode": "Incremental", "template": template, "parameters": {"hush": {"value": "the-parameter"}}}
    }
    path = f"{bench.group}/providers/Microsoft.Resources/deployments/d1?api-version=2024-03-01"
    assert bench.call("PUT", path, answer["access_token"], json=body).status_code in (200, 201)
    whole = json.dumps(everything(bench))
    for secret in (made["client_secret"], answer["access_token"], "the-value-of-one", "the-parameter"):
        assert secret not in whole
    assert made["client_id"] in whole
    [token_call] = [one for one in everything(bench) if one["body"] and made["client_id"] in str(one["body"])][:1]
    assert "client_secret=***" in token_call["body"]


def test_a_secret_that_resource_manager_puts_into_a_vault_is_not_in_it(bench: Started) -> None:
    token = bench.credential("secretive", "Owner").get_token(MANAGEMENT).token
    secret = {"properties": {"value": "the-value-by-arm"}}
    vault = f"{bench.group}/providers/Microsoft.KeyVault/vaults/lurewire-vault"
    answer = bench.call("PUT", f"{vault}/secrets/by-arm?api-version=2023-07-01", token, json=secret)
    assert answer.status_code in (200, 201), answer.text
    resource = {"type": "Microsoft.KeyVault/vaults/secrets", "apiVersion": "2023-07-01"}
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [resource | {"name": "lurewire-vault/by-template"} | secret],
    }
    body = {"properties": {"mode": "Incremental", "template": template}}
    path = f"{bench.group}/providers/Microsoft.Resources/deployments/d2?api-version=2024-03-01"
    assert bench.call("PUT", path, token, json=body).status_code in (200, 201)
    whole = json.dumps(everything(bench))
    assert "by-template" in whole
    assert "the-value-by-arm" not in whole


def test_secrets_of_a_playbook_and_its_connections_are_not_in_it() -> None:
    authentication = {"type": "Raw", "value": "SECRET"}
    headers = {"Authorization": "SECRET", "X-Functions-Key": "SECRET", "Accept": "a"}
    action = {"inputs": {"uri": "https://x.test/a?b=1&code=SECRET#c", "headers": headers, "body": "a=1&api_key=SECRET"}}
    properties = {
        "definition": {
            "parameters": {"Slack": {"type": "SecureString", "defaultValue": "SECRET"}},
            "actions": {"A": action | {"authentication": authentication}},
        },
        "parameters": {"slack": {"value": "SECRET"}},
    }
    connection = {
        "parameterValues": {"anything": "SECRET"},
        "parameterValueSet": {"name": "k", "values": {"a": "SECRET"}},
    }
    for body in ({"properties": properties}, {"properties": connection}):
        shown, _ = shown_body("arm", {}, json.dumps(body).encode(), 5000)
        assert "SECRET" not in str(shown)
    shown, _ = shown_body("arm", {}, json.dumps({"properties": properties}).encode(), 5000)
    inputs = shown["properties"]["definition"]["actions"]["A"]["inputs"]
    assert inputs["uri"] == "https://x.test/a?b=1&code=***#c"
    assert (inputs["headers"]["Accept"], inputs["body"]) == ("a", "a=1&api_key=***")


def test_bodies_are_kept_up_to_a_bound(bench: Started) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    bench.call("POST", f"/v1/workspaces/{bench.workspace_id}/query", data=bomb, headers={"Content-Encoding": "gzip"})
    [one] = everything(bench)
    assert one["bodyCut"] is True
    assert len(one["body"]) == 65_536


@pytest.mark.parametrize("body", [b'["\\ud800"]', b"[1e999]", b"[NaN]", b"[" * 5000, b"\xff\xfe", b'{"a":1,"a":2}'])
def test_a_body_that_no_json_has_is_shown_as_text(bench: Started, body: bytes) -> None:
    bench.call("POST", f"/v1/workspaces/{bench.workspace_id}/query", data=body)
    assert len(everything(bench)) == 1
    credential = bench.credential("log", "Monitoring Metrics Publisher", "Owner", scope=bench.subscription)
    token = credential.get_token(MANAGEMENT).token
    assert bench.call("GET", "/testbench/requests", token).status_code == 200


def test_headers_and_queries_by_name() -> None:
    raw = [
        (b"Authorization", b"SharedKey 6a5b:SECRET="),
        (b"X-API-Key", b"SECRET"),
        (b"X-IDENTITY-HEADER", b"SECRET"),
        (b"Cookie", b"SECRET"),
        (b"x-ms-authorization-auxiliary", b"Bearer SECRET"),
        (b"Ocp-Apim-Subscription-Key", b"SECRET"),
        (b"Proxy-Authorization", b"Basic SECRET"),
        (b"Accept", b"a"),
        (b"Accept", b"b"),
    ]
    shown = shown_headers(raw)
    assert "SECRET" not in str(shown)
    assert shown["authorization"] == "SharedKey 6a5b:***"
    assert shown["accept"] == "a, b"
    assert shown_query(b"api-version=1&sig=SECRET&code=SECRET&q=") == "api-version=1&sig=***&code=***&q="
    assert shown_query(b"%73ig=SECRET") == "%73ig=***"


def test_what_cannot_be_searched_for_secrets_is_not_kept() -> None:
    assert shown_body("identity", FORM, b"client_secret=" + b"x" * 100, 50) == (None, True)
    assert shown_body("arm", {}, b"not json, password=x", 50) == (None, False)
    assert shown_body("vault", {}, b'{"value": "x"}', 50) == (None, False)
    keys = {"primaryKey": "x", "ok": [{"password": "x", "type": "securestring", "value": "x"}], "token": {"kept": 1}}
    assert shown_body("arm", {}, json.dumps(keys).encode(), 500)[0] == {
        "primaryKey": "***",
        "ok": [{"password": "***", "type": "securestring", "value": "***"}],
        "token": {"kept": 1},
    }
