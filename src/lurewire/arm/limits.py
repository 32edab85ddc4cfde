"""Limits of Azure Resource Manager.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/best-practices#template-limits
"""

from lurewire.core.limits import Limit

_TEMPLATES = "https://learn.microsoft.com/azure/azure-resource-manager/templates/best-practices#template-limits"

_TAGS = "https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources#limitations"

LIMITS = (
    Limit("arm.request_bytes", 4 * 1024 * 1024, "bytes", _TEMPLATES),
    Limit("arm.template_parameters", 256, "parameters", _TEMPLATES),
    Limit("arm.template_variables", 256, "variables", _TEMPLATES),
    Limit("arm.template_resources", 800, "resources", _TEMPLATES),
    Limit("arm.template_outputs", 64, "outputs", _TEMPLATES),
    Limit("arm.tags", 50, "tags", _TAGS),
    Limit("arm.tag_name", 512, "characters", _TAGS),
    Limit("arm.tag_value", 256, "characters", _TAGS),
    Limit(
        "arm.diagnostic_settings",
        5,
        "settings of a resource",
        "https://learn.microsoft.com/azure/azure-monitor/service-limits#diagnostic-settings",
    ),
    Limit("arm.page_rows", 1000, "rows", "our own: Azure documents that lists come in pages, not how long one is"),
    Limit(
        "arm.template_work",
        256 * 1024 * 1024,
        "units",
        "our own: evaluating a template of 4 MB as published ones are written takes half of it",
    ),
    Limit("arm.nested_deployments", 5, "levels", "our own: no figure is documented, and published templates nest 2"),
    Limit(
        "arm.json_depth",
        100,
        "levels",
        "our own: Azure's workflow definitions, the deepest documents, nest 8 actions of about 4 levels each",
    ),
)
