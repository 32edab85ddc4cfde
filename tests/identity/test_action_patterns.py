"""Wildcards in actions: they match what a glob matches, in no time whatever a role's author wrote."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from lurewire.identity import Role
from lurewire.identity.access import Permissions

SEGMENT = st.text(alphabet="ab*", max_size=4)
ACTIONS = st.lists(SEGMENT, min_size=1, max_size=4).map("/".join).filter(bool)


def role(*actions: str) -> Permissions:
    return Permissions(Role("r", "id", "", "", actions=actions))


@given(pattern=ACTIONS, action=st.text(alphabet="ab/", max_size=14))
def test_a_star_stands_for_any_text(pattern: str, action: str) -> None:
    assert role(pattern).allow(action, data=False) == fnmatchcase(action, pattern)


@given(patterns=st.lists(ACTIONS, max_size=3), action=st.text(alphabet="abAB/", max_size=14))
def test_one_of_several_is_enough_and_case_does_not_count(patterns: list[str], action: str) -> None:
    expected = any(fnmatchcase(action.lower(), pattern) for pattern in patterns)
    assert role(*patterns).allow(action, data=False) == expected


def test_many_stars_take_no_time() -> None:
    hostile = role("*a" * 100 + "*b")
    began = time.perf_counter()
    assert not hostile.allow("a" * 250, data=False)
    assert time.perf_counter() - began < 0.5


def test_the_largest_role_is_ready_at_once() -> None:
    """It is made ready on the event loop, at its PUT and at each start."""
    lists = [f"Microsoft.X{number}/" + "*a" * 120 for number in range(2000)]
    began = time.perf_counter()
    largest = Permissions(Role("r", "id", "", "", tuple(lists), tuple(lists), tuple(lists), tuple(lists)))
    assert time.perf_counter() - began < 1.0
    began = time.perf_counter()
    assert not largest.allow("Microsoft.X1999/" + "a" * 240, data=True)
    assert time.perf_counter() - began < 1.0
