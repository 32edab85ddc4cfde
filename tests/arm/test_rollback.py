"""A deployment that fails has an earlier one deployed again, if that was asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from lurewire.arm import ArmError
from lurewire.arm.tables import deployment_requests
from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from tests.arm.house import House
    from tests.arm.templates import GROUP, GROUP_ID, SUBSCRIPTION, body, nested, stored, template, widget
else:
    from arm.templates import GROUP, GROUP_ID, SUBSCRIPTION, body, nested, stored, template, widget

GOOD = template(
    widget("kept", {"key": "[parameters('key')]", "size": "[parameters('size')]"}),
    parameters={"key": {"type": "securestring"}, "size": {"type": "int", "defaultValue": 1}},
)
BAD = template(widget("kept", {"size": 9}), widget("new"), widget("bad", {"explode": "now"}))
LAST = {"type": "LastSuccessful"}


async def run(house: House, name: str, what: dict[str, Any], on_error: Any = None, **values: Any) -> Any:
    house.clock.advance(timedelta(seconds=1).total_seconds())
    sent = body(what, values)
    sent["properties"]["onErrorDeployment"] = on_error
    return (await house.deployments.deploy(GROUP_ID, name, sent, principal=values.get("principal")))["properties"]


@pytest.fixture
async def shop(house: House) -> House:
    """A group with two good deployments; the vault, which no template names, is out of the way."""
    await house.store.delete(ResourceId.parse(f"{GROUP}/providers/Microsoft.KeyVault/vaults/lurewire-vault"))
    await run(house, "first", GOOD, key="hush-1", size=1)
    await run(house, "second", GOOD, key="hush-2", size=2)
    return house


async def test_the_last_that_succeeded_is_deployed_again_as_a_whole(shop: House) -> None:
    failed = await run(shop, "third", BAD, LAST)
    assert failed["provisioningState"] == "Failed"
    again = {"type": "LastSuccessful", "deploymentName": "second", "provisioningState": "Succeeded"}
    assert failed["onErrorDeployment"] == again
    assert shop.deployments.get(GROUP_ID, "third")["properties"]["onErrorDeployment"] == again
    kept = stored(shop, "kept")
    assert (kept["key"], kept["size"]) == ("hush-2", 2)
    assert stored(shop, "new") is None  # the mode is Complete
    earlier = shop.deployments.get(GROUP_ID, "second")["properties"]
    assert (earlier["mode"], earlier["provisioningState"]) == ("Complete", "Succeeded")
    assert "hush" not in repr(shop.deployments.list(GROUP_ID))
    assert b"hush" not in (shop.folder / "control.db").read_bytes()


async def test_a_certain_one_is_deployed_again(shop: House) -> None:
    wanted = {"type": "specificdeployment", "deploymentName": "FIRST"}
    failed = await run(shop, "third", BAD, wanted)
    assert failed["onErrorDeployment"]["provisioningState"] == "Succeeded"
    assert failed["onErrorDeployment"]["deploymentName"] == "first"
    assert stored(shop, "kept")["size"] == 1


async def test_what_succeeds_has_nothing_deployed_again(shop: House) -> None:
    done = await run(shop, "third", template(widget("new")), LAST)
    assert done["onErrorDeployment"] == {"type": "LastSuccessful", "deploymentName": "second"}
    assert stored(shop, "new") is not None
    assert shop.deployments.get(GROUP_ID, "second")["properties"]["mode"] == "Incremental"


async def test_a_rollback_that_fails_is_told(shop: House) -> None:
    principal = await shop.principal("deployer", ("Contributor", GROUP))
    lock = ResourceId.parse(f"{GROUP}/providers/Microsoft.Authorization/locks/l")
    await shop.store.put(lock, {"properties": {"level": "CanNotDelete"}})
    sent = body(BAD)
    sent["properties"]["onErrorDeployment"] = LAST
    failed = (await shop.deployments.deploy(GROUP_ID, "third", sent, principal))["properties"]
    assert failed["onErrorDeployment"]["provisioningState"] == "Failed"
    [of_resource, of_rollback] = failed["error"]["details"]
    assert of_resource["target"].endswith("/widgets/bad")
    assert of_rollback["target"].endswith("/deployments/second")
    assert "ScopeLocked" in repr(of_rollback)


def sealed(house: House) -> list[str]:
    """The names of the deployments whose secrets are kept."""
    query = sa.select(deployment_requests.c.key)
    return sorted(key.rpartition("/")[2] for key in house.db.read(lambda conn: conn.execute(query).scalars().all()))


async def test_secrets_are_kept_of_what_can_be_deployed_again_and_as_long_as_that(shop: House) -> None:
    assert sealed(shop) == ["first", "second"]
    await run(shop, "third", BAD)
    await run(shop, "first", BAD)  # the name is taken by one that fails
    assert sealed(shop) == ["second"]
    await shop.deployments.delete(GROUP_ID, "second")
    assert sealed(shop) == []
    await run(shop, "fourth", GOOD, key="hush-4")
    assert sealed(shop) == ["fourth"]
    await shop.deployments.delete_group(GROUP_ID)
    assert sealed(shop) == []


async def test_nothing_is_kept_of_a_deployment_whose_group_is_deleted_meanwhile(shop: House) -> None:
    real = shop.store.registrations.ensure

    async def ensure(namespace: str) -> None:
        await shop.deployments.delete_group(GROUP_ID)
        await real(namespace)

    shop.store.registrations.ensure = ensure  # type: ignore[method-assign]
    done = await run(shop, "third", GOOD, key="hush-3")
    assert done["provisioningState"] == "Succeeded"
    assert (sealed(shop), shop.deployments.list(GROUP_ID)) == ([], [])


async def test_a_rollback_takes_the_rights_of_who_asks_for_it_and_shows_no_secret(shop: House) -> None:
    principal = await shop.principal("other", ("Logic App Contributor", GROUP))
    sent = body(template(nested("in", BAD)))
    sent["properties"]["onErrorDeployment"] = LAST
    empty = template(outputs={"o": {"type": "int", "value": "[int('x')]"}})
    sent["properties"]["template"] = empty  # it fails, and takes no right to anything
    failed = (await shop.deployments.deploy(GROUP_ID, "third", sent, principal))["properties"]
    assert failed["onErrorDeployment"] == LAST | {"deploymentName": "second", "provisioningState": "Failed"}
    assert "does not have permission to perform action 'Contoso.Test/widgets/write'" in repr(failed["error"])
    assert "hush" not in repr(failed)
    assert shop.deployments.get(GROUP_ID, "second")["properties"]["mode"] == "Incremental"


async def test_nobody_replaces_or_deletes_a_deployment_while_it_rolls_back(shop: House) -> None:
    refused = []
    real = shop.deployments.plan

    async def plan(request: Any, **more: Any) -> Any:
        if request.name == "second":
            for call in (
                shop.deployments.deploy(GROUP_ID, "third", body(template())),
                shop.deployments.delete(GROUP_ID, "third"),
            ):
                with pytest.raises(ArmError, match="it is still active") as raised:
                    await call
                refused.append(raised.value.code)
        return await real(request, **more)

    shop.deployments.plan = plan  # type: ignore[method-assign]
    failed = await run(shop, "third", BAD, LAST)
    assert failed["onErrorDeployment"]["provisioningState"] == "Succeeded"
    assert refused == ["DeploymentActive"] * 2


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({"type": "Always"}, "has the form"),
        ("LastSuccessful", "has the form"),
        ({"type": "LastSuccessful", "deploymentName": "first"}, "belongs to the type SpecificDeployment"),
        ({"type": "SpecificDeployment"}, "belongs to the type SpecificDeployment"),
        ({"type": "SpecificDeployment", "deploymentName": "nobody"}, "could not be found"),
        ({"type": "SpecificDeployment", "deploymentName": "third"}, "the deployment 'third' itself"),
        ({"type": "SpecificDeployment", "deploymentName": "broken"}, "in the state 'Failed'"),
        ({"type": "SpecificDeployment", "deploymentName": "inside"}, "which was a nested one"),
    ],
)
async def test_what_is_refused(shop: House, asked: Any, wrong: str) -> None:
    await run(shop, "broken", BAD)
    await run(shop, "outside", template(nested("inside", template(widget("in")))))
    await run(shop, "third", template())
    for call in (shop.deployments.deploy, shop.deployments.validate):
        sent = body(template(widget("never")))
        sent["properties"]["onErrorDeployment"] = asked
        with pytest.raises(ArmError, match=wrong) as raised:
            await call(GROUP_ID, "third", sent)
        assert raised.value.status in (400, 404)
    assert stored(shop, "never") is None


async def test_there_must_be_one_and_a_resource_group(house: House) -> None:
    sent = body(template())
    sent["properties"]["onErrorDeployment"] = LAST
    with pytest.raises(ArmError, match="and there is none"):
        await house.deployments.deploy(GROUP_ID, "d1", sent)
    with pytest.raises(ArmError, match="deployments of resource groups"):
        await house.deployments.deploy(ResourceId.parse(SUBSCRIPTION), "d1", sent | {"location": "local"})
