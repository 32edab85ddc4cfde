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
    Limit("arm.plans", 2, "templates evaluated at a time", "our own: Azure names no figure, and one takes up to 15 s"),
    Limit("arm.plans_waiting", 16, "deployments", "our own: what two at a time get done in about two minutes at worst"),
    Limit(
        "arm.template_links",
        256,
        "documents of a deployment",
        "our own: no figure is documented, and the largest of Microsoft Sentinel's templates links to about 200",
    ),
    Limit("arm.link_bytes", 16 * 1024 * 1024, "bytes of all a deployment links to", "our own: four of the largest"),
    Limit("arm.link_seconds", 60, "seconds in all", "our own: no figure is documented"),
    Limit("arm.nested_deployments", 5, "levels", "our own: no figure is documented, and published templates nest 2"),
    Limit(
        "arm.json_depth",
        100,
        "levels",
        "our own: Azure's workflow definitions, the deepest documents, nest 8 actions of about 4 levels each",
    ),
)
