"""Azure Resource Manager's errors, one class per code.

Source: https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors; texts that
clients match are as captured (azure.md, section E.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.core.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.core.resources import ResourceId


class ArmError(WireError):
    """An error with the parts that ARM's shape has beside code and message."""

    def __init__(self, message: str, *, target: str | None = None, details: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(message)
        self.target = target
        self.details = tuple(details)


class InvalidRequestContent(ArmError):
    """The body is no JSON object, or lacks what every resource has."""

    status = 400
    code = "InvalidRequestContent"


class RequestTooLarge(ArmError):
    """The body is longer than the limit."""

    status = 413
    code = "RequestContentTooLarge"


class MissingApiVersion(ArmError):
    """The query names no api-version."""

    status = 400
    code = "MissingApiVersionParameter"

    def __init__(self) -> None:
        super().__init__("The api-version query parameter (?api-version=) is required for all requests.")


class BadResourceId(ArmError):
    """The path or a property is no resource id."""

    status = 400
    code = "InvalidResourceId"


class InvalidResourceName(ArmError):
    """The name is too long, or has a character that no name may have."""

    status = 400
    code = "InvalidResourceName"


class InvalidFilter(ArmError):
    """`$filter` on a list that knows none."""

    status = 400
    code = "InvalidFilterInQueryString"


class InvalidQuery(ArmError):
    """`$top`, `$expand` or `$skiptoken` has a value that it cannot have."""

    status = 400
    code = "InvalidQueryParameterValue"


class UnsupportedIdentity(ArmError):
    """An identity of a type that there is not."""

    status = 400
    code = "InvalidIdentityType"


class InvalidIdentityValues(ArmError):
    """What is said of user-assigned identities has another form."""

    status = 400
    code = "InvalidIdentityValues"


class MissingIdentityIds(ArmError):
    """The type promises user-assigned identities, and none is named."""

    status = 400
    code = "MissingIdentityIds"


class LinkedInvalidPropertyId(ArmError):
    """A property is to be the id of a resource of some type, and is not."""

    status = 400
    code = "LinkedInvalidPropertyId"


class FailedIdentityOperation(ArmError):
    """An identity that is to be assigned is not there."""

    status = 400
    code = "FailedIdentityOperation"


class UnsupportedPatch(ArmError):
    """A PATCH of something else than tags."""

    status = 400
    code = "UnsupportedPatch"


class LocationRequired(ArmError):
    """A resource group without a location."""

    status = 400
    code = "LocationRequired"


class InvalidTags(ArmError):
    """More tags than a resource may have, or one that is too long."""

    status = 400
    code = "InvalidTags"


class InvalidLock(ArmError):
    """A lock without a level."""

    status = 400
    code = "InvalidLockLevel"


class ScopeLocked(ArmError):
    """A lock forbids it."""

    status = 409
    code = "ScopeLocked"

    def __init__(self, target: str, operation: str, locked: Sequence[str]) -> None:
        scopes = ",".join(f"'{one}'" for one in locked)
        super().__init__(
            f"The scope '{target}' cannot perform {operation} operation because following scope(s) are locked: "
            f"{scopes}. Please remove the lock and try again."
        )


class MissingSubscriptionRegistration(ArmError):
    """The resource provider is not registered; clients register it and try again."""

    status = 409
    code = "MissingSubscriptionRegistration"

    def __init__(self, namespace: str) -> None:
        super().__init__(
            f"The subscription is not registered to use namespace '{namespace}'. "
            "See https://aka.ms/rps-not-found for how to register subscriptions."
        )


class InvalidDiagnosticSetting(ArmError):
    """A diagnostic setting names a destination or a category that there is not."""

    status = 400
    code = "BadRequest"


class DiagnosticsNotSupported(ArmError):
    """The resource type has no logs."""

    status = 400
    code = "ResourceTypeNotSupported"


class DiagnosticConflict(ArmError):
    """Another diagnostic setting of the resource sends the same to the same workspace, or there are too many."""

    status = 409
    code = "Conflict"


class MoveNotSupported(ArmError):
    """A resource cannot be moved to another group here."""

    status = 400
    code = "ResourceMoveNotSupported"


class SubscriptionNotFound(ArmError):
    """The path names a subscription that is not here."""

    status = 404
    code = "SubscriptionNotFound"

    def __init__(self, subscription: str) -> None:
        super().__init__(f"The subscription '{subscription}' could not be found.")


class ResourceGroupNotFound(ArmError):
    """The subscription has no such resource group."""

    status = 404
    code = "ResourceGroupNotFound"

    def __init__(self, group: str | None) -> None:
        super().__init__(f"Resource group '{group}' could not be found.")


class ManagementGroupNotFound(ArmError):
    """There is no such management group."""

    status = 404
    code = "ManagementGroupNotFound"

    def __init__(self, group: str) -> None:
        super().__init__(f"The management group '{group}' could not be found.")


class ResourceNotFound(ArmError):
    """There is no such resource."""

    status = 404
    code = "ResourceNotFound"

    def __init__(self, resource_id: ResourceId) -> None:
        where = f" under resource group '{resource_id.resource_group}'" if resource_id.resource_group else ""
        super().__init__(
            f"The Resource '{relative_name(resource_id)}'{where} was not found. "
            "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
        )


class ParentResourceNotFound(ArmError):
    """What the resource is to stand in, or on, is not there."""

    status = 404
    code = "ParentResourceNotFound"

    def __init__(self, parent: ResourceId) -> None:
        super().__init__(
            f"Can not perform requested operation on nested resource. "
            f"Parent resource '{relative_name(parent)}' not found."
        )


class InvalidResourceNamespace(ArmError):
    """No resource type here is in the namespace."""

    status = 404
    code = "InvalidResourceNamespace"


class Conflict(ArmError):
    """The body's etag is not that of the stored resource."""

    status = 409
    code = "Conflict"


class PreconditionFailed(ArmError):
    """`If-Match` or `If-None-Match` does not hold."""

    status = 412
    code = "PreconditionFailed"


class InvalidTemplate(ArmError):
    """The template, or its parameters, cannot be deployed; says where and why."""

    status = 400
    code = "InvalidTemplate"

    @classmethod
    def at(cls, where: str, problem: str) -> InvalidTemplate:
        """The error of what stands at a JSON pointer."""
        return cls(f"Deployment template validation failed: {problem}, at {where}.", target=where)


class InvalidDeployment(ArmError):
    """The deployment's own properties, such as its mode, do not fit."""

    status = 400
    code = "InvalidDeployment"


class InvalidContentLink(ArmError):
    """What a deployment links to cannot be had, or is not what the link says."""

    status = 400
    code = "InvalidContentLink"


class TooManyPlans(ArmError):
    """More templates are waiting to be evaluated than may, or more of one caller's than are its share."""

    status = 429
    code = "SubscriptionRequestsThrottled"

    def __init__(self, waiting: int, seconds: int) -> None:
        super().__init__(
            f"Too many deployments wait for their templates to be evaluated: there may be {waiting}, and half of the "
            f"places are one caller's. Please try again after '{seconds}' seconds."
        )
        self.headers = {"Retry-After": str(seconds)}


class DeploymentForbidden(ArmError):
    """The principal may not write a resource of the template."""

    status = 403
    code = "InvalidTemplateDeployment"


class DeploymentNotFound(ArmError):
    """The resource group has no such deployment."""

    status = 404
    code = "DeploymentNotFound"

    def __init__(self, name: str) -> None:
        super().__init__(f"Deployment '{name}' could not be found.")


class DeploymentActive(ArmError):
    """The deployment of this name still runs."""

    status = 409
    code = "DeploymentActive"


class DeploymentNotRunning(ArmError):
    """A deployment that is finished cannot be canceled."""

    status = 409
    code = "DeploymentCannotBeCancelled"


class VaultReferenceFailed(ArmError):
    """A parameter's key vault reference cannot be resolved."""

    status = 400
    code = "KeyVaultParameterReferenceSecretRetrieveFailed"


class VaultReferenceForbidden(ArmError):
    """The principal may not have templates read the vault."""

    status = 403
    code = "KeyVaultParameterReferenceAuthorizationFailed"


def relative_name(resource_id: ResourceId) -> str:
    """`Microsoft.X/a/b` with its names, as messages show a resource: `Microsoft.X/as/a1/bs/b1`."""
    pairs = (f"{t}/{n}" for t, n in zip(resource_id.types, resource_id.names, strict=True))
    return "/".join((resource_id.namespace, *pairs))
