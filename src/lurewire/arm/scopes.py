"""Paths as scopes of access: what a request is about, and who may learn that it is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.arm.errors import BadResourceId, SubscriptionNotFound
from lurewire.core.resources import InvalidResourceId, ResourceId

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from lurewire.arm.containers import Access, Account


class Scopes:
    """Scopes of routes. A subscription that is not here is a 404 for who has a role in the one that is, else a 403."""

    def __init__(self, account: Account, access: Access) -> None:
        self._account = account
        self._access = access

    def of(self, scope: Callable[[Request], str]) -> Callable[[Request], str]:
        """`scope`, with what is said of a subscription that is not here."""

        def checked(request: Request) -> str:
            found = scope(request)
            parts = found.split("/")
            if len(parts) > 2 and parts[1].lower() == "subscriptions":
                own = self._account.subscription_id
                strange = parts[2].lower() != own.lower()
                if strange and self._access.sees(request.state.principal, f"/subscriptions/{own}"):
                    raise SubscriptionNotFound(parts[2])
            return found

        return checked

    @property
    def subscription(self) -> Callable[[Request], str]:
        """The subscription in the path."""
        return self.of(lambda request: f"/subscriptions/{request.path_params['subscription']}")

    @property
    def group(self) -> Callable[[Request], str]:
        """The resource group in the path."""
        return self.of(lambda request: str(group_id(request)))

    @staticmethod
    def resource_id(path: str) -> ResourceId:
        """The id that a path is; raises `BadResourceId`."""
        return resource_id(path)


def group_id(request: Request) -> ResourceId:
    """The resource group in the path."""
    parameters = request.path_params
    return ResourceId.parse(f"/subscriptions/{parameters['subscription']}/resourceGroups/{parameters['group']}")


def resource_id(path: str) -> ResourceId:
    """The id that a path is; raises `BadResourceId`."""
    try:
        return ResourceId.parse(path)
    except InvalidResourceId as error:
        raise BadResourceId(f"{error}.") from None
