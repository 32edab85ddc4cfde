"""The decoys; one file a protocol. `DECOYS` names them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lurewire.sensor.decoys.http import HttpDecoy
from lurewire.sensor.decoys.ssh import SshDecoy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lurewire.sensor.config import SensorConfig
    from lurewire.sensor.listener import Decoy

DECOYS: Mapping[str, Callable[[SensorConfig], Decoy]] = {"ssh": SshDecoy, "http": HttpDecoy}
"""Every decoy by its name; the configuration has `<name>_port` for each."""
