"""The quick-starts of the azure-mgmt-* packages, in the clients' environment: `mgmt_quickstarts.py NAME`.

Takes where to go from the variables of `lurewire env` and `lurewire app create`, and prints one JSON object: what the
SDKs' objects showed. Bodies are dictionaries, which every generation of these packages takes.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential

if TYPE_CHECKING:
    from collections.abc import Callable

URL = os.environ["LUREWIRE_URL"]
SUBSCRIPTION = os.environ["AZURE_SUBSCRIPTION_ID"]
GROUP = os.environ["LUREWIRE_RESOURCE_GROUP"]
WORKSPACE = os.environ["LUREWIRE_WORKSPACE"]
PLACE: dict[str, Any] = {"base_url": URL, "credential_scopes": ["https://management.azure.com/.default"]}
GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
WORKSPACE_ID = f"{GROUP_ID}/providers/Microsoft.OperationalInsights/workspaces/{WORKSPACE}"
RULE = {
    "location": "local",
    "properties": {
        "streamDeclarations": {
            "Custom-TrapEye_Threats_CL": {
                "columns": [{"name": "when", "type": "datetime"}, {"name": "source_ip", "type": "string"}]
            }
        },
        "destinations": {"logAnalytics": [{"name": "workspace", "workspaceResourceId": WORKSPACE_ID}]},
        "dataFlows": [
            {
                "streams": ["Custom-TrapEye_Threats_CL"],
                "destinations": ["workspace"],
                "transformKql": "source | project TimeGenerated = when, source_ip",
                "outputStream": "Custom-TrapEye_Threats_CL",
            }
        ],
    },
}
TEMPLATE: dict[str, Any] = {
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "contentVersion": "1.0.0.0",
    "parameters": {"name": {"type": "string"}},
    "resources": [
        {
            "type": "Microsoft.Insights/dataCollectionEndpoints",
            "apiVersion": "2023-03-11",
            "name": "[parameters('name')]",
            "location": "[resourceGroup().location]",
            "properties": {},
        }
    ],
    "outputs": {
        "endpoint": {
            "type": "string",
            "value": (
                "[reference(resourceId('Microsoft.Insights/dataCollectionEndpoints', parameters('name')), "
                "'2023-03-11').logsIngestion.endpoint]"
            ),
        }
    },
}


def credential() -> ClientSecretCredential:
    """The app's, by its secret."""
    return ClientSecretCredential(
        os.environ["AZURE_TENANT_ID"],
        os.environ["AZURE_CLIENT_ID"],
        os.environ["AZURE_CLIENT_SECRET"],
        authority=URL,
        disable_instance_discovery=True,
    )


def refusal(call: Callable[[], Any]) -> list[Any]:
    """The exception's class, status and code that `call` raises."""
    try:
        call()
    except HttpResponseError as error:
        return [type(error).__name__, error.status_code, error.error.code if error.error else None]
    return []


def subscriptions() -> dict[str, Any]:
    """azure-mgmt-resource-subscriptions."""
    from azure.mgmt.resource.subscriptions import SubscriptionClient

    with SubscriptionClient(credential(), **PLACE) as client:
        return {
            "subscriptions": [[one.subscription_id, one.state] for one in client.subscriptions.list()],
            "name": client.subscriptions.get(SUBSCRIPTION).display_name,
            "tenants": [one.tenant_id for one in client.tenants.list()],
        }


