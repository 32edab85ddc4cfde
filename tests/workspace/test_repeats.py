from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from lurewire.workspace import Span, make_key
from lurewire.workspace import repeats as module
from lurewire.workspace.repeats import Repeats

HOUR = 3600 * 10_000_000


def test_parts_of_a_key_are_kept_apart() -> None:
    keys = {make_key(Span.REQUEST, *parts) for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""))}
    assert len(keys) == 4
    assert make_key(Span.REQUEST, "\ud800") != make_key(Span.REQUEST, "?")


def test_keys_are_found_until_their_time_is_over() -> None:
    repeats = Repeats(Span.REQUEST)
    repeats.add(1, 2, 7, 100 * HOUR)
    repeats.add(1, 3, 8, 120 * HOUR)
    assert (repeats.find(1, 2), repeats.find(1, 3), repeats.find(1, 4)) == (7, 8, None)
    repeats.add(9, 9, 9, 124 * HOUR)
    assert repeats.find(1, 2) == 7
    repeats.add(9, 8, 9, 125 * HOUR)
    assert (repeats.find(1, 2), repeats.find(1, 3)) == (None, 8)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**64 - 1)), unique=True, max_size=60), st.integers(1, 20))
def test_every_key_is_found_however_it_is_stored(keys: list[tuple[int, int]], seal: int) -> None:
    old = module._SEAL
    module._SEAL = seal
    try:
        repeats = Repeats(Span.REQUEST)
        at = 100 * HOUR
        for commit, (high, low) in enumerate(keys):
            at += random.Random(commit).choice((0, HOUR // 100, HOUR // 3))
            repeats.add(high, low, commit, at)
        for commit, (high, low) in enumerate(keys):
            assert repeats.find(high, low) == commit
            assert repeats.find(high + 4, low) is None
    finally:
        module._SEAL = old
