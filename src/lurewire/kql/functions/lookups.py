"""Functions of what the caller knows: the time of receipt of a row, and the place of an IP address.

The place comes from a lookup that is given where the functions are registered (`udf.register(..., geo=...)`); a query that
asks for one where none was given stops with an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurewire.kql import plan
from lurewire.kql.scope import RECEIVED
from lurewire.kql.types import KqlType

from .common import scripted
from .registry import Function, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lurewire.kql import tree
    from lurewire.kql.binder import ExpressionBinder
    from lurewire.kql.udf import Geo


def _bind_ingestion_time(binder: ExpressionBinder, node: tree.Call, row: Function) -> plan.Scalar:
    """The time of receipt where the row comes from one stored row, else null."""
    binder.arguments(node, row)
    hidden = () if binder.rows is None else binder.rows.hidden
    found = next((column for column in hidden if column.name == RECEIVED), None)
    return plan.Constant(KqlType.DATETIME, None) if found is None else plan.ColumnRef(found.type, found.id)


def _geo_info(geo: Geo, address: str) -> Mapping[str, Any] | None:
    found = geo(address)
    return dict(found) if found else None


#: The names of the parts of a place in transformations, as Azure Monitor's list of functions has them.
_IN_TRANSFORMATIONS = {
    "country": "Country",
    "state": "State",
    "city": "City",
    "latitude": "Latitude",
    "longitude": "Longitude",
}


def _geo_location(geo: Geo, address: str) -> Mapping[str, Any] | None:
    found = geo(address)
    return {name: found[key] for key, name in _IN_TRANSFORMATIONS.items() if key in found} if found else None


_TRANSFORMATIONS = "https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-transformations-kql"

FUNCTIONS = (
    Function(
        "ingestion_time",
        (),
        KqlType.DATETIME,
        makes_null=True,
        naming="only",
        label="$IngestionTime",
        bind=_bind_ingestion_time,
    ),
    scripted("geo_info_from_ip_address", _geo_info, (text("ip_address"),), KqlType.DYNAMIC, geo=True),
    scripted("geo_location", _geo_location, (text("ip_address"),), KqlType.DYNAMIC, geo=True, page=_TRANSFORMATIONS),
)
