"""All routes of the arm room, in the order in which they answer; the app mounts them after every other room's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.arm.containers import container_routes
from lurewire.arm.deployments.routes import deployment_routes
from lurewire.arm.diagnostics import category_routes
from lurewire.arm.front import resource_routes
from lurewire.arm.inventory import inventory_routes
from lurewire.arm.limits import LIMITS
from lurewire.arm.metadata import metadata_routes
from lurewire.arm.pages import Pages
from lurewire.arm.scopes import Scopes
from lurewire.arm.tags import tag_routes
from lurewire.arm.wire import control_plane
from lurewire.core.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from lurewire.arm.containers import Access, Account
    from lurewire.arm.deployments.service import Deployments
    from lurewire.arm.store import ResourceStore
    from lurewire.arm.wire import ArmErrors
    from lurewire.core.http import RoomRoutes


def arm_routes(
    store: ResourceStore,
    deployments: Deployments,
    account: Account,
    access: Access,
    on_error: ArmErrors,
    base_url: Callable[[], str],
    limits: Limits | None = None,
) -> RoomRoutes:
    """Cloud metadata, containers, deployments and all resource types: to be called when every type is registered."""
    bounds = limits or Limits(LIMITS)
    scopes = Scopes(account, access)
    pages = Pages(bounds["arm.page_rows"], base_url)
    routes = (
        *metadata_routes(account.name, base_url),
        *container_routes(store, deployments, account, access, bounds, scopes, pages),
        *inventory_routes(store, access, scopes, pages),
        *deployment_routes(deployments, bounds, base_url, scopes, pages),
        *category_routes(store, scopes),
        *tag_routes(store, bounds, scopes, pages),
        *resource_routes(store, bounds, scopes, pages),
    )
    return control_plane("arm", routes, on_error)
