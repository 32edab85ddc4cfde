"""Identity: a tenant with app registrations, managed identities, tokens and roles."""

from lurewire.identity.app_roles import APP_ROLES, DIRECTORY, AppRole, app_role
from lurewire.identity.assignments import check_roles, role_assignment
from lurewire.identity.bodies import read_object
from lurewire.identity.errors import TOKEN_ERRORS, TokenError
from lurewire.identity.group_routes import group_routes
from lurewire.identity.limits import LIMITS
from lurewire.identity.local_routes import local_routes
from lurewire.identity.managed import USER_ASSIGNED
from lurewire.identity.models import AppCertificate, AppRegistration, AppSecret, IssuedToken, NewSecret
from lurewire.identity.role_routes import role_routes
from lurewire.identity.roles import ROLES, Role
from lurewire.identity.routes import origin, token_routes
from lurewire.identity.service import Identity

__all__ = [
    "APP_ROLES",
    "DIRECTORY",
    "LIMITS",
    "ROLES",
    "TOKEN_ERRORS",
    "USER_ASSIGNED",
    "AppCertificate",
    "AppRegistration",
    "AppRole",
    "AppSecret",
    "Identity",
    "IssuedToken",
    "NewSecret",
    "Role",
    "TokenError",
    "app_role",
    "check_roles",
    "group_routes",
    "local_routes",
    "origin",
    "read_object",
    "role_assignment",
    "role_routes",
    "token_routes",
]
