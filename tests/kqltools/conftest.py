from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from lurewire.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def lurewire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
        found = CliRunner().invoke(main, list(arguments), input=stdin)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found

    return run


def script(name: str) -> Any:
    """A script of the folder tools, as a module."""
    path = Path(__file__).parents[2] / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def kql_corpus() -> Any:
    """The corpus runner."""
    return script("kql_corpus")


@pytest.fixture(scope="session")
def kql_analyser(kql_corpus: Any) -> Any:
    """The comparison with Microsoft's analyser, which stands on the corpus runner."""
    del kql_corpus
    return script("kql_analyser")
