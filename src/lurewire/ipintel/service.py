"""The lookup service: data, keys and quota together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.core.limits import Limits
from lurewire.ipintel.errors import MissingAddress, RepeatedAddress
from lurewire.ipintel.keys import KeyInfo, Keys
from lurewire.ipintel.lookup import Lookup
from lurewire.ipintel.models import Answer
from lurewire.ipintel.quota import LIMITS, PER_HOUR, Allowance, Quota

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.ipintel.data import DataFolder


class IpIntel:
    """The IP lookup. `folder` is where the fetched data lives (default: this user's folder).

    Raises `DataError` where the data is there but cannot be read.
    """

    def __init__(
        self, db: Database, clock: Clock, folder: DataFolder | None = None, limits: Limits | None = None
    ) -> None:
        self._clock = clock
        self.data = Lookup(folder)
        """The lookup alone: no keys, no quota."""
        self._keys = Keys(db, clock)
        self._quota = Quota(clock, (limits or Limits(LIMITS))[PER_HOUR])

    def lookup(self, address: str) -> Answer:
        """The answer for the address that the text writes; raises `InvalidAddress`."""
        queried_at = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        return Answer(data=self.data.lookup(address), queried_at=queried_at)

    def lookup_parameter(self, values: Sequence[str]) -> Answer:
        """The answer to a request with these `ip` parameters; raises the API's errors (400)."""
        if len(values) > 1:
            raise RepeatedAddress("The request has more than one 'ip' parameter.")
        if not values or not values[0]:
            raise MissingAddress("The 'ip' parameter is missing.")
        return self.lookup(values[0])

    def admit(self, presented: Sequence[str]) -> Allowance:
        """Check the request's `X-API-Key` headers and count the request; raises the API's errors (401, 429)."""
        return self._quota.take(self._keys.check(presented))

    async def create_key(self, name: str) -> str:
        """Make an API key and give its text, which nothing can show again; raises `KeyExistsError`."""
        return await self._keys.create(name)

    async def revoke_key(self, name: str) -> bool:
        """Take the key of that name out of force, at once; False where there is none."""
        return await self._keys.revoke(name)

    def list_keys(self) -> list[KeyInfo]:
        """Every key ever made, without its text, oldest first."""
        return self._keys.all()

    def close(self) -> None:
        """Release the data files."""
        self.data.close()
