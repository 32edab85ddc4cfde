"""Types that a template defines itself: what they accept, where a value does not fit, and what stays secret."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lurewire.arm import ArmError
from lurewire.arm.deployments.budget import Budget
from lurewire.arm.deployments.conformity import Mismatch, check_value
from lurewire.arm.deployments.definitions import Types
from lurewire.arm.errors import InvalidTemplate
from lurewire.core.resources import ResourceId

if TYPE_CHECKING:
    from pathlib import Path

    from tests.arm.house import House
    from tests.arm.templates import GROUP_ID, WIDGETS, body, deploy, nested, outputs, stored, symbolic, template, widget
else:
    from arm.house import House
    from arm.templates import GROUP_ID, WIDGETS, body, deploy, nested, outputs, stored, symbolic, template, widget

PORT = {"type": "int", "minValue": 1, "maxValue": 65535}
TREE = {"type": "object", "properties": {"next": {"$ref": "#/definitions/tree", "nullable": True}}, "sealed": True}
SHAPE = {
    "type": "object",
    "discriminator": {
        "propertyName": "kind",
        "mapping": {
            "circle": {"$ref": "#/definitions/circle"},
            "words": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    },
}
DEFINITIONS: dict[str, Any] = {
    "port": PORT,
    "short": {"type": "string", "minLength": 1, "maxLength": 3, "nullable": True},
    "rule": {
        "type": "object",
        "properties": {"port": {"$ref": "#/definitions/port"}, "note": {"$ref": "#/definitions/short"}},
        "additionalProperties": False,
        "metadata": {"description": "A rule."},
    },
    "rules": {"type": "array", "items": {"$ref": "#/definitions/rule"}, "minLength": 1},
    "pair": {"type": "array", "prefixItems": [{"type": "int"}, {"type": "bool"}], "items": False},
    "list": {"type": "array", "prefixItems": [{"type": "int"}], "items": {"type": "string"}},
    "some": {"type": "array", "allowedValues": ["a", 1, None]},
    "one": {"type": "array", "allowedValues": [["a"], ["b", "c"]]},
    "on": {"type": "bool", "allowedValues": [True]},
    "tree": TREE,
    "circle": {"type": "object", "properties": {"radius": {"type": "int"}}},
    "shape": SHAPE,
    "wanted": {"type": "object", "required": ["x"]},
    "any": {"type": "object", "properties": {"x": {"nullable": True}, "y": {}}},
    "deep": {"$ref": "#/definitions/rule/properties/port"},
    "second": {"$ref": "#/definitions/pair/prefixItems/1"},
    "sure": {"$ref": "#/definitions/short", "nullable": False},
    "narrow": {"$ref": "#/definitions/port", "maxValue": 10},
}


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("port", 80, None),
        ("port", 0, "the value is less than 'minValue' 1 allows, at /parameters/p"),
        ("port", "80", "the value is not of the type 'Int'"),
        ("short", None, None),
        ("rules", [{"port": 1}, {"port": 2, "note": "abc"}, {"port": 3, "note": None}], None),
        ("rules", [], "is shorter than 'minLength' 1 allows"),
        ("rules", [{"port": 1}, {"port": 0}], "the value at '/1/port' is less than 'minValue' 1 allows"),
        ("rules", [{}], "the value at '/0/port' is missing"),
        ("rules", [{"port": 1, "note": "long"}], "the value at '/0/note' is longer than 'maxLength' 3"),
        ("rules", [{"port": 1, "other": 1}], "the value at '/0/other' is a property that the type does not have"),
        ("pair", [1, True], None),
        ("pair", [1, 1], "the value at '/1' is not of the type 'Bool'"),
        ("pair", [1], "the value at '/1' is missing"),
        ("pair", [1, True, 1], "the value at '/2' is an item that the type does not have"),
        ("list", [1, "a", "b"], None),
        ("list", [1, "a", 2], "the value at '/2' is not of the type 'String'"),
        ("some", ["a", None], None),
        ("some", [True], "the value is not part of the allowed values"),
        ("one", ["b", "c"], None),
        ("one", ["b"], "the value is not part of the allowed values"),
        ("on", False, "the value is not part of the allowed values"),
        ("tree", {"next": {"next": {}}}, None),
        ("tree", {"next": {"next": {"x": 1}}}, "the value at '/next/next/x' is a property that"),
        ("shape", {"kind": "circle", "radius": 1, "more": 1}, None),
        ("shape", {"kind": "circle", "radius": "1"}, "the value at '/radius' is not of the type 'Int'"),
        ("shape", {"kind": "words", "a": "b"}, None),
        ("shape", {"kind": "words", "a": 1}, "the value at '/a' is not of the type 'String'"),
        ("shape", {"kind": "square"}, "the value at '/kind' is not one of 'circle', 'words'"),
        ("shape", {}, "the value at '/kind' is not one of"),
        ("wanted", {"x": 1, "y": 2}, None),
        ("wanted", {}, "the value at '/x' is missing"),
        ("any", {"y": [1]}, None),
        ("any", {"x": None, "y": None}, "the value at '/y' is not of a type that may be null"),
        ("deep", 0, "the value is less than"),
        ("second", 1, "the value is not of the type 'Bool'"),
        ("sure", None, "the value is not of the type 'String'"),
        ("narrow", 11, "the value is more than 'maxValue' 10 allows"),
        ("narrow", 0, "the value is less than 'minValue' 1 allows"),
    ],
)
async def test_a_parameter_is_checked_by_its_type(house: House, name: str, value: Any, wrong: str | None) -> None:
    declared = {"p": {"$ref": f"#/definitions/{name}"}}
    sent = body(symbolic({}, definitions=DEFINITIONS, parameters=declared), {"p": value})
    if wrong is None:
        await house.deployments.validate(GROUP_ID, "d1", sent)
        return
    with pytest.raises(ArmError) as raised:
        await house.deployments.validate(GROUP_ID, "d1", sent)
    assert (raised.value.status, raised.value.code, raised.value.target) == (400, "InvalidTemplate", "/parameters/p")
    assert wrong in raised.value.message
    assert "parameter" in raised.value.message


def defined(name: str, **more: Any) -> dict[str, Any]:
    return symbolic({}, definitions={name: more}, parameters={"p": {"$ref": f"#/definitions/{name}", "nullable": True}})


@pytest.mark.parametrize(
    ("what", "wrong"),
    [
        (template(definitions={"t": {"type": "int"}}), "'definitions' needs languageVersion 2.0, at /definitions"),
        (template(parameters={"p": {"type": "array", "items": {}}}), "'items' needs languageVersion 2.0"),
        (symbolic({}, definitions={"t": {"type": "text"}}), "the type 'text' is not one of .*, at /definitions/t"),
        (symbolic({}, definitions={"t": {"type": "int", "minimum": 1}}), "'minimum' is not supported in a type"),
        (symbolic({}, definitions={"t": {"type": "int", "minValue": "1"}}), "'minValue' must be an integer"),
        (
            symbolic({}, definitions={"t": {"type": "object", "sealed": True, "additionalProperties": {}}}),
            "sealed type",
        ),
        (
            symbolic({}, definitions={"t": {"type": "object", "properties": {"a/b": 1}}}),
            "at /definitions/t/properties/a~1b",
        ),
        (
            symbolic({}, definitions={"t": {"discriminator": {"propertyName": "k"}}}),
            "has the form {propertyName, mapping}",
        ),
        (symbolic({}, definitions={"t": {"$ref": "#/definitions/t"}}), "the type rests on itself, at /definitions/t"),
        (
            defined(
                "t", type="object", discriminator={"propertyName": "k", "mapping": {"a": {"$ref": "#/definitions/t"}}}
            ),
            "the type rests on itself",
        ),
        (symbolic({}, definitions={"t": {"$ref": "#/definitions/u"}}), "the template has no type '#/definitions/u'"),
        (symbolic({}, definitions={"t": {"$ref": "https://x.example/t"}}), "does not begin with #/definitions/"),
        (symbolic({}, parameters={"p": {"nullable": True}}), "a parameter needs a 'type', or a"),
        (
            symbolic({}, outputs={"o": {"$ref": "#/definitions/u", "value": 1}}),
            "has no type '#/definitions/u', at /outputs/o",
        ),
        (symbolic({}, parameters={"p": {"type": "int", "$ref": "#/definitions/t"}}), "either a 'type' or a"),
    ],
)
async def test_types_that_are_refused(house: House, what: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ArmError, match=wrong) as raised:
        await house.deployments.validate(GROUP_ID, "d1", body(what))
    assert raised.value.code == "InvalidTemplate"


async def test_outputs_and_functions_have_types_too(house: House) -> None:
    functions = [
        {
            "namespace": "n",
            "members": {
                "twice": {
                    "parameters": [{"name": "x", "$ref": "#/definitions/port"}],
                    "output": {"$ref": "#/definitions/port", "value": "[mul(parameters('x'), 2)]"},
                }
            },
        }
    ]
    shown = {"$ref": "#/definitions/rule"}

    async def out(value: Any) -> dict[str, Any]:
        what = symbolic({}, definitions=DEFINITIONS, functions=functions, outputs={"o": shown | {"value": value}})
        done: dict[str, Any] = await deploy(house, what)
        return done

    assert outputs(await out({"port": "[n.twice(21)]"})) == {"o": {"port": 42}}
    wrong = await out({"port": "[add(65535, 1)]"})
    assert (wrong["error"]["code"], wrong["error"]["target"]) == ("DeploymentOutputEvaluationFailed", "/outputs/o")
    assert "'o' at '/port' is more than 'maxValue' 65535" in wrong["error"]["message"]
    for call, problem in (("0", "parameter number 1 that is less than"), ("40000", "gives a value that is more than")):
        assert problem in (await out({"port": f"[n.twice({call})]"}))["error"]["message"]


async def test_secure_parts_of_an_object_stay_secret_and_the_rest_of_it_can_be_used(house: House) -> None:
    account = {"type": "object", "properties": {"name": {"type": "string"}, "key": {"type": "securestring"}}}
    inside = symbolic(
        {"w": widget("[parameters('a').name]", {"plain": "[parameters('a').name]", "key": "[parameters('a').key]"})},
        parameters={"a": {"type": "object"}},
        outputs={"a": {"type": "object", "value": "[parameters('a')]"}},
    )
    what = symbolic(
        {
            "outer": widget("[variables('a').name]", {"text": "[concat('key=', variables('a').key)]", "x": 1}),
            "child": nested("child", inside, scope="inner")
            | {
                "properties": nested("child", inside, {"a": "[union(parameters('a'), createObject('name', 'i'))]"})[
                    "properties"
                ]
            },
        },
        definitions={"account": account},
        parameters={"a": {"$ref": "#/definitions/account", "defaultValue": {"name": "d", "key": "default-key"}}},
        variables={"a": "[parameters('a')]"},
        outputs={"o": {"$ref": "#/definitions/account", "value": "[parameters('a')]"}},
    )
    done = await deploy(house, what, {"a": {"name": "o", "key": "hush-hush"}})
    assert done["outputs"]["o"]["value"] == {"name": "o", "key": "*******"}
    assert done["parameters"]["a"]["value"] == {"name": "o", "key": "*******"}
    assert stored(house, "o")["text"] == "key=hush-hush"
    assert stored(house, "i")["key"] == "hush-hush"
    shown = [house.store.shown(ResourceId.parse(f"{WIDGETS}/{name}")) for name in ("o", "i")]
    kept = [house.deployments.get(GROUP_ID, name) for name in ("d1", "child")]
    templates = [house.deployments.template(GROUP_ID, name) for name in ("d1", "child")]
    assert "hush" not in repr((shown, kept, templates))
    assert "default-key" not in repr(templates)
    with pytest.raises(ArmError) as raised:
        await deploy(house, what, {"a": {"name": 1, "key": "hush-hush"}})
    assert "'/name' is not of the type" in raised.value.message


@pytest.mark.parametrize("form", ["$ref", "discriminator"])
async def test_types_rest_on_so_many_others_and_no_more(house: House, form: str) -> None:
    def one(at: int) -> dict[str, Any]:
        next_one = {"$ref": f"#/definitions/t{at + 1}"}
        tagged = {"discriminator": {"propertyName": "k", "mapping": {"v": next_one}}}
        return next_one if form == "$ref" else tagged

    def chain(long: int) -> dict[str, Any]:
        definitions = {f"t{at}": one(at) for at in range(long)} | {f"t{long}": {"type": "object"}}
        declared = {"$ref": "#/definitions/t0"} if form == "$ref" else {"type": "object", **one(-1)}
        return symbolic({}, definitions=definitions, parameters={"p": declared})

    await house.deployments.validate(GROUP_ID, "d1", body(chain(20), {"p": {"k": "v"}}))
    with pytest.raises(ArmError, match="rests on more than 50 others, each on the next") as raised:
        await house.deployments.validate(GROUP_ID, "d1", body(chain(3000), {"p": {"k": "v"}}))
    assert raised.value.code == "InvalidTemplate"


async def test_property_names_count_without_case(house: House) -> None:
    account = {"type": "object", "properties": {"key": {"type": "securestring", "nullable": True}}}
    what = symbolic(
        {"w": widget("w", {"key": "[parameters('a').key]"})},
        definitions={"account": account | {"additionalProperties": {"type": "int"}}},
        parameters={"a": {"$ref": "#/definitions/account"}},
    )
    done = await deploy(house, what, {"a": {"KEY": "hush-hush"}})
    assert stored(house, "w")["key"] == "hush-hush"
    assert "hush" not in repr((done, house.store.shown(ResourceId.parse(f"{WIDGETS}/w"))))
    twice = {"type": "object", "properties": {"a": {"type": "int"}, "A": {"type": "securestring"}}}
    with pytest.raises(ArmError, match="two properties differ only in case"):
        await house.deployments.validate(GROUP_ID, "d1", body(symbolic({}, definitions={"t": twice})))


async def test_what_is_made_of_secure_parts_is_secret_too(house: House) -> None:
    account = {"type": "object", "properties": {"name": {"type": "string"}, "key": {"type": "securestring"}}}
    functions = [
        {
            "namespace": "own",
            "members": {
                "coded": {
                    "parameters": [{"name": "a", "type": "object"}],
                    "output": {"type": "string", "value": "[base64(parameters('a').key)]"},
                }
            },
        }
    ]
    made = {
        "base64": "[base64(parameters('a').key)]",
        "text": "[base64(string(parameters('a')))]",
        "upper": "[toUpper(concat('x', parameters('a').key))]",
        "parts": "[split(parameters('a').key, '-')]",
        "variable": "[variables('coded')]",
        "own": "[own.coded(parameters('a'))]",
        "loop": "[map(createArray(parameters('a')), lambda('one', base64(lambdaVariables('one').key)))]",
        "short": "[concat('pin=', parameters('pin').key)]",
        "plain": "[toUpper(parameters('a').name)]",
    }
    what = symbolic(
        {"w": widget("[toLower(parameters('a').name)]", made)},
        definitions={"account": account},
        functions=functions,
        parameters={"a": {"$ref": "#/definitions/account"}, "pin": {"$ref": "#/definitions/account"}},
        variables={"coded": "[base64(parameters('a').key)]"},
        outputs={name: {"type": "string", "value": made[name]} for name in ("base64", "own", "plain")},
    )
    done = await deploy(house, what, {"a": {"name": "o", "key": "hush-hush"}, "pin": {"name": "p", "key": "471"}})
    assert stored(house, "o")["base64"] == "aHVzaC1odXNo"
    shown = house.store.shown(ResourceId.parse(f"{WIDGETS}/o"))
    assert shown is not None
    assert set(made) & set(shown["properties"]) == {"plain"}
    assert {name: "value" in one for name, one in done["outputs"].items()} == {
        "base64": False,
        "own": False,
        "plain": True,
    }


async def test_what_types_cost_is_bounded(tmp_path: Path) -> None:
    house = House(tmp_path, {"arm.template_work": 1024 * 1024})
    await house.open()
    # Each level says twice what its items are: a value 60 deep would be looked at 2^60 times.
    twice: dict[str, Any] = {"a": {"$ref": "#/definitions/b", "items": {"$ref": "#/definitions/a"}}}
    twice |= {"b": {"type": "array", "items": {"$ref": "#/definitions/a"}}}
    value: list[Any] = []
    for _ in range(60):
        value = [value]
    what = symbolic({}, definitions=twice, parameters={"p": {"$ref": "#/definitions/a"}})
    with pytest.raises(ArmError, match="more work to evaluate than is allowed"):
        await house.deployments.validate(GROUP_ID, "d1", body(what, {"p": value}))
    # The same with what a discriminator names.
    tagged: dict[str, Any] = {"a0": {"type": "object"}} | {
        f"a{at}": {
            "type": "object",
            "discriminator": {"propertyName": "k", "mapping": {"v": {"$ref": f"#/definitions/b{at}"}}},
        }
        for at in range(1, 13)
    }
    tagged |= {
        f"b{at}": {
            "$ref": f"#/definitions/a{at - 1}",
            "discriminator": {"propertyName": "k", "mapping": {"v": {"$ref": f"#/definitions/a{at - 1}"}}},
        }
        for at in range(1, 13)
    }
    what = symbolic({}, definitions=tagged, parameters={"p": {"$ref": "#/definitions/a12"}})
    with pytest.raises(ArmError, match="more work to evaluate than is allowed"):
        await house.deployments.validate(GROUP_ID, "d1", body(what, {"p": {"k": "v"}}))
    # A default value that is not used, of a type with something secure in it: it is looked for all the same.
    secure = twice | {"s": {"type": "securestring"}}
    unused = {"$ref": "#/definitions/a", "defaultValue": value}
    what = symbolic({}, definitions=secure, parameters={"p": unused})
    with pytest.raises(ArmError, match="more work to evaluate than is allowed"):
        await house.deployments.validate(GROUP_ID, "d1", body(what, {"p": []}))
    # A large set of definitions, in a nested template that is copied.
    many = symbolic({}, definitions={f"t{at}": {"type": "int"} for at in range(2000)})
    copied = nested("[format('n{0}', copyIndex())]", many, scope="inner", copy={"name": "l", "count": 800})
    with pytest.raises(ArmError, match="more work to evaluate than is allowed"):
        await house.deployments.validate(GROUP_ID, "d1", body(template(copied)))
    house.db.close()


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text("ab", max_size=2)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "type", "$ref", "kind"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ["type", "$ref", "properties", "required", "additionalProperties", "sealed", "items", "prefixItems"]
REFERENCES = st.sampled_from(
    ["#/definitions/a", "#/definitions/b", "#/definitions/a/items", "#/definitions/b/properties/a"]
)
NODES = st.recursive(
    st.fixed_dictionaries({}, optional={"type": st.sampled_from(["int", "array", "object"]), "nullable": st.booleans()})
    | st.fixed_dictionaries({"$ref": REFERENCES}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", "string"]),
            "properties": st.dictionaries(st.sampled_from(["a", "kind"]), inner, max_size=2),
            "additionalProperties": st.booleans() | inner,
            "items": st.booleans() | inner,
            "prefixItems": st.lists(inner, max_size=2),
            "allowedValues": st.lists(JSON, max_size=2),
            "discriminator": st.fixed_dictionaries(
                {"propertyName": st.just("kind"), "mapping": st.dictionaries(st.sampled_from("ab"), inner, max_size=2)}
            ),
        },
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(a=NODES | JSON, b=NODES | JSON, value=JSON)
def test_any_types_and_any_value(a: Any, b: Any, value: Any) -> None:
    budget = Budget(1 << 20)
    template = {"languageVersion": "2.0", "definitions": {"a": a, "b": b}}
    with contextlib.suppress(InvalidTemplate, Mismatch):
        types = Types(template, lambda units, _where: budget.spend(units))
        check_value(value, types.read({"$ref": "#/definitions/a"}, "/parameters/p"), budget.spend)
