"""Small templates that ask for more than a server has are refused, soon, and nothing else waits for it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.arm import ArmError
from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.arm.house import House
    from tests.arm.templates import GROUP_ID, WIDGETS, body, deploy, nested, stored, symbolic, template, widget
else:
    from arm.house import House
    from arm.templates import GROUP_ID, WIDGETS, body, deploy, nested, stored, symbolic, template, widget

DOUBLED = {"v0": "[padLeft('', 131072, 'x')]"} | {
    f"v{at}": f"[concat(variables('v{at - 1}'), variables('v{at - 1}'))]" for at in range(1, 16)
}
SHARED = {"v0": "[createArray('x')]"} | {
    f"v{at}": "[createArray(" + ", ".join([f"variables('v{at - 1}')"] * 60) + ")]" for at in range(1, 6)
}
FAN = {
    f"f{at}": {"parameters": [], "output": {"type": "int", "value": f"[max({', '.join([f'n.f{at - 1}()'] * 12)})]"}}
    for at in range(1, 18)
} | {"f0": {"parameters": [], "output": {"type": "int", "value": "[add(1, 1)]"}}}


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[House]:
    """A server that lets a template do an eighth of what is usual."""
    made = House(tmp_path, {"arm.template_work": 32 * 1024 * 1024})
    await made.open()
    yield made
    made.db.close()


def loops(deep: int) -> Any:
    """Loops of properties inside each other."""
    inside: Any = "[copyIndex('l0')]"
    for at in range(deep):
        inside = {"copy": [{"name": f"l{at}", "count": 800, "input": inside}]}
    return inside


def copied(deep: int) -> dict[str, Any]:
    """Nested deployments in loops inside each other."""
    inside = template(widget("w"))
    for at in range(deep):
        loop = {"name": f"l{at}", "count": 800}
        inside = template(nested(f"[concat('n{at}-', copyIndex())]", inside, scope="inner", copy=loop))
    return inside


@pytest.mark.parametrize(
    ("what", "wrong"),
    [
        (template(widget("w", {"x": "[length(variables('v15'))]"}), variables=DOUBLED), "more than 4194304 characters"),
        (template(widget("w", {"x": "[variables('v5')]"}), variables=SHARED), "more than 4194304 characters"),
        (
            template(widget("w", {"x": "[length(string(variables('v5')))]"}), variables=SHARED),
            "more than 4194304 characters",
        ),
        (
            template(widget("w", {"x": "[reduce(range(0, 5000), 1, lambda('a', createArray(lambdaVariables('a'))))]"})),
            "nested more than 100 deep",
        ),
        (
            template(
                widget(
                    "w",
                    {
                        "x": "[reduce(range(0, 50), 'xy', lambda('a', concat(lambdaVariables('a'), lambdaVariables('a'))))]"
                    },
                )
            ),
            "more than 4194304 characters",
        ),
        (
            template(
                widget(
                    "w",
                    {"x": "[length(map(range(0, 90000), lambda('i', length(map(range(0, 90000), lambda('j', 1))))))]"},
                )
            ),
            "more work to evaluate than is allowed",
        ),
        (
            template(widget("w", {"x": "[n.f17()]"}), functions=[{"namespace": "n", "members": FAN}]),
            "more work to evaluate than is allowed",
        ),
        (template(widget("w", loops(3))), "more work to evaluate than is allowed"),
        (copied(4), "more work to evaluate than is allowed"),
        (
            template(
                *(widget(f"w{at}", {"x": "[variables('v4')]"}) for at in range(100)),
                variables={name: DOUBLED[name] for name in ("v0", "v1", "v2", "v3", "v4")},
            ),
            "more work to evaluate than is allowed",
        ),
        (template(widget("w", {"x": "[lambda('i', 1)]"})), "a lambda expression where a value is expected"),
        (template(widget("w", copy={"name": "c", "count": "9" * 5000})), "must be an integer from 0 to 800"),
    ],
    ids=[
        "strings",
        "arrays",
        "text",
        "depth",
        "reduce",
        "map",
        "functions",
        "loops",
        "nested",
        "sum",
        "lambda",
        "count",
    ],
)
async def test_refused(small: House, what: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ArmError, match=wrong) as raised:
        await small.deployments.what_if(GROUP_ID, "d1", body(what))
    assert raised.value.status == 400


def chain(long: int, first: str) -> dict[str, Any]:
    """Variables each of which rests on the one before, inside an object."""
    return {"v0": {"x": [first]}} | {
        f"v{at}": {"x": [f"[concat(variables('v{at - 1}').x[0], 'y')]"]} for at in range(1, long)
    }


async def test_variables_rest_on_each_other_as_many_as_there_may_be(house: House) -> None:
    what = template(widget("w", {"x": "[length(variables('v255').x[0])]"}), variables=chain(256, "y"))
    await deploy(house, what)
    assert stored(house, "w")["x"] == 256
    secret = {"key": {"type": "securestring", "defaultValue": "hush"}}
    what = template(widget("w2", {"x": "[variables('v99').x[0]]"}), variables=chain(100, "[parameters('key')]"))
    await deploy(house, what | {"parameters": secret})
    shown = house.store.shown(ResourceId.parse(f"{WIDGETS}/w2"))
    assert shown is not None
    assert "hush" not in repr(shown)
    around = template(widget("w", {"x": "[variables('v255')]"}), variables=chain(256, "[variables('v255').x[0]]"))
    with pytest.raises(ArmError, match=r"rests on itself: v\d+ -> "):
        await house.deployments.validate(GROUP_ID, "d1", body(around))


async def test_a_large_template_is_allowed_and_leaves_the_loop_free(house: House) -> None:
    text = "x" * 2000
    many = [
        widget(f"w{at}", {f"p{n}": f"[concat('{text}', parameters('p'), '{n}')]" for n in range(5)})
        for at in range(300)
    ]
    what = template(*many, parameters={"p": {"type": "string", "defaultValue": "p"}})
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before)

    watcher = asyncio.create_task(watch())
    began = time.perf_counter()
    await house.deployments.validate(GROUP_ID, "d1", body(what))
    whole = time.perf_counter() - began
    watcher.cancel()
    assert longest < max(whole / 2, 0.1)
    done = await deploy(house, template(*many[:20], parameters=what["parameters"]))
    assert done["provisioningState"] == "Succeeded"
    assert stored(house, "w19")["p4"] == f"{text}p4"


@pytest.mark.parametrize("declared", [{"type": "secureObject"}, {"type": "object"}])
async def test_what_it_costs_to_hide_secrets_is_bounded_and_leaves_the_loop_free(
    house: House, declared: dict[str, Any]
) -> None:
    secure = {"a": {"type": "array", "items": {"type": "securestring"}}}
    typed = declared | ({"properties": secure} if declared["type"] == "object" else {})

    def sent(many: int) -> dict[str, Any]:
        texts = {"x": [f"text{at}" for at in range(many)]}
        what = symbolic({}, parameters={"p": typed}, metadata=texts)
        return body(what, {"p": {"a": [f"secret{at}" for at in range(many)]}})

    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            longest = max(longest, time.perf_counter() - began)

    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    await house.deployments.deploy(GROUP_ID, "d1", sent(4_000))
    whole = time.perf_counter() - began
    watching.cancel()
    assert longest < max(whole / 2, 0.1)
    with pytest.raises(ArmError, match="more work to evaluate than is allowed"):
        await house.deployments.deploy(GROUP_ID, "d1", sent(40_000))
