"""The directory's own rules, below every wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from lurewire.identity import TokenError
from lurewire.identity.app_roles import UnknownAppRole

if TYPE_CHECKING:
    from tests.arm.house import House


async def test_apps_of_an_older_state_folder_get_what_they_lack(house: House) -> None:
    before = await house.identity.create_app("old")
    await house.db.write(lambda conn: conn.execute(sa.text("delete from identity_applications")))
    assert house.identity.app(before.app_id) is None
    await house.identity.start()
    after = house.identity.app(before.app_id)
    assert after is not None
    assert (after.object_id, after.has_principal) == (before.object_id, True)
    assert house.identity.app_object(after.id) == after
    await house.identity.start()
    assert house.identity.app(before.app_id) == after


async def test_a_principal_is_made_once_and_another_after_it_was_deleted(house: House) -> None:
    app = await house.identity.create_app("app", with_principal=False)
    assert not await house.identity.delete_principal(app.app_id)
    first = await house.identity.create_principal(app.app_id)
    assert await house.identity.create_principal(app.app_id) == first
    assert await house.identity.delete_principal(app.app_id)
    second = await house.identity.create_principal(app.app_id)
    assert second.object_id != first.object_id
    assert second.id == app.id
    with pytest.raises(TokenError, match="was not found in the directory"):
        await house.identity.create_principal("b1b1b1b1-0000-4000-8000-000000000000")


async def test_permissions_are_given_all_or_none(house: House) -> None:
    principal = await house.principal("p")
    roles = house.identity.app_roles
    with pytest.raises(UnknownAppRole, match=r"no Microsoft Graph permission 'Mail\.Send' here"):
        await roles.grant(principal.object_id, ["Directory.Read.All", "Mail.Send"])
    assert roles.of(principal.object_id) == []
    for _ in range(2):
        await roles.grant(principal.object_id.upper(), ["directory.read.all", "Directory.Read.All"])
    assert [one.value for one in roles.of(principal.object_id)] == ["Directory.Read.All"]
