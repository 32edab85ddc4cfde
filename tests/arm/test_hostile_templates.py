"""Whatever a template says, a deployment is refused, fails or succeeds: it never breaks the server."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lurewire.core.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.arm.house import House
    from tests.arm.templates import GROUP_ID, SCHEMA, body, nested, widget
else:
    from arm.house import House
    from arm.templates import GROUP_ID, SCHEMA, body, nested, widget

TEXTS = st.sampled_from(
    [
        "w",
        "",
        "a/b",
        "[copyIndex()]",
        "[concat('w', copyIndex())]",
        "[copyIndex('p', 1)]",
        "[parameters('p')]",
        "[parameters('secret')]",
        "[variables('v')]",
        "[variables('list')[0]]",
        "[reference('w')]",
        "[reference('w').serial]",
        "[reference('child').outputs.o.value]",
        "[references('s')]",
        "[listKeys('w', '1')]",
        "[resourceGroup().name]",
        "[resourceId('Contoso.Test/widgets', 'w')]",
        "[map(range(0, 2), lambda('i', lambdaVariables('i')))]",
        "[lambda('i', lambdaVariables('i'))]",
        "[json('{')]",
        "[fail('x')]",
        "[[w]",
        "[",
        "[]",
        "[json('\"\\ud800\"')]",
        "[json('1e400')]",
        "[uriComponentToString('%ED%A0%80')]",
        "/subscriptions/x",
        "Contoso.Test/widgets",
        "Microsoft.Resources/deployments",
    ]
)
SCALARS = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(-2, 900), st.floats(allow_nan=False))
NAMES = st.sampled_from(
    [
        "copy",
        "name",
        "count",
        "input",
        "mode",
        "batchSize",
        "properties",
        "resources",
        "type",
        "x",
        "[parameters('p')]",
        "value",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
LOOPS = st.one_of(st.fixed_dictionaries({"name": TEXTS, "count": st.one_of(st.integers(-1, 3), TEXTS)}), VALUES)
MORE = st.dictionaries(
    st.sampled_from(
        ["copy", "condition", "dependsOn", "scope", "resources", "existing", "identity", "tags", "location", "x"]
    ),
    st.one_of(VALUES, LOOPS),
    max_size=3,
)
RESOURCES = st.builds(
    lambda name, kind, properties, more: widget(name) | {"type": kind, "properties": properties} | more,
    TEXTS,
    st.one_of(st.just("Contoso.Test/widgets"), TEXTS),
    VALUES,
    MORE,
)


def made(resources: Any, variables: Any, outputs: Any, *, symbolic: bool) -> dict[str, Any]:
    rows = {f"s{at}" if at else "s": one for at, one in enumerate(resources)} if symbolic else resources
    return {
        "$schema": SCHEMA,
        "contentVersion": "1",
        **({"languageVersion": "2.0"} if symbolic else {}),
        "parameters": {
            "p": {"type": "string", "defaultValue": "p"},
            "secret": {"type": "securestring", "defaultValue": "hush"},
        },
        "variables": {"v": variables, "list": {"copy": [{"name": "l", "count": 2, "input": "[copyIndex('l')]"}]}},
        "resources": rows,
        "outputs": {"o": {"type": "object", "value": outputs}},
    }


PLAIN = st.builds(made, st.lists(RESOURCES, max_size=3), VALUES, VALUES, symbolic=st.booleans())
TEMPLATES = st.one_of(
    PLAIN,
    st.builds(
        lambda inside, around, scope: (
            around | {"resources": [nested("child", inside, scope=scope), widget("w")], "languageVersion": None}
        ),
        PLAIN,
        PLAIN,
        st.sampled_from(["inner", "outer"]),
    ).map(lambda whole: {name: value for name, value in whole.items() if value is not None}),
)


@pytest.fixture(scope="module")
def runner() -> Iterator[tuple[asyncio.Runner, House]]:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as loop:
        house = House(Path(folder))
        loop.run(house.open())
        yield loop, house
        house.db.close()


def check(error: WireError) -> None:
    assert 400 <= error.status < 500, error


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(template=TEMPLATES)
def test_any_template(runner: tuple[asyncio.Runner, House], template: dict[str, Any]) -> None:
    loop, house = runner

    async def attempt() -> None:
        sent = body(template)
        try:
            await house.deployments.what_if(GROUP_ID, "d1", sent)
        except WireError as error:
            check(error)
        try:
            done = await house.deployments.deploy(GROUP_ID, "d1", sent)
        except WireError as error:
            check(error)
        else:
            assert done["properties"]["provisioningState"] in ("Succeeded", "Failed")
            for one in (done["properties"].get("error") or {}).get("details", ()):
                assert one["code"] != "InternalServerError", one

    loop.run(attempt())
