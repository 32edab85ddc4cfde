from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.testbench.started import Started
else:
    from testbench.started import Started


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A Lurewire with all its content, and a test bench before it."""
    started = Started(tmp_path_factory.mktemp("origin"), testbench__enabled=True).start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A Lurewire into which nothing was deployed."""
    started = Started(tmp_path_factory.mktemp("empty"), solutions=[]).start()
    yield started
    started.stop()
