from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ingestion.cloud import COLUMNS, GROUP, Cloud, rule_body
else:
    from ingestion.cloud import COLUMNS, GROUP, Cloud, rule_body


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = Cloud(tmp_path_factory.mktemp("state"))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def rule(cloud: Cloud) -> str:
    """The immutable id of the rule for `Events_CL`."""
    cloud.table("Events_CL", COLUMNS)
    return cloud.rule("events-dcr", rule_body())


@pytest.fixture(scope="module")
def token(cloud: Cloud) -> str:
    """Of somebody who may send to every rule of the group."""
    return cloud.token("publisher to all", ("Monitoring Metrics Publisher", GROUP))
