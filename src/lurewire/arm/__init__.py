"""Azure Resource Manager: the resource store, its REST front, template deployments."""

from lurewire.arm.containers import Access, Account
from lurewire.arm.deployments.service import Deployments, TemplateSecrets
from lurewire.arm.diagnostics import Diagnostics
from lurewire.arm.errors import ArmError
from lurewire.arm.identities import ManagedIdentities
from lurewire.arm.limits import LIMITS
from lurewire.arm.routes import arm_routes
from lurewire.arm.store import ResourceStore, Stored
from lurewire.arm.wire import ArmErrors, control_plane

__all__ = [
    "LIMITS",
    "Access",
    "Account",
    "ArmError",
    "ArmErrors",
    "Deployments",
    "Diagnostics",
    "ManagedIdentities",
    "ResourceStore",
    "Stored",
    "TemplateSecrets",
    "arm_routes",
    "control_plane",
]
