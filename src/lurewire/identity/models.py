"""What the identity room speaks of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class AppSecret:
    """A secret of an app registration, without its value; `hint` is its first three characters.

    `of_principal` marks one that was added to the service principal instead of the application.
    """

    key_id: str
    name: str
    hint: str
    created_at: datetime
    expires_at: datetime
    of_principal: bool = False


@dataclass(frozen=True, slots=True)
class AppCertificate:
    """A certificate of an app registration: its thumbprint is SHA-1 in upper-case hex, as Entra shows it."""

    key_id: str
    thumbprint: str
    subject: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class AppRegistration:
    """An application and its service principal in the tenant: `app_id` logs in, `object_id` gets roles.

    `id` is the application's own object; without a principal (`has_principal`) nobody can log in.
    """

    app_id: str
    object_id: str
    name: str
    created_at: datetime
    id: str
    has_principal: bool
    secrets: tuple[AppSecret, ...] = ()


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret that was just made: `value` is shown here and never again."""

    key_id: str
    name: str
    created_at: datetime
    expires_at: datetime
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """An access token and the seconds it is good for."""

    expires_in: int
    value: str = field(repr=False)
