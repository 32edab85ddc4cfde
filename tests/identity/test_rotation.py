"""Signing keys change while tokens of theirs live, with Microsoft's client and a resource server that keeps keys."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import sqlalchemy as sa
from azure.identity import ClientSecretCredential

from lurewire.core.errors import Unauthenticated
from lurewire.core.http import Audience
from lurewire.core.secretbox import SecretBox
from lurewire.identity import Identity

if TYPE_CHECKING:
    from tests.arm.house import House, Server

    from lurewire.core.principal import Principal

TENANT = "6a5b4c3d-0000-4000-8000-000000000001"
MONITOR = "https://monitor.azure.com"
LIFETIME, SKEW, DAY = 3599, 300, 86_400


def kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def published(identity: Identity) -> list[str]:
    return [key["kid"] for key in identity.jwks()["keys"]]


def accepts(identity: Identity, token: str) -> bool:
    try:
        identity.authenticate(f"Bearer {token}", Audience.MONITOR)
    except Unauthenticated:
        return False
    return True


@pytest.fixture
async def alice(house: House) -> Principal:
    return await house.principal("alice")


async def test_an_old_key_is_accepted_until_its_last_token_has_expired(house: House, alice: Principal) -> None:
    identity = house.identity
    old = identity.token_for(alice, MONITOR)
    fresh = await identity.rotate_keys()
    new = identity._token_service().issue(alice, MONITOR).value  # not the one that is kept for reuse
    assert (kid(new), kid(old) == fresh) == (fresh, False)
    assert published(identity) == [fresh, kid(old)]
    assert accepts(identity, old)
    assert accepts(identity, new)
    [newest, oldest] = identity.jwks()["keys"]
    assert newest["x5t"] == jwt.get_unverified_header(new)["x5t"] != oldest["x5t"]
    house.clock.advance(LIFETIME + SKEW - 1)
    assert published(identity) == [fresh, kid(old)], "a token of its last second may live until now"
    house.clock.advance(1)
    assert published(identity) == [fresh]
    assert not accepts(identity, old)


async def test_a_dropped_key_does_not_verify_even_a_token_that_claims_to_live(house: House, alice: Principal) -> None:
    key = house.identity._token_service()._keys.signing
    claims = jwt.decode(house.identity.token_for(alice, MONITOR), options={"verify_signature": False})
    forged = jwt.encode(claims | {"exp": claims["exp"] + 10**6}, key.private, "RS256", {"kid": key.kid})
    await house.identity.rotate_keys()
    house.clock.advance(LIFETIME + SKEW)
    with pytest.raises(Unauthenticated) as caught:
        house.identity.authenticate(f"Bearer {forged}", Audience.MONITOR)
    assert caught.value.kind == "bad_signature"


async def test_revoking_ends_every_older_token_also_one_that_was_believed(house: House, alice: Principal) -> None:
    identity = house.identity
    old = identity.token_for(alice, MONITOR)
    assert accepts(identity, old)
    fresh = await identity.rotate_keys(revoke=True)
    assert published(identity) == [fresh]
    assert not accepts(identity, old)
    again = identity.token_for(alice, MONITOR)
    assert kid(again) == fresh
    assert accepts(identity, again)


async def test_keys_survive_a_restart_and_are_sealed_at_rest(house: House, alice: Principal) -> None:
    old = house.identity.token_for(alice, MONITOR)
    await house.identity.rotate_keys()
    keys = published(house.identity)
    house.db.close()
    again = type(house)(house.folder)
    again.db.open()
    await again.identity.start()
    try:
        assert published(again.identity) == keys
        assert accepts(again.identity, old)
        rows = again.db.read(lambda conn: conn.execute(sa.text("select sealed from identity_signing_keys")).all())
        assert len(rows) == 2
        assert all(b"PRIVATE" not in row.sealed for row in rows)
        again.clock.advance(LIFETIME + SKEW)
        await again.identity.rotate_keys()
        rows = again.db.read(lambda conn: conn.execute(sa.text("select kid from identity_signing_keys")).all())
        assert sorted(row.kid for row in rows) == sorted(published(again.identity)), "what is dropped is not kept"
        assert len(rows) == 2
    finally:
        again.db.close()


async def test_two_rotations_at_once_make_two_keys(house: House) -> None:
    first, second = await asyncio.gather(house.identity.rotate_keys(), house.identity.rotate_keys())
    assert first != second
    assert set(published(house.identity)) >= {first, second}
    assert len(published(house.identity)) == 3


async def test_keys_are_rotated_when_they_are_as_old_as_the_setting_says(house: House) -> None:
    """The next key is published a day before it signs: who keeps keys for a day never meets one that he lacks."""
    box = SecretBox(house.folder / "secret.key")
    identity = Identity(house.db, house.clock, box, TENANT, house.url, rotate_after=timedelta(days=42))
    await identity.start()
    alice = await house.principal("alice")

    async def next_key(known: list[str]) -> list[str]:
        for _ in range(500):
            if set(published(identity)) - set(known):
                break
            await asyncio.sleep(0.01)  # a key is made on another thread, in real time
        return published(identity)

    def signed_with() -> str:
        return kid(identity._token_service().issue(alice, MONITOR).value)

    try:
        [first] = published(identity)
        await asyncio.sleep(0.01)
        house.clock.advance(41 * DAY - 1)
        await asyncio.sleep(0.01)
        assert published(identity) == [first]
        house.clock.advance(1)
        second = (await next_key([first]))[0]
        assert published(identity) == [second, first]
        assert signed_with() == first
        house.clock.advance(DAY)
        assert signed_with() == second
        house.clock.advance(LIFETIME + SKEW)
        assert published(identity) == [second]
        house.clock.advance(41 * DAY)
        third = (await next_key([second]))[0]
        assert signed_with() == second
        house.clock.advance(DAY)
        assert signed_with() == third
    finally:
        await identity.stop()


def credential(server: Server, app: str, secret: str) -> ClientSecretCredential:
    return ClientSecretCredential(
        TENANT, app, secret, authority=server.house.url(), disable_instance_discovery=True, connection_verify=server.ca
    )


def call(server: Server, token: str) -> int:
    url = "/subscriptions?api-version=2022-12-01"
    return server.call("GET", url, token).status_code


def test_azure_identity_across_a_rotation(server: Server) -> None:
    app, secret = server.app("client", ("Reader", "/"))
    client = credential(server, app, secret)
    scope = "https://management.azure.com/.default"
    before = client.get_token(scope).token
    fresh = server.run(server.house.identity.rotate_keys())
    assert client.get_token(scope).token == before, "the client keeps its token"
    assert call(server, before) == 200
    other = credential(server, app, secret).get_token(scope).token
    assert (kid(other), call(server, other)) == (fresh, 200)
    last = server.run(server.house.identity.rotate_keys(revoke=True))
    assert (call(server, before), call(server, other)) == (401, 401)
    assert kid(credential(server, app, secret).get_token(scope).token) == last


def test_a_resource_server_that_keeps_keys_meets_a_new_one(server: Server) -> None:
    """PyJWT's client of a key set, as a relying party uses it: it keeps the set, and asks again for a key it misses.

    (It does not ask twice within a cool-down, which is why a key that nobody hurries is published before it signs.)
    """
    url = f"{server.house.url()}/{TENANT}/discovery/v2.0/keys"
    keys = jwt.PyJWKClient(url, cooldown_duration=0, ssl_context=ssl.create_default_context(cafile=server.ca))

    def verify(token: str) -> dict[str, Any]:
        key = keys.get_signing_key_from_jwt(token).key
        claims: dict[str, Any] = jwt.decode(token, key, ["RS256"], audience=MONITOR, leeway=10)
        return claims

    app, secret = server.app("sender")
    before = credential(server, app, secret).get_token(f"{MONITOR}/.default").token
    assert verify(before)["appid"] == app
    fresh = server.run(server.house.identity.rotate_keys())
    after = credential(server, app, secret).get_token(f"{MONITOR}/.default").token
    assert kid(after) == fresh
    assert verify(after)["appid"] == app
    assert verify(before)["appid"] == app
