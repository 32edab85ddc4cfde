from __future__ import annotations

import pytest

from lurewire.core.limits import Limit, Limits

DECLARED = (
    Limit("rows", 500_000, "rows", "https://example.org/limits"),
    Limit("wait", 10, "minutes", "https://example.org"),
)


def test_defaults_and_overrides() -> None:
    limits = Limits(DECLARED, {"wait": 3, "of another room": 1})
    assert (limits["rows"], limits["wait"]) == (500_000, 3)
    assert limits.declared("wait") == DECLARED[1]
    with pytest.raises(KeyError):
        limits["of another room"]
