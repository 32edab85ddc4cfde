from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.testbench.started import Started
else:
    from testbench.started import Started

EVERYTHING = ("Owner", "Monitoring Metrics Publisher", "Log Analytics Reader", "Key Vault Secrets Officer")
DIRECTORY = ("Application.ReadWrite.All",)
"""Permissions on Microsoft Graph, which no role gives."""


@pytest.fixture(scope="session")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A whole Lurewire that is thrown away afterwards."""
    started = Started(tmp_path_factory.mktemp("victim")).start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def document(victim: Started) -> dict[str, Any]:
    made: dict[str, Any] = victim.ask("/openapi", {})
    return made
