"""The errors of Microsoft.Logic, one class a code.

Source: https://learn.microsoft.com/rest/api/logic/workflows
"""

from __future__ import annotations

from typing import ClassVar

from lurewire.core.errors import WireError


class InvalidTemplate(WireError):
    """The definition is not one that Azure would take."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "InvalidTemplate"


class NotSupported(WireError):
    """The definition uses something that Azure has and Lurewire does not run; names it and its path."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "NotSupported"


class InvalidRequestContent(WireError):
    """The body of a request is not a workflow or connection resource."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "InvalidRequestContent"


class InvalidFilter(WireError):
    """The `$filter` of a list of runs cannot be read."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "InvalidFilterInQueryString"


class WorkflowNotFound(WireError):
    """There is no such workflow."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "WorkflowNotFound"


class WorkflowDisabled(WireError):
    """The workflow is disabled: it takes no new runs."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "WorkflowDisabled"


class WorkflowVersionNotFound(WireError):
    """The workflow has no such version, or it is no longer kept."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "WorkflowVersionNotFound"


class WorkflowTriggerNotFound(WireError):
    """The workflow has no such trigger."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "WorkflowTriggerNotFound"


class WorkflowRunNotFound(WireError):
    """The workflow has no such run."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "WorkflowRunNotFound"


class WorkflowRunEnded(WireError):
    """The run has ended: there is nothing to cancel. The code is ours: Microsoft documents none."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "WorkflowRunEnded"


class WorkflowRunActionNotFound(WireError):
    """The run has no such action, or the action no such repetition."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "WorkflowRunActionNotFound"


class ContentLinkInvalid(WireError):
    """The signature of a link to an action's inputs or outputs is wrong or expired."""

    status: ClassVar[int] = 401
    code: ClassVar[str] = "DirectApiInvalidAuthorizationScheme"


class TriggerInputSchemaMismatch(WireError):
    """The body of a Request trigger does not fit its schema."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "TriggerInputSchemaMismatch"


class CallbackUnsigned(WireError):
    """A callback URL came without its signature."""

    status: ClassVar[int] = 401
    code: ClassVar[str] = "DirectApiAuthorizationRequired"


class CallbackRefused(WireError):
    """The signature of a callback URL is not that of the trigger."""

    status: ClassVar[int] = 401
    code: ClassVar[str] = "AuthorizationFailed"


class TriggerRequestMethodNotValid(WireError):
    """A Request trigger was called with another HTTP method than its own."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "TriggerRequestMethodNotValid"


class RequestContentTooLarge(WireError):
    """The body of a request is longer than its limit."""

    status: ClassVar[int] = 413
    code: ClassVar[str] = "RequestEntityTooLarge"
