"""Azure's built-in roles, those that the loop and its clients use: a table.

Actions and GUIDs are facts of Azure, as documented at the `url` of each row (read in its edition of 2026).
"""

from __future__ import annotations

from dataclasses import dataclass

_DOC = "https://learn.microsoft.com/azure/role-based-access-control/built-in-roles"


@dataclass(frozen=True, slots=True)
class Role:
    """A role definition: `id` is its GUID; in the lists `*` stands for any text.

    A built-in one may be assigned everywhere, a custom one at and below its `assignable_scopes`.
    """

    name: str
    id: str
    description: str
    url: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    assignable_scopes: tuple[str, ...] = ("/",)
    built_in: bool = True


# What nearly every built-in role may do besides its own task.
_READ_ACCESS = "Microsoft.Authorization/*/read"
_ALERT_RULES = "Microsoft.Insights/alertRules/*"
_DEPLOYMENTS = "Microsoft.Resources/deployments/*"
_READ_GROUPS = "Microsoft.Resources/subscriptions/resourceGroups/read"
_SUPPORT = "Microsoft.Support/*"
_COMMON = (_READ_ACCESS, _ALERT_RULES, _DEPLOYMENTS, _READ_GROUPS, _SUPPORT)

_READ_WORKSPACE = (
    "Microsoft.OperationalInsights/workspaces/analytics/query/action",
    "Microsoft.OperationalInsights/workspaces/*/read",
    "Microsoft.OperationalInsights/workspaces/query/read",
    "Microsoft.OperationalInsights/workspaces/query/*/read",
    "Microsoft.OperationalInsights/workspaces/dataSources/read",
    "Microsoft.OperationalInsights/querypacks/*/read",
    "Microsoft.OperationsManagement/solutions/read",
)
_CONFIDENTIAL = (
    "Microsoft.SecurityInsights/ConfidentialWatchlists/*",
    "Microsoft.OperationalInsights/workspaces/query/ConfidentialWatchlist/*",
)
_READ_VAULTS = (
    "Microsoft.KeyVault/checkNameAvailability/read",
    "Microsoft.KeyVault/deletedVaults/read",
    "Microsoft.KeyVault/locations/*/read",
    "Microsoft.KeyVault/vaults/*/read",
    "Microsoft.KeyVault/operations/read",
)
_HOST_RUNTIME = "Microsoft.Web/sites/hostruntime/webhooks/api/workflows"

_PRIVILEGED = (
    Role(
        "Owner",
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        "Manages every resource, and who may do what with it.",
        f"{_DOC}/privileged#owner",
        actions=("*",),
    ),
    Role(
        "Contributor",
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "Manages every resource, but not who may do what with it.",
        f"{_DOC}/privileged#contributor",
        actions=("*",),
        not_actions=(
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
            "Microsoft.Blueprint/blueprintAssignments/write",
            "Microsoft.Blueprint/blueprintAssignments/delete",
            "Microsoft.Compute/galleries/share/action",
            "Microsoft.Purview/consents/write",
            "Microsoft.Purview/consents/delete",
            "Microsoft.Resources/deploymentStacks/manageDenySetting/action",
            "Microsoft.Subscription/cancel/action",
            "Microsoft.Subscription/enable/action",
        ),
    ),
    Role(
        "User Access Administrator",
        "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        "Manages who may do what with a resource.",
        f"{_DOC}/privileged#user-access-administrator",
        actions=("*/read", "Microsoft.Authorization/*", _SUPPORT),
    ),
    Role(
        "Reader",
        "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "Sees every resource and changes none.",
        f"{_DOC}/general#reader",
        actions=("*/read",),
    ),
)

