"""Ingestion: the Logs Ingestion API with its endpoints and rules, the HTTP Data Collector API, schemas from samples."""

from lurewire.ingestion.collector import Collector
from lurewire.ingestion.collector_routes import collector_routes
from lurewire.ingestion.limits import LIMITS
from lurewire.ingestion.routes import ingestion_routes
from lurewire.ingestion.sample_routes import sample_routes
from lurewire.ingestion.samples import SampleRequest, Samples
from lurewire.ingestion.service import Ingestion

__all__ = [
    "LIMITS",
    "Collector",
    "Ingestion",
    "SampleRequest",
    "Samples",
    "collector_routes",
    "ingestion_routes",
    "sample_routes",
]