def resources() -> dict[str, Any]:
    """azure-mgmt-resource."""
    from azure.mgmt.resource.resources import (
        ResourceManagementClient,
    )

    with ResourceManagementClient(credential(), SUBSCRIPTION, **PLACE) as client:
        groups = client.resource_groups
        made = groups.create_or_update("quickstart", {"location": "local", "tags": {"team": "blue"}})
        seen = {
            "made": [made.name, made.location, made.tags, made.properties.provisioning_state],
            "listed": sorted(group.name for group in groups.list()),
            "patched": groups.update("quickstart", {"tags": {"team": "red"}}).tags,
            "exists": groups.check_existence("quickstart"),
            "provider": client.providers.get("Microsoft.Insights").registration_state,
            "registered": client.providers.register("Microsoft.OperationalInsights").registration_state,
        }
        here = f"{GROUP_ID.removesuffix(GROUP)}quickstart"
        endpoint = f"{here}/providers/Microsoft.Insights/dataCollectionEndpoints/e"
        body = {"location": "local", "tags": {"team": "blue"}, "properties": {}}
        client.resources.begin_create_or_update_by_id(endpoint, "2023-03-11", body).result()
        of_type = "resourceType eq 'Microsoft.Insights/dataCollectionEndpoints'"
        tags = {"operation": "Merge", "properties": {"tags": {"row": "1"}}}
        client.tags.begin_update_at_scope(endpoint, tags).result()
        seen |= {
            "resources": [one.name for one in client.resources.list_by_resource_group("quickstart")],
            "by type": [one.name for one in client.resources.list(filter=f"{of_type} and tagName eq 'team'", top=5)],
            "expanded": [
                one.provisioning_state
                for one in client.resources.list_by_resource_group("quickstart", expand="provisioningState")
            ],
            "there": client.resources.check_existence_by_id(endpoint, "2023-03-11"),
            "tags": client.tags.get_at_scope(endpoint).properties.tags,
            "tag names": [one.tag_name for one in client.tags.list() if one.tag_name == "row"],
            "not moved": refusal(
                lambda: client.resources.begin_move_resources("quickstart", {"resources": [endpoint]}).result()
            ),
        }
        groups.begin_delete("quickstart").result()
        return seen | {
            "deleted": groups.check_existence("quickstart"),
            "gone": refusal(lambda: groups.get("quickstart")),
        }


def deployments() -> dict[str, Any]:
    """azure-mgmt-resource-deployments."""
    from azure.mgmt.resource.deployments import DeploymentsMgmtClient

    def body(template: dict[str, Any]) -> dict[str, Any]:
        parameters = {"name": {"value": "quickstart-dce"}}
        return {"properties": {"mode": "Incremental", "template": template, "parameters": parameters}}

    broken = TEMPLATE | {"parameters": {}}
    with DeploymentsMgmtClient(credential(), SUBSCRIPTION, **PLACE, polling_interval=0) as client:
        calls = client.deployments
        valid = calls.begin_validate(GROUP, "quickstart", body(TEMPLATE)).result()
        invalid = refusal(lambda: calls.begin_validate(GROUP, "quickstart", body(broken)).result())
        before = calls.check_existence(GROUP, "quickstart")
        made = calls.begin_create_or_update(GROUP, "quickstart", body(TEMPLATE)).result()
        shown = calls.get(GROUP, "quickstart")
        operations = [
            [one.properties.provisioning_operation, one.properties.provisioning_state, one.properties.status_code]
            for one in client.deployment_operations.list(GROUP, "quickstart")
        ]
        seen = {
            "valid": valid.properties.provisioning_state,
            "invalid": invalid,
            "before": before,
            "made": [made.properties.provisioning_state, made.properties.outputs],
            "same": made.properties.correlation_id == shown.properties.correlation_id,
            "resources": [one.id for one in shown.properties.output_resources],
            "operations": operations,
            "listed": "quickstart" in [one.name for one in calls.list_by_resource_group(GROUP)],
        }
        predicted = calls.begin_what_if(GROUP, "quickstart", body(TEMPLATE)).result()
        renamed = TEMPLATE | {"resources": [TEMPLATE["resources"][0] | {"name": "another"}], "outputs": {}}
        other = calls.begin_what_if(GROUP, "quickstart", body(renamed)).result()
        seen |= {
            "what if": [predicted.status, _changes(predicted)],
            "what if another": _changes(other),
            "exported": calls.export_template(GROUP, "quickstart").template == TEMPLATE,
            "cancel": refusal(lambda: calls.cancel(GROUP, "quickstart")),
        }
        schema = TEMPLATE["$schema"].replace("deploymentTemplate", "subscriptionDeploymentTemplate")
        group = {"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2022-09-01", "name": "from-subscription"}
        group["location"] = "[deployment().location]"
        whole = {"$schema": schema, "contentVersion": "1.0.0.0", "resources": [group]}
        everywhere = {"location": "local", "properties": {"mode": "Incremental", "template": whole}}
        made = calls.begin_create_or_update_at_subscription_scope("everywhere", everywhere).result()
        seen["subscription"] = [made.location, [one.id for one in made.properties.output_resources]]
        calls.begin_delete(GROUP, "quickstart").result()
        return seen | {"gone": refusal(lambda: calls.get(GROUP, "quickstart"))}


