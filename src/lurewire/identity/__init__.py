"""Identity: a tenant with app registrations, managed identities, tokens and roles."""

from lurewire.identity.assignments import check_roles, role_assignment
from lurewire.identity.errors import TOKEN_ERRORS, TokenError
from lurewire.identity.limits import LIMITS
from lurewire.identity.local_routes import local_routes
from lurewire.identity.managed import USER_ASSIGNED
from lurewire.identity.models import AppRegistration, AppSecret, IssuedToken, NewSecret
from lurewire.identity.role_routes import role_routes
from lurewire.identity.roles import ROLES, Role
from lurewire.identity.routes import token_routes
from lurewire.identity.service import Identity

__all__ = [
    "LIMITS",
    "ROLES",
    "TOKEN_ERRORS",
    "USER_ASSIGNED",
    "AppRegistration",
    "AppSecret",
    "Identity",
    "IssuedToken",
    "NewSecret",
    "Role",
    "TokenError",
    "check_roles",
    "local_routes",
    "role_assignment",
    "role_routes",
    "token_routes",
]
