"""Limits of the graph room."""

from lurewire.core.limits import Limit

_PAGES = "https://learn.microsoft.com/graph/api/application-list"

LIMITS = (
    Limit("graph.page_default", 100, "objects", _PAGES),
    Limit("graph.page_largest", 999, "objects", _PAGES),
    Limit("graph.ids_per_request", 1_000, "ids", "https://learn.microsoft.com/graph/api/directoryobject-getbyids"),
    Limit(
        "graph.display_name",
        256,
        "characters",
        "https://learn.microsoft.com/graph/api/resources/application#properties",
    ),
    Limit("graph.request_bytes", 4_194_304, "bytes", "https://learn.microsoft.com/graph/throttling-limits"),
)