def _changes(result: Any) -> dict[str, str]:
    changes = {one.resource_id.rpartition("/")[2]: one.change_type for one in result.changes}
    return {name: change for name, change in changes.items() if change != "Ignore"}


def keyvault() -> dict[str, Any]:
    """azure-mgmt-keyvault: vaults."""
    from azure.mgmt.keyvault import KeyVaultManagementClient

    with KeyVaultManagementClient(credential(), SUBSCRIPTION, **PLACE) as client:
        vaults = client.vaults
        properties: dict[str, Any] = {
            "tenantId": os.environ["AZURE_TENANT_ID"],
            "sku": {"family": "A", "name": "standard"},
            "enableRbacAuthorization": True,
        }
        made = vaults.begin_create_or_update(
            GROUP, "sdk-vault", {"location": "local", "properties": properties}
        ).result()
        name = {"name": "sdk-vault", "type": "Microsoft.KeyVault/vaults"}
        updated = vaults.update(GROUP, "sdk-vault", {"properties": {"enabledForTemplateDeployment": True}})
        seen = {
            "made": [made.name, made.properties.vault_uri],
            "taken": vaults.check_name_availability(name).name_available,
            "updated": updated.properties.enabled_for_template_deployment,
            "listed": sorted(one.name for one in vaults.list_by_resource_group(GROUP)),
            "subscription": sorted(one.name for one in vaults.list_by_subscription()),
            "deleted": [one.name for one in vaults.list_deleted()],
        }
        vaults.delete(GROUP, "sdk-vault")
        seen["gone"] = refusal(lambda: vaults.get(GROUP, "sdk-vault"))
        kept = vaults.get_deleted("sdk-vault", "local").properties
        seen["kept"] = [one.name for one in vaults.list_deleted()]
        seen["for"] = (kept.scheduled_purge_date - kept.deletion_date).days
        again: dict[str, Any] = {"location": "local", "properties": properties}
        seen["name taken"] = refusal(lambda: vaults.begin_create_or_update(GROUP, "sdk-vault", again))
        again["properties"] = properties | {"createMode": "recover"}
        recovered = vaults.begin_create_or_update(GROUP, "sdk-vault", again).result()
        seen["recovered"] = [recovered.name, recovered.properties.enabled_for_template_deployment]
        vaults.delete(GROUP, "sdk-vault")
        vaults.begin_purge_deleted("sdk-vault", "local").result()
        return seen | {"purged": refusal(lambda: vaults.get_deleted("sdk-vault", "local"))}


def monitor() -> dict[str, Any]:
    """azure-mgmt-monitor: data collection endpoints and rules."""
    from azure.mgmt.monitor import MonitorManagementClient

    wrong = json.loads(json.dumps(RULE).replace("project TimeGenerated = when", "project when"))
    with MonitorManagementClient(credential(), SUBSCRIPTION, **PLACE) as client:
        endpoints, rules = client.data_collection_endpoints, client.data_collection_rules
        endpoint = endpoints.create(GROUP, "sdk-dce", {"location": "local", "properties": {}})
        made = rules.create(GROUP, "sdk-dcr", RULE)
        shown = rules.get(GROUP, "sdk-dcr")
        seen = {
            "endpoint": [endpoint.immutable_id, endpoint.logs_ingestion.endpoint, endpoint.provisioning_state],
            "made": [made.immutable_id, made.provisioning_state],
            "shown": [shown.immutable_id, shown.data_flows[0].transform_kql],
            "destination": shown.destinations.log_analytics[0].workspace_resource_id,
            "listed": sorted(one.name for one in rules.list_by_resource_group(GROUP)),
            "subscription": sorted(one.name for one in rules.list_by_subscription()),
            "again": rules.create(GROUP, "sdk-dcr", RULE).immutable_id,
            "tags": rules.update(GROUP, "sdk-dcr", {"tags": {"team": "blue"}}).tags,
            "wrong": refusal(lambda: rules.create(GROUP, "sdk-wrong", wrong)),
        }
        rules.delete(GROUP, "sdk-dcr")
        endpoints.delete(GROUP, "sdk-dce")
        return seen | {"gone": refusal(lambda: rules.get(GROUP, "sdk-dcr"))}


