"""Too many token requests: Entra's answer, and what Microsoft's client makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential

from lurewire.core.clock import ManualClock
from lurewire.core.limits import Limits
from lurewire.core.secretbox import SecretBox
from lurewire.identity import LIMITS, Identity
from lurewire.identity.errors import Throttled
from lurewire.identity.throttle import TokenThrottle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.arm.house import House, Server
else:
    from arm.house import House, Server

TENANT = "6a5b4c3d-0000-4000-8000-000000000001"
SCOPE = "https://monitor.azure.com/.default"


class StrictHouse(House):
    """A house whose apps may ask for three tokens a minute."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        limits = Limits(LIMITS, {"identity.token_requests_per_minute": 3})
        box = SecretBox(folder / "secret.key")
        self.identity = Identity(self.db, self.clock, box, TENANT, self.url, limits=limits)


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Server]:
    made = Server(StrictHouse(tmp_path))
    made.start()
    yield made
    made.stop()


def credential(server: Server, app: str, secret: str) -> ClientSecretCredential:
    return ClientSecretCredential(
        TENANT,
        app,
        secret,
        authority=server.house.url(),
        disable_instance_discovery=True,
        connection_verify=server.ca,
        retry_total=0,
    )


def test_an_app_that_asks_too_often_is_told_when_to_come_back(strict: Server) -> None:
    app, secret = strict.app("eager")
    other, other_secret = strict.app("other")
    form = {"client_id": app, "client_secret": secret, "grant_type": "client_credentials", "scope": SCOPE}
    url = f"{strict.house.url()}/{TENANT}/oauth2/v2.0/token"
    answers = [requests.post(url, data=form, verify=strict.ca, timeout=10) for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    body = answers[-1].json()
    assert (body["error"], body["error_codes"]) == ("temporarily_unavailable", [90055])
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 61
    assert secret not in answers[-1].text
    v1 = form | {"resource": "https://monitor.azure.com"}
    assert requests.post(url.replace("/v2.0", ""), data=v1, verify=strict.ca, timeout=10).status_code == 429

    eager = credential(strict, app, secret)
    with pytest.raises(ClientAuthenticationError, match="AADSTS90055"):
        eager.get_token(SCOPE)
    assert credential(strict, other, other_secret).get_token(SCOPE).token, "another app has its own count"
    strict.loop.call_soon_threadsafe(strict.house.clock.advance, 61)
    assert credential(strict, app, secret).get_token(SCOPE).token
    with pytest.raises(ClientAuthenticationError, match="AADSTS90055"):
        eager.get_token(SCOPE)  # MSAL repeats what it was told until Retry-After is over, and asks nobody


def test_memory_is_bounded_and_made_up_ids_share_a_count(house: House) -> None:
    throttle = TokenThrottle(house.clock, 5)
    for number in range(10_000):
        throttle.check(f"made-up-{number}", "192.0.2.1")
    for _ in range(5):
        throttle.check("one more", "192.0.2.1")
    with pytest.raises(Throttled):
        throttle.check("yet another", "192.0.2.1")
    throttle.check("made-up-1", "192.0.2.1")
    assert isinstance(house.clock, ManualClock)
    house.clock.advance(60)
    throttle.check("yet another", "192.0.2.1")
