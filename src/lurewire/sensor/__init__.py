"""The sensor: decoys, the interactions and threats they record, and the connector that forwards them.

It runs as a process of its own (`main`), apart from the core. What only that process needs (asyncssh, the Azure clients)
is imported with the first use of `main`, `run` or `test_connection`: the core reads the event schema without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lurewire.sensor.config import ConfigError, SensorConfig, SentinelConfig
from lurewire.sensor.events import (
    EVENT_COLUMNS,
    INTERACTION_TYPES,
    NEW_INTERACTION,
    NEW_THREAT,
    NIL_UUID,
    EventKind,
    Origin,
    sample_events,
)
from lurewire.sensor.limits import LIMITS

if TYPE_CHECKING:
    from lurewire.sensor.connectors.sentinel import ConnectorError, test_connection
    from lurewire.sensor.process import main, run

__all__ = [
    "EVENT_COLUMNS",
    "INTERACTION_TYPES",
    "LIMITS",
    "NEW_INTERACTION",
    "NEW_THREAT",
    "NIL_UUID",
    "ConfigError",
    "ConnectorError",
    "EventKind",
    "Origin",
    "SensorConfig",
    "SentinelConfig",
    "main",
    "run",
    "sample_events",
    "test_connection",
]

_PROCESS_ONLY = {
    "ConnectorError": "lurewire.sensor.connectors.sentinel",
    "main": "lurewire.sensor.process",
    "run": "lurewire.sensor.process",
    "test_connection": "lurewire.sensor.connectors.sentinel",
}


def __getattr__(name: str) -> Any:
    if name not in _PROCESS_ONLY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PROCESS_ONLY[name]), name)
