"""Connectors that run here, by the API's name; a further one is a file with its operations and a row in the app."""

from lurewire.playbooks.connectors.api import Api, is_api, operation_not_run
from lurewire.playbooks.connectors.data_collector import DataCollector, data_collector
from lurewire.playbooks.connectors.model import BadCall, Connector, ConnectorCall, ConnectorReply, Operation
from lurewire.playbooks.connectors.sentinel import Incidents, sentinel

__all__ = [
    "Api",
    "BadCall",
    "Connector",
    "ConnectorCall",
    "ConnectorReply",
    "DataCollector",
    "Incidents",
    "Operation",
    "data_collector",
    "is_api",
    "operation_not_run",
    "sentinel",
]
