"""Associations of rules and endpoints with resources: stored where they name what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from lurewire.ingestion.associations import ASSOCIATION
from lurewire.ingestion.errors import RuleInvalid

if TYPE_CHECKING:
    from tests.ingestion.cloud import ARM, COLUMNS, ENDPOINT, GROUP, RULE, WORKSPACE, Cloud, rule_body
else:
    from ingestion.cloud import ARM, COLUMNS, ENDPOINT, GROUP, RULE, WORKSPACE, Cloud, rule_body

AT = f"{WORKSPACE}/providers/Microsoft.Insights/dataCollectionRuleAssociations"


@pytest.fixture(scope="module", autouse=True)
def rule(cloud: Cloud) -> None:
    cloud.table("Events_CL", COLUMNS)
    cloud.rule("events-dcr", rule_body())


def test_associations_are_kept(cloud: Cloud) -> None:
    made = cloud.put(f"{AT}/mine", {"properties": {"dataCollectionRuleId": RULE, "description": "ours"}})
    assert made["properties"]["description"] == "ours"
    assert made["properties"]["provisioningState"] == "Succeeded"
    cloud.put(f"{AT}/configurationAccessEndpoint", {"properties": {"dataCollectionEndpointId": ENDPOINT}})


@pytest.mark.parametrize(
    ("properties", "target"),
    [
        (None, "properties"),
        ({}, "properties"),
        ({"dataCollectionRuleId": RULE, "dataCollectionEndpointId": ENDPOINT}, "properties"),
        ({"dataCollectionRuleId": f"{RULE}-not"}, "properties.dataCollectionRuleId"),
        ({"dataCollectionRuleId": ENDPOINT}, "properties.dataCollectionRuleId"),
        ({"dataCollectionRuleId": 7}, "properties.dataCollectionRuleId"),
        ({"dataCollectionEndpointId": ENDPOINT}, "name"),
    ],
)
def test_associations_that_azure_refuses(cloud: Cloud, properties: Any, target: str) -> None:
    with pytest.raises(RuleInvalid) as caught:
        cloud.put(f"{AT}/refused", {"properties": properties})
    assert [detail["target"] for detail in caught.value.details] == [target]


@pytest.mark.parametrize(
    ("wanted", "left"), [("true", {"other"}), ("false", {"mine", "other"}), ("", {"mine", "other"})]
)
def test_a_rule_is_deleted_with_its_associations_where_that_is_asked(cloud: Cloud, wanted: str, left: set[str]) -> None:
    gone = RULE.replace("events-dcr", "Gone-dcr")
    cloud.rule("Gone-dcr", rule_body())
    cloud.put(f"{AT}/mine", {"properties": {"dataCollectionRuleId": gone.lower()}})
    cloud.put(f"{AT}/other", {"properties": {"dataCollectionRuleId": RULE}})
    headers = {"Authorization": f"Bearer {cloud.token('owner', ('Owner', GROUP), resource=ARM)}"}
    query = {"api-version": "2023-03-11"} | ({"deleteAssociations": wanted} if wanted else {})
    for status in (200, 204):
        answer = requests.delete(f"{cloud.url()}{gone}", params=query, headers=headers, verify=cloud.ca, timeout=30)
        assert answer.status_code == status
    found = {body["name"] for body in cloud.store.list(ASSOCIATION)}
    assert found & {"mine", "other"} == left
