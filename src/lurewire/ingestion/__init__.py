"""Ingestion: the Logs Ingestion API with its data collection endpoints and rules."""

from lurewire.ingestion.limits import LIMITS
from lurewire.ingestion.routes import ingestion_routes
from lurewire.ingestion.service import Ingestion

__all__ = ["LIMITS", "Ingestion", "ingestion_routes"]
