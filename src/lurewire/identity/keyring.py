"""The tenant's signing keys: one signs; those before it verify until no token of theirs can be valid any more.

The next one is published before it signs, because resource servers keep the keys that they fetched. Kept encrypted at
rest. Source: https://learn.microsoft.com/entra/identity-platform/signing-key-rollover
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lurewire.core.log import get_logger
from lurewire.identity.keys import SigningKey, from_pem, make_key, to_pem
from lurewire.identity.tables import signing_keys

if TYPE_CHECKING:
    from lurewire.core.clock import Clock
    from lurewire.core.database import Database
    from lurewire.core.secretbox import SecretBox

_log = get_logger("identity")

_RETRY_SECONDS = 600


class Keyring:
    """The keys of a state folder; `load` comes first.

    `grace` is how many seconds a key is published and accepted after a newer one took its place: the longest life of a
    token and what clocks may differ. `lead` is how many seconds before its first signature a key is published, where
    there is no hurry.
    """

    def __init__(self, db: Database, clock: Clock, box: SecretBox, *, grace: int, lead: int) -> None:
        self._db = db
        self._clock = clock
        self._box = box
        self._grace = grace
        self._lead = lead
        self._keys: tuple[SigningKey, ...] = ()
        self._rotating = asyncio.Lock()

    @property
    def signing(self) -> SigningKey:
        """The key that signs now: the newest whose time has come."""
        now = self._clock.now().timestamp()
        return next((key for key in self._keys if key.created_at <= now), self._keys[-1])

    def accepted(self) -> tuple[SigningKey, ...]:
        """The keys that are published, and whose signatures are good now: newest first, with one that will sign."""
        return self._still_good(self._keys)

    def find(self, kid: str) -> SigningKey | None:
        """The key `kid`, where it is accepted now."""
        return next((key for key in self.accepted() if key.kid == kid), None)

    async def load(self) -> None:
        """Read the keys; the first start of a state folder makes one."""
        # By row where two were made at one moment, which a test's clock allows.
        newest_first = sa.select(signing_keys.c.sealed, signing_keys.c.created_at).order_by(
            signing_keys.c.created_at.desc(), sa.literal_column("rowid").desc()
        )
        rows = self._db.read(lambda conn: conn.execute(newest_first).all())
        self._keys = tuple(from_pem(self._box.decrypt(row.sealed), row.created_at) for row in rows)
        if not self._keys:
            await self.rotate()

    async def rotate(self, *, ahead: int = 0, revoke: bool = False) -> SigningKey:
        """Make a key that signs from now on, or `ahead` seconds from now.

        `revoke` drops all others at once, with every token that they signed.
        """
        async with self._rotating:
            key = await asyncio.to_thread(make_key, self._clock.now() + timedelta(seconds=ahead))
            every = sorted((key, *self._keys), key=lambda one: one.created_at, reverse=True)
            kept = (key,) if revoke else self._still_good(tuple(every))
            row = {"kid": key.kid, "sealed": self._box.encrypt(to_pem(key)), "created_at": key.created_at}
            gone = sa.delete(signing_keys).where(signing_keys.c.kid.not_in([one.kid for one in kept]))

            def work(conn: sa.Connection) -> None:
                conn.execute(sa.insert(signing_keys).values(row))
                conn.execute(gone)

            await self._db.write(work)
            self._keys = kept  # only now: no token may be signed with a key that a crash could lose
            _log.info("a new signing key", kid=key.kid, signs_in_seconds=ahead, accepted=len(kept))
            return key

    async def keep_fresh(self, every: timedelta) -> None:
        """Have the signing key replaced when it is `every` old; ends by being cancelled."""
        while True:
            due = self._keys[0].created_at + every.total_seconds()
            await self._clock.sleep(due - self._lead - self._clock.now().timestamp())
            left = self._keys[0].created_at + every.total_seconds() - self._clock.now().timestamp()
            if left > self._lead:
                continue  # somebody rotated while this slept
            try:
                await self.rotate(ahead=max(0, round(left)))
            except Exception as error:  # noqa: BLE001 - the old key goes on signing, and the next round tries again
                _log.error("the signing key could not be rotated", exc_info=error)
                await self._clock.sleep(_RETRY_SECONDS)

    def _still_good(self, keys: tuple[SigningKey, ...]) -> tuple[SigningKey, ...]:
        now = self._clock.now().timestamp()
        return (*keys[:1], *(old for new, old in pairwise(keys) if now < new.created_at + self._grace))
