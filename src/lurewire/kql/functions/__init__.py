"""All functions and aggregates, by every name they answer to. A new family is a module and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import (
    addresses,
    aggregates,
    arrays,
    conditional,
    conversion,
    dates,
    digests,
    dynamics,
    math,
    network,
    parsing,
    series,
    special,
    strings,
    tabular,
    windows,
)

if TYPE_CHECKING:
    from lurewire.kql.udf import Udf

    from .registry import Aggregate, Function

FAMILIES = {
    "Conversion and type": conversion.FUNCTIONS,
    "Conditional": conditional.FUNCTIONS,
    "Mathematical": (*math.FUNCTIONS, *special.FUNCTIONS),
    "Datetime and timespan": dates.FUNCTIONS,
    "String": strings.FUNCTIONS,
    "Parsing and encoding": parsing.FUNCTIONS,
    "Dynamic": (*dynamics.FUNCTIONS, *arrays.FUNCTIONS),
    "Series": series.FUNCTIONS,
    "IP address": (*network.FUNCTIONS, *addresses.FUNCTIONS),
    "Sketch": digests.FUNCTIONS,
    "Window": windows.FUNCTIONS,
    "Tabular": tabular.FUNCTIONS,
}

FUNCTIONS: dict[str, Function] = {
    name: row for family in FAMILIES.values() for row in family for name in (row.name, *row.aliases)
}
AGGREGATES: dict[str, Aggregate] = {name: row for row in aggregates.AGGREGATES for name in (row.name, *row.aliases)}
#: The functions in Python, by their SQL names.
UDFS: dict[str, Udf] = {
    udf.sql_name: udf for udf in (*(row.udf for row in FUNCTIONS.values()), *digests.UDFS) if udf is not None
}
