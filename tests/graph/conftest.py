from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lurewire.core.limits import Limits
from lurewire.graph import LIMITS, graph_routes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.arm.house import House, Server

    from lurewire.core.http import RoomRoutes
else:
    from arm.house import House, Server


class GraphHouse(House):
    """A house that has Microsoft Graph, too; pages of three, so that there is more than one."""

    def rooms(self) -> list[RoomRoutes]:
        return [graph_routes(self.identity, Limits(LIMITS, {"graph.page_default": 3})), *super().rooms()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(GraphHouse(tmp_path_factory.mktemp("state")))
    made.start()
    yield made
    made.stop()