def loganalytics() -> dict[str, Any]:
    """azure-mgmt-loganalytics: workspaces and tables."""
    from azure.mgmt.loganalytics import LogAnalyticsManagementClient

    columns = [{"name": "TimeGenerated", "type": "datetime"}, {"name": "text", "type": "string"}]
    table = {"properties": {"schema": {"name": "Sdk_CL", "columns": columns}, "retentionInDays": 45}}
    with LogAnalyticsManagementClient(credential(), SUBSCRIPTION, **PLACE) as client:
        workspaces, tables = client.workspaces, client.tables
        body = {"location": "local", "properties": {"sku": {"name": "PerGB2018"}, "retentionInDays": 60}}
        made = workspaces.begin_create_or_update(GROUP, "sdk-workspace", body).result()
        created = tables.begin_create_or_update(GROUP, "sdk-workspace", "Sdk_CL", table).result()
        shown = tables.get(GROUP, "sdk-workspace", "Sdk_CL")
        seen = {
            "made": [made.provisioning_state, made.retention_in_days, made.sku.name],
            "customer": made.customer_id == workspaces.get(GROUP, "sdk-workspace").customer_id,
            "listed": sorted(one.name for one in workspaces.list_by_resource_group(GROUP)),
            "table": [created.name, created.plan, created.retention_in_days, created.provisioning_state],
            "columns": [[one.name, one.type] for one in shown.schema.columns],
            "tables": [one.name for one in tables.list_by_workspace(GROUP, "sdk-workspace")],
            "wrong": refusal(
                lambda: tables.begin_create_or_update(GROUP, "sdk-workspace", "Sdk", {"properties": {}}).result()
            ),
        }
        longer = tables.begin_update(
            GROUP, "sdk-workspace", "Sdk_CL", {"properties": {"totalRetentionInDays": 365}}
        ).result()
        seen["updated"] = [longer.retention_in_days, longer.total_retention_in_days, longer.archive_retention_in_days]
        tables.migrate(GROUP, "sdk-workspace", "Sdk_CL")
        tagged = workspaces.update(GROUP, "sdk-workspace", {"tags": {"team": "blue"}})
        seen["tagged"] = [tagged.tags, tagged.retention_in_days]
        tables.begin_delete(GROUP, "sdk-workspace", "Sdk_CL").result()
        gone = refusal(lambda: tables.get(GROUP, "sdk-workspace", "Sdk_CL"))
        workspaces.begin_delete(GROUP, "sdk-workspace", force=True).result()
        return seen | {"gone": [gone, refusal(lambda: workspaces.get(GROUP, "sdk-workspace"))]}


def authorization() -> dict[str, Any]:
    """azure-mgmt-authorization: definitions and assignments of roles."""
    from azure.mgmt.authorization import AuthorizationManagementClient

    with AuthorizationManagementClient(credential(), SUBSCRIPTION, **PLACE) as client:
        assignments = client.role_assignments
        [role] = client.role_definitions.list(WORKSPACE_ID, filter="roleName eq 'Log Analytics Reader'")
        principal = str(uuid.uuid4())
        properties = {"roleDefinitionId": role.id, "principalId": principal, "principalType": "ServicePrincipal"}
        name = str(uuid.uuid4())
        made = assignments.create(WORKSPACE_ID, name, {"properties": properties})
        again = str(uuid.uuid4())
        here = assignments.list_for_scope(WORKSPACE_ID, filter="atScope()")
        whole = assignments.list_for_subscription(filter=f"principalId eq '{principal}'")
        seen = {
            "role": [role.name, role.role_name, role.role_type],
            "made": [made.name == name, made.scope, made.principal_id == principal, made.principal_type],
            "here": name in [one.name for one in here],
            "whole": [one.name == name for one in whole],
            "shown": assignments.get(WORKSPACE_ID, name).role_definition_id == role.id,
            "twice": refusal(lambda: assignments.create(WORKSPACE_ID, again, {"properties": properties})),
        }
        deleted = assignments.delete(WORKSPACE_ID, name)
        return seen | {
            "deleted": deleted is not None and deleted.name == name,
            "no more": assignments.delete(WORKSPACE_ID, name) is None,
            "gone": refusal(lambda: assignments.get(WORKSPACE_ID, name)),
        }


