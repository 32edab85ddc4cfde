from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurewire.core.resources import InvalidResourceId, ResourceId

SUB = "/subscriptions/11111111-2222-3333-4444-555555555555"
GROUP = f"{SUB}/resourceGroups/Lurewire"
WORKSPACE = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/Lurewire"
RULE = f"{WORKSPACE}/providers/Microsoft.SecurityInsights/alertRules/NewThreat"

SEGMENT = st.text("abcXYZ019-_. ()@ü", min_size=1, max_size=12).filter(
    lambda s: s.strip("/") and s.lower() != "providers"
)
CONTAINER = st.one_of(
    st.just(""),
    st.builds("/subscriptions/{}".format, SEGMENT),
    st.builds("/subscriptions/{}/resourceGroups/{}".format, SEGMENT, SEGMENT),
)
PROVIDER = st.builds(
    lambda namespace, pairs: f"/providers/{namespace}/" + "/".join(f"{t}/{n}" for t, n in pairs),
    SEGMENT,
    st.lists(st.tuples(SEGMENT, SEGMENT), min_size=1, max_size=3),
)
IDS = st.builds(lambda c, ps: c + "".join(ps), CONTAINER, st.lists(PROVIDER, max_size=3)).filter(bool)


def test_the_parts_of_an_extension_resource() -> None:
    rule = ResourceId.parse(RULE)
    assert rule.type == "Microsoft.SecurityInsights/alertRules"
    assert (rule.name, rule.names, rule.resource_group) == ("NewThreat", ("NewThreat",), "Lurewire")
    assert rule.subscription == "11111111-2222-3333-4444-555555555555"
    assert rule.parent == ResourceId.parse(WORKSPACE)
    assert str(rule) == RULE
    assert rule.key == RULE.lower()


def test_the_way_up_ends_at_the_subscription() -> None:
    here: ResourceId | None = ResourceId.parse(f"{RULE}/actions/run")
    way: list[str] = []
    while here is not None:
        way.append(str(here))
        here = here.parent
    assert way == [f"{RULE}/actions/run", RULE, WORKSPACE, GROUP, SUB]


def test_containers() -> None:
    group, subscription = ResourceId.parse(GROUP), ResourceId.parse(SUB)
    assert (group.type, group.name) == ("Microsoft.Resources/resourceGroups", "Lurewire")
    assert (subscription.type, subscription.resource_group) == ("Microsoft.Resources/subscriptions", None)
    tenant_level = ResourceId.parse("/providers/Microsoft.Authorization/roleDefinitions/x")
    assert (tenant_level.subscription, tenant_level.parent) == (None, None)


def test_child_and_extension() -> None:
    workspace = ResourceId.parse(WORKSPACE)
    assert str(workspace.child("tables", "T_CL")) == f"{WORKSPACE}/tables/T_CL"
    assert str(workspace.extension("Microsoft.SecurityInsights", "alertRules", "NewThreat")) == RULE


@given(IDS)
def test_text_and_id_are_the_same_thing(text: str) -> None:
    parsed = ResourceId.parse(text)
    assert str(parsed) == text
    assert ResourceId.parse(str(parsed)) == parsed
    assert (parsed.type.split("/")[0], *parsed.types) == tuple(parsed.type.split("/"))


@given(IDS)
def test_case_makes_no_other_id(text: str) -> None:
    parsed, shouted = ResourceId.parse(text), ResourceId.parse(text.upper())
    assert parsed == shouted
    assert hash(parsed) == hash(shouted)
    assert parsed.key == shouted.key
    assert len({parsed, shouted}) == 1


@given(st.text("/abcABC. %\x00", max_size=40) | st.text(max_size=40))
def test_any_text_is_an_id_or_refused(text: str) -> None:
    try:
        parsed = ResourceId.parse(text)
    except InvalidResourceId:
        return
    assert ResourceId.parse(str(parsed)) == parsed
    here: ResourceId | None = parsed
    while here is not None:
        here = here.parent


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "lurewire",
        "/subscriptions",
        "/subscriptions/x/resourceGroups",
        "/subscriptions/x/somethingElse/y",
        f"{GROUP}/providers",
        f"{GROUP}/providers/Microsoft.X",
        f"{GROUP}/providers/Microsoft.X/types",
        f"{GROUP}/providers/Microsoft.X/types/name/more",
        f"{GROUP}/providers/Microsoft.X/types//",
        "/not/a/scope/providers/Microsoft.X/types/name",
        f"{GROUP}//providers/Microsoft.X/types/name/x",
    ],
)
def test_what_is_not_an_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidResourceId, match="is not a resource id"):
        ResourceId.parse(text)


def test_an_id_is_equal_to_ids_only() -> None:
    assert ResourceId.parse(SUB) != SUB