_MONITOR = (
    Role(
        "Monitoring Metrics Publisher",
        "3913510d-42f4-4e42-8a64-420c390055eb",
        "Sends metrics and logs.",
        f"{_DOC}/monitor#monitoring-metrics-publisher",
        actions=("Microsoft.Insights/Register/Action", _SUPPORT, _READ_GROUPS),
        data_actions=("Microsoft.Insights/Metrics/Write", "Microsoft.Insights/Telemetry/Write"),
    ),
    Role(
        "Log Analytics Reader",
        "73c42c96-874c-492b-b04d-ab87d138a893",
        "Queries every log and sees the settings of monitoring.",
        f"{_DOC}/monitor#log-analytics-reader",
        actions=(
            "*/read",
            "Microsoft.OperationalInsights/workspaces/analytics/query/action",
            "Microsoft.OperationalInsights/workspaces/search/action",
            _SUPPORT,
        ),
        not_actions=("Microsoft.OperationalInsights/workspaces/sharedKeys/read",),
    ),
    Role(
        "Log Analytics Contributor",
        "92aaf0da-9dab-42b6-94a3-d43ce8d16293",
        "Queries every log and changes the settings of monitoring.",
        f"{_DOC}/monitor#log-analytics-contributor",
        actions=(
            "*/read",
            "Microsoft.ClassicCompute/virtualMachines/extensions/*",
            "Microsoft.ClassicStorage/storageAccounts/listKeys/action",
            "Microsoft.Compute/virtualMachines/extensions/*",
            "Microsoft.HybridCompute/machines/extensions/write",
            _ALERT_RULES,
            "Microsoft.Insights/diagnosticSettings/*",
            "Microsoft.OperationalInsights/*",
            "Microsoft.OperationsManagement/*",
            _DEPLOYMENTS,
            "Microsoft.Resources/subscriptions/resourcegroups/deployments/*",
            "Microsoft.Storage/storageAccounts/listKeys/action",
            _SUPPORT,
        ),
    ),
)