def custom_roles() -> dict[str, Any]:
    """azure-mgmt-authorization: a role of one's own, and scopes above the subscription."""
    from azure.mgmt.authorization import AuthorizationManagementClient

    with AuthorizationManagementClient(credential(), SUBSCRIPTION, **PLACE) as client:
        assignments, definitions = client.role_assignments, client.role_definitions
        name, principal = str(uuid.uuid4()), str(uuid.uuid4())
        permissions = [{"actions": ["Microsoft.Logic/*/read"], "notActions": ["Microsoft.Logic/workflows/runs/read"]}]
        role = {"roleName": "Playbook Looker", "assignableScopes": [GROUP_ID], "permissions": permissions}
        made = definitions.create_or_update(GROUP_ID, name, {"properties": role})
        definitions.create_or_update(GROUP_ID, name, {"properties": role | {"description": "Looks."}})
        listed = list(definitions.list(GROUP_ID, filter="type eq 'CustomRole'"))
        properties = {"roleDefinitionId": made.id, "principalId": principal, "principalType": "ServicePrincipal"}
        given = assignments.create(GROUP_ID, str(uuid.uuid4()), {"properties": properties})
        seen = {
            "made": [made.name == name, made.role_name, made.role_type, list(made.assignable_scopes) == [GROUP_ID]],
            "listed": [[one.name == name, one.description] for one in listed],
            "by id": definitions.get_by_id(made.id).role_name,
            "twice": refusal(lambda: definitions.create_or_update(GROUP_ID, str(uuid.uuid4()), {"properties": role})),
            "in use": refusal(lambda: definitions.delete(GROUP_ID, name)),
            "inherited": [
                one.id == given.id
                for one in assignments.list_for_scope(WORKSPACE_ID, filter="atScope()")
                if one.principal_id == principal
            ],
            "tenant": refusal(lambda: assignments.create("/", str(uuid.uuid4()), {"properties": properties})),
            "tenant's list": refusal(lambda: list(definitions.list("/"))),
        }
        assignments.delete_by_id(given.id)
        deleted = definitions.delete(GROUP_ID, name)
        return seen | {"deleted": deleted is not None and deleted.name == name}


def securityinsight() -> dict[str, Any]:
    """azure-mgmt-securityinsight: a watchlist from CSV, and its items; also with the generation that polls."""
    from azure.mgmt import securityinsight as package

    newer = getattr(package, "SecurityInsightsMgmtClient", None)
    with (newer or package.SecurityInsights)(credential(), SUBSCRIPTION, **PLACE) as client:
        watchlists, items, place = client.watchlists, client.watchlist_items, (GROUP, WORKSPACE, "sdk-list")
        polls = hasattr(watchlists, "begin_delete")

        def put(body: dict[str, Any]) -> Any:
            if polls:
                return watchlists.begin_create_or_update(*place, body).result()
            return watchlists.create_or_update(*place, body)

        properties = {"displayName": "From the SDK", "provider": "Microsoft", "itemsSearchKey": "ip"}
        content = {
            "rawContent": "ip,who\n1.1.1.1,eve\n2.2.2.2,bob\n",
            "contentType": "text/csv",
            "numberOfLinesToSkip": 0,
        }
        made = put({"properties": properties | {"source": "Local file"} | content}).as_dict()
        item = str(uuid.uuid4())
        body = {"properties": {"itemsKeyValue": {"ip": "3.3.3.3", "who": "mallory"}}}
        first = items.create_or_update(*place, item, body).as_dict()
        body["properties"]["itemsKeyValue"]["who"] = "trent"
        second = items.create_or_update(*place, item, {"etag": first["etag"]} | body).as_dict()
        stale = refusal(lambda: items.create_or_update(*place, item, {"etag": first["etag"]} | body))
        listed = [_flat(one)["items_key_value"] for one in items.list(*place)]
        items.delete(*place, item)
        seen = {
            "made": [made["name"], _flat(made)["watchlist_alias"], _flat(made)["upload_status"]],
            "by": _flat(made)["created_by"]["object_id"] is not None,
            "raw": "raw_content" in _flat(made),
            "shown": _flat(watchlists.get(*place))["display_name"],
            "listed": "sdk-list" in [one.name for one in watchlists.list(*place[:2])],
            "items": sorted(str(one["who"]) for one in listed),
            "etags": first["etag"] != second["etag"],
            "stale": stale,
            "left": len(list(items.list(*place))),
            "item": refusal(lambda: items.get(*place, item)),
            "refused": refusal(lambda: put({"properties": properties | content | {"rawContent": "a\n1\n"}})),
        }
        if polls:
            watchlists.begin_delete(*place).result()
        else:
            watchlists.delete(*place)
        return seen | {"gone": refusal(lambda: watchlists.get(*place))}


