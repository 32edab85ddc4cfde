"""Incidents: made of alerts, commented, tagged and escalated by people, automation rules and playbooks."""

from lurewire.incidents.limits import LIMITS
from lurewire.incidents.routes import incident_routes
from lurewire.incidents.service import Incidents
from lurewire.incidents.views import INCIDENT_TABLE

__all__ = ["INCIDENT_TABLE", "LIMITS", "Incidents", "incident_routes"]
