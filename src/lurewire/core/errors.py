"""Errors that cross a room's wall: each room renders them in its own wire shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lurewire.core.principal import Principal

UnauthenticatedKind = Literal[
    "missing", "malformed", "bad_signature", "expired", "wrong_audience", "wrong_tenant", "wrong_issuer"
]


class WireError(Exception):
    """An answer other than success that a wire contract names: subclass once per error code.

    `status` is the HTTP status, `code` the contract's error code, `headers` go out with the answer.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "InternalServerError"

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.headers = dict(headers or {})


class LinkedAuthorizationFailed(WireError):
    """The principal may do what it asks for, `own`, and may not do `action` at `scope`, to which the request links."""

    status = 403
    code = "LinkedAuthorizationFailed"

    def __init__(self, principal: Principal, own: str, action: str, scope: str) -> None:
        super().__init__(
            f"The client '{principal.app_id}' with object id '{principal.object_id}' has permission to perform action "
            f"'{own}'; however, it does not have permission to perform action(s) '{action}' on the linked scope(s) "
            f"'{scope[:300]}' or the linked scope(s) are invalid."
        )


class Unauthenticated(Exception):
    """The request's token is missing or not to be believed."""

    def __init__(self, kind: UnauthenticatedKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Forbidden(Exception):
    """The principal is known, and has no role that allows `action` at `scope`."""

    def __init__(self, principal: Principal, action: str, scope: str) -> None:
        super().__init__(f"'{principal.app_id}' may not perform '{action}' over scope '{scope}'")
        self.principal = principal
        self.action = action
        self.scope = scope


class StateFolderError(Exception):
    """The state folder cannot be used: locked by another process, or written by another version."""