def _flat(model: Any) -> dict[str, Any]:
    """What a model shows, the properties beside the name; in the names of Python in every generation."""
    shown = model if isinstance(model, dict) else model.as_dict()
    return {
        re.sub("([A-Z])", r"_\1", key).lower(): _flat(value) if isinstance(value, dict) else value
        for key, value in (shown | shown.get("properties", {})).items()
    }


def logic() -> dict[str, Any]:
    """azure-mgmt-logic: a workflow that a request starts, its versions and trigger, and a run that is cancelled."""
    from azure.mgmt.logic import LogicManagementClient

    schema = "https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/workflowdefinition.json#"
    definition: dict[str, Any] = {
        "$schema": schema,
        "contentVersion": "1.0.0.0",
        "triggers": {"manual": {"type": "Request", "kind": "Http", "inputs": {"schema": {}}}},
        "actions": {"Wait": {"type": "Wait", "inputs": {"interval": {"count": 1, "unit": "Hour"}}, "runAfter": {}}},
    }
    body = {"location": "local", "definition": definition}
    with LogicManagementClient(credential(), SUBSCRIPTION, **PLACE) as client:
        place = (GROUP, "sdk-workflow")
        made = client.workflows.create_or_update(*place, body)
        client.workflows.validate_by_resource_group(*place, body)
        client.workflows.validate_by_location(GROUP, "local", "sdk-workflow", body)
        wrong = {"location": "local", "definition": definition | {"actions": {"A": {"type": "Nothing"}}}}
        invalid = refusal(lambda: client.workflows.validate_by_resource_group(*place, wrong))
        client.workflows.disable(*place)
        states = [made.state, client.workflows.get(*place).state]
        client.workflows.enable(*place)
        states.append(client.workflows.get(*place).state)
        callback = client.workflow_triggers.list_callback_url(*place, "manual")
        client.workflow_triggers.run(*place, "manual")
        [run] = client.workflow_runs.list(*place)
        client.workflow_runs.cancel(*place, run.name)
        versions = [one.name for one in client.workflow_versions.list(*place)]
        seen = {
            "invalid": invalid,
            "states": states,
            "versions": len(versions),
            "version": client.workflow_versions.get(*place, versions[-1]).version == made.version,
            "triggers": [one.name for one in client.workflow_triggers.list(*place)],
            "trigger": client.workflow_triggers.get(*place, "manual").state,
            "url": callback.value.startswith(f"{callback.base_path}?") and callback.queries.sig in callback.value,
            "method": callback.method,
            "run": client.workflow_runs.get(*place, run.name).status,
            "ended": refusal(lambda: client.workflow_runs.cancel(*place, run.name)),
        }
        client.workflows.delete(*place)
        return seen


QUICKSTARTS = (
    subscriptions,
    resources,
    deployments,
    monitor,
    loganalytics,
    authorization,
    custom_roles,
    securityinsight,
    keyvault,
    logic,
)

if __name__ == "__main__":
    quickstarts = {one.__name__: one for one in QUICKSTARTS}
    json.dump(quickstarts[sys.argv[1]](), sys.stdout)
