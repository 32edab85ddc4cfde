"""Workflow definitions, run here: actions, connectors, durable runs, run history."""

from lurewire.playbooks.connectors import Incidents
from lurewire.playbooks.limits import LIMITS
from lurewire.playbooks.models import Problem, Record, RunRow, Start, Status
from lurewire.playbooks.service import FINISHED_TOPIC, START_TOPIC, Playbooks, StartMessage
from lurewire.playbooks.starting import Identities

__all__ = [
    "FINISHED_TOPIC",
    "LIMITS",
    "START_TOPIC",
    "Identities",
    "Incidents",
    "Playbooks",
    "Problem",
    "Record",
    "RunRow",
    "Start",
    "StartMessage",
    "Status",
]