_SENTINEL = (
    Role(
        "Microsoft Sentinel Contributor",
        "ab8e14d6-4a74-4a29-9ba8-549422addade",
        "Manages incidents, rules, watchlists and everything else of Microsoft Sentinel.",
        f"{_DOC}/security#microsoft-sentinel-contributor",
        actions=(
            "Microsoft.SecurityInsights/*",
            *_READ_WORKSPACE,
            "Microsoft.OperationalInsights/workspaces/savedSearches/*",
            "Microsoft.Insights/workbooks/*",
            "Microsoft.Insights/myworkbooks/read",
            *_COMMON,
        ),
        not_actions=_CONFIDENTIAL,
    ),
    Role(
        "Microsoft Sentinel Responder",
        "3e150937-b8fe-4cfb-8069-0eaf05ecd056",
        "Sees Microsoft Sentinel, and manages its incidents.",
        f"{_DOC}/security#microsoft-sentinel-responder",
        actions=(
            "Microsoft.SecurityInsights/*/read",
            "Microsoft.SecurityInsights/dataConnectorsCheckRequirements/action",
            "Microsoft.SecurityInsights/automationRules/*",
            "Microsoft.SecurityInsights/cases/*",
            "Microsoft.SecurityInsights/incidents/*",
            "Microsoft.SecurityInsights/entities/runPlaybook/action",
            "Microsoft.SecurityInsights/threatIntelligence/indicators/appendTags/action",
            "Microsoft.SecurityInsights/threatIntelligence/indicators/query/action",
            "Microsoft.SecurityInsights/threatIntelligence/bulkTag/action",
            "Microsoft.SecurityInsights/threatIntelligence/indicators/replaceTags/action",
            "Microsoft.SecurityInsights/threatIntelligence/queryIndicators/action",
            "Microsoft.SecurityInsights/businessApplicationAgents/systems/undoAction/action",
            *_READ_WORKSPACE,
            "Microsoft.OperationalInsights/workspaces/savedSearches/read",
            "Microsoft.Insights/workbooks/read",
            "Microsoft.Insights/myworkbooks/read",
            *_COMMON,
        ),
        not_actions=(
            "Microsoft.SecurityInsights/cases/*/Delete",
            "Microsoft.SecurityInsights/incidents/*/Delete",
            *_CONFIDENTIAL,
        ),
    ),
    Role(
        "Microsoft Sentinel Reader",
        "8d289c81-5878-46d4-8554-54e1e3d8b5cb",
        "Sees Microsoft Sentinel's data, incidents and rules.",
        f"{_DOC}/security#microsoft-sentinel-reader",
        actions=(
            "Microsoft.SecurityInsights/*/read",
            "Microsoft.SecurityInsights/dataConnectorsCheckRequirements/action",
            "Microsoft.SecurityInsights/threatIntelligence/indicators/query/action",
            "Microsoft.SecurityInsights/threatIntelligence/queryIndicators/action",
            *_READ_WORKSPACE,
            "Microsoft.OperationalInsights/workspaces/LinkedServices/read",
            "Microsoft.OperationalInsights/workspaces/savedSearches/read",
            "Microsoft.Insights/workbooks/read",
            "Microsoft.Insights/myworkbooks/read",
            "Microsoft.Resources/templateSpecs/*/read",
            *_COMMON,
        ),
        not_actions=_CONFIDENTIAL,
    ),
    Role(
        "Microsoft Sentinel Playbook Operator",
        "51d6186e-6489-4900-b93f-92e23144cca5",
        "Lists, sees and starts playbooks.",
        f"{_DOC}/security#microsoft-sentinel-playbook-operator",
        actions=(
            "Microsoft.Logic/workflows/read",
            "Microsoft.Logic/workflows/triggers/listCallbackUrl/action",
            f"{_HOST_RUNTIME}/triggers/listCallbackUrl/action",
            "Microsoft.Web/sites/read",
        ),
    ),
    Role(
        "Microsoft Sentinel Automation Contributor",
        "f4c81013-99ee-4d62-a7ee-b3f1f648599a",
        "Lets Microsoft Sentinel start playbooks from automation rules.",
        f"{_DOC}/security#microsoft-sentinel-automation-contributor",
        actions=(
            _READ_ACCESS,
            "Microsoft.Logic/workflows/triggers/read",
            "Microsoft.Logic/workflows/triggers/listCallbackUrl/action",
            "Microsoft.Logic/workflows/runs/read",
            f"{_HOST_RUNTIME}/triggers/read",
            f"{_HOST_RUNTIME}/triggers/listCallbackUrl/action",
            f"{_HOST_RUNTIME}/runs/read",
        ),
    ),
)

_LOGIC_APPS = (
    Role(
        "Logic App Contributor",
        "87a39d53-fc1b-424a-814c-f7e04687dc9e",
        "Manages workflows and their connections.",
        f"{_DOC}/integration#logic-app-contributor",
        actions=(
            *_COMMON,
            "Microsoft.ClassicStorage/storageAccounts/listKeys/action",
            "Microsoft.ClassicStorage/storageAccounts/read",
            "Microsoft.Insights/metricAlerts/*",
            "Microsoft.Insights/diagnosticSettings/*",
            "Microsoft.Insights/logdefinitions/*",
            "Microsoft.Insights/metricDefinitions/*",
            "Microsoft.Logic/*",
            "Microsoft.Resources/subscriptions/operationresults/read",
            "Microsoft.Storage/storageAccounts/listkeys/action",
            "Microsoft.Storage/storageAccounts/read",
            "Microsoft.Web/connectionGateways/*",
            "Microsoft.Web/connections/*",
            "Microsoft.Web/customApis/*",
            "Microsoft.Web/serverFarms/join/action",
            "Microsoft.Web/serverFarms/read",
            "Microsoft.Web/sites/functions/listSecrets/action",
        ),
    ),
    Role(
        "Logic App Operator",
        "515c2055-d9d4-4321-b1b9-bd0c9a0f79fe",
        "Sees, enables and disables workflows.",
        f"{_DOC}/integration#logic-app-operator",
        actions=(
            _READ_ACCESS,
            "Microsoft.Insights/alertRules/*/read",
            "Microsoft.Insights/metricAlerts/*/read",
            "Microsoft.Insights/diagnosticSettings/*/read",
            "Microsoft.Insights/metricDefinitions/*/read",
            "Microsoft.Logic/*/read",
            "Microsoft.Logic/workflows/disable/action",
            "Microsoft.Logic/workflows/enable/action",
            "Microsoft.Logic/workflows/validate/action",
            "Microsoft.Resources/deployments/operations/read",
            "Microsoft.Resources/subscriptions/operationresults/read",
            _READ_GROUPS,
            _SUPPORT,
            "Microsoft.Web/connectionGateways/*/read",
            "Microsoft.Web/connections/*/read",
            "Microsoft.Web/customApis/*/read",
            "Microsoft.Web/serverFarms/read",
        ),
    ),
)

