"""The API over HTTP: keys, quota, errors in one envelope."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import pytest
import requests

from lurewire.core.limits import Limits
from lurewire.ipintel import LIMITS, DataFolder, IpIntel, KeyExistsError

if TYPE_CHECKING:
    from pathlib import Path

    from lurewire.core.clock import ManualClock
    from lurewire.core.database import Database


def get(url: str, query: str, key: str | None = None) -> requests.Response:
    return requests.get(f"{url}{query}", headers={} if key is None else {"X-API-Key": key}, timeout=10)


def error_of(response: requests.Response) -> tuple[int, str]:
    body = response.json()
    assert set(body) == {"success", "error"}
    assert body["success"] is False
    assert set(body["error"]) == {"code", "message"}
    assert response.headers["content-type"] == "application/json"
    return response.status_code, body["error"]["code"]


def test_a_lookup(url: str, key: str) -> None:
    response = get(url, "?ip=10.0.0.5", key)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-ratelimit-limit"] == "600"
    assert response.headers["x-ratelimit-remaining"] == "599"
    assert response.json()["data"]["threat_assessment"]["categories"] == ["private"]
    assert get(url, "?ip=2001:4860:4860::8888&x=1", key).json()["data"]["asn"] == 15169


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "missing_ip"),
        ("?ip=", "missing_ip"),
        ("?IP=8.8.8.8", "missing_ip"),
        ("?ip=8.8.8.8&ip=8.8.8.8", "repeated_ip"),
        ("?ip=999.1.1.1", "invalid_ip"),
        ("?ip=example.com", "invalid_ip"),
        ("?ip=8.8.8.8%00", "invalid_ip"),
        ("?ip=%1b%5d0;x%07%ff", "invalid_ip"),
        ("?ip=" + "1" * 50_000, "invalid_ip"),
    ],
)
def test_what_is_not_one_address_is_400(url: str, key: str, query: str, code: str) -> None:
    response = get(url, query, key)
    assert error_of(response) == (400, code)
    assert response.headers["x-ratelimit-remaining"] == "599"
    assert len(response.content) < 500


def test_a_megabyte_of_address_is_refused_and_the_server_lives(url: str, key: str) -> None:
    # The server may close before the client has written it all.
    with contextlib.suppress(requests.ConnectionError):
        assert get(url, "?ip=" + "1" * 1_000_000, key).status_code in {400, 414}
    assert get(url, "?ip=8.8.8.8", key).status_code == 200


def test_without_a_key_nothing_is_said(url: str) -> None:
    for header in (None, ""):
        response = get(url, "?ip=999.1.1.1", header)
        assert error_of(response) == (401, "missing_api_key")
        assert "x-ratelimit-limit" not in response.headers
    assert error_of(get(url, "?ip=8.8.8.8", "guess")) == (401, "invalid_api_key")


def test_other_methods_are_405(url: str, key: str) -> None:
    assert requests.post(f"{url}?ip=8.8.8.8", headers={"X-API-Key": key}, timeout=10).status_code == 405


async def test_a_key_works_until_it_is_revoked(service: IpIntel) -> None:
    key = await service.create_key("soc")
    other = await service.create_key("demo")
    assert key != other
    assert len(key) >= 43  # 256 bits
    assert service.admit([key]).remaining == 599
    with pytest.raises(KeyExistsError):
        await service.create_key("soc")
    assert await service.revoke_key("soc")
    assert not await service.revoke_key("soc")
    for presented, code in (([key], "invalid_api_key"), ([other, other], "invalid_api_key"), ([], "missing_api_key")):
        with pytest.raises(Exception) as refused:  # noqa: PT011 - the code is what is asserted
            service.admit(presented)
        assert getattr(refused.value, "code", None) == code
    assert service.admit([other]).remaining == 599
    again = await service.create_key("soc")
    assert service.admit([again]).remaining == 599
    assert [(info.name, info.revoked_at is None) for info in service.list_keys()] == [
        ("soc", False),
        ("demo", True),
        ("soc", True),
    ]


def test_the_text_of_a_key_is_stored_nowhere(service: IpIntel, key: str, db: Database, tmp_path: Path) -> None:
    assert service.admit([key]).remaining == 599
    db.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("control.db*"))
    assert b"ipintel_keys" in stored
    assert key.encode() not in stored


def test_600_lookups_an_hour(url: str, service: IpIntel, key: str, clock: ManualClock) -> None:
    for _ in range(400):
        service.admit([key])
    clock.advance(1800)
    for left in range(199, 0, -1):
        assert service.admit([key]).remaining == left
    assert get(url, "?ip=8.8.8.8", key).headers["x-ratelimit-remaining"] == "0"
    refused = get(url, "?ip=8.8.8.8", key)
    assert error_of(refused) == (429, "rate_limited")
    assert (refused.headers["retry-after"], refused.headers["x-ratelimit-remaining"]) == ("1800", "0")
    # Another key has its own hour.
    other = asyncio.run(service.create_key("other"))
    assert get(url, "?ip=8.8.8.8", other).headers["x-ratelimit-remaining"] == "599"
    clock.advance(1799.5)
    assert get(url, "?ip=8.8.8.8", key).headers["retry-after"] == "1"
    clock.advance(0.5)
    assert get(url, "?ip=8.8.8.8", key).headers["x-ratelimit-remaining"] == "399"


def test_the_limit_is_a_setting(db: Database, clock: ManualClock, tmp_path: Path) -> None:
    service = IpIntel(db, clock, DataFolder(tmp_path / "none"), Limits(LIMITS, {"ipintel.lookups_per_hour": 2}))
    key = asyncio.run(service.create_key("few"))
    assert [service.admit([key]).remaining for _ in range(2)] == [1, 0]
    with pytest.raises(Exception, match="2 lookups per hour"):
        service.admit([key])


def test_errors_show_hostile_text_inert(url: str, key: str) -> None:
    response = get(url, "?ip=%1b%5b31m%3cscript%3e", key)
    message = json.loads(response.text)["error"]["message"]
    assert message.isprintable()
