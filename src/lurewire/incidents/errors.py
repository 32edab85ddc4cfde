"""One class per error code of the incidents API. Source: azure.md F (error body) and E.3 (codes)."""

from __future__ import annotations

from typing import ClassVar

from lurewire.core.errors import WireError


class BadRequest(WireError):
    """The request does not fit; the message names the property."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "BadRequest"


class NotFound(WireError):
    """There is no such workspace, incident, comment or task."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "NotFound"


class Conflict(WireError):
    """The etag in the body is not the stored one, or an update came without one."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "Conflict"


class RequestTooLarge(WireError):
    """The body is longer than any request of this API needs."""

    status: ClassVar[int] = 413
    code: ClassVar[str] = "RequestEntityTooLarge"
