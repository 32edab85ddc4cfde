"""Small templates that ask for more than a server has are refused, soon, and nothing else waits for it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from lurewire.arm import ArmError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.arm.house import House
    from tests.arm.templates import GROUP_ID, body, deploy, nested, stored, template, widget
else:
    from arm.house import House
    from arm.templates import GROUP_ID, body, deploy, nested, stored, template, widget

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
