"""Microsoft Graph, as much of it as manages applications and their service principals."""

from lurewire.graph.limits import LIMITS
from lurewire.graph.routes import graph_routes

__all__ = ["LIMITS", "graph_routes"]
