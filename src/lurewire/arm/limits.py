"""Limits of Azure Resource Manager.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/best-practices#template-limits
"""

from lurewire.core.limits import Limit

_TEMPLATES = "https://learn.microsoft.com/azure/azure-resource-manager/templates/best-practices#template-limits"

LIMITS = (
    Limit("arm.request_bytes", 4 * 1024 * 1024, "bytes", _TEMPLATES),
    Limit("arm.template_parameters", 256, "parameters", _TEMPLATES),
    Limit("arm.template_variables", 256, "variables", _TEMPLATES),
    Limit("arm.template_resources", 800, "resources", _TEMPLATES),
    Limit("arm.template_outputs", 64, "outputs", _TEMPLATES),
    Limit(
        "arm.json_depth",
        100,
        "levels",
        "our own: Azure's workflow definitions, the deepest documents, nest 8 actions of about 4 levels each",
    ),
)