_VAULT = (
    Role(
        "Key Vault Secrets User",
        "4633458b-17de-408a-b874-0445c86b69e6",
        "Reads the values of secrets.",
        f"{_DOC}/security#key-vault-secrets-user",
        data_actions=(
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ),
    ),
    Role(
        "Key Vault Secrets Officer",
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        "Manages the secrets of a vault.",
        f"{_DOC}/security#key-vault-secrets-officer",
        actions=(*_COMMON, *_READ_VAULTS),
        data_actions=("Microsoft.KeyVault/vaults/secrets/*",),
    ),
    Role(
        "Key Vault Administrator",
        "00482a5a-887f-4fb3-b363-3b7fe8e74483",
        "Manages everything in a vault, but not the vault.",
        f"{_DOC}/security#key-vault-administrator",
        actions=(*_COMMON, *_READ_VAULTS),
        data_actions=("Microsoft.KeyVault/vaults/*",),
    ),
    Role(
        "Key Vault Reader",
        "21090545-7ca7-4776-b22c-e363652d74d2",
        "Sees vaults and what is in them, but no value of a secret.",
        f"{_DOC}/security#key-vault-reader",
        actions=(*_COMMON, *_READ_VAULTS),
        data_actions=("Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/secrets/readMetadata/action"),
    ),
    Role(
        "Key Vault Contributor",
        "f25e0fa2-a7c8-4377-a976-54943a77a395",
        "Manages vaults, but neither what is in them nor who may reach it, and purges none.",
        f"{_DOC}/security#key-vault-contributor",
        actions=(*_COMMON, "Microsoft.KeyVault/*"),
        not_actions=(
            "Microsoft.KeyVault/locations/deletedVaults/purge/action",
            "Microsoft.KeyVault/hsmPools/*",
            "Microsoft.KeyVault/managedHsms/*",
        ),
    ),
    Role(
        "Key Vault Purge Operator",
        "a68e7c17-0ab2-4c09-9a58-125dae29748c",
        "Purges deleted vaults.",
        f"{_DOC}/security#key-vault-purge-operator",
        actions=(
            _READ_ACCESS,
            _ALERT_RULES,
            _DEPLOYMENTS,
            _READ_GROUPS,
            "Microsoft.KeyVault/deletedVaults/read",
            "Microsoft.KeyVault/locations/deletedVaults/read",
            "Microsoft.KeyVault/locations/deletedVaults/purge/action",
            "Microsoft.KeyVault/locations/operationResults/read",
        ),
    ),
)

_IDENTITY = (
    Role(
        "Managed Identity Operator",
        "f1a07417-d97a-45cb-824c-7a7467783830",
        "Reads user-assigned identities and assigns them to resources.",
        f"{_DOC}/identity#managed-identity-operator",
        actions=(
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
            *_COMMON,
        ),
    ),
)

ROLES: tuple[Role, ...] = (*_PRIVILEGED, *_MONITOR, *_SENTINEL, *_LOGIC_APPS, *_VAULT, *_IDENTITY)
