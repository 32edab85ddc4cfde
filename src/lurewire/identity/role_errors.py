"""Errors of roles, role assignments and management groups, one class each.

Source: https://learn.microsoft.com/azure/role-based-access-control/troubleshooting and captured answers; the codes of
what no page shows are said to be ours.
"""

from __future__ import annotations

from lurewire.core.errors import WireError


class InvalidRoleAssignment(WireError):
    """The body lacks a property, or one of the wrong form."""

    status = 400
    code = "BadRequestFormat"


class InvalidRoleAssignmentId(WireError):
    """The assignment's name is not a GUID."""

    status = 400
    code = "InvalidRoleAssignmentId"


class RoleDefinitionDoesNotExist(WireError):
    """No role has the id."""

    status = 400
    code = "RoleDefinitionDoesNotExist"


class RoleDefinitionNotFound(WireError):
    """The same, where the role itself was asked for."""

    status = 404
    code = "RoleDefinitionDoesNotExist"


class RoleAssignmentNotFound(WireError):
    """The scope has no assignment of the name."""

    status = 404
    code = "RoleAssignmentNotFound"


class RoleDefinitionExists(WireError):
    """Another role of the tenant has the name."""

    status = 409
    code = "RoleDefinitionWithSameNameExists"


class RoleDefinitionHasAssignments(WireError):
    """The role cannot be deleted while somebody has it."""

    status = 400
    code = "RoleDefinitionHasAssignments"


class RoleDefinitionLimitExceeded(WireError):
    """The tenant has as many custom roles as it may have."""

    status = 400
    code = "RoleDefinitionLimitExceeded"


class InvalidRoleDefinitionId(WireError):
    """The definition's name is not a GUID."""

    status = 400
    code = "InvalidRoleDefinitionId"


class InvalidRoleDefinition(WireError):
    """The body lacks a property, or has one of the wrong form."""

    status = 400
    code = "BadRequestFormat"


class InvalidAction(WireError):
    """An action is no action's name."""

    status = 400
    code = "InvalidActionOrNotAction"


class InvalidAssignableScope(WireError):
    """An assignable scope is none that a custom role can have."""

    status = 400
    code = "LinkedInvalidPropertyId"


class LinkedAuthorizationFailed(WireError):
    """The caller may not do at an assignable scope of the role what it asks for."""

    status = 403
    code = "LinkedAuthorizationFailed"


class BuiltInRole(WireError):
    """A built-in role can be neither changed nor deleted; the code is ours."""

    status = 400
    code = "InvalidRoleDefinitionOperation"


class InvalidManagementGroup(WireError):
    """The body or the name of a management group does not fit."""

    status = 400
    code = "BadRequest"


class ManagementGroupNotFound(WireError):
    """The tenant has no such management group."""

    status = 404
    code = "NotFound"


class ManagementGroupHasChildren(WireError):
    """The group is the root, or is not empty."""

    status = 400
    code = "BadRequest"


class PrincipalNotFound(WireError):
    """The tenant has no such principal, and the request does not vouch for its type."""

    status = 400
    code = "PrincipalNotFound"


class RoleAssignmentExists(WireError):
    """The principal has the role at the scope already, under another name."""

    status = 409
    code = "RoleAssignmentExists"


class RoleAssignmentUpdateNotPermitted(WireError):
    """The name is taken by an assignment of another principal or role."""

    status = 400
    code = "RoleAssignmentUpdateNotPermitted"


class UnsupportedFilter(WireError):
    """`$filter` holds an expression that this list does not know."""

    status = 400
    code = "InvalidFilter"
